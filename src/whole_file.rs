//! Files that a command writes for others: there whole or not at all.
//!
//! Owns: the file beside, which takes the name when it is whole; devices and pipes, which are written as they are.
//! Does not own: what is written.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// A file on its way to its name. Dropped before that, it leaves what stood there.
#[derive(Debug)]
pub(crate) struct WholeFile {
    /// The file beside the name, and the name; `None` for a device or a pipe.
    way: Option<(Unfinished, PathBuf)>,
}

/// A file that goes unless it got another name.
#[derive(Debug)]
struct Unfinished(PathBuf);

impl WholeFile {
    /// Begins a file of this name. A link is followed; a device or a pipe is opened.
    ///
    /// # Errors
    /// As the system says; `IsADirectory` for a directory.
    pub(crate) fn begin(path: &Path) -> io::Result<(File, Self)> {
        let name = match fs::metadata(path) {
            Ok(found) if found.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            Ok(found) if found.is_file() => fs::canonicalize(path)?,
            Ok(_) => return Ok((OpenOptions::new().write(true).open(path)?, Self { way: None })),
            // A link to nothing: the file is made where it leads.
            Err(_) => fs::read_link(path).map_or_else(|_| path.to_owned(), |to| beside(path).join(to)),
        };
        let mut part = name.as_os_str().to_owned();
        part.push(format!(".{}.part", std::process::id()));
        let part = Unfinished(PathBuf::from(part));
        let file = File::create(&part.0)?;
        Ok((file, Self { way: Some((part, name)) }))
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// As the system says.
    pub(crate) fn finish(self) -> io::Result<()> {
        match &self.way {
            Some((part, name)) => fs::rename(&part.0, name),
            None => Ok(()),
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

/// The folder of a path.
fn beside(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::fs::{FileTypeExt, symlink};
    use std::process::Command;

    use super::*;

    fn write(path: &Path, text: &str) {
        let (mut file, whole) = WholeFile::begin(path).expect("begins");
        file.write_all(text.as_bytes()).expect("written");
        drop(file);
        whole.finish().expect("named");
    }

    #[test]
    fn a_file_is_replaced_when_it_is_whole_also_through_a_link() {
        let folder = tempfile::tempdir().expect("a folder");
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        symlink("real", &link).expect("a link");
        write(&link, "first");
        let (mut file, half) = WholeFile::begin(&link).expect("begins");
        file.write_all(b"half").expect("written");
        drop(half);
        assert_eq!(fs::read_to_string(&real).expect("there"), "first");
        write(&link, "second");
        assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
        assert_eq!(fs::read_to_string(&real).expect("there"), "second");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2, "no part is left");
    }

    #[test]
    fn a_pipe_is_written_and_stays_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
        let reading = std::thread::spawn({
            let pipe = pipe.clone();
            move || {
                let mut text = String::new();
                File::open(pipe).expect("opens").read_to_string(&mut text).expect("reads");
                text
            }
        });
        write(&pipe, "rows");
        assert_eq!(reading.join().expect("read"), "rows");
        assert!(fs::symlink_metadata(&pipe).expect("there").file_type().is_fifo());
        let error = WholeFile::begin(folder.path()).expect_err("a directory");
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
    }
}
