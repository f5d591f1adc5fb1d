//! One running connector, held to the order of the protocol (flow-protocol.md, sections 1.6 and 3.1).
//!
//! Every process is asked for its spec before the real request. A question gets one answer, the end of
//! the output, and exit code 0. After Opened, each message becomes an [`Event`].

use prost::Message;

use super::message::{kind, marker};
use super::process::Process;
use super::rules::sequence::{Counts, Marker, Sequence};
use super::rules::{Names, Rule, answers, sourced};
use super::{Driver, Runtime, broken};
use crate::capture::shutdown::{Shutdown, stopped};
use crate::dev::catalog::task::Task;
use crate::failure::Failure;
use crate::flow::codec::CodecError;
use crate::flow::message::{
    Acknowledge, Captured, ConnectorState, Opened, Request, Response, SourcedSchema, Spec, SpecRequest,
};

/// A running connector that has told its spec.
#[derive(Debug)]
pub(crate) struct Connector<'a> {
    process: Process,
    shutdown: &'a Shutdown,
    /// How many messages it has sent: with JSON, the line on its stdout.
    received: u64,
    /// How many bindings it was opened with.
    bindings: usize,
    /// What came since the last checkpoint.
    sequence: Sequence,
    runtime: Runtime,
}

/// What comes after Opened.
#[derive(Debug)]
pub(crate) enum Event {
    /// A document, and the number of its message.
    Captured(Captured, u64),
    /// A sourced schema, checked.
    SourcedSchema(SourcedSchema),
    /// A backfill of a binding begins or is complete. Rows of earlier ones stay in what is shown here.
    Backfill(Marker, u32),
    /// A checkpoint with its state.
    Checkpoint(ConnectorState),
    /// The output has ended.
    End,
}

impl<'a> Connector<'a> {
    /// Starts the process and asks for its spec.
    pub(super) async fn start(task: &Task, driver: &Driver<'a>) -> Result<(Self, Spec), Failure> {
        let process = Process::start(&task.endpoint, driver.network).await?;
        let mut connector = Self {
            process,
            shutdown: driver.shutdown,
            received: 0,
            bindings: 0,
            sequence: Sequence::default(),
            runtime: driver.runtime,
        };
        let spec = SpecRequest { connector_type: task.connector_type(), config_json: b"{}".to_vec() };
        let request = Request { spec: Some(spec), ..Default::default() };
        let answer = connector.ask(&request, "spec").await?;
        let checked = match answer.spec {
            Some(spec) => answers::spec(&spec).map(|()| spec),
            None => Err(broken(format!("spec was answered with {}", kind(&answer)?))),
        };
        match checked {
            Ok(spec) => Ok((connector, spec)),
            Err(failure) => Err(connector.ends(failure).await),
        }
    }

    /// Asks the last question; its answer, which has one member, once the connector has ended well.
    pub(super) async fn ask_last(&mut self, request: &Request, doing: &str) -> Result<Response, Failure> {
        self.process.send(request)?;
        self.process.close_stdin();
        let answer = self.answer(doing).await?;
        self.end(doing).await?;
        Ok(answer)
    }

    /// Asks a question that others may follow; its answer, which has one member.
    async fn ask(&mut self, request: &Request, doing: &str) -> Result<Response, Failure> {
        self.process.send(request)?;
        self.answer(doing).await
    }

    async fn answer(&mut self, doing: &str) -> Result<Response, Failure> {
        if let Some(answer) = self.receive().await? {
            match kind(&answer).and_then(|kind| answers::size(&answer, kind)) {
                Ok(()) => Ok(answer),
                Err(failure) => Err(self.ends(failure).await),
            }
        } else {
            self.process.finish().await?;
            Err(broken(format!("the connector exited without an answer to {doing}")))
        }
    }

    /// Sends an Open and waits for Opened.
    pub(super) async fn open(&mut self, request: &Request) -> Result<Opened, Failure> {
        let capture = request.open.as_ref().and_then(|open| open.capture.as_ref());
        let bindings = capture.map_or(&[][..], |capture| &capture.bindings);
        self.bindings = bindings.len();
        let names = bindings.iter().map(|binding| binding.resource_path.join("/")).collect();
        self.sequence = Sequence::new(Names(names));
        let answer = self.ask(request, "open").await?;
        if let Some(opened) = answer.opened {
            return Ok(opened);
        }
        let kind = kind(&answer)?;
        Err(self.ends(broken(format!("the first answer to open must be opened, not {kind}"))).await)
    }

