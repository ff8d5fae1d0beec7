//! The answer of an agent to a request with records: an outcome for each record.
//!
//! Owns: what each code means for the producer. Does not own: the codes themselves (`http::answer`, `docs/http.md`),
//! repeating (`deliver`).

use common::AgentUrl;
use common::queue::PublishAck;
use reqwest::StatusCode;
use serde::Deserialize;

use super::request::{Answered, RequestError};
use crate::error::ProducerError;

/// The error of an answer, or of a record in it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct ErrorText {
    pub(super) code: String,
    pub(super) message: String,
}

#[derive(Deserialize)]
pub(super) struct ErrorBody {
    pub(super) error: ErrorText,
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    records: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    offset: Option<u64>,
    #[serde(default)]
    duplicate: bool,
    error: Option<ErrorText>,
}

/// The outcome of one record.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It reached what was asked for.
    Done(PublishAck),
    /// It did not, and a repetition does not help.
    Failed { error: ProducerError, is_not_stored: bool },
    /// A repetition may help.
    Later(Later),
}

/// The reason to repeat a record.
#[derive(Debug)]
pub(super) struct Later {
    pub(super) error: ProducerError,
    pub(super) stored: Stored,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    No,
    Perhaps,
    /// In the queue; its commit is awaited.
    Yes,
}

/// The verdicts on `count` records that were sent.
///
/// # Errors
/// The request was refused as a whole, or the answer cannot be read.
pub(super) fn verdicts(agent: &AgentUrl, answered: &Answered, count: usize) -> Result<Vec<Verdict>, RequestError> {
    let Ok(Body { records }) = serde_json::from_slice(&answered.body) else {
        return Err(if answered.status.is_success() {
            answered.unreadable(agent, "it has no outcomes of records")
        } else {
            answered.refused(agent)
        });
    };
    if answered.status.is_success() && records.len() != count || records.len() > count {
        let why = format!("it has {} outcomes for {count} records", records.len());
        return Err(answered.unreadable(agent, &why));
    }
    if records.is_empty() && count > 0 {
        return Err(answered.refused(agent));
    }
    let mut verdicts: Vec<Verdict> = records.into_iter().map(|entry| verdict(agent, answered.status, entry)).collect();
    if verdicts.len() < count {
        // The request ended early, and the rest of it was never looked at.
        verdicts
            .resize_with(count, || Verdict::Later(Later { error: answered.refused(agent).error, stored: Stored::No }));
    }
    Ok(verdicts)
}

fn verdict(agent: &AgentUrl, status: StatusCode, entry: Entry) -> Verdict {
    let Entry { offset, duplicate, error } = entry;
    let ack = offset.map(|offset| PublishAck { offset, duplicate });
    let (code, message) = match (error, ack) {
        (None, Some(ack)) => return Verdict::Done(ack),
        (None, None) => (String::new(), "the record has neither a place nor an error".to_owned()),
        (Some(error), _) => (error.code, error.message),
    };
    if code == "quarantined" {
        let reason = message.strip_prefix("it is in quarantine: ").unwrap_or(&message).to_owned();
        return Verdict::Failed { error: ProducerError::Quarantined { reason }, is_not_stored: false };
    }
    let later = match code.as_str() {
        "not_sent" | "not_stored" => Some(Stored::No),
        "unconfirmed" => Some(Stored::Perhaps),
        "not_committed" => Some(Stored::Yes),
        _ => None,
    };
    let is_not_stored = ["invalid_record", "too_large"].contains(&code.as_str());
    let error = ProducerError::AgentError { agent: agent.clone(), status: status.as_u16(), code, message };
    match later {
        Some(stored) => Verdict::Later(Later { error, stored }),
        None => Verdict::Failed { error, is_not_stored },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdicts in short: an offset, `failed`, `failed-stored`, `no`, `perhaps` or `yes`.
    fn read(status: u16, body: &str, count: usize) -> Result<Vec<String>, String> {
        let agent = AgentUrl::new("http://h:1").expect("valid");
        let status = StatusCode::from_u16(status).expect("a status");
        let answered = Answered { status, body: body.to_owned().into() };
        let short = |verdict| match verdict {
            Verdict::Done(ack) => ack.offset.to_string(),
            Verdict::Failed { error, is_not_stored: true } => format!("failed: {error}"),
            Verdict::Failed { error, is_not_stored: false } => format!("failed-stored: {error}"),
            Verdict::Later(Later { stored, .. }) => format!("{stored:?}"),
        };
        let verdicts = verdicts(&agent, &answered, count).map_err(|failed| failed.error.to_string())?;
        Ok(verdicts.into_iter().map(short).collect())
    }

    #[test]
    fn each_code_has_its_meaning() {
        let place = r#"{"partition":0,"offset":7,"duplicate":false}"#;
        assert_eq!(read(200, &format!(r#"{{"records":[{place}]}}"#), 1), Ok(vec!["7".to_owned()]));
        for (code, expected) in [
            ("not_sent", "No"),
            ("not_stored", "No"),
            ("unconfirmed", "Perhaps"),
            ("invalid_record", "failed: agent http://h:1 answered 422 (invalid_record): why"),
            ("too_large", "failed: agent http://h:1 answered 422 (too_large): why"),
            ("lost", "failed-stored: agent http://h:1 answered 422 (lost): why"),
            ("new_in_a_later_version", "failed-stored: agent http://h:1 answered 422 (new_in_a_later_version): why"),
        ] {
            let body = format!(
                r#"{{"records":[{{"error":{{"code":"{code}","message":"why"}}}}],"error":{{"code":"refused","message":"m"}}}}"#
            );
            assert_eq!(read(422, &body, 1), Ok(vec![expected.to_owned()]), "{code}");
        }
        let both = |code: &str, message: &str| {
            format!(
                r#"{{"records":[{{"partition":0,"offset":7,"duplicate":true,"error":{{"code":"{code}","message":"{message}"}}}}]}}"#
            )
        };
        assert_eq!(read(504, &both("not_committed", "why"), 1), Ok(vec!["Yes".to_owned()]));
        let quarantined = read(422, &both("quarantined", "it is in quarantine: not JSON"), 1);
        assert_eq!(quarantined, Ok(vec!["failed-stored: the message is in quarantine: not JSON".to_owned()]));
    }

    #[test]
    fn records_behind_an_early_end_are_not_stored_and_a_wrong_number_is_refused() {
        let place = r#"{"partition":0,"offset":7,"duplicate":false}"#;
        let early = format!(r#"{{"records":[{place}],"error":{{"code":"unavailable","message":"full"}}}}"#);
        assert_eq!(read(503, &early, 3), Ok(["7", "No", "No"].map(str::to_owned).to_vec()));
        let few = read(200, &format!(r#"{{"records":[{place}]}}"#), 2).expect_err("one is missing");
        assert!(few.contains("1 outcomes for 2 records"), "{few}");
        assert!(read(422, &format!(r#"{{"records":[{place},{place}]}}"#), 1).is_err(), "one too many");
        assert!(read(200, "<html>", 1).expect_err("a page").contains("no outcomes of records"));
        let whole = read(503, r#"{"error":{"code":"unavailable","message":"full"}}"#, 1).expect_err("refused");
        assert_eq!(whole, "agent http://h:1 answered 503 (unavailable): full");
        assert!(read(200, r#"{"records":[{}]}"#, 1).expect("an outcome")[0].contains("neither a place nor an error"));
    }
}
