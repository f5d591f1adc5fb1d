//! Discover: upstream's streams become bindings that Flow can propose.

use serde_json::Value;

use super::collections::names::make_distinct;
use super::collections::schema::{self, Publishing};
use super::protocol::{DiscoveredStream, UpstreamProtocol};
use super::session::Session;
use crate::failure::{Code, Failure};
use crate::flow::message::{DiscoverRequest, Discovered, DiscoveredBinding, Response};
use crate::json::packed::Packed;
use crate::json::pointer;
use crate::shim::definition::Definition;
use crate::shim::fields::{FieldSelection, Fields};
use crate::shim::read::DiscoverOnOpen;
use crate::shim::stream::{Visibility, collection_name, stream_override, visibility};
use crate::shim::streams::Refresh;

impl<P: UpstreamProtocol> Session<P> {
    pub(super) async fn discover(&mut self, request: &DiscoverRequest) -> Result<Response, Failure> {
        let config = self.config(&request.config_json).await?;
        let streams = self.protocol.discover(&self.upstream, &config).await?;
        let bindings: Vec<DiscoveredBinding> =
            bindings(&self.protocol, &self.definition, &streams).into_iter().flatten().collect();
        if bindings.is_empty() {
            return Err(nothing(streams.len()));
        }
        Ok(Response { discovered: Some(Discovered { bindings }), ..Response::default() })
    }
}

/// Flow removes the bindings of streams that a discovery lacks, so one that finds nothing is a failure
/// (flow-protocol.md, R3).
fn nothing(omitted: usize) -> Failure {
    let why = if omitted == 0 {
        "upstream's catalog has no streams; look at its log, and at what the credentials in the endpoint config may read"
            .to_owned()
    } else {
        format!(
            "`streams.omit` in shim.yaml omits all {omitted} streams of upstream's catalog; narrow its globs"
        )
    };
    Failure::new(Code::NO_STREAMS, why)
}

/// The binding of each stream, with names that Flow keeps apart; `None` where the shim never shows it.
pub fn bindings<P: UpstreamProtocol>(
    protocol: &P,
    definition: &Definition,
    streams: &[DiscoveredStream],
) -> Vec<Option<DiscoveredBinding>> {
    let mut bindings: Vec<Option<DiscoveredBinding>> =
        streams.iter().map(|stream| binding(protocol, definition, stream)).collect();
    make_distinct(bindings.iter_mut().flatten());
    bindings
}

/// The stream with the fields alone that the shim has read, and its key; `None` where it says nothing.
fn narrowed(stream: &DiscoveredStream, fields: &Fields, key: Option<&[String]>) -> Option<DiscoveredStream> {
    let key = key.unwrap_or_default().iter().filter_map(|pointer| pointer::to_path(pointer));
    let fields = FieldSelection::of(fields, key.chain(stream.key.iter().cloned()))?;
    let mut schema = stream.schema.tree();
    fields.narrow(&mut schema);
    Some(DiscoveredStream { schema: Packed::from(&schema), ..stream.clone() })
}

/// The binding of a stream; `None` where the shim never shows it.
fn binding<P: UpstreamProtocol>(
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
    let narrowed = different.fields.as_ref().and_then(|fields| narrowed(stream, fields, how.key));
    let stream = narrowed.as_ref().unwrap_or(stream);
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
        is_fallback_key: adapted.is_fallback && !deletes(protocol, &proposed, different.refresh),
    })
}

/// Whether rows that are counted get deletions by that count, as snapshots do: then the count is the only
/// key, and none that a user may replace (flow-protocol.md, R5).
fn deletes<P: UpstreamProtocol>(protocol: &P, resource_config: &Value, refresh: Option<Refresh>) -> bool {
    match refresh {
        Some(Refresh::Append | Refresh::Truncate) => false,
        Some(Refresh::Snapshot) | None => {
            protocol.resource(resource_config).is_ok_and(|resource| resource.full_refresh)
        }
    }
}
