//! The arrangement of rows in merged objects, as arguments of `topic create` and `topic update`.
//!
//! Owns: their names, their help, and applying them. Does not own: the columns that may be named (`common::topic`), sorting
//! (`lake::merge`).

use common::topic::TopicOptions;

/// The arguments about merged objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub(super) struct ArrangementArgs {
    /// Sort the rows of merged objects by these columns, then by time. Queries with a range of the first one read less;
    /// '' sorts by time alone, as without it
    #[arg(long, value_name = "COLUMN,…")]
    sort: Option<String>,
    /// Give merged objects bloom filters on these columns. Queries for a value that is rare read less; '' gives none
    #[arg(long, value_name = "COLUMN,…")]
    bloom: Option<String>,
}

impl ArrangementArgs {
    /// Sets the options that are given.
    pub(super) fn apply(&self, options: &mut TopicOptions) {
        for (given, names) in [(&self.sort, &mut options.sort), (&self.bloom, &mut options.bloom)] {
            if let Some(given) = given {
                *names = given.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
            }
        }
    }
}
