//! An OAuth2 block from what an Airbyte source says of its consent flow, `advanced_auth`
//! (airbyte-protocol.md, 6.1 and 6.3).
//!
//! Few sources describe the flow itself; for the others, and for what Flow cannot express, this says
//! why there is no block. Where values go in the config is told as a [`Placement`].

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::join::Placement;
use super::placeholders::{Place, Placeholders};
use super::providers;
use crate::flow::message::OAuth2;
use crate::json::pointer;

/// Flow's `state` has about this many characters.
const STATE_LENGTH: u64 = 40;
/// The content type of a form.
const FORM: &str = "application/x-www-form-urlencoded";

/// A block, and what it means for the config.
#[derive(Debug)]
pub(super) struct Derived {
    pub(super) message: OAuth2,
    pub(super) placement: Placement,
    /// What may not work.
    pub(super) doubts: Vec<String>,
}

/// Derives the block; the error says why there is none.
pub(super) fn derive(advanced_auth: &Value) -> Result<Derived, String> {
    match advanced_auth["auth_flow_type"].as_str() {
        Some("oauth2.0") | None => {}
        Some(other) => return Err(format!("upstream describes a flow of type {other:?}, not oauth2.0")),
    }
    let specification = &advanced_auth["oauth_config_specification"];
    let flow = &specification["oauth_connector_input_specification"];
    if !flow.is_object() {
        return Err("upstream does not describe its consent flow; say authUrlTemplate and accessTokenUrlTemplate in `oauth2`, from which the rest follows".to_owned());
    }
    let known = placeholders(flow, specification);
    let text = |name: &str| flow[name].as_str().ok_or_else(|| format!("upstream's flow has no {name}"));
    let consent_url = text("consent_url")?;
    let headers = flow["access_token_headers"].as_object().filter(|headers| !headers.is_empty());
    let form = headers.is_some_and(|headers| headers.get("Content-Type").is_some_and(|kind| kind == FORM));
    let mut doubts = Vec::new();
    if flow["state"]["max"].as_u64().is_some_and(|max| max < STATE_LENGTH) {
        doubts.push("the provider takes a shorter state than Flow sends, so consent may fail".to_owned());
    }
    let mut outputs = outputs(flow, specification);
    let placement = placement(advanced_auth, &mut outputs);
    let message = OAuth2 {
        provider: provider(consent_url)
            .ok_or("the consent URL has no host that names its provider; write the `oauth2` block out")?,
        auth_url_template: known.translate(consent_url, Place::ConsentUrl)?,
        access_token_url_template: known.translate(text("access_token_url")?, Place::TokenUrl)?,
        access_token_method: "POST".to_owned(),
        access_token_body: match flow["access_token_params"].as_object() {
            Some(params) if form => form_body(&known, params)?,
            Some(params) => json_body(&known, params)?,
            None => String::new(),
        },
        access_token_headers: token_headers(&known, headers)?,
        access_token_response_map: response_map(&outputs),
        ..OAuth2::default()
    };
    Ok(Derived { message, placement, doubts })
}

/// Completes a block that says only where users consent and where the code becomes a token: which values
/// the source wants, and where, is in its description. So is nothing of the request, which gets the usual
/// form (RFC 6749, 4.1.3).
pub(super) fn complete(mut message: OAuth2, advanced_auth: &Value) -> Derived {
    let flow = json!({"extract_output": providers::outputs(advanced_auth)});
    let mut outputs = outputs(&flow, &advanced_auth["oauth_config_specification"]);
    let placement = placement(advanced_auth, &mut outputs);
    message.access_token_response_map = response_map(&outputs);
    if message.provider.is_empty() {
        message.provider = provider(&message.auth_url_template).unwrap_or_default();
    }
    if message.access_token_body.is_empty() && message.access_token_headers.is_empty() {
        let pkce = message.auth_url_template.contains("code_challenge");
        let mut body = "grant_type=authorization_code".to_owned();
        for name in ["code", "redirect_uri", "client_id", "client_secret"] {
            let _ = write!(body, "&{name}={{{{#urlencode}}}}{{{{{{{name}}}}}}}{{{{/urlencode}}}}");
        }
        body.push_str(if pkce { "&code_verifier={{{code_verifier}}}" } else { "" });
        message.access_token_body = body;
        let headers = [("accept", "application/json"), ("content-type", FORM)];
        message.access_token_headers =
            headers.map(|(name, value)| (name.to_owned(), json_text(value))).into();
    }
    Derived { message, placement, doubts: Vec::new() }
}

