//! One session of a preview: from Opened to the connector's end, or until we have enough.
//!
//! What comes is grouped into transactions. A transaction ends at a checkpoint, once the connector
//! has been quiet for a while, has ended, or has sent very much; then it counts as durable, and is
//! acknowledged where the connector asked for it. Documents are printed as they come, so those of
//! an unfinished transaction have been printed when a session fails.

use std::time::Duration;

use tokio::time::Instant;

use super::run::Run;
use crate::capture::shutdown::{Shutdown, Stop};
use crate::dev::driver::connector::{Connector, Event};
use crate::failure::{Code, Failure};
use crate::flow::codec::CodecError;
use crate::flow::message::{Captured, ConnectorState, Opened, Response};

/// A connector that says nothing for this long after a checkpoint has finished a transaction.
const QUIET: Duration = Duration::from_secs(1);
/// A transaction with this many documents ends at its next checkpoint.
const MOST_DOCUMENTS: u64 = 100_000;

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The connector ended by itself.
    Finished,
    /// It has sent as many transactions as were asked for.
    Enough,
    /// No data came for the time of `--timeout`.
    Silent,
    /// Nobody reads our output any more.
    Unread,
    /// We were asked to stop.
    Stopped(Stop),
}

/// What came since the last transaction was closed.
#[derive(Debug)]
struct Transaction {
    opened: Instant,
    documents: u64,
    checkpoints: u32,
    /// Whether a checkpoint came last.
    complete: bool,
}

/// A running session.
#[derive(Debug)]
pub(super) struct Session<'s, 'a> {
    connector: Connector<'s>,
    explicit_acknowledgements: bool,
    run: &'s mut Run<'a>,
    /// How many transactions are wanted; `None` is unbounded.
    limit: Option<u64>,
    counted: u64,
    transaction: Option<Transaction>,
    /// The state as of the last transaction.
    durable: Vec<u8>,
    last_message: Instant,
    /// How long the last message was waited for.
    waited: Duration,
}

/// What happens next.
#[expect(clippy::large_enum_variant, reason = "one lives at a time, on the stack")]
enum Step {
    Message(Option<Result<Response, CodecError>>),
    Quiet,
    Silent,
    Draw,
    Stop(Stop),
}

impl<'s, 'a> Session<'s, 'a> {
    pub(super) fn new(
        connector: Connector<'s>,
        opened: Opened,
        run: &'s mut Run<'a>,
        limit: Option<u64>,
    ) -> Self {
        Self {
            connector,
            explicit_acknowledgements: opened.explicit_acknowledgements,
            durable: run.state.to_json(),
            run,
            limit,
            counted: 0,
            transaction: None,
            last_message: Instant::now(),
            waited: Duration::ZERO,
        }
    }

    /// Runs to its end. The connector has exited when this returns.
    pub(super) async fn run(mut self, shutdown: &Shutdown) -> Result<Ended, Failure> {
        self.run.backfills.session();
        loop {
            let ended = match self.step(shutdown).await {
                Step::Message(Some(Err(error))) => return Err(self.connector.unreadable(&error).await),
                Step::Message(message) => match self.connector.interpret(message) {
                    Ok(Event::End) => return self.at_end().await,
                    Ok(event) => self.on_event(event).map(|()| None),
                    Err(failure) => Err(failure),
                },
                Step::Quiet => self.close_transaction().map(|()| None),
                Step::Silent => Ok(Some(Ended::Silent)),
                Step::Draw => Ok(None),
                Step::Stop(why) => Ok(Some(Ended::Stopped(why))),
            };
            self.run.draw();
            let ended = match ended {
                Ok(None) if self.run.output.is_closed() => Some(Ended::Unread),
                Ok(None) if self.limit.is_some_and(|limit| self.counted >= limit) => Some(Ended::Enough),
                Ok(ended) => ended,
                Err(failure) => return Err(self.connector.ends(failure).await),
            };
            if let Some(ended) = ended {
                return self.stop(ended).await;
            }
        }
    }

    async fn step(&mut self, shutdown: &Shutdown) -> Step {
        let transaction_ends =
            self.transaction.as_ref().filter(|transaction| transaction.complete).map(|transaction| {
                (self.last_message + QUIET).max(transaction.opened + self.run.options.delay)
            });
        let silent = self.run.options.timeout.map(|timeout| self.last_message + timeout);
        let draw = self.run.live.as_ref().map(|live| live.next().into());
        tokio::select! {
            biased;
            why = shutdown.requested() => Step::Stop(why),
            message = self.connector.next() => Step::Message(message),
            () = at(transaction_ends) => Step::Quiet,
            () = at(silent) => Step::Silent,
            () = at(draw) => Step::Draw,
        }
    }

