//! The demo's data: order events, the same ones in every run.
//!
//! Owns: their shape, the topic that declares it, and the choice of orders that are wrong on purpose.
//! Does not own: the quarantine of the wrong ones (the writer).

use bytes::Bytes;
use catalog::TopicConfig;
use common::topic::{ColumnSpec, Format, TopicOptions};
use common::{OutgoingMessage, TopicName};
use fastrand::Rng;
use serde_json::json;

use crate::columns::parse_column;

/// Name of the topic.
pub(super) const TOPIC: &str = "orders";

/// Spread over keys, so that the figures show more than one.
const PARTITION_COUNT: u32 = 3;

const COLUMNS: &[&str] = &[
    "order_id:int64!",
    "customer_id:string!",
    "status:string!",
    "amount:decimal(12,2)",
    "quantity:int32",
    "country:string",
    "created_at:timestamp_ms!",
    "items:list(string)",
];

/// 2026-01-01 00:00 UTC: the data are the same in every run.
const FIRST_ORDER_AT_MS: i64 = 1_767_225_600_000;

/// (status, share of 100)
const STATUSES: &[(&str, u32)] = &[("created", 20), ("paid", 35), ("shipped", 25), ("delivered", 15), ("cancelled", 5)];
const COUNTRIES: &[&str] = &["AT", "BR", "CH", "DE", "ES", "FR", "GB", "IN", "IT", "JP", "NL", "US"];
const ITEMS: &[&str] =
    &["basalt-tile", "clay-brick", "flint", "granite-slab", "gravel-25kg", "marble-block", "river-sand", "slate-roof"];

/// Records below this number are all good, so that a tiny run is simple.
const RECORDS_MIN_WITH_FAULTS: u64 = 20;

/// The topic of the orders.
pub(super) fn topic() -> TopicConfig {
    let column = |text: &&str| -> ColumnSpec { parse_column(text).expect("the demo's columns are valid") };
    let config =
        TopicOptions { format: Format::Json, columns: COLUMNS.iter().map(column).collect(), ..TopicOptions::default() };
    let name = TopicName::new(TOPIC).expect("a plain word");
    TopicConfig { name, partition_count: PARTITION_COUNT, retention_ms: None, config }
}

/// Number of orders among `records` that have a value of a wrong type.
pub(super) fn wrong_count(records: u64) -> u64 {
    if records < RECORDS_MIN_WITH_FAULTS { 0 } else { 3 }
}

/// The orders as messages, keyed by customer.
#[derive(Debug)]
pub(super) struct Orders {
    rng: Rng,
    next: u64,
    records: u64,
}

impl Orders {
    /// `records` orders.
    pub(super) fn new(records: u64) -> Self {
        Self { rng: Rng::with_seed(7), next: 0, records }
    }

    fn order(&mut self, number: u64) -> serde_json::Value {
        let rng = &mut self.rng;
        let cents = rng.u32(199..250_000);
        let items: Vec<&str> = (0..rng.usize(1..=3)).map(|_| ITEMS[rng.usize(..ITEMS.len())]).collect();
        json!({
            "order_id": 1_000_000 + number,
            "customer_id": format!("customer-{:05}", rng.u32(..20_000)),
            "status": status(rng.u32(..100)),
            "amount": format!("{}.{:02}", cents / 100, cents % 100),
            "quantity": rng.u32(1..=12),
            "country": COUNTRIES[rng.usize(..COUNTRIES.len())],
            "created_at": FIRST_ORDER_AT_MS + i64::try_from(number * 250).unwrap_or(i64::MAX / 2),
            "items": items,
        })
    }

    /// Gives a few orders wrong values or undeclared members.
    fn with_faults(&self, number: u64, order: &mut serde_json::Value) {
        if self.records < RECORDS_MIN_WITH_FAULTS {
            return;
        }
        let tenth = self.records / 10;
        match number {
            n if n == 2 * tenth => order["quantity"] = json!("a dozen"),
            n if n == 5 * tenth => order["amount"] = json!("free of charge"),
            n if n == 8 * tenth => order["created_at"] = json!("yesterday"),
            n if n == tenth || n == 4 * tenth || n == 7 * tenth => order["coupon"] = json!("AUTUMN"),
            _ => {}
        }
    }
}

impl Iterator for Orders {
    type Item = OutgoingMessage;

    fn next(&mut self) -> Option<OutgoingMessage> {
        if self.next == self.records {
            return None;
        }
        let number = self.next;
        self.next += 1;
        let mut order = self.order(number);
        self.with_faults(number, &mut order);
        let key = Bytes::from(order["customer_id"].as_str().unwrap_or_default().to_owned());
        Some(OutgoingMessage::new(order.to_string()).with_key(key))
    }
}

fn status(percent: u32) -> &'static str {
    let mut below = 0;
    let found = STATUSES.iter().find(|(_, share)| {
        below += share;
        percent < below
    });
    found.map_or("created", |(status, _)| status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_the_same_in_every_run_and_of_a_realistic_size() {
        let orders: Vec<_> = Orders::new(1000).collect();
        assert_eq!(orders, Orders::new(1000).collect::<Vec<_>>());
        let bytes: usize = orders.iter().map(|order| order.payload.len()).sum();
        assert!((150..260).contains(&(bytes / 1000)), "{} bytes each", bytes / 1000);
    }

    #[test]
    fn three_are_wrong_and_three_say_more() {
        for records in [RECORDS_MIN_WITH_FAULTS, 57, 1000] {
            let orders: Vec<serde_json::Value> =
                Orders::new(records).map(|order| serde_json::from_slice(&order.payload).expect("JSON")).collect();
            let wrong = orders.iter().filter(|order| {
                order["quantity"].is_string() || order["created_at"].is_string() || order["amount"] == "free of charge"
            });
            assert_eq!(wrong.count() as u64, wrong_count(records));
            assert_eq!(orders.iter().filter(|order| order.get("coupon").is_some()).count(), 3);
        }
        assert_eq!(wrong_count(RECORDS_MIN_WITH_FAULTS - 1), 0);
    }

    #[test]
    fn shares_of_the_statuses_add_up() {
        assert_eq!(STATUSES.iter().map(|(_, share)| share).sum::<u32>(), 100);
        assert_eq!((status(0), status(19), status(20), status(99)), ("created", "created", "paid", "cancelled"));
    }
}
