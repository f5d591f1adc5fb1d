//! What upstream sees of an endpoint config: defaults, moved values, nothing that Flow added.

use serde_json::{Value, json};

use crate::harness::{Connector, Run, airbyte, discover, open, spec};

/// Keeps the config that it is called with beside the shim, and answers from files.
const UPSTREAM: &str = r#"if [ "$2" = --config ]; then cp "$3" "$FLOW_SHIM_DIR/seen-$1.json"; fi
cat "$FLOW_SHIM_DIR/$1.jsonl"
"#;
const SPEC: &str = r##"{"type":"SPEC","spec":{"connectionSpecification":{"type":"object","additionalProperties":false,
"required":["token"],"properties":{
"token":{"type":"string","airbyte_secret":true,"pattern":"^(?!bearer ).+$"},
"count":{"type":"integer","default":1000},
"provider":{"type":"object","default":"Public Web","properties":{"user_agent":{"type":"boolean","default":false}}},
"method":{"type":"object","oneOf":[
 {"title":"Standard","required":["kind"],"properties":{"kind":{"type":"string","const":"standard"},"window":{"type":"integer","default":30}}},
 {"title":"CDC","required":["kind"],"properties":{"kind":{"type":"string","enum":["cdc"]},"slot":{"type":"string","default":"airbyte"},"lag":{"$ref":"#/definitions/lag"}}}]}},
"definitions":{"lag":{"type":"integer","default":5}}}}}"##;
const CHECK: &str = "{\"type\":\"CONNECTION_STATUS\",\"connectionStatus\":{\"status\":\"SUCCEEDED\"}}\n";
const CATALOG: &str = r#"{"type":"CATALOG","catalog":{"streams":[{"name":"users","json_schema":{},"supported_sync_modes":["full_refresh"]}]}}"#;

fn connector(yaml: &str) -> Connector {
    let spec = SPEC.replace('\n', "");
    let files = [
        ("up.sh", UPSTREAM),
        ("spec.jsonl", &spec),
        ("check.jsonl", CHECK),
        ("discover.jsonl", CATALOG),
        ("read.jsonl", ""),
    ];
    Connector::shim(&format!("protocol: airbyte\ncommand: [sh, FOLDER/up.sh]\n{yaml}"), &files)
}

fn seen(connector: &Connector, command: &str) -> Value {
    let path = format!("{}/seen-{command}.json", connector.folder_path());
    serde_json::from_str(&std::fs::read_to_string(path).expect("upstream was called")).expect("JSON")
}

fn seen_by_discover(yaml: &str, config: &Value) -> (Value, Run) {
    let connector = connector(yaml);
    let run = connector.run(&[spec(), discover(config)]).succeeded();
    (seen(&connector, "discover"), run)
}

#[test]
fn defaults_of_the_chosen_branch_are_filled_in_and_what_flow_added_goes() {
    let config = json!({
        "token": "t", "method": {"kind": "cdc"}, "provider": {}, "sops": {"mac": "m"},
        "_atf_skip_interval": true, "client_id": "from OAuth",
    });
    let (seen, run) = seen_by_discover("", &config);
    let expected = json!({
        "token": "t", "count": 1000, "method": {"kind": "cdc", "slot": "airbyte", "lag": 5}, "provider": {"user_agent": false},
    });
    assert_eq!(seen, expected);
    let told = run.logs.iter().any(|log| log["fields"]["members"] == "/client_id");
    assert!(told, "what is left out is told: {:?}", run.logs);
}

#[test]
fn every_call_of_upstream_gets_the_same_config() {
    let connector = connector("");
    let config = json!({"token": "t"});
    let validate = json!({"validate": {"name": "acmeCo/x", "config": config, "bindings": [airbyte("users", "full_refresh")]}});
    connector.run(&[spec(), validate]).succeeded();
    connector.run(&[spec(), open(config, &[airbyte("users", "full_refresh")], json!({}))]).succeeded();
    for command in ["check", "discover", "read"] {
        assert_eq!(seen(&connector, command), json!({"token": "t", "count": 1000}), "{command}");
    }
}

#[test]
fn an_object_whose_default_is_text_and_a_pattern_that_looks_around_do_no_harm() {
    let (seen, _) = seen_by_discover("", &json!({"token": "bearer x"}));
    assert_eq!(seen, json!({"token": "bearer x", "count": 1000}), "upstream checks its patterns itself");
}

const MAPPED: &str = r"
config:
  schemaPatch:
    required: [credentials]
    properties:
      token: null
      count: {default: 7, description: how many}
      credentials: {type: object, required: [token], properties: {token: {type: string, secret: true}}}
  map:
    /token: /credentials/token
";

