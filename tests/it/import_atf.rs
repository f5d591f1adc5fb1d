//! A folder in airbyte-to-flow's layout and the `shim.yaml` that is made of it behave alike.

use std::path::Path;

use serde_json::{Value, json};

use crate::atf_folder::{AtfFolder, streams};
use crate::harness::{Connector, Run, discover, spec};

fn import(folder: &AtfFolder, arguments: &[&str]) -> Run {
    let all: Vec<&str> = ["import-atf"].into_iter().chain(arguments.iter().copied()).collect();
    let output =
        Connector::new(&all).command().current_dir(folder.path()).output().expect("the program runs");
    Run::of(output)
}

/// Spec, Discover, and the config that upstream saw.
fn behaviour(folder: &AtfFolder, config: &Value) -> (Value, Vec<Value>, Value) {
    let run = folder.run(&[spec(), discover(config)]).succeeded();
    (run.only("spec"), streams(&run), folder.seen("discover"))
}

#[test]
fn a_folder_and_its_shim_behave_alike() {
    let everything = json!({
        "credentials": {"access_token": "t", "client_id": "id", "client_secret": "s"},
        "start_date": "2024-01-01", "legacy": {"a": 1}, "_atf_skip_interval": true,
    });
    let plain = json!({"access_token": "t", "start_date": "2024-01-01"});
    for (fixture, config) in [("everything", everything), ("wildcards", plain)] {
        let folder = AtfFolder::fixture(fixture);
        let before = behaviour(&folder, &config);
        import(&folder, &["."]).succeeded();
        // The files go, so that only the shim.yaml can speak.
        let other = AtfFolder::empty();
        other.write("shim.yaml", &folder.read("shim.yaml"));
        assert_eq!(behaviour(&other, &config), before, "{fixture}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "the snapshot is a whole file")]
fn what_is_written_says_where_it_comes_from() {
    let folder = AtfFolder::fixture("everything");
    import(&folder, &[".", "shim", "--", "python", "/airbyte/integration_code/main.py"]).succeeded();
    insta::assert_snapshot!(folder.read("shim/shim.yaml"), @r#"
# What the files in airbyte-to-flow's layout say; written by `flow-shim import-atf`.
protocol: airbyte
command:
- python
- /airbyte/integration_code/main.py

# documentation_url.patch.json
documentationUrl: https://go.example.com/source-shop

# oauth2.patch.json
oauth2:
  provider: shop
  authUrlTemplate: https://shop.example.com/authorize?client_id={{#urlencode}}{{{ client_id }}}{{/urlencode}}&state={{#urlencode}}{{{ state }}}{{/urlencode}}
  accessTokenUrlTemplate: https://shop.example.com/token
  accessTokenBody: code={{#urlencode}}{{{ code }}}{{/urlencode}}
  accessTokenHeaders:
    content-type: application/x-www-form-urlencoded
  accessTokenResponseMap:
    access_token: /access_token

config:
  # spec.patch.json
  schemaPatch:
    additionalProperties: true
    required:
    - credentials
    - start_date
    properties:
      access_token: null
      client_id: null
      client_secret: null
      credentials:
        type: object
        title: Authentication
        order: 1
        x-oauth2-provider: shop
        discriminator:
          propertyName: auth_type
        required:
        - access_token
        properties:
          auth_type:
            type: string
            const: oauth2.0
            default: oauth2.0
          access_token:
            type: string
            airbyte_secret: true
          client_id:
            type: string
            airbyte_secret: true
          client_secret:
            type: string
            airbyte_secret: true
  # spec.map.json
  map:
    /access_token: /credentials/access_token
    /auth/client_id: /credentials/client_id
    "": /legacy

streams:
  # airbyte-to-flow's names of collections and cursors, for captures that run already
  conventions: airbyte-to-flow
  # selected_streams.json
  select:
  - users
  - Reports/Daily Sales
  - events
  # omitted_streams.json
  omit:
  - internal_log
  - what\?
  # the files in streams/
  overrides:
    Reports/Daily Sales:
      normalize:
        /day: datetime-to-date
    Reports/DailySales:
      schemaPatch:
        properties:
          day:
            type: string
      key:
      - /day
    users:
      normalize:
        /born: datetime-to-date
      schemaPatch:
        properties:
          name:
            type:
            - string
            - "null"
            description: patched
          gone: null
      key:
      - /shop_id
      - /address/zip

schema:
  # airbyte-to-flow published the source's schemas, and sent no others
  mode: source
  sourced: false
  # schema_normalizations.json
  dateToDatetime: true

document:
  # airbyte-to-flow left documents as they are
  meta: none

read:
  # airbyte-to-flow read with the collections' schemas
  discoverOnOpen: never
  # run_interval_minutes.json
  minInterval: 45m
"#);
}

#[test]
fn a_shim_yaml_is_never_overwritten() {
    let folder = AtfFolder::fixture("wildcards");
    folder.write("shim.yaml", "command: [mine]\n");
    let run = import(&folder, &["."]);
    assert_eq!(run.code, 2);
    assert!(run.last_words().contains("exists already"), "{}", run.last_words());
    assert_eq!(folder.read("shim.yaml"), "command: [mine]\n");
}

#[test]
fn a_folder_without_such_files_is_refused() {
    let folder = AtfFolder::empty();
    let run = import(&folder, &["."]);
    assert_eq!(run.code, 2);
    assert!(run.last_words().contains("spec.patch.json"), "{}", run.last_words());
    assert!(!Path::new(&folder.path()).join("shim.yaml").exists());
}

#[test]
fn a_malformed_file_is_named() {
    let folder = AtfFolder::fixture("wildcards");
    folder.write("spec.patch.json", "{");
    let run = import(&folder, &["."]);
    assert_eq!(run.code, 3);
    assert!(run.last_words().contains("spec.patch.json: line 1"), "{}", run.last_words());
}
