//! A disk whose power can be cut: it forgets what was not synced.
//!
//! Owns: an ext4 file system in an image file, and its end in the middle of things. Does not own: who writes to it.
//!
//! The kernel is told to shut the file system down without writing its journal or anything that it still holds in memory
//! (`EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`, fs/ext4/ext4.h); mounting it again replays the journal as after
//! a power cut. What the device itself would lose is not modelled: what reaches the image file stays.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::NamedTempFile;

use crate::mount::{MountPoint, run};

/// As few accidental writes as there can be: nothing is written for a rename, with the journal, or because time has passed.
const OPTIONS: &str = "loop,noauto_da_alloc,data=writeback,commit=300";

/// Rust has no call for it that is safe.
const SHUT_DOWN: &str = "
import fcntl, os, struct, sys
EXT4_IOC_SHUTDOWN, NOLOGFLUSH = 0x8004587D, 2
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), EXT4_IOC_SHUTDOWN, struct.pack('I', NOLOGFLUSH))
";

/// A mounted disk; unmounted when dropped.
#[derive(Debug)]
pub struct PowerDisk {
    mount_point: MountPoint,
    image: NamedTempFile,
}

impl PowerDisk {
    /// An empty one of `mib` MiB.
    ///
    /// # Errors
    /// Only root may mount, and the kernel must know ext4 and loop devices.
    pub fn mount(mib: u32) -> Result<Self> {
        let mount_point = MountPoint::new()?;
        let beside = mount_point.path().parent().context("a mount point is in a directory")?;
        let image = NamedTempFile::with_prefix_in("siltstone-image-", beside)?;
        image.as_file().set_len(u64::from(mib) << 20)?;
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(image.path()))?;
        let disk = Self { mount_point, image };
        disk.power_on()?;
        Ok(disk)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.mount_point.path()
    }

    /// Syncs everything that was written so far, as time does where nobody cuts the power.
    pub fn sync(&self) -> Result<()> {
        run(Command::new("sync").arg("--file-system").arg(self.path()))
    }

    /// From now on every access fails, and what was not synced is gone.
    pub fn cut_power(&self) -> Result<()> {
        let canary = self.path().join("canary");
        // An earlier cut may have left its name.
        std::fs::write(&canary, vec![b'x'; 1 << 16]).context("write the canary")?;
        run(Command::new("python3").args(["-c", SHUT_DOWN]).arg(self.path()))?;
        ensure!(std::fs::write(canary, "after").is_err(), "the disk takes writes after its power was cut");
        Ok(())
    }

    /// Mounts it again. Whoever had a file open must have ended.
    pub fn restore_power(&self) -> Result<()> {
        self.mount_point.unmount()?;
        self.power_on()?;
        let canary = std::fs::metadata(self.path().join("canary")).map_or(0, |file| file.len());
        ensure!(canary < 1 << 16, "what was written and not synced outlived the power cut");
        Ok(())
    }

    fn power_on(&self) -> Result<()> {
        self.mount_point.mount(&["-t", "ext4", "-o", OPTIONS], self.image.path())
    }
}
