//! Spec, check and discover: catalogs that must not be used, and upstreams that answer and go on.

use serde_json::{Value, json};

use crate::harness::{Connector, Run, airbyte, discover, singer, spec};

const SPEC: &str = "{\"type\":\"SPEC\",\"spec\":{\"connectionSpecification\":{\"type\":\"object\"}}}\n";
const CHECK: &str = "{\"type\":\"CONNECTION_STATUS\",\"connectionStatus\":{\"status\":\"SUCCEEDED\"}}\n";
const CATALOG: &str = "{\"type\":\"CATALOG\",\"catalog\":{\"streams\":[{\"name\":\"users\",\"json_schema\":{\"type\":\"object\"},\"supported_sync_modes\":[\"full_refresh\"]}]}}\n";
const ERROR: &str = "{\"type\":\"TRACE\",\"trace\":{\"type\":\"ERROR\",\"emitted_at\":1,\"error\":{\"message\":\"403 for /accounts\"}}}\n";
const TAP: &str = "{\"streams\":[{\"tap_stream_id\":\"users\",\"stream\":\"users\",\"schema\":{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"integer\"}}},\"key_properties\":[\"id\"]}]}\n";

fn source(catalog: &str) -> Run {
    let files = [("spec.jsonl", SPEC), ("discover.jsonl", catalog)];
    Connector::playing("airbyte", &files).run(&[spec(), discover(&json!({}))])
}

fn tap(catalog: &str) -> Run {
    let files = [("about.json", "{\"settings\":{\"type\":\"object\"}}"), ("discover.json", catalog)];
    Connector::playing("singer", &files).run(&[spec(), discover(&json!({}))])
}

fn validate(bindings: &[Value]) -> Value {
    json!({"validate": {"name": "acmeCo/x", "config": {}, "bindings": bindings}})
}

#[test]
fn a_catalog_with_a_failure_report_beside_it_is_not_used() {
    for catalog in [format!("{CATALOG}{ERROR}"), format!("{ERROR}{CATALOG}")] {
        let run = source(&catalog);
        assert_eq!(run.code, 10);
        assert!(run.all("discovered").is_empty());
        let words = run.last_words();
        assert!(words.contains("403 for /accounts") && words.contains("may lack streams"), "{words}");
    }
}

#[test]
fn a_catalog_of_an_upstream_that_exits_badly_is_not_used() {
    for run in [source(&format!("{CATALOG}#! exit 1\n")), tap(&format!("{TAP}#! exit 1\n"))] {
        assert_eq!(run.code, 11);
        assert!(run.all("discovered").is_empty());
        let words = run.last_words();
        assert!(words.contains("exited with code 1") && words.contains("may lack streams"), "{words}");
    }
}

#[test]
fn a_catalog_without_streams_is_a_failure() {
    let empty = "{\"type\":\"CATALOG\",\"catalog\":{\"streams\":[]}}\n";
    for run in [source(empty), tap("{\"streams\": []}\n")] {
        assert_eq!(run.code, 4);
        assert!(run.all("discovered").is_empty());
        assert_eq!(run.logs.last().expect("a log")["fields"]["code"], "no-streams");
    }
    let yaml = "protocol: airbyte\ncommand: [flow-shim, replay, FOLDER]\nstreams: {omit: [\"*\"]}\n";
    let run = Connector::shim(yaml, &[("spec.jsonl", SPEC), ("discover.jsonl", CATALOG)])
        .run(&[spec(), discover(&json!({}))]);
    assert_eq!(run.logs.last().expect("a log")["fields"]["code"], "no-streams");
    assert!(run.last_words().contains("streams.omit"), "{}", run.last_words());
}

#[test]
fn an_error_that_upstream_logged_while_it_discovered_is_warned_of() {
    let log = "{\"type\":\"LOG\",\"log\":{\"level\":\"ERROR\",\"message\":\"cannot describe table secret_things\"}}\n";
    let stderr = "#! stderr ERROR cannot describe table secret_things\n";
    for run in [source(&format!("{log}{CATALOG}")), tap(&format!("{stderr}{TAP}"))] {
        let run = run.succeeded();
        assert!(run.logged(Some("warn"), "cannot describe table secret_things"), "{:?}", run.logs);
    }
    assert!(!source(CATALOG).succeeded().logged(Some("warn"), "may lack"));
}

