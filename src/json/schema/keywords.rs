//! The keywords that Flow's schema compiler takes, and what their values have to be.
//!
//! It refuses every other keyword, every ill-formed value, every unknown format, and patterns that
//! Rust's `regex` cannot compile (flow-protocol.md, 3.4; estuary/flow, `crates/json/src/schema/build.rs`).
//! Names that begin with `x-` are annotations which it keeps unread.

use serde_json::Value;

/// What the value of a keyword is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One schema.
    Schema,
    /// A list of schemas, not empty.
    Schemas,
    /// Schemas by name.
    Named,
    /// Schemas by regular expression.
    Patterns,
    /// A type's name or several.
    Types,
    /// A list of names.
    Names,
    /// Lists of names by name.
    NameLists,
    /// A string.
    Text,
    /// A boolean.
    Flag,
    /// A number.
    Number,
    /// A number above zero.
    Factor,
    /// A whole number, not negative.
    Count,
    /// A whole number of 32 bits.
    Order,
    /// A list of any values.
    List,
    /// The name of a format.
    Format,
    /// A regular expression.
    Pattern,
    /// A pointer to another schema.
    Reference,
    /// An object.
    Object,
    /// How Flow reduces or redacts values.
    Strategy,
    /// Any value.
    Any,
}

/// What the keyword's value is; `None` where Flow knows no such keyword.
pub fn form(keyword: &str) -> Option<Form> {
    Some(match keyword {
        "items"
        | "additionalProperties"
        | "unevaluatedItems"
        | "unevaluatedProperties"
        | "contains"
        | "propertyNames"
        | "not"
        | "if"
        | "then"
        | "else" => Form::Schema,
        "allOf" | "anyOf" | "oneOf" => Form::Schemas,
        "properties" | "definitions" | "$defs" | "dependentSchemas" => Form::Named,
        "patternProperties" => Form::Patterns,
        "type" => Form::Types,
        "required" => Form::Names,
        "dependentRequired" => Form::NameLists,
        "title" | "description" | "$comment" | "contentEncoding" | "contentMediaType" | "x-str-minimum"
        | "x-str-maximum" => Form::Text,
        "uniqueItems" | "deprecated" | "readOnly" | "writeOnly" | "secret" | "multiline" | "advanced"
        | "nonsensitive" => Form::Flag,
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => Form::Number,
        "multipleOf" => Form::Factor,
        "minLength" | "maxLength" | "minItems" | "maxItems" | "minContains" | "maxContains"
        | "minProperties" | "maxProperties" => Form::Count,
        "order" => Form::Order,
        "enum" | "examples" => Form::List,
        "format" => Form::Format,
        "pattern" => Form::Pattern,
        "$ref" => Form::Reference,
        "discriminator" => Form::Object,
        "reduce" | "redact" => Form::Strategy,
        "const" | "default" => Form::Any,
        _ if keyword.starts_with("x-") || keyword.starts_with("X-") => Form::Any,
        _ => return None,
    })
}

/// The format as Flow names it; `None` where it knows none such. `idn-` formats are left out: Flow
/// parses them, and then takes no value.
pub fn format(name: &str) -> Option<&'static str> {
    Some(match name {
        "datetime" => "date-time",
        // As airbyte-to-flow has it (flow-protocol.md, 9.2).
        "int32" | "int64" | "uint32" | "uint64" => "integer",
        _ => *FORMATS.iter().find(|known| **known == name)?,
    })
}

const FORMATS: &[&str] = &[
    "date",
    "date-time",
    "time",
    "duration",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "macaddr",
    "macaddr8",
    "uuid",
    "uri",
    "uri-reference",
    "uri-template",
    "iri",
    "iri-reference",
    "json-pointer",
    "relative-json-pointer",
    "regex",
    "integer",
    "number",
    "sha256",
];

/// Strategies of `reduce` and `redact`.
const STRATEGIES: &[&str] = &[
    "append",
    "firstWriteWins",
    "lastWriteWins",
    "maximize",
    "merge",
    "minimize",
    "set",
    "sum",
    "jsonSchemaMerge",
    "block",
    "sha256",
];

/// The value as Flow takes it, for forms that hold no schemas and need no context; `None` where it
/// would be refused.
pub fn plain(form: Form, value: &Value) -> Option<Value> {
    let fits = match form {
        Form::Names => {
            return value.as_array().map(|names| Value::Array(distinct_names(names)));
        }
        Form::NameLists => {
            let lists = value.as_object()?.iter().filter_map(|(name, names)| {
                Some((name.clone(), Value::Array(distinct_names(names.as_array()?))))
            });
            return Some(Value::Object(lists.collect()));
        }
        Form::Count => return whole(value).and_then(|count| u64::try_from(count).ok()).map(Value::from),
        Form::Order => return whole(value).and_then(|order| i32::try_from(order).ok()).map(Value::from),
        Form::Format => return value.as_str().and_then(format).map(Value::from),
        Form::Text => value.is_string(),
        Form::Flag => value.is_boolean(),
        Form::Number => value.is_number(),
        Form::Factor => value.as_f64().is_some_and(|factor| factor > 0.0),
        Form::List => value.is_array(),
        Form::Object => value.is_object(),
        Form::Strategy => value["strategy"].as_str().is_some_and(|name| STRATEGIES.contains(&name)),
        Form::Pattern => value.as_str().is_some_and(compiles),
        _ => true,
    };
    fits.then(|| value.clone())
}

/// Whether Flow can compile a pattern: it knows neither look-around nor back-references.
pub fn compiles(pattern: &str) -> bool {
    regex::Regex::new(pattern).is_ok()
}

/// A whole number, also one written as `5.0`.
#[expect(clippy::cast_possible_truncation, reason = "the bounds are looked at first")]
fn whole(value: &Value) -> Option<i64> {
    let exact = |float: f64| float.fract() == 0.0 && float.abs() < 9e15;
    value.as_i64().or_else(|| value.as_f64().filter(|float| exact(*float)).map(|float| float as i64))
}

fn distinct_names(names: &[Value]) -> Vec<Value> {
    let mut seen = std::collections::HashSet::new();
    names.iter().filter(|name| name.as_str().is_some_and(|text| seen.insert(text))).cloned().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_take_the_form_that_flow_reads() {
        for (keyword, value, plain_value) in [
            ("minLength", json!(5.0), Some(json!(5))),
            ("minLength", json!(-1), None),
            ("order", json!(1.0), Some(json!(1))),
            ("order", json!("1"), None),
            ("format", json!("int64"), Some(json!("integer"))),
            ("format", json!("singer.decimal"), None),
            ("required", json!(["a", 1, "a", "b"]), Some(json!(["a", "b"]))),
            ("required", json!(true), None),
            ("multipleOf", json!(0), None),
            ("title", json!(["x"]), None),
            ("pattern", json!("^(?!x)"), None),
            ("reduce", json!({"strategy": "merge"}), Some(json!({"strategy": "merge"}))),
            ("reduce", json!("map"), None),
        ] {
            assert_eq!(plain(form(keyword).expect(keyword), &value), plain_value, "{keyword} {value}");
        }
        assert_eq!(form("airbyte_type"), None);
    }
}
