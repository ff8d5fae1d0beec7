//! SQL text for DuckDB: attaching the catalog, and views over exactly the listed objects.
//!
//! Owns: the views, their names, the objects that each reads, and quoting.
//! Does not own: attaching (`attach`), the columns of a view (`view`), access to the store (`access`), running DuckDB.
//!
//! A view is a snapshot: it lists the objects that were live when it was printed. Print it again to see newer segments;
//! after retention has removed objects, an old view fails instead of showing less.

mod access;
mod attach;
mod view;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;

use common::TopicName;

pub use self::attach::{DuckDbCatalog, attach_sql};
use crate::schema::{quarantine_schema, table_schema};
use catalog::{SegmentKind, TopicSnapshot};

/// Location of the objects for DuckDB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DuckDbLocation {
    /// In a directory of the machine that DuckDB runs on.
    Local {
        /// The absolute path that keys are relative to.
        root: PathBuf,
    },
    /// In S3 or a compatible service.
    S3 {
        /// The bucket.
        bucket: String,
        /// Endpoint, region and addressing of the service.
        access: S3Access,
    },
    /// In Azure Blob Storage.
    Azure {
        /// The container.
        container: String,
        /// The storage account, where known.
        account: Option<String>,
    },
    /// In Google Cloud Storage.
    Gcs {
        /// The bucket.
        bucket: String,
    },
}

/// The parts of S3 access that are not secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct S3Access {
    /// URL of a compatible service, such as `http://127.0.0.1:9000`; `None` for Amazon's own.
    pub endpoint: Option<String>,
    /// The region; `None` leaves DuckDB's own setting.
    pub region: Option<String>,
    /// True when the bucket is part of the host name instead of the path. Read only with an endpoint.
    pub virtual_hosted: bool,
}

/// Two topics whose views DuckDB would take for one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "DuckDB does not tell topic {first:?} from topic {second:?}, which differ only in case: one view would replace the other; \
     name the topics to make views of, and one of these two alone"
)]
pub struct SameName {
    first: TopicName,
    second: TopicName,
}

/// Statements that make a view of each topic of `snapshots`, after a secret that gives access to the store where one is needed.
/// Running them again replaces all of it.
///
/// The view of a topic has its name. The view of its quarantine is `quarantine."<topic>"`, as in SQL with DataFusion, and
/// `quarantine_<topic>` as well, unless one of `topics` has that name; these are all topics of the catalog.
///
/// # Errors
/// [`SameName`] for two of `snapshots` whose names differ only in the case of ASCII letters, which DuckDB does not look at.
pub fn views_sql(
    snapshots: &[TopicSnapshot],
    topics: &[TopicName],
    location: &DuckDbLocation,
) -> Result<String, SameName> {
    let names = snapshots.iter().map(|snapshot| &snapshot.topic.name);
    all_differ(names.clone())?;
    let taken: HashSet<String> = names.chain(topics).map(|name| folded(name.as_str())).collect();
    let mut sql = access::sql(location);
    sql.push_str("CREATE SCHEMA IF NOT EXISTS quarantine;\n");
    for snapshot in snapshots {
        let name = snapshot.topic.name.as_str();
        let rows = view::select(&table_schema(&snapshot.topic.config), &keys(snapshot, SegmentKind::Data), location);
        push_view(&mut sql, &identifier(name), &rows);
        let quarantined = view::select(&quarantine_schema(), &keys(snapshot, SegmentKind::Quarantine), location);
        let quarantine = format!("quarantine.{}", identifier(name));
        push_view(&mut sql, &quarantine, &quarantined);
        let short = format!("quarantine_{name}");
        if !taken.contains(&folded(&short)) {
            push_view(&mut sql, &identifier(&short), &format!("SELECT * FROM {quarantine}"));
        }
    }
    Ok(sql)
}

fn push_view(sql: &mut String, name: &str, selection: &str) {
    sql.push_str(&format!("CREATE OR REPLACE VIEW {name} AS {selection};\n"));
}

fn all_differ<'n>(names: impl Iterator<Item = &'n TopicName>) -> Result<(), SameName> {
    let mut seen: HashMap<String, &TopicName> = HashMap::new();
    for name in names {
        if let Some(first) = seen.insert(folded(name.as_str()), name) {
            return Err(SameName { first: first.clone(), second: name.clone() });
        }
    }
    Ok(())
}

/// A name as DuckDB compares names.
fn folded(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// Keys of objects, by the incarnation that their rows lack; `None` if they have the column.
type Keys<'s> = BTreeMap<Option<u32>, Vec<&'s str>>;

/// The key of every live object of a kind that has rows.
fn keys(snapshot: &TopicSnapshot, kind: SegmentKind) -> Keys<'_> {
    let mut keys = Keys::new();
    let mut seen = HashSet::new();
    for segment in snapshot.segments.iter().filter(|segment| segment.kind == kind) {
        let object = segment.object.as_ref();
        if object.record_count > 0 && seen.insert(object.file_id) {
            let unsaid = (object.layout == 1).then_some(segment.incarnation.0);
            keys.entry(unsaid).or_default().push(object.key.as_str());
        }
    }
    keys
}

/// The name as SQL of DuckDB and of DataFusion writes it, whatever its characters are.
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
