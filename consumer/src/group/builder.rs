//! The options of a member, and joining.
//!
//! Owns: defaults and their limits. Does not own: the member itself (`group`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use catalog::{CatalogError, Membership, MetadataStore};
use common::{MemberId, TopicName, agent_name};
use tokio::time::Instant;
use uuid::Uuid;

use super::{GroupConsumer, GroupError, Options};
use crate::fetch::{Fetcher, Limits, OutOfRange, Start};

/// Time after each look at the group in which the member counts as alive. Processing what one poll gave may take as long.
const LEASE: Duration = Duration::from_secs(30);
/// The shortest lease: others would take over from one that pauses for a moment.
const LEASE_MIN: Duration = Duration::from_secs(1);
/// Time between two looks at the group: others wait as long for a partition that this member is to give up.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A member that is being described.
#[derive(Clone, Debug)]
pub struct GroupBuilder {
    fetcher: Fetcher,
    membership: Membership,
    options: Options,
}

impl GroupBuilder {
    pub(super) fn new(fetcher: Fetcher, group_id: String) -> Self {
        let (member, name) = (MemberId(Uuid::now_v7()), agent_name());
        let options = Options {
            limits: Limits::default(),
            start: Start::Begin,
            out_of_range: OutOfRange::Error,
            commits_itself: false,
            look_every: LOOK_EVERY,
        };
        Self { fetcher, membership: Membership { group_id, member, name, topics: Vec::new(), lease: LEASE }, options }
    }

    /// Topics to read.
    pub fn subscribe(mut self, topics: impl IntoIterator<Item = TopicName>) -> Self {
        self.membership.topics.extend(topics);
        self
    }

    /// Its id, instead of a new one. No two members that live at the same time may have the same.
    pub fn member(mut self, member: MemberId) -> Self {
        self.membership.member = member;
        self
    }

    /// Its name for people, instead of the host's name and the process's number.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.membership.name = name.into();
        self
    }

    /// Time after which a member that is not polled counts as dead; 30 seconds, at least 1.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.membership.lease = lease;
        self
    }

    /// Bounds of what one poll gives.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.options.limits = limits;
        self
    }

    /// The place to begin at in a partition of which the group committed nothing: the begin.
    pub fn start(mut self, start: Start) -> Self {
        self.options.start = start;
        self
    }

    /// The way out if the committed offset is gone or of another history: an error.
    pub fn out_of_range(mut self, out_of_range: OutOfRange) -> Self {
        self.options.out_of_range = out_of_range;
        self
    }

    /// Lets each poll commit what the polls before it gave out. Off: the program commits.
    pub fn commit_at_poll(mut self, commits_itself: bool) -> Self {
        self.options.commits_itself = commits_itself;
        self
    }

    /// Joins the group.
    ///
    /// # Errors
    /// [`GroupError::Invalid`] without a topic or with a lease of less than a second; `TopicNotFound`; the errors of the catalog.
    pub async fn join(mut self) -> Result<GroupConsumer, GroupError> {
        check(self.fetcher.catalog.as_ref(), &self.membership).await?;
        self.options.look_every = self.options.look_every.min(self.membership.lease / 3);
        let mut member = GroupConsumer {
            fetcher: self.fetcher,
            membership: self.membership,
            options: self.options,
            held: BTreeMap::new(),
            turns: VecDeque::new(),
            ready: BTreeSet::new(),
            next_look: Instant::now(),
            lost: BTreeSet::new(),
        };
        member.look().await?;
        Ok(member)
    }
}

/// Refuses a membership that makes no sense.
///
/// # Errors
/// [`GroupError::Invalid`] without a topic or with a lease of less than a second; `TopicNotFound`; the errors of the catalog.
pub(crate) async fn check(catalog: &dyn MetadataStore, membership: &Membership) -> Result<(), GroupError> {
    let invalid = |text: String| Err(GroupError::Invalid(text));
    if membership.topics.is_empty() {
        return invalid("a member of a group reads at least one topic; subscribe to one".to_owned());
    }
    if membership.lease < LEASE_MIN {
        return invalid(format!("a lease of {:?} is too short; allowed is one second or more", membership.lease));
    }
    for topic in &membership.topics {
        if catalog.get_topic(topic).await?.is_none() {
            return Err(CatalogError::TopicNotFound(topic.to_string()).into());
        }
    }
    Ok(())
}
