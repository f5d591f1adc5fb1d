//! Makes a vendor's schema one that Flow's compiler takes, at any depth.
//!
//! Foreign keywords, unknown formats and ill-formed values go; older drafts' forms become today's;
//! what is no schema becomes one. A schema is only ever made looser, so what fitted it still fits:
//! where a condition (`not`, `if`) would change its meaning by that, it goes as a whole.

use serde_json::{Map, Value, json};

use super::keywords::{self, Form};
use super::types::Types;
use super::{discriminator, refs, walk};

/// What a schema is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Usage {
    /// People fill in a form by it: enums and branches stay.
    Config,
    /// Documents are held against it: enums go, since vendors add to them without notice, and of
    /// overlapping alternatives any number may fit.
    Documents,
}

/// A config schema as Flow's user interface draws it.
pub fn config(schema: &Value) -> Value {
    let mut adapted = adapted(schema, Usage::Config);
    discriminator::add(&mut adapted);
    adapted
}

/// A schema of documents, as airbyte-to-flow published it (flow-protocol.md, 9.2).
pub fn documents(schema: &Value) -> Value {
    adapted(schema, Usage::Documents)
}

/// Turns `format: date` into `date-time` everywhere, where a source declares dates and sends times.
pub fn dates_to_datetimes(schema: &mut Value) {
    walk::each_mut(schema, &mut |members| {
        if members.get("format").is_some_and(|format| format == "date") {
            members.insert("format".to_owned(), "date-time".into());
        }
    });
}

fn adapted(schema: &Value, usage: Usage) -> Value {
    let mut adapted = adapt(schema, usage);
    refs::settle(&mut adapted, schema, &|part| adapt(part, usage));
    adapted
}

fn adapt(schema: &Value, usage: Usage) -> Value {
    match schema {
        Value::Object(members) => {
            let mut kept = Map::new();
            for (keyword, value) in members {
                keep(&mut kept, members, keyword, value, usage);
            }
            // Sources write `"default": "csv"` for an object (airbyte-protocol.md, 7.1), which Flow refuses.
            let types = kept.get("type").map_or(Types::ANY, Types::of_keyword);
            if kept.get("default").is_some_and(|default| !types.take(default)) {
                kept.shift_remove("default");
            }
            Value::Object(kept)
        }
        Value::Bool(_) => schema.clone(),
        // The SDK of Singer taps writes `anyOf: [.., "null"]` (fixture demo-singer, about.json).
        Value::String(name) if Types::named(name).is_some() => json!({ "type": name }),
        // What is no schema says nothing.
        _ => Value::Bool(true),
    }
}

/// Adds what becomes of one keyword of a schema. `all` are the schema's keywords.
fn keep(kept: &mut Map<String, Value>, all: &Map<String, Value>, keyword: &str, value: &Value, usage: Usage) {
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            kept.insert(name.to_owned(), value);
        }
    };
    match keyword {
        "airbyte_secret" if value == &Value::Bool(true) => put("secret", Some(value.clone())),
        "type" => put("type", types(value, all.get("nullable"))),
        "enum" if usage == Usage::Documents => {
            if !all.contains_key("type") {
                put("type", types_of_values(value));
            }
        }
        // Draft 4: a flag beside the bound.
        "exclusiveMinimum" | "exclusiveMaximum" if value.is_boolean() => {
            let bound = all.get(bound_of(keyword)).filter(|bound| bound.is_number());
            put(keyword, bound.filter(|_| value == &Value::Bool(true)).cloned());
        }
        "minimum" | "maximum" if all.get(exclusive(keyword)) == Some(&Value::Bool(true)) => {}
        "items" => put("items", items(all, usage)),
        "dependencies" => {
            for (name, value) in dependencies(value, usage) {
                put(name, Some(value));
            }
        }
        "oneOf" if usage == Usage::Documents => {
            // Beside an `anyOf` there is no other place for a second one.
            let branches = schemas(value, usage);
            if all.contains_key("anyOf") {
                let mut list =
                    all.get("allOf").and_then(|list| schemas(list, usage)).unwrap_or_else(|| json!([]));
                if let (Value::Array(list), Some(branches)) = (&mut list, branches) {
                    list.push(json!({ "anyOf": branches }));
                }
                put("allOf", Some(list).filter(|list| list != &json!([])));
            } else {
                put("anyOf", branches);
            }
        }
        // Taken along with `oneOf`.
        "allOf" if usage == Usage::Documents && all.contains_key("oneOf") && all.contains_key("anyOf") => {}
        "not" => put("not", exactly(value, usage)),
        "if" => {
            if let Some(condition) = exactly(value, usage) {
                put("if", Some(condition));
                for branch in ["then", "else"] {
                    put(branch, all.get(branch).map(|schema| adapt(schema, usage)));
                }
            }
        }
        // They go with `if`, and mean nothing without it.
        "then" | "else" => {}
        _ => put(keyword, keywords::form(keyword).and_then(|form| of_form(form, value, usage))),
    }
}

