//! Consuming what a real writer wrote: by place, by time, and in groups.
//!
//! Owns: the list of cases. Does not own: the lake that they read (`consuming/lake`).

mod consuming {
    mod fetching;
    mod groups;
    mod histories;
    pub(crate) mod lake;
    mod objects;
    mod tail;
}
