//! Visits the schemas in a schema. Names of properties are never taken for keywords.

use serde_json::{Map, Value};

use super::keywords::{Form, form};
use crate::json::pointer::escape;

/// Keywords whose schemas apply to the same place as the schema around them.
const IN_PLACE: &[&str] = &["allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas"];

/// The schemas directly in a schema, each with its keyword and, where it is one of several, its name
/// or index.
pub fn children(members: &Map<String, Value>) -> impl Iterator<Item = (&str, Option<String>, &Value)> {
    members.iter().flat_map(|(keyword, value)| {
        let indexed = |list: &'_ [Value]| (0..list.len()).map(|at| Some(at.to_string())).collect();
        let (places, schemas): (Vec<Option<String>>, Vec<&Value>) = match (form(keyword), value) {
            (Some(Form::Schema | Form::Schemas), Value::Array(list)) => {
                (indexed(list), list.iter().collect())
            }
            (Some(Form::Schema), _) => (vec![None], vec![value]),
            (Some(Form::Named | Form::Patterns), Value::Object(named)) => {
                (named.keys().cloned().map(Some).collect(), named.values().collect())
            }
            _ => (Vec::new(), Vec::new()),
        };
        places.into_iter().zip(schemas).map(|(place, schema)| (keyword.as_str(), place, schema))
    })
}

/// The schemas directly in a schema that apply to the same place as it does.
pub fn in_place(members: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    children(members).filter(|(keyword, ..)| IN_PLACE.contains(keyword)).map(|(_, _, schema)| schema)
}

/// Calls `visit` with every schema, the outermost first, and its pointer.
pub fn each<'a>(schema: &'a Value, visit: &mut impl FnMut(&str, &'a Value)) {
    descend(schema, &mut String::new(), visit);
}

fn descend<'a>(schema: &'a Value, pointer: &mut String, visit: &mut impl FnMut(&str, &'a Value)) {
    visit(pointer, schema);
    let Value::Object(members) = schema else { return };
    let length = pointer.len();
    for (keyword, place, child) in children(members) {
        pointer.push('/');
        pointer.push_str(keyword);
        if let Some(place) = place {
            pointer.push('/');
            pointer.push_str(&escape(&place));
        }
        descend(child, pointer, visit);
        pointer.truncate(length);
    }
}

/// Calls `visit` with the members of every schema that has any, the innermost first.
pub fn each_mut(schema: &mut Value, visit: &mut impl FnMut(&mut Map<String, Value>)) {
    let Value::Object(members) = schema else { return };
    for (keyword, value) in members.iter_mut() {
        match (form(keyword), value) {
            (Some(Form::Schema | Form::Schemas), Value::Array(list)) => {
                for child in list {
                    each_mut(child, visit);
                }
            }
            (Some(Form::Schema), child) => each_mut(child, visit),
            (Some(Form::Named | Form::Patterns), Value::Object(named)) => {
                named.values_mut().for_each(|child| each_mut(child, visit));
            }
            _ => {}
        }
    }
    visit(members);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_schema_is_visited_and_nothing_else() {
        let mut schema = json!({
            "properties": {"items": {"title": "a"}, "a/b": {"items": [{"title": "b"}]}},
            "anyOf": [{"additionalProperties": {"title": "c"}}, true],
            "default": {"properties": {"x": {}}}, "x-y": {"items": {}}, "$defs": {"d": {"not": {"title": "d"}}},
        });
        let mut seen = Vec::new();
        each(&schema, &mut |pointer, _| seen.push(pointer.to_owned()));
        assert_eq!(
            seen,
            [
                "",
                "/properties/items",
                "/properties/a~1b",
                "/properties/a~1b/items/0",
                "/anyOf/0",
                "/anyOf/0/additionalProperties",
                "/anyOf/1",
                "/$defs/d",
                "/$defs/d/not"
            ]
        );
        assert!(seen.iter().all(|pointer| schema.pointer(pointer).is_some()));
        let mut titles = 0;
        each_mut(&mut schema, &mut |members| titles += usize::from(members.remove("title").is_some()));
        assert_eq!(titles, 4);
    }
}
