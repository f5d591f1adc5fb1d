//! The sockets of one read: a thread for each waits until upstream listens, connects, and reads.

use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::socket::{Reader, Socket};
use super::{Bundle, ChannelPlan, Form, SOCKETS};
use crate::capture::documents::router::Router;
use crate::capture::input::parser::LineParser;
use crate::capture::processes::pulse::Pulse;
use crate::capture::protocol::Route;
use crate::capture::threads;
use crate::failure::Failure;

/// How often it is looked whether upstream listens: at first, and once it has taken longer than a
/// program takes to start.
const EVERY: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(100));
/// How long it is looked that often.
const AT_FIRST: Duration = Duration::from_secs(5);
/// How many bundles may be under way for each socket, whichever they come through.
const UNDER_WAY: usize = 2;

/// The sockets of one read. Dropping it closes them.
#[derive(Debug)]
pub struct Channel {
    bundles: mpsc::Receiver<Bundle>,
    used: Vec<std::sync::mpsc::Sender<Bundle>>,
    shared: Arc<Shared>,
}

/// What the threads and we know of each other.
#[derive(Debug)]
struct Shared {
    /// Nobody waits for upstream any more.
    given_up: AtomicBool,
    connected: Arc<AtomicUsize>,
    /// The streams that are read, to be shut down; `None` once they are.
    streams: Mutex<Option<Vec<UnixStream>>>,
}

/// What all sockets of a read have in common.
pub(crate) struct Opening<'a> {
    /// The names under which upstream tells its streams.
    pub(crate) routes: &'a [Route],
    /// Makes what reads lines.
    pub(crate) parser: &'a dyn Fn() -> LineParser,
    /// The largest message, in bytes.
    pub(crate) limit: usize,
    pub(crate) pulse: &'a Arc<Pulse>,
}

impl Channel {
    /// Begins to wait for the sockets that upstream is asked to open; `path` tells where a name is.
    ///
    /// Fails where the system gives no threads for them.
    pub(crate) fn open(
        plan: &ChannelPlan,
        opening: &Opening<'_>,
        path: impl Fn(&str) -> PathBuf,
    ) -> Result<Self, Failure> {
        let sockets = plan.sockets.min(SOCKETS.len());
        let (sender, bundles) = mpsc::channel(UNDER_WAY * sockets.max(1));
        let shared = Arc::new(Shared::new());
        // Dropped where a thread cannot be had, which ends the others.
        let mut channel = Self { bundles, used: Vec::with_capacity(sockets), shared: shared.clone() };
        for (number, name) in SOCKETS.iter().enumerate().take(sockets) {
            let (back, to_be_used) = std::sync::mpsc::channel();
            channel.used.push(back);
            let reader = match &plan.form {
                Form::Lines => {
                    Reader::Lines(Box::new(((opening.parser)(), Router::new(opening.routes.to_vec()))))
                }
                Form::Frames(reader) => Reader::Frames(reader.another()),
            };
            let socket = Socket {
                number,
                reader,
                limit: opening.limit,
                bundles: sender.clone(),
                used: to_be_used,
                pulse: opening.pulse.clone(),
            };
            let (path, shared) = (path(name), shared.clone());
            threads::spawn(name, move || {
                if let Some(stream) = shared.connect(&path) {
                    socket.read(stream);
                }
            })?;
        }
        Ok(channel)
    }

    /// The next bundle of any socket; `None` once all of them have ended.
    pub async fn next(&mut self) -> Option<Bundle> {
        self.bundles.recv().await
    }

    /// Whether no bundle is there already.
    pub fn is_idle(&self) -> bool {
        self.bundles.is_empty()
    }

    /// A bundle that has been read.
    pub fn give_back(&self, bundle: Bundle) {
        // The thread of a socket that has ended needs none.
        let _ = self.used[bundle.socket].send(bundle);
    }

    /// Sockets that are not there by now are not waited for.
    pub fn give_up(&self) {
        self.shared.given_up.store(true, Ordering::SeqCst);
    }

    /// How many sockets upstream has opened.
    pub fn connected(&self) -> usize {
        self.shared.connected.load(Ordering::SeqCst)
    }

