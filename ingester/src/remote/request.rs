//! One request to one agent.
//!
//! Owns: the HTTP client with its connections, the paths, the reading of an answer within limits, and the errors of the
//! way there. Does not own: the meaning of an answer to records (`reply`), repeating (`deliver`).

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use catalog::Topic;
use common::secret::{Secret, scrubbed};
use common::{AgentUrl, TopicName, TopicPartition};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Method, StatusCode};
use serde::Deserialize;

use super::authority;
use super::reply::{ErrorBody, ErrorText};
use crate::acks::Acks;
use crate::error::{ProducerError, Result};
use crate::frames;
use crate::producer::ConfigError;

/// A connection that was idle for so long is not used again: the service ends connections after 20 seconds.
const IDLE_MAX: Duration = Duration::from_secs(15);

const CONNECT_MAX: Duration = Duration::from_secs(10);

/// Largest answer that is read; one to a batch of small records has about 60 bytes for each of them.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// The client for all agents of a producer; it keeps connections. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Client {
    http: reqwest::Client,
}

/// Records of one partition on their way.
pub(super) struct Post<'a> {
    pub(super) partition: &'a TopicPartition,
    pub(super) body: Vec<u8>,
    pub(super) acks: Acks,
    /// Time since the first attempt.
    pub(super) age: Duration,
    pub(super) limit: Duration,
}

/// A request without a useful answer.
#[derive(Debug)]
pub(super) struct RequestError {
    pub(super) error: ProducerError,
    /// The agent may have taken the request.
    pub(super) is_maybe_taken: bool,
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

#[derive(Deserialize)]
struct TopicBody {
    topic: Topic,
}

/// The answer if there is no such topic.
#[derive(Deserialize)]
struct AbsentBody {
    /// What the first records for it make of it, if the service creates it then.
    #[serde(default)]
    planned: Option<Topic>,
}

impl Client {
    /// A client that sends `token` with every request, and trusts the authorities in `ca_file` besides the system's.
    ///
    /// # Errors
    /// The token cannot be sent in a header, or the file holds no certificate that can be used.
    pub(super) fn new(token: Option<&Secret>, ca_file: Option<&Path>) -> Result<Self> {
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            headers.insert(AUTHORIZATION, bearer(token)?);
        }
        let builder = reqwest::Client::builder()
            .default_headers(headers)
            // A redirect would carry records and token to a place that nobody named.
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_MAX)
            .pool_idle_timeout(IDLE_MAX)
            .tcp_nodelay(true);
        let builder = match ca_file {
            Some(path) => authority::trusted(builder, path)?,
            None => builder,
        };
        let http = builder.build().map_err(|error| match ca_file {
            Some(path) => authority::refused(path, &causes(&error)),
            None => ConfigError {
                option: "address",
                value: "given".to_owned(),
                allowed: format!("an HTTP client of this machine, which cannot be made: {}", causes(&error)),
            },
        })?;
        Ok(Self { http })
    }

    /// Succeeds if an HTTP service of Siltstone answers.
    pub(super) async fn probe(&self, agent: &AgentUrl, limit: Duration) -> Result<(), RequestError> {
        let request = self.http.request(Method::GET, format!("{agent}/v1/openapi.json"));
        let answered = send(agent, request, limit).await?;
        if answered.status == StatusCode::OK { Ok(()) } else { Err(answered.refused(agent)) }
    }

    /// The topic, as it is or as the first records for it create it; `None` if there is none.
    pub(super) async fn topic(
        &self,
        agent: &AgentUrl,
        name: &TopicName,
        limit: Duration,
    ) -> Result<Option<Topic>, RequestError> {
        let url = format!("{agent}/v1/topics/{}", name.encoded());
        let answered = send(agent, self.http.request(Method::GET, url), limit).await?;
        if answered.status != StatusCode::OK {
            if !answered.is_of_missing_topic() {
                return Err(answered.refused(agent));
            }
            let absent = serde_json::from_slice::<AbsentBody>(&answered.body);
            return absent.map(|body| body.planned).map_err(|error| answered.unreadable(agent, &error.to_string()));
        }
        let read = serde_json::from_slice::<TopicBody>(&answered.body);
        read.map(|body| Some(body.topic)).map_err(|error| answered.unreadable(agent, &error.to_string()))
    }

    /// Sends records. The answer may be any.
    pub(super) async fn post(&self, agent: &AgentUrl, post: Post<'_>) -> Result<Answered, RequestError> {
        let Post { partition, body, acks, age, limit } = post;
        let (topic, number) = (partition.topic.encoded(), partition.partition_id);
        let age = u32::try_from(age.as_millis()).unwrap_or(u32::MAX);
        let url = format!("{agent}/v1/topics/{topic}/records?partition={number}&acks={acks}&age_ms={age}");
        let request = self.http.request(Method::POST, url).header(CONTENT_TYPE, frames::CONTENT_TYPE).body(body);
        send(agent, request, limit).await
    }
}

impl Answered {
    /// True if Siltstone says that it has no such topic.
    pub(super) fn is_of_missing_topic(&self) -> bool {
        self.status == StatusCode::NOT_FOUND && self.error().is_some_and(|error| error.code == "topic_not_found")
    }

    /// The error of the whole request, if the answer has Siltstone's form of one.
    pub(super) fn error(&self) -> Option<ErrorText> {
        serde_json::from_slice::<ErrorBody>(&self.body).ok().map(|body| body.error)
    }

