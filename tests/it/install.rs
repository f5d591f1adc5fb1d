//! `install`: the environment of a shim, however it is made.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use flow_shim::env;

use crate::harness::flow_shim;

/// Stands for uv: notes how it is called, and makes an environment with nothing in it.
const UV: &str = r#"#!/bin/sh
echo "$*" >> "$CALLS"
case "$1" in venv) shift; for last; do :; done; mkdir -p "$last/bin"; ln -sf "$(command -v python3)" "$last/bin/python";; esac
"#;

struct Shim {
    folder: tempfile::TempDir,
}

impl Shim {
    fn new(requirements: &str) -> Self {
        let shim = Self { folder: tempfile::tempdir().expect("a folder") };
        shim.write("shim.yaml", "protocol: airbyte\ncommand: [sh]\n");
        shim.write("requirements.txt", requirements);
        shim.write("bin/uv", UV);
        let uv = shim.path().join("bin/uv");
        std::fs::set_permissions(uv, std::fs::Permissions::from_mode(0o755)).expect("executable");
        shim
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, text: &str) {
        let file = self.path().join(name);
        std::fs::create_dir_all(file.parent().expect("it has one")).expect("a folder");
        std::fs::write(file, text).expect("written");
    }

    fn run(&self, command: &mut Command) -> Output {
        let path = std::iter::once(self.path().join("bin"))
            .chain(std::env::split_paths(&env::path()))
            .collect::<Vec<_>>();
        command
            .env("PATH", std::env::join_paths(path).expect("a PATH"))
            .env("CALLS", self.path().join("calls"));
        command.output().expect("it runs")
    }

    /// Installs; how uv was called.
    fn install(&self, more: &[&str]) -> Vec<String> {
        let calls = self.path().join("calls");
        // There may be none yet.
        let _ = std::fs::remove_file(&calls);
        let output = self.run(flow_shim(&["install"]).arg(self.path()).args(more));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::read_to_string(&calls).unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

#[test]
fn uv_brings_what_venv_brings() {
    let shim = Shim::new("tap-x==1\n");
    let calls = shim.install(&[]);
    assert_eq!(calls.len(), 3, "{calls:?}");
    assert!(calls[1].ends_with(" pip setuptools<82"), "{calls:?}");
    assert!(calls[2].ends_with(" -r requirements.txt"), "{calls:?}");
    assert!(shim.install(&[]).is_empty(), "it is up to date");
    assert!(shim.install(&["--force"])[2].ends_with(" --refresh"), "a cached wheel does not do");
}

#[test]
fn an_edit_of_ones_own_code_is_installed_and_told_of() {
    let shim = Shim::new("./source_x\n");
    shim.write("source_x/pyproject.toml", "[project]\nname = 'source-x'\nversion = '1'\n");
    shim.write("source_x/main.py", "print(1)\n");
    let flow = format!(
        "captures:\n  a/x:\n    endpoint: {{local: {{command: [flow-shim, run, --shim, {}], config: {{}}}}}}\n    bindings: []\n",
        shim.path().display()
    );
    shim.write("test.flow.yaml", &flow);
    let told = |shim: &Shim| {
        let checked = shim.run(flow_shim(&["check"]).arg(shim.path()));
        let asked = shim.run(flow_shim(&["raw", "spec", "--source"]).arg(shim.path().join("test.flow.yaml")));
        [checked.stdout, asked.stderr]
            .map(|said| String::from_utf8_lossy(&said).contains("is not that of ./source_x"))
    };
    assert!(shim.install(&[])[2].ends_with(" --refresh"), "uv looks at no code");
    assert_eq!(told(&shim), [false, false]);
    shim.write("source_x/main.py", "print(2)\n");
    assert_eq!(told(&shim), [true, true]);
    assert_eq!(shim.install(&[]).len(), 3, "an edit is a change");
    assert_eq!(told(&shim), [false, false]);
    shim.write("source_x/__pycache__/main.pyc", "x");
    assert!(shim.install(&[]).is_empty());
}