    /// Waits for the end of a connector that has answered all that it will be asked.
    pub(super) async fn end(&mut self, doing: &str) -> Result<(), Failure> {
        self.process.close_stdin();
        if let Some(more) = self.receive().await? {
            let more = kind(&more)?;
            let twice = format!("{doing} was answered twice, the second time with {more}");
            return Err(self.ends(broken(twice)).await);
        }
        self.process.finish().await
    }

    /// Waits for what comes next. Safe to drop; hand the result to [`interpret`](Self::interpret).
    pub(crate) async fn next(&mut self) -> Option<Result<Response, CodecError>> {
        self.process.next().await
    }

    /// What a message means after Opened. A failure is a break of protocol.
    pub(crate) fn interpret(
        &mut self,
        message: Option<Result<Response, CodecError>>,
    ) -> Result<Event, Failure> {
        let Some(message) = message else { return Ok(Event::End) };
        self.received += 1;
        let message = message.map_err(|error| unreadable(&error))?;
        let number = self.received;
        let kind = kind(&message)?;
        let size = message.encoded_len();
        if let Some(captured) = message.captured {
            self.within(captured.binding, kind)?;
            self.sequence.captured(captured.binding, size)?;
            Ok(Event::Captured(captured, number))
        } else if let Some(sourced) = message.sourced_schema {
            self.within(sourced.binding, kind)?;
            sourced::check(&sourced, &self.sequence.name(sourced.binding))?;
            self.sequence.sourced(sourced.binding)?;
            Ok(Event::SourcedSchema(sourced))
        } else if let Some((marker, binding)) = marker(&message) {
            self.within(binding, kind)?;
            if self.runtime == Runtime::Previous {
                let what =
                    format!("message {number} on stdout is {kind}, which Flow's previous runtime refuses");
                return Err(Rule::R15.broken(what, "use another `refresh` than `truncate` there"));
            }
            self.sequence.marker(marker, binding)?;
            Ok(Event::Backfill(marker, binding))
        } else if let Some(checkpoint) = message.checkpoint {
            // Flow's newest runtime takes a bare one; a connector that is to run on both sends a state.
            let state = checkpoint.state;
            let state = state
                .ok_or_else(|| broken(format!("message {number} on stdout, a checkpoint, has no state")))?;
            self.sequence.checkpoint();
            Ok(Event::Checkpoint(state))
        } else {
            Err(broken(format!("message {number} on stdout is {kind}, which cannot follow opened")))
        }
    }

    /// How messages name a binding.
    pub(crate) fn name(&self, binding: u32) -> String {
        self.sequence.name(binding)
    }

    /// What was counted since this was last asked.
    pub(crate) fn take_counts(&mut self) -> Counts {
        self.sequence.take_counts()
    }

    /// Tells the connector that its oldest checkpoints are durable.
    pub(crate) fn acknowledge(&self, checkpoints: u32) -> Result<(), Failure> {
        let acknowledge = Some(Acknowledge { checkpoints });
        self.process.send(&Request { acknowledge, ..Default::default() })
    }

    /// Checks how the connector ended, after [`Event::End`].
    pub(crate) async fn finish(&mut self) -> Result<(), Failure> {
        self.process.finish().await?;
        self.sequence.end()
    }

    /// Ends the connector because we have enough.
    pub(crate) async fn stop(&mut self) {
        self.process.stop(self.shutdown.insisted()).await;
    }

    /// Ends the connector because of a failure.
    pub(crate) async fn ends(&mut self, failure: Failure) -> Failure {
        self.process.stop(self.shutdown.insisted()).await;
        failure
    }

    async fn receive(&mut self) -> Result<Option<Response>, Failure> {
        let message = tokio::select! {
            message = self.process.next() => message,
            why = self.shutdown.requested() => {
                self.process.stop(self.shutdown.insisted()).await;
                return Err(stopped(why));
            }
        };
        self.received += 1;
        match message.transpose() {
            Ok(message) => Ok(message),
            Err(error) => Err(self.unreadable(&error).await),
        }
    }

    /// The failure of output that is not the protocol: why the connector failed, where it has.
    pub(crate) async fn unreadable(&mut self, error: &CodecError) -> Failure {
        if let CodecError::Truncated { .. } = error
            && let Err(failure) = self.process.finish().await
        {
            return failure;
        }
        self.ends(unreadable(error)).await
    }

    fn within(&self, binding: u32, kind: &str) -> Result<(), Failure> {
        let (number, bindings) = (self.received, self.bindings);
        if usize::try_from(binding).is_ok_and(|binding| binding < bindings) {
            return Ok(());
        }
        Err(broken(format!(
            "message {number} on stdout is {kind} of binding {binding}, but there are {bindings} bindings"
        )))
    }
}

fn unreadable(error: &CodecError) -> Failure {
    broken(format!("the connector's stdout: {error}; nothing but protocol messages may be printed there"))
}
