//! `read.parallelism`: each stream in a process of its own, several at once, one output.
//!
//! A process has its own state and writes whole transactions: its documents wait for its own
//! checkpoint, so that no other's commits them. A source that keeps one state for all of its streams
//! cannot be read so. All processes start at once; until the form of the state is known, all but one
//! are held back: they read until their buffers are full, and write nothing (`Sharing::settled`). A state
//! of one stream, or a stream that ends without any, releases them; a state of all streams ends all
//! processes, and the streams are read together.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::Poll;

use tokio::sync::watch;

use super::standing::Standing;
use super::{End, Part, Reader};
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

/// What the processes have in common.
struct Company<'a> {
    bound: &'a [BoundBinding],
    streams: &'a [BoundStream],
    form: watch::Sender<Form>,
    /// The stream whose process is not held back.
    leader: Option<usize>,
    queue: RefCell<VecDeque<usize>>,
    state: RefCell<&'a mut CaptureState>,
    failures: RefCell<Vec<Failure>>,
    gave_up: Cell<bool>,
    /// How many streams upstream said nothing of.
    unread: Cell<usize>,
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
    /// failure of one ends the session. `None`: they have to be read together.
    pub(crate) async fn read_apart(
        &self,
        bound: &[BoundBinding],
        streams: &[BoundStream],
        state: &mut CaptureState,
        writer: &Writer,
        requests: &mut Requests,
    ) -> Result<Option<End>, Failure> {
        let _ = Standing::begin(state, bound.len());
        let form = watch::Sender::new(self.form(bound, state));
        let mut queue: VecDeque<usize> = (0..bound.len()).collect();
        queue.make_contiguous().sort_by_key(|&stream| bound[stream].resource.full_refresh);
        let company = Company {
            bound,
            streams,
            form,
            leader: queue.front().copied(),
            queue: RefCell::new(queue),
            state: RefCell::new(state),
            failures: RefCell::default(),
            gave_up: Cell::new(false),
            unread: Cell::new(0),
        };
        let processes = self.definition.read.parallelism.get().min(bound.len());
        tracing::info!(processes, streams = bound.len(), "each stream is read by a process of its own");
        let workers = (0..processes).map(|_| Box::pin(self.work(&company, writer.branch()))).collect();
        tokio::select! {
            () = all(workers) => {}
            failure = stray_request(Some(requests), None) => return Err(failure),
        }
        if *company.form.borrow() == Form::Shared {
            tracing::warn!(
                "upstream keeps one state for all of its streams, so they are read together by one process; set \
                 read.parallelism to 1"
            );
            return Ok(None);
        }
        let mut failures = company.failures.into_inner();
        let worst = failures.iter().position(is_stop).unwrap_or(0);
        if !failures.is_empty() {
            return Err(failures.swap_remove(worst));
        }
        let read = End::Read { unread: company.unread.get() };
        Ok(Some(if company.gave_up.get() { End::GaveUp } else { read }))
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
    async fn work(&self, company: &Company<'_>, mut writer: Writer) {
        let shutdown = &self.upstream.shutdown;
        while *company.form.borrow() != Form::Shared {
            let Some(stream) = company.queue.borrow_mut().pop_front() else { break };
            let mut state = company.state.borrow_mut().take(stream);
            let read = self.read_one(company, stream, &mut state, &mut writer).await;
            let written = shutdown.unless_stopped(writer.forget_rest()).await;
            company.state.borrow_mut().give_back(stream, state);
            match read.and_then(|end| written?.map(|()| end).map_err(unwritten)) {
                Ok(end) => {
                    match end {
                        End::GaveUp => company.gave_up.set(true),
                        End::Read { unread } => company.unread.set(company.unread.get() + unread),
                    }
                    // A stream that was read without a word of its state has none to share.
                    Form::not_shared(&company.form);
                }
                Err(failure) if is_stop(&failure) => {
                    company.failures.borrow_mut().push(failure);
                    break;
                }
                Err(failure) => self.failed(company, stream, failure).await,
            }
        }
    }

    /// Notes the failure of a stream. Where the streams must be read together after all, it may come of
    /// their being read apart, and does not count.
    async fn failed(&self, company: &Company<'_>, stream: usize, failure: Failure) {
        if company.leader == Some(stream) {
            Form::not_shared(&company.form);
        }
        let mut form = company.form.subscribe();
        let known = self.upstream.shutdown.unless_stopped(form.wait_for(|form| *form != Form::Unknown)).await;
        if known.is_ok() && *company.form.borrow() == Form::Shared {
            return;
        }
        let name = company.bound[stream].resource.id.to_string();
        tracing::warn!(
            stream = name,
            "reading a stream failed, which ends the session once the others are read: {failure}"
        );
        company.failures.borrow_mut().push(failure);
    }

    async fn read_one(
        &self,
        company: &Company<'_>,
        stream: usize,
        state: &mut CaptureState,
        writer: &mut Writer,
    ) -> Result<End, Failure> {
        let only = stream..=stream;
        let part = Part {
            bound: &company.bound[only.clone()],
            streams: &company.streams[only],
            sharing: Sharing::Process { form: &company.form, leads: company.leader == Some(stream) },
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
