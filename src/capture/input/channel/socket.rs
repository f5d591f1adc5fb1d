//! Hot path: the thread of one socket. It reads, cuts, makes the text of records, and passes on
//! buffers that the pump gives back.

use std::io::{ErrorKind, Read};
use std::ops::Range;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::frames::{self, LENGTH, Uncut};
use super::{Bundle, End, Frame, FrameReader, Item};
use crate::capture::documents::router::Router;
use crate::capture::event::{Event, LineError};
use crate::capture::input::buffer::Buffer;
use crate::capture::input::damaged::{Oversized, beginning, is_half, stream_of};
use crate::capture::input::parser::LineParser;
use crate::capture::processes::pulse::{Pulse, Sign};

/// A bundle of so much text is passed on.
const FULL: usize = 256 * 1024;
/// A bundle that one huge record has made larger than this is not used again.
const KEEP: usize = 2 * 1024 * 1024;

/// What reads the messages of one socket.
pub(super) enum Reader {
    Lines(Box<(LineParser, Router)>),
    Frames(Box<dyn FrameReader>),
}

/// One socket.
pub(super) struct Socket {
    pub(super) number: usize,
    pub(super) reader: Reader,
    /// The largest message, in bytes.
    pub(super) limit: usize,
    pub(super) bundles: mpsc::Sender<Bundle>,
    /// Bundles to be used again.
    pub(super) used: std::sync::mpsc::Receiver<Bundle>,
    pub(super) pulse: Arc<Pulse>,
}

/// What goes on with a socket.
struct Reading {
    socket: Socket,
    buffer: Buffer,
    bundle: Bundle,
    /// Whether anything has come.
    begun: bool,
    /// The part of which the last record of the bundle is.
    last: Option<(usize, String)>,
}

/// Nobody takes bundles any more.
struct Stopped;

impl Socket {
    /// Reads to the end of the socket.
    pub(super) fn read(self, mut stream: UnixStream) {
        let around = match &self.reader {
            Reader::Lines(..) => 1,
            Reader::Frames(_) => LENGTH,
        };
        let buffer = Buffer::new(self.limit, around);
        let bundle = Bundle { socket: self.number, ..Bundle::default() };
        let mut reading = Reading { socket: self, buffer, bundle, begun: false, last: None };
        let end = reading.read(&mut stream);
        if let Ok(end) = end {
            reading.bundle.end = Some(end);
            // Where nobody takes it, nobody wants to know.
            let _ = reading.pass_on();
        }
    }
}

impl Reading {
    fn read(&mut self, stream: &mut UnixStream) -> Result<End, Stopped> {
        loop {
            match stream.read(self.buffer.room()) {
                Ok(0) => return Ok(self.rest()),
                Ok(read) => {
                    self.buffer.filled(read);
                    self.begun = true;
                    self.socket.pulse.sign(Sign::Channel);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                // Upstream ended before it took the connection, unless it has sent something.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    return Ok(if self.begun { End::Half(self.stream_of_rest()) } else { End::Whole });
                }
                Err(error) => return Ok(End::Unreadable(error)),
            }
            if let Some(end) = self.cut()? {
                return Ok(end);
            }
            if !self.bundle.items.is_empty() {
                self.pass_on()?;
            }
        }
    }

    /// Takes all whole messages that were read; `Some` where one of them is the end.
    fn cut(&mut self) -> Result<Option<End>, Stopped> {
        loop {
            let message = match &self.socket.reader {
                Reader::Lines(..) => self.buffer.line().map_err(|_| Uncut::TooLong),
                Reader::Frames(_) => frames::cut(&mut self.buffer),
            };
            let taken = match message {
                Ok(Some(message)) => self.take(message),
                Ok(None) => return Ok(None),
                Err(Uncut::TooLong) => {
                    let rest = self.buffer.rest();
                    let oversized = match &mut self.socket.reader {
                        Reader::Lines(reader) => reader.0.oversized(rest),
                        Reader::Frames(_) => Oversized::record(self.stream_of_rest()),
                    };
                    return Ok(Some(End::TooLong(oversized)));
                }
                Err(Uncut::NoLength) => {
                    let cause = "the length of a message is none".to_owned();
                    return Ok(Some(End::Damaged(LineError::Damaged {
                        kind: "framed",
                        stream: None,
                        cause,
                    })));
                }
            };
            if let Err(error) = taken {
                return Ok(Some(End::Damaged(error)));
            }
            if self.bundle.bytes.len() >= FULL {
                self.pass_on()?;
            }
        }
    }

