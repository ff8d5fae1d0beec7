//! A topic with a column of every type, for readers of tables.
//!
//! Owns: its columns, and its records. Does not own: how a reader shows them.

const COLUMNS: [&str; 11] = [
    "id:int64!",
    "n:int32",
    "d:float64",
    "amount:decimal(12,2)",
    "ok:bool",
    "raw:binary",
    "day:date",
    "at:timestamp",
    "tags:list(string)",
    "place:struct(lat:float64, city:string)",
    "doc:json",
];

/// Two rows, the second with values in no column but one, and a record for quarantine.
pub(crate) const LINES: [&str; 3] = [
    r#"{"id":1,"n":-5,"d":0.5,"amount":12.5,"ok":true,"raw":"AAE=","day":"2026-01-31","at":"2026-01-31T12:00:00.25Z","tags":["a",null],"place":{"lat":1.5,"city":"Ü"},"doc":{"k":[1]},"more":7}"#,
    r#"{"id":2}"#,
    r#"{"id":"three"}"#,
];

/// The columns as arguments of `topic create`.
pub(crate) fn columns() -> Vec<&'static str> {
    COLUMNS.into_iter().flat_map(|column| ["--column", column]).collect()
}
