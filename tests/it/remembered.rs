//! What a tap says of itself is asked for once, as long as the same version of it is installed.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;

use crate::harness::{Connector, flow_shim, open, singer, spec};

/// A tap that notes how it is started. `ABOUT` is what it does when asked `--about`.
const TAP: &str = r#"#!/bin/sh
echo "$*" >> "$FLOW_SHIM_DIR/starts"
case "$*" in
  *--about*) ABOUT;;
  *--help*) echo 'usage: tap --config CONFIG --state STATE --properties PROPERTIES --catalog CATALOG --discover';;
  *--discover*) echo '{"streams":[{"tap_stream_id":"users","stream":"users","schema":{"properties":{}}}]}';;
  *) echo '{"type":"RECORD","stream":"users","record":{"id":1}}';;
esac
"#;

const SDK: &str = r#"echo '{"settings":{"properties":{}}}'"#;
const OTHER: &str = "echo 'tap: error: unrecognized arguments: --about' >&2; exit 2";

/// A shim with this tap installed in its virtual environment.
fn shim(about: &str) -> Connector {
    let connector = Connector::shim("protocol: singer\ncommand: [tap-x]\n", &[]);
    let folder = connector.folder_path();
    install(&folder, "1.0");
    let program = Path::new(&folder).join(".venv/bin/tap-x");
    std::fs::create_dir_all(program.parent().expect("a folder")).expect("made");
    std::fs::write(&program, TAP.replace("ABOUT", about)).expect("written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("executable");
    connector
}

fn install(folder: &str, version: &str) {
    let packages = Path::new(folder).join(".venv/lib/python3.11/site-packages");
    let _ = std::fs::remove_dir_all(&packages);
    let described = packages.join(format!("tap_x-{version}.dist-info"));
    std::fs::create_dir_all(&described).expect("made");
    std::fs::write(described.join("entry_points.txt"), "[console_scripts]\ntap-x = x:main\n")
        .expect("written");
}

/// Runs a session as Flow does; how often the tap was started for it.
fn starts(connector: &Connector) -> usize {
    let file = Path::new(&connector.folder_path()).join("starts");
    let _ = std::fs::remove_file(&file);
    let run =
        connector.run(&[spec(), open(json!({}), &[singer("users", "FULL_TABLE")], json!({}))]).succeeded();
    assert_eq!(run.documents(0).len(), 1);
    std::fs::read_to_string(file).expect("notes").lines().count()
}

#[test]
fn a_session_starts_a_tap_twice_once_it_is_known() {
    for (about, first) in [(SDK, 3), (OTHER, 4)] {
        let connector = shim(about);
        assert_eq!((starts(&connector), starts(&connector)), (first, 2), "{about}");
        install(&connector.folder_path(), "1.1");
        assert_eq!(starts(&connector), first, "another version is asked again");
    }
}

#[test]
fn bake_asks_for_all_that_is_remembered() {
    for about in [SDK, OTHER] {
        let connector = shim(about);
        let baked = flow_shim(&["bake", &connector.folder_path()]).output().expect("the program runs");
        assert!(baked.status.success(), "{}", String::from_utf8_lossy(&baked.stderr));
        assert_eq!(starts(&connector), 2, "{about}");
    }
}

#[test]
fn a_tap_without_about_is_warned_of_each_time() {
    let connector = shim(OTHER);
    for _ in 0..2 {
        assert!(connector.run(&[spec()]).succeeded().logged(Some("warn"), "config.schema"));
    }
}
