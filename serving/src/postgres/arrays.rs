//! Arrays as text, such as `{1,NULL,"a b"}`.
//!
//! Owns: the texts of their elements. Does not own: the values that those stand for (`parameters`), writing arrays (pgwire).

/// The texts of an array's elements, `None` for null; `None` for what is no array of one dimension.
pub(super) fn elements(text: &str) -> Option<Vec<Option<String>>> {
    let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut elements = Vec::new();
    if rest.trim().is_empty() {
        return Some(elements);
    }
    loop {
        let (element, behind) = element(rest.trim_start())?;
        elements.push(element);
        match behind.trim_start() {
            "" => return Some(elements),
            more => rest = more.strip_prefix(',')?,
        }
    }
}

/// The first element, and the text behind it.
fn element(text: &str) -> Option<(Option<String>, &str)> {
    let quoted = text.strip_prefix('"');
    let text = quoted.unwrap_or(text);
    let mut value = String::new();
    let (mut is_escaped, mut end) = (false, text.len());
    let mut characters = text.char_indices();
    while let Some((place, character)) = characters.next() {
        match (character, quoted) {
            ('\\', _) => {
                value.push(characters.next()?.1);
                is_escaped = true;
            }
            ('"', Some(_)) => return Some((Some(value), &text[place + 1..])),
            ('"' | '{' | '}', None) => return None,
            (',', None) => {
                end = place;
                break;
            }
            (other, _) => value.push(other),
        }
    }
    let value = value.trim_end();
    if quoted.is_some() || value.is_empty() {
        return None;
    }
    let is_null = !is_escaped && value.eq_ignore_ascii_case("null");
    Some(((!is_null).then(|| value.to_owned()), &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_those_of_postgresql() {
        for (text, expected) in [
            ("{}", vec![]),
            (" { } ", vec![]),
            ("{1,-2, 3 }", vec![Some("1"), Some("-2"), Some("3")]),
            (r#"{NULL,null,"NULL",""}"#, vec![None, None, Some("NULL"), Some("")]),
            (r#"{a b,"a,b","{","\"\\",\NULL,ä}"#, [r"a b", "a,b", "{", r#""\"#, "NULL", "ä"].map(Some).to_vec()),
        ] {
            let expected: Vec<Option<String>> = expected.into_iter().map(|text| text.map(str::to_owned)).collect();
            assert_eq!(elements(text), Some(expected), "{text}");
        }
        for text in
            ["", "1", "{", "{1", "{1,}", "{,1}", "{{1}}", r#"{"a}"#, r#"{"a"b}"#, r#"{a"b"}"#, r"{a\}", "[1:1]={1}"]
        {
            assert_eq!(elements(text), None, "{text}");
        }
    }
}
