//! The option of packed messages, as an argument of `topic create` and `topic update`.
//!
//! Owns: its name, its help, and applying it. Does not own: packing (crate `ingester`), the form (`common::packing`).

use common::topic::TopicOptions;

/// The argument that allows producers to pack records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::Args)]
pub(super) struct PackingArgs {
    /// Let producers put many small records into one message, compressed. Other readers of the streams cannot read such
    /// messages
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    packed: Option<bool>,
}

impl PackingArgs {
    /// Sets the option if it is given.
    pub(super) fn apply(self, options: &mut TopicOptions) {
        options.packed = self.packed.unwrap_or(options.packed);
    }
}
