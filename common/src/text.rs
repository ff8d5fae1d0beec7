//! Text of others on its way to a terminal or a log.
//!
//! Owns: which characters are never written as they are, and their escaped form. Does not own: where text is written.

use std::borrow::Cow;
use std::fmt::Write;

/// The text with every character escaped that can move the cursor, colour the terminal, begin a line or turn the
/// direction of reading: `\n`, `\u{1b}`, `\u{202e}`. Printable text of any language is unchanged.
pub fn escaped(text: &str) -> Cow<'_, str> {
    escaped_except(text, &[], |out, unsafe_char| write!(out, "{}", unsafe_char.escape_default()))
}

/// The same for a text of several lines: line feeds and tabs stay.
pub fn escaped_lines(text: &str) -> Cow<'_, str> {
    escaped_except(text, &['\n', '\t'], |out, unsafe_char| write!(out, "{}", unsafe_char.escape_default()))
}

/// The same for JSON, whose strings stay equal: `\u009b`.
pub fn escaped_json(json: &str) -> Cow<'_, str> {
    escaped_except(json, &['\n', '\t', '\r'], |out, unsafe_char| {
        let mut units = [0; 2];
        unsafe_char.encode_utf16(&mut units).iter().try_for_each(|unit| write!(out, "\\u{unit:04x}"))
    })
}

/// True for a character that does something to a terminal or a log other than being shown.
pub fn is_unsafe(character: char) -> bool {
    let is_format = matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    );
    character.is_control() || is_format
}

fn escaped_except<'a>(
    text: &'a str,
    kept: &[char],
    escape: impl Fn(&mut String, char) -> std::fmt::Result,
) -> Cow<'a, str> {
    let is_escaped = |character: char| is_unsafe(character) && !kept.contains(&character);
    if !text.contains(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_escaped(character) {
            escape(&mut out, character).expect("writing to a string does not fail");
        } else {
            out.push(character);
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_reaches_a_terminal_as_a_command() {
        let text = "a\x1b[31mred\x07\rover\u{202e}txt\u{9b}2J\nnext\tcell\u{7f}";
        assert_eq!(escaped(text), r"a\u{1b}[31mred\u{7}\rover\u{202e}txt\u{9b}2J\nnext\tcell\u{7f}");
        assert_eq!(escaped_lines(text), "a\\u{1b}[31mred\\u{7}\\rover\\u{202e}txt\\u{9b}2J\nnext\tcell\\u{7f}");
    }

    #[test]
    fn printable_text_is_unchanged() {
        for text in ["plain", "Größe 数 ёлка", "👩‍👩‍👧 עברית", "a\"b'c\\d", ""] {
            assert_eq!((escaped(text), escaped_lines(text)), (text.into(), text.into()));
        }
    }

    proptest! {
        #[test]
        fn escaped_json_reads_back_as_it_was(text in any::<String>()) {
            let json = serde_json::to_string(&text).expect("JSON");
            let safe = escaped_json(&json);
            prop_assert!(!safe.chars().any(is_unsafe));
            prop_assert_eq!(serde_json::from_str::<String>(&safe).expect("JSON"), text);
        }

        #[test]
        fn an_escaped_text_holds_nothing_unsafe(text in any::<String>()) {
            prop_assert!(!escaped(&text).chars().any(is_unsafe));
            prop_assert!(!escaped_lines(&text).chars().any(|c| is_unsafe(c) && c != '\n' && c != '\t'));
        }
    }
}
