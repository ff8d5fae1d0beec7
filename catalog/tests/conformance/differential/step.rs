//! The calls of random histories.
//!
//! Owns: their arguments. Does not own: the choice of the next call (`history`), making it.

use catalog::{
    Agent, CommitRequest, ConsumerOffset, ExpiredBefore, ImportedSegment, Ingester, Ownership, Publication,
    Replacement, ReplacementIntent, Replay, ResumePoint, TopicConfig, UploadIntent,
};
use common::{Incarnation, OwnerId, TopicName, TopicPartition};

/// One call.
#[derive(Debug)]
pub(super) enum Step {
    CreateTopic(TopicConfig),
    DeleteTopic(TopicName),
    MoveWatermark(TopicPartition, u64),
    AddSegment(ImportedSegment),
    FindSegment(TopicPartition, u64),
    DeleteBefore(TopicPartition, u64),
    Expire(TopicName, Vec<ExpiredBefore>),
    ExpireByAge(TopicName),
    Keep(TopicName, Option<u64>),
    Heartbeat(Agent),
    Announce(Ingester),
    Withdraw(OwnerId),
    Acquire(OwnerId, Vec<TopicPartition>),
    Release(Vec<Ownership>),
    Halt(Ownership),
    Resume(TopicPartition, Incarnation, ResumePoint),
    RemoveAgent(OwnerId),
    MarkSuspect(Ownership, u64),
    ClearSuspect(Ownership),
    Intend(Vec<UploadIntent>),
    Abandon(Vec<UploadIntent>),
    Commit(Vec<CommitRequest>),
    CommitTogether(Vec<CommitRequest>),
    Resolve(CommitRequest),
    Sweep(TopicPartition),
    IntendReplacement(ReplacementIntent),
    AbandonReplacement(ReplacementIntent),
    Replace(Replacement),
    ResolveReplacement(Replacement),
    DoomAbandoned,
    Fold,
    SweepShared(TopicName),
    CommitOffset(ConsumerOffset),
    MarkReplayed(Replay),
    IntendPublication(Box<Publication>),
    Publish(Box<Publication>),
    Unpublish(TopicName),
}
