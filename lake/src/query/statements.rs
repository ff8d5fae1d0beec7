//! Statements in a text, each ended by a semicolon.
//!
//! Owns: where a statement ends, as the engine reads the text: not inside of quotes, comments or parts in dollar signs; and the
//! placeholders in it; how large a statement may be. Does not own: the meaning of statements.

use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, Tokenizer};

use super::QueryError;

/// Most words, numbers and signs of a statement. Each may make its tree one level deeper, and a tree is dropped on the stack,
/// level by level.
pub const TOKENS_MAX: usize = 100_000;

/// Refuses a statement that is too large to be planned.
///
/// # Errors
/// [`QueryError::TooLarge`].
pub(super) fn check_size(text: &str) -> Result<(), QueryError> {
    // A token has a byte at least.
    if text.len() <= TOKENS_MAX {
        return Ok(());
    }
    let mut tokens = Vec::new();
    // The parser refuses a token without an end, with all that follows.
    Tokenizer::new(&GenericDialect {}, text).tokenize_with_location_into_buf(&mut tokens).ok();
    let count = tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).count();
    if count > TOKENS_MAX { Err(QueryError::TooLarge(count)) } else { Ok(()) }
}

/// Refuses a number that a name follows without a space: the parser would take `1_000` for 1 under the name `_000`, and `0x10` for bytes.
///
/// # Errors
/// Names what was written.
pub(super) fn check_numbers(text: &str) -> Result<(), QueryError> {
    let (tokens, _) = tokens(text);
    for (place, (begin, number)) in tokens.iter().enumerate() {
        let following = tokens.get(place + 1);
        let written = following.map_or(&text[*begin..], |(next, _)| &text[*begin..*next]);
        let is_hex = match number {
            Token::Number(..) => false,
            Token::HexStringLiteral(_) if written.starts_with('0') => true,
            _ => continue,
        };
        let name = match following {
            Some((_, Token::Word(word))) if word.quote_style.is_none() => word.value.as_str(),
            _ => "",
        };
        if is_hex || !name.is_empty() {
            let advice = "write numbers in decimal digits, as 1000, bytes as x'10', and a space before a name";
            return Err(DataFusionError::Plan(format!("{written}{name} is no number; {advice}")).into());
        }
    }
    Ok(())
}

/// The statements of a text, without their semicolons; a part of blanks and comments alone is none.
pub fn statements(text: &str) -> Vec<&str> {
    let (mut statements, rest) = split_statements(text);
    statements.push(rest);
    statements.into_iter().filter(|statement| has_code(statement)).map(str::trim).collect()
}

/// The parts of a text that end with a semicolon, and the rest behind the last one. A quote or comment without an end is of the
/// rest.
pub fn split_statements(text: &str) -> (Vec<&str>, &str) {
    let (mut ended, mut begin) = (Vec::new(), 0);
    for (place, token) in tokens(text).0 {
        if token == Token::SemiColon {
            ended.push(&text[begin..place]);
            begin = place + 1;
        }
    }
    (ended, &text[begin..])
}

/// True when there is anything but blanks, comments and semicolons.
pub fn has_code(text: &str) -> bool {
    let (tokens, rest) = tokens(text);
    let is_code = |token: &Token| !matches!(token, Token::Whitespace(_) | Token::SemiColon);
    tokens.iter().any(|(_, token)| is_code(token)) || !(rest.is_empty() || rest.starts_with("/*"))
}

/// True when the statement has the placeholder `$name`.
pub fn has_placeholder(statement: &str, name: &str) -> bool {
    let is_it = |token: &Token| matches!(token, Token::Placeholder(text) if text.strip_prefix('$') == Some(name));
    tokens(statement).0.iter().any(|(_, token)| is_it(token))
}

