//! Messages and bindings that many tests share. A test whose bytes matter writes its own.

use std::fmt::Display;

use serde_json::{Value, json};

use crate::harness::airbyte;

/// The specification of a source that takes any config.
pub(crate) const SPEC: &str =
    "{\"type\":\"SPEC\",\"spec\":{\"connectionSpecification\":{\"type\":\"object\"}}}\n";
/// A record of `users`; the same as [`record`] makes, for tests that repeat or cut it.
pub(crate) const RECORD: &str =
    "{\"type\":\"RECORD\",\"record\":{\"stream\":\"users\",\"data\":{\"id\":1},\"emitted_at\":1}}\n";
/// One that does not say when it was read.
pub(crate) const RECORD_WITHOUT_TIME: &str =
    "{\"type\":\"RECORD\",\"record\":{\"stream\":\"users\",\"data\":{\"id\":1}}}\n";
/// A state of `users`.
pub(crate) const STATE: &str = "{\"type\":\"STATE\",\"state\":{\"type\":\"STREAM\",\"stream\":{\"stream_descriptor\":{\"name\":\"users\"},\"stream_state\":{\"c\":1}}}}\n";

/// A record of an Airbyte source's stream.
pub(crate) fn record(stream: &str) -> String {
    RECORD.replace("users", stream)
}

/// A STREAM state that holds this JSON.
pub(crate) fn state(stream: &str, value: &(impl Display + ?Sized)) -> String {
    format!(
        "{{\"type\":\"STATE\",\"state\":{{\"type\":\"STREAM\",\"stream\":{{\"stream_descriptor\":{{\"name\":\"{stream}\"}},\"stream_state\":{value}}}}}}}\n"
    )
}

/// What an Airbyte source tells of how far a stream is.
pub(crate) fn status(stream: &str, status: &str) -> String {
    format!(
        "{{\"type\":\"TRACE\",\"trace\":{{\"type\":\"STREAM_STATUS\",\"emitted_at\":1.5,\"stream_status\":{{\"stream_descriptor\":{{\"name\":\"{stream}\"}},\"status\":\"{status}\"}}}}}}\n"
    )
}

/// An Airbyte source's report of an error, of one stream or of the whole source.
pub(crate) fn error(message: &str, failure_type: &str, stream: Option<&str>) -> String {
    let mut error = json!({
        "message": message, "internal_message": "inner text", "stack_trace": "Traceback …",
        "failure_type": failure_type,
    });
    if let Some(stream) = stream {
        error["stream_descriptor"] = json!({"name": stream});
    }
    format!("{}\n", json!({"type": "TRACE", "trace": {"type": "ERROR", "emitted_at": 1.5, "error": error}}))
}

/// Bindings of `users` and `orders`, read incrementally.
pub(crate) fn both() -> [Value; 2] {
    [airbyte("users", "incremental"), airbyte("orders", "incremental")]
}
