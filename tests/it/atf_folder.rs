//! Connector folders in airbyte-to-flow's layout, with an upstream that keeps what it is called with.

use std::path::Path;

use serde_json::Value;

use crate::harness::{Connector, Run, repository};

/// Keeps its files beside the shim, and answers from others.
const UPSTREAM: &str = r#"here=$(dirname "$0")
if [ "$2" = --config ]; then cp "$3" "$here/seen-$1.json"; fi
cat "$here/$1.jsonl"
"#;
const SPEC: &str = r#"{"type":"SPEC","spec":{"documentationUrl":"https://docs.example.com","connectionSpecification":{"type":"object","additionalProperties":false,
"required":["access_token","start_date"],"properties":{
"access_token":{"type":"string","airbyte_secret":true},
"auth":{"type":"object","properties":{"client_id":{"type":"string"}}},
"start_date":{"type":"string"},
"page_size":{"type":"integer","default":100}}}}}"#;
const CATALOG: &str = r#"{"type":"CATALOG","catalog":{"streams":[
{"name":"users","json_schema":{"type":"object","properties":{"id":{"type":["null","integer"]},"shop_id":{"type":"integer"},"address":{"type":"object","properties":{"zip":{"type":"string"}}},"born":{"type":"string","format":"date"},"gone":{"type":"string"}}},"supported_sync_modes":["full_refresh","incremental"],"source_defined_primary_key":[["id"]],"default_cursor_field":["updated_at"]},
{"name":"Reports/Daily Sales","json_schema":{"type":"object","properties":{"id":{"type":"integer"},"day":{"type":["null","string"],"format":"date"}}},"supported_sync_modes":["full_refresh"]},
{"name":"events","json_schema":{"type":"object","properties":{"id":{"type":"integer"},"at":{"type":"string","enum":["a","b"]}}},"supported_sync_modes":["full_refresh"],"source_defined_primary_key":[["id"]]},
{"name":"whatx","json_schema":{"type":"object","properties":{"id":{"type":"string"}}},"supported_sync_modes":["full_refresh"],"source_defined_primary_key":[["id"]]},
{"name":"internal_log","json_schema":{"type":"object","properties":{"id":{"type":"string"}}},"supported_sync_modes":["full_refresh"],"source_defined_primary_key":[["id"]]}]}}"#;

/// A connector's folder, in which the connector runs.
pub(crate) struct AtfFolder {
    connector: Connector,
}

impl AtfFolder {
    /// One without any of airbyte-to-flow's files.
    pub(crate) fn empty() -> Self {
        let folder = Self { connector: Connector::new(&["run", "--", "sh", "up.sh"]) };
        folder.write("up.sh", UPSTREAM);
        folder.write("spec.jsonl", &SPEC.replace('\n', ""));
        folder.write(
            "check.jsonl",
            "{\"type\":\"CONNECTION_STATUS\",\"connectionStatus\":{\"status\":\"SUCCEEDED\"}}\n",
        );
        folder.write("discover.jsonl", &CATALOG.replace('\n', ""));
        folder.write("read.jsonl", "");
        folder
    }

    /// One with the files of a folder under `fixtures/atf`.
    pub(crate) fn fixture(name: &str) -> Self {
        let folder = Self::empty();
        copy(&repository("fixtures/atf").join(name), Path::new(&folder.path()));
        folder
    }

    pub(crate) fn path(&self) -> String {
        self.connector.folder_path()
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        self.write_bytes(file, text.as_bytes());
    }

    pub(crate) fn write_bytes(&self, file: &str, bytes: &[u8]) {
        let path = Path::new(&self.path()).join(file);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, bytes).expect("a written file");
    }

    pub(crate) fn read(&self, file: &str) -> String {
        std::fs::read_to_string(Path::new(&self.path()).join(file)).expect("a file")
    }

    /// Runs the connector in the folder.
    pub(crate) fn run(&self, requests: &[Value]) -> Run {
        self.connector.run(requests)
    }

    /// The same with airbyte-to-flow's command line.
    pub(crate) fn entrypoint(self) -> Self {
        let Self { connector } = self;
        Self { connector: connector.with_arguments(&["--connector-entrypoint", "sh up.sh"]) }
    }

    /// The config with which upstream was called for this command.
    pub(crate) fn seen(&self, command: &str) -> Value {
        let text = self.read(&format!("seen-{command}.json"));
        serde_json::from_str(&text).expect("JSON")
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            std::fs::create_dir_all(&target).expect("a folder");
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).expect("a copied file");
        }
    }
}

/// The bindings of a Discover answer.
pub(crate) fn streams(run: &Run) -> Vec<Value> {
    run.only("discovered")["bindings"].as_array().expect("bindings").clone()
}
