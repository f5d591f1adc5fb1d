//! A connector for tests of states: its upstream logs the state file that it is given, and prints
//! what the test says.

use serde_json::Value;

use crate::harness::{Connector, Run};
use crate::messages::SPEC;

const SCRIPT: &str = r#"
case "$*" in *discover*) printf '%s' "$CATALOG"; exit 0;; spec) printf '%s' "$SPEC"; exit 0;; --about*) echo '{"settings":{}}'; exit 0;; esac
while [ $# -gt 0 ]; do if [ "$1" = --state ]; then printf 'INFO state-file:%s\n' "$(cat "$2")" >&2; fi; shift; done
printf '%s' "$LINES"
"#;

/// The streams `users` and `orders` of a tap.
pub(crate) const TAP: &str = r#"{"streams":[{"tap_stream_id":"users","stream":"users","key_properties":["id"],"schema":{"properties":{"id":{}}},"metadata":[]},{"tap_stream_id":"orders","stream":"orders","key_properties":["id"],"schema":{"properties":{"id":{}}},"metadata":[]}]}"#;

/// One that prints these lines when it reads.
pub(crate) fn echoing(protocol: &str, lines: &str) -> Connector {
    Connector::new(&["run", "--protocol", protocol, "--", "sh", "-c", SCRIPT, "upstream"])
        .variable("LINES", lines)
        .variable("SPEC", SPEC)
        .variable("CATALOG", TAP)
}

/// The same as a shim, with these further lines of `shim.yaml`.
pub(crate) fn echoing_shim(yaml: &str, lines: &str) -> Connector {
    let yaml = format!("command: [sh, FOLDER/upstream.sh]\n{yaml}");
    Connector::shim(&yaml, &[("upstream.sh", SCRIPT)])
        .variable("LINES", lines)
        .variable("SPEC", SPEC)
        .variable("CATALOG", TAP)
}

/// The state file that upstream was given; `None` where it got none.
pub(crate) fn given(run: &Run) -> Option<Value> {
    let mut messages = run.logs.iter().filter_map(|log| log["message"].as_str());
    let (_, text) = messages.find_map(|message| message.split_once("state-file:"))?;
    Some(serde_json::from_str(text).expect("a state file is JSON"))
}
