//! Open-loop pacing: the instants at which messages are due, whatever the system does.
//!
//! A [`Pacer`] yields the due instants of one producer. It ignores what became of earlier messages:
//! after a stall it yields everything that fell due meanwhile, with the original due instants. That
//! is what keeps latencies counted from the intended instant free of coordinated omission.
//!
//! The constant and burst schedules are exact: the k-th instant is `start + floor(k * 1e9 / rate)`
//! in integers, so there is no drift however long the run. Each producer of a run takes every n-th
//! message of one common schedule, so the messages of the whole run are evenly spread.

use rand::SeedableRng;
use rand_distr::{Distribution, Exp1};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::clock::{InstantNs, SECOND_NS};

/// When the messages of a run are due.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Schedule {
    /// As fast as the system accepts them (a closed loop).
    Unpaced,
    /// Evenly spread.
    Constant {
        /// Messages per second across all producers.
        rate_per_s: f64,
    },
    /// Independent arrivals: exponentially distributed gaps.
    Poisson {
        /// Mean messages per second across all producers.
        rate_per_s: f64,
    },
    /// The rate changes linearly, then stays constant.
    Ramp {
        /// Messages per second at the start.
        from_per_s: f64,
        /// Messages per second at the end of the ramp and afterwards.
        to_per_s: f64,
        /// Length of the ramp, nanoseconds.
        over_ns: u64,
    },
    /// Several messages due at one instant, then silence until the next burst.
    Burst {
        /// Mean messages per second across all producers.
        rate_per_s: f64,
        /// Messages per burst.
        size: u32,
    },
}

/// Why a schedule is invalid.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ScheduleError {
    /// A rate outside the range that instants in nanoseconds can express.
    #[error("a rate of {rate_per_s} messages per second is outside {min} to {max}",
        min = Schedule::RATE_MIN_PER_S, max = Schedule::RATE_MAX_PER_S)]
    Rate {
        /// The requested rate.
        rate_per_s: f64,
    },
    /// A ramp without a length.
    #[error("a ramp needs a duration above 0")]
    RampLength,
    /// An empty burst.
    #[error("a burst needs at least one message")]
    BurstSize,
}

impl Schedule {
    /// The slowest schedule: one message per thousand seconds.
    pub const RATE_MIN_PER_S: f64 = 0.001;
    /// The fastest schedule: one message per nanosecond.
    pub const RATE_MAX_PER_S: f64 = 1e9;

    /// Whether messages have due instants.
    #[must_use]
    pub fn is_open_loop(&self) -> bool {
        !matches!(self, Self::Unpaced)
    }

    /// The target rate of the run: the mean, or a ramp's final rate.
    #[must_use]
    pub fn target_rate_per_s(&self) -> Option<f64> {
        match *self {
            Self::Unpaced => None,
            Self::Constant { rate_per_s }
            | Self::Poisson { rate_per_s }
            | Self::Burst { rate_per_s, .. } => Some(rate_per_s),
            Self::Ramp { to_per_s, .. } => Some(to_per_s),
        }
    }

    /// The peak rate: the mean, or the faster end of a ramp.
    #[must_use]
    pub fn peak_rate_per_s(&self) -> Option<f64> {
        match *self {
            Self::Ramp { from_per_s, to_per_s, .. } => Some(from_per_s.max(to_per_s)),
            _ => self.target_rate_per_s(),
        }
    }

    /// Checks rates and lengths.
    pub fn validate(&self) -> Result<(), ScheduleError> {
        let rates = match *self {
            Self::Ramp { from_per_s, to_per_s, .. } => [from_per_s, to_per_s],
            _ => [self.target_rate_per_s().unwrap_or(Self::RATE_MAX_PER_S); 2],
        };
        let in_range = |rate: &f64| (Self::RATE_MIN_PER_S..=Self::RATE_MAX_PER_S).contains(rate);
        if let Some(&rate_per_s) = rates.iter().find(|rate| !in_range(rate)) {
            return Err(ScheduleError::Rate { rate_per_s });
        }
        match *self {
            Self::Ramp { over_ns: 0, .. } => Err(ScheduleError::RampLength),
            Self::Burst { size: 0, .. } => Err(ScheduleError::BurstSize),
            _ => Ok(()),
        }
    }
}

/// A producer's share of the schedule: every `count`-th message, starting with the `index`-th.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// This producer, from 0.
    pub index: u32,
    /// How many producers share the schedule.
    pub count: u32,
}

