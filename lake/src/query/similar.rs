//! `SIMILAR TO` with the patterns of standard SQL.
//!
//! Owns: the regular expression that means the same as such a pattern, of the whole text: `%`, `_`, `|`, `*`, `+`, `?`, `{m,n}`,
//! `( )`, `[ ]`, and the escape, which is a backslash unless ESCAPE says another. What is no pattern is refused.
//! Does not own: matching (Arrow).
//!
//! Why it is needed: DataFusion 54.1 takes the pattern for a regular expression that may match a part of the text.

use std::iter::Peekable;
use std::str::Chars;
use std::sync::Arc;

use datafusion::arrow::array::{AsArray, BooleanArray, StringArray};
use datafusion::arrow::compute::{regexp_is_match, regexp_is_match_scalar};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{ScalarValue, exec_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::{Like, ScalarFunction};
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;

use super::rewriting::rewrite;

/// The escape of patterns without ESCAPE, as of LIKE.
const ESCAPE: char = '\\';

/// The rule; it belongs before the coercion of types.
#[derive(Debug)]
pub(super) struct StandardPatterns;

impl AnalyzerRule for StandardPatterns {
    fn name(&self) -> &'static str {
        "standard_patterns"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        rewrite(plan, &|expr| match expr {
            Expr::SimilarTo(like) => Ok(Transformed::yes(matched(like))),
            other => Ok(Transformed::no(other)),
        })
    }
}

fn matched(like: Like) -> Expr {
    let function = SimilarTo {
        escape: like.escape_char.unwrap_or(ESCAPE),
        signature: Signature::uniform(2, vec![DataType::Utf8], Volatility::Immutable),
    };
    let function = Arc::new(ScalarUDF::new_from_impl(function));
    let matched = Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![*like.expr, *like.pattern]));
    if like.negated { Expr::Not(Box::new(matched)) } else { matched }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SimilarTo {
    escape: char,
    signature: Signature,
}

impl ScalarUDFImpl for SimilarTo {
    fn name(&self) -> &'static str {
        "similar_to"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [text, pattern] = args.args.as_slice() else {
            return Err(DataFusionError::Internal("SIMILAR TO has two operands".to_owned()));
        };
        let is_constant = matches!((text, pattern), (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_)));
        let rows = if is_constant { 1 } else { args.number_rows };
        let texts = text.to_array(rows)?;
        let texts = texts.as_string::<i32>();
        let matched = match pattern {
            ColumnarValue::Scalar(pattern) => match pattern.try_as_str().flatten() {
                Some(pattern) => regexp_is_match_scalar(texts, &regex(pattern, self.escape)?, None)?,
                None => BooleanArray::new_null(rows),
            },
            ColumnarValue::Array(patterns) => {
                let patterns = patterns.as_string::<i32>().iter();
                let regexes: StringArray = patterns
                    .map(|pattern| pattern.map(|p| regex(p, self.escape)).transpose())
                    .collect::<Result<_>>()?;
                regexp_is_match(texts, &regexes, None::<&StringArray>)?
            }
        };
        match is_constant {
            true => ScalarValue::try_from_array(&matched, 0).map(ColumnarValue::Scalar),
            false => Ok(ColumnarValue::Array(Arc::new(matched))),
        }
    }
}

/// The regular expression of a pattern.
///
/// # Errors
/// Says what is wrong with the pattern.
fn regex(pattern: &str, escape: char) -> Result<String> {
    let mut characters = pattern.chars().peekable();
    let mut regex = "^(?s:".to_owned();
    let (mut groups, mut may_repeat) = (0_usize, false);
    while let Some(character) = characters.next() {
        match character {
            _ if character == escape => literal(&mut regex, escaped(&mut characters, pattern)?),
            '%' => regex.push_str("(?:.*)"),
            '_' => regex.push('.'),
            '*' | '+' | '?' | '{' if !may_repeat => {
                return exec_err!("SIMILAR TO '{pattern}': {character} follows nothing that it could repeat");
            }
            '*' | '+' | '?' => regex.push(character),
            '{' => repeat(&mut regex, &mut characters, pattern)?,
            '[' => set(&mut regex, &mut characters, (pattern, escape))?,
            '(' => {
                groups += 1;
                regex.push_str("(?:");
            }
            ')' if groups == 0 => return exec_err!("SIMILAR TO '{pattern}': ) closes nothing"),
            ')' => {
                groups -= 1;
                regex.push(')');
            }
            '|' => regex.push('|'),
            other => literal(&mut regex, other),
        }
        let is_escaped = character == escape;
        may_repeat = is_escaped || !matches!(character, '*' | '+' | '?' | '{' | '(' | '|');
    }
    if groups > 0 {
        return exec_err!("SIMILAR TO '{pattern}': a ( has no )");
    }
    regex.push_str(")$");
    Ok(regex)
}