#[test]
fn a_patched_spec_is_shown_and_its_values_are_moved_to_where_upstream_looks() {
    let config = json!({"credentials": {"token": "t", "client_secret": "from OAuth"}});
    let (seen, run) = seen_by_discover(MAPPED, &config);
    assert_eq!(seen, json!({"token": "t", "count": 7}));
    let schema = run.only("spec")["configSchema"].clone();
    assert_eq!(schema["required"], json!(["credentials"]));
    assert!(schema["properties"].get("token").is_none());
    assert_eq!(schema["properties"]["count"]["type"], "integer", "what is not patched stays");
    assert_eq!(schema["properties"]["credentials"]["properties"]["token"]["secret"], true);
}

#[test]
fn a_config_without_a_value_that_moves_is_refused_with_its_place() {
    let map = "config: {schemaPatch: {required: null}, map: {/token: /credentials/token}}\n";
    let run = connector(map).run(&[spec(), discover(&json!({"token": "t0ps3cret", "credentials": {}}))]);
    assert_eq!(run.code, 4);
    let words = run.last_words();
    assert!(words.contains("/credentials/token") && words.contains("config.map"), "{words}");
    assert!(!format!("{:?}", run.logs).contains("t0ps3cret"));
}

#[test]
fn a_default_that_breaks_its_own_schema_does_not_spoil_a_good_config() {
    let properties = "n: {type: integer, minimum: 1, default: 0}, list: {type: array, minItems: 1, default: []}, \
                      form: {type: object, default: {}, oneOf: [{required: [k], properties: {k: {const: a}}}]}, \
                      hours: {enum: [24, 48], default: [24]}";
    let (seen, _) = seen_by_discover(
        &format!("config: {{schemaPatch: {{properties: {{{properties}}}}}}}\n"),
        &json!({"token": "t"}),
    );
    assert_eq!(seen, json!({"token": "t", "count": 1000}));
}

#[test]
fn a_mistake_in_a_form_names_the_form_and_the_field() {
    let form = |kind: &str, field: &str| json!({"required": ["auth_type", field], "properties": {"auth_type": {"const": kind}, field: {}}});
    let patch = json!({"properties": {"credentials": {"oneOf": [form("token", "api_token"), form("login", "user")]}}});
    let run = connector(&format!("config: {{schemaPatch: {patch}}}\n"))
        .run(&[spec(), discover(&json!({"token": "t", "credentials": {"auth_type": "token"}}))]);
    assert_eq!(run.code, 4);
    let words = run.last_words();
    assert!(words.contains("/credentials/api_token is required, with auth_type \"token\""), "{words}");
}

#[test]
fn a_default_serves_where_the_schema_requires_a_value() {
    let patch = "config: {schemaPatch: {required: [token, count]}}\n";
    let (seen, _) = seen_by_discover(patch, &json!({"token": "t"}));
    assert_eq!(seen["count"], 1000);
}

#[test]
fn feature_flags_belong_to_flow_shim() {
    let config = |flags: &str| json!({"token": "t", "advanced": {"feature_flags": flags}});
    let (seen, run) = seen_by_discover("", &config("no_backfill_signals, new_thing"));
    assert_eq!(seen, json!({"token": "t", "count": 1000}));
    let warned =
        |flag: &str| run.logs.iter().any(|log| log["level"] == "warn" && log["fields"]["flag"] == flag);
    assert!(warned("new_thing") && !warned("backfill_signals"), "{:?}", run.logs);
    assert!(run.only("spec")["configSchema"]["properties"].get("advanced").is_none(), "no use for them");
    let wrong = json!({"token": "t", "advanced": {"feature_flags": ["backfill_signals"]}});
    let run = connector("").run(&[spec(), discover(&wrong)]);
    assert_eq!(run.code, 4);
    assert!(run.last_words().contains("/advanced/feature_flags"), "{}", run.last_words());
}

#[test]
fn feature_flags_are_offered_where_the_shim_uses_one_and_other_advanced_settings_stay() {
    let advanced = "advanced: {type: object, properties: {limit: {type: integer}}}";
    let yaml = format!(
        "config: {{schemaPatch: {{additionalProperties: true, properties: {{{advanced}}}}}}}\nstreams: {{overrides: {{users: {{refresh: truncate}}}}}}\n"
    );
    let config = json!({"token": "t", "advanced": {"feature_flags": "backfill_signals", "limit": 5}});
    let run = connector(&yaml).run(&[spec(), discover(&config)]).succeeded();
    let schema = run.only("spec")["configSchema"].clone();
    assert_eq!(schema["properties"]["advanced"]["properties"]["feature_flags"]["type"], "string");
    assert_eq!(schema["properties"]["advanced"]["properties"]["limit"]["type"], "integer");
    assert!(schema["required"].as_array().is_none_or(|names| !names.contains(&json!("advanced"))));
}

#[test]
fn what_a_plaintext_overlay_may_change_is_marked_for_flow() {
    let patch = "config: {schemaPatch: {properties: {count: {nonsensitive: true}}}}\n";
    let run = connector(patch).run(&[spec()]).succeeded();
    assert_eq!(run.only("spec")["configSchema"]["properties"]["count"]["nonsensitive"], true);
}
