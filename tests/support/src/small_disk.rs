//! A file system of a few megabytes, for filling up.
//!
//! Owns: filling it and freeing it. Does not own: the writers to it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::mount::MountPoint;

/// A mounted tmpfs; unmounted when dropped.
#[derive(Debug)]
pub struct SmallDisk {
    mount_point: MountPoint,
}

impl SmallDisk {
    /// Mounts a file system of `kib` KiB.
    ///
    /// # Errors
    /// Only root may mount.
    pub fn mount(kib: u32) -> Result<Self> {
        let mut mount_point = MountPoint::new()?;
        mount_point.mount(&["-t", "tmpfs", "-o", &format!("size={kib}k,mode=755")], Path::new("tmpfs"))?;
        Ok(Self { mount_point })
    }

    /// The mount point.
    pub fn path(&self) -> &Path {
        self.mount_point.path()
    }

    /// Writes until the disk is full.
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

    /// Frees the space that [`SmallDisk::fill`] took.
    pub fn free(&self) -> Result<()> {
        Ok(fs::remove_file(self.filler())?)
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }
}
