//! Consuming records of a topic: from an offset or a time, and in groups with committed offsets.
//!
//! Owns: positions of consumers, and the shares of a group's members. Does not own: decoding, and writing.
