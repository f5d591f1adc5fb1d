//! How long to wait: until a stream is to be read again (`interval`), and until a session may end
//! (`read.minInterval`).
//!
//! When a stream was read is kept in the state, in calendar time, so that a restart does not forget it.

use std::time::Duration;

use jiff::Timestamp;

use crate::capture::collections::bindings::BoundBinding;
use crate::capture::protocol::UpstreamProtocol;
use crate::capture::requests::Requests;
use crate::capture::shutdown::{Shutdown, stopped};
use crate::capture::state::CaptureState;
use crate::capture::stray::stray_request_or_end;
use crate::failure::Failure;

/// How a wait ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rested {
    /// The time is over.
    Over,
    /// Flow has no more requests: the session is to end.
    Ended,
}

/// How long each binding has still to wait; zero for those that are due.
pub(super) fn waits<P: UpstreamProtocol>(
    protocol: &P,
    bound: &[BoundBinding],
    state: &CaptureState,
    now: Timestamp,
) -> Vec<Duration> {
    let stored = state.stored();
    let wait = |(position, binding): (usize, &BoundBinding)| {
        let Some(interval) = binding.different.interval else { return Duration::ZERO };
        if !protocol.may_be_left_out(&binding.resource_config, &stored) {
            tracing::warn!(
                stream = %binding.resource.id,
                "its interval is not kept: what upstream keeps for all streams together moves on with each read, so a \
                 stream that is left out of one would miss changes"
            );
            return Duration::ZERO;
        }
        left(state.read_at(position), interval, now)
    };
    bound.iter().enumerate().map(wait).collect()
}

/// A time that cannot be read, or lies ahead, does not keep a stream from being read for longer than
/// one interval.
fn left(read_at: Option<&str>, interval: Duration, now: Timestamp) -> Duration {
    let Some(at) = read_at.and_then(|at| at.parse::<Timestamp>().ok()) else { return Duration::ZERO };
    let since = Duration::try_from(now.duration_since(at)).unwrap_or(Duration::ZERO);
    interval.saturating_sub(since)
}

/// Waits, unless Flow or a signal ends the session before.
pub(super) async fn rest(
    time: Duration,
    shutdown: &Shutdown,
    requests: &mut Requests,
) -> Result<Rested, Failure> {
    tokio::select! {
        () = tokio::time::sleep(time) => Ok(Rested::Over),
        why = shutdown.requested() => Err(stopped(why)),
        failure = stray_request_or_end(requests, None) => failure.map_or(Ok(Rested::Ended), Err),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::shutdown::{Stop, Stopper};
    use crate::flow::codec::Codec;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn a_restart_does_not_begin_the_interval_anew() {
        let hour = Duration::from_secs(3600);
        let now = at("2024-05-01T10:20:00Z");
        assert_eq!(left(Some("2024-05-01T10:00:00Z"), hour, now), Duration::from_secs(40 * 60));
        assert_eq!(left(Some("2024-05-01T09:20:00Z"), hour, now), Duration::ZERO);
        assert_eq!(left(Some("2031-01-01T00:00:00Z"), hour, now), hour, "a clock that was set back");
        assert_eq!(left(Some("yesterday"), hour, now), Duration::ZERO);
        assert_eq!(left(None, hour, now), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_lasts_its_time() {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let mut requests = Requests::start(reader, Codec::Json).expect("a thread");
        let began = tokio::time::Instant::now();
        let rested = rest(Duration::from_secs(7200), &Shutdown::never(), &mut requests).await;
        assert_eq!((rested.ok(), began.elapsed().as_secs()), (Some(Rested::Over), 7200));
        drop(writer);
    }

    #[tokio::test]
    async fn the_end_of_requests_and_signals_end_a_wait() {
        let long = Duration::from_secs(7200);
        let mut requests = Requests::start(std::io::empty(), Codec::Json).expect("a thread");
        let rested = rest(long, &Shutdown::never(), &mut requests).await;
        assert_eq!(rested.ok(), Some(Rested::Ended));
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let mut requests = Requests::start(reader, Codec::Json).expect("a thread");
        let (stopper, shutdown) = Stopper::new();
        stopper.stop(Stop::Signal(15));
        assert!(rest(long, &shutdown, &mut requests).await.is_err());
        drop(writer);
    }
}
