//! Answers to Spec, Discover and Validate (R1 to R4, R9; flow-protocol.md, sections 3.4 to 3.7).

use std::collections::{HashMap, HashSet};

use prost::Message;
use serde_json::Value;

use super::Rule;
use super::sequence::LARGEST_MESSAGE;
use crate::dev::catalog::resource;
use crate::dev::schema::compile;
use crate::failure::Failure;
use crate::flow::message::{
    CaptureSpec, Discovered, DiscoveredBinding, PROTOCOL_VERSION, Response, Spec, Validated,
};
use crate::flow::name::compared;
use crate::json::pointer::to_path;

/// The specification (R1).
pub(crate) fn spec(spec: &Spec) -> Result<(), Failure> {
    let broken = |what: String, remedy: &str| Err(Rule::R1.broken(what, remedy));
    if spec.protocol != PROTOCOL_VERSION {
        let what = format!("the spec says protocol {}, not {PROTOCOL_VERSION}", spec.protocol);
        return broken(what, "answer with the protocol that Flow speaks");
    }
    if spec.documentation_url.trim().is_empty() {
        let what = "the spec has no documentationUrl".to_owned();
        return broken(what, "set `documentationUrl` in shim.yaml, or in the connector's own spec");
    }
    if spec.resource_path_pointers.is_empty() {
        let what = "the spec has no resourcePathPointers".to_owned();
        return broken(what, "name the properties that make a resource path, such as /stream");
    }
    for (name, json) in [
        ("configSchema", &spec.config_schema_json),
        ("resourceConfigSchema", &spec.resource_config_schema_json),
    ] {
        let schema: Value = serde_json::from_slice(json).unwrap_or_default();
        if let Err(what) = compile(&schema) {
            return broken(format!("the spec's {name} {what}"), "send a JSON schema that Flow compiles");
        }
        // Flow adds members of its own: `sops` to configs, `_meta` to resource configs.
        let own = if name == "configSchema" { "sops" } else { "_meta" };
        let forbids = schema.get("additionalProperties") == Some(&Value::Bool(false));
        if forbids && schema.pointer(&format!("/properties/{own}")).is_none() {
            let what = format!("the spec's {name} forbids other members, but Flow adds {own:?}");
            return broken(what, "leave out `additionalProperties: false` at its root");
        }
    }
    Ok(())
}

/// Two answers of one connector, of which the second knew the config (R2).
pub(crate) fn same_spec(bare: &Spec, with_config: &Spec) -> Result<(), Failure> {
    if bare == with_config {
        return Ok(());
    }
    let what = "the spec is another one where a config is given";
    Err(Rule::R2.broken(what, "answer Spec from what is known without a config"))
}

/// The size of a message, as it reaches Flow (R9).
pub(crate) fn size(message: &Response, kind: &str) -> Result<(), Failure> {
    let bytes = message.encoded_len();
    if bytes <= LARGEST_MESSAGE {
        return Ok(());
    }
    let what = format!("the message {kind} has {bytes} bytes, and Flow takes 64 MiB");
    Err(Rule::R9.broken(what, "send less in one message"))
}

/// Everything that is wrong with the streams that were found, as `RULE: WHAT` (R3, R4).
pub(crate) fn discovered(discovered: &Discovered, pointers: &[String]) -> Vec<String> {
    if discovered.bindings.is_empty() {
        return vec![format!(
            "{}: no stream was discovered, and Flow removes every binding that is not; exit with an error where streams cannot be listed",
            Rule::R3
        )];
    }
    let mut problems = Vec::new();
    let (r3, r4) = (Rule::R3, Rule::R4);
    let mut paths = HashSet::new();
    let mut names: HashMap<String, &str> = HashMap::new();
    for binding in &discovered.bindings {
        let name = &binding.recommended_name;
        if name.is_empty() {
            problems.push(format!("{r3}: a binding has no recommendedName"));
        } else if compared(name).is_empty() {
            problems.push(format!(
                "{r3}: nothing is left of the recommendedName {name:?} in a collection's name"
            ));
        } else if let Some(twin) = names.insert(compared(name), name) {
            problems.push(format!("{r3}: the recommendedNames {twin:?} and {name:?} make one collection"));
        }
        match resource_path(binding, pointers) {
            Err(what) => problems.push(format!("{r4}: the resourceConfig of {name:?} {what}")),
            Ok(path) if !paths.insert(path.clone()) => {
                problems.push(format!("{r4}: two bindings have the resource path {path:?}"));
            }
            Ok(_) => {}
        }
        let schema: Value = serde_json::from_slice(&binding.document_schema_json).unwrap_or_default();
        if let Err(what) = compile(&schema) {
            problems.push(format!("{r3}: the documentSchema of {name:?} {what}"));
        }
        let wrong_keys =
            binding.key.iter().filter_map(|pointer| Some((pointer, wrong_key(&schema, pointer)?)));
        problems
            .extend(wrong_keys.map(|(pointer, what)| format!("{r3}: the key {pointer} of {name:?} {what}")));
    }
    problems
}