fn response_map(outputs: &[Output]) -> BTreeMap<String, Vec<u8>> {
    outputs.iter().map(|output| (output.name.clone(), json_text(&output.source))).collect()
}

fn placeholders(flow: &Value, specification: &Value) -> Placeholders {
    let mut known = Placeholders::new(|name| flow[name].as_str().map(str::to_owned));
    let joint = match flow["scopes_join_strategy"].as_str() {
        Some("comma") => ",",
        Some("plus") => "+",
        _ => " ",
    };
    let joined = |list: &Value| {
        let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter()
            .filter_map(|item| item["scope"].as_str().or(item.as_str()))
            .collect::<Vec<_>>()
            .join(joint)
    };
    known.scopes = flow["scope"].as_str().map_or_else(|| joined(&flow["scopes"]), str::to_owned);
    known.optional_scopes = joined(&flow["optional_scopes"]);
    let inputs = &specification["oauth_user_input_from_connector_config_specification"]["properties"];
    for (name, input) in inputs.as_object().into_iter().flatten() {
        let path = path(&input["path_in_connector_config"]).unwrap_or_else(|| vec![name.clone()]);
        known.inputs.insert(name.clone(), path.join("."));
    }
    known
}

/// The registrable name of the host, without what stands below it: `github` of `github.com`.
fn provider(url: &str) -> Option<String> {
    let authority = url.split_once("://")?.1.split(['/', '?', '#']).next()?;
    let host = authority.split(':').next()?;
    let labels: Vec<&str> = host.split('.').collect();
    let second_level = ["co", "com", "net", "org", "gov", "ac", "edu"];
    let top = match labels.as_slice() {
        [_, .., second, country] if country.len() == 2 && second_level.contains(second) => 2,
        _ => 1,
    };
    let name = labels.len().checked_sub(top + 1).map(|at| labels[at])?;
    let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    plain.then(|| name.to_ascii_lowercase())
}

fn form_body(known: &Placeholders, params: &Map<String, Value>) -> Result<String, String> {
    let pairs = params.iter().map(|(name, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let key = known.translate(name, Place::Form)?;
        let value = known.parameter(&key, &value, Place::Form)?;
        Ok(format!("{key}={value}"))
    });
    Ok(pairs.collect::<Result<Vec<_>, String>>()?.join("&"))
}

fn json_body(known: &Placeholders, params: &Map<String, Value>) -> Result<String, String> {
    let mut body = Map::new();
    for (name, value) in params {
        let key = known.translate(name, Place::Plain)?;
        let value = match value {
            Value::String(text) => known.parameter(&key, text, Place::Plain)?.into(),
            other => other.clone(),
        };
        body.insert(key, value);
    }
    Ok(Value::Object(body).to_string())
}

/// The headers, in lower case: Flow merges them over defaults in lower case.
fn token_headers(
    known: &Placeholders,
    given: Option<&Map<String, Value>>,
) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let Some(given) = given else {
        let defaults = [("accept", "application/json"), ("content-type", FORM)];
        return Ok(defaults.map(|(name, value)| (name.to_owned(), json_text(value))).into());
    };
    let translated = given.iter().map(|(name, value)| {
        let value = value.as_str().ok_or_else(|| format!("the header {name:?} is not text"))?;
        let name = known.translate(name, Place::Plain)?.to_ascii_lowercase();
        Ok((name, json_text(&known.translate(value, Place::Plain)?)))
    });
    translated.collect()
}

/// A text as the block's maps have it.
fn json_text(text: &str) -> Vec<u8> {
    Value::from(text).to_string().into_bytes()
}

/// A value that the flow brings.
#[derive(Debug, Clone)]
struct Output {
    /// Its name in Flow's credentials.
    name: String,
    /// A JSON pointer into the answer, or a template.
    source: String,
    /// Where upstream wants it; `None` where it does not say.
    path: Option<Vec<String>>,
}

