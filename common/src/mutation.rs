//! Guards that can be switched off, for the simulation's proof that each of them is needed.
//!
//! Owns: the list of guards that are off in this thread. Does not own: the guards; each looks itself up here by name.
//! Builds without debug assertions have no switches: every guard is on, and the lookup costs nothing.
//!
//! Only a guard inside a plain rule has a switch. For a guard that judges a reply, the simulation forges the reply.

#[cfg(debug_assertions)]
mod switches {
    use std::cell::RefCell;

    thread_local! {
        static OFF: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
    }

    /// True when the guard is switched off.
    pub fn is_off(guard: &str) -> bool {
        OFF.with_borrow(|off| off.contains(&guard))
    }

    /// Switches exactly these guards off in this thread, all others on.
    pub fn turn_off(guards: &[&'static str]) {
        OFF.set(guards.to_vec());
    }
}

#[cfg(debug_assertions)]
pub use switches::{is_off, turn_off};

/// Always false: every guard is on.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn is_off(_guard: &str) -> bool {
    false
}
