//! Compares the rows of an object's segments with the catalog.
//!
//! Owns: decoding the origin of rows, and the rules for one object. Pure but for the thread that decodes.
//! Does not own: the bytes (`object`), the rules for all rows of a commit (`messages`), the topic's own columns, which
//! the checksum covers.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_schema::DataType;
use bytes::Bytes;
use catalog::{ColumnStatistics, ObjectInfo, SegmentInfo};
use common::{Epoch, Incarnation};
use lake::footer::{Footer, FooterSegment};
use lake::read::{Columns, SegmentFile};
use lake::schema::{INCARNATION, OFFSET, PARTITION, PARTITION_IN_LAYOUT_1, ROW, TIMESTAMP, timestamp_type};
use lake::statistics::check_recorded;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use parquet::errors::ParquetError;

pub(super) const ADVICE: &str = "the object is what was committed, but not what it should be: this is a defect of the \
    writer, or the catalog's row was changed by hand; keep both and report it";

const BATCH_ROWS: usize = 8192;

/// Segments of one partition whose rows are to be read from their object.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// At least one, by incarnation and offset; all in the same object.
    pub(super) segments: Vec<SegmentInfo>,
    /// True if one segment is wanted and the object holds no rows of another.
    pub(super) is_alone: bool,
    /// The epoch in which the object was written, if it is known.
    pub(super) epoch: Option<Epoch>,
    /// The statistics of its columns that the catalog records.
    pub(super) statistics: Vec<ColumnStatistics>,
}

/// The origin of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) offset: u64,
    pub(super) row: u32,
    pub(super) timestamp_us: i64,
}

/// A row with its partition and incarnation.
type Place = (i32, Incarnation, Row);

impl Wanted {
    /// The object.
    pub(super) fn object(&self) -> &ObjectInfo {
        &self.segments[0].object
    }

    /// The rows of each segment, in order; or the first problem with them.
    pub(super) async fn decode(self, bytes: Bytes) -> Result<Vec<Vec<Row>>, String> {
        let decoding = tokio::task::spawn_blocking(move || self.decode_blocking(bytes));
        decoding.await.unwrap_or_else(|error| Err(format!("it cannot be decoded: {error}")))
    }

    fn decode_blocking(&self, bytes: Bytes) -> Result<Vec<Vec<Row>>, String> {
        let file = SegmentFile::parse(bytes).map_err(undecodable)?;
        self.footer().check(file.metadata())?;
        check_recorded(&self.statistics, file.metadata())?;
        let count = file.metadata().file_metadata().num_rows();
        let counted = self.object().record_count;
        if u64::try_from(count).ok() != Some(counted) {
            return Err(format!("it has {count} rows, the catalog counts {counted}"));
        }
        let columns = Columns::Named(&[PARTITION, PARTITION_IN_LAYOUT_1, INCARNATION, OFFSET, ROW, TIMESTAMP]);
        let mut rows = self.read_rows(file.rows(columns, BATCH_ROWS).map_err(undecodable)?)?;
        for (segment, rows) in self.segments.iter().zip(&mut rows) {
            if self.object().level > 0 {
                // A replacement may have reordered the rows.
                rows.sort_unstable_by_key(Row::place);
            }
            check_segment(segment, rows)?;
        }
        Ok(rows)
    }

    fn footer(&self) -> Footer {
        let SegmentInfo { topic, kind, object, .. } = &self.segments[0];
        let segment = self.is_alone.then(|| FooterSegment::of(&self.segments[0], self.epoch));
        Footer { topic: topic.clone(), kind: *kind, schema_version: object.schema_version, segment }
    }

    fn read_rows(&self, reader: ParquetRecordBatchReader) -> Result<Vec<Vec<Row>>, String> {
        let mut rows = vec![Vec::new(); self.segments.len()];
        for batch in reader {
            let batch = batch.map_err(|error| format!("it cannot be decoded: {error}"))?;
            for place in self.places(&batch)? {
                let place = place?;
                match self.segment_at(&place) {
                    Some(index) => rows[index].push(place.2),
                    None if self.is_alone => return Err(self.outside(&place)),
                    None => {}
                }
            }
        }
        Ok(rows)
    }

