//! Every operation of the contract, as a table.
//!
//! Owns: one call of each operation that would change or read the catalog, and the proof that none is missing. Does not
//! own: the expected answers (`door`).

use std::pin::Pin;
use std::time::Duration;

use catalog::{
    CatalogError, Claim, ClaimedOffset, CommitOutcome, CommitRequest, ConsumerOffset, ExpiredBefore, MetadataStore,
    Ownership, Publication, PublishScope, ReadFrom, ReplaceOutcome, Replacement, Replay, ResumePoint, SegmentKind,
    Upload, ViewRequest, ViewedTopics,
};
use common::diagnosis::Finding;
use common::{Incarnation, MemberId};

use super::fixture::*;
use super::publishing::{intend_publication, publication};
use super::replacing::{live_objects, replacement};
use super::together::{intent, share};

/// The arguments of the operations, prepared so that each of them would succeed.
#[derive(Clone, Debug)]
pub(crate) struct World {
    /// A partition that is held, with nothing committed.
    held: Ownership,
    /// A commit of it, whose intent is recorded.
    intended: CommitRequest,
    /// A commit of it whose object has the intent of a shared one.
    shared: CommitRequest,
    /// The commit after it, whose intent is not recorded.
    next: CommitRequest,
    /// A partition that is halted.
    halted: Ownership,
    /// An object that is doomed.
    doomed: Vec<Upload>,
    /// A replacement whose intent is recorded.
    replacement: Replacement,
    /// Another one, whose intent is not.
    unintended: Replacement,
    /// A publication whose intent is recorded.
    publication: Publication,
    /// A member of the group `members`.
    member: MemberId,
    /// Its claim of a partition.
    claim: Claim,
}

impl World {
    pub(crate) async fn prepare(store: &dyn MetadataStore) -> Self {
        create_topic(store, "orders", 3).await;
        let owner = agent(store).await;
        let held = take(store, owner, &partition("orders", 0)).await;
        let halted = take(store, owner, &partition("orders", 1)).await;
        let given_up = request(&halted, 0, 9);
        intend(store, &given_up).await;
        store.abandon_intents(&intents(&given_up)).await.expect("abandoned");
        store.halt(&halted, "for the test").await.expect("halted");
        store.add_segment(imported(&partition("orders", 2), 0, 9)).await.expect("listed");
        store.ensure_consumer_group("readers").await.expect("created");
        store.create_token(super::tokens::token("known", &["read:orders"])).await.expect("created");
        let intended = request(&held, 0, 9);
        intend(store, &intended).await;
        let doomed = store.list_uploads(&halted.partition).await.expect("listed");
        assert_eq!(doomed.len(), 1, "one object is doomed");
        let inputs = live_objects(store, "orders").await;
        let replacement = replacement(owner, &inputs);
        store.record_replacement_intent(&replacement.intent()).await.expect("recorded");
        let topic = name("orders");
        let publication = publication(store, (&topic, SegmentKind::Data), owner, false).await.expect("it exists");
        intend_publication(store, &publication).await;
        let unintended = super::replacing::replacement(owner, &inputs);
        let mut shared = [request(&held, 0, 9)];
        share(&mut shared);
        store.record_replacement_intent(&intent(&shared)).await.expect("recorded");
        let [shared] = shared;
        let next = request(&held, 10, 19);
        let (member, claim) = super::groups::holder(store, "members", &held.partition).await;
        Self { next, held, intended, shared, halted, doomed, replacement, unintended, publication, member, claim }
    }

    fn resume_point(&self) -> ResumePoint {
        ResumePoint { high_watermark: 5, anchor: None, reason: "for the test".to_owned() }
    }

    fn viewed(&self) -> ViewRequest {
        let topics = ViewedTopics::These(vec![name("orders")]);
        let all = ViewRequest { topics, list_topics: true, commits: true, gaps: true, ..ViewRequest::default() };
        ViewRequest { agents: true, uploads: true, groups: true, offsets: true, ..all }
    }

    fn offset(&self) -> ConsumerOffset {
        let (group_id, topic, incarnation) = ("others".to_owned(), name("orders"), Incarnation(0));
        ConsumerOffset { group_id, topic, partition_id: 0, incarnation, committed_offset: 3, metadata: None }
    }

    fn claimed_offset(&self) -> ClaimedOffset {
        super::groups::offset(&self.claim, 3)
    }

