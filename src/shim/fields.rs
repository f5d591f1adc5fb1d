//! Which fields of a stream are read: `streams.overrides.*.fields`.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::names::matches;
use crate::json::pointer;

/// Which fields of a stream are read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Fields {
    /// Globs of the fields that are read, by path (`id`, `address/zip`, `address/*`); absent: those that
    /// upstream selects by default.
    pub select: Option<Vec<String>>,
    /// Globs of fields that are not read, with all that is in them.
    pub omit: Vec<String>,
}

/// The fields of one stream, ready to be looked up. A path has the names of properties from the root of a
/// record; elements of arrays have no step of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldSelection {
    select: Option<Vec<Vec<String>>>,
    omit: Vec<Vec<String>>,
    /// Paths that stay whatever the globs say: keys and cursors.
    keep: BTreeSet<Vec<String>>,
}

impl FieldSelection {
    /// The selection of these fields; `None` where all are read as upstream has it. `keep`: paths that stay.
    pub fn of(fields: &Fields, keep: impl IntoIterator<Item = Vec<String>>) -> Option<Self> {
        if fields.select.is_none() && fields.omit.is_empty() {
            return None;
        }
        let globs = |globs: &[String]| globs.iter().map(|glob| steps(glob)).collect::<Vec<_>>();
        Some(Self {
            select: fields.select.as_deref().map(globs),
            omit: globs(&fields.omit),
            keep: keep.into_iter().collect(),
        })
    }

    /// The same, with further paths that stay.
    #[must_use]
    pub fn keeping(mut self, paths: impl IntoIterator<Item = Vec<String>>) -> Self {
        self.keep.extend(paths);
        self
    }

    /// Whether a field is read. One that holds a selected field is, and one that lies in a selected field. A
    /// name at the top that begins with an underscore is the connector's own, so only `omit` leaves it out.
    pub fn reads<S: AsRef<str>>(&self, path: &[S]) -> bool {
        if self.keep.iter().any(|kept| kept.iter().zip(path).all(|(kept, step)| kept == step.as_ref())) {
            return true;
        }
        if self.omit.iter().any(|glob| glob.len() <= path.len() && meets(glob, path)) {
            return false;
        }
        let own = path.first().is_some_and(|step| step.as_ref().starts_with('_'));
        own || self.select.as_ref().is_none_or(|globs| globs.iter().any(|glob| meets(glob, path)))
    }

    /// Whether the shim names this field, or one that it lies in, as one to be read.
    pub fn selects<S: AsRef<str>>(&self, path: &[S]) -> bool {
        self.select.iter().flatten().any(|glob| meets(glob, path)) && self.reads(path)
    }

    /// Whether fields inside this one may fare differently.
    pub fn divides<S: AsRef<str>>(&self, path: &[S]) -> bool {
        let inside = |glob: &&Vec<String>| glob.len() > path.len() && meets(glob, path);
        self.omit.iter().chain(self.select.iter().flatten()).any(|glob| inside(&glob))
    }

    /// Takes the fields that are not read from a record's schema.
    pub fn narrow(&self, schema: &mut Value) {
        self.narrow_at(schema, &mut Vec::new());
    }

    fn narrow_at(&self, schema: &mut Value, path: &mut Vec<String>) {
        let Some(schema) = schema.as_object_mut() else { return };
        let mut gone = Vec::new();
        if let Some(Value::Object(properties)) = schema.get_mut("properties") {
            properties.retain(|name, property| {
                path.push(name.clone());
                let reads = self.reads(path);
                if reads {
                    self.narrow_at(property, path);
                } else {
                    gone.push(name.clone());
                }
                path.pop();
                reads
            });
        }
        if let Some(Value::Array(required)) = schema.get_mut("required") {
            required.retain(|name| name.as_str().is_none_or(|name| !gone.iter().any(|gone| gone == name)));
        }
        if let Some(items) = schema.get_mut("items") {
            self.narrow_at(items, path);
        }
        for branches in ["allOf", "anyOf", "oneOf"] {
            for branch in schema.get_mut(branches).and_then(Value::as_array_mut).into_iter().flatten() {
                self.narrow_at(branch, path);
            }
        }
    }
}

/// Whether glob and path agree as far as the shorter of them goes.
fn meets<S: AsRef<str>>(glob: &[String], path: &[S]) -> bool {
    glob.iter().zip(path).all(|(glob, step)| matches(glob, step.as_ref()))
}

/// The steps of a glob, which may be written as a JSON pointer or without its first slash.
fn steps(glob: &str) -> Vec<String> {
    let pointer = if glob.starts_with('/') { glob.to_owned() } else { format!("/{glob}") };
    pointer::to_path(&pointer).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn selection(select: Option<&[&str]>, omit: &[&str]) -> FieldSelection {
        let owned = |globs: &[&str]| globs.iter().map(|&glob| glob.to_owned()).collect::<Vec<_>>();
        let fields = Fields { select: select.map(owned), omit: owned(omit) };
        FieldSelection::of(&fields, [vec!["id".to_owned()]]).expect("a selection")
    }

    #[test]
    fn globs_go_step_by_step() {
        let some = selection(Some(&["name", "/address/z*"]), &[]);
        for (path, reads) in [
            (vec!["id"], true),
            (vec!["name"], true),
            (vec!["name", "first"], true),
            (vec!["address"], true),
            (vec!["address", "zip"], true),
            (vec!["address", "street"], false),
            (vec!["mail"], false),
            (vec!["_ab_cdc_deleted_at"], true),
        ] {
            assert_eq!(some.reads(&path), reads, "{path:?}");
        }
        assert!(some.divides(&["address"]) && !some.divides(&["name"]));
        let others = selection(None, &["*_raw", "address/street", "id"]);
        for (path, reads) in [
            (vec!["id"], true),
            (vec!["x_raw", "deep"], false),
            (vec!["address"], true),
            (vec!["address", "street"], false),
            (vec!["address", "x_raw"], true),
        ] {
            assert_eq!(others.reads(&path), reads, "{path:?}");
        }
        assert!(!others.selects(&["address"]), "nothing is selected by name");
        assert_eq!(FieldSelection::of(&Fields::default(), []), None);
    }

    #[test]
    fn schemas_lose_what_is_not_read_at_any_depth() {
        let mut schema = json!({
            "required": ["id", "mail"],
            "properties": {
                "id": {}, "mail": {},
                "list": {"items": {"properties": {"a": {}, "b": {}}}},
                "either": {"anyOf": [{"properties": {"a": {}, "b": {}}}, {"type": "null"}]},
            },
        });
        selection(None, &["mail", "*/b"]).narrow(&mut schema);
        assert_eq!(
            schema,
            json!({
                "required": ["id"],
                "properties": {
                    "id": {},
                    "list": {"items": {"properties": {"a": {}}}},
                    "either": {"anyOf": [{"properties": {"a": {}}}, {"type": "null"}]},
                },
            })
        );
    }
}
