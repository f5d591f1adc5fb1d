//! Streams that hand over files in place of rows.
//!
//! Upstream writes such files to its own disk and sends a record that only points there. Flow has no
//! place for them, so the disk would fill up with what nobody reads.

use serde_json::Value;

use super::protocol::{StreamId, UpstreamProtocol};
use crate::failure::{Code, Failure};

/// The failure of a stream that hands over files. `config` is upstream's.
pub(crate) fn refused(protocol: &impl UpstreamProtocol, stream: &StreamId, config: &Value) -> Failure {
    let remedy = match protocol.file_setting(config) {
        Some(pointer) => {
            format!(
                "the setting {pointer} of the endpoint config asks for files: choose rows there, then discover again"
            )
        }
        None => "disable its binding".to_owned(),
    };
    Failure::new(
        Code::FILES,
        format!("stream {:?} hands over files, and only rows can be captured; {remedy}", stream.to_string()),
    )
    .with("stream", stream.to_string())
}
