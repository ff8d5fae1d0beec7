//! Many parts of the catalog in one transaction.
//!
//! Owns: the choice of rows to read anew, and the statements over all topics. Does not own: the rows of one topic
//! (`segments`, `objects`).
//!
//! A snapshot of many segments takes long to read, and little of it changes between two queries. The number of an object
//! rises in the order of listing, and a segment changes only with its object. So what changed since a known snapshot are
//! the objects with greater numbers, and those that are gone. After a failover to a server that lagged, that does not hold:
//! numbers come again, and objects that were gone are back. The key of the last known object and the count of objects tell.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use common::{TopicName, TopicPartition};

use super::segments::{in_objects, snapshot_of};
use super::{SqlMetadataStore, group_view, objects, rows, snapshots};
use crate::database::{Row, Session, sql, values};
use crate::error::{CatalogError, Result};
use crate::model::{
    CommitRecord, FileId, ObjectInfo, Partition, RecordedGap, RegisteredAgent, SegmentInfo, SnapshotId, Tables, Topic,
    TopicSnapshot, Upload, View, ViewRequest, ViewedTopics,
};
use crate::store::ViewStore;

#[async_trait]
impl<D> ViewStore for SqlMetadataStore<D> {
    async fn view(&self, request: &ViewRequest) -> Result<View> {
        self.door.read(|session| Box::pin(view(session, request))).await
    }
}

async fn view(session: &mut dyn Session, request: &ViewRequest) -> Result<View> {
    let newest = snapshots::newest(session).await?;
    let all = match request.list_topics || request.topics == ViewedTopics::All {
        true => topics(session, None).await?,
        false => Vec::new(),
    };
    let wanted = match &request.topics {
        ViewedTopics::All => all.clone(),
        ViewedTopics::These(names) => named(session, names).await?,
    };
    let known: HashMap<Tables, &Arc<TopicSnapshot>> = request.known.iter().map(|known| (known.tables, known)).collect();
    let (mut viewed, mut lost) = (Vec::with_capacity(wanted.len()), Vec::new());
    for (topic, tables) in wanted {
        let known = known.get(&tables).copied();
        let continued = match known {
            Some(known) => continued(session, (&topic, tables), newest, known).await?,
            None => None,
        };
        viewed.push(match continued {
            Some(snapshot) => snapshot,
            None => {
                lost.extend(known.map(|_| tables));
                Arc::new(snapshot_of(session, topic, tables).await?)
            }
        });
    }
    let listed = all.into_iter().filter(|_| request.list_topics);
    Ok(View {
        snapshot_id: newest.0,
        topics: listed.map(|(topic, _)| topic).collect(),
        snapshots: viewed,
        lost,
        commits: if request.commits { commits(session).await? } else { Vec::new() },
        gaps: if request.gaps { gaps(session).await? } else { Vec::new() },
        agents: if request.agents { agents(session).await? } else { Vec::new() },
        uploads: if request.uploads { uploads(session).await? } else { Vec::new() },
        groups: if request.groups { group_view::groups(session).await? } else { Vec::new() },
        offsets: if request.offsets { group_view::offsets(session).await? } else { Vec::new() },
    })
}

/// The topic of this name, or all of them, with their tables.
async fn topics(session: &mut dyn Session, name: Option<&TopicName>) -> Result<Vec<(Topic, Tables)>> {
    let found = match name {
        Some(name) => {
            let select = sql!("SELECT table_id, quarantine_table_id, " topic_columns " FROM topics WHERE name = $1");
            session.fetch(&select, values![name]).await?
        }
        None => {
            let select = sql!("SELECT table_id, quarantine_table_id, " topic_columns " FROM topics ORDER BY name");
            session.fetch(&select, values![]).await?
        }
    };
    let with_tables = |mut row: Row| {
        let tables = row.tables()?;
        Ok((Topic::try_from(row)?, tables))
    };
    found.into_iter().map(with_tables).collect()
}

/// Those of the named topics that exist, each once, by name.
async fn named(session: &mut dyn Session, names: &[TopicName]) -> Result<Vec<(Topic, Tables)>> {
    let mut found = Vec::with_capacity(names.len());
    for name in names.iter().collect::<BTreeSet<_>>() {
        found.extend(topics(session, Some(name)).await?);
    }
    Ok(found)
}

/// The snapshot of a topic, with as much of the known one as did not change; none where the known one is not of the catalog's
/// history, or too old to tell.
async fn continued(
    session: &mut dyn Session,
    (topic, tables): (&Topic, Tables),
    (snapshot_id, snapshot_time_us): (SnapshotId, i64),
    known: &Arc<TopicSnapshot>,
) -> Result<Option<Arc<TopicSnapshot>>> {
    let select = sql!("SELECT " partition_columns " FROM partitions WHERE topic = $1 ORDER BY partition_id");
    let partitions: Vec<Partition> = rows::all(session.fetch(&select, values![&topic.name]).await?)?;
    let is_same_list = (known.snapshot_id, known.snapshot_time_us) == (snapshot_id, snapshot_time_us);
    if is_same_list && known.topic == *topic && known.partitions == partitions {
        return Ok(Some(Arc::clone(known)));
    }
    let lists = match is_same_list {
        true => Some((known.segments.clone(), known.objects.clone())),
        false => changed_lists(session, tables, known).await?,
    };
    let topic = topic.clone();
    let snapshot = |(segments, objects)| {
        Arc::new(TopicSnapshot { topic, tables, partitions, segments, objects, snapshot_id, snapshot_time_us })
    };
    Ok(lists.map(snapshot))
}

