//! Questions that a source answers once: spec, check and discover.
//!
//! The answer is the first message of its type among log lines (airbyte-protocol.md, 1.3). A source
//! may answer and exit badly, fail with exit 0, or say nothing at all. A catalog with a failure beside it
//! is none: Flow removes the bindings of streams that it lacks (flow-protocol.md, R3).

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{catalog, message};
use crate::capture::config::rotation::Rotation;
use crate::capture::event::{Answer, ErrorReport, Event, LineError};
use crate::capture::input::glued;
use crate::capture::processes::supervisor::{Ended, Operation, Progress, Upstream};
use crate::capture::protocol::{Argument, DiscoveredStream, Invocation, PrivateFile, UpstreamSpec};
use crate::failure::{Code, Failure};
use crate::json::packed::Packed;
use crate::log::{self, Level};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    connection_specification: Packed,
    #[serde(default)]
    documentation_url: Option<String>,
    // Airbyte alone keeps to snake case here.
    #[serde(default, rename = "advanced_auth")]
    advanced_auth: Option<Value>,
}

pub(super) async fn spec(upstream: &Upstream) -> Result<UpstreamSpec, Failure> {
    let (mut answer, ended) = ask(upstream, Operation::Spec, None).await?;
    let text = answer.spec.take().ok_or_else(|| answer.failure(&ended, Operation::Spec))?;
    let spec: Spec = serde_json::from_str(text.get())
        .map_err(|_| unreadable(Operation::Spec, "it has no connectionSpecification"))?;
    Ok(UpstreamSpec {
        config_schema: Some(spec.connection_specification),
        documentation_url: spec.documentation_url,
        consent_flow: spec.advanced_auth,
    })
}

pub(super) async fn check(upstream: &Upstream, config: PrivateFile) -> Result<(), Failure> {
    let (answer, ended) = ask(upstream, Operation::Check, Some(config)).await?;
    match &answer.status {
        Some(Ok(())) => Ok(()),
        Some(Err(message)) => Err(Failure::new(Code::CHECK_FAILED, refused(message))),
        None => Err(answer.failure(&ended, Operation::Check)),
    }
}

pub(super) async fn discover(
    upstream: &Upstream,
    config: PrivateFile,
) -> Result<Vec<DiscoveredStream>, Failure> {
    let (mut answer, ended) = ask(upstream, Operation::Discover, Some(config)).await?;
    let text = answer.catalog.take().ok_or_else(|| answer.failure(&ended, Operation::Discover))?;
    if answer.error.is_some() || !ended.is_answer_good(true) {
        return Err(answer.failure(&ended, Operation::Discover).although_answered());
    }
    ended.warn_of_errors(answer.logged_error.as_deref());
    catalog::streams(&text).map_err(|why| unreadable(Operation::Discover, &why))
}

/// What a source said to one question: the first answer of each kind, and the first error.
#[derive(Default)]
struct Heard {
    spec: Option<Box<RawValue>>,
    catalog: Option<Box<RawValue>>,
    status: Option<Result<(), String>>,
    error: Option<ErrorReport>,
    /// The first log message of level error.
    logged_error: Option<String>,
}

async fn ask(
    upstream: &Upstream,
    operation: Operation,
    config: Option<PrivateFile>,
) -> Result<(Heard, Ended), Failure> {
    let mut invocation = Invocation { arguments: vec![operation.name().into()], ..Invocation::default() };
    if let Some(config) = config {
        invocation.arguments.extend(["--config".into(), Argument::File(PrivateFile::CONFIG)]);
        invocation.files.push(config);
    }
    let mut heard = Heard::default();
    let ended = upstream
        .run(operation, &invocation, |line| {
            heard.line(line, &upstream.rotation);
            if heard.has_answered(operation) { Progress::Answered } else { Progress::Unanswered }
        })
        .await?;
    Ok((heard, ended))
}

