//! The files under a path, while a database is open in them.
//!
//! Owns: noticing that the path names another file, or none. Does not own: the consequence (`database::door`).
//!
//! A file that is deleted or replaced stays open, and takes commits that nobody will ever read: a restart opens what
//! the path names then. So a process that writes compares both before a transaction and after its commit.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::reading::with_suffix;

/// Device and number of a file; `None` if there is none.
type Identity = Option<(u64, u64)>;

/// The database's file and its log, as they were opened.
#[derive(Debug)]
pub(super) struct Place {
    files: [(PathBuf, Identity); 2],
}

impl Place {
    /// The place of the database at `path`, which is open.
    pub(super) fn of(path: &Path) -> Self {
        let files = [path.to_owned(), with_suffix(path, "-wal")];
        Self { files: files.map(|file| (file.clone(), identity(&file))) }
    }

    /// `Ok` if the path still names the open files.
    ///
    /// # Errors
    /// The file that was deleted or replaced.
    pub(super) fn check(&self) -> Result<(), String> {
        match self.files.iter().find(|(file, opened)| identity(file) != *opened) {
            Some((file, _)) => Err(format!("{} was deleted or replaced while it was in use", file.display())),
            None => Ok(()),
        }
    }
}

fn identity(file: &Path) -> Identity {
    fs::metadata(file).ok().map(|found| (found.dev(), found.ino()))
}
