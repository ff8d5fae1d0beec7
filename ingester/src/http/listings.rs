//! Segments, gaps and quarantine of a topic, page by page.
//!
//! Owns: filters, the places at which pages divide a list, and the reasons of a quarantined segment. Does not own: the form of
//! other entries (crate `catalog`), reading quarantined records (crate `lake`).

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use catalog::{CatalogError, ListedGap, ListedSegment, SegmentInfo, SegmentKind};
use common::{TopicName, TopicPartition};
use lake::Storage;
use lake::quarantine::QuarantineReader;
use serde::Serialize;
use serde_json::{Value, json};

use super::Api;
use super::error::{ApiError, Code};
use super::parameters::{Query, wrong};
use super::path::TopicPath;
use super::topics::found;

const PAGE_DEFAULT: u32 = 100;
const PAGE_MAX: u32 = 1_000;

/// The place of an entry in its list: partition, incarnation, first offset, kind. It stays when others come or go.
type Place = [u64; 4];

/// The part of a list that a request asks for.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    partition: Option<u32>,
    limit: usize,
    after: Option<Place>,
}

pub(super) async fn segments(
    State(api): State<Arc<Api>>,
    TopicPath(name): TopicPath,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let mut query = Query::read(request.uri().query(), &["after", "kind", "limit", "partition"])?;
    let kind = match query.take("kind").as_deref() {
        None => None,
        Some("data") => Some(SegmentKind::Data),
        Some("quarantine") => Some(SegmentKind::Quarantine),
        Some(other) => return Err(wrong("kind", other, "data or quarantine")),
    };
    let (page, next) = page_of_segments(&api, &name, &Wanted::read(query)?, kind).await?;
    let page: Vec<ListedSegment> = page.iter().map(ListedSegment::from).collect();
    Ok(Json(json!({ "segments": page, "next": next })))
}

/// The segments of records that could not be decoded, with the reasons in each.
pub(super) async fn quarantine(
    State(api): State<Arc<Api>>,
    TopicPath(name): TopicPath,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let wanted = Wanted::read(Query::read(request.uri().query(), &["after", "limit", "partition"])?)?;
    let (page, next) = page_of_segments(&api, &name, &wanted, Some(SegmentKind::Quarantine)).await?;
    let mut listed = Vec::with_capacity(page.len());
    for segment in &page {
        let reasons = reasons_in(&api.storage, segment).await;
        let reasons = reasons.map_err(|error| ApiError::passed_on(Code::Unavailable, &error))?;
        listed.push(Quarantined { segment: segment.into(), reasons });
    }
    Ok(Json(json!({ "quarantine": listed, "next": next })))
}

/// A segment of quarantined records.
#[derive(Debug, Serialize)]
struct Quarantined {
    #[serde(flatten)]
    segment: ListedSegment,
    reasons: Vec<Reason>,
}

/// The records of a segment that have one reason.
#[derive(Debug, Serialize)]
struct Reason {
    reason: String,
    records: u64,
    first_offset: u64,
}

/// The reasons in a segment, in the order of their first records.
async fn reasons_in(storage: &Storage, segment: &SegmentInfo) -> lake::Result<Vec<Reason>> {
    let mut reasons: Vec<Reason> = Vec::new();
    for record in QuarantineReader::open(storage, segment).await? {
        let record = record?;
        match reasons.iter_mut().find(|known| known.reason == record.reason) {
            Some(known) => known.records += 1,
            None => {
                let first_offset = record.origin.offset;
                reasons.push(Reason { reason: record.reason, records: 1, first_offset });
            }
        }
    }
    Ok(reasons)
}

async fn page_of_segments(
    api: &Api,
    name: &TopicName,
    wanted: &Wanted,
    kind: Option<SegmentKind>,
) -> Result<(Vec<SegmentInfo>, Option<String>), ApiError> {
    let snapshot = api.catalog.snapshot(name).await?;
    wanted.check_partition(name, snapshot.topic.partition_count)?;
    let of_kind = snapshot.segments.into_iter().filter(|segment| kind.is_none_or(|kind| kind == segment.kind));
    let placed = of_kind.map(|segment| {
        let kind = u64::from(segment.kind == SegmentKind::Quarantine);
        let (partition, incarnation) = (u64::from(segment.partition_id), u64::from(segment.incarnation.0));
        ([partition, incarnation, segment.range.base(), kind], segment)
    });
    Ok(wanted.page(placed.collect()))
}

