//! Together: one flush, from rows to receipts.
//!
//! Owns: encoding, putting and committing the rows of many partitions as one, and the answer to each of them. A partition
//! that was lost meanwhile is left out, and the object is made anew without it.
//! Does not own: the choice of batches (`gather`), the protocol of a put (`lake::put`), the transaction (`catalog`).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use catalog::{CatalogError, CommitOutcome, CommitRequest, NewObject, SegmentKind};
use common::backoff::Backoff;
use common::{CommitReceipt, ErrorKind, TopicName, failpoint};
use lake::keys::{NewKey, SharedName};
use lake::put::{Intents, Observer, Retry, SegmentPut, SharedIntents};
use tokio::time::Instant;

use super::objects::{Rows, segment_of};
use super::{Committed, Parts, Waiting};
use crate::pipeline::context::Stop;
use crate::service::metrics;

/// The stored objects of a flush.
type Stored = Vec<(SegmentKind, NewKey, Arc<NewObject>)>;

/// Commits the batches together. They are of one topic, day, schema version and owner.
pub(super) async fn commit(parts: &Parts, topic: &TopicName, mut flush: Vec<Waiting>) {
    loop {
        // A pipeline that ended no longer wants an answer, and its partition may have another owner.
        flush.retain(|waiting| !waiting.answer.is_closed());
        if flush.is_empty() {
            return;
        }
        let stored = match store(parts, topic, &flush).await {
            Ok(stored) => stored,
            Err(stop) => return flush.into_iter().for_each(|waiting| waiting.end(stop.clone())),
        };
        let requests: Vec<CommitRequest> = flush.iter().map(|waiting| request(waiting, &stored)).collect();
        let committer = Committer { parts, flush: &flush, retries: parts.config.upload_retries };
        match committer.commit(&requests).await {
            Ok(ends) if ends.iter().any(|end| matches!(end, End::Done(_))) => {
                report(topic, &requests, &stored);
                return flush.into_iter().zip(requests).zip(ends).for_each(answer);
            }
            // Some are fenced: none is committed, and the others go on without them.
            Ok(ends) => {
                give_up(&intents(parts, topic, &flush), &stored).await;
                let mut rest = Vec::new();
                for (waiting, end) in flush.into_iter().zip(ends) {
                    match end {
                        End::Lost(stop) => waiting.end(stop),
                        End::Done(_) | End::NotDone => rest.push(waiting),
                    }
                }
                flush = rest;
            }
            Err(stop) => return flush.into_iter().for_each(|waiting| waiting.end(stop.clone())),
        }
    }
}

/// Encodes the rows and puts an object for each kind.
async fn store(parts: &Parts, topic: &TopicName, flush: &[Waiting]) -> Result<Stored, Stop> {
    let started = Instant::now();
    let _turn = parts.limits.uploads.acquire().await.expect("the semaphore is never closed");
    let (schema_version, pages) = (flush[0].batch.schema_version, parts.config.pages());
    let first_timestamp_us = flush.iter().map(|waiting| waiting.batch.first_timestamp_us).min().unwrap_or_default();
    let intents = intents(parts, topic, flush);
    let mut stored = Stored::new();
    for kind in SegmentKind::ALL {
        let Some(rows) = Rows::of(flush, topic, kind) else { continue };
        let encoded = parts.limits.cpu.run(move || rows.encode(pages)).await?;
        let name = SharedName { topic, kind, first_timestamp_us };
        let new_key = || name.new_key(&parts.storage.prefix);
        let observer = Reporter { flush, retries: parts.config.upload_retries };
        let put = SegmentPut {
            storage: &parts.storage,
            encoded: &encoded,
            new_key: &new_key,
            intents: &intents,
            observer: &observer,
        };
        let name = match put.run().await {
            Ok(put) => put.name,
            Err(stop) => {
                give_up(&intents, &stored).await;
                return Err(stop.into());
            }
        };
        tracing::debug!(key = %name.key, size_bytes = encoded.size_bytes, partitions = flush.len(), "object uploaded");
        let object = encoded.object(&parts.storage.bucket, &name.key, schema_version);
        stored.push((kind, name, Arc::new(object)));
    }
    flush.iter().for_each(|waiting| waiting.progress.failing.store(false, Ordering::Relaxed));
    ::metrics::histogram!(metrics::UPLOAD_SECONDS).record(started.elapsed().as_secs_f64());
    Ok(stored)
}

/// The intents of a flush: all its batches have one owner.
fn intents<'a>(parts: &'a Parts, topic: &'a TopicName, flush: &[Waiting]) -> SharedIntents<'a> {
    let (catalog, storage) = (parts.catalog.as_ref(), &parts.storage);
    SharedIntents { catalog, storage, topic, owner: flush[0].held.owner }
}

/// Gives the objects up. An intent that stays is doomed once this process is gone.
async fn give_up(intents: &SharedIntents<'_>, stored: &Stored) {
    for (_, name, _) in stored {
        if let Err(error) = intents.abandon(&name.key).await {
            tracing::debug!(key = %name.key, %error, "intent of a shared object not given up");
        }
    }
}

fn request(waiting: &Waiting, stored: &Stored) -> CommitRequest {
    let segments = stored.iter().filter_map(|(kind, name, object)| segment_of(waiting, *kind, object, name));
    waiting.batch.request(&waiting.held, segments.collect())
}

