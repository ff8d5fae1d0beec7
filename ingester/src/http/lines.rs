//! Lines of a body that arrives in pieces.
//!
//! Owns: cutting, and the line that is not whole yet. Does not own: limits (`body`), what a line means (`record`).

use bytes::Bytes;

use crate::feed::without_mark;

/// Cuts one body at each line feed; blank lines are left out.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The piece that is being cut.
    piece: Bytes,
    /// The beginning of a line whose end is in none of the pieces so far.
    begun: Vec<u8>,
}

impl Lines {
    /// Adds the next piece, once the one before has no whole line any more.
    pub(super) fn add(&mut self, piece: Bytes) {
        debug_assert!(self.piece.is_empty(), "the piece before is cut");
        self.piece = piece;
    }

    /// The next whole line without its end, by LF or CRLF; `None` if it is not whole yet.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        while let Some(at) = self.piece.iter().position(|byte| *byte == b'\n') {
            let end = self.piece.split_to(at + 1).slice(..at);
            let line = if self.begun.is_empty() { end } else { self.joined(&end) };
            if let Some(line) = trimmed(line) {
                return Some(line);
            }
        }
        let rest = std::mem::take(&mut self.piece);
        self.begun.extend_from_slice(&rest);
        None
    }

    /// The last line, if the body ends without a line feed.
    pub(super) fn last(&mut self) -> Option<Bytes> {
        trimmed(std::mem::take(&mut self.begun).into())
    }

    /// Bytes of the line that is not whole yet.
    pub(super) fn begun_bytes(&self) -> usize {
        self.begun.len()
    }

    fn joined(&mut self, end: &[u8]) -> Bytes {
        let mut line = std::mem::take(&mut self.begun);
        line.extend_from_slice(end);
        line.into()
    }
}

/// The line without a byte order mark at its beginning and a carriage return at its end; `None` for a blank one.
fn trimmed(line: Bytes) -> Option<Bytes> {
    let line = line.slice_ref(without_mark(&line));
    let is_blank = line.trim_ascii().is_empty();
    let end = line.strip_suffix(b"\r").map_or(line.len(), <[u8]>::len);
    (!is_blank).then(|| line.slice(..end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str, piece: usize) -> Vec<String> {
        let mut lines = Lines::default();
        let mut all = Vec::new();
        for piece in text.as_bytes().chunks(piece) {
            lines.add(Bytes::copy_from_slice(piece));
            while let Some(line) = lines.next() {
                all.push(line);
            }
        }
        all.extend(lines.last());
        all.into_iter().map(|line| String::from_utf8(line.to_vec()).expect("text")).collect()
    }

    #[test]
    fn lines_are_the_same_wherever_the_body_is_divided() {
        let text = "\u{feff}a\n\nbb\r\n  \n\r\n ccc \nlast";
        for piece in 1..=text.len() {
            assert_eq!(cut(text, piece), ["a", "bb", " ccc ", "last"], "pieces of {piece}");
        }
        assert_eq!(cut("a\n", 1), ["a"]);
        assert!(cut("\n\n \n", 2).is_empty() && cut("", 1).is_empty());
    }

    #[test]
    fn the_bytes_of_an_unfinished_line_are_known() {
        let mut lines = Lines::default();
        lines.add(Bytes::from_static(b"ab\ncde"));
        assert_eq!(lines.next(), Some(Bytes::from_static(b"ab")));
        assert_eq!((lines.next(), lines.begun_bytes()), (None, 3));
    }
}
