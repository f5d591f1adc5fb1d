//! The shape of values that a schema describes, and the closed schema that states it.
//!
//! A shape knows types, members, elements and formats; limits, enums and patterns of vendors are too
//! often wrong to be kept. Shapes can be united, as Flow unites the schemas that a connector sends
//! (flow-protocol.md, 3.3): what they state can only widen.

mod read;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::members::{Elements, Members};
use super::schema::types::Types;

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
    /// The shape that a schema describes. What a schema that refers to itself describes again, and what
    /// lies beyond a bound on the number of locations, is left out.
    pub fn of(schema: &Value) -> Self {
        read::shape(schema)
    }

    /// Whether it states any member.
    pub fn has_members(&self) -> bool {
        !self.members.is_empty()
    }

    /// Says that every value has what stands at a path of members, as far as the shape knows them, and that
    /// it is not null there.
    pub fn require(&mut self, path: &[String]) {
        let Some((name, rest)) = path.split_first() else { return };
        if let Some(member) = self.members.get_mut(name) {
            if member.types != Types::NULL {
                member.types = member.types.without(Types::NULL);
            }
            member.require(rest);
            self.required.insert(name.clone());
        }
    }

    /// Says of no member any more that it is always there.
    pub fn require_nothing(&mut self) {
        self.required.clear();
        let elements = self.elements.as_deref_mut().into_iter().chain(self.others.as_deref_mut());
        self.members.values_mut().chain(elements).for_each(Self::require_nothing);
    }

    /// Whether it says of any member that it is always there.
    pub fn requires_any(&self) -> bool {
        let inner = self.elements.as_deref().into_iter().chain(self.others.as_deref());
        !self.required.is_empty() || self.members.values().chain(inner).any(Self::requires_any)
    }

    /// No longer requires the members that a value, which is JSON, lacks. Gives whether there were any.
    pub fn widen_to(&mut self, value: &str) -> bool {
        let (value, mut widened) = (value.trim_start(), false);
        if value.starts_with('[') {
            if let Some(elements) = self.elements.as_deref_mut().filter(|elements| elements.requires_any()) {
                for element in Elements::new(value) {
                    widened |= elements.widen_to(element);
                }
            }
        } else if value.starts_with('{') {
            let mut names = BTreeSet::new();
            for member in Members::new(value) {
                if let Some(shape) = self.members.get_mut(&*member.name)
                    && member.value.starts_with(['{', '['])
                {
                    widened |= shape.widen_to(member.value);
                }
                if !self.required.is_empty() {
                    names.insert(member.name);
                }
            }
            let before = self.required.len();
            self.required.retain(|name| names.contains(name.as_str()));
            widened |= self.required.len() < before;
        }
        widened
    }

    /// The shape of values of either shape.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        let mut united = self.clone();
        united.unite(other.clone());
        united
    }

    /// Takes in values of another shape.
    fn unite(&mut self, other: Self) {
        let (ours_text, theirs_text) = (self.may_be(Types::STRING), other.may_be(Types::STRING));
        match (self.may_be(Types::OBJECT), other.may_be(Types::OBJECT)) {
            (true, true) => self.required.retain(|name| other.required.contains(name)),
            (true, false) => {}
            _ => self.required = other.required,
        }
        match (ours_text, theirs_text) {
            (true, true) => {
                self.format = self.format.take().filter(|format| other.format.as_ref() == Some(format));
            }
            (true, false) => {}
            _ => self.format = other.format,
        }
        for (name, theirs) in other.members {
            match self.members.entry(name) {
                Entry::Occupied(mut ours) => ours.get_mut().unite(theirs),
                Entry::Vacant(place) => _ = place.insert(theirs),
            }
        }
        for (ours, theirs) in [(&mut self.others, other.others), (&mut self.elements, other.elements)] {
            match (ours, theirs) {
                (Some(ours), Some(theirs)) => ours.unite(*theirs),
                (ours @ None, theirs) => *ours = theirs,
                (Some(_), None) => {}
            }
        }
        self.types = self.types.union(other.types);
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
    }

    #[test]
    fn what_is_missing_is_not_required_any_more() {
        let schema = json!({"required": ["a", "o", "l"], "properties": {
            "a": {}, "o": {"required": ["x"], "properties": {"x": {}}},
            "l": {"type": "array", "items": {"required": ["y"], "properties": {"y": {}}}},
        }});
        let mut shape = Shape::of(&schema);
        for kept in [r#"{"a":null,"o":{"x":1},"l":[{"y":1}]}"#, r#"{"l":[],"o":7,"a":1,"a":2}"#] {
            assert!(!shape.widen_to(kept), "{kept}");
        }
        assert!(shape.widen_to(r#"{"a":1,"o":{},"l":[{"y":1},{}]}"#));
        assert_eq!(shape.closed()["required"], json!(["a", "l", "o"]));
        assert!(shape.widen_to(r#"{"o":{},"o":{},"l":[]}"#));
        assert_eq!(shape.closed()["required"], json!(["l", "o"]));
        assert!(shape.requires_any());
        assert!(shape.widen_to("{}") && !shape.requires_any());
    }

    #[test]
    fn a_key_is_required_and_not_null() {
        let mut shape = Shape::of(
            &json!({"properties": {"a": {"type": ["null", "object"], "properties": {"id": {"type": ["null", "integer"]}}}}}),
        );
        for path in [["a", "id"], ["a", "none"], ["b", "id"]] {
            shape.require(&path.map(str::to_owned));
        }
        let closed = shape.closed();
        assert_eq!(closed["required"], json!(["a"]));
        assert_eq!(closed["properties"]["a"]["required"], json!(["id"]));
        assert_eq!(closed["properties"]["a"]["properties"]["id"]["type"], "integer");
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
