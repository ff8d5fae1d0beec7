//! Texts that a command reads whole: a statement, a schema.
//!
//! Owns: the limit to their size. Does not own: their meaning (each command), streams of messages (`ingester::feed`).

use std::io::Read;

use crate::output::UsageError;

/// Largest text that is read whole.
const BYTES_MAX: u64 = 16 << 20;

/// Reads everything from `reader`, which `name` names in errors.
///
/// # Errors
/// The error of the reader; a text that is longer than 16 MiB, or no UTF-8.
pub(crate) fn read_text(reader: impl Read, name: &str) -> Result<String, UsageError> {
    let mut text = String::new();
    let read = reader.take(BYTES_MAX + 1).read_to_string(&mut text);
    read.map_err(|error| UsageError::new(format!("{name}: {error}")))?;
    if text.len() as u64 > BYTES_MAX {
        return Err(UsageError::new(format!("{name}: longer than {} MiB", BYTES_MAX >> 20)));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_end_is_refused() {
        assert_eq!(read_text(&b"SELECT 1"[..], "it").expect("short"), "SELECT 1");
        let endless = read_text(std::io::repeat(b'x'), "--schema /dev/zero").expect_err("endless");
        assert_eq!(endless.to_string(), "--schema /dev/zero: longer than 16 MiB");
        assert!(read_text(&b"\xff"[..], "it").expect_err("not text").to_string().starts_with("it: "));
    }
}
