//! Publishing to an HTTP service: its token, the authority of its certificate, and what to do about its errors.
//!
//! Owns: where token and authority come from, the producer's options for a service elsewhere, advice on errors.
//! Does not own: sending (`ingester`), the arguments (`publish`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use catalog::Topic;
use common::secret::{self, Secret};
use common::{AgentUrl, TopicName};
use ingester::{Producer, ProducerBuilder, ProducerError, SendFailure};

use crate::feeding;
use crate::output::{self, UsageError};

/// The environment variable with the token.
const TOKEN_VARIABLE: &str = "SILTSTONE_TOKEN";

/// The environment variable with the path of a certificate authority.
const CA_VARIABLE: &str = "SILTSTONE_CA_FILE";

/// Longest wait for a commit. The service ends earlier when the queue's duplicate window would.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(600);

/// A service, the token for it, and the authority that is trusted besides the system's.
pub(super) struct HttpService<'a> {
    url: &'a AgentUrl,
    ca_file: Option<PathBuf>,
    token: Option<(Secret, TokenPlace)>,
}

enum TokenPlace {
    Variable,
    File(PathBuf),
}

impl<'a> HttpService<'a> {
    /// The service at `url`, with the token of the file or else of the environment, and the authority likewise.
    ///
    /// # Errors
    /// The file with the token cannot be read, or has none; or an authority is given for a URL without TLS.
    pub(super) fn new(url: &'a AgentUrl, token_file: Option<&Path>, ca_file: Option<&Path>) -> anyhow::Result<Self> {
        if let Some(path) = ca_file.filter(|_| !url.is_https()) {
            let shown = path.display();
            return Err(UsageError::new(format!("--ca-file {shown} needs a --url that begins with https://")).into());
        }
        let of_environment = || std::env::var_os(CA_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
        let ca_file = ca_file.map(Path::to_owned).or_else(of_environment).filter(|_| url.is_https());
        let token = match token_file {
            Some(path) => Some((read_token(path)?, TokenPlace::File(path.to_owned()))),
            None => match std::env::var(TOKEN_VARIABLE) {
                Ok(token) if !token.trim().is_empty() => {
                    Some((sendable(remembered(&token), TOKEN_VARIABLE)?, TokenPlace::Variable))
                }
                _ => None,
            },
        };
        Ok(Self { url, ca_file, token })
    }

    /// A producer for a stream.
    pub(super) fn producer(&self) -> ProducerBuilder {
        let builder = Producer::builder()
            .address(self.url.as_str())
            .batch_timeout(feeding::LINGER)
            .commit_timeout(COMMIT_TIMEOUT);
        let builder = match &self.ca_file {
            Some(path) => builder.ca_file(path),
            None => builder,
        };
        match &self.token {
            Some((token, _)) => builder.token(token.clone()),
            None => builder,
        }
    }

    /// Says on standard error what can be done about the error, if that is known.
    pub(super) fn advise(&self, error: &anyhow::Error) {
        let failed = |cause: &(dyn std::error::Error + 'static)| {
            let of_record = cause.downcast_ref::<SendFailure>().map(|failure| ProducerError::clone(&failure.error));
            of_record.or_else(|| cause.downcast_ref::<ProducerError>().cloned())
        };
        if let Some(advice) = error.chain().find_map(failed).and_then(|error| self.advice(&error)) {
            output::note(&advice);
        }
    }

    fn advice(&self, error: &ProducerError) -> Option<String> {
        let url = self.url;
        match error {
            ProducerError::AgentConnectionFailed { reason, .. } if reason.contains("refused") => Some(format!(
                "nothing listens at {url}: does `siltstone up` or an ingester run there? INGEST_ADDR is its address"
            )),
            ProducerError::AgentConnectionFailed { reason, .. } if is_of_unknown_authority(reason) => Some(format!(
                "the certificate of {url} comes from an authority that is not known here; --ca-file or {CA_VARIABLE} names a \
                 PEM file with it"
            )),
            ProducerError::AgentConnectionFailed { reason, .. } if reason.contains("CaUsedAsEndEntity") => {
                Some(format!(
                    "the certificate of {url} is one of an authority, which is not taken for that of a server: make it with \
                 basicConstraints=CA:FALSE"
                ))
            }
            ProducerError::AgentConnectionFailed { .. } => {
                Some(format!("is {url} right, and can this machine reach it?"))
            }
            ProducerError::AgentError { status: 401, .. } => Some(match &self.token {
                None => format!("the service asks for a token: set {TOKEN_VARIABLE}, or give --token-file"),
                Some((_, place)) => format!("the service does not know the token {place}"),
            }),
            ProducerError::AgentError { status: 403, code, .. } if code == "host_not_allowed" => Some(
                "the service is for its own machine alone: use the URL that its operator gives to others".to_owned(),
            ),
            ProducerError::AgentError { status: 403, .. } => Some(match &self.token {
                None => format!("a token may allow it: set {TOKEN_VARIABLE}, or give --token-file"),
                Some((_, place)) => format!(
                    "the token {place} may not do this; publishing asks for the rights produce and read on the topic"
                ),
            }),
            ProducerError::AgentError { status: 404, .. } => {
                Some(format!("is {url} the address of Siltstone's HTTP service? Give it without the /v1 of its paths"))
            }
            _ => None,
        }
    }
}

impl std::fmt::Display for TokenPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Variable => write!(f, "of {TOKEN_VARIABLE}"),
            Self::File(path) => write!(f, "in {}", path.display()),
        }
    }
}

/// True if nobody who is trusted signed the certificate: another authority may have the same name.
fn is_of_unknown_authority(reason: &str) -> bool {
    ["UnknownIssuer", "BadSignature"].iter().any(|problem| reason.contains(problem))
}

/// The topic, as the service shows it; `None` if it has none of this name. The first message may make it.
pub(super) async fn topic(producer: &Producer, topic: &TopicName) -> anyhow::Result<Option<Topic>> {
    match producer.topic(topic).await {
        Ok(topic) => Ok(Some(Topic::clone(&topic))),
        Err(ProducerError::TopicNotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn read_token(path: &Path) -> anyhow::Result<Secret> {
    let unreadable = |error| UsageError::new(format!("--token-file {}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    if text.trim().is_empty() {
        let shown = path.display();
        return Err(UsageError::new(format!("--token-file {shown} is empty; it has a token as its only line")).into());
    }
    Ok(sendable(remembered(&text), &format!("--token-file {}", path.display()))?)
}

/// The token, if a header can hold it; `place` is where it comes from.
fn sendable(token: Secret, place: &str) -> Result<Secret, UsageError> {
    match token.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(token),
        false => Err(UsageError::new(format!("{place}: a token is printable ASCII characters without spaces"))),
    }
}

/// The token without the line break at its end; from now on no error shows it.
fn remembered(token: &str) -> Secret {
    secret::remember(token.trim());
    Secret::from(token.trim())
}
