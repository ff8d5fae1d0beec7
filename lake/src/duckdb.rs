//! SQL text for DuckDB: views over exactly the listed objects.
//!
//! Owns: quoting, URLs and types in DuckDB's notation; the secret that gives DuckDB access to the store.
//! Does not own: running DuckDB, and credentials: none is ever printed.
//!
//! A view is a snapshot: it lists the objects that were live when it was printed. Print it again to see newer segments;
//! after retention has removed objects, an old view fails instead of showing less.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;
use std::path::PathBuf;

use arrow_schema::{DataType, Field, Schema, TimeUnit};

use crate::schema::{name_in_layout, quarantine_schema, table_schema};
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

/// Statements that make, for every topic, a view of its name and a view `quarantine_<topic>`, after a secret that
/// gives access to the store where one is needed. Running them again replaces all of it.
pub fn views_sql(snapshots: &[TopicSnapshot], location: &DuckDbLocation) -> String {
    let mut sql = access_sql(location);
    for snapshot in snapshots {
        let name = snapshot.topic.name.as_str();
        push_view(&mut sql, name, &table_schema(&snapshot.topic.config), &keys(snapshot, SegmentKind::Data), location);
        let quarantined = keys(snapshot, SegmentKind::Quarantine);
        push_view(&mut sql, &format!("quarantine_{name}"), &quarantine_schema(), &quarantined, location);
    }
    sql
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

fn push_view(sql: &mut String, name: &str, schema: &Schema, keys: &Keys<'_>, location: &DuckDbLocation) {
    let name = identifier(name);
    let selected: Vec<_> = keys.iter().map(|(unsaid, keys)| select(*unsaid, keys, schema, location)).collect();
    let made = match selected.is_empty() {
        true => writeln!(sql, "CREATE OR REPLACE VIEW {name} AS SELECT {} WHERE false;", empty_columns(schema)),
        false => writeln!(sql, "CREATE OR REPLACE VIEW {name} AS {};", selected.join("\n UNION ALL BY NAME ")),
    };
    made.expect("writing to a string does not fail");
}

fn select(unsaid: Option<u32>, keys: &[&str], schema: &Schema, location: &DuckDbLocation) -> String {
    let urls: Vec<_> = keys.iter().map(|key| format!("  {}", literal(&url(key, location)))).collect();
    format!(
        "SELECT {} FROM read_parquet([\n{}\n], union_by_name = true, hive_partitioning = false)",
        unsaid.map_or("*".to_owned(), |incarnation| columns_of_layout_1(schema, incarnation)),
        urls.join(",\n")
    )
}

/// The columns of layout 1, renamed and ordered as in the current layout.
fn columns_of_layout_1(schema: &Schema, incarnation: u32) -> String {
    let system = schema.fields().iter().map(|field| field.name().as_str()).take_while(|name| name.starts_with('_'));
    let (mut selected, mut stored) = (Vec::new(), Vec::new());
    for name in system {
        let stored_name = name_in_layout(name, 1);
        stored.extend(stored_name.map(identifier));
        let value = stored_name.map_or(format!("CAST({incarnation} AS INTEGER)"), identifier);
        selected.push(format!("{value} AS {}", identifier(name)));
    }
    format!("{}, * EXCLUDE ({})", selected.join(", "), stored.join(", "))
}

fn url(key: &str, location: &DuckDbLocation) -> String {
    let url = match location {
        DuckDbLocation::Local { root } => root.join(key).display().to_string(),
        DuckDbLocation::S3 { bucket, .. } => format!("s3://{bucket}/{key}"),
        DuckDbLocation::Azure { container, .. } => format!("az://{container}/{key}"),
        DuckDbLocation::Gcs { bucket } => format!("gs://{bucket}/{key}"),
    };
    without_patterns(&url)
}

/// DuckDB reads a file name as a pattern, so a wildcard character is put in brackets.
fn without_patterns(url: &str) -> String {
    let mut plain = String::with_capacity(url.len());
    for character in url.chars() {
        match character {
            '*' | '?' | '[' => plain.extend(['[', character, ']']),
            other => plain.push(other),
        }
    }
    plain
}

fn access_sql(location: &DuckDbLocation) -> String {
    match location {
        DuckDbLocation::Local { .. } => String::new(),
        DuckDbLocation::S3 { bucket, access } => s3_secret(bucket, access),
        DuckDbLocation::Gcs { bucket } => format!(
            "-- Credentials: DuckDB reads Google Cloud Storage with HMAC keys. It takes them from AWS_ACCESS_KEY_ID and\n\
             -- AWS_SECRET_ACCESS_KEY in its environment.\n\
             CREATE OR REPLACE SECRET siltstone (TYPE gcs{ENVIRONMENT_KEYS}, SCOPE {});\n",
            literal(&format!("gs://{bucket}"))
        ),
        DuckDbLocation::Azure { container, account } => format!(
            "-- Credentials: found by the Azure chain (environment, managed identity, az login).\n\
             CREATE OR REPLACE SECRET siltstone (TYPE azure, PROVIDER credential_chain{}, SCOPE {});\n",
            account.as_ref().map_or(String::new(), |account| format!(", ACCOUNT_NAME {}", literal(account))),
            literal(&format!("az://{container}"))
        ),
    }
}

/// DuckDB's httpfs extension reads these variables when it is loaded, and shows them as settings.
const ENVIRONMENT_KEYS: &str = ", KEY_ID coalesce(current_setting('s3_access_key_id'), ''), \
     SECRET coalesce(current_setting('s3_secret_access_key'), '')";

fn s3_secret(bucket: &str, access: &S3Access) -> String {
    let mut options = format!(
        "TYPE s3{ENVIRONMENT_KEYS}, SESSION_TOKEN coalesce(current_setting('s3_session_token'), ''), \
         REGION {}",
        match &access.region {
            Some(region) => literal(region),
            None => "coalesce(current_setting('s3_region'), 'us-east-1')".to_owned(),
        }
    );
    if let Some(endpoint) = &access.endpoint {
        let (host, encrypted) = match endpoint.split_once("://") {
            Some((scheme, host)) => (host, scheme != "http"),
            None => (endpoint.as_str(), true),
        };
        let host = host.trim_end_matches('/');
        let style = if access.virtual_hosted { "vhost" } else { "path" };
        let written = write!(options, ", ENDPOINT {}, URL_STYLE '{style}', USE_SSL {encrypted}", literal(host));
        written.expect("writing to a string does not fail");
    }
    format!(
        "-- Credentials: taken from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN in the environment\n\
         -- that DuckDB was started in. For profiles and roles use PROVIDER credential_chain (extension aws) instead.\n\
         CREATE OR REPLACE SECRET siltstone ({options}, SCOPE {});\n",
        literal(&format!("s3://{bucket}"))
    )
}

fn empty_columns(schema: &Schema) -> String {
    let column =
        |name: &str, data_type: &DataType| format!("CAST(NULL AS {}) AS {}", type_name(data_type), identifier(name));
    schema.fields().iter().map(|field| column(field.name(), field.data_type())).collect::<Vec<_>>().join(", ")
}

/// DuckDB's name of the type that it reads the column as.
fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Int32 => "INTEGER".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Binary => "BLOB".to_owned(),
        DataType::Date32 => "DATE".to_owned(),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => "TIMESTAMP WITH TIME ZONE".to_owned(),
        DataType::Decimal128(precision, scale) => format!("DECIMAL({precision}, {scale})"),
        DataType::List(element) => format!("{}[]", type_name(element.data_type())),
        DataType::Struct(members) => {
            let member = |field: &Field| format!("{} {}", identifier(field.name()), type_name(field.data_type()));
            format!("STRUCT({})", members.iter().map(|field| member(field)).collect::<Vec<_>>().join(", "))
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(pair) if pair.len() == 2 => {
                format!("MAP({}, {})", type_name(pair[0].data_type()), type_name(pair[1].data_type()))
            }
            _ => "VARCHAR".to_owned(),
        },
        _ => "VARCHAR".to_owned(),
    }
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
