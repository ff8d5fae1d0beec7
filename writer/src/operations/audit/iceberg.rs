//! What readers of Iceberg find, as a part of the audit.
//!
//! Owns: its problems and its notes. Does not own: the comparison (crate `open_tables`).

use catalog::audit::{Check, Problem};
use catalog::{SegmentKind, iceberg_namespace};
use common::{Incarnation, TopicName, TopicPartition};
use open_tables::inspect;

use super::{Audit, AuditReport};
use crate::error::Result;

const ADVICE: &str = "readers of Iceberg see something else than the catalog lists, or fail: `siltstone publish-tables` \
    writes the metadata anew";

impl Audit<'_> {
    /// Compares both published tables of the topic with the catalog.
    pub(super) async fn audit_iceberg(&self, topic: &TopicName, report: &mut AuditReport) -> Result<()> {
        for kind in SegmentKind::ALL {
            let Some(inspection) = inspect(self.catalog, self.storage, topic, kind).await? else { continue };
            report.objects.iceberg_metadata += inspection.objects;
            report.objects.iceberg_objects += inspection.files;
            let table = format!("{}.{topic}", iceberg_namespace(kind));
            let place = TopicPartition::new(topic.clone(), 0);
            let problems = inspection.discrepancies.into_iter().map(|discrepancy| {
                let found = format!("table {table}: {}", discrepancy.found);
                let problem = Problem::new(Check::Iceberg, &place, Incarnation::default(), found, ADVICE);
                match discrepancy.key {
                    Some(key) => problem.of(&key),
                    None => problem,
                }
            });
            report.add(problems.collect());
            if let Some(behind) = inspection.behind {
                report.notes.push(format!("readers of Iceberg see {table} as it was {behind:.0?} ago"));
            }
        }
        Ok(())
    }
}
