//! Upstream's signs of life: when the last one came, and which it was; and until when its streams wait
//! for their quota.
//!
//! Silence counts only while we read. When Flow is slow, we are, and a full pipe is not upstream's
//! fault.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Instant;

use crate::capture::event::Status;

/// The longest wait that a stream can announce; Flow restarts a connector each day.
const LONGEST_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

/// What showed that upstream lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It was started.
    Start,
    /// Bytes on stdout.
    Output,
    /// Bytes on stderr.
    Log,
    /// Bytes on the data channel.
    Channel,
    /// Its processes used the processor.
    Cpu,
    /// Its processes read or wrote something.
    Io,
    /// Something went over its connections.
    Connections,
    /// It started a process, or one ended.
    Processes,
}

impl Sign {
    const ALL: [Self; 8] = [
        Sign::Start,
        Sign::Output,
        Sign::Log,
        Sign::Channel,
        Sign::Cpu,
        Sign::Io,
        Sign::Connections,
        Sign::Processes,
    ];

    /// For messages.
    pub fn name(self) -> &'static str {
        match self {
            Sign::Start => "its start",
            Sign::Output => "output",
            Sign::Log => "text on stderr",
            Sign::Channel => "bytes on the data channel",
            Sign::Cpu => "CPU time of its processes",
            Sign::Io => "I/O of its processes",
            Sign::Connections => "its connections",
            Sign::Processes => "a process that came or went",
        }
    }
}

/// When upstream last gave a sign of life.
#[derive(Debug)]
pub struct Pulse {
    start: Instant,
    /// Milliseconds after `start`.
    last: AtomicU64,
    sign: AtomicU8,
    /// Whether we wait for output; if not, upstream may be waiting for us.
    reading: AtomicBool,
    limited: Mutex<BTreeMap<String, RateLimit>>,
}

/// A stream waits for its quota.
#[derive(Debug, Clone)]
pub struct RateLimit {
    /// The stream.
    pub stream: String,
    /// When the quota is there again, as upstream announced it.
    pub until: Timestamp,
    /// The same on our clock.
    pub(crate) deadline: Instant,
}

impl Pulse {
    /// One that begins now.
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            last: AtomicU64::new(0),
            sign: AtomicU8::new(0),
            reading: AtomicBool::new(false),
            limited: Mutex::default(),
        }
    }

    /// A sign that is nobody's: the silence starts anew.
    pub fn beat(&self) {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }

    /// A sign of life.
    pub fn sign(&self, sign: Sign) {
        self.sign.store(sign as u8, Ordering::Relaxed);
        self.beat();
    }

    /// The last sign.
    pub fn last_sign(&self) -> Sign {
        Sign::ALL[usize::from(self.sign.load(Ordering::Relaxed)) % Sign::ALL.len()]
    }

    /// How long there was none, while we were reading.
    pub fn silence(&self) -> Duration {
        if !self.reading.load(Ordering::Relaxed) {
            self.beat();
        }
        self.start.elapsed().saturating_sub(Duration::from_millis(self.last.load(Ordering::Relaxed)))
    }

    /// Says whether we wait for upstream, where more than one pipe of it is read.
    pub fn set_waiting(&self, waiting: bool) {
        if self.reading.swap(waiting, Ordering::Relaxed) != waiting {
            self.beat();
        }
    }

    /// Notes that a stream waits for its quota, or that it does not any more.
    pub fn status(&self, stream: &str, status: Status) {
        let mut limited = self.limited();
        limited.remove(stream);
        if let Status::RateLimited { until: Some(until) } = status {
            let wait = Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or_default();
            let deadline = Instant::now() + wait.min(LONGEST_LIMIT);
            let stream = stream.to_owned();
            limited.insert(stream.clone(), RateLimit { stream, until, deadline });
        }
    }

    /// The last reset that streams wait for; `None` where none waits.
    pub fn rate_limit(&self) -> Option<RateLimit> {
        self.limited().values().max_by_key(|limit| limit.deadline).cloned()
    }

    fn limited(&self) -> MutexGuard<'_, BTreeMap<String, RateLimit>> {
        self.limited.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Pulse {
    fn default() -> Self {
        Self::new()
    }
}

/// A pipe of upstream whose bytes are signs of life.
#[derive(Debug)]
pub struct Watched<R> {
    inner: R,
    pulse: Arc<Pulse>,
    sign: Sign,
}

impl<R> Watched<R> {
    /// stdout; whether it is being read decides whether silence counts.
    pub fn output(inner: R, pulse: Arc<Pulse>) -> Self {
        Self { inner, pulse, sign: Sign::Output }
    }

    /// stderr.
    pub fn log(inner: R, pulse: Arc<Pulse>) -> Self {
        Self { inner, pulse, sign: Sign::Log }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Watched<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(context, into);
        if into.filled().len() > before {
            self.pulse.sign(self.sign);
        }
        if self.sign == Sign::Output
            && self.pulse.reading.swap(read.is_pending(), Ordering::Relaxed) != read.is_pending()
        {
            self.pulse.beat();
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_counts_only_while_we_read() {
        let pulse = Arc::new(Pulse::new());
        let (mut upstream, ours) = tokio::io::duplex(64);
        let mut ours = Watched::output(ours, pulse.clone());
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(pulse.silence(), Duration::ZERO, "nobody reads");
        let mut byte = [0; 1];
        let late = tokio::time::timeout(Duration::from_secs(60), ours.read(&mut byte)).await;
        assert!(late.is_err());
        assert_eq!(pulse.silence(), Duration::from_secs(60));
        upstream.write_all(b"x").await.expect("written");
        ours.read_exact(&mut byte).await.expect("read");
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(pulse.silence(), Duration::ZERO, "we do something else");
        assert_eq!(pulse.last_sign(), Sign::Output);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_limit_lasts_until_the_stream_runs_again() {
        let pulse = Pulse::new();
        let until = Timestamp::now() + Duration::from_secs(3600);
        pulse.status("users", Status::RateLimited { until: Some(until) });
        pulse.status("orders", Status::RateLimited { until: Some(until + Duration::from_secs(60)) });
        assert_eq!(pulse.rate_limit().map(|limit| limit.stream).as_deref(), Some("orders"));
        pulse.status("orders", Status::Running);
        assert_eq!(pulse.rate_limit().map(|limit| limit.until), Some(until));
        pulse.status("users", Status::RateLimited { until: None });
        assert!(pulse.rate_limit().is_none());
    }
}
