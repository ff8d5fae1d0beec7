//! JSON that is passed on as text, in `_extra` and in columns of type json: only what readers of JSON take.
//!
//! Owns: refusing half characters and deep nesting. Does not own: the grammar, which the parser has checked already; a member
//! that occurs twice, which is kept as it came.
//!
//! A parser may skip a value without looking into its escapes and however deep it is. DuckDB refuses every row of a query of
//! which one has an escape of half a character, and dies of 100,000 nested arrays.

/// Most arrays and objects around a value; the least that a common reader takes is 100.
const NESTING_MAX: usize = 100;

/// Checks `json`, a text of valid grammar.
///
/// # Errors
/// The reason why some reader would not take it.
pub(super) fn check(json: &[u8]) -> Result<(), String> {
    let (mut depth, mut place) = (0_usize, 0);
    while let Some(byte) = json.get(place) {
        place += 1;
        match byte {
            b'"' => place = end_of_string(json, place)?,
            b'{' | b'[' => {
                depth += 1;
                if depth > NESTING_MAX {
                    return Err(format!(
                        "JSON is nested deeper than {NESTING_MAX} levels, which not every reader takes"
                    ));
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// The place behind the string whose content begins at `place`.
fn end_of_string(json: &[u8], mut place: usize) -> Result<usize, String> {
    loop {
        match json.get(place) {
            Some(b'\\') => place = end_of_escape(json, place)?,
            Some(b'"') | None => return Ok(place + 1),
            Some(_) => place += 1,
        }
    }
}

/// The place behind the escape that begins at `place`; behind both of a pair.
fn end_of_escape(json: &[u8], place: usize) -> Result<usize, String> {
    let Some(unit) = code_unit(json, place) else { return Ok(place + 2) };
    let next = code_unit(json, place + 6);
    match (unit, next) {
        (0xD800..=0xDBFF, Some(0xDC00..=0xDFFF)) => Ok(place + 12),
        (0xD800..=0xDFFF, _) => Err(format!("the escape \\u{unit:04x} is half a character, without its other half")),
        _ => Ok(place + 6),
    }
}

/// The number of the escape `\uXXXX` at `place`; `None` where there is no such escape.
fn code_unit(json: &[u8], place: usize) -> Option<u16> {
    let digits = json.get(place..)?.strip_prefix(b"\\u")?.get(..4)?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_characters_are_refused_wherever_they_are() {
        for json in [
            r#""\ud83d""#,
            r#""\uDE00""#,
            r#""\ude00\ud83d""#,
            r#""\ud83d\ud83d\ude00""#,
            r#""\ud83d \ude00""#,
            r#""\ud83d\\ude00""#,
            r#"{"a":["x",{"\ud83d":1}]}"#,
        ] {
            let reason = check(json.as_bytes()).expect_err(json);
            assert!(reason.contains("is half a character"), "{reason}");
        }
        for json in [
            r#""\ud83d\ude00""#,
            r#""\uD83D\uDE00\ud83d\ude00""#,
            r#""\\ud83d""#,
            r#""\"\\\"\u0000\u00e9\ud7ff\ue000""#,
            r#"{"a\\":1e999,"b":["\u005C",{}]}"#,
            "null",
            "-1.5e3",
        ] {
            assert_eq!(check(json.as_bytes()), Ok(()), "{json}");
        }
    }

    #[test]
    fn levels_are_counted_outside_strings() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(check(nested(100).as_bytes()), Ok(()));
        assert!(check(nested(101).as_bytes()).expect_err("deep").contains("100 levels"));
        let flat = format!("[{}\"{}\"]", "[],{},".repeat(1_000), "[{".repeat(1_000));
        assert_eq!(check(flat.as_bytes()), Ok(()));
    }
}
