//! Asks connectors as Flow's runtime does, with a process of its own for each question
//! (flow-protocol.md, section 3.1).
//!
//! `process` starts and ends the process, `connector` holds it to the order of the protocol, `rules` to what
//! Flow checks in what it says. What an Open brings is handed on, one [`Event`](connector::Event) at a
//! time; what to do with it is the caller's.

pub(super) mod connector;
pub(super) mod docker;
mod message;
mod process;
pub(super) mod rules;
mod stderr;

use std::time::Instant;

use self::connector::Connector;
use self::message::kind;
use self::rules::answers;
use super::catalog::settings;
use super::catalog::task::{Task, VERSION, json};
use crate::capture::shutdown::Shutdown;
use crate::failure::{Code, Failure};
use crate::flow::message::{
    Applied, ApplyRequest, CaptureSpec, DiscoverRequest, Discovered, Opened, Request, Response, Spec,
    SpecRequest, Validated,
};

/// How connectors are started and stopped.
#[derive(Debug, Clone, Copy)]
pub(super) struct Driver<'a> {
    /// Docker's network, for images.
    pub(super) network: &'a str,
    /// The wish to stop.
    pub(super) shutdown: &'a Shutdown,
    /// Which of Flow's runtimes it behaves as.
    pub(super) runtime: Runtime,
}

/// Flow's runtimes, which differ in what they take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Runtime {
    /// The one that Flow moves to: it knows backfill messages
    #[default]
    Next,
    /// The one before it: it refuses them
    Previous,
}

/// A question to a connector, which may take minutes to start and to answer.
struct Waiting<'a> {
    doing: &'a str,
    since: Instant,
}

impl<'a> Waiting<'a> {
    /// Says what is asked.
    fn for_answer(doing: &'a str, task: &Task) -> Self {
        tracing::info!("{}: starting the connector to ask it for {doing}", task.name);
        Self { doing, since: Instant::now() }
    }

    /// Says how long it took.
    fn over(self) {
        tracing::info!("{} was answered after {:.1} s", self.doing, self.since.elapsed().as_secs_f64());
    }
}

/// A break of Flow's protocol.
fn broken(what: impl Into<String>) -> Failure {
    Failure::new(Code::CONNECTOR_PROTOCOL, what)
}

impl<'a> Driver<'a> {
    /// Asks for the spec as Flow asks every process, without a config.
    pub(super) async fn bare_spec(&self, task: &Task) -> Result<Spec, Failure> {
        let (mut connector, spec) = self.start(task).await?;
        connector.end("spec").await?;
        Ok(spec)
    }

    /// Asks for the spec with the capture's config, as flowctl does.
    pub(super) async fn spec(&self, task: &Task) -> Result<Spec, Failure> {
        let request = |_: &_| {
            let spec = SpecRequest { connector_type: task.connector_type(), config_json: json(&task.config) };
            Ok(Request { spec: Some(spec), ..Default::default() })
        };
        let (bare, spec) = self.ask(task, "spec", request, |answer| answer.spec).await?;
        answers::spec(&spec)?;
        answers::same_spec(&bare, &spec)?;
        Ok(spec)
    }

    /// Asks which streams there are. They are not checked yet.
    pub(super) async fn discover(&self, task: &Task) -> Result<(Spec, Discovered), Failure> {
        let request = |_: &_| {
            let discover = DiscoverRequest {
                connector_type: task.connector_type(),
                config_json: json(&task.config),
                name: task.name.clone(),
            };
            Ok(Request { discover: Some(discover), ..Default::default() })
        };
        self.ask(task, "discover", request, |answer| answer.discovered).await
    }

    /// Asks whether the capture could run; also the capture as it is run. The answer is not checked yet.
    pub(super) async fn validate(&self, task: &Task) -> Result<(CaptureSpec, Validated), Failure> {
        let request = |spec: &_| {
            let capture = task.capture_spec(spec)?;
            Ok(Request { validate: Some(task.validate_request(&capture)), ..Default::default() })
        };
        let (spec, validated) = self.ask(task, "validate", request, |answer| answer.validated).await?;
        Ok((task.capture_spec(&spec)?, validated))
    }

    /// Tells that the capture is published. `again`: it was told so before, of the same capture, and has to
    /// take that (R7).
    pub(super) async fn apply(&self, task: &Task, again: bool) -> Result<Applied, Failure> {
        let request = |spec: &_| {
            let capture = Some(task.capture_spec(spec)?);
            let last_capture = capture.clone().filter(|_| again);
            let apply = ApplyRequest { capture, version: VERSION.to_owned(), last_capture };
            Ok(Request { apply: Some(apply), ..Default::default() })
        };
        let (_, applied) = self.ask(task, "apply", request, |answer| answer.applied).await?;
        Ok(applied)
    }

    /// Opens a capture. The connector has answered Opened when this returns.
    pub(super) async fn open(
        &self,
        task: &Task,
        request: Request,
    ) -> Result<(Connector<'a>, Opened), Failure> {
        let waiting = Waiting::for_answer("open", task);
        let (mut connector, _) = self.start(task).await?;
        let opened = connector.open(&request).await?;
        waiting.over();
        Ok((connector, opened))
    }

    /// Asks one question, made once the spec is known; the spec, and the member of the answer that is
    /// wanted.
    async fn ask<T>(
        &self,
        task: &Task,
        doing: &str,
        request: impl FnOnce(&Spec) -> Result<Request, Failure>,
        wanted: impl FnOnce(Response) -> Option<T>,
    ) -> Result<(Spec, T), Failure> {
        let waiting = Waiting::for_answer(doing, task);
        let (mut connector, spec) = self.start(task).await?;
        // Once is enough for what is asked several questions.
        if doing != "apply" {
            settings::warn_of_unknown(task, &spec.config_schema_json);
        }
        let answer = connector.ask_last(&request(&spec)?, doing).await?;
        waiting.over();
        let kind = kind(&answer)?;
        let wanted = wanted(answer).ok_or_else(|| broken(format!("{doing} was answered with {kind}")))?;
        Ok((spec, wanted))
    }

    async fn start(&self, task: &Task) -> Result<(Connector<'a>, Spec), Failure> {
        Connector::start(task, self).await
    }
}
