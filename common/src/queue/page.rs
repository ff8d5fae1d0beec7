//! Pages: stored messages in parts of bounded size.
//!
//! Owns: the shape of a page and of its bounds. Does not own: reading one (each queue).

use crate::message::Message;

/// Bounds of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimits {
    /// Most messages.
    pub messages_max: usize,
    /// Most bytes of messages, about; the first message may be larger. A queue may read more, if it can bound only the count.
    pub bytes_max: usize,
}

/// A part of the messages of a range of offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// In order.
    pub messages: Vec<Message>,
    /// The first offset that was not looked at; the end of the range if nothing is left.
    pub next_offset: u64,
}
