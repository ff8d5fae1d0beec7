//! Results of functions, bounded.
