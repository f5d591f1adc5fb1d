//! Open: which bindings are read and when (`interval`), what has to be known before (`survey`), and how
//! long the session stays up.

mod interval;
mod survey;

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use self::interval::{Rested, rest, waits};
use self::survey::Survey;
use super::collections::bindings::{self, BoundBinding};
use super::collections::meta;
use super::collections::shards;
use super::config::shape::skips_interval;
use super::protocol::UpstreamProtocol;
use super::read::standing::counted_streams;
use super::read::{End, Part, Reader};
use super::refresh::signals::Signals;
use super::session::Session;
use super::shutdown::unwritten;
use super::state::CaptureState;
use super::state::sharing::Sharing;
use crate::failure::{Code, Failure};
use crate::flow::message::{OpenRequest, Opened, Response};
use crate::flow::writer::Writer;
use crate::log;

impl<P: UpstreamProtocol> Session<P> {
    /// Runs the capture until upstream has no more.
    pub(super) async fn open(&mut self, request: OpenRequest) -> Result<(), Failure> {
        let Some(capture) = request.capture else {
            return Err(Failure::new(Code::REQUEST_UNEXPECTED, "the Open request names no capture"));
        };
        let bound = bindings::resolve(&capture, &self.protocol, &self.definition)?;
        for binding in &bound {
            meta::serves(&binding.key, self.definition.document.meta)
                .map_err(|why| bindings::wrong(binding.index, &why))?;
        }
        let (bound, sharing) =
            shards::own(&self.protocol, bound, request.range.as_ref(), &request.state_json)?;
        if bound.is_empty() {
            self.opened(false).await?;
            tracing::info!("no binding is to be read here; waiting");
            let forever = Duration::MAX;
            return rest(forever, &self.upstream.shutdown, &mut self.requests).await.map(drop);
        }
        let began = Instant::now();
        let Some(bound) = self.due(bound, &request.state_json).await? else { return Ok(()) };
        let mut state = CaptureState::open(&request.state_json, &state_keys(&bound))?;
        if matches!(sharing, Sharing::Shard) {
            state.leave_shared();
        }
        let survey = self.survey(&capture, &bound, &mut state).await?;
        let signals = Signals::new(&self.flags, self.upstream.rotation.limit());
        // What it takes is large, and this future lies in several others.
        let read = Box::pin(self.read(&bound, &survey, sharing, signals, &mut state)).await?;
        let End::Read { unread } = read else {
            // Flow's next session goes on; to wait here would only put it off.
            log::status(
                "Gave up: upstream hung; what it has read is committed, and the next session goes on",
            );
            return Ok(());
        };
        log::status(&up_to_date(bound.len(), unread));
        // Everything is committed; a session that is to stay up waits.
        let least = self.definition.read.min_interval.filter(|_| !skips_interval(&capture.config_json));
        let time = least.map(|least| least.saturating_sub(began.elapsed()));
        if let Some(time) = time.filter(|time| !time.is_zero()) {
            tracing::info!(
                seconds = time.as_secs(),
                "everything is read; waiting, as `read.minInterval` has it"
            );
            rest(time, &self.upstream.shutdown, &mut self.requests).await?;
        }
        Ok(())
    }

    /// The bindings that are to be read now; waits for the first where none is. `None`: Flow has
    /// ended the session.
    async fn due(
        &mut self,
        bound: Vec<BoundBinding>,
        state: &[u8],
    ) -> Result<Option<Vec<BoundBinding>>, Failure> {
        let state = CaptureState::open(state, &state_keys(&bound))?;
        loop {
            let waits = waits(&self.protocol, &bound, &state, Timestamp::now());
            let next = waits.iter().min().copied().unwrap_or_default();
            if next.is_zero() {
                let due = |(binding, wait): (BoundBinding, &Duration)| {
                    if !wait.is_zero() {
                        tracing::info!(stream = %binding.resource.id, seconds = wait.as_secs(), "not due yet; left out of this read");
                    }
                    wait.is_zero().then_some(binding)
                };
                return Ok(Some(bound.into_iter().zip(&waits).filter_map(due).collect()));
            }
            self.opened(self.protocol.may_keep_durable()).await?;
            tracing::info!(seconds = next.as_secs(), "no stream is due yet; waiting");
            if rest(next, &self.upstream.shutdown, &mut self.requests).await? == Rested::Ended {
                return Ok(None);
            }
        }
    }

    /// Reads all streams to their end, by one process or by several.
    async fn read(
        &mut self,
        bound: &[BoundBinding],
        survey: &Survey,
        sharing: Sharing<'_>,
        signals: Signals,
        state: &mut CaptureState,
    ) -> Result<End, Failure> {
        let reader = Reader {
            protocol: &self.protocol,
            definition: &self.definition,
            upstream: &self.upstream,
            discovered: survey.discovered.as_deref(),
            signals,
        };
        if reader.may_read_apart(bound, state) {
            self.upstream
                .shutdown
                .unless_stopped(opened(&mut self.is_open, &mut self.writer, false))
                .await??;
            let read =
                reader.read_apart(bound, &survey.streams, state, &self.writer, &mut self.requests).await?;
            if let Some(end) = read {
                return Ok(end);
            }
        }
        let part = Part { bound, streams: &survey.streams, sharing };
        let planned = reader.plan(&part, state)?;
        let opened = opened(&mut self.is_open, &mut self.writer, planned.plan.durable.is_some());
        self.upstream.shutdown.unless_stopped(opened).await??;
        reader.read(part, planned, state, &mut self.writer, Some(&mut self.requests)).await
    }

    async fn opened(&mut self, explicit_acknowledgements: bool) -> Result<(), Failure> {
        let opened = opened(&mut self.is_open, &mut self.writer, explicit_acknowledgements);
        self.upstream.shutdown.unless_stopped(opened).await?
    }
}

/// Tells Flow, once, that the capture is open.
async fn opened(
    is_open: &mut bool,
    writer: &mut Writer,
    explicit_acknowledgements: bool,
) -> Result<(), Failure> {
    if std::mem::replace(is_open, true) {
        return Ok(());
    }
    let opened = Opened { explicit_acknowledgements };
    writer.send(&Response { opened: Some(opened), ..Response::default() }).await.map_err(unwritten)
}

/// What Flow shows once all is committed of these streams, of some of which upstream said nothing.
fn up_to_date(streams: usize, unread: usize) -> String {
    let read = counted_streams(streams - unread);
    match unread {
        0 => format!("Up to date: {read} read to the end"),
        _ => format!("Up to date: {read} read to the end, {unread} unread (see the log)"),
    }
}

fn state_keys(bound: &[BoundBinding]) -> Vec<String> {
    bound.iter().map(|binding| binding.state_key.clone()).collect()
}
