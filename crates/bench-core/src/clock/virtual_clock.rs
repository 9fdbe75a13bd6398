//! A clock for tests of the engine.

use std::cell::Cell;
use std::rc::Rc;

use super::{BootId, Clock, ClockOrigin, InstantNs};

/// A clock that stands still until moved; sleeping moves it at once.
///
/// Clones share the time, so that a simulated transport and the engine see the same instants.
#[derive(Debug, Clone)]
pub(crate) struct VirtualClock {
    now_ns: Rc<Cell<InstantNs>>,
    origin: ClockOrigin,
}

impl VirtualClock {
    /// A clock that shows `now_ns`, of a made-up boot whose wall clock started at 1970.
    pub(crate) fn starting_at(now_ns: InstantNs) -> Self {
        let origin = ClockOrigin { boot: BootId::from_hash(0x5EED), wall_offset_ns: 0 };
        Self { now_ns: Rc::new(Cell::new(now_ns)), origin }
    }

    /// The same clock, as if it were another host's.
    pub(crate) fn with_origin(mut self, origin: ClockOrigin) -> Self {
        self.origin = origin;
        self
    }

    /// Moves the clock forward to `instant_ns`; never backward.
    pub(crate) fn advance_to_ns(&self, instant_ns: InstantNs) {
        self.now_ns.set(self.now_ns.get().max(instant_ns));
    }

    /// Moves the clock forward by `duration_ns`.
    pub(crate) fn advance_by_ns(&self, duration_ns: u64) {
        self.now_ns.set(self.now_ns.get() + duration_ns);
    }
}

impl Clock for VirtualClock {
    fn now_ns(&self) -> InstantNs {
        self.now_ns.get()
    }

    fn sleep_until_ns(&self, instant_ns: InstantNs) {
        self.advance_to_ns(instant_ns);
    }

    fn origin(&self) -> ClockOrigin {
        self.origin
    }
}
