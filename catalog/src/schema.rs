//! The version of a catalog's schema, compared with the one of this program.
//!
//! Owns: the comparison, for those who only read and for those who may migrate. Does not own: reading the applied
//! versions, and migrating (each database's own files).

use sqlx::migrate::{MigrateError, Migrator};

use crate::error::{CatalogError, Result};

/// The versions that a catalog has, with their order and the texts they were made by.
pub(crate) const APPLIED: &str = "SELECT version, checksum, success FROM _sqlx_migrations ORDER BY version";

/// A version of the schema that a catalog has: its number, the checksum of its text, and true unless it was left half
/// done.
pub(crate) type Applied = (i64, Vec<u8>, bool);

/// True if the catalog has exactly the schema of this program, false if versions are missing.
///
/// # Errors
/// `Refused` if it is newer, differs, or was left half done.
pub(crate) fn is_current(migrator: &Migrator, applied: &[Applied]) -> Result<bool> {
    for (version, checksum, is_done) in applied {
        let Some(known) = migrator.iter().find(|known| known.version == *version) else {
            return Err(MigrateError::VersionMissing(*version).into());
        };
        if !is_done {
            return Err(MigrateError::Dirty(*version).into());
        }
        if *known.checksum != **checksum {
            return Err(MigrateError::VersionMismatch(*version).into());
        }
    }
    Ok(migrator.iter().all(|known| applied.iter().any(|(version, ..)| *version == known.version)))
}

/// The refusal to read a catalog that lacks versions: reading upgrades nothing.
pub(crate) fn older(migrator: &Migrator, applied: &[Applied]) -> CatalogError {
    let has = applied.iter().map(|(version, ..)| *version).max().unwrap_or_default();
    let needs = migrator.iter().map(|known| known.version).max().unwrap_or_default();
    CatalogError::Refused(format!(
        "the catalog's schema has version {has}, this program needs {needs}, and a command that only reads changes \
         nothing; `siltstone migrate` upgrades it, as does the next start of a writer of this version"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrations::SQLITE;

    fn all() -> Vec<Applied> {
        SQLITE.iter().map(|known| (known.version, known.checksum.to_vec(), true)).collect()
    }

    #[test]
    fn a_schema_is_current_older_newer_or_another() {
        assert!(is_current(&SQLITE, &all()).expect("known"));
        let older_one = &all()[..all().len() - 1];
        assert!(!is_current(&SQLITE, older_one).expect("known"));
        let text = older(&SQLITE, older_one).to_string();
        let [.., (has, ..), (needs, ..)] = &all()[..] else { panic!("there are several") };
        assert!(text.contains(&format!("has version {has}, this program needs {needs}")), "{text}");
        let newer = [all(), vec![(999, vec![], true)]].concat();
        assert!(is_current(&SQLITE, &newer).expect_err("newer").to_string().contains("version 999"));
        let mut another = all();
        another[0].1[0] ^= 1;
        assert!(is_current(&SQLITE, &another).expect_err("another").to_string().contains("version 1"));
        let mut half = all();
        half[1].2 = false;
        assert!(is_current(&SQLITE, &half).expect_err("half done").to_string().contains("cannot be migrated"));
    }
}
