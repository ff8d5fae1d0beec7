//! DuckDB as an independent reader, of the kind that users run against the segments.
//!
//! Owns: running SQL in a child process, and S3 access for it. Does not own: the SQL.

use anyhow::{Context, Result, bail};

use crate::python;
use crate::s3::S3;

/// Loads the extensions that the first argument names into `connection`. They come from PyPI packages: nothing is downloaded.
pub(crate) const LOAD_EXTENSIONS: &str = r#"
import glob, importlib.util, os, sys
for name in filter(None, sys.argv[1].split(",")):
    package = importlib.util.find_spec("duckdb_extension_" + name)
    if package is None:
        sys.exit("the package of the DuckDB extension %s is not installed: run scripts/setup-tools" % name)
    [path] = glob.glob(os.path.join(os.path.dirname(package.origin), "extensions", "*", name + ".duckdb_extension"))
    connection.execute("load '%s'" % path.replace("'", "''"))
"#;

const CONNECT: &str = r#"
import duckdb
connection = duckdb.connect()
connection.execute("set timezone = 'UTC'")
# It would be drawn among the rows of a query that takes two seconds.
connection.execute("set enable_progress_bar = false")
"#;

/// Rows are printed as lines of tab-separated, escaped texts.
const ANSWER: &str = r#"
for statement in sys.argv[2:]:
    connection.execute(statement)
result = connection.execute(sys.stdin.read())
escapes = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
for row in result.fetchall():
    sys.stdout.write("\t".join("NULL" if value is None else str(value).translate(escapes) for value in row) + "\n")
"#;

/// Runs SQL in an empty in-memory database; returns the rows of the last statement as Python's `str` of each value
/// (`NULL` for null). The session's time zone is UTC.
pub async fn query(sql: &str) -> Result<Vec<Vec<String>>> {
    query_with(&[], &[], sql).await
}

/// Like [`query`], with access to the S3 store as `s3://bucket/key`.
pub async fn query_s3(s3: &S3, sql: &str) -> Result<Vec<Vec<String>>> {
    let secret = format!(
        "create secret (type s3, key_id {}, secret {}, region {}, endpoint {}, url_style 'path', use_ssl {})",
        quoted(&s3.access_key),
        quoted(&s3.secret_key),
        quoted(&s3.region),
        quoted(s3.authority()),
        s3.endpoint.starts_with("https://"),
    );
    query_with(&["httpfs"], &[&secret], sql).await
}

/// Like [`query`], after loading extensions (`httpfs`, `postgres_scanner`, `sqlite_scanner`) and running statements.
pub async fn query_with(extensions: &[&str], setup: &[&str], sql: &str) -> Result<Vec<Vec<String>>> {
    let loaded = extensions.join(",");
    let arguments: Vec<&str> = std::iter::once(loaded.as_str()).chain(setup.iter().copied()).collect();
    let program = [CONNECT, LOAD_EXTENSIONS, ANSWER].concat();
    let text =
        python::run_with_input(program.as_str(), &arguments, sql).await.with_context(|| format!("DuckDB: {sql}"))?;
    text.lines().map(|line| line.split('\t').map(unescaped).collect()).collect()
}

/// A SQL text literal.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn unescaped(field: &str) -> Result<String> {
    let mut text = String::with_capacity(field.len());
    let mut characters = field.chars();
    while let Some(character) = characters.next() {
        text.push(match character {
            '\\' => match characters.next() {
                Some('\\') => '\\',
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                other => bail!("unknown escape {other:?} in {field:?}"),
            },
            plain => plain,
        });
    }
    Ok(text)
}
