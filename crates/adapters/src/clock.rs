//! The system's clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use factory_domain::ports::Clock;

/// The time of day as the operating system tells it.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn since_epoch(&self) -> Duration {
        // A machine whose clock stands before 1970 gets 1970: ages are all that is asked for.
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}
