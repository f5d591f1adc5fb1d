//! Reads the shape that a schema describes, in time and size that are bounded.
//!
//! A schema that refers to itself describes values without end, and references that branch describe more
//! locations than anybody can list. Both are cut where a location begins that cannot be stated as a
//! whole: it is left out, and Flow infers it from the documents. To state part of it would close it
//! where it is open.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Shape;
use crate::json::schema::refs;
use crate::json::schema::types::{Types, is_declared_whole};

/// How many schemas are read; Flow takes as many locations of a sourced schema (flow-protocol.md, 3.3, row 27).
const MOST: usize = 10_000;
/// How many of them each column may have where all together have too many.
const LEAST: usize = 16;
/// How deep locations go. What is too large to be read this deep is read less deep as a whole, so that the
/// first columns of a stream do not cost it the last.
const DEPTHS: [usize; 6] = [64, 16, 8, 4, 2, 1];
/// How many schemas may apply within each other: references to references, and unions of them.
const NESTED: usize = 500;
/// Formats that Flow knows and that say something about a column.
const FORMATS: [&str; 9] = ["date", "date-time", "time", "email", "hostname", "ipv4", "ipv6", "uri", "uuid"];

/// The shape that a schema describes.
pub(super) fn shape(schema: &Value) -> Shape {
    for depth in DEPTHS {
        let mut reader = Reader { root: schema, left: MOST, share: None, above: Vec::new() };
        let shape = reader.read(schema, depth);
        if reader.left > 0 {
            return shape.unwrap_or_default();
        }
    }
    let columns = schema["properties"].as_object().map_or(0, Map::len);
    let share = Some(LEAST.max(MOST / columns.max(1)));
    Reader { root: schema, left: MOST, share, above: Vec::new() }.read(schema, 1).unwrap_or_default()
}

struct Reader<'a> {
    root: &'a Value,
    /// How many more schemas may be read.
    left: usize,
    /// How many of them each column may have; `None` where they take what they want.
    share: Option<usize>,
    /// The schemas that are being read, each inside the one before.
    above: Vec<&'a Value>,
}

impl<'a> Reader<'a> {
    /// `None` for a location that cannot be stated as a whole. `depth`: how deep its own locations may go.
    fn read(&mut self, schema: &'a Value, depth: usize) -> Option<Shape> {
        if !schema.is_object() {
            return Some(Shape::default());
        }
        let is_circle = self.above.iter().any(|above| std::ptr::eq(*above, schema));
        if is_circle || self.left == 0 || self.above.len() >= NESTED {
            return None;
        }
        self.left -= 1;
        self.above.push(schema);
        let shape = self.combined(schema, depth);
        self.above.pop();
        shape.map(Shape::tidy)
    }

    fn combined(&mut self, schema: &'a Value, depth: usize) -> Option<Shape> {
        let mut shape = self.own(schema, depth)?;
        if let Some(target) = refs::referenced(self.root, schema) {
            shape = shape.and(self.read(target, depth)?);
        }
        for part in list(&schema["allOf"]) {
            shape = shape.and(self.read(part, depth)?);
        }
        for keyword in ["anyOf", "oneOf"] {
            if let Some(united) = self.united(list(&schema[keyword]), depth)? {
                shape = shape.and(united);
            }
        }
        Some(shape)
    }

    /// What a schema says itself, without the schemas that it refers to.
    fn own(&mut self, schema: &'a Value, depth: usize) -> Option<Shape> {
        let named = |keyword: &str| schema[keyword].as_object().into_iter().flatten();
        let mut members = BTreeMap::new();
        let is_root = self.above.len() == 1;
        for (name, member) in named("properties") {
            self.left = self.share.filter(|_| is_root).unwrap_or(self.left);
            if let Some(shape) = self.inner(member, depth) {
                members.insert(name.clone(), shape);
            }
        }
        let patterns = named("patternProperties").map(|(_, schema)| schema);
        let others = schema.get("additionalProperties").filter(|others| others.is_object());
        let others = patterns.chain(others).map(|others| self.inner(others, depth));
        let others = others.reduce(either);
        let elements = schema.get("items").filter(|items| items.is_object());
        let elements = elements.map(|items| self.inner(items, depth));
        let mut types = Types::of_keyword(&schema["type"]);
        if types == Types::ANY {
            let values = list(&schema["enum"]).chain(schema.get("const"));
            types = Types::of_values(values).unwrap_or(Types::ANY);
        }
        if types == Types::ANY && (named("properties").next().is_some() || others.is_some()) {
            types = Types::OBJECT;
        }
        if types != Types::ANY && is_declared_whole(schema) {
            types = types.without(Types::FRACTION);
        }
        let required = list(&schema["required"]).filter_map(|name| name.as_str().map(str::to_owned));
        let format = schema["format"].as_str().filter(|format| FORMATS.contains(format));
        Some(Shape {
            types,
            members,
            required: required.collect(),
            others: whole(others)?.map(Box::new),
            elements: whole(elements)?.map(Box::new),
            format: format.map(str::to_owned),
        })
    }

