//! Checks of the rows in objects that took the place of others.
//!
//! Owns: comparing a live object with the rows that were committed for its segments. Does not own: judging those rows
//! (`commits`).

use catalog::{FileId, NewObject, ObjectInfo, Replacement, SegmentKind};

use super::{Inner, Violation, broken};
use crate::catalog::{CatalogState, ObjectName};
use crate::rows::{self, PlacedRows};

impl Inner {
    /// 8, 11, 15, 17.
    pub(super) fn replaced(
        &mut self,
        state: &CatalogState,
        replacement: &Replacement,
        file_id: FileId,
    ) -> Result<(), Violation> {
        let name = ObjectName::new(&replacement.output.bucket, &replacement.output.key);
        if state.uploads.contains_key(&name) {
            return broken(8, format!("{} is listed and still an intent", name.key));
        }
        if self.view.doomed.contains(&name) {
            return broken(11, format!("{} was doomed and is listed", name.key));
        }
        if self.is_forgotten(&name) {
            return broken(8, format!("{} is listed by a catalog that never heard of it", name.key));
        }
        if let Some(input) = replacement.inputs.iter().find(|input| state.objects.contains_key(&input.file_id)) {
            return broken(15, format!("object {} was replaced and is still live", input.file_id));
        }
        self.view.listed.insert(name);
        let Some(row) = state.objects.get(&file_id) else {
            return broken(15, format!("object {file_id} took the place of others and is not live"));
        };
        self.holds_its_rows(state, &row.object)
    }

    /// 7, 17: the object is stored, and holds exactly the rows committed for its segments.
    pub(super) fn holds_its_rows(&self, state: &CatalogState, object: &ObjectInfo) -> Result<(), Violation> {
        if self.store.object(&object.key).is_none() && self.swept_early.contains(&object.key) {
            return Ok(());
        }
        let listed = NewObject {
            bucket: object.bucket.clone(),
            key: object.key.clone(),
            record_count: object.record_count,
            size_bytes: object.size_bytes,
            footer_bytes: object.footer_bytes.unwrap_or_default(),
            checksum: object.checksum,
            schema_version: object.schema_version,
            statistics: vec![],
        };
        let mut found = PlacedRows::new();
        self.read_object(&listed, object.kind, &mut found)?;
        let mut due = 0;
        for (partition, segments) in &state.segments {
            for segment in segments.iter().filter(|segment| segment.object.file_id == object.file_id) {
                let range = rows::range(partition.partition_id, segment.incarnation.0, segment.range);
                let is_good = object.kind == SegmentKind::Data;
                for (place, row) in self.rows.range(range).filter(|(_, row)| row.is_good == is_good) {
                    due += 1;
                    if found.get(place) != Some(row) {
                        let what = if found.contains_key(place) { "has other content" } else { "is missing" };
                        return broken(17, format!("object {}: {place:?} {what}", object.file_id));
                    }
                }
            }
        }
        if due != found.len() {
            let rows = found.len();
            return broken(17, format!("object {} holds {rows} rows, {due} are due", object.file_id));
        }
        Ok(())
    }
}
