//! Attempts: the records of one partition are sent until each has an answer.
//!
//! Owns: which agent is next, when to repeat, and when to give up. Does not own: one request (`request`), what is known of
//! each record (`progress`), the agents (`directory`).
//!
//! One attempt asks every agent once, those first that answered last time. Records keep their ids, so that a record whose
//! answer was lost is stored once whichever agent takes it again. No record is sent before those ahead of it have an
//! answer.

use std::sync::Arc;

use common::backoff::Backoff;
use common::{AgentUrl, ErrorKind, OutgoingMessage, TopicPartition};
use reqwest::StatusCode;
use tokio::time::{Instant, sleep};

use super::Remote;
use super::progress::{Progress, Waiting};
use super::reply::verdicts;
use super::request::{Post, RequestError};
use crate::acks::Acks;
use crate::error::ProducerError;
use crate::frames;
use crate::outcome::Answer;
use crate::topics::Topics;

/// The end of an attempt.
enum Attempt {
    /// Every record has an answer.
    Done,
    /// The records are in the queue, and some are not committed.
    Uncommitted,
    /// No agent has the topic.
    TopicMissing,
    /// Every agent failed; the last one so.
    AllFailed(ProducerError),
}

/// The next step after a request to an agent.
enum Next {
    /// Send what is left to the same agent.
    SameAgent,
    /// Try the next agent, because of this error.
    OtherAgent(ProducerError),
    End(Attempt),
}

impl Remote {
    /// Sends records of one partition in order, and returns one answer each. Every record has an id.
    pub(crate) async fn deliver(
        &self,
        topics: &Topics,
        partition: &TopicPartition,
        messages: &[OutgoingMessage],
    ) -> Vec<Answer> {
        let began = Instant::now();
        let repeat_until = began + topics.repeat_time(&partition.topic);
        let commit_until = repeat_until.min(began + self.options.commit_timeout);
        let mut progress = Progress::new(partition.partition_id, messages);
        let (mut backoff, mut attempts, mut is_looked_up) =
            (Backoff::starting_at(self.options.retry_backoff), 0, false);
        loop {
            let (error, is_over) = match self.attempt(partition, &mut progress, began).await {
                Attempt::Done => return progress.into_answers(),
                Attempt::TopicMissing => {
                    let looked_up = topics.refresh(&partition.topic).await;
                    match looked_up {
                        // It was made again meanwhile.
                        Ok(_) if !std::mem::replace(&mut is_looked_up, true) => continue,
                        Ok(_) => progress.fail_all(ProducerError::TopicNotFound(partition.topic.clone())),
                        Err(error) => progress.fail_all(error),
                    }
                    return progress.into_answers();
                }
                Attempt::Uncommitted => (self.directory.nobody(), Instant::now() >= commit_until),
                Attempt::AllFailed(error) => {
                    attempts += 1;
                    (self.directory.none_available(error), attempts >= self.options.max_attempts)
                }
            };
            let wait = backoff.next_wait();
            if is_over || Instant::now() + wait >= repeat_until {
                progress.give_up(Arc::new(error));
                return progress.into_answers();
            }
            sleep(wait).await;
            self.directory.refresh().await;
        }
    }

    async fn attempt(&self, partition: &TopicPartition, progress: &mut Progress<'_>, began: Instant) -> Attempt {
        let mut last = self.directory.nobody();
        for agent in self.directory.in_turn(partition) {
            loop {
                if progress.is_done() {
                    return Attempt::Done;
                }
                match self.send_next(&agent, partition, progress, began).await {
                    Next::SameAgent => {}
                    Next::OtherAgent(error) => {
                        tracing::warn!(%partition, %error, "records not confirmed by an agent");
                        self.directory.failed(&agent);
                        last = error;
                        break;
                    }
                    Next::End(end) => return end,
                }
            }
        }
        Attempt::AllFailed(last)
    }

    /// Sends the next records that have no answer.
    async fn send_next(
        &self,
        agent: &AgentUrl,
        partition: &TopicPartition,
        progress: &mut Progress<'_>,
        began: Instant,
    ) -> Next {
        let (sent, messages) = progress.next_records();
        let acks = self.options.acks;
        let limit = match acks {
            Acks::Queued => self.options.request_timeout,
            Acks::Committed => self.options.request_timeout + self.options.commit_timeout,
        };
        let post = Post { partition, body: frames::encode(messages.into_iter()), acks, age: began.elapsed(), limit };
        let answered = match self.client.post(agent, post).await {
            Ok(answered) => answered,
            Err(failed) => return after_failure(progress, &sent, failed),
        };
        if answered.is_of_missing_topic() {
            return Next::End(Attempt::TopicMissing);
        }
        if answered.status == StatusCode::PAYLOAD_TOO_LARGE {
            match sent[..] {
                [alone] => progress.refuse(alone, answered.refused(agent).error),
                _ => progress.send_at_most(sent.len() / 2),
            }
            return Next::SameAgent;
        }
        match verdicts(agent, &answered, sent.len()) {
            Err(refused) => after_failure(progress, &sent, refused),
            Ok(verdicts) => {
                self.directory.answered(agent);
                match progress.take(&sent, verdicts) {
                    None => Next::SameAgent,
                    Some(Waiting::ForCommit) => Next::End(Attempt::Uncommitted),
                    Some(Waiting::ForQueue(error)) => Next::OtherAgent(error),
                }
            }
        }
    }
}

fn after_failure(progress: &mut Progress<'_>, sent: &[usize], failed: RequestError) -> Next {
    let RequestError { error, is_maybe_taken } = failed;
    progress.note_failure(sent, is_maybe_taken);
    if error.kind() == ErrorKind::Unavailable {
        return Next::OtherAgent(error);
    }
    progress.fail_all(error);
    Next::End(Attempt::Done)
}
