//! What a read needs to be known before it begins: the streams, their schemas, their states.

use std::collections::HashMap;

use serde_json::Value;

use super::bindings::BoundBinding;
use super::protocol::{BoundStream, DiscoveredStream, StreamId, UpstreamProtocol};
use super::schema;
use super::session::Session;
use super::state::CaptureState;
use super::takeover;
use crate::failure::Failure;
use crate::flow::message::CaptureSpec;
use crate::shim::read::DiscoverOnOpen;
use crate::shim::stream::stream_override;

/// What is known of the streams before any of them is read.
pub(super) struct Survey {
    pub(super) streams: Vec<BoundStream>,
    /// What the source says of the schema of each stream; `None` where it says nothing.
    pub(super) sourced: Vec<Option<Value>>,
    /// The whole fresh catalog, where there had to be one.
    pub(super) discovered: Option<Vec<DiscoveredStream>>,
}

impl<P: UpstreamProtocol> Session<P> {
    /// Learns what a read of these bindings takes; states of older connectors are taken over.
    pub(super) async fn survey(
        &mut self,
        capture: &CaptureSpec,
        bound: &[BoundBinding],
        state: &mut CaptureState,
    ) -> Result<Survey, Failure> {
        let config = self.config(&capture.config_json).await?;
        let carried: Vec<_> = bound
            .iter()
            .map(|binding| schema::carried(&binding.write_schema, self.definition.schema.mode))
            .collect();
        let schemas: Vec<Option<&Value>> = carried.iter().map(|(schema, _)| *schema).collect();
        let discovers = match self.definition.read.discover_on_open {
            DiscoverOnOpen::Auto => self.protocol.needs_discovery(&schemas),
            DiscoverOnOpen::Always => true,
            DiscoverOnOpen::Never => false,
        };
        let discovered =
            if discovers { Some(self.protocol.discover(&self.upstream, &config).await?) } else { None };
        let fresh: HashMap<&StreamId, &DiscoveredStream> =
            discovered.iter().flatten().map(|stream| (&stream.id, stream)).collect();
        let streams: Vec<BoundStream> = bound
            .iter()
            .zip(carried)
            .map(|(binding, (carried, source_stream))| {
                let id = &binding.resource.id;
                let patch = stream_override(&self.definition, &id.name, &id.to_string()).schema_patch;
                let fresh = fresh.get(id).map(|stream| schema::patched(&stream.schema, patch.as_ref()));
                BoundStream {
                    binding: binding.index,
                    id: binding.resource.id.clone(),
                    resource_config: binding.resource_config.clone(),
                    key: binding.key.clone(),
                    schema: fresh.unwrap_or_else(|| carried.unwrap_or(&binding.write_schema).clone()),
                    source_stream: source_stream.cloned(),
                }
            })
            .collect();
        let sourced = bound.iter().zip(&streams).map(|(binding, stream)| {
            // Of a source that says nothing, the write schema stands in; Flow knows that one.
            let says = discovered.iter().flatten().any(|found| found.id == stream.id)
                || schema::carried(&binding.write_schema, self.definition.schema.mode).0.is_some();
            says.then(|| stream.schema.clone())
        });
        let sourced = sourced.collect();
        let offered: Vec<&str> = discovered.iter().flatten().map(|stream| stream.id.name.as_str()).collect();
        takeover::take_over(&self.protocol, state, &streams, &offered)?;
        Ok(Survey { streams, sourced, discovered })
    }
}
