//! What Flow's form needs of a config schema, and where a spec leads its readers. All but the last still
//! works where it is missing, so these are warnings, one of each kind
//! (flow-protocol.md, section 11, conventions of config schemas).

use std::time::Duration;

use serde_json::{Map, Value};

use super::report::Report;
use super::subject::Subject;
use crate::capture::config::schema;
use crate::json::pointer::escape;
use crate::shim::load;

/// How many places are named of each kind.
const NAMED: usize = 5;
/// What Docker gives a container to stop.
const DOCKER_STOPS_WITHIN: Duration = Duration::from_secs(10);

/// What is missing, and what to do about it.
const LINTS: [(Lint, &str, &str); 6] = [
    (Lint::Title, "have no title, so that the form shows the names of properties", "give them a `title`"),
    (Lint::Description, "have no description", "give them a `description`"),
    (
        Lint::Boolean,
        "are booleans without a default, which the form cannot show as unset",
        "add `default: false`",
    ),
    (
        Lint::Secret,
        "are secrets that are no plain strings, which the form does not hide",
        "set `type: string`",
    ),
    (Lint::Enum, "have an `enum` without a `type`", "add `type: string`, or the type of the values"),
    (
        Lint::Discriminator,
        "have a `oneOf` whose branches no property tells apart",
        "give each branch a property with a `const` and the same `default`, and name it in `discriminator`",
    ),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lint {
    Title,
    Description,
    Boolean,
    Secret,
    Enum,
    Discriminator,
}

/// Checks the config schema as Flow gets it, the documentation, and the time for a stop.
pub(super) fn check(subject: &Subject<'_>, report: &mut Report) {
    let definition = subject.definition;
    // A folder of airbyte-to-flow's says nothing by an empty one.
    let blank = definition.documentation_url.as_ref().is_some_and(|url| url.trim().is_empty());
    if blank && subject.folder.join(load::FILE).is_file() {
        let what = "it is empty, and Flow refuses a connector without a documentation URL";
        report.error(subject.place(&["documentationUrl"]), what, "name a page, or leave the key out");
    }
    if definition.timeouts.stop >= DOCKER_STOPS_WITHIN {
        let what = "Docker kills the container 10 s after it asks it to stop, before upstream's time is over";
        report.warning(subject.place(&["timeouts", "stop"]), what, "set less than 10s");
    }
    let own = [("schema", &definition.config.schema), ("schemaPatch", &definition.config.schema_patch)];
    for (name, written) in own {
        if written.as_ref().is_some_and(|schema| schema["additionalProperties"] == false) {
            let place = subject.place(&["config", name, "additionalProperties"]);
            let what = "its root forbids further properties, and Flow adds `sops` to an encrypted config";
            report.warning(place, what, "leave it out; flow-shim does");
        }
    }
    // What consent adds is shown by Flow as a button.
    let Some(seen) = subject.config_schema() else { return };
    let mut found = Vec::new();
    walk(&schema::for_flow(&seen), "", &mut found);
    let key = if definition.config.schema.is_some() { "schema" } else { "schemaPatch" };
    for (lint, what, advice) in LINTS {
        let places: Vec<&str> =
            found.iter().filter(|(of, _)| *of == lint).map(|(_, place)| place.as_str()).collect();
        if places.is_empty() {
            continue;
        }
        let more = places.len().saturating_sub(NAMED);
        let named = places[..places.len() - more].join(", ");
        let named = if more > 0 { format!("{named} and {more} more") } else { named };
        let what = format!("places of the config schema {what}: {named}");
        let place = if definition.config.schema.is_some() || definition.config.schema_patch.is_some() {
            subject.place(&["config", key])
        } else {
            subject.place(&["config"])
        };
        report.warning(place, &what, advice);
    }
}

/// Looks at the properties of a schema, and of its branches; `at` is its place in a config.
fn walk(schema: &Value, at: &str, found: &mut Vec<(Lint, String)>) {
    if let Some(branches) = schema["oneOf"].as_array() {
        let objects = branches.iter().any(|branch| branch["properties"].is_object());
        if objects && schema["discriminator"]["propertyName"].as_str().is_none() {
            note(Lint::Discriminator, at, found);
        }
    }
    for keyword in ["oneOf", "anyOf", "allOf"] {
        for branch in schema[keyword].as_array().into_iter().flatten() {
            walk(branch, at, found);
        }
    }
    let tells_apart = schema["discriminator"]["propertyName"].as_str();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let Some(members) = property.as_object() else { continue };
        let at = format!("{at}/{}", escape(name));
        // What tells branches apart is not shown, and Flow adds `sops` itself.
        if !members.contains_key("const") && at != "/sops" && tells_apart != Some(name) {
            look_at(members, &at, found);
        }
        walk(property, &at, found);
    }
}

fn look_at(property: &Map<String, Value>, at: &str, found: &mut Vec<(Lint, String)>) {
    let has = |keyword: &str| property.get(keyword).is_some_and(|value| value != "");
    let is_plain = property.get("type").is_some_and(|types| types == "string");
    let is_boolean = property.get("type").is_some_and(|types| types == "boolean");
    let is_secret =
        ["secret", "airbyte_secret"].iter().any(|name| property.get(*name) == Some(&Value::Bool(true)));
    for (lint, lacks) in [
        (Lint::Title, !has("title")),
        (Lint::Description, !has("description")),
        (Lint::Boolean, is_boolean && !property.contains_key("default")),
        (Lint::Secret, is_secret && !is_plain),
        (Lint::Enum, property.contains_key("enum") && !property.contains_key("type")),
    ] {
        if lacks {
            note(lint, at, found);
        }
    }
}

/// Branches share properties; each place counts once.
fn note(lint: Lint, at: &str, found: &mut Vec<(Lint, String)>) {
    let at = if at.is_empty() { "/" } else { at };
    if !found.iter().any(|(of, known)| *of == lint && known == at) {
        found.push((lint, at.to_owned()));
    }
}
