//! The shape of values that a schema describes, and the closed schema that states it.
//!
//! A shape knows types, members, elements and formats; limits, enums and patterns of vendors are too
//! often wrong to be kept. Shapes can be united, as Flow unites the schemas that a connector sends
//! (flow-protocol.md, 3.3): what they state can only widen.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::schema::refs;
use super::schema::types::{Types, is_declared_whole};

/// Deeper references than this are taken for circles.
const DEPTH: usize = 24;
/// Formats that Flow knows and that say something about a column.
const FORMATS: [&str; 9] = ["date", "date-time", "time", "email", "hostname", "ipv4", "ipv6", "uri", "uuid"];

/// What values look like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shape {
    types: Types,
    members: BTreeMap<String, Shape>,
    required: BTreeSet<String>,
    /// What members without a name of their own look like.
    others: Option<Box<Shape>>,
    elements: Option<Box<Shape>>,
    format: Option<String>,
}

impl Shape {
    /// The shape that a schema describes.
    pub fn of(schema: &Value) -> Self {
        read(schema, schema, 0)
    }

    /// Whether it states any member.
    pub fn has_members(&self) -> bool {
        !self.members.is_empty()
    }

    /// Adds a member that every value has.
    pub fn require(&mut self, name: &str, shape: Self) {
        self.members.insert(name.to_owned(), shape);
        self.required.insert(name.to_owned());
    }

    /// The shape of values of either shape.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        let mut members = self.members.clone();
        for (name, theirs) in &other.members {
            let united = members.get(name).map_or_else(|| theirs.clone(), |ours| ours.or(theirs));
            members.insert(name.clone(), united);
        }
        let required = match (self.may_be(Types::OBJECT), other.may_be(Types::OBJECT)) {
            (true, true) => self.required.intersection(&other.required).cloned().collect(),
            (true, false) => self.required.clone(),
            _ => other.required.clone(),
        };
        let format = match (self.may_be(Types::STRING), other.may_be(Types::STRING)) {
            (true, true) => self.format.clone().filter(|format| other.format.as_ref() == Some(format)),
            (true, false) => self.format.clone(),
            _ => other.format.clone(),
        };
        let inner = |ours: &Option<Box<Self>>, theirs: &Option<Box<Self>>| match (ours, theirs) {
            (Some(ours), Some(theirs)) => Some(Box::new(ours.or(theirs))),
            (one, other) => one.clone().or_else(|| other.clone()),
        };
        Self {
            types: self.types.union(other.types),
            members,
            required,
            others: inner(&self.others, &other.others),
            elements: inner(&self.elements, &other.elements),
            format,
        }
    }

    /// The shape of values of both shapes, as far as they agree.
    fn and(mut self, other: Self) -> Self {
        if self.types.overlaps(other.types) {
            self.types = self.types.both(other.types);
        }
        for (name, theirs) in other.members {
            let both = match self.members.remove(&name) {
                Some(ours) => ours.and(theirs),
                None => theirs,
            };
            self.members.insert(name, both);
        }
        self.required.extend(other.required);
        self.others = self.others.or(other.others);
        self.elements = self.elements.or(other.elements);
        self.format = self.format.or(other.format);
        self
    }

    /// Leaves out what none of its types can have.
    fn tidy(mut self) -> Self {
        if !self.may_be(Types::OBJECT) {
            self.members.clear();
            self.required.clear();
            self.others = None;
        }
        if !self.may_be(Types::ARRAY) {
            self.elements = None;
        }
        self.format = self.format.take().filter(|_| self.may_be(Types::STRING));
        self
    }

    fn may_be(&self, types: Types) -> bool {
        self.types.overlaps(types)
    }

    /// The schema that states it: every location with named members forbids others, and bounds are as
    /// tight as can be, since Flow widens them to what the data has but never narrows them
    /// (flow-protocol.md, 3.3, rows 22 and 25).
    pub fn closed(&self) -> Value {
        let mut schema = Map::new();
        let states_types = self.types != Types::ANY;
        if states_types {
            schema.insert("type".to_owned(), self.types.to_keyword());
        } else if self.members.is_empty() {
            return json!({});
        }
        if states_types && self.may_be(Types::STRING) {
            match &self.format {
                Some(format) => drop(schema.insert("format".to_owned(), json!(format))),
                None => {
                    schema.extend([("minLength".to_owned(), json!(1)), ("maxLength".to_owned(), json!(1))]);
                }
            }
        }
        if states_types && self.may_be(Types::NUMBER) {
            schema.extend([("minimum".to_owned(), json!(1)), ("maximum".to_owned(), json!(1))]);
        }
        if self.may_be(Types::OBJECT) && self.has_members() {
            let members: Map<String, Value> =
                self.members.iter().map(|(name, shape)| (name.clone(), shape.closed())).collect();
            schema.insert("properties".to_owned(), Value::Object(members));
            schema.insert("additionalProperties".to_owned(), json!(false));
            let required: Vec<&String> =
                self.required.iter().filter(|name| self.members.contains_key(*name)).collect();
            if !required.is_empty() {
                schema.insert("required".to_owned(), json!(required));
            }
        } else if let Some(others) = self.others.as_ref().filter(|_| self.may_be(Types::OBJECT)) {
            schema.insert("additionalProperties".to_owned(), others.closed());
        }
        if let Some(elements) = self.elements.as_ref().filter(|_| self.may_be(Types::ARRAY)) {
            schema.insert("items".to_owned(), elements.closed());
        }
        Value::Object(schema)
    }
}