    fn replay(&self) -> Replay {
        Replay {
            partition: partition("orders", 0),
            incarnation: Incarnation(0),
            offset: 1,
            row: 0,
            new_partition_id: 0,
            new_offset: 7,
            replayed_at: 0,
        }
    }
}

/// The result of a call.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It was done.
    Done,
    /// It failed, and certainly did nothing.
    Failed(CatalogError),
    /// Findings instead of an error.
    Found(Vec<Finding>),
    /// Another outcome of a commit: refused, or unknown.
    Otherwise(String),
}

/// A call that is under way.
pub(crate) type Call<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

/// An operation, and a call of it.
#[derive(Clone, Copy)]
pub(crate) struct Operation {
    /// Its name in the contract.
    pub(crate) name: &'static str,
    /// Calls it.
    pub(crate) call: for<'a> fn(&'a dyn MetadataStore, &'a World) -> Call<'a>,
}

/// The table: `name(arguments);` calls the operation of that name.
macro_rules! operations {
    (|$world:ident| $($name:ident($($argument:expr),*);)*) => {
        pub(crate) const OPERATIONS: &[Operation] = &[$(Operation {
            name: stringify!($name),
            call: |store, $world| Box::pin(async move {
                let _ = $world;
                Answer::from(store.$name($($argument),*).await)
            }),
        }),*];
    };
}

operations! { |world|
    check();
    diagnose();
    verify();
    create_topic(topic_config("new", 2));
    get_topic(&name("orders"));
    list_topics();
    update_topic_config(&name("orders"), 1, Some(5), Default::default());
    update_topic_options(&name("orders"), 1, Default::default());
    get_partition(&world.held.partition);
    list_partitions(&name("orders"));
    update_high_watermark(&partition("orders", 2), 50);
    add_segment(imported(&partition("orders", 2), 20, 29));
    get_segments(&partition("orders", 2));
    find_segment_for_offset(&partition("orders", 2), 5);
    segments_from(&partition("orders", 2), ReadFrom::Offset(5), 1);
    snapshot(&name("orders"));
    exceptions(&partition("orders", 2), range(5, 7));
    list_gaps(&world.held.partition);
    list_commits(&world.held.partition);
    list_incarnations(&world.held.partition);
    delete_segments_before(&partition("orders", 2), 15);
    expire_segments(&name("orders"), &[ExpiredBefore { partition_id: 2, offset: 15 }]);
    expire_by_age(&name("orders"));
    due_by_age(&name("orders"));
    list_retired(&name("orders"));
    list_snapshots();
    object_statistics(&name("orders"), SegmentKind::Data, &[TIMESTAMP_FIELD], None);
    view(&world.viewed());
    list_expirations(&world.held.partition);
    record_root("lake", "s3://lake/");
    objects_place("lake");
    open_tables(Some(&name("orders")));
    list_published();
    find_published(&name("orders"), SegmentKind::Data);
    table_state(&name("orders"), SegmentKind::Data, PublishScope::Changes);
    metadata_objects(&name("orders"), SegmentKind::Data);
    publish(&world.publication);
    unpublish(&name("orders"));
    record_replacement_intent(&world.unintended.intent());
    replace(&world.replacement);
    resolve_replacement(&world.replacement);
    abandon_replacement(&world.replacement.intent());
    doom_abandoned_replacements(Duration::ZERO);
    fold_history(Duration::ZERO);
    list_shared_uploads(&name("orders"));
    record_intents(&intents(&world.next));
    commit(std::slice::from_ref(&world.intended));
    commit_together(std::slice::from_ref(&world.shared));
    resolve(&world.intended);
    abandon_intents(&intents(&world.intended));
    heartbeat(&catalog::Agent { owner: world.held.owner, name: "again".to_owned(), scope: catalog::Scope::Nothing, contact: Default::default() });
    acquire(world.held.owner, Duration::from_secs(60), &[partition("orders", 2)]);
    list_agents(LONG_LEASE);
    announce(&ingester("http://127.0.0.1:8081"));
    withdraw(world.held.owner);
    list_registered(LONG_LEASE);
    ownership_view(LONG_LEASE);
    mark_suspect(&world.held, 3);
    clear_suspect(&world.held);
    resume(&world.halted.partition, Incarnation(0), &world.resume_point());
    release(std::slice::from_ref(&world.held));
    halt(&world.held, "a reason");
    remove_agent(world.held.owner);
    due_objects("lake", Duration::ZERO, Duration::ZERO, 10);
    swept(&world.doomed);
    list_uploads(&world.halted.partition);
    mark_replayed(&[world.replay()]);
    list_replays(&world.held.partition);
    join_group(&super::groups::membership("new", world.member));
    claim("members", world.member, &[partition("orders", 1)]);
    release_claims("members", std::slice::from_ref(&world.claim));
    commit_claimed("members", world.member, &[world.claimed_offset()]);
    leave_group("members", world.member);
    reset_offsets(&[world.offset()]);
    group_view("members");
    list_groups();
    ensure_consumer_group("new");
    commit_offset(world.offset());
    get_committed_offset("readers", &world.held.partition);
    get_consumer_offsets("readers");
    delete_consumer_group("readers");
    create_token(super::tokens::token("new", &["read:orders"]));
    list_tokens();
    revoke_token("known");
    delete_topic(&name("orders"));
    close();
}

