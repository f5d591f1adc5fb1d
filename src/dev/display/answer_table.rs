//! Answers of a connector as tables for people: what one looks for first, not all that there is.

use serde_json::Value;

use super::table::{Column, Table};
use crate::capture::config::secrets::is_marked;
use crate::flow::message::{Discovered, Spec, Validated};

/// The settings of the endpoint config.
pub(crate) fn spec(spec: &Spec) -> Table {
    let schema: Value = serde_json::from_slice(&spec.config_schema_json).unwrap_or_default();
    let mut table = Table::new([
        ("SETTING", Column::Name),
        ("TYPE", Column::Name),
        ("NEEDED", Column::Name),
        ("WHAT", Column::Prose),
    ]);
    let required = |name: &str| {
        schema["required"].as_array().is_some_and(|names| names.iter().any(|other| other == name))
    };
    for (name, setting) in schema["properties"].as_object().into_iter().flatten() {
        let kind = match &setting["type"] {
            Value::String(kind) => kind.clone(),
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("|"),
            _ if setting["oneOf"].is_array() => "one of".to_owned(),
            _ => "any".to_owned(),
        };
        let needed = if required(name) { "yes" } else { "no" };
        let what = setting["title"].as_str().or(setting["description"].as_str()).unwrap_or_default();
        let words: Vec<&str> =
            what.split_whitespace().chain(is_marked(setting).then_some("(secret)")).collect();
        table.row([name.clone(), kind, needed.to_owned(), words.join(" ")]);
    }
    table
}

/// The streams.
pub(crate) fn discovered(discovered: &Discovered) -> Table {
    let mut table = Table::new([
        ("NAME", Column::Name),
        ("KEY", Column::Name),
        ("ENABLED", Column::Name),
        ("RESOURCE", Column::Prose),
    ]);
    for binding in &discovered.bindings {
        let enabled = if binding.disable { "no" } else { "yes" };
        let resource: Value = serde_json::from_slice(&binding.resource_config_json).unwrap_or_default();
        let members = resource.as_object().into_iter().flatten();
        let members = members.map(|(name, value)| match value {
            Value::String(text) => format!("{name}={text}"),
            value => format!("{name}={value}"),
        });
        table.row([
            binding.recommended_name.clone(),
            binding.key.join(", "),
            enabled.to_owned(),
            members.collect::<Vec<_>>().join(" "),
        ]);
    }
    table
}

/// The resource paths.
pub(crate) fn validated(validated: &Validated) -> Table {
    let mut table = Table::new([("BINDING", Column::Number), ("RESOURCE PATH", Column::Prose)]);
    for (at, binding) in validated.bindings.iter().enumerate() {
        table.row([at.to_string(), binding.resource_path.join("/")]);
    }
    table
}
