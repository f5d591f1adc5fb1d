//! `oauth2:` of a shim: templates that render, variables that there are, and credentials that reach
//! upstream.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::report::Report;
use super::subject::Subject;
use crate::capture::protocol::UpstreamSpec;
use crate::flow::message::OAuth2;
use crate::json::schema::types;
use crate::oauth::{spec, template};

/// How deep examples of a config go.
const DEEPEST: usize = 6;

/// Checks the section.
pub(super) fn check(subject: &Subject<'_>, report: &mut Report) {
    let Some(section) = &subject.definition.oauth2 else { return };
    let upstream = subject.upstream();
    if section == "auto" && upstream.is_none() {
        return;
    }
    let place = || subject.place(&["oauth2"]);
    let consent = match subject.consent() {
        Ok(consent) => consent,
        Err(failure) => {
            let what =
                failure.message.trim_start_matches("`oauth2` in shim.yaml").trim_start_matches([':', ' ']);
            report.error(place(), what, "correct the block, with which Flow could get no consent");
            return;
        }
    };
    for doubt in &consent.doubts {
        report.warning(place(), doubt, "correct the block");
    }
    let Some(message) = &consent.message else {
        if section.is_object() {
            let what = "the block is empty, so there is no consent flow";
            report.error(place(), what, "write it out, as docs/oauth.md shows it, or remove it");
        }
        return;
    };
    let known = subject.config_schema().is_some();
    let config = if known { example(&consent.config_schema, 0) } else { Value::Null };
    variables(subject, message, &config, report);
    let own = upstream.and_then(UpstreamSpec::config_schema).filter(|_| section != "auto");
    if let Some(own) = own.filter(|schema| schema["properties"].is_object()) {
        delivery(subject, &own, report);
    }
}

/// Every variable of a template has to be one that Flow has there.
fn variables(subject: &Subject<'_>, message: &OAuth2, config: &Value, report: &mut Report) {
    let authorization = json!({
        "state": "s", "redirect_uri": "r", "client_id": "c", "config": config, "code_challenge": "c",
        "code_challenge_method": "S256",
    });
    let token = json!({
        "redirect_uri": "r", "client_id": "c", "client_secret": "s", "config": config, "code_verifier": "v",
        "code": "c", "state": "s",
    });
    let mut templates = vec![
        (vec!["authUrlTemplate"], message.auth_url_template.clone(), &authorization),
        (vec!["accessTokenUrlTemplate"], message.access_token_url_template.clone(), &token),
        (vec!["accessTokenBody"], message.access_token_body.clone(), &token),
    ];
    for (name, text) in &message.access_token_headers {
        templates.push((vec!["accessTokenHeaders", name], spec::text_of(text), &token));
    }
    for (path, text, context) in &templates {
        let mut unknown: BTreeSet<String> = template::missing(text, context).into_iter().collect();
        unknown.extend(template::conditions(text).into_iter().filter(|name| !has(context, name)));
        // Without a config schema, nobody knows what a config has.
        for name in unknown.into_iter().filter(|name| !config.is_null() || !name.starts_with("config")) {
            let keys: Vec<&str> = ["oauth2"].into_iter().chain(path.iter().copied()).collect();
            let what = format!("it uses the variable {name:?}, which there is not");
            let advice = if name.starts_with("config.") {
                "name a property of the config schema"
            } else {
                "Flow has client_id, redirect_uri and config, and what belongs to the step: state and code_challenge, or code, client_secret and code_verifier"
            };
            report.error(subject.place(&keys), &what, advice);
        }
    }
}

fn has(context: &Value, name: &str) -> bool {
    name.split('.').try_fold(context, |value, step| value.get(step)).is_some()
}

/// Where upstream takes no `credentials` itself, a move has to put them elsewhere.
fn delivery(subject: &Subject<'_>, upstream: &Value, report: &mut Report) {
    let credentials = vec!["credentials".to_owned()];
    let map = &subject.definition.config.map.0;
    let moved = map.iter().any(|one| one.from.starts_with(&credentials));
    if !moved && types::at(upstream, &credentials).is_none() {
        let what = "upstream's config has no `credentials`, and nothing moves what consent brings";
        report.error(subject.place(&["oauth2"]), what, "say where it goes in `config.map`");
    }
}

/// A config in which every property of the schema has a value.
fn example(schema: &Value, depth: usize) -> Value {
    let mut members = Map::new();
    if depth < DEEPEST {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            members.insert(name.clone(), example(property, depth + 1));
        }
        for keyword in ["oneOf", "anyOf", "allOf"] {
            for branch in schema[keyword].as_array().into_iter().flatten() {
                if let Value::Object(more) = example(branch, depth + 1) {
                    members.extend(more);
                }
            }
        }
    }
    if members.is_empty() && depth > 0 { "example".into() } else { Value::Object(members) }
}
