//! Calls that move rows between objects, and take them off the list.

use catalog::{ExpiredBefore, FileId, MetadataStore, ReplacedObject, Replacement, SegmentKind};
use common::OwnerId;
use uuid::Uuid;

use super::super::super::fixture::{new_object, statistics};
use super::super::step::Step;
use super::History;

impl History {
    /// Replacements, retention of several partitions, folding, and the janitor's work on intents of replacements.
    pub(super) async fn on_objects(&mut self, store: &dyn MetadataStore) -> Step {
        match self.random.u32(0..24) {
            20 | 21 => Step::ExpireByAge(self.place().topic),
            22 => Step::Keep(self.place().topic, self.chance(70).then_some(3_600_000)),
            0..9 => self.intend_replacement(store).await,
            9..12 => self.old_replacement().map_or(Step::Fold, Step::ResolveReplacement),
            12 => self.old_replacement().map_or(Step::Fold, Step::Replace),
            13 => self.old_replacement().map_or(Step::Fold, |old| Step::AbandonReplacement(old.intent())),
            14 => self.old_replacement().map_or(Step::DoomAbandoned, |old| Step::IntendReplacement(old.intent())),
            15 => Step::DoomAbandoned,
            16 => Step::SweepShared(self.place().topic),
            17 | 18 => {
                let (topic, most) = (self.place().topic, self.random.u32(1..4));
                let before = (0..most).map(|_| self.expired_before()).collect();
                Step::Expire(topic, before)
            }
            _ => Step::Fold,
        }
    }

    fn expired_before(&mut self) -> ExpiredBefore {
        ExpiredBefore { partition_id: self.random.u32(0..3), offset: self.random.u64(0..40) }
    }

    fn old_replacement(&mut self) -> Option<Replacement> {
        let back = self.random.usize(0..5);
        self.replacements.iter().rev().nth(back).or(self.replacements.last()).cloned()
    }

    /// A replacement of some live objects of one table, now and then an invalid one.
    async fn intend_replacement(&mut self, store: &dyn MetadataStore) -> Step {
        let topic = self.place().topic;
        let Ok(snapshot) = store.snapshot(&topic).await else { return Step::Fold };
        let kind = if self.chance(80) { SegmentKind::Data } else { SegmentKind::Quarantine };
        let mut live: Vec<_> = snapshot.objects.iter().filter(|object| object.kind == kind).collect();
        self.random.shuffle(&mut live);
        live.truncate(self.random.usize(1..5));
        let rows = live.iter().map(|object| object.record_count).sum();
        let mut output = new_object(format!("{topic}/{}.parquet", Uuid::now_v7()), rows);
        output.statistics.push(statistics(100, Some("a")));
        output.statistics.truncate(self.random.usize(0..4));
        let owner = self.random.choice(self.owners.clone()).expect("some");
        let inputs = live.iter().map(|object| object.as_ref().into()).collect();
        let mut new = Replacement { topic, kind, owner, inputs, output };
        match self.random.u32(0..24) {
            0 => new.output.record_count += 1,
            1 => new.output.schema_version = 0,
            2 => new.inputs.extend(new.inputs.clone()),
            3 => new.inputs.push(ReplacedObject { file_id: FileId(self.random.u64(1..60)), key: "another".to_owned() }),
            4 => new.owner = OwnerId(Uuid::now_v7()),
            5 => new.output.bucket = "another".to_owned(),
            6 => new.output.size_bytes = u64::MAX,
            7 => new.kind = if kind == SegmentKind::Data { SegmentKind::Quarantine } else { SegmentKind::Data },
            _ => {}
        }
        if let Some(old) = self.old_request()
            && self.chance(4)
        {
            new.output.key = old.segments.first().map_or(new.output.key, |segment| segment.object.key.clone());
        }
        let intent = new.intent();
        self.replacements.push(new.clone());
        self.replaced_next = Some(new);
        Step::IntendReplacement(intent)
    }
}