    /// A location inside the one that is read.
    fn inner(&mut self, schema: &'a Value, depth: usize) -> Option<Shape> {
        if depth == 0 { None } else { self.read(schema, depth - 1) }
    }

    /// `None` where one of them cannot be stated as a whole.
    #[expect(clippy::option_option, reason = "the inner one is that there are none")]
    fn united(&mut self, schemas: impl Iterator<Item = &'a Value>, depth: usize) -> Option<Option<Shape>> {
        let shapes = schemas.map(|schema| self.read(schema, depth));
        whole(shapes.reduce(either))
    }
}

/// What is absent is whole.
#[expect(clippy::option_option, reason = "absent, and cannot be stated, are two things")]
fn whole(shape: Option<Option<Shape>>) -> Option<Option<Shape>> {
    match shape {
        None => Some(None),
        Some(None) => None,
        Some(some) => Some(some),
    }
}

fn either(one: Option<Shape>, other: Option<Shape>) -> Option<Shape> {
    let mut united = one?;
    united.unite(other?);
    Some(united)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn closed(schema: &Value) -> Value {
        shape(schema).closed()
    }

    fn names(closed: &Value) -> Vec<&str> {
        closed["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn what_refers_to_itself_is_left_out_where_it_does_so_again() {
        let itself = json!({"properties": {"id": {"type": "integer"}, "a": {"$ref": "#"}, "b": {"$ref": "#"}, "c": {"items": {"$ref": "#"}}, "d": {"anyOf": [{"type": "null"}, {"$ref": "#"}]}, "e": {"additionalProperties": {"$ref": "#"}}}});
        assert_eq!(names(&closed(&itself)), ["id"]);
        let mutual = json!({"properties": {"x": {"$ref": "#/$defs/x"}}, "$defs": {
            "x": {"properties": {"n": {"type": "integer"}, "y": {"$ref": "#/$defs/y"}}},
            "y": {"properties": {"m": {"type": "boolean"}, "x": {"$ref": "#/$defs/x"}}}}});
        let closed = closed(&mutual);
        let x = &closed["properties"]["x"];
        assert_eq!((names(x), names(&x["properties"]["y"])), (vec!["n", "y"], vec!["m"]));
        assert_eq!(closed["properties"]["x"]["properties"]["y"]["additionalProperties"], false);
    }

    #[test]
    fn references_that_branch_are_bounded() {
        for keyword in ["properties", "anyOf", "allOf"] {
            let mut defs = Map::new();
            for step in 0..60 {
                let next = json!({"$ref": format!("#/$defs/d{}", step + 1)});
                let schema = if keyword == "properties" {
                    json!({"properties": {"a": next, "b": next, "id": {}}})
                } else {
                    json!({keyword: [next, next]})
                };
                defs.insert(format!("d{step}"), schema);
            }
            defs.insert("d60".to_owned(), json!({"type": "string"}));
            let schema = json!({"properties": {"d": {"$ref": "#/$defs/d0"}, "last": {"type": "boolean"}}, "$defs": defs});
            let closed = closed(&schema);
            assert!(closed.to_string().len() < 2_000_000, "{keyword}");
            assert!(names(&closed).contains(&"last"), "{keyword}");
        }
    }

    #[test]
    fn many_columns_are_all_read() {
        let columns: Map<String, Value> =
            (0..9_000).map(|n| (format!("c{n}"), json!({"type": "string"}))).collect();
        assert_eq!(names(&closed(&json!({"properties": columns}))).len(), 9_000);
        let deep: Map<String, Value> = (0..3_000)
            .map(|n| {
                (
                    format!("c{n}"),
                    json!({"properties": {"a": {"properties": {"b": {"properties": {"c": {}}}}}}}),
                )
            })
            .collect();
        let closed = closed(&json!({"properties": deep}));
        assert_eq!(names(&closed).len(), 3_000, "less deep, but all of them");
    }
}