impl Heard {
    fn line(&mut self, line: &[u8], rotation: &Rotation) {
        match message::parse(line) {
            Ok(Event::Answer(Answer::Spec(spec))) => {
                self.spec.get_or_insert_with(|| spec.to_owned());
            }
            Ok(Event::Answer(Answer::Catalog(catalog))) => {
                self.catalog.get_or_insert_with(|| catalog.to_owned());
            }
            Ok(Event::Answer(Answer::ConnectionStatus(status))) => {
                self.status.get_or_insert(status);
            }
            Ok(Event::Error(report)) => {
                log::upstream(Level::Error, &report.message, report.fields());
                self.error.get_or_insert(*report);
            }
            Ok(Event::Log(line)) => {
                if line.level == Level::Error {
                    self.logged_error.get_or_insert_with(|| line.message.clone().into_owned());
                }
                log::upstream(line.level, &line.message, line.fields);
            }
            Ok(Event::ConfigUpdate(config)) => rotation.note(config),
            Ok(_) => {}
            Err(error) => match (glued::parts(line), error) {
                (Some(parts), _) => parts.into_iter().for_each(|part| self.line(part, rotation)),
                (None, LineError::Damaged { .. }) => {}
                (None, LineError::NotAMessage) => stray(line),
            },
        }
    }

    fn has_answered(&self, operation: Operation) -> bool {
        match operation {
            Operation::Spec => self.spec.is_some(),
            Operation::Check => self.status.is_some(),
            Operation::Discover => self.catalog.is_some(),
        }
    }

    /// Why there is no answer: what the source reported first, else how it ended.
    fn failure(&self, ended: &Ended, operation: Operation) -> Failure {
        if let Some(report) = &self.error {
            let code = match report.failure_type.as_deref() {
                Some("config_error") => Code::SOURCE_CONFIG,
                _ => Code::SOURCE_ERROR,
            };
            let mut failure = Failure::new(code, report.user_message());
            failure.fields.extend(report.fields());
            return ended.described(failure);
        }
        if ended.status.success() {
            return Failure::new(
                Code::NOT_AIRBYTE,
                format!(
                    "{} exited with code 0 and answered nothing to {:?}; is it an Airbyte source?",
                    ended.program,
                    operation.name()
                ),
            );
        }
        ended.failure(operation.name())
    }
}

fn stray(line: &[u8]) {
    let text = String::from_utf8_lossy(line);
    if !text.trim().is_empty() {
        log::upstream(Level::Info, text.trim_end(), Map::new());
    }
}

fn unreadable(operation: Operation, why: &str) -> Failure {
    Failure::new(Code::ANSWER, format!("upstream's answer to {:?} cannot be read: {why}", operation.name()))
}

/// Whether a line has a specification, be it between other things.
pub(super) fn holds_spec(line: &[u8]) -> bool {
    match message::parse(line) {
        Ok(Event::Answer(Answer::Spec(spec))) => spec.get().starts_with('{'),
        Ok(_) => false,
        Err(_) => glued::parts(line).is_some_and(|parts| parts.into_iter().any(holds_spec)),
    }
}

/// Python sources print the `repr` of an error, quotes and all (airbyte-protocol.md, 2.6).
fn refused(message: &str) -> String {
    let bare = ['\'', '"'].iter().fold(message.trim(), |text, &quote| {
        text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote)).unwrap_or(text)
    });
    if bare.is_empty() {
        "the connection check failed, and the source did not say why".to_owned()
    } else {
        format!("the connection check failed: {bare}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_message_is_told_without_its_quotes() {
        assert_eq!(refused("\"'no access'\""), "the connection check failed: 'no access'");
        assert_eq!(refused("'no access'"), "the connection check failed: no access");
        assert_eq!(refused("plain"), "the connection check failed: plain");
        assert!(refused("").contains("did not say why"));
    }

    #[test]
    fn the_first_answer_counts() {
        let mut heard = Heard::default();
        for line in [
            r#"{"type":"TRACE","trace":{"type":"ERROR","error":{"message":"first"}}}"#,
            r#"{"type":"TRACE","trace":{"type":"ERROR","error":{"message":"second"}}}"#,
            r#"{"type":"CONNECTION_STATUS","connectionStatus":{"status":"FAILED","message":"no"}}"#,
        ] {
            heard.line(line.as_bytes(), &Rotation::default());
        }
        assert_eq!(heard.error.map(|report| report.message).as_deref(), Some("first"));
        assert_eq!(heard.status, Some(Err("no".to_owned())));
    }
}
