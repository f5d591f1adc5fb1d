//! `--about`: what an SDK tap tells of its settings. Other taps know no such flag.

use serde_json::{Map, Value};

use crate::capture::config::secrets::tells_secret;
use crate::capture::processes::supervisor::{Ended, Operation, Progress, Upstream};
use crate::capture::protocol::{Invocation, UpstreamSpec};
use crate::failure::Failure;
use crate::json::packed::Packed;

/// Settings that the SDK adds to nearly every tap (singer-protocol.md, 1.3).
const BUILT_IN: &[&str] = &[
    "stream_maps",
    "stream_map_config",
    "faker_config",
    "flattening_enabled",
    "flattening_max_depth",
    "flattening_max_key_length",
    "flattening_separator",
    "batch_config",
    "emit_activate_version_messages",
    "use_singer_decimal",
];

/// How many braces of an output are looked at for the one that the answer begins with.
const TRIES: usize = 200;

pub(super) async fn spec(upstream: &Upstream) -> Result<UpstreamSpec, Failure> {
    let invocation =
        Invocation { arguments: vec!["--about".into(), "--format=json".into()], ..Invocation::default() };
    let mut text = String::new();
    let ended = upstream
        .run(Operation::Spec, &invocation, |line| {
            text.push_str(&String::from_utf8_lossy(line));
            text.push('\n');
            if may_end(line) && is_about(&text) { Progress::Answered } else { Progress::Unanswered }
        })
        .await?;
    let about = read(&text);
    let settings = about.as_ref().map(|about| &about["settings"]).filter(|settings| settings.is_object());
    match settings {
        Some(settings) => Ok(UpstreamSpec {
            config_schema: Some(Packed::from(&schema(settings))),
            ..UpstreamSpec::default()
        }),
        None if ended.status.success() || refuses(&ended) => Ok(UpstreamSpec::default()),
        None => {
            let mut failure = ended.failure("--about");
            // A traceback or a signal has another reason than a flag that the tap does not know.
            if ended.stderr.text().to_ascii_lowercase().contains("usage:") {
                failure
                    .message
                    .push_str("; if the tap does not know --about, set `config.schema` in shim.yaml");
            }
            Err(failure)
        }
    }
}

/// Whether the tap's parser does not know `--about`: argparse and click exit with 2. So does a Python that
/// does not find its script.
fn refuses(ended: &Ended) -> bool {
    ended.status.code() == Some(2) && !ended.stderr.text().contains("can't open file")
}

/// Whether a JSON document over many lines may end with this one: a closing brace at its end, and no indent.
/// Trying to read it at each line would take time in the square of its length.
pub(super) fn may_end(line: &[u8]) -> bool {
    line.trim_ascii_end().ends_with(b"}") && !line.starts_with(b" ") && !line.starts_with(b"\t")
}

/// What a tap said of itself, among whatever else it printed, braces included; `None` where it said nothing.
fn read(output: &str) -> Option<Value> {
    output.match_indices('{').take(TRIES).find_map(|(at, _)| {
        let value = serde_json::Deserializer::from_str(&output[at..]).into_iter::<Value>().next()?.ok()?;
        (value["settings"].is_object() || value["capabilities"].is_array()).then_some(value)
    })
}

/// Whether this is what a tap says of itself.
pub(super) fn is_about(output: &str) -> bool {
    read(output).is_some()
}

/// The settings as a config schema that a form can draw.
fn schema(settings: &Value) -> Value {
    let mut root = settings.as_object().cloned().unwrap_or_default();
    root.shift_remove("$schema");
    root.shift_remove("additionalProperties");
    root.insert("type".to_owned(), "object".into());
    let mut defaulted = Vec::new();
    if let Some(Value::Object(properties)) = root.get_mut("properties") {
        for (name, property) in properties.iter_mut() {
            if let Value::Object(property) = property {
                setting(name, property);
                if property.contains_key("default") {
                    defaulted.push(name.clone());
                }
            }
        }
    }
    // The tap fills defaults in before it looks what is missing.
    if let Some(Value::Array(required)) = root.get_mut("required") {
        required.retain(|name| !defaulted.iter().any(|defaulted| name == defaulted));
    }
    Value::Object(root)
}

/// One setting, and those inside it, such as the key of an `ssh_tunnel`.
fn setting(name: &str, property: &mut Map<String, Value>) {
    property.shift_remove("writeOnly");
    for (name, inner) in property.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        if let Value::Object(inner) = inner {
            setting(name, inner);
        }
    }
    let single = property.get("type").and_then(Value::as_array).filter(|types| types.len() == 1);
    if let Some(only) = single.map(|types| types[0].clone()) {
        property.insert("type".to_owned(), only);
    }
    let text = property.get("type").is_some_and(|types| {
        types == "string" || types.as_array().is_some_and(|t| t.contains(&"string".into()))
    });
    if text && tells_secret(name) {
        property.entry("secret").or_insert(Value::Bool(true));
    }
    if BUILT_IN.contains(&name) {
        property.insert("advanced".to_owned(), Value::Bool(true));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_answer_is_found_among_other_braces() {
        for output in ["{\"settings\": {}}", "loaded {csv, json}\n{\"a\": {}}\n{\"settings\": {}}\nbye {}\n"]
        {
            assert!(is_about(output), "{output}");
        }
        assert!(!is_about("loaded {csv, json}\n{\"a\": 1}"));
    }

    #[test]
    fn settings_become_a_form() {
        let settings = json!({
            "$schema": "x", "properties": {
                "host": {"type": ["string", "null"], "default": "localhost"},
                "auth_token": {"type": ["string"]},
                "password": {"type": ["string", "null"], "secret": true, "writeOnly": true},
                "token_count": {"type": ["integer", "null"]},
                "stream_maps": {"type": ["object", "null"]},
                "tunnel": {"type": ["object", "null"], "properties": {
                    "private_key": {"type": ["string"], "writeOnly": true},
                }},
            },
            "required": ["host", "auth_token"],
        });
        let schema = schema(&settings);
        assert_eq!(schema["required"], json!(["auth_token"]));
        assert_eq!(schema["properties"]["auth_token"], json!({"type": "string", "secret": true}));
        assert_eq!(schema["properties"]["password"], json!({"type": ["string", "null"], "secret": true}));
        assert_eq!(schema["properties"]["token_count"], json!({"type": ["integer", "null"]}));
        assert_eq!(schema["properties"]["stream_maps"]["advanced"], true);
        assert_eq!(
            schema["properties"]["tunnel"]["properties"]["private_key"],
            json!({"type": "string", "secret": true})
        );
        assert_eq!(schema["type"], "object");
    }
}