    /// The index of the row's segment, if it is wanted.
    fn segment_at(&self, (partition_id, incarnation, row): &Place) -> Option<usize> {
        let is_of = |segment: &SegmentInfo| {
            u32::try_from(*partition_id) == Ok(segment.partition_id)
                && *incarnation == segment.incarnation
                && segment.range.contains(row.offset)
        };
        self.segments.iter().position(is_of)
    }

    /// The text for a row outside the segment of an object that holds only one.
    fn outside(&self, (partition_id, incarnation, row): &Place) -> String {
        let segment = &self.segments[0];
        if u32::try_from(*partition_id) != Ok(segment.partition_id) {
            return format!("it holds a row of partition {partition_id}");
        }
        if *incarnation != segment.incarnation {
            return format!("it holds a row of incarnation {incarnation}");
        }
        format!("it holds offset {}, which is not in {}", row.offset, segment.range)
    }

    fn places<'b>(&self, batch: &'b RecordBatch) -> Result<Places<'b>, String> {
        let column = |name: &str, data_type: &DataType| {
            let found = batch.column_by_name(name).filter(|column| column.data_type() == data_type);
            found.ok_or_else(|| format!("it has no column {name} of type {data_type}"))
        };
        let is_layout_1 = self.object().layout == 1;
        let partition = if is_layout_1 { PARTITION_IN_LAYOUT_1 } else { PARTITION };
        let partitions = column(partition, &DataType::Int32)?.as_primitive::<Int32Type>().values();
        let incarnations = match is_layout_1 {
            true => None,
            false => Some(column(INCARNATION, &DataType::Int32)?.as_primitive::<Int32Type>().values()),
        };
        let offsets = column(OFFSET, &DataType::Int64)?.as_primitive::<Int64Type>().values();
        let numbers = column(ROW, &DataType::Int32)?.as_primitive::<Int32Type>().values();
        let times = column(TIMESTAMP, &timestamp_type())?.as_primitive::<TimestampMicrosecondType>().values();
        // Objects of layout 1 hold one segment and lack its incarnation.
        let unsaid = self.segments[0].incarnation;
        Ok(Box::new((0..batch.num_rows()).map(move |index| {
            let negative = |_| format!("it holds a negative offset or row: {} {}", offsets[index], numbers[index]);
            let incarnation = incarnations.map_or(Ok(unsaid.0), |said| u32::try_from(said[index])).map_err(negative)?;
            let row = Row {
                offset: u64::try_from(offsets[index]).map_err(negative)?,
                row: u32::try_from(numbers[index]).map_err(negative)?,
                timestamp_us: times[index],
            };
            Ok((partitions[index], Incarnation(incarnation), row))
        })))
    }
}

type Places<'b> = Box<dyn Iterator<Item = Result<Place, String>> + 'b>;

fn undecodable(error: ParquetError) -> String {
    format!("it cannot be decoded: {error}")
}

impl Row {
    /// Its place in its partition and incarnation, which no other row shares.
    pub(super) fn place(&self) -> (u64, u32) {
        (self.offset, self.row)
    }
}

fn check_segment(segment: &SegmentInfo, rows: &[Row]) -> Result<(), String> {
    let (version, of_object) = (segment.schema_version, segment.object.schema_version);
    if version > of_object || (segment.object.level == 0 && version != of_object) {
        return Err(format!("its schema version is {of_object}, that of its segment {version}"));
    }
    if rows.len() as u64 != segment.record_count {
        let (range, counted) = (segment.range, segment.record_count);
        return Err(format!("it has {} rows of offsets {range}, the catalog counts {counted}", rows.len()));
    }
    if let Some([before, row]) = rows.array_windows().find(|[before, row]| before.place() >= row.place()) {
        let (number, offset) = (row.row, row.offset);
        return Err(format!("row {number} of offset {offset} follows row {} of offset {}", before.row, before.offset));
    }
    let times = rows.iter().map(|row| row.timestamp_us);
    let range = (times.clone().min().unwrap_or_default(), times.max().unwrap_or_default());
    if range != (segment.min_timestamp_us, segment.max_timestamp_us) {
        let stored = (segment.min_timestamp_us, segment.max_timestamp_us);
        return Err(format!("its times are {range:?} us, the catalog says {stored:?}"));
    }
    Ok(())
}
