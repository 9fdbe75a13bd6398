//! Free ports.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};

use crate::error::StackError;
use crate::secret::random;

/// Below the range that systems use for outgoing connections, so that a stopped server finds its
/// port still free.
const FIRST: u16 = 20_000;
const LAST: u16 = 32_000;

/// Hands out ports on which nothing listens.
#[derive(Debug)]
pub(crate) struct Ports {
    taken: BTreeSet<u16>,
}

impl Ports {
    /// `taken` belong to others, even if nobody listens on them now.
    pub(crate) fn beside(taken: BTreeSet<u16>) -> Self {
        Self { taken }
    }

    /// A port that was not handed out before.
    pub(crate) fn next(&mut self) -> Result<u16, StackError> {
        let span = LAST - FIRST + 1;
        // Starts at random, since other processes may be looking at the same time.
        let start = u16::from_le_bytes(random()?) % span;
        let candidates = (0..span).map(|step| FIRST + (start + step) % span);
        for port in candidates {
            let is_free = || TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
            if !self.taken.contains(&port) && is_free() {
                self.taken.insert(port);
                return Ok(port);
            }
        }
        Err(StackError::NoPort { first: FIRST, last: LAST })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_free_and_unique() {
        // All but three, on one of which somebody listens.
        let mut left = Ports::beside(BTreeSet::new());
        let [one, two, other] = [(); 3].map(|()| left.next().expect("a port"));
        let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, other)).expect("it is free");
        let taken = (FIRST..=LAST).filter(|port| ![one, two, other].contains(port)).collect();
        let mut ports = Ports::beside(taken);
        let got = BTreeSet::from([ports.next().expect("one"), ports.next().expect("two")]);
        assert_eq!(got, BTreeSet::from([one, two]));
        let error = ports.next().expect_err("no more").to_string();
        assert_eq!(error, "found no free port on 127.0.0.1 between 20000 and 32000");
    }
}