fn outputs(flow: &Value, specification: &Value) -> Vec<Output> {
    let placed = &specification["complete_oauth_output_specification"]["properties"];
    let expiry = flow["token_expiry_key"].as_str().unwrap_or("expires_in");
    let listed: Vec<&str> = match flow["extract_output"].as_array() {
        Some(list) => list.iter().filter_map(Value::as_str).collect(),
        None => vec!["refresh_token"],
    };
    let mut outputs = Vec::new();
    for dotted in listed {
        let result = dotted.rsplit('.').next().unwrap_or(dotted);
        let path_in_response = path(&placed[result]["path_in_oauth_response"]);
        let from = path_in_response.unwrap_or_else(|| dotted.split('.').map(str::to_owned).collect());
        if result == expiry {
            let source = format!("{{{{#now_plus}}}}{{{{ {} }}}}{{{{/now_plus}}}}", from.join("."));
            outputs.push(output("token_expiry_date", source, placed));
            if placed[result].is_null() {
                continue;
            }
        }
        outputs.push(output(result, pointer::from_path(&from), placed));
    }
    outputs
}

fn output(result: &str, source: String, placed: &Value) -> Output {
    Output { name: result.to_owned(), source, path: path(&placed[result]["path_in_connector_config"]) }
}

/// Where the values go. Those that upstream has in the object of the credentials get the names that
/// they have there.
fn placement(advanced_auth: &Value, outputs: &mut [Output]) -> Placement {
    let predicate = path(&advanced_auth["predicate_key"]).unwrap_or_default();
    let server = &advanced_auth["oauth_config_specification"]["complete_oauth_server_output_specification"]["properties"];
    let server = ["client_id", "client_secret"]
        .map(|name| (name.to_owned(), path(&server[name]["path_in_connector_config"])));
    let parent = match predicate.split_last() {
        Some((_, parent)) if !parent.is_empty() => parent.to_vec(),
        // With no predicate, an object that all values lie in serves.
        _ => {
            let placed = outputs.iter().map(|output| &output.path).chain(server.iter().map(|(_, path)| path));
            let mut parents = placed.flatten().map(|path| &path[..path.len() - 1]);
            let first = parents.next().unwrap_or_default().to_vec();
            if parents.all(|parent| parent == first) { first } else { Vec::new() }
        }
    };
    for output in outputs.iter_mut().filter(|_| !parent.is_empty()) {
        if let Some((last, _)) =
            output.path.as_ref().and_then(|path| path.strip_prefix(&*parent)?.split_last())
        {
            output.name.clone_from(last);
        }
    }
    let branch = match (predicate.last(), &advanced_auth["predicate_value"]) {
        (Some(property), value) if !value.is_null() && predicate.len() > 1 => {
            Some((property.clone(), value.clone()))
        }
        _ => None,
    };
    let values = outputs.iter().map(|output| (output.name.clone(), output.path.clone()));
    Placement { parent, branch, values: values.chain(server).collect() }
}

