//! `read.parallelism`: each stream in a process of its own, several at once, one output.
//!
//! A process has its own state and writes whole transactions: its documents wait for its own
//! checkpoint, so that no other's commits them. A source that keeps one state for all of its streams
//! cannot be read so. Until that is known, one process reads, a stream with a state first; if such a
//! state comes, that process is ended, nothing of it has gone out, and all streams are read together.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::Poll;

use tokio::sync::watch;

use super::standing::Standing;
use super::{Part, Reader};
use crate::capture::collections::bindings::BoundBinding;
use crate::capture::protocol::{BoundStream, UpstreamProtocol};
use crate::capture::requests::Requests;
use crate::capture::shutdown::unwritten;
use crate::capture::state::CaptureState;
use crate::capture::state::sharing::{Form, Sharing, warn_together};
use crate::capture::stray::stray_request;
use crate::failure::{Cause, Failure};
use crate::flow::writer::Writer;
use crate::shim::read::StateFormat;

/// How all streams were read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// To their end.
    Read,
    /// They have to be read together.
    Together,
}

/// What the processes have in common.
struct Company<'a> {
    bound: &'a [BoundBinding],
    streams: &'a [BoundStream],
    form: watch::Sender<Form>,
    queue: RefCell<VecDeque<usize>>,
    state: RefCell<&'a mut CaptureState>,
    failures: RefCell<Vec<Failure>>,
}

impl<P: UpstreamProtocol> Reader<'_, P> {
    /// Whether these streams may be read by several processes.
    pub(crate) fn may_read_apart(&self, bound: &[BoundBinding], state: &CaptureState) -> bool {
        let stored = state.stored();
        let apart = |binding: &BoundBinding| self.protocol.may_be_left_out(&binding.resource_config, &stored);
        let asked = self.definition.read.parallelism.get() > 1 && bound.len() > 1;
        // What an older connector left is replaced by one process.
        if !asked || state.has_changed() || !bound.iter().all(apart) {
            return false;
        }
        match stored.shared.filter(|shared| !self.protocol.shares_nothing(shared)) {
            Some(shared) => {
                warn_together(self.protocol, shared);
                false
            }
            None => true,
        }
    }

    /// Reads each stream in a process of its own. The streams of others are read to their end before the
    /// failure of one ends the session.
    pub(crate) async fn read_apart(
        &self,
        bound: &[BoundBinding],
        streams: &[BoundStream],
        state: &mut CaptureState,
        writer: &Writer,
        requests: &mut Requests,
    ) -> Result<Outcome, Failure> {
        let _ = Standing::begin(state, bound.len());
        let form = watch::Sender::new(self.form(bound, state));
        let mut queue: VecDeque<usize> = (0..bound.len()).collect();
        queue.make_contiguous().sort_by_key(|&stream| bound[stream].resource.full_refresh);
        let company = Company {
            bound,
            streams,
            form,
            queue: RefCell::new(queue),
            state: RefCell::new(state),
            failures: RefCell::default(),
        };
        let processes = self.definition.read.parallelism.get().min(bound.len());
        tracing::info!(processes, streams = bound.len(), "each stream is read by a process of its own");
        let workers =
            (0..processes).map(|worker| Box::pin(self.work(&company, worker, writer.branch()))).collect();
        tokio::select! {
            () = all(workers) => {}
            failure = stray_request(Some(requests), None) => return Err(failure),
        }
        if *company.form.borrow() == Form::Shared {
            tracing::warn!(
                "upstream keeps one state for all of its streams, so they are read together by one process; set \
                 read.parallelism to 1"
            );
            return Ok(Outcome::Together);
        }
        let mut failures = company.failures.into_inner();
        let worst = failures.iter().position(is_stop).unwrap_or(0);
        if failures.is_empty() { Ok(Outcome::Read) } else { Err(failures.swap_remove(worst)) }
    }

    /// How upstream keeps its state, as far as the shim and the kept state tell.
    fn form(&self, bound: &[BoundBinding], state: &CaptureState) -> Form {
        let stored = state.stored();
        let known = stored.shared.is_some()
            || stored.streams.iter().any(Option::is_some)
            || self.definition.state.format == StateFormat::Stream
            || bound.iter().all(|binding| binding.resource.full_refresh);
        if known { Form::Apart } else { Form::Unknown }
    }

    /// Takes one stream after the other from the queue.
    async fn work(&self, company: &Company<'_>, worker: usize, mut writer: Writer) {
        if worker > 0 {
            // The sender is there as long as we are.
            let _ = company.form.subscribe().wait_for(|form| *form != Form::Unknown).await;
        }
        while *company.form.borrow() != Form::Shared {
            let Some(stream) = company.queue.borrow_mut().pop_front() else { break };
            let mut state = company.state.borrow_mut().take(stream);
            let read = self.read_one(company, stream, &mut state, &mut writer).await;
            let written = writer.forget_rest().await.map_err(unwritten);
            company.state.borrow_mut().give_back(stream, state);
            if let Err(failure) = read.and(written) {
                if *company.form.borrow() == Form::Shared {
                    break;
                }
                let stop = is_stop(&failure);
                if !stop {
                    let stream = company.bound[stream].resource.id.to_string();
                    tracing::warn!(
                        stream,
                        "reading a stream failed, which ends the session once the others are read: {failure}"
                    );
                }
                company.failures.borrow_mut().push(failure);
                if stop {
                    break;
                }
            }
            // A stream that was read without a word of its state has none to share.
            Form::not_shared(&company.form);
        }
    }

    async fn read_one(
        &self,
        company: &Company<'_>,
        stream: usize,
        state: &mut CaptureState,
        writer: &mut Writer,
    ) -> Result<(), Failure> {
        let only = stream..=stream;
        let part = Part {
            bound: &company.bound[only.clone()],
            streams: &company.streams[only],
            sharing: Sharing::Process(&company.form),
        };
        let planned = self.plan(&part, state)?;
        self.read(part, planned, state, writer, None).await
    }
}

/// Whether every process ends for this reason.
fn is_stop(failure: &Failure) -> bool {
    matches!(failure.cause(), Cause::Stopped(_) | Cause::Runtime)
}

/// Runs all of them to their end.
async fn all<F: Future<Output = ()>>(mut running: Vec<Pin<Box<F>>>) {
    std::future::poll_fn(|context| {
        running.retain_mut(|one| one.as_mut().poll(context).is_pending());
        if running.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