fn read(root: &Value, schema: &Value, depth: usize) -> Shape {
    if !schema.is_object() || depth >= DEPTH {
        return Shape::default();
    }
    let inner = |schema: &Value| read(root, schema, depth + 1);
    let mut shape = own(schema, &inner);
    if let Some(target) = refs::referenced(root, schema) {
        shape = shape.and(inner(target));
    }
    for part in list(&schema["allOf"]) {
        shape = shape.and(inner(part));
    }
    for keyword in ["anyOf", "oneOf"] {
        let united = list(&schema[keyword]).map(inner).reduce(|one, other| one.or(&other));
        if let Some(united) = united {
            shape = shape.and(united);
        }
    }
    shape.tidy()
}

/// What a schema says itself, without the schemas that it refers to.
fn own(schema: &Value, inner: &impl Fn(&Value) -> Shape) -> Shape {
    let named = |keyword: &str| schema[keyword].as_object().into_iter().flatten();
    let members: BTreeMap<String, Shape> =
        named("properties").map(|(name, schema)| (name.clone(), inner(schema))).collect();
    let patterns = named("patternProperties").map(|(_, schema)| schema);
    let others = schema.get("additionalProperties").filter(|others| others.is_object());
    let others = patterns.chain(others).map(inner).reduce(|one, other| one.or(&other));
    let elements = schema.get("items").filter(|items| items.is_object()).map(inner);
    let mut types = Types::of_keyword(&schema["type"]);
    if types == Types::ANY {
        let values = list(&schema["enum"]).chain(schema.get("const"));
        types = Types::of_values(values).unwrap_or(Types::ANY);
    }
    if types == Types::ANY && (!members.is_empty() || others.is_some()) {
        types = Types::OBJECT;
    }
    if types != Types::ANY && is_declared_whole(schema) {
        types = types.without(Types::FRACTION);
    }
    let required = list(&schema["required"]).filter_map(|name| name.as_str().map(str::to_owned)).collect();
    let format = schema["format"].as_str().filter(|format| FORMATS.contains(format)).map(str::to_owned);
    Shape { types, members, required, others: others.map(Box::new), elements: elements.map(Box::new), format }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn closed(schema: Value) -> Value {
        Shape::of(&schema).closed()
    }

    #[test]
    fn named_members_forbid_others_and_bounds_are_tight() {
        let schema = json!({"type": "object", "required": ["id", "gone"], "additionalProperties": true, "properties": {
            "id": {"type": "integer", "maximum": 7, "default": "x"},
            "name": {"type": ["null", "string"], "maxLength": 80, "enum": ["a"]},
            "at": {"type": "string", "format": "date-time"}, "odd": {"type": "string", "format": "singer.decimal"},
            "tags": {"type": "array", "items": {"properties": {"t": {}}}},
            "map": {"type": "object", "additionalProperties": {"type": "boolean"}},
            "open": {"type": "object"}, "any": {},
        }});
        let bounded = |name: &str| json!({"type": name, "minimum": 1, "maximum": 1});
        assert_eq!(
            closed(schema),
            json!({"type": "object", "additionalProperties": false, "required": ["id"], "properties": {
                "id": bounded("integer"),
                "name": {"type": ["null", "string"], "minLength": 1, "maxLength": 1},
                "at": {"type": "string", "format": "date-time"},
                "odd": {"type": "string", "minLength": 1, "maxLength": 1},
                "tags": {"type": "array", "items": {"type": "object", "properties": {"t": {}}, "additionalProperties": false}},
                "map": {"type": "object", "additionalProperties": {"type": "boolean"}},
                "open": {"type": "object"}, "any": {},
            }})
        );
    }

    #[test]
    fn combined_schemas_become_one() {
        let either = json!({"oneOf": [
            {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}},
            {"type": "object", "properties": {"a": {"type": "number"}, "b": {"const": true}}}, {"type": "null"},
        ]});
        assert_eq!(
            closed(either),
            json!({"type": ["null", "object"], "additionalProperties": false, "properties": {
                "a": {"type": "number", "minimum": 1, "maximum": 1}, "b": {"type": "boolean"},
            }})
        );
        let both = json!({"definitions": {"x": {"properties": {"x": {"type": "boolean"}}}},
            "allOf": [{"$ref": "#/definitions/x"}, {"properties": {"y": {"type": "boolean"}}, "required": ["y"]}]});
        assert_eq!(closed(both)["required"], json!(["y"]));
        let circle = json!({"properties": {"child": {"$ref": "#"}}});
        assert!(closed(circle).to_string().len() < 10_000);
    }

    #[test]
    fn only_types_that_there_are_are_stated() {
        let schema = json!({"properties": {
            "odd": {"type": "text"}, "either": {"type": ["string", "any"]}, "listed": {"type": "text", "enum": [1]},
            "both": {"type": ["integer", "number"]}, "whole": {"type": "number", "multipleOf": 1.0},
        }});
        let bounded = |name: &str| json!({"type": name, "minimum": 1, "maximum": 1});
        let members = json!({
            "odd": {}, "either": {}, "listed": bounded("integer"), "both": bounded("number"),
            "whole": bounded("integer"),
        });
        assert_eq!(closed(schema)["properties"], members);
    }

    #[test]
    fn order_does_not_count() {
        let one = json!({"properties": {"a": {"type": ["null", "string"]}, "b": {}}, "required": ["a", "b"]});
        let other =
            json!({"required": ["b", "a"], "properties": {"b": {}, "a": {"type": ["string", "null"]}}});
        assert_eq!(Shape::of(&one), Shape::of(&other));
    }

    fn schemas() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!({})),
            Just(json!({"type": ["null", "string"], "format": "date"})),
            Just(json!({"type": "integer"})),
            Just(json!({"$ref": "#"})),
            Just(json!(true)),
        ];
        leaf.prop_recursive(4, 20, 3, |inner| {
            let named = prop::collection::btree_map("[a-c]", inner.clone(), 0..3);
            let several = prop::collection::vec(inner.clone(), 1..3);
            prop_oneof![
                named.prop_map(|members| json!({"type": "object", "properties": members, "required": ["a"]})),
                several.clone().prop_map(|parts| json!({"anyOf": parts})),
                several.prop_map(|parts| json!({"allOf": parts})),
                inner.prop_map(|items| json!({"type": "array", "items": items})),
            ]
        })
    }

    proptest! {
        #[test]
        fn uniting_only_widens(one in schemas(), other in schemas()) {
            let (one, other) = (Shape::of(&one), Shape::of(&other));
            let both = one.or(&other);
            prop_assert_eq!(both.or(&one), both.clone());
            prop_assert_eq!(both.or(&other), both.clone());
            prop_assert_eq!(&one.or(&one), &one);
        }
    }
}