#[test]
fn an_answer_counts_though_upstream_does_not_exit() {
    let hang = |answer: &str| format!("{answer}#! hang\n");
    let (spec_file, check, catalog) = (hang(SPEC), hang(CHECK), hang(CATALOG));
    let files = [
        ("spec.jsonl", spec_file.as_str()),
        ("check.jsonl", check.as_str()),
        ("discover.jsonl", catalog.as_str()),
    ];
    let run = Connector::playing("airbyte", &files)
        .run(&[spec(), validate(&[airbyte("users", "full_refresh")])])
        .succeeded();
    run.only("spec");
    run.only("validated");
}

#[test]
fn a_tap_that_answers_and_does_not_exit_has_answered() {
    let pretty =
        serde_json::to_string_pretty(&serde_json::from_str::<Value>(TAP).expect("JSON")).expect("JSON");
    let (about, catalog) =
        ("{\"settings\":{\"type\":\"object\"}}\n#! hang\n", format!("{pretty}\n#! hang\n"));
    let files = [("about.json", about), ("discover.json", catalog.as_str())];
    let run = Connector::playing("singer", &files)
        .run(&[spec(), validate(&[singer("users", "FULL_TABLE")])])
        .succeeded();
    run.only("validated");
}

#[test]
fn a_failure_report_shortly_behind_a_catalog_counts() {
    let run = source(&format!("{CATALOG}#! sleep 500ms\n{ERROR}#! hang\n"));
    assert_eq!(run.code, 10);
    assert!(run.last_words().contains("403 for /accounts"), "{}", run.last_words());
}

#[test]
fn without_an_answer_the_time_limit_still_holds() {
    let yaml = "protocol: airbyte\ncommand: [flow-shim, replay, FOLDER]\ntimeouts: {spec: 1s}\n";
    let run = Connector::shim(yaml, &[("spec.jsonl", "#! hang\n")]).run(&[spec()]);
    assert_eq!(run.code, 13);
    assert!(run.last_words().contains("timeouts.spec"), "{}", run.last_words());
}

/// The streams of a catalog as they are proposed: name, mode or method, and whether they are disabled.
fn proposed(run: &Run) -> Vec<(String, Value, bool)> {
    let bindings = run.only("discovered")["bindings"].clone();
    let bindings = bindings.as_array().expect("bindings").iter();
    let mode = |resource: &Value| resource.get("syncMode").or(resource.get("replication_method")).cloned();
    bindings
        .map(|binding| {
            let name = binding["recommendedName"].as_str().expect("a name").to_owned();
            (name, mode(&binding["resourceConfig"]).expect("a mode"), binding["disable"] == true)
        })
        .collect()
}

fn cursors() -> String {
    let stream = |name: &str, modes: &[&str], more: Value| {
        let mut stream = json!({"name": name, "supported_sync_modes": modes, "json_schema": {"type": "object", "properties": {
            "name": {"type": "string"}, "at": {"type": "string", "format": "date-time"}, "list": {"type": "array"},
        }}});
        stream.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        stream
    };
    let both = ["full_refresh", "incremental"];
    let streams = [
        stream("none", &both, json!({"source_defined_cursor": false})),
        stream("own", &both, json!({"source_defined_cursor": true})),
        stream("default", &both, json!({"default_cursor_field": ["at"]})),
        stream("only", &["incremental"], json!({})),
    ];
    format!("{}\n", json!({"type": "CATALOG", "catalog": {"streams": streams}}))
}

#[test]
fn a_stream_without_any_cursor_is_proposed_as_a_full_refresh() {
    let of = |name: &str, mode: &str, disabled: bool| (name.to_owned(), json!(mode), disabled);
    let expected = [
        of("none", "full_refresh", false),
        of("own", "incremental", false),
        of("default", "incremental", false),
        of("only", "incremental", true),
    ];
    assert_eq!(proposed(&source(&cursors()).succeeded()), expected);
    let entry = "{\"streams\":[{\"tap_stream_id\":\"s\",\"replication_method\":\"INCREMENTAL\",\"schema\":{\"properties\":{\"id\":{\"type\":\"integer\"}}}}]}\n";
    assert_eq!(proposed(&tap(entry).succeeded()), [of("s", "FULL_TABLE", false)]);
}

