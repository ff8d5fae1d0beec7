//! Words of a shell's command line, for commands that are shown to be repeated.
//!
//! Owns: quoting. Does not own: the commands.

/// The text as one word of a shell's command line.
pub(crate) fn word(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:@%=,".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_a_shell() {
        for (text, quoted) in [
            ("./data/demo", "./data/demo"),
            ("id:string=_id", "id:string=_id"),
            ("a b", "'a b'"),
            ("id:int64!", "'id:int64!'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
        ] {
            assert_eq!(word(text), quoted);
        }
    }
}