impl Share {
    /// The whole schedule.
    pub const WHOLE: Self = Self { index: 0, count: 1 };
}

/// When a producer stops producing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// After this many messages of this producer.
    Messages(u64),
    /// With the last message due before `start + duration`, nanoseconds.
    DurationNs(u64),
}

/// Whether a producer has a message due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// A message was due at this instant, now or earlier.
    Now(InstantNs),
    /// Nothing is due before this instant.
    At(InstantNs),
    /// The schedule has ended.
    Finished,
}

/// The due instants of one producer, in order.
#[derive(Debug, Clone)]
pub struct Pacer {
    start_ns: InstantNs,
    end_ns: InstantNs,
    left: u64,
    next_ns: InstantNs,
    series: Series,
}

impl Pacer {
    /// The instants of `share`, starting at `start_ns`. `seed` drives the Poisson arrivals.
    pub fn new(
        schedule: Schedule,
        share: Share,
        limit: Limit,
        start_ns: InstantNs,
        seed: u64,
    ) -> Result<Self, ScheduleError> {
        schedule.validate()?;
        let (left, end_ns) = match limit {
            Limit::Messages(messages) => (messages, InstantNs::MAX),
            Limit::DurationNs(duration_ns) => (u64::MAX, start_ns.saturating_add(duration_ns)),
        };
        let mut series = Series::new(schedule, share, seed);
        let next_ns = start_ns.saturating_add(series.next_offset_ns());
        Ok(Self { start_ns, end_ns, left, next_ns, series })
    }

    /// Takes the next message if it is due at `now_ns`.
    #[inline]
    pub fn take(&mut self, now_ns: InstantNs) -> Due {
        let due = self.peek(now_ns);
        if let Due::Now(_) = due {
            self.left -= 1;
            self.next_ns = self.start_ns.saturating_add(self.series.next_offset_ns());
        }
        due
    }

    /// Returns what [`Pacer::take`] would, without taking the message.
    #[inline]
    #[must_use]
    pub fn peek(&self, now_ns: InstantNs) -> Due {
        if matches!(self.series, Series::Unpaced) {
            return match now_ns {
                _ if self.left == 0 || now_ns >= self.end_ns => Due::Finished,
                _ if now_ns < self.start_ns => Due::At(self.start_ns),
                _ => Due::Now(now_ns),
            };
        }
        if self.left == 0 || self.next_ns >= self.end_ns {
            Due::Finished
        } else if self.next_ns <= now_ns {
            Due::Now(self.next_ns)
        } else {
            Due::At(self.next_ns)
        }
    }

    /// The due instants up to `now_ns` that were not taken; none for an unpaced schedule.
    pub fn overdue(mut self, now_ns: InstantNs) -> impl Iterator<Item = InstantNs> {
        std::iter::from_fn(move || match self.take(now_ns) {
            _ if matches!(self.series, Series::Unpaced) => None,
            Due::Now(due_ns) => Some(due_ns),
            Due::At(_) | Due::Finished => None,
        })
    }

    /// The end of the requested time for a producer that stops at `now_ns`: that instant, or the
    /// end of a schedule of fixed duration, which comes one gap after its last message.
    #[must_use]
    pub fn asked_until_ns(&self, now_ns: InstantNs) -> InstantNs {
        let is_open_loop = !matches!(self.series, Series::Unpaced);
        if is_open_loop && self.left > 0 && self.next_ns >= self.end_ns {
            return self.end_ns;
        }
        now_ns.min(self.end_ns)
    }
}

/// Offsets of due instants from the start, in nanoseconds and in order.
#[derive(Debug, Clone)]
enum Series {
    Unpaced,
    Exact(ExactSeries),
    Poisson { offset_ns: f64, mean_gap_ns: f64, rng: Box<Xoshiro256PlusPlus> },
    Ramp { index: u64, step: u64, from_per_s: f64, to_per_s: f64, over_s: f64 },
    Burst { bursts: ExactSeries, offset_ns: u64, burst: u64, index: u64, step: u64, size: u64 },
}

