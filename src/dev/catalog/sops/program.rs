//! The `sops` program, and what it is run for.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

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
    command.stdout(Stdio::piped());
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
    command.arg(file).env("EDITOR", "tee").env_remove("SOPS_EDITOR").stdout(Stdio::null());
    let output = run(command, text).map_err(|why| format!("cannot be encrypted{why}"))?;
    if output.status.success() || output.status.code() == Some(UNCHANGED) {
        return Ok(());
    }
    Err(format!("cannot be encrypted; sops says: {}", last_words(&output)))
}

fn run(mut command: Command, stdin: &str) -> Result<Output, String> {
    let program = command.get_program().to_owned();
    let failed = |error: std::io::Error| format!(": {}: {error}", program.display());
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    if let Some(mut pipe) = child.stdin.take() {
        // A program that fails early does not read; its exit says why.
        let _ = pipe.write_all(stdin.as_bytes());
    }
    child.wait_with_output().map_err(failed)
}

fn last_words(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("nothing").to_owned()
}
