//! Statements in a text, each ended by a semicolon.
//!
//! Owns: where a statement ends: not inside of quotes, comments or parts in dollar signs. Does not own: their meaning.

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Code,
    /// In quotes of this kind.
    Quoted(char),
    LineComment,
    /// So deep in comments.
    Comment(usize),
}

/// The statements of a text, without their semicolons; a part of blanks and comments alone is none.
pub(super) fn statements(text: &str) -> Vec<String> {
    let (mut statements, rest) = split(text);
    statements.push(rest);
    let of_code = statements.into_iter().filter(|statement| has_code(statement));
    of_code.map(|statement| statement.trim().to_owned()).collect()
}

/// The statements that end in a text, and the rest behind the last semicolon.
pub(super) fn split(text: &str) -> (Vec<String>, String) {
    let (mut ended, mut begin) = (Vec::new(), 0);
    scan(text, |at, c| {
        if c == ';' {
            ended.push(text[begin..at].to_owned());
            begin = at + 1;
        }
    });
    (ended, text[begin..].to_owned())
}

/// True when there is anything but blanks, comments and semicolons.
pub(super) fn has_code(text: &str) -> bool {
    let mut found = false;
    scan(text, |_, c| found |= !c.is_whitespace() && c != ';');
    found
}

/// True when the statement has the placeholder `$name`.
pub(super) fn has_placeholder(statement: &str, name: &str) -> bool {
    let is_of_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = false;
    scan(statement, |at, c| {
        let rest = statement[at..].strip_prefix('$').and_then(|rest| rest.strip_prefix(name));
        found |= c == '$' && rest.is_some_and(|rest| !rest.chars().next().is_some_and(is_of_word));
    });
    found
}

/// Calls `code` with each character outside of comments; of a quoted part, with both of its quotes alone.
fn scan(text: &str, mut code: impl FnMut(usize, char)) {
    let mut part = Part::Code;
    let mut characters = text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        let next = characters.peek().map(|(_, next)| *next);
        if let (Part::Code, Some(end)) = (part, dollar_quoted(&text[at..])) {
            // Its quotes are code, so that the part is not taken for nothing.
            code(at, c);
            while characters.next_if(|(inside, _)| *inside < at + end).is_some() {}
            continue;
        }
        part = match (part, c, next) {
            (Part::Code, '\'' | '"' | '`', _) => {
                code(at, c);
                Part::Quoted(c)
            }
            (Part::Code, '-', Some('-')) => Part::LineComment,
            (Part::Code, '/', Some('*')) => {
                characters.next();
                Part::Comment(1)
            }
            (Part::Code, ..) => {
                code(at, c);
                Part::Code
            }
            // A doubled quote ends a part and begins the next.
            (Part::Quoted(quote), ..) if c == quote => {
                code(at, c);
                Part::Code
            }
            (Part::LineComment, '\n', _) => Part::Code,
            (Part::Comment(depth), '*', Some('/')) => {
                characters.next();
                if depth == 1 { Part::Code } else { Part::Comment(depth - 1) }
            }
            (Part::Comment(depth), '/', Some('*')) => {
                characters.next();
                Part::Comment(depth + 1)
            }
            (same, ..) => same,
        };
    }
}

/// The length of the text in dollar quotes, `$$text$$` or `$tag$text$tag$`, with which `text` begins; all of it where it does not
/// end.
fn dollar_quoted(text: &str) -> Option<usize> {
    let tag = text.strip_prefix('$')?.find(|c: char| !c.is_ascii_alphabetic() && c != '_')? + 1;
    if !text[tag..].starts_with('$') {
        return None;
    }
    let quote = &text[..=tag];
    let inside = text[quote.len()..].find(quote);
    Some(inside.map_or(text.len(), |inside| inside + 2 * quote.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(split("SELECT 1;\nSELECT"), (vec!["SELECT 1".to_owned()], "\nSELECT".to_owned()));
        assert!(!has_code(" \n-- nothing") && has_code("\n'"));
    }

    #[test]
    fn a_placeholder_is_a_whole_word_outside_of_quotes() {
        assert!(has_placeholder("SELECT $a", "a") && has_placeholder("WHERE n=$1 ", "1"));
        for without in ["SELECT $ab", "SELECT '$a'", "SELECT a", "-- $a\n SELECT 1"] {
            assert!(!has_placeholder(without, "a"), "{without}");
        }
    }
}
