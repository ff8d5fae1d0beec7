//! What is known of each record of a batch that is sent over HTTP.
//!
//! Owns: the records to send next, the answers, and the rule that no record is repeated behind which another is stored
//! already. Does not own: requests and their times (`deliver`).

use std::sync::Arc;

use common::OutgoingMessage;

use super::reply::{Later, Stored, Verdict};
use crate::error::ProducerError;
use crate::outcome::{Answer, SendFailure};

/// The records of a batch.
#[derive(Debug)]
pub(super) struct Progress<'m> {
    partition: u32,
    messages: &'m [OutgoingMessage],
    records: Vec<Record>,
    /// Most records of a request: an agent takes bodies of a limited size.
    most: usize,
}

#[derive(Clone, Debug)]
struct Record {
    answer: Option<Answer>,
    /// The reason in the last answer, if there was one.
    reason: Option<Arc<ProducerError>>,
    is_maybe_stored: bool,
}

/// What records without an answer wait for.
#[derive(Debug)]
pub(super) enum Waiting {
    /// They are in the queue.
    ForCommit,
    /// The agent could not put them into the queue; the reason of the first.
    ForQueue(ProducerError),
}

impl<'m> Progress<'m> {
    pub(super) fn new(partition: u32, messages: &'m [OutgoingMessage]) -> Self {
        let record = Record { answer: None, reason: None, is_maybe_stored: false };
        Self { partition, messages, records: vec![record; messages.len()], most: usize::MAX }
    }

    /// True if every record has an answer.
    pub(super) fn is_done(&self) -> bool {
        self.records.iter().all(|record| record.answer.is_some())
    }

    /// The first records without an answer, with their numbers.
    pub(super) fn next_records(&self) -> (Vec<usize>, Vec<&'m OutgoingMessage>) {
        let open = self.records.iter().enumerate().filter(|(_, record)| record.answer.is_none());
        open.map(|(number, _)| (number, &self.messages[number])).take(self.most).unzip()
    }

    /// From now on no request has more records.
    pub(super) fn send_at_most(&mut self, records: usize) {
        self.most = records.max(1);
    }

    /// Fails a record that is too large for a request of its own; those behind it go together again.
    pub(super) fn refuse(&mut self, number: usize, error: ProducerError) {
        self.fail(number, Arc::new(error));
        self.most = usize::MAX;
    }

    /// Takes the verdicts on the records of these numbers. Returns what is waited for, if a repetition may help.
    pub(super) fn take(&mut self, numbers: &[usize], verdicts: Vec<Verdict>) -> Option<Waiting> {
        let last_stored = verdicts.iter().rposition(is_stored);
        let mut waiting = None;
        for (place, (&number, verdict)) in numbers.iter().zip(verdicts).enumerate() {
            match verdict {
                Verdict::Done(ack) => self.records[number].answer = Some(Ok(ack)),
                Verdict::Failed { error, is_not_stored } => {
                    self.records[number].is_maybe_stored |= !is_not_stored;
                    self.fail(number, Arc::new(error));
                }
                Verdict::Later(Later { error, stored }) => {
                    let error = Arc::new(error);
                    self.records[number].is_maybe_stored |= stored != Stored::No;
                    // Stored now, it would come behind the one that is stored already.
                    if stored != Stored::Yes && last_stored.is_some_and(|last| place < last) {
                        self.fail(number, error);
                        continue;
                    }
                    match (&waiting, stored) {
                        (None, Stored::Yes) => waiting = Some(Waiting::ForCommit),
                        (None | Some(Waiting::ForCommit), Stored::No | Stored::Perhaps) => {
                            waiting = Some(Waiting::ForQueue(ProducerError::clone(&error)));
                        }
                        _ => {}
                    }
                    self.records[number].reason = Some(error);
                }
            }
        }
        waiting
    }

    /// Notes that a request with these records had no answer for each.
    pub(super) fn note_failure(&mut self, numbers: &[usize], is_maybe_taken: bool) {
        for &number in numbers {
            self.records[number].is_maybe_stored |= is_maybe_taken;
            self.records[number].reason = None;
        }
    }

