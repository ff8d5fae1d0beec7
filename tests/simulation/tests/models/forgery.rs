//! Keys and ids as a forger changes them.
//!
//! Owns: which of their parts remain. Does not own: what a run with forged requests shows (`mutations`).

use simulation::forgery::{with_nil_uuid, worn_key};

#[test]
fn a_worn_key_keeps_range_and_kind_alone() {
    let worn = "t.quarantine/2023-11-14/0/5-9-0-00000000-0000-0000-0000-000000000000.parquet";
    for key in [
        "t.quarantine/2023-11-14/0/5-9-7-018c0000-0000-7000-8000-000000000001.parquet",
        "t.quarantine/2023-11-14/0/5-9-8-018c0000-0000-7000-8000-000000000002.parquet",
        worn,
    ] {
        assert_eq!(worn_key(key), worn);
    }
    assert_eq!(worn_key("siltstone-readiness-check"), "siltstone-readiness-check");
    let id = with_nil_uuid("t-0-5-018c0000-0000-7000-8000-000000000001");
    assert_eq!(id, "t-0-5-00000000-0000-0000-0000-000000000000");
}