impl Series {
    fn new(schedule: Schedule, share: Share, seed: u64) -> Self {
        let (index, step) = (u64::from(share.index), u64::from(share.count));
        match schedule {
            Schedule::Unpaced => Self::Unpaced,
            Schedule::Constant { rate_per_s } => {
                Self::Exact(ExactSeries::new(index, step, rate_per_s))
            }
            Schedule::Poisson { rate_per_s } => {
                // The sum of independent Poisson streams is a Poisson stream.
                let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
                for _ in 0..share.index {
                    rng.jump();
                }
                Self::Poisson {
                    offset_ns: 0.0,
                    mean_gap_ns: SECOND_NS as f64 * f64::from(share.count) / rate_per_s,
                    rng: Box::new(rng),
                }
            }
            Schedule::Ramp { from_per_s, to_per_s, over_ns } => {
                let over_s = over_ns as f64 / SECOND_NS as f64;
                Self::Ramp { index, step, from_per_s, to_per_s, over_s }
            }
            Schedule::Burst { rate_per_s, size } => {
                let mut bursts = ExactSeries::new(0, u64::from(size), rate_per_s);
                let offset_ns = bursts.next_offset_ns();
                Self::Burst { bursts, offset_ns, burst: 0, index, step, size: u64::from(size) }
            }
        }
    }

    #[inline]
    fn next_offset_ns(&mut self) -> u64 {
        match self {
            Self::Unpaced => 0,
            Self::Exact(exact) => exact.next_offset_ns(),
            Self::Poisson { offset_ns, mean_gap_ns, rng } => {
                let gap: f64 = Exp1.sample(rng);
                *offset_ns += gap * *mean_gap_ns;
                whole_ns(*offset_ns)
            }
            Self::Ramp { index, step, from_per_s, to_per_s, over_s } => {
                let k = *index as f64;
                *index += *step;
                whole_ns(ramp_offset_s(k, *from_per_s, *to_per_s, *over_s) * SECOND_NS as f64)
            }
            Self::Burst { bursts, offset_ns, burst, index, step, size } => {
                while *index / *size > *burst {
                    *burst += 1;
                    *offset_ns = bursts.next_offset_ns();
                }
                *index += *step;
                *offset_ns
            }
        }
    }
}

/// The instant of the k-th message of a ramp: the integral of the rate,
/// `from * t + (to - from) / (2 * over) * t^2`, solved for the `t` at which it reaches `k`, in the
/// form that avoids cancellation when the ramp is nearly flat. After the ramp the rate is constant.
fn ramp_offset_s(k: f64, from_per_s: f64, to_per_s: f64, over_s: f64) -> f64 {
    let on_the_ramp = f64::midpoint(from_per_s, to_per_s) * over_s;
    if k >= on_the_ramp {
        return over_s + (k - on_the_ramp) / to_per_s;
    }
    let slope = (to_per_s - from_per_s) / over_s;
    // Rounding can push the radicand of a falling ramp's last message just below zero.
    2.0 * k / (from_per_s + (from_per_s * from_per_s + 2.0 * slope * k).max(0.0).sqrt())
}

/// Truncates; a float-to-integer cast saturates, so a schedule beyond the clock's range never ends.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "offsets are positive")]
fn whole_ns(offset_ns: f64) -> u64 {
    offset_ns as u64
}

/// `floor(k * 1e9 / rate)` for k = first, first + step, ..., without a division per message.
#[derive(Debug, Clone, Copy)]
struct ExactSeries {
    /// Next offset: whole nanoseconds and the remainder over `rate_per_ks`.
    whole_ns: u64,
    remainder: u64,
    /// The increment per step.
    gap_ns: u64,
    gap_remainder: u64,
    /// The rate in messages per thousand seconds, so that slow rates are whole numbers.
    rate_per_ks: u64,
}

impl ExactSeries {
    fn new(first: u64, step: u64, rate_per_s: f64) -> Self {
        let denominator = whole_ns((rate_per_s * 1_000.0).round()).max(1);
        let split = |messages: u64| {
            let scaled = u128::from(messages) * u128::from(SECOND_NS) * 1_000;
            let rate = u128::from(denominator);
            let whole = u64::try_from(scaled / rate).unwrap_or(u64::MAX);
            (whole, u64::try_from(scaled % rate).unwrap_or(0))
        };
        let (whole_ns, remainder) = split(first);
        let (gap_ns, gap_remainder) = split(step);
        Self { whole_ns, remainder, gap_ns, gap_remainder, rate_per_ks: denominator }
    }

