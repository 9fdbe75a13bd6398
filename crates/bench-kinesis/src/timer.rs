//! Waits until an instant of the engine's clock, within an async runtime.

use bench_core::clock::{Clock as _, InstantNs, SystemClock};
#[cfg(target_os = "linux")]
use tokio::io::{Interest, unix::AsyncFd};

/// A timer with the kernel's precision. The runtime's own timers count whole milliseconds, which
/// would delay every message of a schedule by up to one.
#[cfg(target_os = "linux")]
pub(crate) struct Timer {
    clock: SystemClock,
    events: AsyncFd<rustix::fd::OwnedFd>,
}

#[cfg(target_os = "linux")]
impl Timer {
    /// Creates a timer of the current runtime.
    pub(crate) fn new(clock: SystemClock) -> std::io::Result<Self> {
        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe; an OwnedFd stays the same file while it is owned"
        )]
        let events = AsyncFd::with_interest(timer, Interest::READABLE)?;
        Ok(Self { clock, events })
    }

    /// Sleeps until the instant; returns at once if it has passed.
    pub(crate) async fn sleep_until(&self, instant_ns: InstantNs) -> std::io::Result<()> {
        use bench_core::clock::SECOND_NS;
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};
        if self.clock.now_ns() >= instant_ns {
            return Ok(());
        }
        // Instants are of the kernel's monotonic clock. A time of 0 would disarm the timer.
        let it_value = Timespec {
            tv_sec: (instant_ns / SECOND_NS).cast_signed(),
            tv_nsec: (instant_ns % SECOND_NS).max(1).cast_signed(),
        };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        let time = Itimerspec { it_interval, it_value };
        timerfd_settime(self.events.get_ref(), TimerfdTimerFlags::ABSTIME, &time)?;
        // The timer may still report an earlier instant, the wait for which was cancelled.
        while self.clock.now_ns() < instant_ns {
            self.events.readable().await?.clear_ready();
        }
        Ok(())
    }
}

/// Elsewhere, the runtime's own timers are used; the schedule lag shows their imprecision.
#[cfg(not(target_os = "linux"))]
pub(crate) struct Timer {
    clock: SystemClock,
}

#[cfg(not(target_os = "linux"))]
impl Timer {
    pub(crate) fn new(clock: SystemClock) -> std::io::Result<Self> {
        Ok(Self { clock })
    }

    pub(crate) async fn sleep_until(&self, instant_ns: InstantNs) -> std::io::Result<()> {
        let left_ns = instant_ns.saturating_sub(self.clock.now_ns());
        tokio::time::sleep(std::time::Duration::from_nanos(left_ns)).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleeps_are_exact_after_a_cancelled_sleep() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let clock = SystemClock::new();
        runtime.block_on(async {
            let timer = Timer::new(clock).expect("a timer");
            timer.sleep_until(clock.now_ns().saturating_sub(1)).await.expect("has passed");
            for wait_ns in [2_000_000, 300_000, 5_000_000] {
                let given_up = clock.now_ns() + 100_000;
                tokio::select! {
                    biased;
                    waited = timer.sleep_until(given_up) => waited.expect("the timer works"),
                    () = tokio::task::yield_now() => {}
                }
                let instant_ns = clock.now_ns() + wait_ns;
                timer.sleep_until(instant_ns).await.expect("the timer works");
                assert!(clock.now_ns() >= instant_ns);
            }
        });
    }
}
