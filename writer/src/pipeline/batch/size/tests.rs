//! Sizes of the objects of five shapes of payloads, with a limit that is a few pages of each column.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use lake::segment::SegmentEncoder;

use super::*;

const TARGET: usize = 2 << 20;
const PAGE: usize = 1 << 20;
const ROWS: usize = 2_000;
const SHAPES: [&str; 5] = ["random text", "words", "json", "numbers", "mixed"];

fn strings(of: impl FnMut(usize) -> String) -> ArrayRef {
    Arc::new(StringArray::from_iter_values((0..ROWS).map(of)))
}

/// Rows of a shape, and the bytes that they have as payloads.
fn rows(shape: &str, random: &mut fastrand::Rng) -> (RecordBatch, usize) {
    let text =
        |random: &mut fastrand::Rng, bytes: usize| -> String { (0..bytes).map(|_| random.alphanumeric()).collect() };
    let words = ["paid", "open", "sent", "void"];
    let (columns, payload_bytes): (Vec<(String, ArrayRef)>, usize) = match shape {
        "random text" => (vec![("a".to_owned(), strings(|_| text(random, 200)))], 200),
        "words" => {
            let word =
                |n| (format!("w{n}"), strings(|_| format!("{} {}", words[random.usize(0..4)], random.u16(..500))));
            ((0..12).map(word).collect(), 150)
        }
        "json" => {
            let object = |n| {
                let (state, customer) = (words[n % 4], random.u32(..));
                format!(
                    "{{\"id\":{n},\"state\":\"{state}\",\"customer\":{customer},\"note\":\"{}\"}}",
                    text(random, 20)
                )
            };
            (vec![("j".to_owned(), strings(object))], 90)
        }
        "numbers" => {
            let numbers = |n: usize| {
                let values = Int64Array::from_iter_values((0..ROWS).map(|_| random.i64(0..1_i64 << (8 + 6 * n))));
                (format!("n{n}"), Arc::new(values) as ArrayRef)
            };
            ((0..8).map(numbers).collect(), 120)
        }
        _ => {
            let at = Int64Array::from_iter_values((0..ROWS).map(|_| random.i64(..)));
            let id = strings(|_| text(random, 24));
            (
                vec![
                    ("id".into(), id),
                    ("state".into(), strings(|n| words[n % 4].into())),
                    ("at".into(), Arc::new(at)),
                ],
                60,
            )
        }
    };
    (RecordBatch::try_from_iter(columns).expect("columns of one length"), payload_bytes * ROWS)
}

/// The size of an object, in parts of the target, that ends as soon as it is estimated at the target.
fn object(shape: &str, ratio: &SizeRatio, random: &mut fastrand::Rng) -> f64 {
    let mut encoder = SegmentEncoder::new(&rows(shape, random).0.schema(), PAGE).expect("a valid schema");
    let mut messages = 0;
    loop {
        let (complete, estimated) = (encoder.complete_size(), encoder.estimated_size());
        if (KnownSizes { messages, complete, estimated }).size(ratio.value()) >= TARGET {
            break;
        }
        let (rows, bytes) = rows(shape, random);
        encoder.write(&rows).expect("fits");
        messages += bytes;
    }
    let size = encoder.finish(vec![]).expect("finishes").size_bytes as usize;
    ratio.learn(size, messages, TARGET);
    size as f64 / TARGET as f64
}

#[test]
fn after_the_first_object_of_a_topic_sizes_are_true() {
    let mut random = fastrand::Rng::with_seed(7);
    let mut smallest_first: f64 = 1.0;
    for shape in SHAPES {
        let ratio = SizeRatio::default();
        let sizes: Vec<f64> = (0..3).map(|_| object(shape, &ratio, &mut random)).collect();
        println!("{shape:12} {sizes:.2?} of the target");
        for size in &sizes[1..] {
            assert!((0.85..=1.15).contains(size), "{shape}: {sizes:.2?} of the target");
        }
        smallest_first = smallest_first.min(sizes[0]);
    }
    assert!(smallest_first < 0.75, "no shape needs a ratio: {smallest_first}");
}

#[test]
fn payloads_that_change_at_once_stay_within_a_bound() {
    let mut random = fastrand::Rng::with_seed(7);
    let ratio = SizeRatio::default();
    // As of payloads that compress a thousand times.
    ratio.learn(TARGET, TARGET * 1_000, TARGET);
    let size = object("random text", &ratio, &mut random);
    assert!(size <= OVERESTIMATE_MAX as f64 + 0.1, "{size} of the target");
    ratio.learn(TARGET, 1, TARGET);
    let size = object("random text", &ratio, &mut random);
    assert!(size > 0.3, "never smaller than without a ratio: {size}");
}

#[test]
fn small_objects_teach_nothing() {
    let ratio = SizeRatio::default();
    ratio.learn(TARGET / TEACHING_PART - 1, 100, TARGET);
    ratio.learn(TARGET, 0, TARGET);
    assert_eq!(ratio.value(), None);
    ratio.learn(1_000, 2_000, 1_000);
    ratio.learn(1_000, 1_000, 1_000);
    assert_eq!(ratio.value(), Some(0.75));
}