    /// Fails every record without an answer.
    pub(super) fn fail_all(&mut self, error: ProducerError) {
        self.records.iter_mut().for_each(|record| record.reason = None);
        self.give_up(Arc::new(error));
    }

    /// The same, but a record keeps the reason that an agent gave for it.
    pub(super) fn give_up(&mut self, error: Arc<ProducerError>) {
        for number in 0..self.records.len() {
            if self.records[number].answer.is_none() {
                let reason = self.records[number].reason.take();
                self.fail(number, reason.unwrap_or_else(|| Arc::clone(&error)));
            }
        }
    }

    /// The answers, in order. Every record has one.
    pub(super) fn into_answers(self) -> Vec<Answer> {
        self.records.into_iter().map(|record| record.answer.expect("the delivery has ended")).collect()
    }

    fn fail(&mut self, number: usize, error: Arc<ProducerError>) {
        let record = &mut self.records[number];
        let failure = SendFailure { partition: self.partition, error, is_not_stored: !record.is_maybe_stored };
        record.answer = Some(Err(failure));
    }
}

fn is_stored(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Done(_) => true,
        Verdict::Failed { is_not_stored, .. } => !is_not_stored,
        Verdict::Later(Later { stored, .. }) => *stored == Stored::Yes,
    }
}

#[cfg(test)]
mod tests {
    use common::queue::PublishAck;

    use super::*;

    fn messages(count: usize) -> Vec<OutgoingMessage> {
        vec![OutgoingMessage::new("x"); count]
    }

    fn later(stored: Stored) -> Verdict {
        Verdict::Later(Later { error: ProducerError::Discarded, stored })
    }

    fn done(offset: u64) -> Verdict {
        Verdict::Done(PublishAck { offset, duplicate: false })
    }

    /// The answers in short: `ok`, `not stored` or `perhaps`.
    fn answers(progress: Progress<'_>) -> Vec<&'static str> {
        let short = |answer: Answer| match answer {
            Ok(_) => "ok",
            Err(failure) if failure.is_not_stored => "not stored",
            Err(_) => "perhaps",
        };
        progress.into_answers().into_iter().map(short).collect()
    }

    #[test]
    fn what_follows_the_last_stored_record_is_repeated_and_what_is_before_it_is_not() {
        let messages = messages(5);
        let mut progress = Progress::new(0, &messages);
        let all = progress.next_records().0;
        let verdicts = vec![done(0), later(Stored::Perhaps), done(1), later(Stored::Perhaps), later(Stored::No)];
        assert!(matches!(progress.take(&all, verdicts), Some(Waiting::ForQueue(_))));
        assert_eq!(progress.next_records().0, [3, 4], "record 1 would be stored behind record 2");
        assert!(progress.take(&[3, 4], vec![done(2), done(3)]).is_none());
        assert_eq!(answers(progress), ["ok", "perhaps", "ok", "ok", "ok"]);
    }

    #[test]
    fn records_in_the_queue_are_repeated_until_they_are_committed() {
        let messages = messages(3);
        let mut progress = Progress::new(0, &messages);
        let verdicts = vec![later(Stored::Yes), done(1), later(Stored::Yes)];
        assert!(matches!(progress.take(&[0, 1, 2], verdicts), Some(Waiting::ForCommit)));
        assert_eq!(progress.next_records().0, [0, 2]);
        progress.give_up(Arc::new(ProducerError::Internal));
        assert_eq!(answers(progress), ["perhaps", "ok", "perhaps"]);
    }

    #[test]
    fn a_record_is_not_stored_for_certain_only_if_no_attempt_may_have_stored_it() {
        let messages = messages(3);
        let mut progress = Progress::new(0, &messages);
        progress.send_at_most(1);
        assert_eq!(progress.next_records().0, [0], "a request has at most so many");
        progress.note_failure(&[0], true);
        progress.note_failure(&[1], false);
        let failed = Verdict::Failed { error: ProducerError::Discarded, is_not_stored: true };
        assert!(progress.take(&[0], vec![failed]).is_none());
        progress.fail_all(ProducerError::Discarded);
        assert_eq!(answers(progress), ["perhaps", "not stored", "not stored"]);
    }
}
