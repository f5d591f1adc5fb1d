//! Every recorded spec and catalog of real connectors, through the program: Flow refuses nothing of
//! what comes out, and takes documents that break the vendors' schemas.

use std::io::Read;
use std::path::{Path, PathBuf};

use flow_shim::json::schema::adapt;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::flow_schema::{key_refusals, refusals};
use crate::harness::{Connector, Run, repository, spec};

/// How many different connectors there have to be.
const AT_LEAST: usize = 12;

/// A folder of recordings.
struct Recorded {
    protocol: &'static str,
    folder: PathBuf,
}

fn recorded() -> Vec<Recorded> {
    let mut all = Vec::new();
    for protocol in ["airbyte", "singer"] {
        for entry in std::fs::read_dir(repository("fixtures").join(protocol)).expect("recordings") {
            let folder = entry.expect("an entry").path();
            if folder.is_dir() {
                all.push(Recorded { protocol, folder });
            }
        }
    }
    all.sort_by(|a, b| a.folder.cmp(&b.folder));
    all
}

impl Recorded {
    /// The text of a recording, also of one that is kept gzipped; `None` where there is none.
    fn text(&self, name: &str) -> Option<String> {
        let plain = self.folder.join(name);
        if let Ok(text) = std::fs::read_to_string(&plain) {
            return Some(text).filter(|text| !text.is_empty());
        }
        let packed = std::fs::File::open(self.folder.join(format!("{name}.gz"))).ok()?;
        let mut text = String::new();
        flate2::read::GzDecoder::new(packed).read_to_string(&mut text).expect("a gzipped recording");
        Some(text)
    }

    fn spec(&self) -> Option<Run> {
        let name = if self.protocol == "airbyte" { "spec.jsonl" } else { "about.json" };
        let text = self
            .text(name)
            .filter(|text| text.contains("connectionSpecification") || name == "about.json")?;
        Some(Connector::playing(self.protocol, &[(name, &text)]).run(&[spec()]).succeeded())
    }

    fn discover(&self, mode: &str) -> Option<Run> {
        let name = if self.protocol == "airbyte" { "discover.jsonl" } else { "discover.json" };
        let text = self.text(name)?;
        let yaml = format!(
            "protocol: {}\ncommand: [flow-shim, replay, FOLDER]\nconfig: {{schema: {{type: object}}}}\nschema: {{mode: {mode}}}\n",
            self.protocol
        );
        Some(Connector::shim(&yaml, &[(name, &text)]).run(&[json!({"discover": {"config": {}}})]).succeeded())
    }
}

fn name(folder: &Path) -> String {
    folder.file_name().expect("a name").to_string_lossy().into_owned()
}

