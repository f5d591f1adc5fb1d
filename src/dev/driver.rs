//! Talks to one connector process as Flow's runtime does, and holds it to the order of the protocol
//! (flow-protocol.md, sections 1.6 and 3.1).
//!
//! Every process is asked for its spec before the real request. A unary request gets one answer,
//! the end of the output, and exit code 0. What an Open brings is handed on, one [`Event`] at a time;
//! what to do with it is the caller's.

pub(super) mod answers;
pub(super) mod checks;
pub(super) mod closed;
pub(super) mod connector_state;
pub(super) mod docker;
pub(super) mod endpoint;
pub(super) mod session;
pub(super) mod stderr;

use self::endpoint::Process;
use super::catalog::task::Task;
use crate::capture::processes::shutdown::{Shutdown, stopped};
use crate::failure::{Code, Failure};
use crate::flow::codec::CodecError;
use crate::flow::message::{
    Acknowledge, Captured, ConnectorState, Opened, Request, Response, SourcedSchema, Spec, SpecRequest,
};

/// How connectors are started and stopped.
#[derive(Debug, Clone, Copy)]
pub(super) struct Driver<'a> {
    /// Docker's network, for images.
    pub(super) network: &'a str,
    /// The wish to stop.
    pub(super) shutdown: &'a Shutdown,
}

/// A running connector that has told its spec.
#[derive(Debug)]
pub(super) struct Connector<'a> {
    process: Process,
    shutdown: &'a Shutdown,
    /// How many messages it has sent: with JSON, the line on its stdout.
    received: u64,
    /// How many bindings it was opened with.
    bindings: usize,
    /// Whether documents or schemas came that no checkpoint followed.
    uncommitted: bool,
}

/// What comes after Opened.
#[derive(Debug)]
pub(super) enum Event {
    /// A document, and the number of its message.
    Captured(Captured, u64),
    /// A sourced schema, checked.
    SourcedSchema,
    /// A refresh begins or is complete. Rows of earlier ones stay in what is shown here.
    Backfill,
    /// A checkpoint with its state.
    Checkpoint(ConnectorState),
    /// The output has ended.
    End,
}

fn broken(what: impl Into<String>) -> Failure {
    Failure::new(Code::CONNECTOR_PROTOCOL, what)
}

impl<'a> Driver<'a> {
    /// Asks one question, made once the spec is known, and returns the answer.
    pub(super) async fn unary(
        &self,
        task: &Task,
        doing: &str,
        request: impl FnOnce(&Spec) -> Result<Request, Failure>,
    ) -> Result<(Spec, Response), Failure> {
        let (mut connector, spec) = self.start(task).await?;
        connector.process.send(&request(&spec)?)?;
        connector.process.close_stdin();
        let answer = connector.answer(doing).await?;
        connector.end_of_answers(doing).await?;
        Ok((spec, answer))
    }

    /// Asks for the spec alone.
    pub(super) async fn spec(&self, task: &Task) -> Result<Spec, Failure> {
        let (mut connector, spec) = self.start(task).await?;
        connector.process.close_stdin();
        connector.end_of_answers("spec").await?;
        Ok(spec)
    }

    /// Opens a capture. The connector has answered Opened when this returns.
    pub(super) async fn open(
        &self,
        task: &Task,
        request: Request,
    ) -> Result<(Connector<'a>, Opened), Failure> {
        let (mut connector, _) = self.start(task).await?;
        let capture = request.open.as_ref().and_then(|open| open.capture.as_ref());
        connector.bindings = capture.map_or(0, |capture| capture.bindings.len());
        connector.process.send(&request)?;
        let answer = connector.answer("open").await?;
        if let Some(opened) = answer.opened {
            Ok((connector, opened))
        } else {
            let kind = kind(&answer)?;
            Err(connector.ends(broken(format!("the first answer to open must be opened, not {kind}"))).await)
        }
    }

    async fn start(&self, task: &Task) -> Result<(Connector<'a>, Spec), Failure> {
        let process = task.endpoint.start(self.network).await?;
        let mut connector =
            Connector { process, shutdown: self.shutdown, received: 0, bindings: 0, uncommitted: false };
        let spec = SpecRequest { connector_type: task.connector_type(), config_json: b"{}".to_vec() };
        connector.process.send(&Request { spec: Some(spec), ..Default::default() })?;
        let answer = connector.answer("spec").await?;
        let checked = match answer.spec {
            Some(spec) => answers::spec(&spec).map(|()| spec),
            None => Err(broken(format!("spec was answered with {}", kind(&answer)?))),
        };
        match checked {
            Ok(spec) => Ok((connector, spec)),
            Err(failure) => Err(connector.ends(failure).await),
        }
    }
}

