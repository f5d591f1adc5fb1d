//! The manifests under shims/, run by a real CDK: each is discovered, read and resumed against an API
//! that behaves as its vendor's does, with a rate limit, a failure in the middle, tokens that expire,
//! and pages with nothing on them (tests/environment/vendors.py).

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::environment::{installed, leave_out};
use crate::harness::{Connector, Run, discover, open, repository, spec};
use crate::rotation::{service, updates};

/// The vendors' APIs.
struct Vendors {
    server: Child,
    url: String,
}

impl Vendors {
    fn start() -> Option<Self> {
        let script = repository("tests/environment/vendors.py");
        let server = Command::new("python3").arg(script).arg("0").stdout(Stdio::piped()).spawn();
        let mut server = match server {
            Ok(server) => server,
            Err(error) => {
                leave_out("the vendors' APIs", &format!("python3: {error}"));
                return None;
            }
        };
        let mut url = String::new();
        BufReader::new(server.stdout.take().expect("a pipe")).read_line(&mut url).expect("a line");
        Some(Self { server, url: url.trim().to_owned() })
    }
}

impl Drop for Vendors {
    fn drop(&mut self) {
        // A server that has ended already needs no end.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A shim that is run by the CDK that all of them share.
struct Shim {
    vendors: Vendors,
    connector: Connector,
    config: Value,
    bindings: Vec<Value>,
}

/// Documents by stream.
type Documents = BTreeMap<String, Vec<Value>>;

impl Shim {
    /// Discovers the streams with this config, in which `VENDORS` stands for the APIs' address.
    fn discovered(name: &str, config: &Value) -> Option<Self> {
        let cdk = installed("source-declarative-manifest")?.join(".venv/bin");
        let vendors = Vendors::start()?;
        let config = config.to_string().replace("VENDORS", &vendors.url);
        let config: Value = serde_json::from_str(&config).expect("JSON");
        let folder = repository("shims").join(name);
        let path = std::env::join_paths([cdk, "/usr/bin".into(), "/bin".into()]).expect("a path");
        let connector = Connector::new(&["run", "--shim", folder.to_str().expect("UTF-8")])
            .variable("PATH", path.to_str().expect("UTF-8"));
        let found = connector.run(&[spec(), discover(&config)]).succeeded().only("discovered");
        let binding = |binding: &Value| {
            json!({
                "resourceConfig": binding["resourceConfig"],
                "resourcePath": binding["resourcePath"],
                "stateKey": binding["resourcePath"][0],
                "collection": {
                    "name": format!("acmeCo/{}", binding["recommendedName"].as_str().expect("a name")),
                    "key": binding["key"],
                    "writeSchema": binding["documentSchema"],
                },
            })
        };
        let bindings = found["bindings"].as_array().expect("bindings").iter().map(binding).collect();
        Some(Self { vendors, connector, config, bindings })
    }

    /// Reads all streams from this state.
    fn read(&self, state: &Value) -> (Run, Documents) {
        let request = open(self.config.clone(), &self.bindings, state.clone());
        let run = self.connector.run(&[spec(), request]).succeeded();
        assert_eq!(run.uncommitted(), 0, "all is committed");
        let name =
            |index: usize| self.bindings[index]["resourcePath"][0].as_str().expect("a name").to_owned();
        let documents = (0..self.bindings.len()).map(|i| (name(i), run.documents(i as u64))).collect();
        (run, documents)
    }

    /// Reads twice; the counts of both.
    fn twice(&self) -> [BTreeMap<String, usize>; 2] {
        let (run, first) = self.read(&json!({}));
        let (_, second) = self.read(&run.state(json!({})));
        [first, second].map(|all| all.into_iter().map(|(name, found)| (name, found.len())).collect())
    }

    fn requests(&self) -> Vec<Value> {
        let answer = Command::new("python3")
            .args([
                "-c",
                "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())",
            ])
            .arg(format!("{}/requests", self.vendors.url))
            .output()
            .expect("python3 runs");
        serde_json::from_slice(&answer.stdout).expect("JSON")
    }
}

fn counts(counts: &[(&str, usize)]) -> BTreeMap<String, usize> {
    counts.iter().map(|&(name, count)| (name.to_owned(), count)).collect()
}

const MONTHS: [&str; 2] = ["2024-01-01T00:00:00Z", "2024-02-29T23:59:59Z"];

#[test]
fn stripe_is_read_in_slices_behind_a_cursor_and_resumed() {
    let config = json!({"secret_key": "sk_test_fake", "start_date": MONTHS[0], "end_date": MONTHS[1], "api_url": "VENDORS/stripe"});
    let Some(shim) = Shim::discovered("source-stripe", &config) else { return };
    let [first, second] = shim.twice();
    let streams = ["charges", "customers", "events", "invoices"];
    let expected = |each: usize| {
        streams.map(|name| (name.to_owned(), each)).into_iter().chain([("products".to_owned(), 60)]).collect()
    };
    assert_eq!([first, second], [expected(60), expected(1)], "the cursor is inclusive");
}

#[test]
fn airtables_tokens_that_work_once_are_renewed_stored_and_used() {
    let credentials = json!({"auth_method": "oauth2.0", "client_id": "id", "client_secret": "s3cret-s3cret", "refresh_token": "fake-refresh-0"});
    let config = json!({"credentials": credentials, "api_url": "VENDORS/airtable", "oauth_url": "VENDORS/airtable/oauth2/v1/token"});
    let Some(mut shim) = Shim::discovered("source-airtable", &config) else { return };
    let (url, bodies) = service();
    shim.connector = shim.connector.variable("ENCRYPTION_URL", &url);
    let (run, first) = shim.read(&json!({}));
    let found: Vec<usize> = ["bases", "tables", "records"].iter().map(|name| first[*name].len()).collect();
    assert_eq!(found, [2, 2, 50]);
    assert!(!updates(&run).is_empty(), "Flow stores each renewed token");
    // As Flow would, with what it stored.
    let stored = bodies.try_iter().last().expect("a config");
    assert!(!stored.to_string().contains("__injected"), "{stored}");
    shim.config = stored["config"].clone();
    assert_ne!(shim.config["credentials"]["refresh_token"], "fake-refresh-0");
    let (_, second) = shim.read(&run.state(json!({})));
    assert_eq!(second["records"].len(), 50, "a refresh, with the newest token");
    assert!(!format!("{:?}", run.logs).contains("refresh-1"), "no token is logged");
}

#[test]
fn hubspot_is_searched_week_by_week_and_resumed() {
    let config = json!({"access_token": "pat-fake", "start_date": MONTHS[0], "end_date": MONTHS[1], "api_url": "VENDORS/hubspot"});
    let Some(shim) = Shim::discovered("source-hubspot", &config) else { return };
    let expected = |each| counts(&[("companies", each), ("contacts", each), ("deals", each), ("owners", 2)]);
    assert_eq!(shim.twice(), [expected(40), expected(1)]);
}

#[test]
fn google_sheets_rows_are_made_by_a_component_of_its_own() {
    let credentials =
        json!({"client_id": "id", "client_secret": "s3cret-s3cret", "refresh_token": "fake-refresh-0"});
    let config = json!({"spreadsheet_id": "sh1", "credentials": credentials, "api_url": "VENDORS/sheets", "oauth_url": "VENDORS/sheets/token"});
    let Some(shim) = Shim::discovered("source-google-sheets", &config) else { return };
    let (run, first) = shim.read(&json!({}));
    assert_eq!(first["sheets"].len(), 2);
    let rows: Vec<Value> =
        first["rows"].iter().map(|row| json!([row["sheet"], row["row"], row["values"]])).collect();
    assert_eq!(
        rows,
        [
            json!(["Täglich & mehr", 2, {"Name": "a", "Count": 1, "column_3": true, "Name_4": "x"}]),
            json!(["Täglich & mehr", 4, {"Name": "b", "Count": 2.5}]),
            json!(["Täglich & mehr", 5, {"Name": "c"}]),
        ]
    );
    let (_, second) = shim.read(&run.state(json!({})));
    assert_eq!(second["rows"].len(), 3);
}

#[test]
fn gitlabs_issues_keep_a_state_for_each_project() {
    let config = json!({"token": "glpat-fake", "start_date": MONTHS[0], "api_url": "VENDORS/gitlab"});
    let Some(shim) = Shim::discovered("source-gitlab", &config) else { return };
    let (run, first) = shim.read(&json!({}));
    assert_eq!([first["projects"].len(), first["issues"].len(), first["merge_requests"].len()], [2, 53, 50]);
    let state = run.state(json!({}));
    let kept = state["bindingStateV1"]["issues"].to_string();
    assert!(kept.contains("2024-02-09") && kept.contains("2024-01-03"), "{kept}");
    let (_, second) = shim.read(&state);
    assert_eq!([second["issues"].len(), second["merge_requests"].len()], [2, 1], "the last of each project");
}

#[test]
fn pinterests_reports_are_made_and_downloaded() {
    let config = json!({
        "client_id": "id", "client_secret": "s3cret-s3cret", "refresh_token": "fake-refresh-0",
        "start_date": "2024-01-01", "end_date": "2024-02-14", "api_url": "VENDORS/pinterest",
    });
    let Some(shim) = Shim::discovered("source-pinterest-reports", &config) else { return };
    let [first, second] = shim.twice();
    assert_eq!(first, counts(&[("ad_accounts", 1), ("campaign_report", 45)]));
    assert_eq!(second, counts(&[("ad_accounts", 1), ("campaign_report", 1)]));
    let asked = |request: &Value| request["body"]["start_date"].as_str().map(str::to_owned);
    let jobs: Vec<String> = shim.requests().iter().filter_map(asked).collect();
    assert_eq!(jobs.last().map(String::as_str), Some("2024-02-14"), "{jobs:?}");
}

#[test]
fn pagerdutys_lists_go_on_at_an_offset() {
    let config = json!({"token": "pd-fake", "start_date": MONTHS[0], "end_date": MONTHS[1], "api_url": "VENDORS/pagerduty"});
    let Some(shim) = Shim::discovered("source-pagerduty", &config) else { return };
    let expected = |incidents| counts(&[("incidents", incidents), ("services", 50), ("users", 50)]);
    assert_eq!(shim.twice(), [expected(50), expected(1)]);
}

#[test]
fn pokeapis_berries_are_asked_for_one_by_one() {
    let Some(shim) = Shim::discovered("source-pokeapi", &json!({"api_url": "VENDORS/pokeapi"})) else {
        return;
    };
    let expected = counts(&[("berries", 25), ("berry_details", 25)]);
    assert_eq!(shim.twice(), [expected.clone(), expected]);
}