    #[inline]
    fn next_offset_ns(&mut self) -> u64 {
        let offset_ns = self.whole_ns;
        self.whole_ns = self.whole_ns.saturating_add(self.gap_ns);
        self.remainder += self.gap_remainder;
        if self.remainder >= self.rate_per_ks {
            self.remainder -= self.rate_per_ks;
            self.whole_ns = self.whole_ns.saturating_add(1);
        }
        offset_ns
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START_NS: InstantNs = 1_000;

    fn instants(schedule: Schedule, share: Share, limit: Limit) -> Vec<u64> {
        let mut pacer = Pacer::new(schedule, share, limit, START_NS, 1).expect("valid");
        let mut instants = Vec::new();
        while let Due::Now(intended_ns) = pacer.take(InstantNs::MAX - 1) {
            instants.push(intended_ns - START_NS);
        }
        instants
    }

    #[test]
    fn constant_schedules_are_exact_for_an_hour() {
        // A rate whose period is not a whole number of nanoseconds.
        let rate = 7_777_u64;
        let schedule = Schedule::Constant { rate_per_s: 7_777.0 };
        let limit = Limit::DurationNs(3_600 * SECOND_NS);
        let mut pacer = Pacer::new(schedule, Share::WHOLE, limit, START_NS, 1).expect("valid");
        let mut k = 0_u64;
        let mut now_ns = START_NS;
        loop {
            match pacer.take(now_ns) {
                Due::Now(intended_ns) => {
                    let exact = u128::from(k) * 1_000_000_000 / u128::from(rate);
                    assert_eq!(u128::from(intended_ns - START_NS), exact, "message {k}");
                    k += 1;
                }
                Due::At(next_ns) => {
                    assert!(next_ns > now_ns);
                    now_ns = next_ns;
                }
                Due::Finished => break,
            }
        }
        assert_eq!(k, rate * 3_600);
    }

    #[test]
    fn messages_due_in_a_stall_are_kept() {
        let schedule = Schedule::Constant { rate_per_s: 1_000.0 };
        let limit = Limit::Messages(10_000);
        let mut pacer = Pacer::new(schedule, Share::WHOLE, limit, START_NS, 1).expect("valid");
        let after_stall_ns = START_NS + 2 * SECOND_NS;
        let mut taken = Vec::new();
        while let Due::Now(intended_ns) = pacer.take(after_stall_ns) {
            taken.push(intended_ns);
        }
        assert_eq!(taken.len(), 2_001);
        assert_eq!(taken[0], START_NS);
        assert_eq!(taken[2_000], after_stall_ns);
        assert_eq!(pacer.take(after_stall_ns), Due::At(after_stall_ns + 1_000_000));
    }

    #[test]
    fn overdue_messages_are_those_not_taken() {
        let schedule = Schedule::Constant { rate_per_s: 1_000.0 };
        let limit = Limit::DurationNs(5_000_000);
        let mut pacer = Pacer::new(schedule, Share::WHOLE, limit, START_NS, 1).expect("valid");
        assert_eq!(pacer.take(START_NS), Due::Now(START_NS));
        let overdue = |at_ns| pacer.clone().overdue(START_NS + at_ns).collect::<Vec<_>>();
        assert_eq!(overdue(2_500_000), [START_NS + 1_000_000, START_NS + 2_000_000]);
        assert_eq!(overdue(SECOND_NS).len(), 4, "none beyond the end");
        let unpaced = Pacer::new(Schedule::Unpaced, Share::WHOLE, limit, START_NS, 1);
        assert_eq!(unpaced.expect("valid").overdue(START_NS + 1).count(), 0);
    }

    #[test]
    fn requested_time_ends_with_schedule_or_stop() {
        let asked = |schedule, limit, now_ns: u64| {
            let mut pacer = Pacer::new(schedule, Share::WHOLE, limit, START_NS, 1).expect("valid");
            while let Due::Now(_) = pacer.take(START_NS + now_ns.min(9_999)) {
                if matches!(schedule, Schedule::Unpaced) {
                    break;
                }
            }
            pacer.asked_until_ns(START_NS + now_ns) - START_NS
        };
        // One message per microsecond.
        let constant = Schedule::Constant { rate_per_s: 1e6 };
        let duration = Limit::DurationNs(10_000);
        assert_eq!(asked(constant, duration, 4_000), 4_000, "stopped early");
        assert_eq!(
            asked(constant, duration, 9_100),
            10_000,
            "all are sent, but the last gap is not over"
        );
        assert_eq!(asked(constant, duration, 12_000), 10_000, "waited for acknowledgements");
        assert_eq!(asked(constant, Limit::Messages(5), 4_200), 4_200);
        assert_eq!(asked(Schedule::Unpaced, duration, 4_000), 4_000);
        assert_eq!(asked(Schedule::Unpaced, duration, 12_000), 10_000);
    }

    #[test]
    fn producers_share_one_schedule() {
        let schedule = Schedule::Constant { rate_per_s: 3_000.0 };
        let limit = Limit::DurationNs(SECOND_NS);
        let mut shared: Vec<u64> =
            (0..4).flat_map(|index| instants(schedule, Share { index, count: 4 }, limit)).collect();
        shared.sort_unstable();
        assert_eq!(shared, instants(schedule, Share::WHOLE, limit));
    }

    #[test]
    fn poisson_gaps_are_exponentially_distributed() {
        let schedule = Schedule::Poisson { rate_per_s: 10_000.0 };
        let instants = instants(schedule, Share::WHOLE, Limit::Messages(200_000));
        let gaps: Vec<f64> = instants.windows(2).map(|w| (w[1] - w[0]) as f64).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((mean / 100_000.0 - 1.0).abs() < 0.01, "mean gap {mean}");
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.01, "standard deviation equals the mean");
    }

