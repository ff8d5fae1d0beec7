//! Avro: the few parts that Iceberg's manifests and their lists need.
//!
//! Owns: the binary encoding of values, and the container file. Does not own: the records and their schemas (`manifest`,
//! `manifest_list`).
//!
//! Source: the Apache Avro 1.12 specification, "Binary Encoding" and "Object Container Files". A library was tried:
//! `apache-avro` changes features of dependencies that DataFusion shares, and drops the attributes of fields by which
//! readers of Iceberg find them.

mod read;

use std::io::Write;

use common::checksum::crc32c;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use serde_json::Value;

pub(crate) use self::read::{Container, Malformed, Reader};

const MAGIC: &[u8; 4] = b"Obj\x01";
const CODEC: &str = "deflate";

/// The encoding of records, one value after the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Encoder(Vec<u8>);

impl Encoder {
    /// A `boolean`.
    pub(crate) fn boolean(&mut self, value: bool) {
        self.0.push(u8::from(value));
    }

    /// An `int` or a `long`: both are written alike.
    pub(crate) fn long(&mut self, value: i64) {
        let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
        while rest >= 0x80 {
            self.0.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        self.0.push(rest as u8);
    }

    /// `bytes`, or the UTF-8 of a `string`.
    pub(crate) fn bytes(&mut self, value: &[u8]) {
        self.long(length(value.len()));
        self.0.extend_from_slice(value);
    }

    /// A `string`.
    pub(crate) fn string(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }

    /// The branch of a union of null and another type; the value of the other one follows.
    pub(crate) fn is_some(&mut self, is_some: bool) {
        self.long(i64::from(is_some));
    }

    /// An optional `int` or `long`.
    pub(crate) fn optional_long(&mut self, value: Option<i64>) {
        self.is_some(value.is_some());
        if let Some(value) = value {
            self.long(value);
        }
    }

    /// An array.
    pub(crate) fn array<T>(&mut self, items: &[T], write: impl Fn(&mut Self, &T)) {
        if !items.is_empty() {
            self.long(length(items.len()));
            for item in items {
                write(self, item);
            }
        }
        self.long(0);
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

fn length(length: usize) -> i64 {
    i64::try_from(length).expect("nothing in memory is longer than 2^63 bytes")
}

/// A file of records.
#[derive(Debug)]
pub(crate) struct ContainerWriter {
    records: Encoder,
    count: i64,
    head: Encoder,
}

impl ContainerWriter {
    /// An empty file of records of this schema, with these properties.
    pub(crate) fn new(schema: &Value, properties: &[(&str, &str)]) -> Self {
        let schema = schema.to_string();
        let mut head = Encoder(MAGIC.to_vec());
        head.long(length(properties.len() + 2));
        for (name, value) in [("avro.schema", schema.as_str()), ("avro.codec", CODEC)].iter().chain(properties) {
            head.string(name);
            head.string(value);
        }
        head.long(0);
        Self { records: Encoder::default(), count: 0, head }
    }

    /// Adds a record.
    pub(crate) fn add(&mut self, write: impl FnOnce(&mut Encoder)) {
        write(&mut self.records);
        self.count += 1;
    }

    /// The bytes of the file. Its marker between blocks follows from its content, so that equal files are equal.
    pub(crate) fn finish(self) -> Vec<u8> {
        let Self { records, count, head: mut file } = self;
        let marks = [&records.0, &file.0].map(|bytes| crc32c(bytes).to_le_bytes());
        let mark = [marks[0], marks[1], (records.len() as u32).to_le_bytes(), *b"SILT"].concat();
        file.0.extend_from_slice(&mark);
        if count > 0 {
            let mut packed = DeflateEncoder::new(Vec::new(), Compression::default());
            packed.write_all(&records.0).expect("a Vec takes everything");
            let packed = packed.finish().expect("a Vec takes everything");
            file.long(count);
            file.bytes(&packed);
            file.0.extend_from_slice(&mark);
        }
        file.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_specification_shows() {
        let written = |value| {
            let mut encoder = Encoder::default();
            encoder.long(value);
            encoder.0
        };
        let examples: [(i64, &[u8]); 6] =
            [(0, &[0]), (-1, &[1]), (1, &[2]), (-64, &[0x7f]), (64, &[0x80, 1]), (-65, &[0x81, 1])];
        for (value, bytes) in examples {
            assert_eq!(written(value), bytes, "{value}");
        }
        for value in [i64::MIN, i64::MAX, 1 << 40] {
            let bytes = written(value);
            assert_eq!(Reader::new(&bytes).long().expect("read"), value);
        }
    }

    #[test]
    fn a_file_reads_back_with_its_properties_and_records() {
        let schema = serde_json::json!({"type": "record", "name": "r", "fields": []});
        for count in [0, 1, 1000] {
            let mut writer = ContainerWriter::new(&schema, &[("a", "1"), ("b", "")]);
            for number in 0..count {
                writer.add(|record| {
                    record.long(number);
                    record.string("text");
                    record.array(&[true, false], |record, value| record.boolean(*value));
                });
            }
            let bytes = writer.finish();
            let container = Container::read(&bytes).expect("read");
            assert_eq!(container.property("a"), Some("1"));
            assert_eq!(container.property("avro.schema"), Some(schema.to_string().as_str()));
            assert_eq!(container.count, count);
            let mut reader = Reader::new(&container.records);
            for number in 0..count {
                assert_eq!(reader.long().expect("a number"), number);
                assert_eq!(reader.string().expect("a text"), "text");
                let mut seen = Vec::new();
                let item = |reader: &mut Reader<'_>| {
                    seen.push(reader.boolean()?);
                    Ok(())
                };
                reader.array(item).expect("an array");
                assert_eq!(seen, [true, false]);
            }
            // The head alone is a file without records.
            let head = ContainerWriter::new(&schema, &[("a", "1"), ("b", "")]).finish().len();
            for end in (0..bytes.len()).filter(|end| *end != head) {
                assert!(Container::read(&bytes[..end]).is_err(), "cut at {end} of {}", bytes.len());
            }
        }
    }
}
