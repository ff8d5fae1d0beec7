//! Makes the object of a local put survive a power cut.
//!
//! Owns: syncing a file and the directories above it. The local object store writes and renames, but syncs
//! nothing, so a crash after its answer can leave an empty file.
//! Does not own: writing the file.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use object_store::path::Path as Key;

/// Creates `dir` and its missing parents, each entered durably in its parent.
pub(super) fn create_dir_durably(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_dir_durably(parent)?;
    match std::fs::create_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
        other => other?,
    }
    File::open(parent)?.sync_all()
}

/// Syncs the file of `key` below `root`, its directory, and every directory in between: any of them may be new.
pub(super) async fn sync(root: PathBuf, key: &Key) -> object_store::Result<()> {
    let key = key.clone();
    let synced = tokio::task::spawn_blocking(move || sync_blocking(&root, &key)).await;
    match synced {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(object_store::Error::Generic { store: "local", source: Box::new(error) }),
        Err(error) => Err(object_store::Error::Generic { store: "local", source: Box::new(error) }),
    }
}

fn sync_blocking(root: &Path, key: &Key) -> io::Result<()> {
    let mut path = key.parts().fold(root.to_owned(), |path, part| path.join(part.as_ref()));
    File::open(&path)?.sync_all()?;
    while path.pop() && path.starts_with(root) {
        File::open(&path)?.sync_all()?;
    }
    Ok(())
}
