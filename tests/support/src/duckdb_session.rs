//! One DuckDB that stays open and is asked one statement after the other.
//!
//! Owns: the child process and its lines: one JSON line in, one JSON line out, values with their types.
//! Does not own: single statements (`duckdb`), the SQL, reading the answers.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout};

use anyhow::{Context, Result, bail};

use crate::duckdb::LOAD_EXTENSIONS;
use crate::process::Process;
use crate::python;

const CONNECT: &str = r#"
import duckdb
connection = duckdb.connect(config={"threads": 1})
"#;

/// Answers a line `"SQL"` with `{"rows": [[value, …], …]}` or `{"error": "text"}`. A value is `null`, `true`, `false`, or
/// a pair of its kind and its content:
///
/// | kind | content |
/// |---|---|
/// | `i` | integer, as text |
/// | `n` | decimal, as text without exponent |
/// | `f` | double, its 64 bits in hexadecimal digits |
/// | `s` | text |
/// | `b` | bytes in hexadecimal digits |
/// | `d` | date, days since 1970-01-01 |
/// | `t` | timestamp, microseconds since 1970-01-01 UTC |
/// | `l` | list of values |
/// | `r` | struct, list of pairs of name and value |
/// | `o` | anything else, as Python's text |
///
/// A time with a zone would need a further Python package, so it is cast to one without: the session's zone is UTC.
const ANSWER: &str = r#"
import datetime, decimal, json, struct, sys, threading
connection.execute("set timezone = 'UTC'")
connection.execute("set enable_progress_bar = false")
EPOCH_DAY, EPOCH = datetime.date(1970, 1, 1), datetime.datetime(1970, 1, 1)
MICROSECOND = datetime.timedelta(microseconds=1)
ZONED, PLAIN = "TIMESTAMP WITH TIME ZONE", "TIMESTAMP"

def encoded(value):
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return ["i", str(value)]
    if isinstance(value, float):
        return ["f", struct.pack(">d", value).hex()]
    if isinstance(value, decimal.Decimal):
        return ["n", format(value, "f")]
    if isinstance(value, str):
        return ["s", value]
    if isinstance(value, (bytes, bytearray)):
        return ["b", bytes(value).hex()]
    if isinstance(value, datetime.datetime):
        return ["t", (value - EPOCH) // MICROSECOND]
    if isinstance(value, datetime.date):
        return ["d", (value - EPOCH_DAY).days]
    if isinstance(value, (list, tuple)):
        return ["l", [encoded(item) for item in value]]
    if isinstance(value, dict):
        return ["r", [[name, encoded(item)] for name, item in value.items()]]
    return ["o", repr(value)]

def rows(sql):
    result = connection.query(sql)
    if result is None:
        return []
    types = [str(column) for column in result.types]
    if any(ZONED in column for column in types):
        names = ['"%s"' % name.replace('"', '""') for name in result.columns]
        casts = ["CAST(%s AS %s)" % (name, column.replace(ZONED, PLAIN)) for name, column in zip(names, types)]
        result = result.project(", ".join(casts))
    return [[encoded(value) for value in row] for row in result.fetchall()]

for line in sys.stdin:
    alarm = threading.Timer(60, connection.interrupt)
    alarm.start()
    try:
        answer = {"rows": rows(json.loads(line))}
    except duckdb.Error as error:
        answer = {"error": str(error)}
    finally:
        alarm.cancel()
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
"#;

/// An in-memory database in a child process; its time zone is UTC.
#[derive(Debug)]
pub struct DuckDbSession {
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// Ends with this value.
    _process: Process,
}

impl DuckDbSession {
    /// Starts the process.
    pub fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// Starts the process with these extensions (`ducklake`, `sqlite_scanner`), which come from PyPI packages.
    pub fn start_with(extensions: &[&str]) -> Result<Self> {
        let program = [CONNECT, LOAD_EXTENSIONS, ANSWER].concat();
        let (process, questions, answers) = python::talk(program.as_str(), &[&extensions.join(",")])?;
        Ok(Self { questions, answers: BufReader::new(answers), _process: process })
    }

    /// Sends one line of JSON and waits for the line that answers it. Blocks; a statement is interrupted after a minute.
    pub fn ask(&mut self, line: &str) -> Result<String> {
        assert!(!line.contains('\n'), "one line");
        writeln!(self.questions, "{line}").and_then(|()| self.questions.flush()).context("ask DuckDB")?;
        let mut answer = String::new();
        if self.answers.read_line(&mut answer).context("read DuckDB's answer")? == 0 {
            bail!("DuckDB's process ended at {line}");
        }
        Ok(answer)
    }
}
