//! Power loss on a local disk: what a commit needs is on the disk before the commit is.
