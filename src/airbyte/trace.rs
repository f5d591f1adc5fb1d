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
    let known = match &*status.status {
        "STARTED" => Status::Started,
        "RUNNING" => Status::Running,
        "COMPLETE" => Status::Complete,
        "INCOMPLETE" => Status::Incomplete,
        _ => return Event::Ignored,
    };
    let Descriptor { name, namespace } = status.stream_descriptor;
    let namespace = namespace.map(|Text(namespace)| namespace).filter(|namespace| !namespace.is_empty());
    Event::Status(StreamStatus { stream: name, namespace, status: known })
}
