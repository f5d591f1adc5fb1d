//! Notices that a read hangs: no sign of life of upstream for as long as `read.idleTimeout`.
//!
//! Signs are bytes on stdout and stderr, and processes that do something: use at least one percent
//! of a processor, since an idle JVM uses less, read or write a single byte, over TCP too, or open a
//! connection. They are looked at rarely, and only while the pipes are silent. A stream that waits for its quota is given the
//! time that it announced.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Pid;
use tokio::time::Instant;

use super::seen::Seen;
use crate::capture::processes::connections::{self, Connections};
use crate::capture::processes::opened;
use crate::capture::processes::process::Process;
use crate::capture::processes::pulse::{Pulse, RateLimit, Sign};
use crate::capture::processes::stacks;
use crate::capture::processes::supervisor::Running;
use crate::capture::processes::tree::Tree;
use crate::failure::{Code, Failure};

/// How many looks at the processes a whole deadline holds.
const LOOKS: u32 = 12;
/// The shortest and the longest time between two looks.
const EVERY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(300));
/// The share of a processor that an idle process may use: one in so many.
const IDLE_SHARE: u32 = 100;

/// What processes have done so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Activity {
    /// Processor time.
    cpu: Duration,
    /// Bytes read and written.
    io: u64,
    /// Bytes over their connections.
    connections: Connections,
    /// How many connections they have opened; `None` where the kernel cannot tell.
    opened: Option<u64>,
    /// Which there are.
    processes: Vec<Pid>,
}

impl Activity {
    /// What these processes have done.
    fn of(processes: &[Process]) -> Self {
        Self {
            cpu: processes.iter().map(Process::cpu_time).sum(),
            io: processes.iter().map(Process::io_bytes).sum(),
            connections: connections::of(processes),
            opened: opened::count(processes),
            processes: processes.iter().map(|process| process.id).collect(),
        }
    }

    /// The sign of life since an earlier look.
    fn since(&self, earlier: &Self, elapsed: Duration) -> Option<Sign> {
        if self.processes != earlier.processes {
            return Some(Sign::Processes);
        }
        if self.io != earlier.io {
            return Some(Sign::Io);
        }
        let opened = self.opened.zip(earlier.opened).is_some_and(|(now, before)| now > before);
        if opened || connections::moved(&earlier.connections, &self.connections) {
            return Some(Sign::Connections);
        }
        let used = self.cpu.saturating_sub(earlier.cpu);
        (used > Duration::ZERO && used * IDLE_SHARE >= elapsed).then_some(Sign::Cpu)
    }
}

/// The watch over one read.
#[derive(Debug)]
pub(super) struct Watch {
    limit: Option<Duration>,
    tree: Tree,
    pulse: Arc<Pulse>,
    expired: RefCell<Option<Expired>>,
}

impl Watch {
    /// A watch that gives upstream up after so long without a sign of life; `None` for never.
    pub(super) fn over(running: &Running, limit: Option<Duration>) -> Self {
        let (tree, pulse) = (running.tree().clone(), running.pulse().clone());
        Self { limit, tree, pulse, expired: RefCell::default() }
    }

    /// Ends once upstream is given up and its stacks are in the log. It has to be read meanwhile, since
    /// they may come on its output; that may end it, so ask for the [`verdict`](Self::verdict) anyway.
    pub(super) async fn expired(&self) {
        let Some(limit) = self.limit else { return std::future::pending().await };
        let look = || Activity::of(&self.tree.members());
        let expired = expired(limit, self.pulse.clone(), look).await;
        self.expired.replace(Some(expired));
        stacks::dump(&self.tree, &self.pulse).await;
    }

    /// What a read that was given up comes to, whatever ended meanwhile; `None` where it was not.
    pub(super) fn verdict(&self, seen: &Seen) -> Option<Result<(), Failure>> {
        let expired = self.expired.borrow();
        expired.as_ref().map(|expired| expired.verdict(self.limit.unwrap_or_default(), seen))
    }
}

/// A read hangs.
#[derive(Debug, Clone)]
struct Expired {
    /// How long there was no sign of life.
    silent: Duration,
    /// The last one.
    last: Sign,
    /// What had extended the deadline.
    rate_limit: Option<RateLimit>,
}

