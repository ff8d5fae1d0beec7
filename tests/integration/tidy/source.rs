//! Rust files as text: their lines, their header, their functions.
//!
//! Owns: a scan for strings, comments and braces, which is enough to measure code that rustfmt has formatted.
//! Does not own: limits.

use std::path::{Path, PathBuf};

/// Folders with code of the workspace.
const FOLDERS: [&str; 12] = [
    "catalog",
    "common",
    "examples",
    "fuzz",
    "ingester",
    "lake",
    "nats",
    "open_tables",
    "service",
    "src",
    "tests",
    "writer",
];

/// A Rust file.
pub(super) struct Source {
    /// Its path from the root of the workspace.
    pub(super) name: String,
    /// Its whole text.
    pub(super) text: String,
}

/// A function with a body.
pub(super) struct Function {
    pub(super) name: String,
    /// The line of `fn`, from 1 on.
    pub(super) line: usize,
    /// Lines from there to the closing brace.
    pub(super) lines: usize,
}

/// Every Rust file of the workspace.
pub(super) fn all_sources(root: &Path) -> impl Iterator<Item = Source> {
    let mut files = Vec::new();
    FOLDERS.iter().for_each(|folder| collect(&root.join(folder), &mut files));
    files.sort();
    let root = root.to_owned();
    files.into_iter().map(move |file| {
        let name = file.strip_prefix(&root).expect("below the root").display().to_string();
        Source::new(name, std::fs::read_to_string(&file).expect("text"))
    })
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

impl Source {
    pub(super) fn new(name: String, text: String) -> Self {
        Self { name, text }
    }

    /// True if it holds tests, benches or their helpers, and no production code.
    pub(super) fn is_test(&self) -> bool {
        let parts = self.name.split('/').collect::<Vec<_>>();
        let is_test_folder = parts.iter().any(|part| matches!(*part, "tests" | "benches"));
        is_test_folder || parts.last().is_some_and(|file| *file == "tests.rs" || file.starts_with("test_"))
    }

    pub(super) fn line_count(&self) -> usize {
        self.text.lines().count()
    }

    /// The text of its leading `//!` lines.
    pub(super) fn header(&self) -> String {
        let lines = self.text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim);
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Every function with a body, outer ones before inner ones.
    pub(super) fn functions(&self) -> Vec<Function> {
        let code = masked(&self.text);
        let mut functions = Vec::new();
        let mut from = 0;
        while let Some(found) = code[from..].find("fn ") {
            let start = from + found;
            from = start + 3;
            let is_word = start == 0 || !is_name(code.as_bytes()[start - 1]);
            let name: String = code[from..].bytes().take_while(|byte| is_name(*byte)).map(char::from).collect();
            if !is_word || name.is_empty() {
                continue;
            }
            let Some(end) = end_of_body(&code, start) else { continue };
            let line_of = |at: usize| code[..at].matches('\n').count() + 1;
            functions.push(Function { name, line: line_of(start), lines: line_of(end) - line_of(start) + 1 });
        }
        functions
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The end of the body that follows `start`; `None` for a declaration without one.
fn end_of_body(code: &str, start: usize) -> Option<usize> {
    let (mut depth, mut brackets) = (0_usize, 0_usize);
    for (offset, byte) in code[start..].bytes().enumerate() {
        match byte {
            b'(' | b'[' => brackets += 1,
            b')' | b']' => brackets = brackets.saturating_sub(1),
            b';' if depth == 0 && brackets == 0 => return None,
            b'{' => depth += 1,
            b'}' if depth <= 1 => return (depth == 1).then_some(start + offset),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The same text with a blank for every byte of a string, a character or a comment; line numbers are unchanged.
fn masked(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut masked = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = end_of_literal(bytes, at);
        if end == at {
            masked.push(if bytes[at].is_ascii() { bytes[at] } else { b' ' });
            at += 1;
        } else {
            let end = end.min(bytes.len());
            masked.extend(bytes[at..end].iter().map(|byte| if *byte == b'\n' { b'\n' } else { b' ' }));
            at = end;
        }
    }
    String::from_utf8(masked).expect("only ASCII is left")
}

/// The end of the comment, string or character that begins at `at`; `at` itself if none begins there.
fn end_of_literal(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    if rest.starts_with(b"//") {
        return at + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    }
    if rest.starts_with(b"/*") {
        return at + rest.windows(2).position(|pair| pair == b"*/").map_or(rest.len(), |end| end + 2);
    }
    if rest[0] == b'r' && (at == 0 || !is_name(bytes[at - 1])) {
        let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
        if rest.get(1 + hashes) == Some(&b'"') {
            let close = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
            let body = 2 + hashes;
            let end = rest[body..].windows(close.len()).position(|part| part == close);
            return at + end.map_or(rest.len(), |end| body + end + close.len());
        }
    }
    match rest {
        [b'"', ..] => at + quoted(rest, b'"'),
        // A lifetime has no closing quote two places on.
        [b'\'', b'\\', ..] | [b'\'', _, b'\'', ..] => at + quoted(rest, b'\''),
        _ => at,
    }
}

/// The length of a quoted text with its quotes.
fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}