fn resource_path(binding: &DiscoveredBinding, pointers: &[String]) -> Result<Vec<String>, String> {
    let config: Value = serde_json::from_slice(&binding.resource_config_json).unwrap_or_default();
    if !config.is_object() {
        return Err("is not an object".to_owned());
    }
    let derived = resource::path(&config, pointers)?;
    if binding.resource_path.is_empty() || binding.resource_path == derived {
        Ok(derived)
    } else {
        Err(format!("makes the path {derived:?}, but resourcePath is {:?}", binding.resource_path))
    }
}

/// What is wrong with a key, as far as plain `properties` tell: it may be described elsewhere too.
fn wrong_key(schema: &Value, pointer: &str) -> Option<&'static str> {
    let Some(path) = to_path(pointer).filter(|path| !path.is_empty()) else {
        return Some("is not a JSON pointer");
    };
    let mut location = schema;
    for name in &path {
        location = location.get("properties")?.get(name)?;
    }
    let is = |name: &str| match location.get("type") {
        Some(Value::String(only)) => only == name,
        Some(Value::Array(names)) => names.iter().any(|one| one == name),
        _ => false,
    };
    if is("null") {
        Some("may be null")
    } else if is("object") || is("array") {
        Some("is not a scalar")
    } else if is("number") {
        Some("may be a fractional number")
    } else {
        None
    }
}

/// The answer to Validate, against what Flow extracts from the resource configs itself (R4).
pub(crate) fn validated(validated: &Validated, capture: &CaptureSpec) -> Result<(), Failure> {
    const REMEDY: &str = "answer with the bindings that were asked about, in their order";
    let (answered, asked) = (validated.bindings.len(), capture.bindings.len());
    if answered != asked {
        let what = format!("validated has {answered} bindings, but {asked} were asked about");
        return Err(Rule::R4.broken(what, REMEDY));
    }
    for (index, (answer, binding)) in validated.bindings.iter().zip(&capture.bindings).enumerate() {
        let (answered, expected) = (&answer.resource_path, &binding.resource_path);
        if answered != expected {
            let what =
                format!("validated has the resource path {answered:?} where {expected:?} was asked about");
            return Err(Rule::R4.broken(what, REMEDY).with("binding", index));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::flow::message::{Binding, ValidatedBinding};

    fn good() -> Spec {
        Spec {
            protocol: PROTOCOL_VERSION,
            config_schema_json: b"{}".to_vec(),
            resource_config_schema_json: b"{}".to_vec(),
            resource_path_pointers: vec!["/stream".to_owned()],
            documentation_url: "https://docs.example.com/x".to_owned(),
            ..Default::default()
        }
    }

    fn found(schema: &Value, key: &str) -> DiscoveredBinding {
        DiscoveredBinding {
            recommended_name: "users".to_owned(),
            resource_config_json: br#"{"stream":"users"}"#.to_vec(),
            document_schema_json: schema.to_string().into_bytes(),
            key: vec![key.to_owned()],
            ..Default::default()
        }
    }

    #[test]
    fn a_spec_is_complete() {
        assert!(spec(&good()).is_ok());
        assert!(spec(&Spec { protocol: 1, ..good() }).is_err());
        assert!(spec(&Spec { documentation_url: " ".to_owned(), ..good() }).is_err());
        assert!(spec(&Spec { resource_path_pointers: Vec::new(), ..good() }).is_err());
        assert!(spec(&Spec { config_schema_json: Vec::new(), ..good() }).is_err());
        let strict = br#"{"additionalProperties":false}"#.to_vec();
        assert!(spec(&Spec { resource_config_schema_json: strict, ..good() }).is_err());
    }

    #[test]
    fn discovered_streams_can_become_bindings() {
        let pointers = ["/stream".to_owned()];
        let problems = |bindings: &[DiscoveredBinding]| {
            discovered(&Discovered { bindings: bindings.to_vec() }, &pointers)
        };
        assert!(problems(&[])[0].starts_with("R3"));
        let schema = json!({"properties": {"id": {"type": "integer"}, "n": {"type": ["null", "string"]}, "o": {"properties": {"f": {"type": "number"}}}}});
        assert_eq!(problems(&[found(&schema, "/id")]), Vec::<String>::new());
        assert!(problems(&[found(&schema, "/n")])[0].contains("may be null"));
        assert!(problems(&[found(&schema, "/o/f")])[0].contains("fractional"));
        assert!(problems(&[found(&schema, "id")])[0].contains("not a JSON pointer"));
        let twice = problems(&[found(&schema, "/id"), found(&schema, "/id")]);
        assert!(twice[0].contains("make one collection") && twice[1].contains("two bindings"), "{twice:?}");
        let other = DiscoveredBinding { resource_path: vec!["x".to_owned()], ..found(&schema, "/id") };
        assert!(problems(&[other])[0].contains("makes the path"));
    }

    #[test]
    fn validated_paths_are_those_of_flow() {
        let path = vec!["users".to_owned()];
        let capture = CaptureSpec {
            bindings: vec![Binding { resource_path: path.clone(), ..Default::default() }],
            ..Default::default()
        };
        let answer =
            |path: Vec<String>| Validated { bindings: vec![ValidatedBinding { resource_path: path }] };
        assert!(validated(&answer(path), &capture).is_ok());
        assert!(validated(&answer(vec![String::new(), "users".to_owned()]), &capture).is_err());
        assert!(validated(&Validated::default(), &capture).is_err());
    }
}
