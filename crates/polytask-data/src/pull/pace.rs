//! How fast bytes come, over all connections of a file: a server that dribbles or promises without end is left.

use std::time::{Duration, Instant};

use super::options::Patience;

/// Connections one file may take, however many of them bring a few bytes.
const MOST_CONNECTIONS: usize = 1000;

/// What has come so far, and how fast.
pub(super) struct Pace {
    patience: Patience,
    began: Instant,
    window: Instant,
    /// Bytes since `window`.
    bytes: u64,
    connections: usize,
}

impl Pace {
    pub(super) fn new(patience: Patience) -> Self {
        let now = Instant::now();
        Self { patience, began: now, window: now, bytes: 0, connections: 0 }
    }

    /// Notes a further connection.
    ///
    /// # Errors
    /// Why the file is given up, in words.
    pub(super) fn connect(&mut self) -> Result<(), String> {
        self.connections += 1;
        if self.connections > MOST_CONNECTIONS {
            return Err(format!("the server cut {MOST_CONNECTIONS} connections before the file was whole"));
        }
        self.arrive(0)
    }

    /// Notes bytes.
    ///
    /// # Errors
    /// Why the file is given up, in words.
    pub(super) fn arrive(&mut self, bytes: usize) -> Result<(), String> {
        let Patience { longest, least_rate, window } = self.patience;
        self.bytes += bytes as u64;
        if self.began.elapsed() > longest {
            return Err(format!(
                "not whole after {} s, the longest a file may take (POLYTASK_PULL_SECONDS sets it)",
                longest.as_secs()
            ));
        }
        let passed = self.window.elapsed();
        if passed < window {
            return Ok(());
        }
        if !is_fast_enough(self.bytes, passed, least_rate) {
            return Err(format!(
                "the server sent {} bytes in {} s, expected at least {least_rate} per second (POLYTASK_PULL_RATE \
                 sets it, 0 waits for any)",
                self.bytes,
                passed.as_secs()
            ));
        }
        (self.window, self.bytes) = (Instant::now(), 0);
        Ok(())
    }
}

fn is_fast_enough(bytes: u64, passed: Duration, least_rate: u64) -> bool {
    bytes as f64 >= least_rate as f64 * passed.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_an_endless_and_a_cutting_server_are_left_each_for_its_own_reason() {
        let patience = Patience { longest: Duration::MAX, least_rate: 1000, window: Duration::ZERO };
        std::thread::sleep(Duration::from_millis(2));
        let mut slow = Pace::new(patience);
        std::thread::sleep(Duration::from_millis(20));
        assert!(slow.arrive(1).unwrap_err().contains("POLYTASK_PULL_RATE"));
        let mut long = Pace::new(Patience { longest: Duration::ZERO, ..patience });
        assert!(long.arrive(1 << 30).unwrap_err().contains("POLYTASK_PULL_SECONDS"));
        let mut cut = Pace::new(Patience { least_rate: 0, ..patience });
        let ends = (0..2 * MOST_CONNECTIONS).find_map(|_| cut.connect().err());
        assert!(ends.unwrap().contains("connections"));
    }

    #[test]
    fn a_server_that_is_fast_enough_is_waited_for() {
        let patience = Patience { longest: Duration::MAX, least_rate: 1, window: Duration::ZERO };
        let mut pace = Pace::new(patience);
        (0..100).for_each(|_| pace.arrive(1 << 16).unwrap());
        assert!(
            !is_fast_enough(15, Duration::from_secs(30), 1) && is_fast_enough(30, Duration::from_secs(30), 1)
        );
    }
}
