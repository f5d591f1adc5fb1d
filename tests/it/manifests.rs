//! Low-code connectors: a manifest in the shim's folder is all that there is of them.

use serde_json::{Value, json};

use crate::harness::{Connector, Run, airbyte, discover, open, spec};

const MANIFEST: &str = r##"
version: 6.33.0
type: DeclarativeSource
check: {type: CheckStream, stream_names: [users]}
definitions:
  anchored: &secret {type: string, airbyte_secret: true}
  token: {$ref: "#/definitions/titled", title: Token}
  titled: {title: Nothing, <<: *secret}
streams:
  - type: DeclarativeStream
    name: users
    primary_key: id
    schema_loader: {type: InlineSchemaLoader, schema: {type: object, properties: {id: {type: integer}}}}
spec:
  type: Spec
  documentation_url: https://docs.example.com/shop
  connection_specification:
    type: object
    additionalProperties: false
    required: [token]
    properties:
      token: {$ref: "#/definitions/token"}
      country: {type: string, enum: [NO, SE]}
"##;

/// Answers as a source would; keeps how it was called, its config and one of its variables.
const UPSTREAM: &str = r#"
verb=$1
printf '%s ' "$@" > "$FLOW_SHIM_DIR/called.$verb"
printf '%s' "${AIRBYTE_ENABLE_UNSAFE_CODE-unset}${AIRBYTE_ALLOW_CUSTOM_CODE-}" > "$FLOW_SHIM_DIR/unsafe.$verb"
while [ $# -gt 0 ]; do [ "$1" = --config ] && cp "$2" "$FLOW_SHIM_DIR/config.$verb"; shift; done
case $verb in
check) echo '{"type":"CONNECTION_STATUS","connectionStatus":{"status":"SUCCEEDED"}}' ;;
discover) echo '{"type":"CATALOG","catalog":{"streams":[{"name":"users","json_schema":{"type":"object","properties":{"id":{"type":"integer"}}},"supported_sync_modes":["full_refresh"],"source_defined_primary_key":[["id"]]}]}}' ;;
read) echo '{"type":"RECORD","record":{"stream":"users","data":{"id":1},"emitted_at":1}}'
  echo '{"type":"TRACE","trace":{"type":"STREAM_STATUS","emitted_at":1,"stream_status":{"stream_descriptor":{"name":"users"},"status":"COMPLETE"}}}' ;;
esac
"#;

fn kept(connector: &Connector, name: &str) -> String {
    std::fs::read_to_string(format!("{}/{name}", connector.folder_path())).expect("upstream was called")
}

fn config(connector: &Connector, verb: &str) -> Value {
    serde_json::from_str(&kept(connector, &format!("config.{verb}"))).expect("JSON")
}

#[test]
fn the_specification_is_the_manifests_and_nothing_is_started() {
    // The program is not installed.
    let connector = Connector::shim("# nothing\n", &[("manifest.yaml", MANIFEST)]);
    let spec = connector.run(&[spec()]).succeeded().only("spec");
    assert_eq!(spec["documentationUrl"], "https://docs.example.com/shop");
    let properties = &spec["configSchema"]["properties"];
    assert_eq!(properties["token"], json!({"title": "Token", "type": "string", "secret": true}));
    assert_eq!(properties["country"]["enum"], json!(["NO", "SE"]));
    // The file is asked each time.
    let changed = MANIFEST.replace("docs.example.com", "new.example.com");
    std::fs::write(format!("{}/manifest.yaml", connector.folder_path()), changed).expect("written");
    assert_eq!(
        connector.run(&[self::spec()]).only("spec")["documentationUrl"],
        "https://new.example.com/shop"
    );
    let missing = connector.run(&[discover(&json!({"token": "t0ken"}))]);
    assert!(missing.last_words().contains("source-declarative-manifest"), "{}", missing.last_words());
}

#[test]
fn its_consent_flow_makes_an_oauth2_block() {
    let manifest = MANIFEST.to_owned()
        + r"
  advanced_auth:
    auth_flow_type: oauth2.0
    oauth_config_specification:
      oauth_connector_input_specification:
        consent_url: 'https://shop.example.com/authorize?{{client_id_param}}&{{redirect_uri_param}}&{{state_param}}'
        access_token_url: 'https://shop.example.com/token'
        extract_output: [access_token]
      complete_oauth_output_specification:
        properties: {access_token: {type: string, path_in_connector_config: [token]}}
";
    let connector = Connector::shim("oauth2: auto\n", &[("manifest.yaml", &manifest)]);
    let spec = connector.run(&[spec()]).succeeded().only("spec");
    assert_eq!(spec["oauth2"]["provider"], "example");
    assert!(
        spec["oauth2"]["authUrlTemplate"]
            .as_str()
            .expect("a template")
            .starts_with("https://shop.example.com/")
    );
}

