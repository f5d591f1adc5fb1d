//! What the Spec answer says of consent: the block, and the config schema bound to it.
//!
//! The block is `oauth2` of shim.yaml, passed on after checks, or for `oauth2: auto` what upstream
//! describes. A block of two URLs is completed from that description. What Flow would refuse later is told by a
//! warning now.

use serde_json::{Value, json};

pub use super::join::Moves;
use super::join::Placement;
use super::{derive, hosts, schema, template};
use crate::failure::{Code, Failure};
use crate::flow::message::OAuth2;

/// What consent changes about a connector.
#[derive(Debug)]
pub struct Consent {
    /// Flow's block; `None` where there is no consent flow.
    pub message: Option<OAuth2>,
    /// The config schema; with a block, its credentials are required, secret and bound to the provider.
    pub config_schema: Value,
    /// What moves in a config before upstream sees it.
    pub moves: Moves,
    /// What Flow would refuse, drop or ignore, and why a block could not be derived.
    pub doubts: Vec<String>,
}

/// What `oauth2` of shim.yaml means for a config schema. `described` is upstream's own description of
/// its flow. A block in which all is empty means none.
pub fn consent(
    section: Option<&Value>,
    described: Option<&Value>,
    config_schema: Value,
) -> Result<Consent, Failure> {
    let none =
        |config_schema, doubts| Consent { message: None, config_schema, moves: Moves::default(), doubts };
    let Some(section) = section else { return Ok(none(config_schema, Vec::new())) };
    let (message, placement, mut doubts) = if section == "auto" {
        let derived = described.ok_or_else(|| "upstream describes none".to_owned()).and_then(derive::derive);
        match derived {
            Ok(derived) => (derived.message, derived.placement, derived.doubts),
            Err(why) => {
                return Ok(none(config_schema, vec![format!("`auto` gives no consent flow: {why}")]));
            }
        }
    } else {
        let message = message(section)?;
        match described.filter(|_| lacks_the_rest(section)) {
            Some(described) => {
                let completed = derive::complete(message, described);
                (completed.message, completed.placement, completed.doubts)
            }
            None => (message, Placement::default(), Vec::new()),
        }
    };
    if message == OAuth2::default() {
        return Ok(none(config_schema, Vec::new()));
    }
    refuse(&message)?;
    doubts.extend(doubts_about(&message));
    let mut names: Vec<String> = message.access_token_response_map.keys().cloned().collect();
    for own in ["client_id", "client_secret"] {
        if !names.iter().any(|name| name == own) {
            names.push(own.to_owned());
        }
    }
    let mut bound = config_schema.clone();
    let config_schema = match schema::bind(&mut bound, &message.provider, &names, &placement) {
        Ok(()) => bound,
        Err(why) => {
            doubts.push(format!(
                "Flow cannot fill in what it gets, because the config schema is not bound to it: {why}"
            ));
            config_schema
        }
    };
    Ok(Consent { message: Some(message), config_schema, moves: placement.moves(), doubts })
}

/// Whether a block says where users consent and where the code becomes a token, and not what becomes of
/// the answer.
fn lacks_the_rest(section: &Value) -> bool {
    ["authUrlTemplate", "accessTokenUrlTemplate"].iter().all(|name| section[*name].is_string())
        && section.get("accessTokenResponseMap").is_none_or(Value::is_null)
}

/// Reads a block.
fn message(section: &Value) -> Result<OAuth2, Failure> {
    serde_json::from_str(&section.to_string()).map_err(|error| {
        Failure::new(Code::OAUTH2_BLOCK, format!("`oauth2` in shim.yaml is not what Flow takes: {error}"))
    })
}