fn of_form(form: Form, value: &Value, usage: Usage) -> Option<Value> {
    let named = |members: &Map<String, Value>| -> Value {
        members.iter().map(|(name, schema)| (name.clone(), adapt(schema, usage))).collect()
    };
    match form {
        Form::Schema => Some(adapt(value, usage)),
        Form::Schemas => schemas(value, usage),
        Form::Named => value.as_object().map(named),
        Form::Patterns => {
            let compiling = value.as_object()?.iter().filter(|(pattern, _)| keywords::compiles(pattern));
            Some(compiling.map(|(pattern, schema)| (pattern.clone(), adapt(schema, usage))).collect())
        }
        Form::Reference => value.is_string().then(|| value.clone()),
        _ => keywords::plain(form, value),
    }
}

/// A list of schemas; an empty one would take nothing, or says nothing.
fn schemas(value: &Value, usage: Usage) -> Option<Value> {
    let list = value.as_array().filter(|list| !list.is_empty())?;
    Some(list.iter().map(|schema| adapt(schema, usage)).collect())
}

/// Types, each once; `None` where something else is named, as an older or wrong schema does.
fn types(value: &Value, nullable: Option<&Value>) -> Option<Value> {
    let list = match value {
        Value::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    let mut names: Vec<&str> = Vec::new();
    for name in list {
        let name = name.as_str().filter(|name| Types::named(name).is_some())?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    // OpenAPI's way to say null.
    if nullable == Some(&Value::Bool(true)) && !names.contains(&"null") {
        names.push("null");
    }
    match (names.as_slice(), value) {
        ([], _) => None,
        ([name], Value::String(_)) => Some(json!(name)),
        (names, _) => Some(json!(names)),
    }
}

fn types_of_values(values: &Value) -> Option<Value> {
    Some(Types::of_values(values.as_array()?)?.to_keyword())
}

fn bound_of(exclusive: &str) -> &'static str {
    if exclusive == "exclusiveMinimum" { "minimum" } else { "maximum" }
}

fn exclusive(bound: &str) -> &'static str {
    if bound == "minimum" { "exclusiveMinimum" } else { "exclusiveMaximum" }
}

/// A list of items' schemas means any of them, as sources use it (airbyte-protocol.md, 7.2). Where
/// further items follow a tuple, they may also be as declared for them.
fn items(all: &Map<String, Value>, usage: Usage) -> Option<Value> {
    let items = all.get("items")?;
    let (first, further) = match (items, all.get("prefixItems").and_then(Value::as_array)) {
        (Value::Array(list), _) => (list, all.get("additionalItems")),
        (_, Some(prefix)) => (prefix, Some(items)),
        _ => return Some(adapt(items, usage)),
    };
    let either = first.iter().chain(further.filter(|further| further.is_object()));
    let mut either: Vec<Value> = either.map(|schema| adapt(schema, usage)).collect();
    match either.len() {
        0 => None,
        1 => either.pop(),
        _ => Some(json!({ "anyOf": either })),
    }
}

/// What today are two keywords.
fn dependencies(value: &Value, usage: Usage) -> Vec<(&'static str, Value)> {
    let (names, schemas): (Vec<_>, Vec<_>) =
        value.as_object().into_iter().flatten().partition(|(_, value)| value.is_array());
    let names: Map<String, Value> =
        names.into_iter().map(|(name, list)| (name.clone(), list.clone())).collect();
    let schemas: Map<String, Value> =
        schemas.into_iter().map(|(name, schema)| (name.clone(), adapt(schema, usage))).collect();
    let mut both = Vec::new();
    if let Some(names) =
        keywords::plain(Form::NameLists, &Value::Object(names)).filter(|names| names != &json!({}))
    {
        both.push(("dependentRequired", names));
    }
    if !schemas.is_empty() {
        both.push(("dependentSchemas", Value::Object(schemas)));
    }
    both
}

