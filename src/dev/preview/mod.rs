//! `flow-shim preview`: runs captures as Flow would, without Flow (flow-protocol.md, sections 3
//! and 7).
//!
//! Validate, then for each session Apply and Open in processes of their own, the state carried over
//! from session to session. Unlike flowctl it prints documents as they come, not combined by key,
//! and it does not wait for the capture's interval between sessions.
//!
//! `session` is one session, `run` what all sessions of a capture share: `documents` checks what comes
//! as Flow does, `promises` what sourced schemas say of it, `state` keeps the connector's state as Flow does, `live` and `summary` tell a person.

mod documents;
mod live;
mod options;
mod promises;
mod run;
mod session;
mod state;
mod summary;

use std::path::Path;
use std::time::Instant;

pub use self::options::PreviewOptions;
use self::run::Run;
use self::session::{Ended, Session};
use self::state::State;
use super::catalog::flow_yaml::Catalog;
use super::catalog::task::{Task, VERSION};
use super::display::output::Output;
use super::driver::Driver;
use super::driver::rules::answers;
use crate::capture::shutdown::{Shutdown, stopped};
use crate::failure::{Cause, Code, Failure};
use crate::flow::message::{CaptureSpec, OpenRequest, RangeSpec, Request};

/// Runs `preview`.
pub async fn run(options: &PreviewOptions, shutdown: &Shutdown) -> Result<(), Failure> {
    let catalog = options.task.catalog()?;
    let names: Vec<&str> = match &options.task.name {
        Some(name) => vec![name],
        None => catalog.names().collect(),
    };
    let several = names.len() > 1;
    let mut output = Output::stdout();
    // Every capture is tried; the first failure is the one that is reported last.
    let mut first: Option<Failure> = None;
    for name in names {
        match capture(options, shutdown, &mut output, &catalog, name).await {
            Ok(Ended::Stopped(why)) => return Err(stopped(why)),
            Ok(Ended::Unread) => break,
            Ok(_) => {}
            Err(failure) if matches!(failure.cause(), Cause::Stopped(_)) => return Err(failure),
            Err(failure) => {
                if several {
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
        return Err(no_binding(name, &options.task.source));
    }
    let state = State::parse(options.initial_state.as_bytes())
        .map_err(|what| Failure::new(Code::BAD_OPTION, format!("--initial-state {what}")))?;
    let started = Instant::now();
    let driver = Driver { runtime: options.runtime, ..options.task.driver(shutdown) };
    let (capture, validated) = driver.validate(&task).await?;
    answers::validated(&validated, &capture)?;
    let mut run = Run::new(options, output, &capture, state)?;
    let mut ended = Ok(Ended::Finished);
    for (number, &transactions) in options.sessions.iter().enumerate() {
        ended = session(&mut run, &driver, &task, &capture, number, transactions).await;
        if !matches!(ended, Ok(Ended::Finished | Ended::Enough)) {
            break;
        }
    }
    let invalid_documents = run.close(started)?;
    match (ended, invalid_documents) {
        (Ok(_), Some(failure)) => Err(failure),
        (ended, _) => ended,
    }
}

async fn session(
    run: &mut Run<'_>,
    driver: &Driver<'_>,
    task: &Task,
    capture: &CaptureSpec,
    number: usize,
    transactions: i64,
) -> Result<Ended, Failure> {
    let applied = driver.apply(task, number > 0).await?;
    if run.options.output_apply {
        run.output.applied(&applied.action_description)?;
    }
    let open = OpenRequest {
        capture: Some(capture.clone()),
        version: VERSION.to_owned(),
        range: Some(RangeSpec { key_begin: 0, key_end: u32::MAX }),
        state_json: run.state.to_json(),
    };
    let (connector, opened) = driver.open(task, Request { open: Some(open), ..Default::default() }).await?;
    let limit = u64::try_from(transactions).ok();
    Session::new(connector, opened, run, limit).run(driver.shutdown).await
}

fn no_binding(capture: &str, source: &Path) -> Failure {
    let source = source.display();
    Failure::new(
        Code::FLOW_YAML,
        format!(
            "{source}: {capture} has no enabled binding, so there is nothing to read; `flow-shim raw discover --write --source {source}` writes one for each stream"
        ),
    )
}