/// One line for all partitions: there may be thousands.
fn report(topic: &TopicName, requests: &[CommitRequest], stored: &Stored) {
    let rows_of = |wanted: SegmentKind| -> u64 {
        stored.iter().filter(|(kind, ..)| *kind == wanted).map(|(.., object)| object.record_count).sum()
    };
    tracing::info!(
        %topic,
        partitions = requests.len(),
        messages = requests.iter().map(|request| request.message_count).sum::<u64>(),
        records = rows_of(SegmentKind::Data),
        quarantined = rows_of(SegmentKind::Quarantine),
        size_bytes = stored.iter().map(|(.., object)| object.size_bytes).sum::<u64>(),
        key = stored.first().map_or("", |(.., object)| object.key.as_str()),
        "segments committed"
    );
}

fn answer(((waiting, request), end): ((Waiting, CommitRequest), End)) {
    let Waiting { batch, answer, .. } = waiting;
    let committed = match end {
        End::Done(receipt) => Ok(Committed { batch, segments: request.segments, receipt }),
        End::Lost(stop) => Err(stop),
        // The catalog went back between two answers: the partition reads its watermark again.
        End::NotDone => Err(Stop::Fenced("the catalog forgot the commit of its shared object".to_owned())),
    };
    // The pipeline may have ended; the commit stands.
    answer.send(committed).ok();
}

impl Waiting {
    fn end(self, stop: Stop) {
        self.answer.send(Err(stop)).ok();
    }
}

/// The end of one request.
enum End {
    Done(CommitReceipt),
    /// It can never be committed.
    Lost(Stop),
    /// It can be committed with another object.
    NotDone,
}

/// Repeats a commit until its outcome is known.
struct Committer<'a> {
    parts: &'a Parts,
    flush: &'a [Waiting],
    retries: u32,
}

impl Committer<'_> {
    /// The ends of the requests: one is `Done`, or one is `Lost`. An error ends all of them.
    async fn commit(&self, requests: &[CommitRequest]) -> Result<Vec<End>, Stop> {
        let mut backoff = Backoff::default();
        loop {
            let (mut ends, mut failure) = (Vec::with_capacity(requests.len()), None);
            for (request, outcome) in requests.iter().zip(self.attempt(requests).await) {
                ends.push(match self.known(request, outcome, &mut backoff).await? {
                    CommitOutcome::Done(receipt) => End::Done(receipt),
                    CommitOutcome::Refused(refusal) => End::Lost(Stop::Fenced(refusal.to_string())),
                    CommitOutcome::NotDone(error) | CommitOutcome::Unknown(error) => {
                        failure = Some(error);
                        End::NotDone
                    }
                });
            }
            if ends.iter().any(|end| !matches!(end, End::NotDone)) {
                return Ok(ends);
            }
            let error = failure.expect("a flush has a batch");
            if matches!(error, CatalogError::Poisoned(_)) {
                return Err(Stop::Exit(error.to_string()));
            }
            let text = match error.kind() {
                ErrorKind::Fatal => "commit refused by the database, trying again",
                _ => "commit failed, retrying",
            };
            self.wait(&mut backoff, &error, text).await;
        }
    }

    /// Sends the requests once.
    async fn attempt(&self, requests: &[CommitRequest]) -> Vec<CommitOutcome> {
        failpoint::hit("commit.before").await;
        let outcomes = self.parts.catalog.commit_together(requests).await;
        self.parts.unannounced.note(&outcomes);
        assert_eq!(outcomes.len(), requests.len(), "one outcome for each request");
        if !outcomes.iter().all(|outcome| matches!(outcome, CommitOutcome::Done(_)))
            || !failpoint::fails("commit.reply").await
        {
            return outcomes;
        }
        let lost = |request: &CommitRequest| CatalogError::NotCommitted(request.partition.clone());
        requests.iter().map(|request| CommitOutcome::Unknown(lost(request))).collect()
    }

    /// The outcome, read back from the catalog until it is known.
    async fn known(
        &self,
        request: &CommitRequest,
        mut outcome: CommitOutcome,
        backoff: &mut Backoff,
    ) -> Result<CommitOutcome, Stop> {
        while let CommitOutcome::Unknown(error) = outcome {
            if matches!(error, CatalogError::Poisoned(_)) {
                return Err(Stop::Exit(error.to_string()));
            }
            self.wait(backoff, &error, "commit outcome unknown, reading it back").await;
            outcome = self.parts.catalog.resolve(request).await.unwrap_or_else(CommitOutcome::Unknown);
        }
        Ok(outcome)
    }

    async fn wait(&self, backoff: &mut Backoff, error: &CatalogError, what: &'static str) {
        ::metrics::counter!(metrics::COMMIT_RETRIES).increment(1);
        let wait = backoff.next_wait();
        let (attempt, backoff_ms) = (backoff.attempts(), wait.as_millis() as u64);
        let (topic, partitions) = (&self.flush[0].held.partition.topic, self.flush.len());
        if attempt >= self.retries {
            self.flush.iter().for_each(|waiting| waiting.progress.failing.store(true, Ordering::Relaxed));
            tracing::error!(%topic, partitions, attempt, backoff_ms, %error, what);
        } else {
            tracing::warn!(%topic, partitions, attempt, backoff_ms, %error, what);
        }
        tokio::time::sleep(wait).await;
    }
}

/// Reports an upload that keeps failing, for every partition of the flush.
struct Reporter<'a> {
    flush: &'a [Waiting],
    retries: u32,
}

impl Observer for Reporter<'_> {
    fn retrying(&self, retry: &Retry<'_>) {
        let is_failing = crate::pipeline::upload::report(retry, self.retries);
        if is_failing {
            self.flush.iter().for_each(|waiting| waiting.progress.failing.store(true, Ordering::Relaxed));
        }
    }
}