#[test]
fn an_incremental_binding_without_a_cursor_is_refused_with_what_could_serve() {
    let catalog = cursors();
    let files = [("spec.jsonl", SPEC), ("check.jsonl", CHECK), ("discover.jsonl", catalog.as_str())];
    let connector = Connector::playing("airbyte", &files);
    let mut none = airbyte("none", "incremental");
    let run = connector.run(&[spec(), validate(&[none.clone()])]);
    assert_eq!(run.code, 4);
    let words = run.last_words();
    assert!(
        words.contains("cursorField") && words.contains("at, name") && !words.contains("list"),
        "{words}"
    );
    none["resourceConfig"]["cursorField"] = json!(["at"]);
    connector.run(&[spec(), validate(&[none, airbyte("own", "incremental")])]).succeeded();
    let entry = "{\"streams\":[{\"tap_stream_id\":\"s\",\"schema\":{\"properties\":{\"id\":{\"type\":\"integer\"}}}}]}\n";
    let files = [("about.json", "{\"settings\":{\"type\":\"object\"}}"), ("discover.json", entry)];
    let run = Connector::playing("singer", &files).run(&[spec(), validate(&[singer("s", "INCREMENTAL")])]);
    assert_eq!(run.code, 4);
    assert!(run.last_words().contains("one of id"), "{}", run.last_words());
}

#[test]
fn names_are_distinct_once_flow_has_normalised_them() {
    let stream = |namespace: &str, name: &str| json!({"name": name, "namespace": namespace, "json_schema": {}, "supported_sync_modes": ["full_refresh"]});
    let streams = [
        stream("", "Sales"),
        stream("", "Sales!"),
        stream("", "Q1 2025"),
        stream("", "Q1_2025"),
        stream("", "*"),
        stream("a.b", "c"),
        stream("a", "b.c"),
        stream("", "fine name"),
    ];
    let catalog =
        |streams: &[Value]| format!("{}\n", json!({"type": "CATALOG", "catalog": {"streams": streams}}));
    let names = |run: &Run| -> Vec<String> { proposed(run).into_iter().map(|(name, ..)| name).collect() };
    let found = names(&source(&catalog(&streams)).succeeded());
    let normalised: std::collections::BTreeSet<String> = found.iter().map(|name| normalise(name)).collect();
    assert_eq!(normalised.len(), streams.len(), "{found:?}");
    assert!(normalised.iter().all(|name| !name.is_empty()), "{found:?}");
    assert_eq!(&found[5..], ["a.b/c", "a/b.c", "fine name"], "what does not clash stays");
    let mut turned = streams;
    turned.reverse();
    let mut again = names(&source(&catalog(&turned)).succeeded());
    again.reverse();
    assert_eq!(again, found, "from one discovery to the next");
}

/// Flow's rule, written once more.
fn normalise(name: &str) -> String {
    let kept = |c: char| c.is_alphanumeric() || "-_./".contains(c);
    name.split(|c| !kept(c)).filter(|run| !run.is_empty()).collect::<Vec<_>>().join("_")
}

#[test]
fn there_is_always_a_documentation_url() {
    let url =
        |connector: Connector| connector.run(&[spec()]).succeeded().only("spec")["documentationUrl"].clone();
    let ours = url(Connector::playing("airbyte", &[("spec.jsonl", SPEC)]));
    assert!(ours.as_str().is_some_and(|url| url.starts_with("https://")), "{ours}");
    let requirements = ("requirements.txt", "attrs==26.1.0\nmeltanolabs-tap-x==1.2.3\n");
    let about = ("about.json", "{\"settings\":{\"type\":\"object\"}}");
    let yaml = "protocol: singer\ncommand: [flow-shim, replay, FOLDER/tap-x]\n";
    let tap = Connector::shim(yaml, &[requirements]);
    std::fs::create_dir(format!("{}/tap-x", tap.folder_path())).expect("a folder");
    std::fs::write(format!("{}/tap-x/{}", tap.folder_path(), about.0), about.1).expect("a file");
    assert_eq!(url(tap), "https://pypi.org/project/meltanolabs-tap-x/");
    let empty = "{\"type\":\"SPEC\",\"spec\":{\"documentationUrl\":\"\",\"connectionSpecification\":{}}}\n";
    let yaml = "protocol: airbyte\ncommand: [flow-shim, replay, FOLDER]\ndocumentationUrl: \"\"\n";
    assert_eq!(url(Connector::shim(yaml, &[("spec.jsonl", empty)])), ours, "an empty one is none");
}
