//! Catalogs of tens of thousands of streams, and specs of tens of megabytes: time in proportion to
//! their size, and memory in bounds.

use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::harness::{Connector, Run, binding, open, spec};
use crate::messages::SPEC;

/// Prints what is beside it.
const UPSTREAM: &str = "case \"$*\" in\n *--discover*) cat FOLDER/discover;;\n *--about*) exit 2;;\n spec*) cat FOLDER/spec;;\n discover*) cat FOLDER/discover;;\nesac\n";

fn shim(protocol: &str, discover: &str) -> Connector {
    let yaml = format!(
        "protocol: {protocol}\ncommand: [sh, FOLDER/upstream.sh]\nconfig: {{schema: {{type: object}}}}\n"
    );
    Connector::shim(&yaml, &[("upstream.sh", UPSTREAM), ("discover", discover), ("spec", SPEC)])
}

fn schema(number: usize) -> Value {
    json!({"type": "object", "properties": {"id": {"type": ["null", "integer"]}, "at": {"type": "string", "format": "date-time"}, format!("c{number}"): {"enum": ["a"]}}})
}

fn airbyte_catalog(streams: usize) -> String {
    let stream = |number: usize| json!({"name": format!("s{number}"), "namespace": "n", "json_schema": schema(number), "source_defined_primary_key": [["id"]], "supported_sync_modes": ["full_refresh", "incremental"]});
    json!({"type": "CATALOG", "catalog": {"streams": (0..streams).map(stream).collect::<Vec<_>>()}})
        .to_string()
        + "\n"
}

fn singer_catalog(streams: usize) -> String {
    let stream = |number: usize| json!({"tap_stream_id": format!("n-s{number}"), "stream": format!("s{number}"), "schema": schema(number), "metadata": [{"breadcrumb": [], "metadata": {"table-key-properties": ["id"], "schema-name": "n"}}]});
    json!({"streams": (0..streams).map(stream).collect::<Vec<_>>()}).to_string() + "\n"
}

fn airbyte_bindings(streams: usize) -> Vec<Value> {
    (0..streams)
        .map(|number| {
            let name = format!("s{number}");
            let resource = json!({"stream": name, "namespace": "n", "syncMode": "incremental"});
            let mut binding = binding(resource, &["n", &name], &["/id"]);
            // Without the annotation the source has to be asked again.
            binding["collection"]["writeSchema"] = schema(number);
            binding
        })
        .collect()
}

fn singer_bindings(streams: usize) -> Vec<Value> {
    (0..streams)
        .map(|number| {
            let name = format!("n-s{number}");
            binding(json!({"tap_stream_id": name, "replication_method": "FULL_TABLE"}), &[&name], &["/id"])
        })
        .collect()
}

/// Runs one request; also returns the seconds of CPU that the program and what it started took.
fn measured(connector: &Connector, request: &Value) -> (Run, f64) {
    let run = in_shell(connector, request, "\"$@\"; code=$?; times >times; exit $code");
    let times = std::fs::read_to_string(format!("{}/times", connector.folder_path())).expect("times");
    let seconds = times.lines().nth(1).expect("of children").split_whitespace().map(seconds).sum();
    (run, seconds)
}

/// Runs one request by a shell, whose script calls the program as `"$@"`.
fn in_shell(connector: &Connector, request: &Value, script: &str) -> Run {
    let command = connector.command();
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", script, "sh"]).arg(command.get_program()).args(command.get_args());
    shell.current_dir(connector.folder_path());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => _ = shell.env(name, value),
            None => _ = shell.env_remove(name),
        }
    }
    shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = shell.spawn().expect("a shell");
    let mut stdin = child.stdin.take().expect("a pipe");
    let text = format!("{request}\n");
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let run = Run::of(child.wait_with_output().expect("an end"));
    // A program that ends without reading all is for its exit code to tell.
    let _ = writer.join();
    run
}

/// The seconds of `1m2.5s`.
fn seconds(text: &str) -> f64 {
    let (minutes, seconds) = text.trim_end_matches('s').split_once('m').expect("minutes and seconds");
    minutes.parse::<f64>().expect("minutes") * 60.0 + seconds.parse::<f64>().expect("seconds")
}

/// Eight times as much may take a little more than eight times as long, and not sixty-four times.
fn grows_in_proportion(what: &str, streams: usize, run: impl Fn(usize) -> f64) {
    let small = run(streams / 8).max(0.05);
    let large = run(streams);
    assert!(
        large < small * 24.0,
        "{what}: {small} s of CPU for an eighth of {streams} streams, {large} s for all"
    );
}

#[test]
fn twenty_thousand_streams_are_discovered_and_read() {
    type Catalog = fn(usize) -> String;
    type Bindings = fn(usize) -> Vec<Value>;
    let protocols: [(&str, usize, Catalog, Bindings); 2] = [
        ("airbyte", 20_000, airbyte_catalog, airbyte_bindings),
        ("singer", 8_000, singer_catalog, singer_bindings),
    ];
    for (protocol, most, catalog, bindings) in protocols {
        grows_in_proportion(&format!("{protocol} discover"), most, |streams| {
            let (run, seconds) =
                measured(&shim(protocol, &catalog(streams)), &json!({"discover": {"config": {}}}));
            assert_eq!(
                run.succeeded().only("discovered")["bindings"].as_array().map(Vec::len),
                Some(streams)
            );
            seconds
        });
        grows_in_proportion(&format!("{protocol} open"), 4_000, |streams| {
            let request = open(json!({}), &bindings(streams), json!({}));
            let (run, seconds) = measured(&shim(protocol, &catalog(streams)), &request);
            assert!(run.succeeded().only("opened").is_object());
            seconds
        });
    }
}

#[test]
fn large_catalogs_take_a_few_times_their_text() {
    for (protocol, catalog) in [("airbyte", airbyte_catalog(30_000)), ("singer", singer_catalog(30_000))] {
        let connector = shim(protocol, &catalog);
        let limit_kib = catalog.len() * 16 / 1024 + 32 * 1024;
        let script = format!("ulimit -d {limit_kib} && exec \"$@\"");
        let run = in_shell(&connector, &json!({"discover": {"config": {}}}), &script).succeeded();
        let bindings = run.only("discovered")["bindings"].as_array().map(Vec::len);
        assert_eq!(bindings, Some(30_000), "{protocol}: within {limit_kib} KiB");
    }
}

#[test]
fn a_spec_of_fifty_megabytes_is_told() {
    let property = |number: usize| {
        (
            format!("p{number}"),
            json!({"oneOf": [{"properties": {"kind": {"const": "a"}}}, {"properties": {"kind": {"const": "b"}}}], "description": "x".repeat(10_000), "vendor": 1}),
        )
    };
    let properties: serde_json::Map<String, Value> = (0..5_000).map(property).collect();
    let text = json!({"type": "SPEC", "spec": {"connectionSpecification": {"type": "object", "properties": properties}}}).to_string() + "\n";
    assert!(text.len() > 50_000_000);
    let connector = Connector::playing("airbyte", &[("spec.jsonl", &text)]);
    let run = connector.run(&[spec()]).succeeded();
    let properties = run.only("spec")["configSchema"]["properties"].clone();
    assert_eq!(properties.as_object().map(serde_json::Map::len), Some(5_000));
    assert_eq!(properties["p4999"]["discriminator"]["propertyName"], "kind");
}
