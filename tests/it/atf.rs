//! Folders in airbyte-to-flow's layout run as they are, and what is malformed in one is named.

use serde_json::{Value, json};

use crate::atf_folder::{AtfFolder, streams};
use crate::harness::{discover, spec};

#[test]
fn a_folder_without_shim_yaml_speaks_airbyte_to_flows_files() {
    let folder = AtfFolder::fixture("everything");
    let run = folder.run(&[spec()]).succeeded();
    let answer = run.only("spec");
    assert_eq!(answer["documentationUrl"], "https://go.example.com/source-shop");
    assert_eq!(answer["oauth2"]["provider"], "shop");
    let schema = &answer["configSchema"];
    let required: std::collections::BTreeSet<&str> =
        schema["required"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert_eq!(required, ["credentials", "start_date"].into());
    assert!(schema["properties"].get("access_token").is_none(), "the patch takes it out");
    assert_eq!(schema["properties"]["credentials"]["x-oauth2-provider"], "shop");
    assert_eq!(schema["properties"]["credentials"]["properties"]["access_token"]["secret"], true);
}

#[test]
fn upstream_gets_the_config_that_the_map_makes() {
    let folder = AtfFolder::fixture("everything");
    folder.run(&[spec(), discover(&everything_config())]).succeeded();
    let expected = json!({
        "access_token": "t0k3n", "auth": {"client_id": "id"}, "start_date": "2024-01-01", "page_size": 100,
    });
    assert_eq!(folder.seen("discover"), expected, "`credentials` is not in upstream's closed specification");
}

fn everything_config() -> Value {
    json!({
        "credentials": {"access_token": "t0k3n", "client_id": "id", "client_secret": "s"},
        "start_date": "2024-01-01", "legacy": 1, "_atf_skip_interval": true,
    })
}

#[test]
fn streams_are_selected_omitted_named_and_keyed_by_the_files() {
    let run = AtfFolder::fixture("everything").run(&[spec(), discover(&everything_config())]).succeeded();
    let found = streams(&run);
    let names: Vec<&Value> = found.iter().map(|binding| &binding["recommendedName"]).collect();
    assert_eq!(names, ["users", "Reports/DailySales", "events", "whatx"], "`what?` is a name, no glob");
    let disabled: Vec<bool> = found.iter().map(|binding| binding["disable"] == true).collect();
    assert_eq!(disabled, [false, false, false, true]);
    assert_eq!(found[0]["key"], json!(["/shop_id", "/address/zip"]));
    assert_eq!(found[1]["key"], json!(["/day"]));
    assert_eq!(found[0]["resourceConfig"]["cursorField"], json!(["updated_at"]));
    assert_eq!(
        found[1]["resourceConfig"],
        json!({"stream": "Reports/Daily Sales", "syncMode": "full_refresh", "cursorField": ["day"]})
    );
}

#[test]
fn a_file_named_star_serves_streams_without_a_file_of_that_kind() {
    let folder = AtfFolder::fixture("wildcards");
    let run = folder.run(&[spec(), discover(&json!({"access_token": "t", "start_date": "x"}))]).succeeded();
    let answer = run.only("spec");
    assert_eq!(answer.get("oauth2"), None, "a placeholder means none");
    assert_eq!(
        answer["documentationUrl"], "https://docs.example.com",
        "the file gives none, and Flow refuses a connector without one"
    );
    let keys: Vec<Value> = streams(&run).iter().map(|binding| binding["key"].clone()).collect();
    assert_eq!(keys[0], json!(["/id"]), "users has a patch of its own, and the wildcard's key");
    assert_eq!(keys[2], json!(["/at"]), "events has a key of its own");
    assert_eq!(keys[3], json!(["/id"]));
    assert!(streams(&run).iter().all(|binding| binding["disable"] != true), "no selection means all");
}

#[test]
fn the_predecessors_command_line_takes_the_files_of_the_working_directory() {
    let folder = AtfFolder::fixture("everything");
    let run = folder.entrypoint().run(&[spec(), discover(&everything_config())]).succeeded();
    assert_eq!(run.only("spec")["oauth2"]["provider"], "shop");
    assert_eq!(streams(&run)[1]["recommendedName"], "Reports/DailySales");
    let empty = AtfFolder::empty();
    let run = empty.entrypoint().run(&[spec(), discover(&json!({"access_token": "t", "start_date": "x"}))]);
    let found = streams(&run.succeeded());
    assert_eq!(found[1]["recommendedName"], "Reports/DailySales", "its conventions hold without files too");
}

#[test]
fn a_shim_yaml_beside_the_files_counts_alone() {
    let folder = AtfFolder::fixture("everything");
    folder.write("shim.yaml", "protocol: airbyte\ndocumentationUrl: https://mine.example.com\n");
    let run = folder.run(&[spec()]).succeeded();
    assert_eq!(run.only("spec")["documentationUrl"], "https://mine.example.com");
    assert_eq!(run.only("spec").get("oauth2"), None);
}

#[test]
fn what_is_malformed_is_named_with_its_place() {
    let mut words = Vec::new();
    for (file, text) in [
        ("spec.patch.json", "{\"a\": \n  nope}"),
        ("spec.map.json", "[]"),
        ("spec.map.json", "{\"/a\": 7}"),
        ("spec.map.json", "{\"/a\": \"b\"}"),
        ("oauth2.patch.json", "\"none\""),
        ("documentation_url.patch.json", "{"),
        ("selected_streams.json", "{\"users\": true}"),
        ("omitted_streams.json", "[1]"),
        ("schema_normalizations.json", "\"date-to-datetime\""),
        ("run_interval_minutes.json", "\"60\""),
        ("run_interval_minutes.json", "1.5\n"),
        ("streams/users.patch.json", "{'a': 1}"),
        ("streams/a/b.pk.json", "\"id\""),
        ("streams/*.pk.json", "[[\"id\"]]"),
        ("streams/users.normalize.json", "[{\"pointer\": \"/a\", \"normalization\": \"upper\"}]"),
        ("streams/users.normalize.json", "[{\"normalization\": \"datetime_to_date\"}]"),
        ("streams/users.normalize.json", "{}"),
    ] {
        let folder = AtfFolder::empty();
        folder.write(file, text);
        let run = folder.run(&[spec()]);
        assert_eq!(run.code, 3, "{file}");
        words.push(run.last_words().replace(&format!("{}/", folder.path()), ""));
    }
    insta::assert_snapshot!(words.join("\n"), @r#"
spec.patch.json: line 2, column 4: it is not JSON: expected ident
spec.map.json: it must hold an object
spec.map.json: "/a": what moves there must be a JSON pointer such as "/a/b"
spec.map.json: "/a": what moves there must be a JSON pointer such as "/a/b"
oauth2.patch.json: it must hold an object
documentation_url.patch.json: line 1, column 1: it is not JSON: EOF while parsing an object
selected_streams.json: it must hold a list of names
omitted_streams.json: it must hold a list of names
schema_normalizations.json: it must hold a list of names
run_interval_minutes.json: it must hold a whole number of minutes and nothing else
run_interval_minutes.json: it must hold a whole number of minutes and nothing else
streams/users.patch.json: line 1, column 2: it is not JSON: key must be a string
streams/a/b.pk.json: it must hold a list of names of properties
streams/*.pk.json: it must hold a list of names of properties
streams/users.normalize.json: "/a": "normalization" must be datetime_to_date
streams/users.normalize.json: an entry has no "pointer"
streams/users.normalize.json: it must hold a list
"#);
}

#[test]
fn what_cannot_be_read_is_named() {
    let folder = AtfFolder::empty();
    folder.write_bytes("spec.patch.json", b"{\"a\": \"\xff\"}");
    let run = folder.run(&[spec()]);
    assert_eq!(run.code, 3);
    let words = run.last_words();
    assert!(words.contains("spec.patch.json") && words.contains("cannot be read"), "{words}");
}

#[test]
fn a_file_that_no_stream_goes_by_is_told_and_changes_nothing() {
    let folder = AtfFolder::empty();
    folder.write("streams/Daily Sales.pk.json", "[\"x\"]");
    let run = folder.run(&[spec()]).succeeded();
    let told =
        run.logs.iter().any(|log| log["level"] == "warn" && log.to_string().contains("Daily Sales.pk.json"));
    assert!(told, "{:?}", run.logs);
}
