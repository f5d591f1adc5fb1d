//! TRACE messages: what failed, and how far streams are.

use std::borrow::Cow;

use serde::Deserialize;

use super::descriptor::{Descriptor, namespace};
use crate::capture::event::{ErrorReport, Estimate, Estimated, Event, Status, StreamStatus};
use crate::json::text::Text;

#[derive(Deserialize)]
pub(super) struct Trace<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<Text<'a>>,
    #[serde(default)]
    error: Option<TraceError>,
    #[serde(borrow, default)]
    stream_status: Option<TraceStatus<'a>>,
    #[serde(borrow, default)]
    estimate: Option<TraceEstimate<'a>>,
}

/// Counts are numbers of any form.
#[derive(Deserialize)]
struct TraceEstimate<'a> {
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "namespace")]
    namespace: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "type", default)]
    kind: Option<Text<'a>>,
    #[serde(default)]
    row_estimate: Option<f64>,
    #[serde(default)]
    byte_estimate: Option<f64>,
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

pub(super) fn event(trace: Trace<'_>) -> Event<'_> {
    match (trace.kind.as_deref(), trace.error, trace.stream_status) {
        (Some("ESTIMATE"), ..) => trace.estimate.map_or(Event::Ignored, estimate),
        (Some("ERROR"), Some(error), _) => Event::Error(Box::new(report(error))),
        (Some("STREAM_STATUS"), _, Some(status)) => stream_status(status),
        // ANALYTICS needs nothing done.
        _ => Event::Ignored,
    }
}

fn report(error: TraceError) -> ErrorReport {
    let said = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let message = said(error.message).or_else(|| said(error.internal_message.clone()));
    ErrorReport {
        message: message.unwrap_or_else(|| "the source failed and did not say why".to_owned()),
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
    Event::Status(StreamStatus { stream: name, namespace, status: known })
}

fn estimate(estimate: TraceEstimate<'_>) -> Event<'_> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast saturates")]
    let count = |number: Option<f64>| number.map(|number| number as u64);
    let estimated = Estimated { rows: count(estimate.row_estimate), bytes: count(estimate.byte_estimate) };
    let stream = match (estimate.kind.as_deref(), estimate.name) {
        (Some("SYNC"), _) => None,
        (Some("STREAM"), Some(Text(name))) => Some(name),
        _ => return Event::Ignored,
    };
    Event::Estimate(Estimate { stream, namespace: estimate.namespace, estimated })
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
    fn an_error_without_a_message_is_told_in_the_words_for_developers() {
        let message = |error: &str| {
            let text = format!(r#"{{"type":"ERROR","error":{error}}}"#);
            match event(serde_json::from_str(&text).expect("a trace")) {
                Event::Error(report) => report.message,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(message(r#"{"message":"no access","internal_message":"403"}"#), "no access");
        assert_eq!(message(r#"{"internal_message":"403"}"#), "403");
        assert_eq!(message(r#"{"message":"","internal_message":"403"}"#), "403");
        assert!(message(r#"{"message":" ","internal_message":null}"#).contains("did not say why"));
    }

    #[test]
    fn estimates_are_of_a_stream_or_of_all() {
        let told = |estimate: &str| {
            let text = format!(r#"{{"type":"ESTIMATE","emitted_at":1.5,"estimate":{estimate}}}"#);
            match event(serde_json::from_str(&text).expect("a trace")) {
                Event::Estimate(Estimate { stream, namespace, estimated: Estimated { rows, bytes } }) => {
                    Some((stream.map(|s| s.to_string()), namespace.map(|n| n.to_string()), rows, bytes))
                }
                _ => None,
            }
        };
        assert_eq!(
            told(
                r#"{"name":"users","type":"STREAM","namespace":"a","row_estimate":7,"byte_estimate":2.5e3}"#
            ),
            Some((Some("users".to_owned()), Some("a".to_owned()), Some(7), Some(2_500)))
        );
        assert_eq!(
            told(r#"{"name":"all","type":"SYNC","row_estimate":-3}"#),
            Some((None, None, Some(0), None))
        );
        assert_eq!(told(r#"{"name":"users","type":"NEWER","row_estimate":7}"#), None);
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
