//! The `sops` program, and what it is run for.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::dev::subprocess;
use crate::env;

/// The exit code with which sops says that an edit changed nothing.
const UNCHANGED: i32 = 200;

/// The program, where it is there.
pub(super) fn find() -> Option<PathBuf> {
    env::program("sops")
}

/// The config in the clear.
pub(super) fn decrypt(program: &Path, config: &Value) -> Result<Value, String> {
    let mut command = Command::new(program);
    command.args(["--decrypt", "--input-type", "json", "--output-type", "json", "/dev/stdin"]);
    let output = run(command, &config.to_string()).map_err(|why| format!("cannot be decrypted{why}"))?;
    if !output.status.success() {
        return Err(format!("cannot be decrypted; sops says: {}", last_words(&output)));
    }
    serde_json::from_slice(&output.stdout).map_err(|_| "cannot be decrypted: sops printed no JSON".to_owned())
}

/// Has sops edit the file, with an editor that puts in what stands on its stdin: so the clear text is in
/// no argument and in no file but that which sops makes itself.
pub(super) fn edit(program: &Path, file: &Path, text: &str) -> Result<(), String> {
    let mut command = Command::new(program);
    command.arg(file).env("EDITOR", "tee").env_remove("SOPS_EDITOR");
    let output = run(command, text).map_err(|why| format!("cannot be encrypted{why}"))?;
    if output.status.success() || output.status.code() == Some(UNCHANGED) {
        return Ok(());
    }
    Err(format!("cannot be encrypted; sops says: {}", last_words(&output)))
}

fn run(mut command: Command, input: &str) -> Result<Output, String> {
    let output = subprocess::run(&mut command, input.as_bytes());
    output.map_err(|error| format!(": {}: {error}", command.get_program().display()))
}

/// Of stderr alone: stdout may hold clear text.
fn last_words(output: &Output) -> String {
    subprocess::last_line(&String::from_utf8_lossy(&output.stderr)).unwrap_or("nothing").to_owned()
}
