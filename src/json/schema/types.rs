//! Which JSON types a location of a document may have, by its schema.
//!
//! Conjunctions (`allOf`, `$ref` and its siblings) narrow, alternatives (`anyOf`, `oneOf`) widen. A
//! circle of references says nothing. Each reference is looked at once, so the time is linear.

use std::collections::HashMap;

use serde_json::Value;

use super::refs;

/// A set of JSON types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Types(u8);

/// The types by name, sorted.
const NAMES: [(&str, Types); 7] = [
    ("array", Types::ARRAY),
    ("boolean", Types::BOOLEAN),
    ("integer", Types::INTEGER),
    ("null", Types::NULL),
    ("number", Types::NUMBER),
    ("object", Types::OBJECT),
    ("string", Types::STRING),
];

impl Types {
    /// Arrays.
    pub const ARRAY: Types = Types(1);
    /// Booleans.
    pub const BOOLEAN: Types = Types(1 << 1);
    /// Whole numbers.
    pub const INTEGER: Types = Types(1 << 2);
    /// Null.
    pub const NULL: Types = Types(1 << 3);
    /// Objects.
    pub const OBJECT: Types = Types(1 << 4);
    /// Strings.
    pub const STRING: Types = Types(1 << 5);
    /// Numbers that may have a fraction.
    pub const FRACTION: Types = Types(1 << 6);
    /// All numbers.
    pub const NUMBER: Types = Types::FRACTION.union(Types::INTEGER);
    /// Every type: the schema says nothing.
    pub const ANY: Types = Types(0x7f);
    /// No type: the location cannot exist.
    pub const NONE: Types = Types(0);
    /// Whole numbers, booleans and strings: what Flow takes as a key (flow-protocol.md, 3.7).
    pub const KEY: Types = Types::BOOLEAN.union(Types::INTEGER).union(Types::STRING);

    /// The type of this name.
    pub fn named(name: &str) -> Option<Types> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, types)| *types)
    }

    /// The narrowest type of a value: a number that is written whole is an integer.
    pub fn of_value(value: &Value) -> Types {
        match value {
            Value::Null => Types::NULL,
            Value::Bool(_) => Types::BOOLEAN,
            Value::Number(number) if number.is_f64() => Types::NUMBER,
            Value::Number(_) => Types::INTEGER,
            Value::String(_) => Types::STRING,
            Value::Array(_) => Types::ARRAY,
            Value::Object(_) => Types::OBJECT,
        }
    }

    /// The types that all of these values have together; `None` where there are no values.
    pub fn of_values<'a>(values: impl IntoIterator<Item = &'a Value>) -> Option<Types> {
        values.into_iter().map(Types::of_value).reduce(Types::union)
    }

    /// Whether a value is of one of these types; `5.0` is a whole number too.
    pub fn take(self, value: &Value) -> bool {
        match value.as_f64() {
            Some(number) if number.fract() == 0.0 => self.overlaps(Types::INTEGER),
            Some(_) => self.overlaps(Types::FRACTION),
            None => self.overlaps(Types::of_value(value)),
        }
    }

    /// What a `type` keyword says. One that names something else than a type says nothing.
    pub fn of_keyword(value: &Value) -> Types {
        let list = match value {
            Value::Array(list) => list.as_slice(),
            one => std::slice::from_ref(one),
        };
        let all = list.iter().map(|name| name.as_str().and_then(Types::named));
        match all.reduce(|a, b| Some(a?.union(b?))).flatten() {
            Some(types) => types,
            None => Types::ANY,
        }
    }

    /// Types that are in both.
    #[must_use]
    pub fn both(self, other: Types) -> Types {
        Types(self.0 & other.0)
    }

    /// Types that are in either.
    #[must_use]
    pub const fn union(self, other: Types) -> Types {
        Types(self.0 | other.0)
    }

    /// These types without those.
    #[must_use]
    pub fn without(self, other: Types) -> Types {
        Types(self.0 & !other.0)
    }

    /// Whether any type is in both.
    pub fn overlaps(self, other: Types) -> bool {
        self.both(other) != Types::NONE
    }

    /// The names of the types, sorted.
    pub fn names(self) -> Vec<&'static str> {
        let fractions = self.overlaps(Types::FRACTION);
        let named = |name: &str, types: Types| match name {
            "number" => fractions,
            "integer" => !fractions && self.overlaps(types),
            _ => self.overlaps(types),
        };
        NAMES.iter().filter(|(name, types)| named(name, *types)).map(|(name, _)| *name).collect()
    }

    /// As the value of a `type` keyword: one name, or a list.
    pub fn to_keyword(self) -> Value {
        match self.names().as_slice() {
            [name] => Value::from(*name),
            names => names.iter().copied().map(Value::from).collect(),
        }
    }
}

impl Default for Types {
    /// Every type.
    fn default() -> Self {
        Types::ANY
    }
}

/// The types at a path of member names; `None` where the schema declares no such location.
pub fn at(root: &Value, path: &[String]) -> Option<Types> {
    Lookup { root, known: HashMap::new() }.at(root, path)
}

struct Lookup<'a> {
    root: &'a Value,
    /// By reference and the length of the rest of the path; what is being looked up is unknown yet.
    known: HashMap<(&'a str, usize), Option<Types>>,
}