/// Most manifests say only where the values of a flow go; the rest follows from the authenticator.
#[test]
fn a_consent_flow_that_is_left_out_follows_from_the_authenticator() {
    let manifest = MANIFEST.to_owned()
        + r"
  advanced_auth:
    auth_flow_type: oauth2.0
    oauth_config_specification:
      complete_oauth_output_specification:
        properties: {access_token: {type: string, path_in_connector_config: [token]}}
" + r"
metadata:
  authenticator:
    type: OAuthAuthenticator
    token_refresh_endpoint: https://api.hubapi.com/oauth/v1/token
";
    let asked = |yaml: &str, manifest: &str| {
        Connector::shim(yaml, &[("manifest.yaml", manifest)]).run(&[spec()]).succeeded()
    };
    let block = asked("oauth2: auto\n", &manifest).only("spec")["oauth2"].clone();
    assert_eq!(block["accessTokenUrlTemplate"], "https://api.hubapi.com/oauth/v1/token");
    assert_eq!(block["provider"], "hubspot");
    let own = manifest.replace("api.hubapi.com", "auth.example.com");
    let run = asked("oauth2: auto\n", &own);
    assert!(run.only("spec").get("oauth2").is_none());
    assert!(run.logged(Some("warn"), "auth.example.com"), "{:?}", run.logs);
    assert!(asked("{}\n", &manifest).only("spec").get("oauth2").is_none());
}

#[test]
fn a_manifest_that_cannot_be_used_says_what_to_do() {
    let no_spec = MANIFEST.split("\nspec:").next().expect("a part").to_owned();
    let cycle = MANIFEST.replace("{title: Nothing, <<: *secret}", "{$ref: '#/definitions/token'}");
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let inner = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb = format!("{bomb}a{level}: &a{level} [{inner}]\n");
    }
    let huge = format!("# {}\n{MANIFEST}", "x".repeat(17 * 1024 * 1024));
    let cases = [
        (no_spec.as_str(), "no `spec`"),
        (&cycle, "itself"),
        (&bomb, "manifest.yaml"),
        (&huge, "bytes"),
        ("a: [1\n", "line"),
        ("just text\n", "not a manifest"),
    ];
    for (text, words) in cases {
        let run = Connector::shim("# nothing\n", &[("manifest.yaml", text)]).run(&[spec()]);
        assert_eq!(run.code, 3, "{words}");
        let last = run.logs.last().expect("a line");
        assert_eq!(last["fields"]["code"], "manifest", "{last}");
        assert!(run.last_words().contains(words), "{}", run.last_words());
    }
    let described = "config: {schema: {type: object, properties: {own: {type: string}}}}\n";
    let run = Connector::shim(described, &[("manifest.yaml", &no_spec)]).run(&[spec()]).succeeded();
    assert!(run.only("spec")["configSchema"]["properties"]["own"].is_object());
}

/// Runs the three verbs of upstream.
fn all(connector: &Connector, more: &Value) -> [Run; 2] {
    let mut config = json!({"token": "t0ken-t0ken"});
    for (name, value) in more.as_object().expect("members") {
        config[name] = value.clone();
    }
    let discovered = connector.run(&[spec(), discover(&config)]).succeeded();
    let read = open(config, &[airbyte("users", "full_refresh")], json!({}));
    [discovered, connector.run(&[spec(), read]).succeeded()]
}

#[test]
fn upstream_gets_the_manifest_in_its_private_config_and_nowhere_else() {
    let manifest = MANIFEST.replace("    additionalProperties: false\n", "    additionalProperties: true\n");
    let files = [("manifest.yaml", manifest.as_str()), ("upstream.sh", UPSTREAM)];
    let connector = Connector::shim("manifest: manifest.yaml\ncommand: [sh, ./upstream.sh]\n", &files);
    let runs = all(&connector, &json!({"__injected_components_py": "import os"}));
    for verb in ["discover", "read"] {
        let config = config(&connector, verb);
        assert_eq!(config["token"], "t0ken-t0ken");
        assert_eq!(config["__injected_declarative_manifest"]["streams"][0]["name"], "users");
        assert!(config.get("__injected_components_py").is_none(), "nobody's config brings code");
        assert_eq!(kept(&connector, &format!("unsafe.{verb}")), "unset");
    }
    for run in runs {
        assert!(!format!("{:?}", run.logs).contains("CheckStream"), "{:?}", run.logs);
        assert!(!run.text.contains("CheckStream"), "{}", run.text);
    }
}

