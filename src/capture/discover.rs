//! Discover: upstream's streams become bindings that Flow can propose.

use super::collections::schema::{self, Publishing};
use super::protocol::{DiscoveredStream, UpstreamProtocol};
use super::session::Session;
use crate::failure::Failure;
use crate::flow::message::{DiscoverRequest, Discovered, DiscoveredBinding, Response};
use crate::shim::definition::Definition;
use crate::shim::read::DiscoverOnOpen;
use crate::shim::stream::{Visibility, collection_name, stream_override, visibility};

impl<P: UpstreamProtocol> Session<P> {
    pub(super) async fn discover(&mut self, request: &DiscoverRequest) -> Result<Response, Failure> {
        let config = self.config(&request.config_json).await?;
        let streams = self.protocol.discover(&self.upstream, &config).await?;
        let (protocol, definition) = (&self.protocol, &self.definition);
        let bindings = streams.iter().filter_map(|stream| binding(protocol, definition, stream)).collect();
        Ok(Response { discovered: Some(Discovered { bindings }), ..Response::default() })
    }
}

/// The binding of a stream; `None` where the shim never shows it.
pub fn binding<P: UpstreamProtocol>(
    protocol: &P,
    definition: &Definition,
    stream: &DiscoveredStream,
) -> Option<DiscoveredBinding> {
    let name = stream.id.to_string();
    let disable = match visibility(definition, &stream.id.name, &name) {
        Visibility::Omitted => return None,
        Visibility::Disabled => true,
        Visibility::Selected => false,
        Visibility::AsUpstream => !stream.enabled,
    };
    let different = stream_override(definition, &stream.id.name, &name);
    let how = Publishing {
        section: &definition.schema,
        meta: definition.document.meta,
        key: different.key.as_deref(),
        patch: different.schema_patch.as_ref(),
        carries: definition.read.discover_on_open == DiscoverOnOpen::Never || !protocol.needs_discovery(true),
    };
    let adapted = schema::discovered(stream, &how);
    if let Some(warning) = &adapted.warning {
        tracing::warn!(stream = name, "{warning}");
    }
    let key = if adapted.is_fallback { &[] } else { adapted.key.as_slice() };
    let proposed = protocol.proposed_config(stream, key, definition.streams.conventions);
    Some(DiscoveredBinding {
        recommended_name: collection_name(definition, &stream.id.name)
            .unwrap_or_else(|| stream.recommended_name.clone()),
        resource_config_json: proposed.to_string().into_bytes(),
        document_schema_json: adapted.schema.to_string().into_bytes(),
        key: adapted.key,
        disable,
        resource_path: stream.resource_path.clone(),
        is_fallback_key: adapted.is_fallback,
    })
}
