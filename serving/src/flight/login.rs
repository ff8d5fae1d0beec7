//! The client of a request: its token, as `Bearer`, or as the password of `Basic`.
//!
//! Owns: reading the metadata, and the handshake of clients that ask for a token by a password: it is the same token.
//! Does not own: tokens (`catalog::Callers`).

use std::pin::Pin;

use arrow_flight::{HandshakeRequest, HandshakeResponse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use catalog::{NotServed, Presented, Right};
use futures::Stream;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use super::Flight;
use crate::executor::{Client, Door};
use crate::options;

const AUTHORIZATION: &str = "authorization";

type Handshakes = Pin<Box<dyn Stream<Item = Result<HandshakeResponse, Status>> + Send>>;

impl Flight {
    /// The client of a request, which may read some topic.
    pub(super) async fn client<T>(&self, request: &Request<T>) -> Result<Client, Status> {
        let presented = token(request.metadata()).map_or(Presented::Nothing, |token| Presented::text(&token));
        let caller = self.callers.caller(presented).await.and_then(|caller| {
            caller.ensure_somewhere(Right::Read)?;
            Ok(caller)
        });
        let caller = caller.map_err(|refusal| match &refusal {
            NotServed::NoToken | NotServed::InvalidToken(_) => Status::unauthenticated(refusal.to_string()),
            NotServed::Forbidden(_) => Status::permission_denied(refusal.to_string()),
            NotServed::Catalog(_) | NotServed::Silent => Status::unavailable(refusal.to_string()),
        })?;
        let settings = options::of_headers(self.executor.settings(), request.metadata().as_ref())?;
        Ok(Client { door: Door::Flight, caller, additions: None, settings })
    }

    pub(super) async fn handshake(
        &self,
        request: &Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Handshakes>, Status> {
        self.client(request).await?;
        let token = token(request.metadata()).unwrap_or_default();
        let answer = HandshakeResponse { protocol_version: 0, payload: token.clone().into() };
        let mut response: Response<Handshakes> = Response::new(Box::pin(futures::stream::iter([Ok(answer)])));
        if let Ok(value) = format!("Bearer {token}").parse() {
            response.metadata_mut().insert(AUTHORIZATION, value);
        }
        Ok(response)
    }
}

/// The token among the metadata, with nothing around it.
fn token(metadata: &MetadataMap) -> Option<String> {
    let (scheme, rest) = metadata.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Some(String::new());
    }
    let decoded = STANDARD.decode(rest.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    Some(decoded.split_once(':').map(|(_, password)| password.to_owned()).unwrap_or_default())
}
