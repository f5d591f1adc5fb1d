//! What a manifest takes from the config, against what its specification offers; and secrets that
//! stand in the manifest itself.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::Value;

use super::report::{Place, Report};
use super::secrets;
use super::subject::Subject;
use crate::capture::config::secrets::tells_secret;
use crate::capture::protocol::UpstreamSpec;
use crate::json::schema::types;

/// Fields of components that hold a secret.
const SECRET_FIELDS: &[&str] = &[
    "access_token",
    "access_token_value",
    "api_token",
    "client_secret",
    "passphrase",
    "password",
    "private_key",
    "refresh_token",
    "secret_key",
];
/// Where a component keeps renewed tokens in the config, where it does not say another place.
const KEPT: &[(&str, [&str; 2])] = &[
    ("access_token_config_path", ["credentials", "access_token"]),
    ("refresh_token_config_path", ["credentials", "refresh_token"]),
    ("token_expiry_date_config_path", ["credentials", "token_expiry_date"]),
];

/// Checks both.
pub(super) fn check(subject: &Subject<'_>, tree: &Value, file: &str, report: &mut Report) {
    in_the_clear(tree, file, report);
    let Some(schema) = subject.upstream().and_then(UpstreamSpec::config_schema) else { return };
    if !schema["properties"].is_object() {
        return;
    }
    let made = made_by_rules(&tree["spec"]);
    for path in used(tree) {
        let known = types::at(&schema, &path).is_some() || made.contains(&path[0]);
        if !known {
            let shown = path.join(".");
            let what = format!("it uses {shown:?} of the config, which its specification does not have");
            let place = Place::of(file).key("spec").key("connection_specification");
            report.warning(place, &what, "add it to `connection_specification`, or correct its name");
        }
    }
    for path in kept(tree) {
        if types::at(&schema, &path).is_none() {
            let shown = path.join(".");
            let what = format!(
                "renewed tokens are kept at {shown:?} of the config, which its specification does not have"
            );
            let place = Place::of(file).key("spec").key("connection_specification");
            report.warning(place, &what, "add it, so that a renewed token outlives the session");
        }
    }
}

/// Calls back for each value of a tree, with the names that lead to it; not below JSON schemas.
pub(super) fn walk<'a>(
    value: &'a Value,
    path: &mut Vec<String>,
    visit: &mut impl FnMut(&[String], &'a Value),
) {
    visit(path, value);
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if ["connection_specification", "schema", "properties"].contains(&name.as_str()) {
                    continue;
                }
                path.push(name.clone());
                walk(member, path, visit);
                path.pop();
            }
        }
        Value::Array(items) => items.iter().for_each(|item| walk(item, path, visit)),
        _ => {}
    }
}

/// The paths of the config that templates name.
fn used(tree: &Value) -> BTreeSet<Vec<String>> {
    let mut found = BTreeSet::new();
    let place = Regex::new(r#"\bconfig((?:\[\s*['"][^'"\]]+['"]\s*\])+|\.get\(\s*['"][^'"]+['"])"#);
    let step = Regex::new(r#"['"]([^'"]+)['"]"#);
    let (Ok(place), Ok(step)) = (place, step) else { return found };
    walk(tree, &mut Vec::new(), &mut |path, value| {
        let Some(text) = value.as_str().filter(|text| text.contains("{{") || text.contains("{%")) else {
            return;
        };
        // Consent has a config of its own.
        if path.iter().any(|name| name == "advanced_auth") {
            return;
        }
        for place in place.captures_iter(text) {
            let steps: Vec<String> = step.captures_iter(&place[1]).map(|step| step[1].to_owned()).collect();
            if steps.first().is_some_and(|first| !first.starts_with("__")) {
                found.insert(steps);
            }
        }
    });
    found
}

/// The first names of what rules of the specification put into the config.
fn made_by_rules(spec: &Value) -> BTreeSet<String> {
    let mut made = BTreeSet::new();
    walk(&spec["config_normalization_rules"], &mut Vec::new(), &mut |path, value| {
        let is_path =
            path.last().is_some_and(|name| ["path", "field_path", "target_path"].contains(&name.as_str()));
        if let Some(first) = value.as_array().filter(|_| is_path).and_then(|path| path.first()?.as_str()) {
            made.insert(first.to_owned());
        }
    });
    made
}

/// Where the components of a manifest keep renewed tokens.
fn kept(tree: &Value) -> BTreeSet<Vec<String>> {
    let mut found = BTreeSet::new();
    walk(tree, &mut Vec::new(), &mut |path, value| {
        if path.last().is_none_or(|name| name != "refresh_token_updater") || !value.is_object() {
            return;
        }
        for (name, default) in KEPT {
            let own = value[*name].as_array();
            let own: Option<Vec<String>> =
                own.map(|path| path.iter().filter_map(|step| step.as_str().map(str::to_owned)).collect());
            found.insert(own.unwrap_or_else(|| default.map(str::to_owned).to_vec()));
        }
    });
    found
}

fn in_the_clear(tree: &Value, file: &str, report: &mut Report) {
    walk(tree, &mut Vec::new(), &mut |path, value| {
        let (Some(name), Some(text)) = (path.last(), value.as_str()) else { return };
        let header = path.iter().rev().nth(1).is_some_and(|outer| outer == "request_headers");
        let secret = SECRET_FIELDS.contains(&name.as_str())
            || header && (name.eq_ignore_ascii_case("authorization") || tells_secret(name));
        if secret && !text.starts_with("#/") && !secrets::opens_nothing(text) {
            let what = format!("{name:?} holds a secret in the clear");
            let advice = "take it from the config, as {{ config['…'] }}, and rotate the secret";
            report.error(Place::of(file).item(name), &what, advice);
        }
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_templates_take_from_the_config_is_found() {
        let tree = json!({
            "a": "{{ config['x'] }} {{ config[\"y\"]['z'] }}", "b": ["{{ config.get('w', 1) }}"], "c": "config['no']",
            "d": {"schema": {"default": "{{ config['deep'] }}"}},
        });
        let paths = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        assert_eq!(used(&tree), [paths(&["w"]), paths(&["x"]), paths(&["y", "z"])].into());
    }
}
