//! Settings in the config of a flow.yaml that the connector does not know.

use std::path::Path;

use serde_json::Value;

use super::task::Task;
use crate::json::unknown::{self, Unknown};

/// What flow-shim and Flow read of a config themselves.
const OURS: [&str; 3] = ["/advanced", "/_atf_skip_interval", "/sops"];

/// Warns of settings that the connector's schema does not name, with their place in the file.
pub(crate) fn warn_of_unknown(task: &Task, schema: &[u8]) {
    let schema: Value = serde_json::from_slice(schema).unwrap_or_default();
    for Unknown { pointer, name, meant } in unknown::find(&task.config, &schema) {
        if OURS.contains(&pointer.as_str()) {
            continue;
        }
        let line = line_of(&task.config_file, &name).map(|line| format!(":{line}")).unwrap_or_default();
        let meant = meant.map(|meant| format!("; did you mean {meant:?}?")).unwrap_or_default();
        tracing::warn!("{}{line}: the connector has no setting {pointer}{meant}", task.config_file.display());
    }
}

/// The line of a member in a file, from 1; `None` where several members have this name.
fn line_of(file: &Path, name: &str) -> Option<usize> {
    let text = std::fs::read_to_string(file).ok()?;
    let names = |line: &str| {
        line.split(['{', ',']).any(|part| {
            let part = part.trim_start().trim_start_matches("- ").trim_start();
            let key = part.split_once(':').map_or("", |(key, _)| key.trim().trim_matches(['"', '\'']));
            key.strip_suffix("_sops").unwrap_or(key) == name
        })
    };
    let mut lines = text.lines().enumerate().filter(|(_, line)| names(line));
    let (line, _) = lines.next()?;
    lines.next().is_none().then_some(line + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_told_where_it_is_the_only_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("flow.yaml");
        let text = "a:\n  config: {cuont: 1, \"x\": 2}\n  key_sops: ENC\nb: {x: 3}\n";
        std::fs::write(&file, text).expect("written");
        assert_eq!(line_of(&file, "cuont"), Some(2));
        assert_eq!(line_of(&file, "key"), Some(3));
        assert_eq!(line_of(&file, "x"), None);
        assert_eq!(line_of(&file, "y"), None);
    }
}
