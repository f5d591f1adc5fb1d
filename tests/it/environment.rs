//! What tests of real connectors need: Python environments, PostgreSQL, an HTTP API. Each is
//! installed or started here, on loopback; what a machine cannot have is left out loudly, and is a
//! failure where `FLOW_SHIM_REQUIRE_ALL=1`.

#![expect(clippy::disallowed_methods, reason = "tests look at the setting of .ci/run")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, OnceLock};

use crate::harness::{flow_shim, repository};

/// Says that a test is left out, and why.
pub(crate) fn leave_out(what: &str, why: &str) {
    assert!(
        std::env::var_os("FLOW_SHIM_REQUIRE_ALL").is_none_or(|value| value != "1"),
        "{what} cannot be tested here, and FLOW_SHIM_REQUIRE_ALL=1: {why}"
    );
    impossible_here(what, why);
}

/// The same of a test that `.ci/run` does not demand either: some machines cannot run it whatever it
/// installs, or it needs what only few have.
pub(crate) fn impossible_here(what: &str, why: &str) {
    // Not `eprintln!`: the test runner would swallow it.
    let _ = writeln!(std::io::stderr(), "\n!!! LEFT OUT: {what}\n!!! because: {why}\n");
}

/// Whether there is Python for this; where there is none, it says what is left out.
pub(crate) fn has_python(what: &str) -> bool {
    let found = Command::new("python3").arg("--version").output().is_ok();
    if !found {
        leave_out(what, "there is no python3");
    }
    found
}

/// The end of what a program said on stderr.
pub(crate) fn last_words(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    said.lines().rev().take(5).collect::<Vec<_>>().join(" | ")
}

/// Installs a shim's connector, once for each shim; `None` where that cannot be.
pub(crate) fn installed(shim: &str) -> Option<PathBuf> {
    static INSTALLED: OnceLock<Mutex<HashMap<String, Result<(), String>>>> = OnceLock::new();
    let folder = repository("shims").join(shim);
    let mut known =
        INSTALLED.get_or_init(Mutex::default).lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let result = known.entry(shim.to_owned()).or_insert_with(|| {
        let output = flow_shim(&["install"]).arg(&folder).output().expect("the program runs");
        if output.status.success() { Ok(()) } else { Err(last_words(&output)) }
    });
    match result {
        Ok(()) => Some(folder),
        Err(why) => {
            leave_out(&format!("shims/{shim}"), why);
            None
        }
    }
}

/// A PostgreSQL server with the database of `tests/environment/shop.sql`.
pub(crate) struct Postgres {
    folder: tempfile::TempDir,
    pub(crate) port: u16,
}

impl Postgres {
    /// A server of the test's own; `None` where that cannot be.
    pub(crate) fn start() -> Option<Self> {
        static INSTALL: Mutex<()> = Mutex::new(());
        let folder = tempfile::Builder::new().prefix("fs-pg").tempdir_in("/tmp").expect("a folder");
        let port = free_port();
        let output = {
            let _one_at_a_time = INSTALL.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            Self::script(&["start", &path(folder.path()), &port.to_string()])
        };
        if output.status.success() {
            Some(Self { folder, port })
        } else {
            leave_out("PostgreSQL with wal2json", &last_words(&output));
            None
        }
    }

    /// Runs SQL.
    pub(crate) fn execute(&self, sql: &str) {
        let output = Self::script(&["psql", &path(self.folder.path()), "-c", sql]);
        assert!(output.status.success(), "{sql}: {}", last_words(&output));
    }

    /// The one value that a query gives.
    pub(crate) fn query(&self, sql: &str) -> String {
        let output = Self::script(&["psql", &path(self.folder.path()), "-t", "-A", "-c", sql]);
        assert!(output.status.success(), "{sql}: {}", last_words(&output));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn script(arguments: &[&str]) -> Output {
        let script = repository("tests/environment/postgres.sh");
        Command::new("bash").arg(script).args(arguments).stdin(Stdio::null()).output().expect("bash runs")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        Self::script(&["stop", &path(self.folder.path())]);
    }
}

fn path(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// The HTTP API of `tests/environment/http_source.py`.
pub(crate) struct Api {
    server: Child,
    pub(crate) url: String,
}

impl Api {
    /// Starts it on a free port; `None` without Python.
    pub(crate) fn start() -> Option<Self> {
        let script = repository("tests/environment/http_source.py");
        let server =
            Command::new("python3").arg(script).arg("0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut server = match server {
            Ok(server) => server,
            Err(error) => {
                leave_out("the HTTP API", &format!("python3: {error}"));
                return None;
            }
        };
        let mut url = String::new();
        BufReader::new(server.stdout.take().expect("a pipe")).read_line(&mut url).expect("a line");
        Some(Self { server, url: url.trim().to_owned() })
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        // A server that has ended already needs no end.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