#[test]
fn a_specification_that_allows_nothing_else_lets_the_manifest_pass() {
    let files = [("manifest.yaml", MANIFEST), ("upstream.sh", UPSTREAM)];
    let connector = Connector::shim("manifest: manifest.yaml\ncommand: [sh, ./upstream.sh]\n", &files);
    let refused = connector.run(&[discover(&json!({"token": "t0ken-t0ken", "tokn": 1}))]);
    assert!(refused.code == 0 || refused.code == 4, "Flow's side still holds it against the real one");
    all(&connector, &json!({}));
    let spec = &config(&connector, "read")["__injected_declarative_manifest"]["spec"];
    assert!(spec["connection_specification"].get("additionalProperties").is_none());
}

#[test]
fn python_code_beside_it_runs_in_that_process_alone() {
    let files = [("low-code.yaml", MANIFEST), ("own.py", "class Own: pass\n"), ("upstream.sh", UPSTREAM)];
    let yaml = "manifest: low-code.yaml\ncomponents: own.py\ncommand: [sh, ./upstream.sh]\n";
    let connector = Connector::shim(yaml, &files);
    all(&connector, &json!({}));
    for verb in ["discover", "read"] {
        let config = config(&connector, verb);
        assert_eq!(config["__injected_components_py"], "class Own: pass\n");
        assert_eq!(config["__injected_components_py_checksums"]["sha256"].as_str().map(str::len), Some(64));
        assert_eq!(kept(&connector, &format!("unsafe.{verb}")), "truetrue");
    }
    // One of a machine's own is not for a manifest without code.
    let connector = Connector::shim(
        "manifest: low-code.yaml\ncommand: [sh, ./upstream.sh]\n",
        &[("low-code.yaml", MANIFEST), ("upstream.sh", UPSTREAM)],
    )
    .variable("AIRBYTE_ENABLE_UNSAFE_CODE", "true");
    all(&connector, &json!({}));
    assert_eq!(kept(&connector, "unsafe.read"), "unset");
}

#[test]
fn keys_that_do_not_fit_a_manifest_are_refused() {
    for (yaml, words) in [
        ("protocol: singer\nmanifest: manifest.yaml\n", "Airbyte"),
        ("command: [x]\ncomponents: own.py\n", "components"),
        ("manifest: other.yaml\n", "other.yaml"),
    ] {
        let run = Connector::shim(yaml, &[("manifest.yaml", MANIFEST)]).run(&[spec()]);
        assert_eq!(run.code, 3, "{yaml}");
        assert!(run.last_words().contains(words), "{}", run.last_words());
    }
}

#[test]
fn arguments_are_appended_to_every_verb_or_to_one() {
    let files = [("upstream.sh", UPSTREAM)];
    let yaml = "protocol: airbyte\ncommand: [sh, ./upstream.sh]\nconfig: {schema: {type: object}}\n";
    let called = |args: &str, verb: &str| {
        let connector = Connector::shim(&format!("{yaml}{args}"), &files);
        let read = open(json!({}), &[airbyte("users", "full_refresh")], json!({}));
        connector.run(&[discover(&json!({}))]).succeeded();
        connector.run(&[read]).succeeded();
        kept(&connector, &format!("called.{verb}"))
    };
    for verb in ["discover", "read"] {
        let line = called("args: [--all, two words]\n", verb);
        assert!(
            line.starts_with(&format!("{verb} --config ")) && line.ends_with(" --all two words "),
            "{line}"
        );
    }
    assert!(called("args: {read: [--debug]}\n", "read").ends_with(" --debug "));
    assert!(!called("args: {read: [--debug]}\n", "discover").contains("--debug"));
    let wrong = Connector::shim(&format!("{yaml}args: {{reed: [--debug]}}\n"), &files).run(&[spec()]);
    assert!(wrong.last_words().contains("did you mean `read`?"), "{}", wrong.last_words());
}