/// The text of a value of the block's maps, which are JSON, in practice strings.
pub fn text_of(json: &[u8]) -> String {
    match serde_json::from_slice(json) {
        Ok(Value::String(text)) => text,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

/// The templates of consent and of the token request, with their names in the block.
fn templates(message: &OAuth2) -> Vec<(String, String)> {
    let mut templates = vec![
        ("authUrlTemplate".to_owned(), message.auth_url_template.clone()),
        ("accessTokenUrlTemplate".to_owned(), message.access_token_url_template.clone()),
        ("accessTokenBody".to_owned(), message.access_token_body.clone()),
    ];
    let maps = [
        ("accessTokenHeaders", &message.access_token_headers),
        ("accessTokenResponseMap", &message.access_token_response_map),
    ];
    for (place, map) in maps {
        for (name, text) in map {
            templates.push((format!("{place}.{name}"), text_of(text)));
        }
    }
    templates
}

/// Fails where no consent could be got with the block at all.
fn refuse(message: &OAuth2) -> Result<(), Failure> {
    let wrong = |what: String| Failure::new(Code::OAUTH2_BLOCK, format!("`oauth2` in shim.yaml: {what}"));
    let needed = [
        ("provider", &message.provider),
        ("authUrlTemplate", &message.auth_url_template),
        ("accessTokenUrlTemplate", &message.access_token_url_template),
    ];
    if let Some((name, _)) = needed.iter().find(|(_, value)| value.is_empty()) {
        return Err(wrong(format!("it has no {name}")));
    }
    for (name, text) in templates(message) {
        if !(name.starts_with("accessTokenResponseMap.") && text.starts_with('/')) {
            template::check(&text).map_err(|why| wrong(format!("{name}: {why}")))?;
        }
    }
    Ok(())
}

/// What Flow would refuse, drop or ignore.
fn doubts_about(message: &OAuth2) -> Vec<String> {
    let mut doubts = Vec::new();
    if message.access_token_response_map.is_empty() {
        doubts.push(
            "there is no accessTokenResponseMap, so Flow drops all that the provider answers".to_owned(),
        );
    }
    let urls = [
        ("authUrlTemplate", &message.auth_url_template),
        ("accessTokenUrlTemplate", &message.access_token_url_template),
    ];
    for (name, url) in urls {
        if let Err(why) = hosts::check(url) {
            doubts.push(format!("Flow refuses the URLs of {name}: {why}"));
        }
    }
    if !matches!(message.access_token_method.as_str(), "" | "POST") {
        doubts.push("Flow ignores accessTokenMethod and sends POST".to_owned());
    }
    // Flow's state is base64, in which a query takes `+` for a space.
    let state = "a+b/c=";
    let url = template::render(&message.auth_url_template, &json!({"state": state})).unwrap_or_default();
    if url.contains(state) {
        doubts.push(
            "authUrlTemplate has the state outside of {{#urlencode}}, so it may come back changed".to_owned(),
        );
    }
    doubts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(changes: &Value) -> Value {
        let mut block = json!({
            "provider": "acme", "authUrlTemplate": "https://acme.com/a?s={{#urlencode}}{{{state}}}{{/urlencode}}",
            "accessTokenUrlTemplate": "https://acme.com/t", "accessTokenResponseMap": {"token": "/token"},
        });
        for (name, value) in changes.as_object().expect("an object") {
            block[name] = value.clone();
        }
        block
    }

    #[test]
    fn blocks_that_say_nothing_are_none() {
        for empty in [json!({}), json!({"provider": "", "authUrlTemplate": "", "accessTokenHeaders": {}})] {
            let consent = consent(Some(&empty), None, json!({"a": 1})).expect("no failure");
            assert!(consent.message.is_none() && consent.doubts.is_empty());
            assert_eq!(consent.config_schema, json!({"a": 1}));
        }
        let auto = consent(Some(&"auto".into()), None, json!({})).expect("no failure");
        assert!(auto.message.is_none() && auto.doubts[0].contains("describes none"));
    }

    #[test]
    fn two_urls_are_enough_where_the_source_says_where_values_go() {
        let text = include_str!("../../fixtures/airbyte/airtable/spec.jsonl");
        let line = text.lines().find(|line| line.contains("advanced_auth")).expect("a spec");
        let recorded: Value = serde_json::from_str(line).expect("JSON");
        let described = &recorded["spec"]["advanced_auth"];
        let schema = recorded["spec"]["connectionSpecification"].clone();
        let url = "https://airtable.com/oauth2/v1/authorize?state={{#urlencode}}{{{state}}}{{/urlencode}}&code_challenge={{{code_challenge}}}";
        let section =
            json!({"authUrlTemplate": url, "accessTokenUrlTemplate": "https://airtable.com/oauth2/v1/token"});
        let completed = consent(Some(&section), Some(described), schema.clone()).expect("a block");
        let block = completed.message.expect("a block");
        assert_eq!((block.provider.as_str(), completed.doubts), ("airtable", Vec::new()));
        assert!(block.access_token_body.ends_with("&code_verifier={{{code_verifier}}}"));
        let names: Vec<&String> = block.access_token_response_map.keys().collect();
        assert_eq!(names, ["access_token", "refresh_token", "token_expiry_date"]);
        assert!(completed.config_schema.to_string().contains("x-oauth2-provider"));
        let mut own = section;
        own["accessTokenResponseMap"] = json!({"token": "/token"});
        own["provider"] = "acme".into();
        let kept = consent(Some(&own), Some(described), schema).expect("a block").message.expect("a block");
        assert_eq!((kept.access_token_response_map.len(), kept.access_token_body.as_str()), (1, ""));
    }

    #[test]
    fn what_cannot_work_is_refused_with_its_place() {
        for (changes, why) in [
            (json!({"provider": ""}), "it has no provider"),
            (json!({"authUrl": "x"}), "authUrl"),
            (json!({"accessTokenBody": "{{#urlencod}}{{/urlencod}}"}), "accessTokenBody: "),
            (json!({"accessTokenResponseMap": {"at": "{{#now_plus}}"}}), "accessTokenResponseMap.at: "),
        ] {
            let failure = consent(Some(&block(&changes)), None, json!({})).expect_err("it is wrong");
            assert!(failure.message.contains(why), "{failure}");
            assert_eq!(failure.code, Code::OAUTH2_BLOCK);
        }
    }

    #[test]
    fn what_flow_would_refuse_is_doubted() {
        let doubts = |changes: Value| doubts_about(&message(&block(&changes)).expect("a block")).join("\n");
        assert_eq!(doubts(json!({})), "");
        let all = doubts(json!({
            "authUrlTemplate": "https://x-{{{config.shop}}}.com/?s={{{state}}}", "accessTokenResponseMap": {}, "accessTokenMethod": "GET",
        }));
        for expected in
            ["no accessTokenResponseMap", "URLs of authUrlTemplate", "accessTokenMethod", "urlencode"]
        {
            assert!(all.contains(expected), "{all}");
        }
    }
}
