//! `flow-shim preview`: runs captures as Flow would, without Flow (flow-protocol.md, sections 3
//! and 7).
//!
//! Validate, then for each session Apply and Open in processes of their own, the state carried over
//! from session to session. Unlike flowctl it prints documents as they come, not combined by key,
//! and it does not wait for the capture's interval between sessions.

use std::time::{Duration, Instant};

use super::catalog::flow_yaml::Catalog;
use super::catalog::task::{Task, VERSION};
use super::catalog::write_bindings;
use super::display::live::Live;
use super::display::output::Output;
use super::display::summary::{BindingCount, Summary};
use super::driver::Driver;
use super::driver::answers;
use super::driver::checks::DocumentChecks;
use super::driver::connector_state::State;
use super::driver::session::{Ended, Session};
use super::options::TaskOptions;
use crate::capture::processes::shutdown::{Shutdown, stopped};
use crate::failure::{Cause, Code, Failure};
use crate::flow::message::{ApplyRequest, CaptureSpec, ConnectorState, OpenRequest, RangeSpec, Request};
use crate::shim::units::parse_duration;

/// Options of `preview`.
#[derive(Debug, Clone, clap::Args)]
pub struct PreviewOptions {
    /// Which capture; all of the file, one after the other, where none is named
    #[command(flatten)]
    pub task: TaskOptions,
    /// How many transactions each session has, such as 2,1,-1; a negative number is unbounded
    ///
    /// A transaction is what comes until the connector is quiet for one second after a checkpoint,
    /// or has ended, or until 100,000 documents have come; it ends at a checkpoint. What holds no
    /// document and leaves the state as it was is not counted.
    #[arg(
        long,
        value_name = "COUNTS",
        value_delimiter = ',',
        allow_hyphen_values = true,
        default_value = "-1"
    )]
    pub sessions: Vec<i64>,
    /// Stop after this long without data, such as 30s
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub timeout: Option<Duration>,
    /// Keep each transaction open at least this long, so that it takes in more checkpoints
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "0s")]
    pub delay: Duration,
    /// The state to start with
    #[arg(long, value_name = "JSON", default_value = "{}")]
    pub initial_state: String,
    /// Print the states of checkpoints, and the whole state at the end
    #[arg(long)]
    pub output_state: bool,
    /// Print what each Apply says it did
    #[arg(long)]
    pub output_apply: bool,
}

/// A capture while it is previewed.
#[derive(Debug)]
pub(super) struct Run<'a> {
    pub(super) options: &'a PreviewOptions,
    pub(super) output: &'a mut Output,
    pub(super) checks: Vec<DocumentChecks>,
    /// The bindings' collections, as JSON strings.
    pub(super) collections: Vec<String>,
    pub(super) state: State,
    pub(super) summary: Summary,
    /// `None` where nobody looks.
    pub(super) live: Option<Live>,
}

/// Runs `preview`.
pub async fn run(options: &PreviewOptions, shutdown: &Shutdown) -> Result<(), Failure> {
    to_output(options, shutdown, &mut Output::stdout()).await
}

async fn to_output(
    options: &PreviewOptions,
    shutdown: &Shutdown,
    output: &mut Output,
) -> Result<(), Failure> {
    let catalog = options.task.catalog()?;
    let names: Vec<&str> = match &options.task.name {
        Some(name) => vec![name],
        None => catalog.names().collect(),
    };
    // Every capture is tried; the first failure is the one that is reported last.
    let mut first: Option<Failure> = None;
    for name in names {
        match capture(options, shutdown, output, &catalog, name).await {
            Ok(Ended::Stopped(why)) => return Err(stopped(why)),
            Ok(Ended::Unread) => break,
            Ok(_) => {}
            Err(failure) if matches!(failure.cause(), Cause::Stopped(_)) => return Err(failure),
            Err(failure) => {
                if catalog.names().count() > 1 {
                    tracing::error!("{name}: {failure}");
                }
                first.get_or_insert(failure);
            }
        }
    }
    first.map_or(Ok(()), Err)
}

