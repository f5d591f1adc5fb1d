//! What a spec says of consent, and where the values that Flow gets with it reach upstream.

use serde_json::{Value, json};

use crate::harness::{Connector, Run, repository, spec};

/// The warnings about the block.
fn doubts(run: &Run) -> Vec<String> {
    let said = run.logs.iter().filter_map(|log| log["message"].as_str());
    said.filter(|message| message.starts_with("oauth2: ")).map(str::to_owned).collect()
}

#[test]
fn a_block_is_derived_from_what_github_says_of_its_flow() {
    let recorded = repository("fixtures/airbyte/github");
    let recorded = recorded.to_str().expect("UTF-8");
    let shim = format!("protocol: airbyte\ncommand: [flow-shim, replay, {recorded}]\noauth2: auto\n");
    let run = Connector::shim(&shim, &[]).run(&[spec()]).succeeded();
    assert_eq!(doubts(&run), Vec::<String>::new());
    let answer = run.only("spec");
    let block = &answer["oauth2"];
    assert_eq!(block["provider"], "github");
    assert_eq!(
        block["authUrlTemplate"],
        "https://github.com/login/oauth/authorize?client_id={{#urlencode}}{{{client_id}}}{{/urlencode}}\
         &redirect_uri={{#urlencode}}{{{redirect_uri}}}{{/urlencode}}\
         &scope=repo%20read%3Aorg%20read%3Arepo_hook%20read%3Auser%20read%3Aproject%20read%3Adiscussion%20workflow\
         &state={{#urlencode}}{{{state}}}{{/urlencode}}"
    );
    assert_eq!(block["accessTokenResponseMap"], json!({"access_token": "/access_token"}));
    let schema = &answer["configSchema"];
    assert_eq!(schema["required"], json!(["repositories", "credentials"]));
    let credentials = &schema["properties"]["credentials"];
    assert_eq!(credentials["discriminator"], json!({"propertyName": "option_title"}));
    let (oauth, token) = (&credentials["oneOf"][0], &credentials["oneOf"][1]);
    assert_eq!(oauth["x-oauth2-provider"], "github");
    assert_eq!(token.get("x-oauth2-provider"), None);
    assert_eq!(oauth["properties"]["option_title"]["default"], "OAuth Credentials");
    assert_eq!(token["properties"]["option_title"]["default"], "PAT Credentials");
    for name in ["access_token", "client_id", "client_secret"] {
        assert_eq!(oauth["properties"][name]["secret"], true, "{name}");
    }
}

/// A source with a flat config, which keeps the config that it is checked with.
const SOURCE: &str = r#"
case "$1" in
spec) cat "$HERE/spec.json" ;;
check) cat "$3" > "$HERE/seen.json"; echo '{"type":"CONNECTION_STATUS","connectionStatus":{"status":"SUCCEEDED"}}' ;;
esac
"#;

#[test]
fn values_reach_a_flat_config() {
    let described = json!({"type": "SPEC", "spec": {
        "connectionSpecification": {"type": "object", "required": ["token", "start"], "properties": {
            "token": {"type": "string", "airbyte_secret": true}, "app": {"type": "object"}, "start": {"type": "string"},
        }},
        "advanced_auth": {"auth_flow_type": "oauth2.0", "oauth_config_specification": {
            "oauth_connector_input_specification": {
                "consent_url": "https://acme.com/a?{{client_id_param}}", "access_token_url": "https://acme.com/t",
                "extract_output": ["access_token"],
            },
            "complete_oauth_output_specification": {"properties": {"access_token": {"path_in_connector_config": ["token"]}}},
            "complete_oauth_server_output_specification": {"properties": {
                "client_id": {"path_in_connector_config": ["app", "id"]},
            }},
        }},
    }});
    let shim = "protocol: airbyte\ncommand: [sh, FOLDER/source.sh]\nenv: {HERE: FOLDER}\noauth2: auto\n";
    let files = [("source.sh", SOURCE), ("spec.json", &described.to_string())];
    let connector = Connector::shim(shim, &files);
    let credentials = json!({"access_token": "t0ken", "client_id": "me", "client_secret": "s3cret"});
    let validate =
        |config: Value| json!({"validate": {"name": "acmeCo/s", "connectorType": "IMAGE", "config": config}});
    let run =
        connector.run(&[spec(), validate(json!({"credentials": credentials, "start": "2024"}))]).succeeded();
    assert_eq!(run.only("spec")["configSchema"]["required"], json!(["start", "credentials"]));
    let seen =
        std::fs::read_to_string(format!("{}/seen.json", connector.folder_path())).expect("it was checked");
    let seen: Value = serde_json::from_str(&seen).expect("JSON");
    assert_eq!(
        (&seen["token"], &seen["app"], &seen["start"]),
        (&json!("t0ken"), &json!({"id": "me"}), &json!("2024"))
    );

    let refused = connector.run(&[spec(), validate(json!({"token": "t0ken", "start": "2024"}))]);
    assert_eq!(refused.code, 4);
    assert!(refused.last_words().contains("credentials"), "{}", refused.last_words());
}

#[test]
fn what_flow_would_refuse_is_told_and_an_empty_block_is_none() {
    let source =
        [("source.sh", SOURCE), ("spec.json", r#"{"type":"SPEC","spec":{"connectionSpecification":{}}}"#)];
    let ask = |oauth2: &str| {
        let shim = format!(
            "protocol: airbyte\ncommand: [sh, FOLDER/source.sh]\nenv: {{HERE: FOLDER}}\noauth2: {oauth2}\n"
        );
        Connector::shim(&shim, &source).run(&[spec()])
    };
    let doubtful = ask("{provider: acme, authUrlTemplate: 'https://{{{config.host}}}/a', accessTokenUrlTemplate: 'https://acme.com/t'}").succeeded();
    let said = doubts(&doubtful).join("\n");
    assert!(said.contains("accessTokenResponseMap") && said.contains("my.salesforce.com"), "{said}");
    assert!(doubtful.only("spec")["configSchema"]["properties"]["credentials"].is_object());

    let sections = ask("{provider: acme, authUrlTemplate: 'https://{{#config.test}}test{{/config.test}}{{^config.test}}login{{/config.test}}.acme.com/', accessTokenUrlTemplate: 'https://acme.com/t'}").succeeded();
    assert!(!doubts(&sections).join("\n").contains("refuses the URLs"), "{:?}", doubts(&sections));

    let none = ask("{provider: '', accessTokenHeaders: {}}").succeeded();
    assert_eq!(none.only("spec").get("oauth2"), None);
    assert_eq!(none.only("spec")["configSchema"].get("required"), None);

    let auto = ask("auto").succeeded();
    assert!(doubts(&auto)[0].contains("upstream describes none"), "{:?}", doubts(&auto));
    assert_eq!(auto.only("spec").get("oauth2"), None);

    let wrong = ask(
        "{provider: acme, authUrlTemplate: 'https://acme.com/{{#urlencod}}{{/urlencod}}', accessTokenUrlTemplate: 'https://acme.com/t'}",
    );
    assert_eq!(wrong.code, 3);
    assert!(wrong.last_words().contains("authUrlTemplate"), "{}", wrong.last_words());
}
