//! Discover: upstream's streams become bindings that Flow can propose.

use super::protocol::{DiscoveredStream, UpstreamProtocol};
use super::schema;
use super::session::Session;
use crate::failure::Failure;
use crate::flow::message::{DiscoverRequest, Discovered, DiscoveredBinding, Response};
use crate::shim::stream::{Visibility, collection_name, patch_schema, stream_override, visibility};

impl<P: UpstreamProtocol> Session<P> {
    pub(super) async fn discover(&mut self, request: &DiscoverRequest) -> Result<Response, Failure> {
        let config = self.config(&request.config_json).await?;
        let mut streams = self.protocol.discover(&self.upstream, &config).await?;
        for stream in &mut streams {
            patch_schema(&self.definition, &stream.id.name, &stream.id.to_string(), &mut stream.schema);
        }
        let bindings = streams.iter().filter_map(|stream| self.binding(stream)).collect();
        Ok(Response { discovered: Some(Discovered { bindings }), ..Response::default() })
    }

    /// The binding of a stream; `None` where the shim never shows it.
    fn binding(&self, stream: &DiscoveredStream) -> Option<DiscoveredBinding> {
        let name = stream.id.to_string();
        let disable = match visibility(&self.definition, &stream.id.name, &name) {
            Visibility::Omitted => return None,
            Visibility::Disabled => true,
            Visibility::Selected => false,
            Visibility::AsUpstream => !stream.enabled,
        };
        let key = stream_override(&self.definition, &stream.id.name, &name).key;
        let carries = !self.protocol.needs_discovery(&[Some(&stream.schema)]);
        let adapted = schema::discovered(stream, key.as_deref(), carries);
        if let Some(warning) = &adapted.warning {
            tracing::warn!(stream = name, "{warning}");
        }
        let key = if adapted.is_fallback { &[] } else { adapted.key.as_slice() };
        let proposed = self.protocol.proposed_config(stream, key, self.definition.streams.conventions);
        Some(DiscoveredBinding {
            recommended_name: collection_name(&self.definition, &stream.id.name)
                .unwrap_or_else(|| stream.recommended_name.clone()),
            resource_config_json: proposed.to_string().into_bytes(),
            document_schema_json: adapted.schema.to_string().into_bytes(),
            key: adapted.key,
            disable,
            resource_path: stream.resource_path.clone(),
            is_fallback_key: adapted.is_fallback,
        })
    }
}
