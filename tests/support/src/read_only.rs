//! A directory seen through a mount that cannot be written.
//!
//! Owns: the mount. Does not own: the directory, which others may write by its own path.

use std::path::Path;

use anyhow::Result;

use crate::mount::MountPoint;

/// A read-only view of a directory; unmounted when dropped.
#[derive(Debug)]
pub struct ReadOnlyView {
    mount_point: MountPoint,
}

impl ReadOnlyView {
    /// Mounts a view of `directory`.
    ///
    /// # Errors
    /// Only root may mount.
    pub fn of(directory: &Path) -> Result<Self> {
        let mut mount_point = MountPoint::new()?;
        mount_point.mount(&["-o", "bind,ro"], directory)?;
        Ok(Self { mount_point })
    }

    /// The directory as it is seen.
    pub fn path(&self) -> &Path {
        self.mount_point.path()
    }
}