    fn on_event(&mut self, event: Event) -> Result<(), Failure> {
        let now = Instant::now();
        self.waited = now - std::mem::replace(&mut self.last_message, now);
        let transaction = self.transaction.get_or_insert(Transaction {
            opened: now,
            documents: 0,
            checkpoints: 0,
            complete: false,
        });
        transaction.complete = false;
        match event {
            Event::Captured(captured, number) => {
                transaction.documents += 1;
                self.on_document(&captured, number)?;
            }
            Event::SourcedSchema(sourced) => {
                self.run.summary.sourced_schemas += 1;
                // The driver has checked that the binding is there.
                let promises =
                    usize::try_from(sourced.binding).ok().and_then(|at| self.run.promises.get_mut(at));
                if let Some(promises) = promises {
                    promises.sourced(&sourced);
                }
            }
            Event::Checkpoint(state) => {
                transaction.complete = true;
                transaction.checkpoints += 1;
                let full = transaction.documents >= MOST_DOCUMENTS;
                self.on_checkpoint(&state)?;
                if full {
                    self.close_transaction()?;
                }
            }
            Event::Backfill(marker, binding) => {
                self.run.backfills.mark(marker, binding, &self.connector.name(binding))?;
            }
            Event::End => {}
        }
        self.run.summary.count(self.connector.take_counts());
        Ok(())
    }

    fn on_document(&mut self, captured: &Captured, number: u64) -> Result<(), Failure> {
        // The driver has checked that the binding is there.
        let Ok(index) = usize::try_from(captured.binding) else { return Ok(()) };
        let document = &captured.doc_json;
        self.run.checks[index].check(document, number, &mut self.run.summary.violations)?;
        self.run.promises[index].document(document);
        let count = &mut self.run.summary.bindings[index];
        count.documents += 1;
        count.bytes += u64::try_from(document.len()).unwrap_or(0);
        count.took += self.waited;
        self.run.output.document(&self.run.collections[index], document)
    }

    fn on_checkpoint(&mut self, state: &ConnectorState) -> Result<(), Failure> {
        self.run.summary.checkpoints += 1;
        self.run.backfills.checkpoint();
        for (promises, binding) in self.run.promises.iter_mut().zip(&self.run.summary.bindings) {
            if promises.checkpoint() {
                self.run.summary.broken_promises += 1;
                tracing::warn!(
                    rule = "R14",
                    collection = binding.collection,
                    "documents lack what the sourced schema of their binding calls required; send a wider one before the checkpoint"
                );
            }
        }
        if let Some(live) = &mut self.run.live {
            live.checkpoint(state);
        }
        // An `updated` that is missing in protobuf is a null.
        let updated: &[u8] = if state.updated_json.is_empty() { b"null" } else { &state.updated_json };
        self.run.state.update(updated, state.merge_patch).map_err(|what| {
            Failure::new(Code::CONNECTOR_PROTOCOL, format!("the state of a checkpoint {what}"))
        })?;
        if self.run.options.output_state { self.run.output.state(state) } else { Ok(()) }
    }

    /// What was received is durable now.
    fn close_transaction(&mut self) -> Result<(), Failure> {
        let Some(transaction) = self.transaction.take() else { return Ok(()) };
        self.run.output.flush()?;
        if self.explicit_acknowledgements && transaction.checkpoints > 0 {
            self.connector.acknowledge(transaction.checkpoints)?;
        }
        let state = self.run.state.to_json();
        if transaction.documents > 0 || state != self.durable {
            self.counted += 1;
            self.run.summary.transactions += 1;
            self.durable = state;
        }
        Ok(())
    }

    async fn at_end(mut self) -> Result<Ended, Failure> {
        if self.transaction.as_ref().is_some_and(|transaction| transaction.complete) {
            self.close_transaction()?;
        }
        self.connector.finish().await?;
        Ok(if self.run.output.is_closed() { Ended::Unread } else { Ended::Finished })
    }

    async fn stop(mut self, ended: Ended) -> Result<Ended, Failure> {
        match &self.transaction {
            Some(transaction) if transaction.complete => self.close_transaction()?,
            Some(Transaction { documents, .. }) if *documents > 0 => {
                tracing::warn!("{documents} documents came after the last checkpoint; Flow would drop them");
            }
            _ => {}
        }
        self.connector.stop().await;
        Ok(ended)
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