/// A condition, where all of it can be kept.
fn exactly(condition: &Value, usage: Usage) -> Option<Value> {
    let adapted = adapt(condition, usage);
    (&adapted == condition).then_some(adapted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vendors_keywords_go_at_any_depth_and_property_names_stay() {
        let schema = json!({
            "$schema": "https://json-schema.org/draft-07/schema#", "$id": "https://x/y", "groups": [], "properties": {
                "group": {"type": "string", "group": "auth", "airbyte_secret": true, "format": "vendor", "pattern": "(?!x)y"},
                "name": {"oneOf": [{"type": "object", "always_show": true, "properties": {"type": {"anyOf": [{"airbyte_hidden": 1}]}}}]},
                "plain": {"type": "string", "airbyte_secret": false, "format": "date-time", "pattern": "^a$", "x-kept": 1},
                "list": {"items": {"allOf": [{"additionalProperties": {"vendor": 1}, "patternProperties": {"^(?=a)": {}, "^b": {"vendor": 2}}}]}},
            },
        });
        let expected = json!({"properties": {
            "group": {"type": "string", "secret": true},
            "name": {"oneOf": [{"type": "object", "properties": {"type": {"anyOf": [{}]}}}]},
            "plain": {"type": "string", "format": "date-time", "pattern": "^a$", "x-kept": 1},
            "list": {"items": {"allOf": [{"additionalProperties": {}, "patternProperties": {"^b": {}}}]}},
        }});
        assert_eq!(config(&schema), expected);
    }

    #[test]
    fn older_drafts_become_todays() {
        for (old, new) in [
            (json!({"maximum": 3, "exclusiveMaximum": true}), json!({"exclusiveMaximum": 3})),
            (json!({"minimum": 3, "exclusiveMinimum": false}), json!({"minimum": 3})),
            (
                json!({"items": [{"type": "string"}, {"type": "integer"}]}),
                json!({"items": {"anyOf": [{"type": "string"}, {"type": "integer"}]}}),
            ),
            (
                json!({"items": [{"type": "string"}], "additionalItems": {"type": "null"}}),
                json!({"items": {"anyOf": [{"type": "string"}, {"type": "null"}]}}),
            ),
            (json!({"prefixItems": [{"type": "string"}]}), json!({})),
            (
                json!({"dependencies": {"a": ["b"], "c": {"vendor": 1}}}),
                json!({"dependentRequired": {"a": ["b"]}, "dependentSchemas": {"c": {}}}),
            ),
            (
                json!({"type": "string", "nullable": true, "example": "x"}),
                json!({"type": ["string", "null"]}),
            ),
            (json!({"type": ["string", "string"]}), json!({"type": ["string"]})),
            (json!({"type": "any", "required": true, "id": "x"}), json!({})),
            (json!({"anyOf": [], "minLength": 1.0}), json!({"minLength": 1})),
        ] {
            assert_eq!(config(&old), new, "{old}");
            assert_eq!(documents(&old), new, "{old}");
        }
    }

    #[test]
    fn documents_may_be_what_vendors_did_not_think_of() {
        for (vendors, adapted) in [
            (json!({"enum": ["a", null]}), json!({"type": ["null", "string"]})),
            (json!({"type": "string", "enum": ["a"]}), json!({"type": "string"})),
            (
                json!({"oneOf": [{"enum": [1]}, {"enum": [2]}]}),
                json!({"anyOf": [{"type": "integer"}, {"type": "integer"}]}),
            ),
            (
                json!({"anyOf": [{}], "oneOf": [{"title": "x"}]}),
                json!({"anyOf": [{}], "allOf": [{"anyOf": [{"title": "x"}]}]}),
            ),
            (json!({"not": {"enum": ["a"]}, "if": {"vendor": 1}, "then": {"type": "null"}}), json!({})),
            (json!({"not": {"type": "null"}}), json!({"not": {"type": "null"}})),
            (json!({"type": "integer", "format": "int32"}), json!({"type": "integer", "format": "integer"})),
        ] {
            assert_eq!(documents(&vendors), adapted, "{vendors}");
        }
    }

    #[test]
    fn defaults_that_do_not_fit_go() {
        for (schema, stays) in [
            (json!({"type": "object", "default": "csv"}), false),
            (json!({"type": "integer", "default": 5.0}), true),
            (json!({"type": "number", "default": 5}), true),
            (json!({"type": "integer", "default": 5.5}), false),
            (json!({"type": ["null", "string"], "default": null}), true),
            (json!({"default": {}}), true),
        ] {
            assert_eq!(config(&schema).get("default").is_some(), stays, "{schema}");
        }
    }

    #[test]
    fn what_is_no_schema_becomes_one() {
        let schema =
            json!({"properties": {"a": {"anyOf": [{"const": 1}, "null", 7]}, "b": null}, "$defs": 3});
        assert_eq!(
            config(&schema)["properties"],
            json!({"a": {"anyOf": [{"const": 1}, {"type": "null"}, true]}, "b": true})
        );
        assert_eq!(config(&json!("x")), json!(true));
    }

    #[test]
    fn conditions_in_conditions_take_linear_time() {
        let mut schema = json!({"type": "string"});
        for _ in 0..60 {
            schema = json!({"if": schema, "then": {"type": "string"}, "not": {"type": "null"}});
        }
        assert_eq!(documents(&schema), schema);
    }
}
