//! The example does what it says.

#[path = "../examples/simple_producer.rs"]
mod simple_producer;

#[test]
fn the_simple_producer_sends_eighteen_records() {
    simple_producer::main().expect("its own assertions hold");
}
