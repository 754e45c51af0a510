//! The only place of the daemon that reads the clocks. A shard reads them once a turn and hands the pair on.

use std::sync::LazyLock;
use std::time;

use wire::time::{Instant, Now, WallMs};

/// The zero of monotonic time for all threads of this process, one hour back, so that "an hour ago" is a time too.
static START: LazyLock<time::Instant> = LazyLock::new(time::Instant::now);

/// Where monotonic time starts.
const ORIGIN_NS: u64 = 3_600_000_000_000;

/// Both clocks now.
#[must_use]
pub(crate) fn now() -> Now {
    let since_start = u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let wall = time::SystemTime::now().duration_since(time::UNIX_EPOCH).unwrap_or_default();
    Now {
        mono: Instant(ORIGIN_NS.saturating_add(since_start)),
        wall: WallMs(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX)),
    }
}