fn path(value: &Value) -> Option<Vec<String>> {
    let path: Option<Vec<String>> =
        value.as_array()?.iter().map(|part| part.as_str().map(str::to_owned)).collect();
    path.filter(|path| !path.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(changes: &Value) -> Value {
        let mut flow = json!({
            "consent_url": "https://auth.example.co.uk/authorize?{{client_id_param}}&{{redirect_uri_param}}&{{scopes_param}}&{{state_param}}",
            "access_token_url": "https://auth.example.co.uk/token",
        });
        for (name, value) in changes.as_object().expect("an object") {
            flow[name] = value.clone();
        }
        json!({"oauth_config_specification": {"oauth_connector_input_specification": flow}})
    }

    #[test]
    fn github_is_derived_as_the_reference_works_it_out() {
        let text = include_str!("../../fixtures/airbyte/github/spec.jsonl");
        let line = text.lines().find(|line| line.contains("advanced_auth")).expect("a spec");
        let message: Value = serde_json::from_str(line).expect("JSON");
        let derived = derive(&message["spec"]["advanced_auth"]).expect("a block");
        let block = serde_json::to_string(&derived.message).expect("JSON");
        let block: Value = serde_json::from_str(&block).expect("JSON");
        insta::assert_json_snapshot!(block, @r#"
        {
          "provider": "github",
          "authUrlTemplate": "https://github.com/login/oauth/authorize?client_id={{#urlencode}}{{{client_id}}}{{/urlencode}}&redirect_uri={{#urlencode}}{{{redirect_uri}}}{{/urlencode}}&scope=repo%20read%3Aorg%20read%3Arepo_hook%20read%3Auser%20read%3Aproject%20read%3Adiscussion%20workflow&state={{#urlencode}}{{{state}}}{{/urlencode}}",
          "accessTokenUrlTemplate": "https://github.com/login/oauth/access_token?client_id={{#urlencode}}{{{client_id}}}{{/urlencode}}&client_secret={{#urlencode}}{{{client_secret}}}{{/urlencode}}&code={{#urlencode}}{{{code}}}{{/urlencode}}&redirect_uri={{#urlencode}}{{{redirect_uri}}}{{/urlencode}}",
          "accessTokenHeaders": {
            "accept": "application/json",
            "content-type": "application/x-www-form-urlencoded"
          },
          "accessTokenResponseMap": {
            "access_token": "/access_token"
          },
          "accessTokenMethod": "POST"
        }
        "#);
        assert_eq!(derived.placement.moves(), super::super::join::Moves::default());
        let branch = derived.placement.branch.expect("a branch");
        assert_eq!(branch, ("option_title".to_owned(), "OAuth Credentials".into()));
    }

    #[test]
    fn bodies_and_headers_follow_what_the_flow_gives() {
        let params = json!({"{{ client_id_key }}": "{{ client_id_value }}", "grant_type": "authorization code", "code_verifier": "{{ state_value }}"});
        let plain = derive(&flow(&json!({"access_token_params": params}))).expect("a block").message;
        insta::assert_snapshot!(plain.access_token_body, @r#"
        {"client_id":"{{{client_id}}}","grant_type":"authorization code","code_verifier":"{{{code_verifier}}}"}
        "#);
        let headers = json!({"Content-Type": FORM, "Authorization": "Basic {{ {{client_id_value}}:{{client_secret_value}} | base64Encoder }}"});
        let form = derive(&flow(&json!({"access_token_params": params, "access_token_headers": headers})))
            .expect("a block")
            .message;
        insta::assert_snapshot!(form.access_token_body, @r#"
        client_id={{#urlencode}}{{{client_id}}}{{/urlencode}}&grant_type=authorization%20code&code_verifier={{{code_verifier}}}
        "#);
        let headers = form.access_token_headers.iter();
        let headers: Vec<_> =
            headers.map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value))).collect();
        insta::assert_snapshot!(headers.join("\n"), @r#"
        authorization: "Basic {{#basicauth}}{{{client_id}}}:{{{client_secret}}}{{/basicauth}}"
        content-type: "application/x-www-form-urlencoded"
        "#);
    }

    #[test]
    fn outputs_are_read_from_their_place_in_the_answer() {
        let mut described =
            flow(&json!({"extract_output": ["data.access_token", "expires_in", "refresh_token"]}));
        described["oauth_config_specification"]["complete_oauth_output_specification"] = json!({"properties": {
            "access_token": {"path_in_connector_config": ["credentials", "token"]},
            "refresh_token": {"path_in_connector_config": ["credentials", "refresh_token"], "path_in_oauth_response": ["auth", "refresh"]},
            "token_expiry_date": {"path_in_connector_config": ["credentials", "expiry"]},
        }});
        let map = derive(&described).expect("a block").message.access_token_response_map;
        let map: Vec<_> = map
            .into_iter()
            .map(|(name, source)| format!("{name} {}", String::from_utf8_lossy(&source)))
            .collect();
        insta::assert_snapshot!(map.join("\n"), @r#"
        expiry "{{#now_plus}}{{ expires_in }}{{/now_plus}}"
        refresh_token "/auth/refresh"
        token "/data/access_token"
        "#);
        assert_eq!(derive(&flow(&json!({}))).expect("a block").message.access_token_response_map.len(), 1);
    }

    #[test]
    fn what_flow_cannot_do_is_refused() {
        for (described, why) in [
            (json!({"auth_flow_type": "oauth1.0"}), "oauth1.0"),
            (json!({"auth_flow_type": "oauth2.0"}), "does not describe"),
            (flow(&json!({"consent_url": "https://{{ host }}/x"})), "provider"),
            (flow(&json!({"access_token_url": "https://x.com/{{ nope }}"})), "nope"),
        ] {
            let refused = derive(&described).expect_err("no block");
            assert!(refused.contains(why), "{refused}");
        }
    }

    #[test]
    fn a_provider_is_the_name_that_is_registered() {
        assert_eq!(provider("https://accounts.google.com/o").as_deref(), Some("google"));
        assert_eq!(provider("https://auth.example.co.uk/").as_deref(), Some("example"));
        assert_eq!(provider("https://{{ subdomain }}.zendesk.com/").as_deref(), Some("zendesk"));
        assert_eq!(provider("https://localhost/"), None);
        assert_eq!(provider("{{ url }}"), None);
    }
}
