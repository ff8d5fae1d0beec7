//! A file system of a few megabytes, to be filled up.
//!
//! Owns: mounting it, filling it, freeing it, unmounting it. Does not own: who writes to it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

/// A mounted tmpfs; unmounted when dropped.
#[derive(Debug)]
pub struct SmallDisk {
    directory: TempDir,
}

impl SmallDisk {
    /// Mounts one of `kib` KiB. Only root may: without that right it is an error that says so.
    pub fn mount(kib: u32) -> Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("siltstone-disk-");
        // Inside the run's folder, where there is one, `scripts/test` unmounts what a killed test left.
        let directory = match std::env::var_os("SILTSTONE_TEST_RUN_DIR") {
            Some(run) => builder.tempdir_in(run)?,
            None => builder.tempdir()?,
        };
        let size = format!("size={kib}k,mode=755");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(directory.path()).output();
        let output = mounted.context("start mount")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            bail!("cannot mount a small file system ({said}): tests of a full disk need root and CAP_SYS_ADMIN");
        }
        Ok(Self { directory })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes until nothing more fits.
    pub fn fill(&self) -> Result<()> {
        let mut file = File::options().create(true).append(true).open(self.filler())?;
        for size in [1 << 16, 1] {
            let chunk = vec![0; size];
            loop {
                match file.write(&chunk) {
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::StorageFull => break,
                    Err(error) => return Err(error).context("fill the disk"),
                }
            }
        }
        Ok(())
    }

    /// Gives back what [`SmallDisk::fill`] took.
    pub fn free(&self) -> Result<()> {
        Ok(fs::remove_file(self.filler())?)
    }

    fn filler(&self) -> PathBuf {
        self.directory.path().join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that is about to end may still have a file open.
        let unmounted = Command::new("umount").arg("-l").arg(self.directory.path()).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} stays mounted", self.directory.path().display());
        }
    }
}