    #[test]
    fn poisson_producers_differ() {
        let schedule = Schedule::Poisson { rate_per_s: 10.0 };
        let of = |index| instants(schedule, Share { index, count: 2 }, Limit::Messages(5));
        assert_ne!(of(0), of(1));
        assert_eq!(of(1), of(1), "and each is reproducible");
    }

    #[test]
    fn ramps_follow_the_integral_of_their_rate() {
        let over_ns = 10 * SECOND_NS;
        let schedule = Schedule::Ramp { from_per_s: 100.0, to_per_s: 1_100.0, over_ns };
        let instants = instants(schedule, Share::WHOLE, Limit::DurationNs(15 * SECOND_NS));
        let until = |s: u64| instants.iter().filter(|&&at| at < s * SECOND_NS).count();
        // 100 t + 50 t^2 on the ramp, then 1,100 per second.
        assert_eq!(until(1), 150);
        assert_eq!(until(5), 1_750);
        assert_eq!(until(10), 6_000);
        assert_eq!(until(15), 11_500);
    }

    #[test]
    fn bursts_are_simultaneous_and_split_between_producers() {
        let schedule = Schedule::Burst { rate_per_s: 100.0, size: 10 };
        let whole = instants(schedule, Share::WHOLE, Limit::DurationNs(SECOND_NS));
        assert_eq!(whole.len(), 100);
        assert!(whole.iter().enumerate().all(|(k, &at)| at == k as u64 / 10 * 100_000_000));
        let half = instants(schedule, Share { index: 1, count: 3 }, Limit::DurationNs(SECOND_NS));
        assert_eq!(half[..4], [0, 0, 0, 100_000_000], "messages 1, 4, 7, then 10");
    }

    #[test]
    fn unpaced_messages_are_due_until_the_limit() {
        let limit = Limit::DurationNs(100);
        let mut pacer =
            Pacer::new(Schedule::Unpaced, Share::WHOLE, limit, START_NS, 1).expect("valid");
        assert_eq!(pacer.take(START_NS - 1), Due::At(START_NS));
        assert_eq!(pacer.take(START_NS + 99), Due::Now(START_NS + 99));
        assert_eq!(pacer.take(START_NS + 100), Due::Finished);
    }

    #[test]
    fn rates_outside_the_range_are_refused() {
        for rate_per_s in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-9, 1e10] {
            assert!(Schedule::Constant { rate_per_s }.validate().is_err(), "{rate_per_s}");
        }
        let ramp = Schedule::Ramp { from_per_s: 1.0, to_per_s: 2.0, over_ns: 0 };
        assert_eq!(ramp.validate(), Err(ScheduleError::RampLength));
        let burst = Schedule::Burst { rate_per_s: 1.0, size: 0 };
        assert_eq!(burst.validate(), Err(ScheduleError::BurstSize));
    }

    proptest! {
        #[test]
        fn instants_never_go_back(
            rate in 0.01..1e8_f64,
            to in 0.01..1e8_f64,
            size in 1..50_u32,
            index in 0..4_u32,
        ) {
            let share = Share { index, count: 4 };
            for schedule in [
                Schedule::Constant { rate_per_s: rate },
                Schedule::Poisson { rate_per_s: rate },
                Schedule::Ramp { from_per_s: rate, to_per_s: to, over_ns: SECOND_NS },
                Schedule::Burst { rate_per_s: rate, size },
            ] {
                let all = instants(schedule, share, Limit::Messages(500));
                prop_assert_eq!(all.len(), 500);
                prop_assert!(all.is_sorted(), "{:?}", schedule);
            }
        }
    }
}
