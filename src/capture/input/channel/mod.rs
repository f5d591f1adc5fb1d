//! The data channel: sockets beside stdout, through which upstream hands over its records, several at
//! once.
//!
//! Upstream listens, we connect (`connect`). Each socket has a thread (`socket`) that cuts what comes
//! into messages (`frames`, or lines), makes JSON text of records, and passes whole buffers of it on, so that a
//! record costs the pump no more than on stdout. Two buffers for each socket at most are under way:
//! when the pump is slow, the threads wait, the sockets fill, and upstream waits.
//!
//! What comes is ordered within a socket only. `partitions` holds states back until the records that
//! they cover are there. What messages mean is the protocol's to say.

mod connect;
pub mod frames;
mod partitions;
mod socket;

use std::ops::Range;

pub use self::connect::Channel;
pub(crate) use self::connect::Opening;
pub use self::partitions::{Partitions, Ready};
use crate::capture::event::{LineError, Traits};
use crate::capture::input::damaged::Oversized;

/// Names of sockets in the private folder, as many as may be asked for.
pub const SOCKETS: [&str; 16] = [
    "channel-1.sock",
    "channel-2.sock",
    "channel-3.sock",
    "channel-4.sock",
    "channel-5.sock",
    "channel-6.sock",
    "channel-7.sock",
    "channel-8.sock",
    "channel-9.sock",
    "channel-10.sock",
    "channel-11.sock",
    "channel-12.sock",
    "channel-13.sock",
    "channel-14.sock",
    "channel-15.sock",
    "channel-16.sock",
];

/// How a read uses sockets. The invocation tells upstream of them.
#[derive(Debug)]
pub struct ChannelPlan {
    /// How many of [`SOCKETS`] upstream is asked to open.
    pub sockets: usize,
    /// What comes through them.
    pub form: Form,
}

/// What comes through a socket.
#[derive(Debug)]
pub enum Form {
    /// The lines that would come on stdout.
    Lines,
    /// Messages, each after its length as a varint.
    Frames(Box<dyn FrameReader>),
}

/// Reads messages that are no lines.
pub trait FrameReader: std::fmt::Debug + Send {
    /// Another one, for another socket.
    fn another(&self) -> Box<dyn FrameReader>;

    /// What a message means. The JSON text of a record, or the line that the message stands for, is
    /// appended to `into`.
    fn read<'f>(&mut self, frame: &'f [u8], into: &mut Vec<u8>) -> Result<Frame<'f>, LineError>;

    /// The stream's name, where it stands whole in the beginning of a message.
    fn stream_of(&self, beginning: &[u8]) -> Option<String>;

    /// How often text was replaced that could not be JSON, since the last call.
    fn take_repaired(&mut self) -> u64;
}

/// What a message means.
#[derive(Debug)]
pub enum Frame<'f> {
    /// A record.
    Record {
        /// The position of its stream.
        stream: usize,
        /// Which part of its stream it belongs to.
        partition: &'f str,
        /// What was noticed of it.
        traits: Traits,
    },
    /// A record of a stream that no binding reads.
    Unbound(&'f str),
    /// Any other message, as a line.
    Line,
    /// Nothing that counts.
    Nothing,
}

/// Messages of one socket, in its order, and the buffer that their text is in.
#[derive(Debug, Default)]
pub struct Bundle {
    /// Which socket.
    socket: usize,
    /// The text of records and lines.
    pub bytes: Vec<u8>,
    /// What the text is made of.
    pub items: Vec<Item>,
    /// How often text was replaced that could not be JSON.
    pub repaired: u64,
    /// How the socket ended; `None` while it goes on.
    pub end: Option<End>,
}

/// One message.
#[derive(Debug)]
pub enum Item {
    /// The records that follow are of this part of this stream.
    Partition {
        /// The position of the stream.
        stream: usize,
        /// The name of the part.
        partition: String,
    },
    /// A record.
    Record {
        /// Where its text is.
        text: Range<usize>,
        /// What was noticed of it.
        traits: Traits,
    },
    /// A record of a stream that no binding reads, by name.
    Unbound(String),
    /// Any other line.
    Line(Range<usize>),
}

/// How a socket ended.
#[derive(Debug)]
pub enum End {
    /// With a whole message.
    Whole,
    /// Within a message, of this stream as far as it can be told. A killed upstream leaves such.
    Half(Option<String>),
    /// A message is larger than is taken.
    TooLong(Oversized),
    /// A message cannot be read.
    Damaged(LineError),
    /// The socket cannot be read.
    Unreadable(std::io::Error),
}
