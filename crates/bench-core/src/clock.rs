//! Time as an argument: the engine reads its instants from a [`Clock`], never from the system.
//!
//! An *instant* is a count of nanoseconds of the host's monotonic clock. It means something only
//! together with the host's [`BootId`]: two processes of one boot may compare instants directly,
//! two hosts may not, and fall back to the wall clock (see [`ClockOrigin::wall_offset_ns`]).

#[cfg(test)]
mod virtual_clock;

use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};
#[cfg(test)]
pub(crate) use virtual_clock::VirtualClock;

/// Nanoseconds of the host's monotonic clock (`CLOCK_MONOTONIC`, which NTP slews but never steps).
pub type InstantNs = u64;

/// A second, in nanoseconds.
pub const SECOND_NS: u64 = 1_000_000_000;

/// Converts a duration to nanoseconds, saturating at what 64 bits hold (584 years).
#[must_use]
pub fn duration_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Where the engine's time comes from.
pub trait Clock {
    /// The current instant, in nanoseconds of the monotonic clock.
    fn now_ns(&self) -> InstantNs;

    /// Sleeps until `instant_ns`; returns at once when it has passed.
    fn sleep_until_ns(&self, instant_ns: InstantNs);

    /// The data needed to compare this clock's instants with those of another process.
    fn origin(&self) -> ClockOrigin;
}

/// Identifies the clock that an instant was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockOrigin {
    /// The boot that the monotonic clock counts from.
    pub boot: BootId,
    /// Wall clock (nanoseconds since 1970) minus monotonic clock, when the origin was taken.
    ///
    /// An instant plus this offset is a wall-clock time. It is taken once per process, so a later
    /// step of the wall clock does not move the instants.
    pub wall_offset_ns: i64,
}

/// An instant that can be compared on another host, or later in another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The instant, in nanoseconds of the clock with this origin.
    pub instant_ns: InstantNs,
    /// The clock that it was read from.
    pub origin: ClockOrigin,
}

impl Stamp {
    /// The current instant of `clock`.
    #[must_use]
    pub fn now(clock: &SystemClock) -> Self {
        Self { instant_ns: clock.now_ns(), origin: clock.origin() }
    }

    /// Converts to an instant of the clock with `origin`, in nanoseconds: the same number on the
    /// same boot, otherwise through the wall clocks.
    ///
    /// An instant before that host's boot wraps around and is negative once cast to a signed
    /// number, so differences stay correct.
    #[must_use]
    pub fn to_clock(self, origin: ClockOrigin) -> InstantNs {
        if self.origin.boot == origin.boot {
            return self.instant_ns;
        }
        let offset_ns = self.origin.wall_offset_ns.wrapping_sub(origin.wall_offset_ns);
        self.instant_ns.wrapping_add_signed(offset_ns)
    }
}

/// The low 24 bits of a hash of the host's boot id: enough to tell the hosts of one experiment
/// apart (two of them collide with a probability of 6e-8) and small enough to travel in every
/// message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BootId(u32);

impl BootId {
    /// The number of bits kept.
    const BITS: u32 = 24;

    /// Keeps the low 24 bits of `hash`.
    #[must_use]
    pub fn from_hash(hash: u32) -> Self {
        Self(hash & ((1 << Self::BITS) - 1))
    }

    /// This boot of this host.
    ///
    /// Linux publishes a random id for each boot. Elsewhere the host name stands in for it, and a
    /// reboot in the middle of a run goes unnoticed.
    #[must_use]
    pub fn current() -> Self {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .unwrap_or_else(|_| rustix::system::uname().nodename().to_string_lossy().into_owned());
        Self::from_hash(crc32c::crc32c(id.trim().as_bytes()))
    }

    /// The hash as a number below 2^24.
    #[must_use]
    pub fn to_hash(self) -> u32 {
        self.0
    }
}

/// The host's clocks.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    origin: ClockOrigin,
}

impl SystemClock {
    /// Takes the origin of this process's instants.
    #[must_use]
    pub fn new() -> Self {
        Self { origin: ClockOrigin { boot: BootId::current(), wall_offset_ns: wall_offset_ns() } }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[inline]
    fn now_ns(&self) -> InstantNs {
        instant_ns(clock_gettime(ClockId::Monotonic))
    }

    fn sleep_until_ns(&self, instant_ns: InstantNs) {
        loop {
            let now = self.now_ns();
            if now >= instant_ns {
                return;
            }
            std::thread::sleep(Duration::from_nanos(instant_ns - now));
        }
    }

    fn origin(&self) -> ClockOrigin {
        self.origin
    }
}

/// Asks the kernel to wake this thread exactly on time: by default Linux may be 50 us late so that
/// it can wake several threads at once. Does nothing on systems without such a setting.
pub(crate) fn request_precise_sleep() {
    #[cfg(target_os = "linux")]
    // Only a sandbox refuses this; sleeps are late then, which the schedule lag shows.
    let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
}

/// Wall clock minus monotonic clock, bracketed so that preemption between the two readings does not
/// spoil the difference.
fn wall_offset_ns() -> i64 {
    let sample = || {
        let before = instant_ns(clock_gettime(ClockId::Monotonic));
        let wall = clock_gettime(ClockId::Realtime);
        let after = instant_ns(clock_gettime(ClockId::Monotonic));
        let wall_ns = wall.tv_sec.saturating_mul(1_000_000_000).saturating_add(wall.tv_nsec);
        let middle = before + (after - before) / 2;
        (after - before, wall_ns.saturating_sub_unsigned(middle))
    };
    let best = (0..8).map(|_| sample()).min_by_key(|(width, _)| *width);
    best.map_or(0, |(_, offset)| offset)
}

/// The monotonic clock counts from boot and is never negative.
#[inline]
fn instant_ns(time: Timespec) -> InstantNs {
    time.tv_sec.cast_unsigned() * SECOND_NS + time.tv_nsec.cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_clock_sleeps_until_the_instant() {
        let clock = SystemClock::new();
        let before = clock.now_ns();
        clock.sleep_until_ns(before + 2_000_000);
        assert!(clock.now_ns() >= before + 2_000_000);
    }

    #[test]
    fn clocks_of_one_host_share_boot_and_offset() {
        let (a, b) = (SystemClock::new().origin(), SystemClock::new().origin());
        assert_eq!(a.boot, b.boot);
        assert!(a.wall_offset_ns.abs_diff(b.wall_offset_ns) < SECOND_NS);
        assert!(a.wall_offset_ns > 0, "the wall clock is ahead of the time since boot");
    }

    #[test]
    fn stamps_use_wall_clocks_only_across_hosts() {
        let origin =
            |boot, wall_offset_ns| ClockOrigin { boot: BootId::from_hash(boot), wall_offset_ns };
        let stamp = Stamp { instant_ns: 500, origin: origin(1, 1_000) };
        assert_eq!(stamp.to_clock(origin(1, 1_007)), 500, "the offset of another process");
        assert_eq!(stamp.to_clock(origin(2, 300)), 1_200);
        assert_eq!(stamp.to_clock(origin(2, 1_600)).cast_signed(), -100, "before that host's boot");
    }

    #[test]
    fn virtual_clock_moves_only_on_request() {
        let clock = VirtualClock::starting_at(5);
        let twin = clock.clone();
        twin.sleep_until_ns(9);
        twin.advance_to_ns(7);
        assert_eq!(clock.now_ns(), 9);
        clock.advance_by_ns(1);
        assert_eq!(twin.now_ns(), 10);
    }
}