    /// The answer as an error. Siltstone refuses a request as a whole before it takes any of it.
    pub(super) fn refused(&self, agent: &AgentUrl) -> RequestError {
        let known = self.error();
        let is_maybe_taken = known.is_none() && self.status.is_server_error();
        let (code, message) = known.map_or_else(
            || (String::new(), format!("this is no answer of Siltstone's HTTP service: {}", self.snippet())),
            |error| (error.code, error.message),
        );
        let error = ProducerError::AgentError { agent: agent.clone(), status: self.status.as_u16(), code, message };
        RequestError { error, is_maybe_taken }
    }

    /// The error of a successful answer that cannot be read.
    pub(super) fn unreadable(&self, agent: &AgentUrl, why: &str) -> RequestError {
        let (agent, status) = (agent.clone(), self.status.as_u16());
        let message = format!("the answer is not Siltstone's: {why}");
        RequestError {
            error: ProducerError::AgentError { agent, status, code: String::new(), message },
            is_maybe_taken: true,
        }
    }

    /// The beginning of the body, for people.
    fn snippet(&self) -> String {
        let text = String::from_utf8_lossy(&self.body[..self.body.len().min(200)]).into_owned();
        if text.trim().is_empty() { "it is empty".to_owned() } else { format!("{:?}", text.trim()) }
    }
}

fn bearer(token: &Secret) -> Result<HeaderValue> {
    let is_plain = !token.expose().is_empty() && token.expose().bytes().all(|byte| byte.is_ascii_graphic());
    let value = HeaderValue::from_str(&format!("Bearer {}", token.expose())).ok().filter(|_| is_plain);
    let mut value = value.ok_or_else(|| ConfigError {
        option: "token",
        value: token.to_string(),
        allowed: "printable ASCII characters without spaces".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}

async fn send(agent: &AgentUrl, request: reqwest::RequestBuilder, limit: Duration) -> Result<Answered, RequestError> {
    let failed = |error: reqwest::Error| {
        let is_maybe_taken = !error.is_connect();
        let reason = match (error.is_timeout(), is_maybe_taken) {
            (true, true) => format!("it did not answer within {} ms", limit.as_millis()),
            (true, false) => format!("no connection within {} ms", limit.min(CONNECT_MAX).as_millis()),
            (false, _) => causes(&error),
        };
        RequestError { error: ProducerError::AgentConnectionFailed { agent: agent.clone(), reason }, is_maybe_taken }
    };
    let mut response = request.timeout(limit).send().await.map_err(failed)?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(failed)? {
        if body.len() + piece.len() > ANSWER_BYTES_MAX {
            let answered = Answered { status, body: Bytes::new() };
            return Err(answered.unreadable(agent, &format!("it is larger than {ANSWER_BYTES_MAX} bytes")));
        }
        body.extend_from_slice(&piece);
    }
    Ok(Answered { status, body: body.into() })
}

/// The innermost cause is the one that says something, such as `Connection refused`; the URL is shown elsewhere.
fn causes(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    plain(&scrubbed(&cause.to_string())).to_owned()
}

/// The problem of a certificate without the numbers of its algorithms.
fn plain(reason: &str) -> &str {
    let is_of_certificate = reason.starts_with("invalid peer certificate");
    reason.split_once(" {").filter(|_| is_of_certificate).map_or(reason, |(problem, _)| problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, body: &'static str) -> Answered {
        Answered { status: StatusCode::from_u16(status).expect("a status"), body: Bytes::from_static(body.as_bytes()) }
    }

    #[test]
    fn an_answer_of_a_stranger_is_named_as_such() {
        let agent = AgentUrl::new("http://h:1").expect("valid");
        let failed = answered(502, "<html>Bad Gateway</html>").refused(&agent);
        assert!(failed.is_maybe_taken, "a proxy does not know");
        let text = failed.error.to_string();
        assert!(text.contains("http://h:1") && text.contains("502") && text.contains("Bad Gateway"), "{text}");
        let failed = answered(404, "").refused(&agent);
        assert!(!failed.is_maybe_taken && failed.error.to_string().contains("no answer of Siltstone's HTTP service"));
        assert!(!answered(404, "").is_of_missing_topic(), "another service has no topics");
        let failed = answered(503, r#"{"error":{"code":"unavailable","message":"full"}}"#).refused(&agent);
        assert!(!failed.is_maybe_taken, "nothing was taken");
    }

    #[test]
    fn a_problem_of_a_certificate_is_told_without_numbers() {
        let reason = "invalid peer certificate: UnsupportedSignatureAlgorithmForPublicKeyContext { id: [6, 8] }";
        assert_eq!(plain(reason), "invalid peer certificate: UnsupportedSignatureAlgorithmForPublicKeyContext");
        assert_eq!(plain("a { b"), "a { b");
    }

    #[test]
    fn a_token_that_cannot_be_sent_is_refused_and_not_shown() {
        for token in ["", "a b", "a\nb", "hush\u{e9}"] {
            let error = Client::new(Some(&token.into()), None).expect_err(token).to_string();
            assert!(error.contains("token = *") && error.contains("printable ASCII"), "{error}");
            assert!(!error.contains("hush"), "{error}");
        }
        assert!(!format!("{:?}", Client::new(Some(&"hush".into()), None).expect("valid")).contains("hush"));
    }
}
