//! A disk whose power can be cut: it forgets unsynced data.
//!
//! Owns: an ext4 file system in an image file, and cutting its power at any time. Does not own: the writers to it.
//!
//! The cut makes the kernel shut the file system down without writing its journal or any other data that it holds in
//! memory (`EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`, fs/ext4/ext4.h); mounting it again replays the
//! journal as after a power cut. Losses of the device itself are not modelled: bytes in the image file stay.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::NamedTempFile;

use crate::mount::{MountPoint, run};

/// Options for few accidental writes: none for a rename, and none with the journal. The kernel may still write data
/// older than half a minute.
const OPTIONS: &str = "loop,noauto_da_alloc,data=writeback,commit=300";

const CANARY: &str = "canary";
const CANARY_BYTES: u64 = 1 << 16;

/// Writes a canary, which must not outlive the cut, and cuts. Rust has no safe call for it.
const SHUT_DOWN: &str = "
import fcntl, os, struct, sys
EXT4_IOC_SHUTDOWN, NOLOGFLUSH = 0x8004587D, 2
disk = os.open(sys.argv[1], os.O_RDONLY)
with open(os.path.join(sys.argv[1], sys.argv[2]), 'wb') as canary:
    canary.write(b'x' * int(sys.argv[3]))
fcntl.ioctl(disk, EXT4_IOC_SHUTDOWN, struct.pack('I', NOLOGFLUSH))
";

/// A mounted disk; unmounted when dropped.
#[derive(Debug)]
pub struct PowerDisk {
    mount_point: MountPoint,
    image: NamedTempFile,
}

impl PowerDisk {
    /// Mounts an empty disk of `mib` MiB.
    ///
    /// # Errors
    /// Only root may mount, and the kernel must know ext4 and loop devices.
    pub fn mount(mib: u32) -> Result<Self> {
        let mount_point = MountPoint::new()?;
        let beside = mount_point.path().parent().context("a mount point is in a directory")?;
        let image = NamedTempFile::with_prefix_in("siltstone-image-", beside)?;
        image.as_file().set_len(u64::from(mib) << 20)?;
        // The system's programs are not in every user's path.
        let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
        run(Command::new("mkfs.ext4").env("PATH", path).args(["-q", "-F"]).arg(image.path()))?;
        let mut disk = Self { mount_point, image };
        disk.power_on()?;
        Ok(disk)
    }

    /// The mount point.
    pub fn path(&self) -> &Path {
        self.mount_point.path()
    }

    /// Syncs all data written so far, as the kernel does in time without a cut.
    pub fn sync(&self) -> Result<()> {
        run(Command::new("sync").arg("--file-system").arg(self.path()))
    }

    /// From now on every access fails, and unsynced data are gone.
    pub fn cut_power(&self) -> Result<()> {
        let mut cut = Command::new("python3");
        run(cut.args(["-c", SHUT_DOWN]).arg(self.path()).args([CANARY, &CANARY_BYTES.to_string()]))?;
        let after = std::fs::write(self.path().join("after"), "x");
        ensure!(after.is_err(), "the disk takes writes after its power was cut");
        Ok(())
    }

    /// Mounts it again. Every process with an open file must have ended.
    pub fn restore_power(&mut self) -> Result<()> {
        self.mount_point.unmount()?;
        self.power_on()?;
        let canary = std::fs::metadata(self.path().join(CANARY)).map_or(0, |file| file.len());
        ensure!(canary < CANARY_BYTES, "what was written and not synced outlived the power cut");
        Ok(())
    }

    fn power_on(&mut self) -> Result<()> {
        self.mount_point.mount(&["-t", "ext4", "-o", OPTIONS], self.image.path())
    }
}
