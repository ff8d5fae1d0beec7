//! Folders as a whole.
//!
//! Owns: copying one. Does not own: its contents.

use std::path::Path;

use anyhow::Result;

/// Copies everything below `from` to `to`, which is created if missing. `from` must not change meanwhile.
pub fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}