pub(super) async fn gaps(
    State(api): State<Arc<Api>>,
    TopicPath(name): TopicPath,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let wanted = Wanted::read(Query::read(request.uri().query(), &["after", "limit", "partition"])?)?;
    let partition_count = found(&api, &name).await?.partition_count;
    wanted.check_partition(&name, partition_count)?;
    // Partitions before the place of the page have nothing for it.
    let first = wanted.after.map_or(0, |place| u32::try_from(place[0]).unwrap_or(u32::MAX));
    let mut listed = Vec::new();
    for partition_id in (first..partition_count).filter(|id| wanted.partition.is_none_or(|wanted| wanted == *id)) {
        let partition = TopicPartition::new(name.clone(), partition_id);
        for recorded in api.catalog.list_gaps(&partition).await? {
            let place = [u64::from(partition_id), u64::from(recorded.incarnation.0), recorded.gap.range.base(), 0];
            if wanted.after.is_none_or(|after| place > after) {
                listed.push((place, ListedGap::new(&partition, recorded)));
            }
        }
        if listed.len() > wanted.limit {
            break;
        }
    }
    let (page, next) = wanted.page(listed);
    Ok(Json(json!({ "gaps": page, "next": next })))
}

impl Wanted {
    fn read(mut query: Query) -> Result<Self, ApiError> {
        let limit = query.number("limit")?.unwrap_or(PAGE_DEFAULT);
        if !(1..=PAGE_MAX).contains(&limit) {
            return Err(wrong("limit", &limit.to_string(), &format!("1 to {PAGE_MAX}")));
        }
        let after = match query.take("after") {
            None => None,
            Some(text) => {
                let refused = || wrong("after", &text, "the `next` of the page before");
                Some(place_of(&text).ok_or_else(refused)?)
            }
        };
        Ok(Self { partition: query.number("partition")?, limit: limit as usize, after })
    }

    /// # Errors
    /// The topic has no such partition.
    fn check_partition(&self, topic: &TopicName, partition_count: u32) -> Result<(), ApiError> {
        match self.partition {
            Some(partition) if partition >= partition_count => {
                Err(CatalogError::PartitionNotFound { topic: topic.to_string(), partition }.into())
            }
            _ => Ok(()),
        }
    }

    /// The entries of the page, and the place where the next one begins; `None` if there is no more.
    fn page<T>(&self, mut listed: Vec<(Place, T)>) -> (Vec<T>, Option<String>) {
        listed.retain(|(place, _)| {
            self.partition.is_none_or(|partition| place[0] == u64::from(partition))
                && self.after.is_none_or(|after| *place > after)
        });
        listed.sort_by_key(|(place, _)| *place);
        let has_more = listed.len() > self.limit;
        listed.truncate(self.limit);
        let next = listed.last().filter(|_| has_more).map(|(place, _)| place.map(|n| n.to_string()).join("-"));
        (listed.into_iter().map(|(_, entry)| entry).collect(), next)
    }
}

fn place_of(text: &str) -> Option<Place> {
    let numbers: Option<Vec<u64>> = text
        .split('-')
        .map(|part| part.parse().ok().filter(|_| part.bytes().all(|byte| byte.is_ascii_digit())))
        .collect();
    numbers?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(query: &str) -> Result<Wanted, ApiError> {
        Wanted::read(Query::read(Some(query), &["after", "limit", "partition"])?)
    }

    #[test]
    fn pages_follow_each_other_without_a_gap_or_a_repetition() {
        let entries = || (0..7_u64).rev().map(|n| ([n / 3, 0, n, n % 2], n)).collect::<Vec<_>>();
        let (mut seen, mut query) = (Vec::new(), "limit=3".to_owned());
        for pages in 1.. {
            let (page, next) = wanted(&query).expect("valid").page(entries());
            seen.extend(page);
            let Some(next) = next else {
                assert_eq!(pages, 3);
                break;
            };
            query = format!("limit=3&after={next}");
        }
        assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(wanted("partition=1").expect("valid").page(entries()), (vec![3, 4, 5], None));
        assert_eq!(wanted("limit=7").expect("valid").page(entries()).1, None, "a full last page has no next one");
    }

    #[test]
    fn mistakes_are_named() {
        for (query, part) in [
            ("limit=0", "1 to 1000"),
            ("limit=1001", "1 to 1000"),
            ("limit=x", "whole number"),
            ("after=1-2", "the `next` of the page before"),
            ("after=a-b-c-d", "after="),
            ("after=+1-2-3-4", "after="),
            ("page=2", "after, limit, partition"),
        ] {
            let error = wanted(query).expect_err(query);
            assert!(error.message.contains(part), "{error}");
        }
    }
}