impl From<()> for Answer {
    fn from((): ()) -> Self {
        Self::Done
    }
}

impl<T> From<Result<T, CatalogError>> for Answer {
    fn from(answer: Result<T, CatalogError>) -> Self {
        answer.map_or_else(Self::Failed, |_| Self::Done)
    }
}

impl From<Vec<Result<(), CatalogError>>> for Answer {
    fn from(mut answers: Vec<Result<(), CatalogError>>) -> Self {
        assert_eq!(answers.len(), 1, "one answer for one intent");
        answers.remove(0).into()
    }
}

impl From<Vec<CommitOutcome>> for Answer {
    fn from(mut outcomes: Vec<CommitOutcome>) -> Self {
        assert_eq!(outcomes.len(), 1, "one outcome for one request");
        match outcomes.remove(0) {
            CommitOutcome::Done(_) => Self::Done,
            CommitOutcome::NotDone(error) => Self::Failed(error),
            outcome => Self::Otherwise(format!("{outcome:?}")),
        }
    }
}

impl From<ReplaceOutcome> for Answer {
    fn from(outcome: ReplaceOutcome) -> Self {
        match outcome {
            ReplaceOutcome::Done(_) => Self::Done,
            ReplaceOutcome::NotDone(error) => Self::Failed(error),
            outcome => Self::Otherwise(format!("{outcome:?}")),
        }
    }
}

impl From<Vec<Finding>> for Answer {
    fn from(findings: Vec<Finding>) -> Self {
        Self::Found(findings)
    }
}

/// The contract, as text.
const CONTRACT: &[&str] = &[
    include_str!("../../src/store.rs"),
    include_str!("../../src/store/agents.rs"),
    include_str!("../../src/store/commits.rs"),
    include_str!("../../src/store/groups.rs"),
    include_str!("../../src/store/iceberg.rs"),
    include_str!("../../src/store/janitor.rs"),
    include_str!("../../src/store/ownership.rs"),
    include_str!("../../src/store/readers.rs"),
    include_str!("../../src/store/segments.rs"),
    include_str!("../../src/store/tables.rs"),
    include_str!("../../src/store/tokens.rs"),
    include_str!("../../src/store/topics.rs"),
    include_str!("../../src/store/view.rs"),
];

#[test]
fn the_table_has_every_operation_of_the_contract_once() {
    let name_of = |line: &'static str| line.trim_start().strip_prefix("async fn ")?.split(['(', '<']).next();
    let mut contract: Vec<&str> = CONTRACT.iter().flat_map(|file| file.lines()).filter_map(name_of).collect();
    let mut table: Vec<&str> = OPERATIONS.iter().map(|operation| operation.name).collect();
    contract.sort_unstable();
    table.sort_unstable();
    assert_eq!(table, contract, "left is this table, right is the contract");
}

#[tokio::test]
async fn each_call_of_the_table_succeeds_on_a_sound_database() {
    for operation in OPERATIONS {
        // The calls would interfere with each other: each has a catalog of its own.
        let store = super::backend::setup_test_store().await;
        let world = World::prepare(&*store).await;
        let answer = (operation.call)(&*store, &world).await;
        assert!(matches!(answer, Answer::Done | Answer::Found(_)), "{}: {answer:?}", operation.name);
    }
}
