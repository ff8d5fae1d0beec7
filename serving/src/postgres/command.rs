//! What a statement is: a command of the session, or a query.
//!
//! Owns: the commands that are answered without the engine. They change nothing:
//! a transaction has nothing to commit, since every query reads a state of its own.
//! Does not own: cutting a text at its semicolons (`lake::query`), queries (`planned`), the known settings (`settings`).

use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use lake::query::{QueryError, TOKENS_MAX, split_statements};
use pgwire::error::{PgWireError, PgWireResult};

use super::failure::error;
use super::{hot_tail, settings};
use crate::error::QueryFailure;
use crate::executor::STATEMENT_BYTES_MAX;

/// Statements that one message may hold.
const STATEMENTS_MAX: usize = 100;

/// Refuses cursors of SQL: their queries would hold slots between statements.
const CURSORS: &str = "DECLARE, FETCH and MOVE are not supported here; a driver fetches the rows of a SELECT in parts by the \
                       protocol's own means, such as setFetchSize of JDBC";

/// One statement of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Begins what the client takes for a transaction.
    Begin,
    /// Ends it, with the word for its end.
    End(&'static str),
    /// Goes back to a point of it, which mends one that failed.
    RollbackTo,
    /// Forgets a prepared statement, or all.
    Deallocate(Option<String>),
    /// Does nothing, with the word that says it is done.
    Nothing(&'static str),
    /// The value of a setting: its name and its value.
    Show(String, &'static str),
    /// Sets a setting of the hot tail, or sets it back, with the word that says it is done.
    Set { variable: String, value: Option<String>, done: &'static str },
    /// Sets all of them back, with the word that says it is done.
    ResetAll(&'static str),
    /// The value of a setting of the hot tail.
    ShowHotTail(String),
    /// A statement for the engine; true if it names what only PostgreSQL has.
    Query(String, bool),
}

/// The statements of a text, in order.
///
/// # Errors
/// It is no SQL, is too large, has too many statements, or sets what cannot be set.
pub(super) fn commands(text: &str) -> PgWireResult<Vec<Command>> {
    if text.len() > STATEMENT_BYTES_MAX {
        let text = format!("the statement has {} bytes; allowed are {STATEMENT_BYTES_MAX}", text.len());
        return Err(QueryFailure::invalid(text).into());
    }
    let mut commands = Vec::new();
    let (ended, rest) = split_statements(text);
    for piece in ended.into_iter().chain([rest]) {
        let tokens = Tokenizer::new(&PostgreSqlDialect {}, piece).tokenize();
        let tokens = tokens.map_err(|error| PgWireError::from(QueryFailure::invalid(error.to_string())))?;
        let words: Vec<&Token> = tokens.iter().filter(|token| !matches!(token, Token::Whitespace(_))).collect();
        if words.len() > TOKENS_MAX {
            return Err(QueryFailure::invalid(QueryError::TooLarge(words.len()).to_string()).into());
        }
        if !words.is_empty() {
            commands.push(command(piece, &words)?);
        }
        if commands.len() > STATEMENTS_MAX {
            let text = format!("one message has more than {STATEMENTS_MAX} statements");
            return Err(QueryFailure::invalid(text).into());
        }
    }
    Ok(commands)
}

fn command(text: &str, tokens: &[&Token]) -> PgWireResult<Command> {
    let words: Vec<String> = tokens.iter().map(|token| word(token)).collect();
    let word = |index: usize| words.get(index).map_or("", String::as_str);
    Ok(match word(0) {
        "begin" => Command::Begin,
        "start" if word(1) == "transaction" => Command::Begin,
        "commit" | "end" => Command::End("COMMIT"),
        "rollback" if words.iter().any(|word| word == "to") => Command::RollbackTo,
        "rollback" | "abort" => Command::End("ROLLBACK"),
        "savepoint" => Command::Nothing("SAVEPOINT"),
        "release" => Command::Nothing("RELEASE"),
        "discard" if word(1) == "all" => Command::ResetAll("DISCARD ALL"),
        "discard" => Command::Nothing("DISCARD ALL"),
        "close" => Command::Nothing("CLOSE CURSOR"),
        "unlisten" => Command::Nothing("UNLISTEN"),
        "reset" if word(1) == "all" => Command::ResetAll("RESET"),
        "reset" => match words[1..].concat() {
            variable if hot_tail::is_setting(&variable) => Command::Set { variable, value: None, done: "RESET" },
            _ => Command::Nothing("RESET"),
        },
        "deallocate" => {
            let name = if word(1) == "prepare" { word(2) } else { word(1) };
            Command::Deallocate((name != "all").then(|| name.to_owned()))
        }
        "set" => set(&words)?,
        "declare" | "fetch" | "move" => return Err(error("ERROR", "0A000", CURSORS)),
        "show" => show(text, &words),
        _ => Command::Query(text.to_owned(), super::names::are_of_postgres(tokens)),
    })
}

/// A word in lower case, a quoted one as it is, any other token as its text.
fn word(token: &Token) -> String {
    match token {
        Token::Word(word) if word.quote_style.is_none() => word.value.to_lowercase(),
        Token::Word(word) => word.value.clone(),
        Token::SingleQuotedString(text) => text.clone(),
        other => other.to_string(),
    }
}

fn set(words: &[String]) -> PgWireResult<Command> {
    let rest = match words.get(1).map(String::as_str) {
        Some("session" | "local") => &words[2..],
        _ => &words[1..],
    };
    let name = rest.first().map_or("", String::as_str);
    let is_of_transaction = ["transaction", "characteristics"].contains(&name);
    let is_zone = name == "time" && rest.get(1).is_some_and(|word| word == "zone");
    let is_names = name == "names";
    if settings::value(name).is_some() && rest.get(1).is_some_and(|word| word == "." || word == "=" || word == "to") {
        if name == "client_encoding" && !rest.get(2).is_some_and(|value| is_utf8(value)) {
            return Err(error("ERROR", "22023", "client_encoding: allowed is UTF8"));
        }
        return Ok(Command::Nothing("SET"));
    }
    if is_of_transaction || is_zone || is_names {
        return Ok(Command::Nothing("SET"));
    }
    let name = rest.split(|word| word == "=" || word == "to").next().unwrap_or_default().concat();
    if hot_tail::is_setting(&name) {
        return hot_tail::set(name, rest, words[1] == "local");
    }
    Err(error(
        "ERROR",
        "42704",
        format!(
            "setting {name:?} cannot be set here; limits of queries are settings of the server, and what can be set is \
             siltstone.hot_tail, siltstone.hot_tail_bytes and siltstone.hot_tail_timeout"
        ),
    ))
}

fn is_utf8(value: &str) -> bool {
    ["utf8", "utf-8", "unicode", "default"].iter().any(|name| value.eq_ignore_ascii_case(name))
}

fn show(text: &str, words: &[String]) -> Command {
    let name = match words.get(1).map(String::as_str) {
        Some("time") => "timezone",
        Some("transaction") => "transaction_isolation",
        Some(name) if words.len() == 2 => name,
        _ => "",
    };
    match settings::value(name) {
        Some(value) => Command::Show(name.to_owned(), value),
        None if hot_tail::is_setting(&words[1..].concat()) => Command::ShowHotTail(words[1..].concat()),
        None => Command::Query(text.to_owned(), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_at_its_semicolons_alone() {
        let text = "SELECT 'ä;b' AS \"x;y\" -- no; end\n ; /* ; */ SELECT $$a;b$$;\n\n;BEGIN;";
        let commands = commands(text).expect("SQL");
        assert_eq!(
            commands,
            [
                Command::Query("SELECT 'ä;b' AS \"x;y\" -- no; end\n ".to_owned(), false),
                Command::Query(" /* ; */ SELECT $$a;b$$".to_owned(), false),
                Command::Begin,
            ]
        );
        assert!(super::commands(";;; ").expect("nothing").is_empty());
    }

    #[test]
    fn settings_of_clients_are_accepted_and_others_refused() {
        for text in [
            "SET extra_float_digits = 3",
            "SET client_encoding TO 'UTF8'",
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
            "SET LOCAL statement_timeout = '5s'",
            "set time zone 'UTC'",
        ] {
            assert_eq!(commands(text).expect(text), [Command::Nothing("SET")], "{text}");
        }
        for text in ["DECLARE c CURSOR FOR SELECT 1", "FETCH 5 FROM c", "move c"] {
            assert!(commands(text).expect_err(text).to_string().contains("setFetchSize"), "{text}");
        }
        for text in
            ["SET datafusion.execution.batch_size = 1", "SET QUERY_ROWS_MAX TO 5", "SET client_encoding = latin1"]
        {
            assert!(commands(text).is_err(), "{text}");
        }
        assert_eq!(
            commands("SHOW transaction isolation level").expect("known"),
            [Command::Show("transaction_isolation".to_owned(), "read committed")]
        );
        assert_eq!(commands("SHOW TABLES").expect("a query"), [Command::Query("SHOW TABLES".to_owned(), false)]);
        assert_eq!(commands("DEALLOCATE ALL").expect("known"), [Command::Deallocate(None)]);
    }

    #[test]
    fn a_text_that_is_too_large_is_refused_before_it_is_read() {
        let refused = commands(&"x".repeat(STATEMENT_BYTES_MAX + 1)).expect_err("too long").to_string();
        assert!(refused.contains("has 1048577 bytes; allowed are 1048576"), "{refused}");
        let many = format!("SELECT pg_backend_pid(){}", "+1".repeat(TOKENS_MAX / 2));
        let refused = commands(&many).expect_err("too many").to_string();
        assert!(refused.contains("has 100004 words, numbers and signs; allowed are 100000"), "{refused}");
    }

    #[test]
    fn a_way_back_is_no_end() {
        assert_eq!(commands("ROLLBACK TO SAVEPOINT a").expect("known"), [Command::RollbackTo]);
        assert_eq!(commands("ROLLBACK").expect("known"), [Command::End("ROLLBACK")]);
    }
}