async fn capture(
    options: &PreviewOptions,
    shutdown: &Shutdown,
    output: &mut Output,
    catalog: &Catalog,
    name: &str,
) -> Result<Ended, Failure> {
    let task = options.task.task(catalog, name, true)?;
    if task.disabled && options.task.name.is_none() {
        tracing::info!("{name} is disabled (shards.disable) and is skipped");
        return Ok(Ended::Finished);
    }
    if task.bindings.is_empty() {
        return Err(write_bindings::none_in(name, &options.task.source));
    }
    let state = State::parse(options.initial_state.as_bytes())
        .map_err(|what| Failure::new(Code::BAD_OPTION, format!("--initial-state {what}")))?;
    let started = Instant::now();
    let driver = Driver { network: &options.task.network, shutdown };
    let capture = validate(&driver, &task).await?;
    let mut run = Run::new(options, output, &capture, state)?;
    let mut ended = Ok(Ended::Finished);
    for &transactions in &options.sessions {
        ended = run.session(&driver, &task, &capture, transactions).await;
        if !matches!(ended, Ok(Ended::Finished | Ended::Enough)) {
            break;
        }
    }
    run.close(started, ended)
}

/// Asks whether the capture could run, and returns it as it is run.
async fn validate(driver: &Driver<'_>, task: &Task) -> Result<CaptureSpec, Failure> {
    let question = |spec: &_| {
        let capture = task.capture_spec(spec)?;
        Ok(Request { validate: Some(task.validate_request(&capture)), ..Default::default() })
    };
    let (spec, answer) = driver.unary(task, "validate", question).await?;
    let capture = task.capture_spec(&spec)?;
    let other = || Failure::new(Code::CONNECTOR_PROTOCOL, "validate was answered with something else");
    answers::validated(&answer.validated.ok_or_else(other)?, &capture)?;
    Ok(capture)
}

impl<'a> Run<'a> {
    fn new(
        options: &'a PreviewOptions,
        output: &'a mut Output,
        capture: &CaptureSpec,
        state: State,
    ) -> Result<Self, Failure> {
        let checks = capture.bindings.iter().map(DocumentChecks::new).collect::<Result<_, _>>()?;
        let names = capture.bindings.iter().map(|binding| {
            binding.collection.as_ref().map(|collection| collection.name.clone()).unwrap_or_default()
        });
        let bindings: Vec<_> =
            names.map(|collection| BindingCount { collection, ..Default::default() }).collect();
        let collections =
            bindings.iter().map(|binding| serde_json::json!(binding.collection).to_string()).collect();
        let summary = Summary { capture: capture.name.clone(), bindings, ..Default::default() };
        let live = Live::start(&capture.bindings);
        Ok(Self { options, output, checks, collections, state, summary, live })
    }

    async fn session(
        &mut self,
        driver: &Driver<'_>,
        task: &Task,
        capture: &CaptureSpec,
        transactions: i64,
    ) -> Result<Ended, Failure> {
        self.apply(driver, task, capture).await?;
        let open = OpenRequest {
            capture: Some(capture.clone()),
            version: VERSION.to_owned(),
            range: Some(RangeSpec { key_begin: 0, key_end: u32::MAX }),
            state_json: self.state.to_json(),
        };
        let (connector, opened) =
            driver.open(task, Request { open: Some(open), ..Default::default() }).await?;
        let limit = u64::try_from(transactions).ok();
        Session::new(connector, opened, self, limit).run(driver.shutdown).await
    }

    async fn apply(
        &mut self,
        driver: &Driver<'_>,
        task: &Task,
        capture: &CaptureSpec,
    ) -> Result<(), Failure> {
        let apply = ApplyRequest {
            capture: Some(capture.clone()),
            version: VERSION.to_owned(),
            ..Default::default()
        };
        let question = |_: &_| Ok(Request { apply: Some(apply), ..Default::default() });
        let (_, answer) = driver.unary(task, "apply", question).await?;
        let other = || Failure::new(Code::CONNECTOR_PROTOCOL, "apply was answered with something else");
        let applied = answer.applied.ok_or_else(other)?;
        if self.options.output_apply {
            self.output.applied(&applied.action_description)?;
        }
        Ok(())
    }

    /// Tells a person how it goes.
    pub(super) fn draw(&mut self) {
        if let Some(live) = &mut self.live {
            live.draw(&self.summary);
        }
    }

    /// Prints what is to be said at the end, however it came.
    fn close(mut self, started: Instant, ended: Result<Ended, Failure>) -> Result<Ended, Failure> {
        if self.options.output_state {
            let whole = ConnectorState { updated_json: self.state.to_json(), merge_patch: false };
            self.output.state(&whole)?;
        }
        self.output.flush()?;
        self.summary.took = started.elapsed();
        self.live = None;
        self.summary.print();
        let ended = ended?;
        match self.summary.violations.failure() {
            Some(failure) => Err(failure),
            None => Ok(ended),
        }
    }
}
