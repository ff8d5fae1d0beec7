//! Uploads of a segment over a store that fails, loses replies and holds other objects.

use std::sync::{Arc, Mutex};

use common::{TopicName, TopicPartition};
use support::fault_store::{Answer, Effect, Fault, FaultStore, Operation};

use super::*;

/// Notes every step in order; intents are answered from a script, and recorded once it is spent.
#[derive(Default)]
struct World {
    steps: Mutex<Vec<String>>,
    answers: Mutex<Vec<Option<CatalogError>>>,
    /// What `may_repeat` answers.
    may_repeat: bool,
}

impl World {
    fn answering(answers: impl IntoIterator<Item = Option<CatalogError>>) -> Self {
        Self { answers: Mutex::new(answers.into_iter().collect()), ..Self::default() }
    }

    fn note(&self, step: impl Into<String>) {
        self.steps.lock().expect("no holder panics").push(step.into());
    }

    fn steps(&self) -> Vec<String> {
        self.steps.lock().expect("no holder panics").clone()
    }

    fn new_key(&self) -> NewKey {
        let steps = self.steps.lock().expect("no holder panics");
        let number = steps.iter().filter(|step| step.starts_with("new")).count();
        drop(steps);
        self.note(format!("new k{number}"));
        NewKey { id: format!("id{number}"), key: Path::from(format!("k{number}")) }
    }
}

#[async_trait]
impl Intents for World {
    async fn record(&self, key: &Path) -> Option<Result<(), CatalogError>> {
        self.note(format!("intent {key}"));
        let mut answers = self.answers.lock().expect("no holder panics");
        if answers.is_empty() {
            return Some(Ok(()));
        }
        answers.remove(0).map(Err)
    }

    async fn abandon(&self, key: &Path) -> Result<(), CatalogError> {
        self.note(format!("abandon {key}"));
        Ok(())
    }

    fn may_repeat(&self) -> bool {
        self.may_repeat
    }
}

impl Observer for World {
    fn retrying(&self, retry: &Retry<'_>) {
        self.note(format!("{} again after {}", retry.step, retry.attempt));
    }
}

fn encoded(text: &'static str) -> EncodedSegment {
    EncodedSegment {
        payload: text.into(),
        size_bytes: text.len() as u64,
        checksum: common::checksum::crc32c(text.as_bytes()),
        ..EncodedSegment::default()
    }
}

async fn put(world: &World, store: Arc<FaultStore>) -> Result<StoredSegment, PutStop> {
    let storage = Storage::from_store(store);
    let (encoded, new_key) = (encoded("abcd"), || world.new_key());
    let put = SegmentPut { storage: &storage, encoded: &encoded, new_key: &new_key, intents: world, observer: world };
    let stored = put.run().await?;
    let found = storage.store.get(&stored.name.key).await.expect("it is there").bytes().await.expect("read");
    assert_eq!(found, "abcd", "the key that was answered holds the object");
    Ok(stored)
}

/// A put over a store with these faults, with its steps.
async fn put_over(faults: &[(Operation, Fault)]) -> (StoredSegment, Vec<String>, u64) {
    let (world, store) = (World::default(), FaultStore::new(Storage::memory().store));
    for (operation, fault) in faults {
        store.next(*operation, 1, *fault);
    }
    let stored = put(&world, store.clone()).await.expect("stored");
    assert_eq!(store.left(), 0, "every fault was met");
    (stored, world.steps(), store.record().calls[&Operation::Put])
}

#[tokio::test(start_paused = true)]
async fn the_intent_comes_before_the_put() {
    let (stored, steps, puts) = put_over(&[]).await;
    assert_eq!((steps, puts, stored.retries), (vec!["new k0".to_owned(), "intent k0".to_owned()], 1, 0));
    assert_eq!(stored.name.id, "id0");
}

