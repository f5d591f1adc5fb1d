//! `shim.schema.json` is in step with what the program reads.

use serde_json::{Value, json};

use crate::harness::repository;

/// Writes the file anew where it is not.
#[test]
fn the_published_schema_is_in_step_with_the_types() {
    let file = repository("shim.schema.json");
    let expected = serde_json::to_string_pretty(&flow_shim::shim::published::schema()).expect("JSON") + "\n";
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    if found != expected {
        std::fs::write(&file, expected).expect("a writable file");
        panic!(
            "shim.schema.json was not in step with the types; it has been written anew: look at the change and commit it"
        );
    }
}

#[test]
fn the_schema_takes_shims_and_refuses_mistakes() {
    let validator = jsonschema::validator_for(&flow_shim::shim::published::schema()).expect("a schema");
    for shim in std::fs::read_dir(repository("shims")).expect("shims") {
        let file = shim.expect("an entry").path().join("shim.yaml");
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        let tree: Value = serde_saphyr::from_str(&text).expect("YAML");
        assert!(validator.is_valid(&tree), "{}", file.display());
    }
    for mistake in [
        json!({"protcol": "airbyte"}),
        json!({"protocol": "airbite"}),
        json!({"streams": {"overrides": {"users": {"keys": ["/id"]}}}}),
        json!({"timeouts": {"spec": 60}}),
        json!({"config": {"map": {"/a": 1}}}),
    ] {
        assert!(!validator.is_valid(&mistake), "{mistake}");
    }
    let good = json!({"streams": {"overrides": {"*": {"key": ["/id"], "interval": "1h", "normalize": {"/a": "datetime-to-date"}}}}, "read": {"maxRecordBytes": "64MiB"}});
    assert!(validator.is_valid(&good));
}