    #[inline]
    fn take(&mut self, message: Range<usize>) -> Result<(), LineError> {
        match &mut self.socket.reader {
            Reader::Lines(reader) => {
                let (parser, router) = &mut **reader;
                let line = self.buffer.message(message.clone());
                // What is no ordinary record is read once more by the pump, which knows what to do.
                if let Ok(Event::Record(record)) = parser.parse(line)
                    && record.changes.is_none()
                    && let Some(stream) = router.find(record.namespace.as_deref(), &record.stream)
                {
                    let partition = record.partition.as_deref().unwrap_or_default();
                    self.bundle.enter(&mut self.last, stream, partition);
                    // Its text is a part of the line.
                    let from = record.data.as_ptr().addr() - line.as_ptr().addr() + message.start;
                    let text = from..from + record.data.len();
                    self.bundle.items.push(Item::Record { text, traits: record.traits });
                } else if !line.is_empty() {
                    self.bundle.items.push(Item::Line(message));
                }
            }
            Reader::Frames(reader) => {
                let start = self.bundle.bytes.len();
                let frame = reader.read(self.buffer.message(message), &mut self.bundle.bytes)?;
                let text = start..self.bundle.bytes.len();
                match frame {
                    Frame::Record { stream, partition, traits } => {
                        self.bundle.enter(&mut self.last, stream, partition);
                        self.bundle.items.push(Item::Record { text, traits });
                    }
                    Frame::Line => self.bundle.items.push(Item::Line(text)),
                    Frame::Unbound(stream) => self.bundle.items.push(Item::Unbound(stream.to_owned())),
                    Frame::Nothing => {}
                }
            }
        }
        Ok(())
    }

    /// Passes the bundle on. Waits while as many are under way as may be.
    fn pass_on(&mut self) -> Result<(), Stopped> {
        let mut next = self.socket.used.try_recv().unwrap_or_default();
        if next.bytes.capacity() > KEEP {
            next.bytes = Vec::new();
        }
        next.items.clear();
        next.repaired = 0;
        next.socket = self.socket.number;
        self.last = None;
        match &mut self.socket.reader {
            Reader::Lines(..) => self.bundle.bytes = self.buffer.exchange(std::mem::take(&mut next.bytes)),
            Reader::Frames(reader) => {
                next.bytes.clear();
                self.bundle.repaired = reader.take_repaired();
            }
        }
        let bundle = std::mem::replace(&mut self.bundle, next);
        self.socket.bundles.blocking_send(bundle).map_err(|_| Stopped)
    }

    /// The end of the socket: what is not whole is half a message, or a line that lacks its newline.
    fn rest(&mut self) -> End {
        let rest = self.buffer.rest();
        if rest.is_empty() {
            return End::Whole;
        }
        if matches!(self.socket.reader, Reader::Frames(_)) || is_half(rest) {
            return End::Half(self.stream_of_rest());
        }
        let line = self.buffer.take_rest();
        self.bundle.items.push(Item::Line(line));
        End::Whole
    }

    fn stream_of_rest(&self) -> Option<String> {
        let rest = self.buffer.rest();
        match &self.socket.reader {
            Reader::Lines(..) => stream_of(beginning(rest)),
            Reader::Frames(reader) => reader.stream_of(beginning(frames::behind_length(rest))),
        }
    }
}

impl Bundle {
    /// Says which part of which stream the next record is of, where that is another one.
    #[inline]
    fn enter(&mut self, last: &mut Option<(usize, String)>, stream: usize, partition: &str) {
        if last.as_ref().is_some_and(|(of, name)| *of == stream && name == partition) {
            return;
        }
        *last = Some((stream, partition.to_owned()));
        self.items.push(Item::Partition { stream, partition: partition.to_owned() });
    }
}
