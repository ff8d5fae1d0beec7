//! A directory on which a test mounts its own file system.
//!
//! Owns: the directory, calling `mount` and `umount`. Does not own: the file system, and the actions on it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

/// An empty directory to mount on; unmounted and removed when dropped.
#[derive(Debug)]
pub(crate) struct MountPoint {
    directory: TempDir,
    is_mounted: bool,
}

impl MountPoint {
    /// A new directory without a mount.
    pub(crate) fn new() -> Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("siltstone-disk-");
        // Inside the run's folder, if there is one, `scripts/test` unmounts the leftovers of a killed test.
        let directory = match std::env::var_os("SILTSTONE_TEST_RUN_DIR") {
            Some(run) => builder.tempdir_in(run)?,
            None => builder.tempdir()?,
        };
        Ok(Self { directory, is_mounted: false })
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Mounts `source` with these arguments.
    ///
    /// # Errors
    /// The error names the requirements: mounting needs privileges, and is not possible everywhere.
    pub(crate) fn mount(&mut self, arguments: &[&str], source: &Path) -> Result<()> {
        run(Command::new("mount").args(arguments).arg(source).arg(self.path())).context(
            "tests of disks that fail need root with CAP_SYS_ADMIN, and those of power cuts ext4 and loop devices",
        )?;
        self.is_mounted = true;
        Ok(())
    }

    /// Unmounts it; an error while a process uses it.
    pub(crate) fn unmount(&mut self) -> Result<()> {
        run(Command::new("umount").arg(self.path()))?;
        self.is_mounted = false;
        Ok(())
    }
}

impl Drop for MountPoint {
    fn drop(&mut self) {
        if !self.is_mounted {
            return;
        }
        // Lazily: a process that is about to end may still have a file open.
        if let Err(error) = run(Command::new("umount").arg("-l").arg(self.path())) {
            eprintln!("cannot unmount {}: {error:#}", self.path().display());
        }
    }
}

/// Runs a command of the system, which must succeed.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("start {name}"))?;
    if !output.status.success() {
        bail!("{name} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
