//! What has to be known before any stream is read: the streams, their schemas, their states.

use std::collections::HashMap;

use crate::capture::collections::bindings::BoundBinding;
use crate::capture::collections::key_check;
use crate::capture::collections::schema::{self, Carried};
use crate::capture::protocol::{BoundStream, DiscoveredStream, StreamId, UpstreamProtocol};
use crate::capture::session::Session;
use crate::capture::state::CaptureState;
use crate::capture::state::takeover;
use crate::failure::Failure;
use crate::flow::message::CaptureSpec;
use crate::json::packed::Packed;
use crate::shim::read::DiscoverOnOpen;

/// What is known of the streams.
pub(super) struct Survey {
    pub(super) streams: Vec<BoundStream>,
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
        let mode = self.definition.schema.mode;
        let carried: Vec<Carried> =
            bound.iter().map(|binding| Carried::of(&binding.write_schema.tree(), mode)).collect();
        let all_carried = carried.iter().all(|carried| carried.schema.is_some());
        let discovers = match self.definition.read.discover_on_open {
            DiscoverOnOpen::Auto => self.protocol.needs_discovery(all_carried),
            DiscoverOnOpen::Always => true,
            DiscoverOnOpen::Never => false,
        };
        let discovered =
            if discovers { Some(self.protocol.discover(&self.upstream, &config).await?) } else { None };
        let fresh: HashMap<&StreamId, &DiscoveredStream> =
            discovered.iter().flatten().map(|stream| (&stream.id, stream)).collect();
        for binding in bound {
            if let Some(stream) = fresh.get(&binding.resource.id) {
                key_check::discovered(&self.definition, stream, &binding.key);
            }
        }
        let looks_there = !self.protocol.needs_discovery(true);
        let bind = |(binding, carried): (&BoundBinding, Carried)| {
            let found = fresh.get(&binding.resource.id);
            let fresh = found.map(|fresh| match &binding.different.schema_patch {
                Some(patch) => Packed::from(&schema::patched(fresh.schema.tree(), Some(patch))),
                None => fresh.schema.clone(),
            });
            let source = fresh.or(carried.schema);
            BoundStream {
                binding: binding.index,
                id: binding.resource.id.clone(),
                resource_config: binding.resource_config.clone(),
                key: binding.key.clone(),
                is_sourced: source.is_some(),
                schema: source.unwrap_or_else(|| binding.write_schema.clone()),
                // A protocol that discovers each time looks into that discovery instead.
                source_stream: carried
                    .stream
                    .or_else(|| found?.source_stream.clone().filter(|_| looks_there)),
                fields: binding.fields(),
            }
        };
        let streams: Vec<BoundStream> = bound.iter().zip(carried).map(bind).collect();
        let offered: Vec<&str> = discovered.iter().flatten().map(|stream| stream.id.name.as_str()).collect();
        takeover::take_over(&self.protocol, state, &streams, &offered)?;
        Ok(Survey { streams, discovered })
    }
}
