//! The kind of file system that holds a path.
//!
//! Owns: reading the kernel's table of mounts, and the meaning of each kind for durable files.
//! Does not own: the files.

use std::path::{Path, PathBuf};

use super::{Area, Finding};

/// Durability and locking of a file system, by its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A disk of this machine, according to the kernel.
    Local,
    /// Another machine's disk: locks and syncs may be weaker.
    Network,
    /// Memory: gone with a restart.
    Volatile,
    /// A container's own layer: gone with the container.
    Layer,
}

/// The kind of the file system named `name` in the kernel's table.
pub fn kind_of(name: &str) -> Kind {
    match name {
        "tmpfs" | "ramfs" | "devtmpfs" => Kind::Volatile,
        "overlay" | "aufs" => Kind::Layer,
        "nfs" | "nfs4" | "cifs" | "smb3" | "smbfs" | "9p" | "virtiofs" | "afs" | "ceph" | "glusterfs" | "lustre"
        | "gpfs" | "beegfs" | "ocfs2" | "gfs2" => Kind::Network,
        fuse if fuse.starts_with("fuse") && fuse != "fuseblk" => Kind::Network,
        _ => Kind::Local,
    }
}

/// The kernel's name for the file system that holds `path`; `None` without a table of mounts.
pub fn name_of(path: &Path) -> Option<String> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    name_in(&mounts, &existing(path)?)
}

/// The finding about `what`, which lies at `path`.
pub fn finding(area: Area, what: &str, path: &Path) -> Finding {
    let check = "file system";
    let Some(name) = name_of(path) else {
        return Finding::warn(
            area,
            check,
            format!("unknown for {}", path.display()),
            "this system has no /proc/self/mounts; see to it that it is a local disk",
        );
    };
    let found = format!("{name} at {}", path.display());
    match kind_of(&name) {
        Kind::Local => Finding::ok(area, check, found),
        Kind::Network => Finding::reduced(
            area,
            check,
            found,
            format!("{what} is on another machine's disk, where locks and syncs may mean less; use a local disk"),
        ),
        Kind::Volatile => Finding::reduced(
            area,
            check,
            found,
            format!("{what} is in memory and gone with a restart of the machine; use a disk"),
        ),
        Kind::Layer => Finding::reduced(
            area,
            check,
            found,
            format!("{what} is in the container's own layer and gone with it; mount a volume there"),
        ),
    }
}

/// The path without links, or its nearest existing ancestor.
fn existing(path: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(path).ok()?;
    absolute.ancestors().find_map(|ancestor| ancestor.canonicalize().ok())
}

/// The last entry of the longest mount point above `path` wins: it hides the mounts below it.
fn name_in(mounts: &str, path: &Path) -> Option<String> {
    let mut best: Option<(usize, &str)> = None;
    for line in mounts.lines() {
        let mut fields = line.split(' ').skip(1);
        let (Some(point), Some(name)) = (fields.next(), fields.next()) else { continue };
        let point = unescaped(point);
        if path.starts_with(&point) && best.is_none_or(|(length, _)| point.len() >= length) {
            best = Some((point.len(), name));
        }
    }
    best.map(|(_, name)| name.to_owned())
}

/// The kernel writes space, tab, line feed and backslash as three octal digits.
fn unescaped(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (escape, plain)| text.replace(escape, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "/dev/vda / ext4 rw 0 0\nproc /proc proc rw 0 0\nserver:/x /mnt/my\\040data nfs4 rw 0 0\n\
        tmpfs /run tmpfs rw 0 0\nu@h:/ /mnt fuse.sshfs rw 0 0\n";

    #[test]
    fn the_nearest_mount_point_counts() {
        let name = |path: &str| name_in(MOUNTS, Path::new(path)).expect("the root is mounted");
        assert_eq!(name("/var/lib/data"), "ext4");
        assert_eq!(name("/mnt/my data/catalog.db"), "nfs4");
        assert_eq!(name("/mnt/my database"), "fuse.sshfs", "a longer name is not below");
        assert_eq!(name("/run/x"), "tmpfs");
    }

    #[test]
    fn kinds_are_told_apart() {
        for (name, kind) in [
            ("ext4", Kind::Local),
            ("fuseblk", Kind::Local),
            ("nfs4", Kind::Network),
            ("fuse.sshfs", Kind::Network),
            ("tmpfs", Kind::Volatile),
            ("overlay", Kind::Layer),
        ] {
            assert_eq!(kind_of(name), kind, "{name}");
        }
    }

    #[test]
    fn a_path_that_does_not_exist_yet_is_judged_by_its_parent() {
        assert_eq!(name_of(Path::new("/proc/no/such/file")).as_deref(), Some("proc"));
    }

    #[test]
    fn memory_is_said_to_be_no_place_for_a_catalog() {
        let found = finding(Area::Catalog, "the catalog", Path::new("/dev/shm/catalog.db"));
        assert!(found.reduces && found.advice.contains("memory"), "{found:?}");
    }
}
