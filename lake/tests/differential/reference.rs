//! DuckDB's answers.
//!
//! Owns: asking, and reading the answer's values. Does not own: the process (`support::duckdb_session`), the SQL.

use serde_json::Value as Json;
use support::duckdb_session::DuckDbSession;

use crate::value::{Number, Value};
use crate::verdict::Answer;

/// DuckDB's answer to one statement.
pub(crate) fn ask(session: &mut DuckDbSession, sql: &str) -> Answer {
    let line = Json::String(sql.to_owned()).to_string();
    let answer = session.ask(&line).expect("DuckDB answers");
    let answer: Json = serde_json::from_str(&answer).expect("a line of JSON");
    if let Some(error) = answer["error"].as_str() {
        return Err(error.to_owned());
    }
    let rows = answer["rows"].as_array().expect("rows or an error");
    Ok(rows.iter().map(|row| row.as_array().expect("a row").iter().map(value).collect()).collect())
}

fn value(json: &Json) -> Value {
    let (kind, content) = match json {
        Json::Null => return Value::Null,
        Json::Bool(value) => return Value::Bool(*value),
        pair => (pair[0].as_str().expect("a kind"), &pair[1]),
    };
    let text = || content.as_str().expect("a text").to_owned();
    let number = || content.as_i64().expect("an integer");
    match kind {
        "i" | "n" => Value::Number(Number::parse(&text())),
        "f" => Value::Float(f64::from_bits(u64::from_str_radix(&text(), 16).expect("64 bits"))),
        "s" => Value::Text(text()),
        "b" => Value::Bytes(bytes(&text())),
        "d" => Value::Date(number()),
        "t" => Value::Time(number()),
        "l" => Value::List(content.as_array().expect("a list").iter().map(value).collect()),
        "r" => {
            let member = |pair: &Json| (pair[0].as_str().expect("a name").to_owned(), value(&pair[1]));
            Value::Struct(content.as_array().expect("members").iter().map(member).collect())
        }
        _ => Value::Other(text()),
    }
}

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digits = |place: usize| u8::from_str_radix(&hexadecimal[place..place + 2], 16).expect("hexadecimal digits");
    (0..hexadecimal.len()).step_by(2).map(digits).collect()
}
