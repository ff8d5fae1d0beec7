//! Reads that come to an end, whatever is in the place of the object or of the store.
//!
//! Owns: refusing what is no file in a directory, before it is opened (a FIFO would wait for a writer); the limit to the
//! time in which another machine's store sends nothing. Time alone is limited: a slow read goes on as long as bytes come.
//! Does not own: retries, and all operations but reading, which are passed on.

use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// The time for the next bytes of an answer: with its own retries the client needs less, unless nobody answers.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(30);

/// A store that sent nothing for a time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place} has sent nothing for {seconds} s; is the store up and reachable from here?")]
pub struct SilentStore {
    /// The store's URL, without secrets.
    pub place: String,
    /// The time, in seconds.
    pub seconds: u64,
}

/// The [`SilentStore`] in `error` or in its causes, if any.
pub fn silent_store<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e SilentStore> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(silent) = error.downcast_ref() {
            return Some(silent);
        }
        cause = error.source();
    }
    None
}

/// A store whose reads end.
#[derive(Debug)]
pub(super) struct EndingReads {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) end: End,
}

/// How a read ends that would not.
#[derive(Debug)]
pub(super) enum End {
    /// Only files below this directory are opened.
    FilesOnly(PathBuf),
    /// A store at this place may be silent for so long.
    Silence(String, Duration),
}

impl End {
    /// Makes sure that the object can be opened.
    async fn check(&self, location: &Path) -> Result<()> {
        let Self::FilesOnly(root) = self else { return Ok(()) };
        let path = location.parts().fold(root.clone(), |path, part| path.join(part.as_ref()));
        // What is absent or cannot be seen is the store's to say.
        let Ok(found) = tokio::fs::metadata(&path).await else { return Ok(()) };
        match other_kind(&found) {
            Some(kind) => {
                let text = format!("{} is {kind}, not a file", path.display());
                Err(Error::Generic { store: "LocalFileSystem", source: text.into() })
            }
            None => Ok(()),
        }
    }

    /// The answer, or the error that says how long there was none.
    async fn answer<T>(&self, request: impl Future<Output = T>) -> Result<T> {
        let Self::Silence(place, limit) = self else { return Ok(request.await) };
        tokio::time::timeout(*limit, request).await.map_err(|_| {
            let silent = SilentStore { place: place.clone(), seconds: limit.as_secs() };
            Error::Generic { store: "store", source: Box::new(silent) }
        })
    }
}

/// What something is that is no regular file; a link is what it leads to.
fn other_kind(found: &Metadata) -> Option<&'static str> {
    let kind = found.file_type();
    let kinds = [
        (kind.is_dir(), "a directory"),
        (kind.is_fifo(), "a FIFO"),
        (kind.is_socket(), "a socket"),
        (kind.is_char_device() || kind.is_block_device(), "a device"),
    ];
    let named = kinds.into_iter().find_map(|(is_it, name)| is_it.then_some(name));
    (!kind.is_file()).then(|| named.unwrap_or("something else"))
}

/// The pieces of an answer; the last is an error where the next one does not come.
fn pieces(pieces: BoxStream<'static, Result<Bytes>>, end: End) -> BoxStream<'static, Result<Bytes>> {
    let watched = stream::unfold(Some((pieces, end)), |state| async move {
        let (mut pieces, end) = state?;
        match end.answer(pieces.next()).await {
            Ok(None) => None,
            Ok(Some(Ok(piece))) => Some((Ok(piece), Some((pieces, end)))),
            Ok(Some(Err(error))) | Err(error) => Some((Err(error), None)),
        }
    });
    watched.boxed()
}

impl fmt::Display for EndingReads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for EndingReads {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.end.check(location).await?;
        let mut answer = self.end.answer(self.store.get_opts(location, options)).await??;
        if let End::Silence(place, limit) = &self.end
            && let GetResultPayload::Stream(stream) = answer.payload
        {
            answer.payload = GetResultPayload::Stream(pieces(stream, End::Silence(place.clone(), *limit)));
        }
        Ok(answer)
    }

    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.store.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.store.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests;