#[tokio::test(start_paused = true)]
async fn a_put_whose_reply_was_lost_is_read_back_and_not_repeated() {
    let (stored, steps, puts) = put_over(&[(Operation::Put, Fault::lost_reply())]).await;
    assert_eq!((steps, puts), (vec!["new k0".into(), "intent k0".into(), "put again after 1".into()], 1));
    assert_eq!(stored.retries, 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_answers_is_given_up_and_asked_again() {
    let never = Duration::from_secs(86_400);
    let (done, nothing) = (Fault::slow(never), Fault { delay: never, ..Fault::before(Answer::TimedOut) });
    let started = tokio::time::Instant::now();
    let (_, steps, puts) = put_over(&[(Operation::Put, done)]).await;
    assert_eq!((steps, puts), (vec!["new k0".into(), "intent k0".into(), "put again after 1".into()], 1));
    assert!((30..40).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());

    let started = tokio::time::Instant::now();
    let faults = [(Operation::Put, nothing), (Operation::Get, nothing), (Operation::Head, nothing)];
    let (stored, steps, puts) = put_over(&faults).await;
    let failed = ["put again after 1", "read back again after 2", "check again after 3"];
    assert_eq!(steps, [["new k0", "intent k0"].as_slice(), &failed].concat());
    assert_eq!((puts, stored.retries), (2, 3));
    // 30 s, twice as long after one failure, four times after two, and the pauses in between.
    assert!((210..220).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
}

#[test]
fn patience_grows_with_size_and_failures_and_a_directory_is_waited_for() {
    let (far, folder) = (Storage::memory(), tempfile::tempdir().expect("a folder"));
    let seconds = |size, failed| patience(&far, size, failed).expect("a time").as_secs();
    assert_eq!((seconds(0, 0), seconds(64 << 20, 0)), (30, 542));
    assert_eq!((seconds(0, 1), seconds(0, 2), seconds(0, u32::MAX)), (60, 120, 120));
    let near = Storage::local(folder.path().to_owned()).expect("a directory");
    assert_eq!(patience(&near, 0, 0), None);
}

#[tokio::test(start_paused = true)]
async fn a_put_that_did_nothing_is_repeated_under_its_key() {
    let faults =
        [(Operation::Put, Fault::before(Answer::Exists)), (Operation::Get, Fault::before(Answer::Unavailable))];
    let (stored, steps, puts) = put_over(&faults).await;
    let expected = ["new k0", "intent k0", "put again after 1", "read back again after 2"];
    assert_eq!((steps, puts), (expected.map(str::to_owned).to_vec(), 2));
    assert_eq!(stored.name.key, Path::from("k0"));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_holds_something_else_is_given_up() {
    for effect in [Effect::Cut, Effect::Changed] {
        let (stored, steps, puts) = put_over(&[(Operation::Put, Fault::wrong(effect, Answer::TimedOut))]).await;
        let expected = ["new k0", "intent k0", "put again after 1", "abandon k0", "new k1", "intent k1"];
        assert_eq!((steps, puts), (expected.map(str::to_owned).to_vec(), 2));
        assert_eq!(stored.name.key, Path::from("k1"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_success_that_stored_half_of_it_is_noticed() {
    let (stored, steps, _) = put_over(&[(Operation::Put, Fault::wrong(Effect::Cut, Answer::Success))]).await;
    let expected = ["new k0", "intent k0", "check again after 1", "abandon k0", "new k1", "intent k1"];
    assert_eq!(steps, expected.map(str::to_owned));
    assert_eq!(stored.name.key, Path::from("k1"));
}

#[tokio::test(start_paused = true)]
async fn a_put_ends_without_an_object_when_its_intent_cannot_be_recorded() {
    let partition = TopicPartition::new(TopicName::new("t").expect("valid"), 0);
    let fenced = CatalogError::Fenced { partition, reason: "its owner is another".to_owned() };
    let poisoned = CatalogError::Poisoned("the disk failed".to_owned());
    for (answer, expected) in [(Some(fenced), "fenced"), (Some(poisoned), "poisoned"), (None, "gone")] {
        let (world, store) = (World::answering([answer]), FaultStore::new(Storage::memory().store));
        let stop = put(&world, store.clone()).await.expect_err(expected);
        let found = match stop {
            PutStop::Fenced(_) => "fenced",
            PutStop::Poisoned(_) => "poisoned",
            PutStop::NeighbourGone => "gone",
        };
        assert_eq!(found, expected);
        assert!(store.record().calls.is_empty(), "nothing is put without an intent");
    }
}

#[tokio::test(start_paused = true)]
async fn any_other_error_of_an_intent_is_tried_again() {
    let refused = || Some(CatalogError::Refused("not now".to_owned()));
    let store = || FaultStore::new(Storage::memory().store);
    let world = World { may_repeat: true, ..World::answering([refused(), refused()]) };
    assert_eq!(put(&world, store()).await.expect("stored").retries, 2);
    let expected = ["new k0", "intent k0", "intent again after 1", "intent k0", "intent again after 2", "intent k0"];
    assert_eq!(world.steps(), expected.map(str::to_owned));

    let world = World::answering([refused(), refused()]);
    assert_eq!(put(&world, store()).await.expect("stored").name.key, Path::from("k2"));
    let first = ["new k0", "intent k0", "intent again after 1", "new k1", "intent k1", "intent again after 2"];
    let then = ["new k2", "intent k2", "abandon k0", "abandon k1"];
    assert_eq!(world.steps(), [first.as_slice(), &then].concat(), "no key is used after an attempt without an answer");
}

#[tokio::test(start_paused = true)]
async fn a_put_that_ends_gives_up_the_intents_whose_answers_were_lost() {
    let lost = Some(CatalogError::Refused("not now".to_owned()));
    let (world, store) = (World::answering([lost, None]), FaultStore::new(Storage::memory().store));
    assert!(matches!(put(&world, store).await, Err(PutStop::NeighbourGone)));
    let expected = ["new k0", "intent k0", "intent again after 1", "new k1", "intent k1", "abandon k0"];
    assert_eq!(world.steps(), expected.map(str::to_owned));
}