impl Connector<'_> {
    /// Waits for what comes next. Safe to drop; hand the result to [`interpret`](Self::interpret).
    pub(super) async fn next(&mut self) -> Option<Result<Response, CodecError>> {
        self.process.next().await
    }

    /// What a message means after Opened. A failure is a break of protocol.
    pub(super) fn interpret(
        &mut self,
        message: Option<Result<Response, CodecError>>,
    ) -> Result<Event, Failure> {
        let Some(message) = message else { return Ok(Event::End) };
        self.received += 1;
        let message = message.map_err(|error| unreadable(&error))?;
        let number = self.received;
        let kind = kind(&message)?;
        if let Some(captured) = message.captured {
            self.within(captured.binding, kind)?;
            self.uncommitted = true;
            Ok(Event::Captured(captured, number))
        } else if let Some(sourced) = message.sourced_schema {
            self.within(sourced.binding, kind)?;
            sourced_schema(&sourced)?;
            self.uncommitted = true;
            Ok(Event::SourcedSchema)
        } else if let Some(binding) = backfill(&message) {
            self.within(binding, kind)?;
            self.uncommitted = true;
            Ok(Event::Backfill)
        } else if let Some(checkpoint) = message.checkpoint {
            let state = checkpoint.state;
            let state = state
                .ok_or_else(|| broken(format!("message {number} on stdout, a checkpoint, has no state")))?;
            self.uncommitted = false;
            Ok(Event::Checkpoint(state))
        } else {
            Err(broken(format!("message {number} on stdout is {kind}, which cannot follow opened")))
        }
    }

    /// Tells the connector that its oldest checkpoints are durable.
    pub(super) fn acknowledge(&self, checkpoints: u32) -> Result<(), Failure> {
        let acknowledge = Some(Acknowledge { checkpoints });
        self.process.send(&Request { acknowledge, ..Default::default() })
    }

    /// Checks how the connector ended, after [`Event::End`].
    pub(super) async fn finish(&mut self) -> Result<(), Failure> {
        self.process.finish().await?;
        if self.uncommitted {
            return Err(broken(
                "the connector's output ended with documents or schemas that no checkpoint followed",
            ));
        }
        Ok(())
    }

    /// Ends the connector because we have enough.
    pub(super) async fn stop(&mut self) {
        self.process.stop().await;
    }

    /// Ends the connector because of a failure.
    pub(super) async fn ends(&mut self, failure: Failure) -> Failure {
        self.process.stop().await;
        failure
    }

    /// Waits for the end of a connector that has answered.
    async fn end_of_answers(&mut self, doing: &str) -> Result<(), Failure> {
        if let Some(more) = self.receive().await? {
            let more = kind(&more)?;
            return Err(self
                .ends(broken(format!("{doing} was answered twice, the second time with {more}")))
                .await);
        }
        self.process.finish().await
    }

    async fn answer(&mut self, doing: &str) -> Result<Response, Failure> {
        if let Some(answer) = self.receive().await? {
            match kind(&answer) {
                Ok(_) => Ok(answer),
                Err(failure) => Err(self.ends(failure).await),
            }
        } else {
            self.process.finish().await?;
            Err(broken(format!("the connector exited without an answer to {doing}")))
        }
    }

    async fn receive(&mut self) -> Result<Option<Response>, Failure> {
        let message = tokio::select! {
            message = self.process.next() => message,
            why = self.shutdown.requested() => {
                self.process.stop().await;
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
    pub(super) async fn unreadable(&mut self, error: &CodecError) -> Failure {
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

/// The binding of a message about the begin or the end of a refresh.
fn backfill(message: &Response) -> Option<u32> {
    let begin = message.backfill_begin.as_ref().map(|begin| begin.binding);
    begin.or_else(|| message.backfill_complete.as_ref().map(|complete| complete.binding))
}

fn sourced_schema(sourced: &SourcedSchema) -> Result<(), Failure> {
    let schema = serde_json::from_slice(&sourced.schema_json).unwrap_or_default();
    let binding = sourced.binding;
    checks::compile(&schema)
        .map_err(|what| broken(format!("the sourced schema of binding {binding} {what}")))?;
    match closed::open_location(&schema) {
        None => Ok(()),
        Some(place) => Err(broken(format!(
            "the sourced schema of binding {binding} is not closed: {place:?} declares properties and allows others"
        ))),
    }
}

/// The name of a message's only member.
fn kind(response: &Response) -> Result<&'static str, Failure> {
    // Taken apart, so that a member that is new is not forgotten.
    let Response {
        spec,
        discovered,
        validated,
        applied,
        opened,
        captured,
        checkpoint,
        sourced_schema,
        backfill_begin,
        backfill_complete,
    } = response;
    let members = [
        ("spec", spec.is_some()),
        ("discovered", discovered.is_some()),
        ("validated", validated.is_some()),
        ("applied", applied.is_some()),
        ("opened", opened.is_some()),
        ("captured", captured.is_some()),
        ("checkpoint", checkpoint.is_some()),
        ("sourcedSchema", sourced_schema.is_some()),
        ("backfillBegin", backfill_begin.is_some()),
        ("backfillComplete", backfill_complete.is_some()),
    ];
    let mut set = members.iter().filter(|(_, set)| *set).map(|(name, _)| *name);
    match (set.next(), set.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(broken("the connector sent a message that is empty")),
        (Some(first), Some(second)) => {
            Err(broken(format!("the connector sent {first} and {second} in one message")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_one_member() {
        let one = Response { opened: Some(Opened::default()), ..Default::default() };
        assert_eq!(kind(&one).ok(), Some("opened"));
        let two = Response { captured: Some(Captured::default()), ..one };
        assert!(kind(&two).is_err());
        assert!(kind(&Response::default()).is_err());
    }

    #[test]
    fn sourced_schemas_are_closed() {
        let sourced = |schema: &str| SourcedSchema { binding: 0, schema_json: schema.as_bytes().to_vec() };
        assert!(sourced_schema(&sourced(r#"{"properties":{"a":{}},"additionalProperties":false}"#)).is_ok());
        assert!(sourced_schema(&sourced(r#"{"properties":{"a":{}}}"#)).is_err());
        assert!(sourced_schema(&sourced("")).is_err());
    }
}