/// Ends once upstream has given no sign of life for `limit`. `look` tells what its processes have done.
async fn expired(limit: Duration, pulse: Arc<Pulse>, mut look: impl FnMut() -> Activity) -> Expired {
    let every = (limit / LOOKS).clamp(EVERY.0, EVERY.1);
    let mut extended = None;
    let mut seen: Option<(Activity, Instant)> = None;
    loop {
        let silent = pulse.silence();
        if silent >= limit {
            match pulse.rate_limit().filter(|rate_limit| rate_limit.deadline > Instant::now()) {
                Some(rate_limit) => {
                    tracing::info!(
                        observable = true,
                        stream = rate_limit.stream,
                        "upstream is silent, as a stream waits for its quota until {}",
                        rate_limit.until
                    );
                    tokio::time::sleep_until(rate_limit.deadline).await;
                    extended = Some(rate_limit);
                    // Once the quota is there, it gets as long as ever to show it.
                    pulse.beat();
                    continue;
                }
                None => return Expired { silent, last: pulse.last_sign(), rate_limit: extended },
            }
        }
        tokio::time::sleep(limit.saturating_sub(silent).min(every)).await;
        if pulse.silence() < every / 2 {
            // The pipes say enough; an older look would be compared with too much.
            seen = None;
            continue;
        }
        let now = (look(), Instant::now());
        if let Some((before, then)) = &seen
            && let Some(sign) = now.0.since(before, then.elapsed())
        {
            pulse.sign(sign);
        }
        seen = Some(now);
    }
}

impl Expired {
    /// Success, with a warning, where all that was read is committed, since Flow goes on from there.
    /// Not where nothing was: a source that hangs each time would never be noticed.
    fn verdict(&self, limit: Duration, seen: &Seen) -> Result<(), Failure> {
        let message = self.message(limit, seen.last_stream.as_deref());
        if seen.checkpoints > 0 && seen.uncommitted == 0 {
            tracing::warn!(
                observable = true,
                "{message}; all that it has read is committed, and the next session goes on from there"
            );
            return Ok(());
        }
        let lost = match seen.uncommitted {
            0 => "it has committed nothing".to_owned(),
            documents => format!("{documents} documents after the last checkpoint are read again"),
        };
        let failure = Failure::new(Code::UPSTREAM_HUNG, format!("{message}; {lost}"));
        Err(failure.or_with("stream", seen.last_stream.as_deref()))
    }