fn key(binding: &Value) -> Vec<&str> {
    binding["key"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn flow_refuses_no_recorded_spec() {
    let mut seen = 0;
    for recorded in recorded() {
        let Some(run) = recorded.spec() else { continue };
        seen += 1;
        let name = name(&recorded.folder);
        let spec = run.only("spec");
        for schema in [&spec["configSchema"], &spec["resourceConfigSchema"]] {
            assert_eq!(refusals(schema), Vec::<String>::new(), "{name}");
            assert!(jsonschema::validator_for(schema).is_ok(), "{name}");
        }
        let sops = json!({"sops": {"mac": "x"}});
        let root = &spec["configSchema"];
        let closed = jsonschema::validator_for(root)
            .expect("a schema")
            .iter_errors(&sops)
            .any(|error| error.kind().keyword() == "additionalProperties");
        assert!(!closed, "{name} forbids what Flow adds");
        forms_can_be_drawn(root, &name);
    }
    assert!(seen >= AT_LEAST, "{seen} specs");
}

/// Where a form can tell the branches of a `oneOf` apart, it is told how.
fn forms_can_be_drawn(schema: &Value, name: &str) {
    if let (Value::Array(branches), Some(by)) =
        (&schema["oneOf"], schema["discriminator"]["propertyName"].as_str())
    {
        for branch in branches {
            let property = &branch["properties"][by];
            assert!(
                property.get("const").is_some() && property["default"] == property["const"],
                "{name}: {branch}"
            );
        }
    }
    match schema {
        Value::Object(members) => members.values().for_each(|below| forms_can_be_drawn(below, name)),
        Value::Array(list) => list.iter().for_each(|below| forms_can_be_drawn(below, name)),
        _ => {}
    }
}

#[test]
fn config_schemas_keep_what_a_form_shows() {
    let (mut specs, mut shown) = (0, 0);
    for recorded in recorded().iter().filter(|recorded| recorded.protocol == "airbyte") {
        let (Some(run), Some(text)) = (recorded.spec(), recorded.text("spec.jsonl")) else { continue };
        let published = run.only("spec")["configSchema"].clone();
        let vendors = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let vendors = vendors.into_iter().find(|line| line["type"] == "SPEC").expect("a spec");
        let vendors = &vendors["spec"]["connectionSpecification"]["properties"];
        specs += 1;
        for (property, vendors) in vendors.as_object().into_iter().flatten() {
            let ours = &published["properties"][property];
            for keyword in ["title", "description", "order", "multiline"] {
                assert_eq!(ours.get(keyword), vendors.get(keyword), "{}: {property}", name(&recorded.folder));
                shown += usize::from(vendors.get(keyword).is_some());
            }
            assert_eq!(ours["secret"] == true, vendors["airbyte_secret"] == true, "{property}");
        }
    }
    assert!(specs >= 10 && shown > 150, "{specs} specs, {shown} titles and the like");
}

#[test]
fn flow_refuses_no_recorded_catalog_in_either_mode() {
    for mode in ["infer", "source"] {
        let (mut connectors, mut streams) = (0, 0);
        for recorded in recorded() {
            let Some(run) = recorded.discover(mode) else { continue };
            connectors += 1;
            for binding in run.only("discovered")["bindings"].as_array().expect("bindings") {
                streams += 1;
                let what =
                    format!("{} {} in mode {mode}", name(&recorded.folder), binding["recommendedName"]);
                let schema = &binding["documentSchema"];
                assert_eq!(refusals(schema), Vec::<String>::new(), "{what}");
                assert_eq!(key_refusals(schema, &key(binding)), Vec::<String>::new(), "{what}");
                assert!(jsonschema::validator_for(schema).is_ok(), "{what}");
            }
        }
        assert!(connectors >= AT_LEAST && streams > 200, "{connectors} connectors, {streams} streams");
    }
}

#[test]
fn inferred_collections_take_documents_that_break_the_vendors_schema() {
    let mut violations = 0;
    for recorded in recorded() {
        let Some(run) = recorded.discover("infer") else { continue };
        for binding in run.only("discovered")["bindings"].as_array().expect("bindings") {
            let schema = &binding["documentSchema"];
            let validator = jsonschema::validator_for(schema).expect("a schema");
            let vendors = jsonschema::validator_for(&schema["x-source-schema"]).ok();
            for document in violating(&schema["x-source-schema"], schema, &key(binding)) {
                let errors: Vec<String> =
                    validator.iter_errors(&document).map(|error| error.to_string()).collect();
                assert_eq!(errors, Vec::<String>::new(), "{}: {document}", binding["recommendedName"]);
                violations +=
                    usize::from(vendors.as_ref().is_some_and(|vendors| !vendors.is_valid(&document)));
            }
        }
    }
    assert!(violations > 5_000, "{violations} documents that the vendors' schemas refuse");
}

/// Documents with a key of the right type, each of which breaks the vendor's schema at one property.
fn violating(vendors: &Value, ours: &Value, key: &[&str]) -> Vec<Value> {
    let mut base = json!({"_meta": {"op": "u", "row_id": 0}});
    for pointer in key.iter().filter(|pointer| !pointer.starts_with("/_meta")) {
        let steps: Vec<String> =
            pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
        let (mut at, mut schema) = (&mut base, ours);
        for step in &steps {
            schema = &schema["properties"][step];
            at = at.as_object_mut().expect("objects on the way").entry(step).or_insert_with(|| json!({}));
        }
        let types = schema["type"].to_string();
        *at = if types.contains("string") {
            json!("k")
        } else if types.contains("integer") {
            json!(1)
        } else {
            json!(true)
        };
    }
    let mut documents = vec![base.clone()];
    for (name, property) in vendors["properties"].as_object().into_iter().flatten() {
        if base.get(name).is_some() {
            continue;
        }
        for value in wrong_values(property) {
            let mut document = base.clone();
            document[name] = value;
            documents.push(document);
        }
    }
    let mut more = base;
    more["a member that nobody declared"] = json!([{"x": null}]);
    documents.push(more);
    documents
}

/// Values that break one keyword of a property each.
fn wrong_values(property: &Value) -> Vec<Value> {
    let mut wrong = vec![
        json!(null),
        json!(true),
        json!(-1.5),
        json!("no such thing \u{1}"),
        json!([[]]),
        json!({"x": 1}),
    ];
    if property["maximum"].is_number() {
        wrong.push(json!(1e300));
    }
    if property.get("items").is_some() {
        wrong.push(json!([null, 1.5, "x", {}, []]));
    }
    wrong
}

#[test]
fn each_keyword_of_a_vendor_may_be_broken() {
    for (property, value) in [
        (json!({"type": "integer"}), json!("x")),
        (json!({"enum": ["a"]}), json!("b")),
        (json!({"const": 1}), json!(2)),
        (json!({"maximum": 1}), json!(2)),
        (json!({"minimum": 1}), json!(0)),
        (json!({"exclusiveMaximum": 1}), json!(1)),
        (json!({"exclusiveMinimum": 1}), json!(1)),
        (json!({"multipleOf": 0.01}), json!(0.005)),
        (json!({"maxLength": 1}), json!("xx")),
        (json!({"minLength": 1}), json!("")),
        (json!({"pattern": "^a"}), json!("b")),
        (json!({"items": {"type": "string"}}), json!([1])),
        (json!({"prefixItems": [{"type": "string"}]}), json!([1])),
        (json!({"contains": {"type": "string"}}), json!([1])),
        (json!({"minItems": 1}), json!([])),
        (json!({"maxItems": 0}), json!([1])),
        (json!({"uniqueItems": true}), json!([1, 1])),
        (json!({"required": ["a"]}), json!({})),
        (json!({"properties": {"a": false}}), json!({"a": 1})),
        (json!({"additionalProperties": false}), json!({"a": 1})),
        (json!({"patternProperties": {"^a": {"type": "null"}}}), json!({"a": 1})),
        (json!({"propertyNames": {"maxLength": 1}}), json!({"aa": 1})),
        (json!({"minProperties": 1}), json!({})),
        (json!({"maxProperties": 0}), json!({"a": 1})),
        (json!({"dependentRequired": {"a": ["b"]}}), json!({"a": 1})),
        (json!({"allOf": [{"type": "null"}]}), json!(1)),
        (json!({"anyOf": [{"type": "null"}]}), json!(1)),
        (json!({"oneOf": [{}, {}]}), json!(1)),
        (json!({"not": {}}), json!(1)),
        (json!({"if": {}, "then": false}), json!(1)),
        (json!({"$ref": "#/definitions/a"}), json!(1)),
        (json!(false), json!(1)),
    ] {
        let vendors = json!({"properties": {"id": {"type": "integer"}, "p": property}, "definitions": {"a": {"type": "null"}}});
        let document = json!({"id": 1, "p": value, "_meta": {"op": "u", "row_id": 0}});
        assert!(!jsonschema::validator_for(&vendors).expect("a schema").is_valid(&document), "{vendors}");
        let catalog = json!({"type": "CATALOG", "catalog": {"streams": [{"name": "s", "json_schema": vendors, "source_defined_primary_key": [["id"]]}]}});
        let yaml =
            "protocol: airbyte\ncommand: [flow-shim, replay, FOLDER]\nconfig: {schema: {type: object}}\n";
        let connector = Connector::shim(yaml, &[("discover.jsonl", &format!("{catalog}\n"))]);
        let run = connector.run(&[json!({"discover": {"config": {}}})]).succeeded();
        let schema = run.only("discovered")["bindings"][0]["documentSchema"].clone();
        assert!(jsonschema::validator_for(&schema).expect("a schema").is_valid(&document), "{schema}");
    }
}

const NAMES: &[&str] = &[
    "type",
    "enum",
    "const",
    "format",
    "pattern",
    "items",
    "prefixItems",
    "additionalItems",
    "properties",
    "required",
    "patternProperties",
    "additionalProperties",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "$ref",
    "$defs",
    "definitions",
    "$id",
    "id",
    "$anchor",
    "$schema",
    "dependencies",
    "dependentRequired",
    "minimum",
    "maximum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "minLength",
    "multipleOf",
    "uniqueItems",
    "title",
    "order",
    "secret",
    "airbyte_secret",
    "nullable",
    "default",
    "examples",
    "reduce",
    "discriminator",
    "airbyte_type",
    "x-a",
    "x-str-minimum",
    "contentSchema",
    "a",
];

const TEXTS: &[&str] = &[
    "string",
    "null",
    "object",
    "number",
    "date",
    "int64",
    "no-such",
    "#",
    "#/$defs/a",
    "#/a",
    "^a",
    "(?!x)",
    "#a",
];

/// JSON that looks like a schema, and mostly is none.
fn schema_like() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        (-3..3_i64).prop_map(Value::from),
        Just(json!(1.5)),
        prop::sample::select(TEXTS).prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            4 => prop::collection::vec((prop::sample::select(NAMES), inner), 0..4).prop_map(|members| {
                Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn flow_refuses_nothing_that_was_adapted(schema in schema_like()) {
        for adapted in [adapt::config(&schema), adapt::documents(&schema)] {
            prop_assert_eq!(refusals(&adapted), Vec::<String>::new(), "{}", adapted);
        }
    }

    #[test]
    fn what_fits_the_vendors_schema_fits_ours(schema in schema_like(), document in schema_like()) {
        let vendors = jsonschema::options().should_validate_formats(true).build(&schema);
        let ours = jsonschema::options().build(&adapt::documents(&schema));
        if let (Ok(vendors), Ok(ours)) = (vendors, ours) && vendors.is_valid(&document) {
            prop_assert!(ours.is_valid(&document), "{}", adapt::documents(&schema));
        }
    }
}