fn escaped(characters: &mut Peekable<Chars<'_>>, pattern: &str) -> Result<char> {
    characters.next().map_or_else(|| exec_err!("SIMILAR TO '{pattern}': nothing follows the escape"), Ok)
}

/// The counts behind a `{`.
fn repeat(regex: &mut String, characters: &mut Peekable<Chars<'_>>, pattern: &str) -> Result<()> {
    let mut counts = String::new();
    while let Some(character) = characters.next_if(|character| *character != '}') {
        counts.push(character);
    }
    let (least, most) = counts.split_once(',').unwrap_or((&counts, "0"));
    let is_count = |text: &str| !text.is_empty() && text.chars().all(|digit| digit.is_ascii_digit());
    if characters.next().is_none() || !is_count(least) || !(most.is_empty() || is_count(most)) {
        return exec_err!("SIMILAR TO '{pattern}': {{{counts}}} is not {{m}}, {{m,}} or {{m,n}}");
    }
    regex.push('{');
    regex.push_str(&counts);
    regex.push('}');
    Ok(())
}

/// The characters behind a `[`.
fn set(regex: &mut String, characters: &mut Peekable<Chars<'_>>, (pattern, escape): (&str, char)) -> Result<()> {
    regex.push('[');
    if characters.next_if_eq(&'^').is_some() {
        regex.push('^');
    }
    let start = regex.len();
    while let Some(character) = characters.next() {
        match character {
            _ if character == escape => literal(regex, escaped(characters, pattern)?),
            ']' if regex.len() > start => {
                regex.push(']');
                return Ok(());
            }
            // Between two characters it makes a range, elsewhere it is one.
            '-' if regex.len() > start && characters.peek().is_some_and(|next| *next != ']') => regex.push('-'),
            '[' if characters.next_if_eq(&':').is_some() => {
                let name: String = characters.by_ref().take_while(|character| *character != ':').collect();
                match (class(&name), characters.next()) {
                    (Some(class), Some(']')) => regex.push_str(class),
                    _ => return exec_err!("SIMILAR TO '{pattern}': [:{name} is no class of characters"),
                }
            }
            other => literal(regex, other),
        }
    }
    exec_err!("SIMILAR TO '{pattern}': a [ has no ]")
}

fn class(name: &str) -> Option<&'static str> {
    Some(match name.to_ascii_lowercase().as_str() {
        "alpha" => r"\p{Alphabetic}",
        "upper" => r"\p{Uppercase}",
        "lower" => r"\p{Lowercase}",
        "digit" => "0-9",
        "alnum" => r"\p{Alphabetic}0-9",
        "space" | "whitespace" => r"\s",
        _ => return None,
    })
}

fn literal(regex: &mut String, character: char) {
    if matches!(character, '\\' | '.' | '+' | '*' | '?' | '(' | ')' | '|' | '[' | ']' | '{' | '}')
        || matches!(character, '^' | '$' | '#' | '&' | '-' | '~')
    {
        regex.push('\\');
    }
    regex.push(character);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_regular_expression_of_the_whole_text() {
        for (pattern, expected) in [
            ("a|b%", "^(?s:a|b(?:.*))$"),
            ("_{2,}(x.)?", r"^(?s:.{2,}(?:x\.)?)$"),
            (r"\%\\", r"^(?s:%\\)$"),
            ("[^]a-c-][[:digit:]&&~]", r"^(?s:[^\]a-c\-][0-9\&\&\~])$"),
            ("", "^(?s:)$"),
        ] {
            assert_eq!(regex(pattern, ESCAPE).expect(pattern), expected);
        }
        assert_eq!(regex("#%\\", '#').expect("another escape"), r"^(?s:%\\)$");
        regex("#%#", '#').expect_err("nothing follows the escape");
        for wrong in ["*a", "a**", "(", ")", "[a", "[[:no:]]", "a{x}", "a{1", "(|?)"] {
            regex(wrong, ESCAPE).expect_err(wrong);
        }
    }
}
