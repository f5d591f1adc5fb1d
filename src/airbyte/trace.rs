//! TRACE messages: what failed, and how far streams are.

use std::borrow::Cow;

use serde::Deserialize;

use crate::capture::event::{ErrorReport, Event, Status, StreamStatus};
use crate::json::text::Text;

#[derive(Deserialize)]
pub(super) struct Trace<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<Text<'a>>,
    #[serde(default)]
    error: Option<TraceError>,
    #[serde(borrow, default)]
    stream_status: Option<TraceStatus<'a>>,
}

#[derive(Deserialize)]
struct TraceError {
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    internal_message: Option<String>,
    #[serde(default)]
    stack_trace: Option<String>,
    #[serde(default)]
    failure_type: Option<String>,
    #[serde(default)]
    stream_descriptor: Option<ErrorStream>,
}

#[derive(Deserialize)]
struct ErrorStream {
    #[serde(default)]
    name: Option<String>,
}

#[derive(Deserialize)]
struct TraceStatus<'a> {
    #[serde(borrow)]
    stream_descriptor: Descriptor<'a>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(default)]
    reasons: Option<Vec<Reason>>,
}

/// Only `RATE_LIMITED` is known, and has this member.
#[derive(Deserialize)]
struct Reason {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    rate_limited: Option<RateLimited>,
}

#[derive(Deserialize)]
struct RateLimited {
    /// Milliseconds since 1970; sources written in Python may print a fraction.
    #[serde(default)]
    quota_reset: Option<f64>,
}

#[derive(Deserialize)]
struct Descriptor<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    namespace: Option<Text<'a>>,
}

pub(super) fn event(trace: Trace<'_>) -> Event<'_> {
    match (trace.kind.as_deref(), trace.error, trace.stream_status) {
        (Some("ERROR"), Some(error), _) => Event::Error(Box::new(report(error))),
        (Some("STREAM_STATUS"), _, Some(status)) => stream_status(status),
        // ESTIMATE and ANALYTICS need nothing done.
        _ => Event::Ignored,
    }
}

fn report(error: TraceError) -> ErrorReport {
    ErrorReport {
        message: error.message.unwrap_or_else(|| "the source failed and did not say why".to_owned()),
        internal_message: error.internal_message,
        stack_trace: error.stack_trace,
        failure_type: error.failure_type,
        stream: error.stream_descriptor.and_then(|descriptor| descriptor.name),
    }
}

fn stream_status(status: TraceStatus<'_>) -> Event<'_> {
    let mut reasons = status.reasons.iter().flatten();
    let limited = reasons.find(|reason| reason.kind.as_deref() == Some("RATE_LIMITED"));
    let known = match (&*status.status, limited) {
        ("STARTED", _) => Status::Started,
        ("RUNNING", None) => Status::Running,
        ("RUNNING", Some(reason)) => Status::RateLimited { until: quota_reset(reason) },
        ("COMPLETE", _) => Status::Complete,
        ("INCOMPLETE", _) => Status::Incomplete,
        _ => return Event::Ignored,
    };
    let Descriptor { name, namespace } = status.stream_descriptor;
    let namespace = namespace.map(|Text(namespace)| namespace).filter(|namespace| !namespace.is_empty());
    Event::Status(StreamStatus { stream: name, namespace, status: known })
}

/// When the quota is there again (airbyte-protocol.md, 2.4); `None` where it is not told, or no time.
fn quota_reset(reason: &Reason) -> Option<jiff::Timestamp> {
    let milliseconds = reason.rate_limited.as_ref()?.quota_reset.filter(|reset| *reset > 0.0)?;
    // A second too late is better than one too early.
    let seconds = std::time::Duration::try_from_secs_f64((milliseconds / 1000.0).ceil()).ok()?;
    jiff::Timestamp::UNIX_EPOCH.checked_add(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(text: &str) -> Option<Status> {
        match event(serde_json::from_str(text).expect("a trace")) {
            Event::Status(status) => Some(status.status),
            _ => None,
        }
    }

    #[test]
    fn a_rate_limit_is_told_with_its_reset() {
        let trace = |reasons: &str| {
            let text = r#"{"type":"STREAM_STATUS","emitted_at":1.5,"stream_status":{"stream_descriptor":{"name":"a"},"status":"RUNNING"REASONS}}"#;
            status(&text.replace("REASONS", reasons))
        };
        assert_eq!(trace(""), Some(Status::Running));
        assert_eq!(trace(r#","reasons":null"#), Some(Status::Running));
        assert_eq!(trace(r#","reasons":[{"type":"NEWER"}]"#), Some(Status::Running));
        let until = |text: &str| Some(Status::RateLimited { until: text.parse().ok() });
        assert_eq!(
            trace(r#","reasons":[{"type":"RATE_LIMITED","rate_limited":{"quota_reset":1767225600000}}]"#),
            until("2026-01-01T00:00:00Z")
        );
        assert_eq!(
            trace(r#","reasons":[{"type":"RATE_LIMITED","rate_limited":{"quota_reset":1767225600000.5}}]"#),
            until("2026-01-01T00:00:01Z")
        );
        for unknown in [
            r#"{"type":"RATE_LIMITED"}"#,
            r#"{"type":"RATE_LIMITED","rate_limited":{"quota_reset":-1}}"#,
            r#"{"type":"RATE_LIMITED","rate_limited":{"quota_reset":1e300}}"#,
        ] {
            assert_eq!(
                trace(&format!(r#","reasons":[{unknown}]"#)),
                Some(Status::RateLimited { until: None })
            );
        }
    }
}