    /// The same, as it goes on.
    pub fn counter(&self) -> Arc<AtomicUsize> {
        self.shared.connected.clone()
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.give_up();
        for stream in self.shared.streams().take().into_iter().flatten() {
            // One that upstream has closed needs no shutdown.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn new() -> Self {
        Self {
            given_up: AtomicBool::new(false),
            connected: Arc::default(),
            streams: Mutex::new(Some(Vec::new())),
        }
    }

    /// Connects once somebody listens; `None` where nobody does.
    fn connect(&self, path: &Path) -> Option<UnixStream> {
        let begun = Instant::now();
        loop {
            // Looked at first, so that there is one more try after it was said.
            let last = self.given_up.load(Ordering::SeqCst);
            if let Ok(stream) = UnixStream::connect(path) {
                self.connected.fetch_add(1, Ordering::SeqCst);
                return self.keep(stream);
            }
            if last {
                return None;
            }
            std::thread::sleep(if begun.elapsed() < AT_FIRST { EVERY.0 } else { EVERY.1 });
        }
    }

    /// Notes a stream, so that it can be shut down; `None` where all of them have been already.
    fn keep(&self, stream: UnixStream) -> Option<UnixStream> {
        let kept = stream.try_clone().ok()?;
        self.streams().as_mut()?.push(kept);
        Some(stream)
    }

    fn streams(&self) -> MutexGuard<'_, Option<Vec<UnixStream>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixListener;

    use super::super::{End, Item};
    use super::*;
    use crate::capture::event::{Event, LineError};
    use crate::json::envelope::Part;

    fn parser() -> LineParser {
        fn none(_: &[u8]) -> Result<Event<'_>, LineError> {
            Err(LineError::NotAMessage)
        }
        LineParser::new(&[], Part::Message, |_| None, none)
    }

    fn open(folder: &Path, sockets: usize, limit: usize) -> Channel {
        let plan = ChannelPlan { sockets, form: Form::Lines };
        let opening = Opening { routes: &[], parser: &parser, limit, pulse: &Arc::new(Pulse::new()) };
        Channel::open(&plan, &opening, |name| folder.join(name)).expect("threads")
    }

    #[tokio::test]
    async fn sockets_are_waited_for_until_they_are_given_up() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut channel = open(folder.path(), 2, 1000);
        tokio::time::sleep(Duration::from_millis(30)).await;
        assert_eq!(channel.connected(), 0);
        let listener = UnixListener::bind(folder.path().join(SOCKETS[1])).expect("a socket");
        let (mut upstream, _) = listener.accept().expect("a connection");
        upstream.write_all(b"\none\ntwo").expect("written");
        drop(upstream);
        let mut lines = Vec::new();
        loop {
            let bundle = channel.next().await.expect("a bundle");
            for item in &bundle.items {
                let Item::Line(line) = item else { panic!("{item:?}") };
                lines.push(String::from_utf8(bundle.bytes[line.clone()].to_vec()).expect("text"));
            }
            if let Some(end) = &bundle.end {
                assert!(matches!(end, End::Whole), "{end:?}");
                break;
            }
            channel.give_back(bundle);
        }
        assert_eq!(lines, ["one", "two"], "a lone newline is a probe");
        assert_eq!(channel.connected(), 1);
        channel.give_up();
        assert!(channel.next().await.is_none(), "the other socket is not waited for");
    }

    #[tokio::test]
    async fn an_upstream_that_ends_before_it_takes_a_connection_has_sent_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = UnixListener::bind(folder.path().join(SOCKETS[0])).expect("a socket");
        let mut channel = open(folder.path(), 1, 1000);
        while channel.connected() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(listener);
        let bundle = channel.next().await.expect("an end");
        assert!(matches!(bundle.end, Some(End::Whole)), "{:?}", bundle.end);
    }

    #[tokio::test]
    async fn a_bundle_that_a_huge_line_has_made_large_is_not_used_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = UnixListener::bind(folder.path().join(SOCKETS[0])).expect("a socket");
        let mut channel = open(folder.path(), 1, 4 << 20);
        let (mut upstream, _) = listener.accept().expect("a connection");
        let huge = std::thread::spawn(move || {
            upstream.write_all(&vec![b'x'; 3 << 20]).expect("written");
            upstream.write_all(b"\n").expect("written");
            upstream
        });
        let bundle = channel.next().await.expect("a bundle");
        assert!(bundle.bytes.capacity() > 3 << 20);
        channel.give_back(bundle);
        let mut upstream = huge.join().expect("it ends");
        for _ in 0..4 {
            upstream.write_all(b"small\n").expect("written");
            let bundle = channel.next().await.expect("a bundle");
            assert!(bundle.bytes.capacity() < 3 << 20, "{}", bundle.bytes.capacity());
            channel.give_back(bundle);
        }
    }

    #[test]
    fn a_socket_that_connects_once_it_is_dropped_is_not_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = UnixListener::bind(folder.path().join(SOCKETS[0])).expect("a socket");
        let channel = open(folder.path(), 0, 1000);
        let shared = channel.shared.clone();
        drop(channel);
        assert!(shared.connect(&folder.path().join(SOCKETS[0])).is_none());
        let (mut upstream, _) = listener.accept().expect("a connection");
        assert!(upstream.write_all(b"x").is_err(), "upstream is told that nobody reads");
    }

    #[tokio::test]
    async fn dropping_it_closes_the_sockets() {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = UnixListener::bind(folder.path().join(SOCKETS[0])).expect("a socket");
        let channel = open(folder.path(), 1, 1000);
        let (mut upstream, _) = listener.accept().expect("a connection");
        drop(channel);
        let mut closed = false;
        for _ in 0..500 {
            closed = upstream.write_all(&[b'x'; 1000]).is_err();
            if closed {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(closed, "upstream is told that nobody reads");
    }
}
