//! What a shim and its upstream offer: the specification and the streams, from a recording that is
//! played, or from upstream itself.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::airbyte::Airbyte;
use crate::capture::protocol::{UpstreamProtocol, UpstreamSpec};
use crate::capture::shutdown::Shutdown;
use crate::failure::Failure;
use crate::flow::codec::Codec;
use crate::json::merge_patch;
use crate::shim::command::CommandLine;
use crate::shim::definition::{Definition, ProtocolName};
use crate::singer::Singer;
use crate::upstream::{self, Connector, Offered};

/// The folders of a shim that may hold a recording.
const RECORDINGS: [&str; 2] = ["recorded", "transcript"];

/// What is offered.
#[derive(Debug)]
pub(super) struct Known {
    /// What upstream speaks.
    pub(super) protocol: ProtocolName,
    /// `None` where it was not recorded.
    pub(super) spec: Option<UpstreamSpec>,
    /// `None` where they were not recorded.
    pub(super) streams: Option<Vec<Offered>>,
    /// The folder of the recording; `None` where upstream itself was asked.
    pub(super) recording: Option<PathBuf>,
}

/// The recording in a shim's folder; `None` where there is none.
pub(super) fn recording(shim: &Path) -> Option<PathBuf> {
    RECORDINGS.into_iter().map(|name| shim.join(name)).find(|folder| recorded_protocol(folder).is_some())
}

/// What a recording's upstream speaks; `None` where the folder is no recording.
pub(super) fn recorded_protocol(folder: &Path) -> Option<ProtocolName> {
    let has = |names: [&str; 2]| names.iter().any(|name| folder.join(name).is_file());
    if has(["spec.jsonl", "discover.jsonl"]) {
        Some(ProtocolName::Airbyte)
    } else if has(["about.json", "discover.json"]) {
        Some(ProtocolName::Singer)
    } else {
        None
    }
}

impl Known {
    /// Plays a recording as the upstream of this definition; `None` where the folder is none.
    pub(super) async fn recorded(
        folder: &Path,
        definition: &Definition,
        shutdown: &Shutdown,
    ) -> Result<Option<Self>, Failure> {
        let Some(recorded) = recorded_protocol(folder) else { return Ok(None) };
        let protocol = definition.protocol.unwrap_or(recorded);
        let (spec, discover) = match protocol {
            ProtocolName::Airbyte => ("spec.jsonl", "discover.jsonl"),
            ProtocolName::Singer => ("about.json", "discover.json"),
        };
        let has = |name: &str| folder.join(name).is_file();
        let argv = ["flow-shim", "replay", &folder.to_string_lossy()].map(str::to_owned).to_vec();
        let asked = Asked { spec: has(spec), config: has(discover).then(|| json!({})) };
        let mut known = Self::ask(argv, None, definition, protocol, asked, shutdown).await?;
        known.recording = Some(folder.to_owned());
        Ok(Some(known))
    }

    /// Asks an upstream.
    pub(super) async fn ask(
        argv: Vec<String>,
        folder: Option<PathBuf>,
        definition: &Definition,
        protocol: ProtocolName,
        asked: Asked,
        shutdown: &Shutdown,
    ) -> Result<Self, Failure> {
        let mut connector = connector(argv, folder, definition, shutdown);
        connector.definition.protocol = Some(protocol);
        let spec = if asked.spec {
            Some(upstream::spec(&connector).await.map_err(|f| f.while_doing("spec"))?.1)
        } else {
            None
        };
        let streams = match &asked.config {
            Some(config) => {
                let streams = upstream::discover(&connector, protocol, config).await;
                Some(streams.map_err(|f| f.while_doing("discover"))?)
            }
            None => None,
        };
        Ok(Self { protocol, spec, streams, recording: None })
    }

    /// Where a resource config has its resource path.
    pub(super) fn path_pointers(&self) -> Vec<String> {
        let pointers = match self.protocol {
            ProtocolName::Airbyte => Airbyte::default().resource_spec().path_pointers,
            ProtocolName::Singer => Singer::default().resource_spec().path_pointers,
        };
        pointers.iter().map(|&pointer| pointer.to_owned()).collect()
    }

    /// Whether a stream can be read with a resource config; the error says how it can.
    pub(super) fn supports(&self, (stream, _): &Offered, resource: &Value) -> Result<(), String> {
        match self.protocol {
            ProtocolName::Airbyte => Airbyte::default().supports(stream, resource),
            ProtocolName::Singer => Singer::default().supports(stream, resource),
        }
    }
}

/// An upstream that can be asked.
pub(super) fn connector(
    argv: Vec<String>,
    folder: Option<PathBuf>,
    definition: &Definition,
    shutdown: &Shutdown,
) -> Connector {
    Connector {
        definition: definition.clone(),
        command: CommandLine { argv, folder },
        baked: None,
        limits: true,
        codec: Codec::Json,
        shutdown: shutdown.clone(),
        encrypt: None,
    }
}

/// What an upstream is asked for.
#[derive(Debug)]
pub(super) struct Asked {
    /// The specification.
    pub(super) spec: bool,
    /// The streams, with this config; `None` for not.
    pub(super) config: Option<Value>,
}

/// The config schema that people see, before consent adds to it; `None` where it is not known.
pub(super) fn config_schema(definition: &Definition, spec: Option<&UpstreamSpec>) -> Option<Value> {
    let upstreams = || spec.and_then(|spec| spec.config_schema.clone());
    let mut schema = definition.config.schema.clone().or_else(upstreams)?;
    if let Some(patch) = &definition.config.schema_patch {
        merge_patch::apply(&mut schema, patch);
    }
    Some(schema)
}
