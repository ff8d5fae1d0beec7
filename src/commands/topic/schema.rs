//! The argument `--schema`: columns or options as JSON, in place or in a file.
//!
//! Owns: reading it. Does not own: which columns and options are valid (`common::topic`).

use std::fs::File;

use common::topic::{ColumnSpec, Format, TopicOptions};

use crate::input::read_text;
use crate::output::UsageError;

/// The options that `schema` holds: an array of columns, or an object of all options.
pub(super) fn read_options(schema: &str) -> Result<TopicOptions, UsageError> {
    let (text, origin) = text_of(schema)?;
    let parsed = if is_array(&text) {
        serde_json::from_str(&text).map(|columns| TopicOptions {
            format: Format::Json,
            columns,
            ..TopicOptions::default()
        })
    } else {
        serde_json::from_str::<TopicOptions>(&text)
    };
    // Ids belong to the topic that they were described of.
    parsed
        .map(TopicOptions::without_ids)
        .map_err(|error| UsageError::new(format!("{origin}: {error}; expected is an array of columns or an object")))
}

/// The columns that `schema` holds.
pub(super) fn read_columns(schema: &str) -> Result<Vec<ColumnSpec>, UsageError> {
    let (text, origin) = text_of(schema)?;
    if !is_array(&text) {
        let expected = r#"[{"name":"a","type":"int64"}]"#;
        return Err(UsageError::new(format!("{origin}: expected is a JSON array of columns, such as {expected}")));
    }
    Ok(read_options(schema)?.columns)
}

/// The JSON, and its name in errors.
fn text_of(schema: &str) -> Result<(String, String), UsageError> {
    if schema.trim_start().starts_with(['[', '{']) {
        return Ok((schema.to_owned(), "--schema".to_owned()));
    }
    let name = format!("--schema {schema}");
    let file = File::open(schema).map_err(|error| UsageError::new(format!("{name}: {error}")))?;
    Ok((read_text(file, &name)?, name))
}

fn is_array(text: &str) -> bool {
    text.trim_start().starts_with('[')
}
