//! Flow's requests, read on a thread of their own so that stdin is read throughout: a runtime whose
//! acknowledgements nobody takes ends the session (flow-protocol.md, 3.1).

use std::io::Read;

use tokio::sync::mpsc;

use super::threads;
use crate::failure::{Code, Failure};
use crate::flow::codec::{Codec, CodecError};
use crate::flow::message::Request;
use crate::flow::reader::Reader;

/// Where requests arrive.
#[derive(Debug)]
pub struct Requests(mpsc::Receiver<Result<Request, CodecError>>);

impl Requests {
    /// Starts the thread that reads `input`. Fails where the system has no thread for it.
    pub fn start(input: impl Read + Send + 'static, codec: Codec) -> Result<Self, Failure> {
        let (sender, receiver) = mpsc::channel(4);
        let read = move || {
            let mut reader = Reader::new(input, codec);
            while let Some(request) = reader.message::<Request>().transpose() {
                let broken = request.is_err();
                if sender.blocking_send(request).is_err() || broken {
                    break;
                }
            }
        };
        threads::spawn("requests", read)?;
        Ok(Self(receiver))
    }

    /// The next request; `None` once Flow has no more. Safe to drop: no request is lost.
    pub async fn next(&mut self) -> Result<Option<Request>, Failure> {
        self.0.recv().await.transpose().map_err(|error| {
            Failure::new(
                Code::REQUEST_UNREADABLE,
                format!("a request cannot be read: {error}; does the codec (--codec, FLOW_RUNTIME_CODEC) fit the runtime's?"),
            )
        })
    }
}
