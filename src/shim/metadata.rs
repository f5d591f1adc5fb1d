//! What a source's own `metadata.yaml`, in the shim's folder, declares of its data channel.

use std::path::Path;

use serde_json::Value;

use super::read::DataChannel;
use crate::failure::{Code, Failure};

/// The file, as it is called in the source's repository.
const FILE: &str = "metadata.yaml";
/// The version of the data channel that is spoken here.
const VERSION: &str = "0.0.2";

/// What the file declares; `auto` where it declares nothing that can be used.
pub(super) fn data_channel(folder: &Path) -> Result<DataChannel, Failure> {
    let file = folder.join(FILE);
    let Ok(text) = std::fs::read_to_string(&file) else { return Ok(DataChannel::Auto) };
    let metadata: Value = serde_saphyr::from_str(&text).map_err(|_| {
        Failure::new(
            Code::METADATA_YAML,
            format!(
                "{} is no YAML; replace it by the one of the source's repository, or remove it",
                file.display()
            ),
        )
    })?;
    Ok(declared(&metadata).unwrap_or_default())
}

fn declared(metadata: &Value) -> Option<DataChannel> {
    let options = metadata.pointer("/data/connectorIPCOptions").or(metadata.get("connectorIPCOptions"));
    let channel = &options?["dataChannel"];
    let lists = |list: &str, word: &str| {
        channel[list].as_array().is_some_and(|words| words.iter().any(|listed| listed == word))
    };
    if !lists("supportedTransport", "SOCKET") {
        return None;
    }
    let version = channel["version"].as_str().unwrap_or_default();
    if version != VERSION {
        tracing::info!(
            "{FILE} declares a data channel of version {version:?}, and {VERSION:?} is spoken here: records are read \
             from stdout; `read.dataChannel` says otherwise"
        );
        return None;
    }
    let forms = [("PROTOBUF", DataChannel::Protobuf), ("JSONL", DataChannel::Jsonl)];
    forms.into_iter().find(|(word, _)| lists("supportedSerialization", word)).map(|(_, form)| form)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn protobuf_is_preferred_and_sockets_are_needed() {
        let metadata = |version: &str, forms: &[&str], ways: &[&str]| {
            let channel =
                json!({"version": version, "supportedSerialization": forms, "supportedTransport": ways});
            json!({"data": {"connectorIPCOptions": {"dataChannel": channel}}})
        };
        let both = ["STDIO", "SOCKET"];
        for (metadata, expected) in [
            (metadata("0.0.2", &["JSONL", "PROTOBUF"], &both), Some(DataChannel::Protobuf)),
            (metadata("0.0.2", &["JSONL"], &both), Some(DataChannel::Jsonl)),
            (metadata("0.0.2", &["ARROW"], &both), None),
            (metadata("0.0.1", &["JSONL"], &both), None),
            (metadata("0.0.2", &["JSONL"], &["STDIO"]), None),
            (json!({"data": {"name": "MySQL"}}), None),
            (json!("text"), None),
        ] {
            assert_eq!(declared(&metadata), expected, "{metadata}");
        }
    }

    #[test]
    fn a_file_that_is_no_yaml_is_an_error_and_none_is_none() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(data_channel(folder.path()).ok(), Some(DataChannel::Auto));
        std::fs::write(folder.path().join(FILE), "{").expect("written");
        assert!(data_channel(folder.path()).is_err());
    }
}
