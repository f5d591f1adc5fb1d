//! What a shim and its upstream offer: the specification and the streams, from a recording that is
//! played, or from upstream itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::airbyte::{self, Airbyte};
use crate::capture::config::secrets;
use crate::capture::config::shape::{Way, to_upstream_unchecked};
use crate::capture::protocol::{UpstreamProtocol, UpstreamSpec};
use crate::capture::shutdown::Shutdown;
use crate::failure::Failure;
use crate::flow::codec::Codec;
use crate::oauth::spec::consent;
use crate::shim::command::CommandLine;
use crate::shim::definition::{Definition, ProtocolName};
use crate::shim::manifest::{self, Manifest};
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
    /// Streams of a manifest that only a discovery shows; without a name, any other stream.
    pub(super) undeclared: Vec<String>,
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
        manifest: Option<&Arc<Manifest>>,
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
        let command = CommandLine { argv, folder: None };
        let mut connector = connector(command, definition, manifest, shutdown);
        connector.definition.protocol = Some(protocol);
        let mut known = Self {
            protocol,
            spec: None,
            streams: None,
            undeclared: Vec::new(),
            recording: Some(folder.to_owned()),
        };
        if has(spec) || manifest.is_some() {
            known.ask_for_spec(&connector).await?;
        }
        if has(discover) {
            known.ask_for_streams(&connector, &json!({})).await?;
        }
        Ok(Some(known))
    }

    /// What a manifest says by itself. Streams are left out where only a discovery shows them.
    pub(super) fn declared(manifest: &Manifest, definition: &Definition) -> Result<Self, Failure> {
        let spec = airbyte::manifest::spec(manifest, airbyte::manifest::Wanted::by(definition))?;
        let declared = airbyte::manifest::streams(manifest.tree()?)
            .map_err(|why| manifest::failed(&manifest.file, &why))?;
        for (name, why) in &declared.unknown {
            tracing::info!(stream = name, "left out, because only a discovery can show it: {why}");
        }
        Ok(Self {
            protocol: ProtocolName::Airbyte,
            spec: Some(spec),
            streams: Some(upstream::offered(&Airbyte::default(), definition, declared.streams)),
            undeclared: declared.unknown.into_iter().map(|(name, _)| name).collect(),
            recording: None,
        })
    }

    /// Asks an upstream for its specification, and for its streams with an endpoint config, where there is
    /// one.
    pub(super) async fn asked(connector: &mut Connector, config: Option<&Value>) -> Result<Self, Failure> {
        let protocol = upstream::protocol(connector).await?;
        connector.definition.protocol = Some(protocol);
        let mut known = Self { protocol, spec: None, streams: None, undeclared: Vec::new(), recording: None };
        known.ask_for_spec(connector).await?;
        if let Some(config) = config {
            let config = known.reshaped(&connector.definition, config)?;
            known.ask_for_streams(connector, &config).await?;
        }
        Ok(known)
    }

    async fn ask_for_spec(&mut self, connector: &Connector) -> Result<(), Failure> {
        let (_, spec) = upstream::spec(connector).await.map_err(|f| f.while_doing("spec"))?;
        self.spec = Some(spec);
        Ok(())
    }

    async fn ask_for_streams(&mut self, connector: &Connector, config: &Value) -> Result<(), Failure> {
        let streams = upstream::discover(connector, self.protocol, config).await;
        self.streams = Some(streams.map_err(|f| f.while_doing("discover"))?);
        Ok(())
    }

    /// An endpoint config in upstream's own shape; both keep their secrets out of the log.
    fn reshaped(&self, definition: &Definition, config: &Value) -> Result<Value, Failure> {
        let spec = self.spec.as_ref();
        let upstreams = spec.and_then(UpstreamSpec::config_schema);
        let described = spec.and_then(|spec| spec.consent_flow.as_ref());
        let schema = definition.config.seen(upstreams.clone()).unwrap_or_default();
        let consent = consent(definition.oauth2.as_ref(), described, schema)?;
        let seen = &consent.config_schema;
        secrets::hide(seen, config);
        let way = Way { consent: consent.moves, moves: definition.config.map.0.clone() };
        let config = to_upstream_unchecked(config.clone(), seen, upstreams.as_ref(), &way)?;
        secrets::hide(upstreams.as_ref().unwrap_or(seen), &config);
        Ok(config)
    }

    /// Whether a stream may be there although it is not among the known ones.
    pub(super) fn may_have(&self, stream: &str) -> bool {
        self.undeclared.iter().any(|name| name.is_empty() || name == stream)
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
    command: CommandLine,
    definition: &Definition,
    manifest: Option<&Arc<Manifest>>,
    shutdown: &Shutdown,
) -> Connector {
    Connector {
        definition: definition.clone(),
        command,
        baked: None,
        manifest: manifest.cloned(),
        limits: true,
        codec: Codec::Json,
        shutdown: shutdown.clone(),
        encrypt: None,
    }
}

/// The config schema that people see, before consent adds to it; `None` where it is not known.
pub(super) fn config_schema(definition: &Definition, spec: Option<&UpstreamSpec>) -> Option<Value> {
    definition.config.seen(spec.and_then(UpstreamSpec::config_schema))
}