    fn message(&self, limit: Duration, last_stream: Option<&str>) -> String {
        let (silent, limit) = (self.silent.as_secs(), limit.as_secs_f64());
        let last = self.last.name();
        let extended = self.rate_limit.as_ref().map_or_else(String::new, |rate_limit| {
            format!(
                ", though the quota that stream {:?} waited for was there at {}",
                rate_limit.stream, rate_limit.until
            )
        });
        let stream = last_stream.map_or_else(
            || "no record was read".to_owned(),
            |stream| format!("the last record was of stream {stream:?}"),
        );
        format!(
            "upstream hung and was stopped: for {silent} s nothing came on stdout or stderr and its processes did \
             nothing{extended}; the last sign of life was {last}, and {stream}; if it needs longer, raise \
             read.idleTimeout in shim.yaml, which is {limit} s"
        )
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use jiff::Timestamp;
    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::capture::event::Status;
    use crate::capture::processes::pulse::Watched;

    const HOUR: Duration = Duration::from_secs(3600);

    /// A pulse whose output is being read, and never comes.
    fn silent() -> Arc<Pulse> {
        let pulse = Arc::new(Pulse::new());
        let (upstream, ours) = tokio::io::duplex(1);
        let mut output = Watched::output(ours, pulse.clone());
        tokio::spawn(async move {
            let _open = upstream;
            output.read_u8().await
        });
        pulse
    }

    fn idle() -> Activity {
        let connections = [(7, 100)].into();
        Activity {
            cpu: Duration::from_secs(9),
            io: 77,
            connections,
            opened: None,
            processes: vec![Pid::INIT],
        }
    }

    /// After how many minutes a read is given up whose processes do what `look` tells.
    async fn minutes(pulse: Arc<Pulse>, look: impl FnMut() -> Activity) -> (u64, Expired) {
        let begun = Instant::now();
        let expired = expired(HOUR, pulse, look).await;
        (begun.elapsed().as_secs().div_ceil(60), expired)
    }

    #[tokio::test(start_paused = true)]
    async fn silence_without_work_ends_at_the_limit() {
        let (minutes, expired) = minutes(silent(), idle).await;
        assert_eq!(minutes, 60);
        assert_eq!((expired.silent, expired.last), (HOUR, Sign::Start));
    }

    #[tokio::test(start_paused = true)]
    async fn six_silent_hours_with_now_and_then_a_byte_survive() {
        let looks = Cell::new(0_u64);
        let look = || {
            looks.set(looks.get() + 1);
            // A poll each half hour, until the sixth hour is over.
            Activity { io: (looks.get() / 6).min(12), ..idle() }
        };
        let (minutes, expired) = minutes(silent(), look).await;
        assert!((6 * 60 + 60..6 * 60 + 75).contains(&minutes), "{minutes}");
        assert_eq!(expired.last, Sign::Io);
    }

    #[tokio::test(start_paused = true)]
    async fn a_poller_that_only_its_connections_show_survives_and_one_that_nobody_answers_does_not() {
        let looks = Cell::new(0_u64);
        let polls = || {
            looks.set(looks.get() + 1);
            looks.get() / 6
        };
        // On one connection, with bytes; on new ones that are there when it is looked; on ones that are not.
        let bytes = || Activity { connections: [(7, polls())].into(), ..idle() };
        assert!(tokio::time::timeout(HOUR * 24, minutes(silent(), bytes)).await.is_err());
        let anew = || Activity { connections: [(7 + polls(), 0)].into(), ..idle() };
        assert!(tokio::time::timeout(HOUR * 24, minutes(silent(), anew)).await.is_err());
        let brief = || Activity { opened: Some(polls()), ..idle() };
        assert!(tokio::time::timeout(HOUR * 24, minutes(silent(), brief)).await.is_err());
        let unanswered = || Activity { connections: [(7, 0)].into(), opened: Some(1), ..idle() };
        assert_eq!(minutes(silent(), unanswered).await.0, 60);
    }

    #[tokio::test(start_paused = true)]
    async fn only_work_worth_the_name_is_a_sign() {
        let looks = Cell::new(0_u32);
        let burning = |share: u64| {
            let looks = &looks;
            move || {
                looks.set(looks.get() + 1);
                Activity { cpu: Duration::from_secs(3 * share * u64::from(looks.get())) / 10, ..idle() }
            }
        };
        // 0.3 s in 5 minutes is what an idle JVM uses.
        assert_eq!(minutes(silent(), burning(1)).await.0, 60);
        let busy = tokio::time::timeout(HOUR * 24, minutes(silent(), burning(10))).await;
        assert!(busy.is_err(), "3 s in 5 minutes is work");
        let look = || {
            looks.set(looks.get() + 1);
            let last = if looks.get().is_multiple_of(2) { None } else { Pid::from_raw(2) };
            Activity { processes: std::iter::once(Pid::INIT).chain(last).collect(), ..idle() }
        };
        let forking = tokio::time::timeout(HOUR * 24, minutes(silent(), look)).await;
        assert!(forking.is_err(), "processes come and go");
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_limit_extends_the_deadline() {
        let pulse = silent();
        let until = Timestamp::now() + HOUR * 5;
        pulse.status("users", Status::RateLimited { until: Some(until) });
        let (minutes, expired) = minutes(pulse, idle).await;
        assert!((6 * 60 - 1..=6 * 60 + 1).contains(&minutes), "{minutes}");
        let message = expired.message(HOUR, Some("users"));
        assert!(message.contains("quota that stream \"users\"") && message.contains("3600 s"), "{message}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_of_ours_is_not_upstreams_fault() {
        // Nobody reads its output: we wait for Flow.
        let never = tokio::time::timeout(HOUR * 24, minutes(Arc::new(Pulse::new()), idle)).await;
        assert!(never.is_err());
    }

    #[test]
    fn only_a_read_that_committed_everything_ends_well() {
        let expired = Expired { silent: HOUR, last: Sign::Output, rate_limit: None };
        let verdict = |checkpoints, uncommitted| {
            let last_stream = Some("users".to_owned());
            expired.verdict(HOUR, &Seen { uncommitted, checkpoints, last_stream, ..Seen::default() })
        };
        assert!(verdict(3, 0).is_ok());
        let failure = verdict(3, 7).expect_err("documents are uncommitted");
        assert_eq!(failure.code, Code::UPSTREAM_HUNG);
        assert!(
            failure.message.contains("7 documents") && failure.message.contains("\"users\""),
            "{failure}"
        );
        assert!(verdict(0, 0).expect_err("nothing was read").message.contains("committed nothing"));
    }
}