/// The tokens with the bytes at which they begin, up to one that has no end, and the text from there on.
fn tokens(text: &str) -> (Vec<(usize, Token)>, &str) {
    let mut tokens = Vec::new();
    let failed = Tokenizer::new(&GenericDialect {}, text).tokenize_with_location_into_buf(&mut tokens);
    // The tokenizer counts lines, and characters in them.
    let mut characters = text.char_indices();
    let (mut at, mut byte) = (Location::new(1, 1), 0);
    let mut byte_of = |place: Location| {
        while at < place {
            let Some((index, character)) = characters.next() else { break };
            byte = index + character.len_utf8();
            at = match character {
                '\n' => Location::new(at.line + 1, 1),
                _ => Location::new(at.line, at.column + 1),
            };
        }
        byte
    };
    let end = tokens.last().map_or(Location::new(1, 1), |token| token.span.end);
    let tokens = tokens.into_iter().map(|token| (byte_of(token.span.start), token.token)).collect();
    let rest = if failed.is_err() { &text[byte_of(end)..] } else { "" };
    (tokens, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_has_so_many_tokens_and_no_more() {
        let sum = |signs: usize| format!("SELECT 1{}", "+1".repeat(signs));
        check_size(&sum(TOKENS_MAX / 2 - 1)).expect("allowed");
        let refused = check_size(&sum(500_000)).expect_err("too many").to_string();
        assert!(refused.contains("has 1000002 words, numbers and signs; allowed are 100000"), "{refused}");
        check_size(&format!("SELECT '{}'{}", "x+".repeat(500_000), " ".repeat(200_000)))
            .expect("one text is one token");
    }

    #[test]
    fn a_number_ends_before_a_name() {
        for wrong in ["SELECT 1_000", "SELECT 0b11", "SELECT 0o17, 1", "SELECT 12x", "k = 1.5_0", "0xZZ", "SELECT 0x10"]
        {
            let refused = check_numbers(wrong).expect_err(wrong).to_string();
            assert!(refused.contains("is no number; write"), "{refused}");
        }
        for right in
            ["SELECT 1 a, 1e5 b, 1.5", "x'10', X'1f'", "SELECT '1_000', \"1_000\", t1.a_1, $1", "1 -- 1_000", "1 /*"]
        {
            check_numbers(right).expect(right);
        }
    }

    #[test]
    fn a_semicolon_ends_a_statement_only_where_it_is_code() {
        for (text, expected) in [
            ("SELECT 1; SELECT 2", vec!["SELECT 1", "SELECT 2"]),
            ("SELECT ';';", vec!["SELECT ';'"]),
            ("SELECT 'it''s;' ; ;; ", vec!["SELECT 'it''s;'"]),
            ("SELECT \"a;b\" FROM t;\n", vec!["SELECT \"a;b\" FROM t"]),
            ("-- one; two\nSELECT 1;", vec!["-- one; two\nSELECT 1"]),
            ("SELECT /* ; /* ; */ ; */ 1; -- end", vec!["SELECT /* ; /* ; */ ; */ 1"]),
            ("SELECT 'not ended; SELECT 2", vec!["SELECT 'not ended; SELECT 2"]),
            ("SELECT 'ä;b', 'ö';SELECT\n'ü;'\n;SELECT 3", vec!["SELECT 'ä;b', 'ö'", "SELECT\n'ü;'", "SELECT 3"]),
            (
                "SELECT $$a;b$$; SELECT $x$;$y$;$x$, $1; SELECT $a",
                vec!["SELECT $$a;b$$", "SELECT $x$;$y$;$x$, $1", "SELECT $a"],
            ),
            ("  -- nothing\n/* at all */ ;", vec![]),
        ] {
            assert_eq!(statements(text), expected, "{text}");
        }
    }

    #[test]
    fn the_rest_behind_the_last_semicolon_is_kept() {
        assert_eq!(split_statements("SELECT 1;\nSELECT"), (vec!["SELECT 1"], "\nSELECT"));
        assert_eq!(split_statements("SELECT 1;\nSELECT 'a;"), (vec!["SELECT 1"], "\nSELECT 'a;"));
        for text in [" \n-- nothing", "/* no end", " ; /* one */ /* no end ;", ""] {
            assert!(!has_code(text), "{text}");
        }
        for text in ["\n'", "$$", "\"", "/* one */ 'no end", "1"] {
            assert!(has_code(text), "{text}");
        }
    }

    #[test]
    fn a_placeholder_is_a_whole_word_outside_of_quotes() {
        assert!(has_placeholder("SELECT $a", "a") && has_placeholder("WHERE n=$1 ", "1"));
        for without in ["SELECT $ab", "SELECT '$a'", "SELECT a", "-- $a\n SELECT 1"] {
            assert!(!has_placeholder(without, "a"), "{without}");
        }
    }
}