type Lists = (Vec<SegmentInfo>, Vec<Arc<ObjectInfo>>);

/// Segments and objects now, of which the known snapshot has most; none where it has others than the catalog had.
async fn changed_lists(session: &mut dyn Session, tables: Tables, known: &TopicSnapshot) -> Result<Option<Lists>> {
    let last = known.objects.last();
    if let Some(last) = last
        && !objects::was_listed(session, last).await?
    {
        return Ok(None);
    }
    let last = last.map_or(0, |object| object.file_id.0.cast_signed());
    let of = values![tables.data.0.cast_signed(), tables.quarantine.0.cast_signed(), last];
    let count = sql!("SELECT count(*) AS n FROM objects WHERE table_id IN ($1, $2) AND file_id <= $3");
    let kept: u64 = match session.fetch(&count, of).await?.pop() {
        Some(mut row) => row.unsigned("n")?,
        None => 0,
    };
    let (mut segments, mut objects) = (known.segments.clone(), known.objects.clone());
    if kept != objects.len() as u64 {
        let select = sql!("SELECT file_id FROM objects WHERE table_id IN ($1, $2) AND file_id <= $3");
        let ids = session.fetch(&select, of).await?;
        let live = ids.into_iter().map(|mut row| Ok(FileId(row.unsigned("file_id")?)));
        let live = live.collect::<Result<HashSet<FileId>>>()?;
        objects.retain(|object| live.contains(&object.file_id));
        segments.retain(|segment| live.contains(&segment.object.file_id));
        if kept != objects.len() as u64 {
            return Ok(None); // an object is back
        }
    }
    let new = objects::live_after(session, tables, last).await?;
    if !new.is_empty() {
        let select = sql!(
            "SELECT " segment_columns " FROM segments JOIN objects ON objects.file_id = segments.file_id
             WHERE objects.table_id IN ($1, $2) AND objects.file_id > $3"
        );
        segments.extend(in_objects(session.fetch(&select, of).await?, &new)?);
        objects.extend(new);
        let place = |segment: &SegmentInfo| {
            (segment.partition_id, segment.incarnation, segment.range.base(), segment.kind.as_str())
        };
        segments.sort_by(|one, other| place(one).cmp(&place(other)));
    }
    Ok(Some((segments, objects)))
}

async fn commits(session: &mut dyn Session) -> Result<Vec<(TopicPartition, CommitRecord)>> {
    let select = sql!(
        "SELECT topic, partition_id, " commit_columns " FROM commits ORDER BY topic, partition_id, commit_no"
    );
    of_partitions(session.fetch(&select, values![]).await?)
}

async fn gaps(session: &mut dyn Session) -> Result<Vec<(TopicPartition, RecordedGap)>> {
    let select = sql!(
        "SELECT topic, partition_id, incarnation, base_offset, end_offset, kind, reason, created_at FROM gaps
         ORDER BY topic, partition_id, incarnation, base_offset"
    );
    of_partitions(session.fetch(&select, values![]).await?)
}

fn of_partitions<T: TryFrom<Row, Error = CatalogError>>(found: Vec<Row>) -> Result<Vec<(TopicPartition, T)>> {
    found.into_iter().map(|mut row| Ok((row.partition()?, T::try_from(row)?))).collect()
}

async fn agents(session: &mut dyn Session) -> Result<Vec<RegisteredAgent>> {
    let select = sql!(
        "SELECT role, owner, name, agent_group, address, started_at, now_ms - heartbeat_at AS silent_ms,
                (SELECT count(*) FROM partitions
                 WHERE registered.role = 'writer' AND partitions.owner = registered.owner) AS partition_count
         FROM (SELECT 'ingester' AS role, id AS owner, name, agent_group, address, started_at, heartbeat_at
               FROM ingesters
               UNION ALL
               SELECT 'writer', owner, name, agent_group, address, started_at, heartbeat_at FROM agents)
              AS registered,
              (SELECT " now_ms " AS now_ms) AS clock
         ORDER BY role, name, owner"
    );
    rows::all(session.fetch(&select, values![]).await?)
}

async fn uploads(session: &mut dyn Session) -> Result<Vec<Upload>> {
    let select = sql!("SELECT " upload_columns " FROM uploads ORDER BY topic, key");
    rows::all(session.fetch(&select, values![]).await?)
}