impl<'a> Lookup<'a> {
    fn at(&mut self, schema: &'a Value, path: &[String]) -> Option<Types> {
        let Value::Object(members) = schema else {
            let says = if schema == &Value::Bool(false) { Types::NONE } else { Types::ANY };
            return path.is_empty().then_some(says);
        };
        let own = match path.split_first() {
            None => Some(own_types(schema)),
            Some((name, rest)) => member(schema, name).and_then(|below| self.at(below, rest)),
        };
        let mut found = own;
        if let Some(Value::String(reference)) = members.get("$ref") {
            found = narrow(found, self.referenced(reference, path));
        }
        for branch in schema["allOf"].as_array().into_iter().flatten() {
            found = narrow(found, self.at(branch, path));
        }
        for alternatives in ["anyOf", "oneOf"] {
            let branches = schema[alternatives].as_array().into_iter().flatten();
            let either = branches.filter_map(|branch| self.at(branch, path)).reduce(Types::union);
            found = narrow(found, either);
        }
        found
    }

    fn referenced(&mut self, reference: &'a str, path: &[String]) -> Option<Types> {
        if let Some(known) = self.known.get(&(reference, path.len())) {
            return *known;
        }
        if let Some(known) = refs::well_known(reference) {
            return path.is_empty().then(|| Types::of_keyword(&known["type"]));
        }
        self.known.insert((reference, path.len()), None);
        let found = refs::target(self.root, reference).and_then(|target| self.at(target, path));
        self.known.insert((reference, path.len()), found);
        found
    }
}

fn narrow(a: Option<Types>, b: Option<Types>) -> Option<Types> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.both(b)),
        (one, other) => one.or(other),
    }
}

/// What a schema itself says of its location.
fn own_types(schema: &Value) -> Types {
    let mut types = Types::of_keyword(&schema["type"]);
    if schema["nullable"] == true {
        types = types.union(Types::NULL);
    }
    if let Value::Array(values) = &schema["enum"] {
        types = types.both(Types::of_values(values).unwrap_or(Types::ANY));
    }
    if let Some(value) = schema.get("const") {
        types = types.both(Types::of_value(value));
    }
    if is_declared_whole(schema) { types.without(Types::FRACTION) } else { types }
}

/// Whether a source declares that what the schema calls a number is always whole.
pub fn is_declared_whole(schema: &Value) -> bool {
    schema["airbyte_type"] == "integer" || schema["multipleOf"].as_f64() == Some(1.0)
}

/// The schema that a schema itself has for a member.
fn member<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    if let Some(own) = schema["properties"].get(name) {
        return Some(own);
    }
    let mut patterns = schema["patternProperties"].as_object().into_iter().flatten();
    let matching = patterns
        .find(|(pattern, _)| regex::Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(name)))
        .map(|(_, below)| below);
    matching.or_else(|| schema.get("additionalProperties").filter(|below| below.is_object()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names(schema: Value, path: &[&str]) -> Option<Vec<&'static str>> {
        let path: Vec<String> = path.iter().map(|&step| step.to_owned()).collect();
        at(&schema, &path).map(Types::names)
    }

    #[test]
    fn types_are_told_through_every_keyword() {
        for (schema, expected) in [
            (json!({"type": ["null", "string"]}), vec!["null", "string"]),
            (json!({"allOf": [{"type": ["null", "string"]}, {"type": "string"}]}), vec!["string"]),
            (json!({"anyOf": [{"type": "null"}, {"oneOf": [{"type": "integer"}]}]}), vec!["integer", "null"]),
            (json!({"type": "number", "multipleOf": 1}), vec!["integer"]),
            (json!({"enum": ["a", null]}), vec!["null", "string"]),
            (json!({"const": 1.5}), vec!["number"]),
            (json!({"type": "string", "nullable": true}), vec!["null", "string"]),
            (json!({"$ref": "#/definitions/a", "definitions": {"a": {"type": "boolean"}}}), vec!["boolean"]),
            (json!({"$ref": "WellKnownTypes.json#/definitions/TimestampWithTimezone"}), vec!["string"]),
        ] {
            assert_eq!(names(schema.clone(), &[]), Some(expected), "{schema}");
        }
        assert_eq!(at(&json!({"type": "text"}), &[]), Some(Types::ANY));
        assert_eq!(at(&json!({"$ref": "#"}), &[]), Some(Types::ANY));
    }

    #[test]
    fn locations_are_found_wherever_they_are_declared() {
        let id = json!({"type": "string"});
        for schema in [
            json!({"properties": {"a": {"properties": {"id": id}}}}),
            json!({"allOf": [{"properties": {"a": {"anyOf": [{"type": "null"}, {"properties": {"id": id}}]}}}]}),
            json!({"$defs": {"a": {"properties": {"id": id}}}, "properties": {"a": {"$ref": "#/$defs/a"}}}),
            json!({"additionalProperties": {"patternProperties": {"^i": id}}}),
            json!({"$ref": "#/$defs/n", "$defs": {"n": {"properties": {"a": {"$ref": "#/$defs/n"}, "id": id}}}}),
        ] {
            assert_eq!(names(schema.clone(), &["a", "id"]), Some(vec!["string"]), "{schema}");
            assert_eq!(at(&schema, &["a".to_owned(), "b".to_owned(), "c".to_owned()]), None, "{schema}");
        }
        assert_eq!(names(json!({"properties": {"id": false}}), &["id"]), Some(vec![]));
    }

    #[test]
    fn references_that_branch_at_every_step_take_no_longer() {
        let mut defs = serde_json::Map::new();
        for step in 0..60 {
            let next = json!({"$ref": format!("#/$defs/d{}", step + 1)});
            defs.insert(format!("d{step}"), json!({"anyOf": [next.clone(), next]}));
        }
        defs.insert("d60".to_owned(), json!({"type": "string"}));
        assert_eq!(names(json!({"$ref": "#/$defs/d0", "$defs": defs}), &[]), Some(vec!["string"]));
    }
}
