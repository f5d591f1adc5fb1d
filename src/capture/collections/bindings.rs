//! The bindings of a capture, read once: which stream, which collection, which state key.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::Value;

use super::settings::Settings;
use crate::capture::protocol::{Resource, StreamId, UpstreamProtocol};
use crate::failure::{Code, Failure};
use crate::flow::message::{Binding, CaptureSpec, CollectionSpec};
use crate::json::packed::Packed;
use crate::json::pointer;
use crate::shim::definition::Definition;
use crate::shim::fields::FieldSelection;
use crate::shim::stream::stream_override;
use crate::shim::streams::StreamOverride;

/// One binding.
#[derive(Debug, Clone)]
pub(crate) struct BoundBinding {
    /// Its index in the request.
    pub index: u32,
    /// What its resource config says.
    pub resource: Resource,
    /// The resource config, without Flow's `_meta`: no connector knows that member.
    pub resource_config: Value,
    /// Flow's key for its state.
    pub state_key: String,
    /// The collection's key as JSON pointers.
    pub key: Vec<String>,
    /// The collection's write schema; null where Flow sent none.
    pub write_schema: Packed,
    /// Whether Flow infers the collection's schema.
    pub infers: bool,
    /// What the shim says of the stream, and its resource config before that.
    pub different: StreamOverride,
}

impl BoundBinding {
    /// Which fields the shim has read; the key of the collection stays. `None` where it says nothing.
    pub(crate) fn fields(&self) -> Option<FieldSelection> {
        let key = self.key.iter().filter_map(|pointer| pointer::to_path(pointer));
        FieldSelection::of(self.different.fields.as_ref()?, key)
    }
}

/// Reads every binding of a capture. Each stream may be bound once.
pub(crate) fn resolve<P: UpstreamProtocol>(
    capture: &CaptureSpec,
    protocol: &P,
    definition: &Definition,
) -> Result<Vec<BoundBinding>, Failure> {
    let mut bound: Vec<BoundBinding> = Vec::with_capacity(capture.bindings.len());
    let mut readers: HashMap<StreamId, u32> = HashMap::with_capacity(capture.bindings.len());
    for (index, binding) in (0..).zip(&capture.bindings) {
        let (resource_config, resource) =
            resource(&binding.resource_config_json, protocol).map_err(|why| wrong(index, &why))?;
        if let Some(twin) = readers.insert(resource.id.clone(), index) {
            return Err(twice(index, twin, &resource));
        }
        let collection = collection(capture, binding);
        let write_schema: Value = match &collection.write_schema_json {
            text if text.is_empty() => Value::Null,
            text => serde_json::from_slice(text).map_err(|_| wrong(index, "its write schema is not JSON"))?,
        };
        let state_key = state_key(binding, &resource);
        let mut different = stream_override(definition, &resource.id.name, &resource.id.to_string());
        Settings::of(&resource_config).map_err(|why| wrong(index, &why))?.apply(&mut different);
        bound.push(BoundBinding {
            index,
            resource,
            resource_config,
            state_key,
            key: collection.key.clone(),
            write_schema: Packed::from(&write_schema),
            infers: write_schema["x-infer-schema"] == true,
            different,
        });
    }
    Ok(bound)
}

/// Reads one resource config.
pub(crate) fn resource<P: UpstreamProtocol>(json: &[u8], protocol: &P) -> Result<(Value, Resource), String> {
    let mut config: Value =
        serde_json::from_slice(json).map_err(|_| "its resource config is not JSON".to_owned())?;
    if let Some(members) = config.as_object_mut() {
        members.shift_remove("_meta");
    }
    let resource = protocol.resource(&config)?;
    Settings::of(&config)?;
    Ok((config, resource))
}

/// The failure of a binding that cannot be read.
pub(crate) fn wrong(index: u32, why: &str) -> Failure {
    Failure::new(Code::BINDING, format!("binding {index} of the capture is wrong: {why}"))
        .with("binding", index)
}

/// The failure of a binding that reads the stream of another one.
pub(crate) fn twice(index: u32, twin: u32, resource: &Resource) -> Failure {
    let stream = resource.id.to_string();
    let why = format!("it reads stream {stream:?}, which binding {twin} reads already");
    wrong(index, &why).with("stream", stream)
}

/// In the linked form bindings point into a table of collections (flow-protocol.md, 2.5).
fn collection<'a>(capture: &'a CaptureSpec, binding: &'a Binding) -> Cow<'a, CollectionSpec> {
    let linked = capture.linked_collections.get(binding.collection_index as usize);
    match linked.or(binding.collection.as_ref()) {
        Some(collection) => Cow::Borrowed(collection),
        None => Cow::Owned(CollectionSpec::default()),
    }
}

/// Flow sends a state key; where it did not, the resource path serves.
fn state_key(binding: &Binding, resource: &Resource) -> String {
    if binding.state_key.is_empty() { resource.path.join("%2F") } else { binding.state_key.clone() }
}
