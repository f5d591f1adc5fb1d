//! Validate: could this capture run.

use std::collections::{HashMap, HashSet};

use super::collections::bindings::{resource, wrong};
use super::collections::meta;
use super::files;
use super::protocol::{DiscoveredStream, Resource, StreamId, UpstreamProtocol};
use super::session::Session;
use crate::failure::{Code, Failure};
use crate::flow::message::{CaptureSpec, Response, ValidateRequest, Validated, ValidatedBinding};

/// How many streams a message names at most.
const NAMED: usize = 10;

impl<P: UpstreamProtocol> Session<P> {
    /// Upstream must connect; streams are looked up only where a binding is new, because a
    /// discovery can take long.
    pub(super) async fn validate(&mut self, request: &ValidateRequest) -> Result<Response, Failure> {
        let config = self.config(&request.config_json).await?;
        let mut resources = Vec::with_capacity(request.bindings.len());
        for (index, binding) in (0..).zip(&request.bindings) {
            resources.push(
                resource(&binding.resource_config_json, &self.protocol).map_err(|why| wrong(index, &why))?,
            );
        }
        for (index, binding) in (0..).zip(&request.bindings) {
            let key =
                binding.collection.as_ref().map(|collection| collection.key.as_slice()).unwrap_or_default();
            meta::serves(key, self.definition.document.meta).map_err(|why| wrong(index, &why))?;
        }
        self.protocol.check(&self.upstream, &config).await?;
        let known = paths(request.last_capture.as_ref());
        let is_new = |resource: &Resource| !known.contains(resource.path.as_slice());
        let upstream_config = self.upstream.rotation.newest();
        if let Some((_, resource)) = resources.first()
            && self.protocol.file_setting(&upstream_config).is_some()
        {
            return Err(files::refused(&self.protocol, &resource.id, &upstream_config));
        }
        if resources.iter().any(|(_, resource)| is_new(resource)) {
            let streams = self.protocol.discover(&self.upstream, &upstream_config).await?;
            let by_id: HashMap<&StreamId, &DiscoveredStream> =
                streams.iter().map(|stream| (&stream.id, stream)).collect();
            for (config, resource) in resources.iter().filter(|(_, resource)| is_new(resource)) {
                let stream = by_id.get(&resource.id).ok_or_else(|| gone(resource, &streams))?;
                if self.protocol.hands_over_files(stream) {
                    return Err(files::refused(&self.protocol, &resource.id, &upstream_config));
                }
                self.protocol.supports(stream, config).map_err(|why| {
                    Failure::new(Code::STREAM_MODE, format!("stream {:?}: {why}", resource.id.to_string()))
                })?;
            }
        }
        let bindings = resources
            .into_iter()
            .map(|(_, resource)| ValidatedBinding { resource_path: resource.path })
            .collect();
        Ok(Response { validated: Some(Validated { bindings }), ..Response::default() })
    }
}

fn paths(capture: Option<&CaptureSpec>) -> HashSet<&[String]> {
    capture
        .iter()
        .flat_map(|capture| &capture.bindings)
        .map(|binding| binding.resource_path.as_slice())
        .collect()
}

fn gone(resource: &Resource, streams: &[DiscoveredStream]) -> Failure {
    let mut names: Vec<String> = streams.iter().take(NAMED).map(|stream| stream.id.to_string()).collect();
    if streams.len() > NAMED {
        names.push(format!("and {} more", streams.len() - NAMED));
    }
    let has = if names.is_empty() { "no streams at all".to_owned() } else { names.join(", ") };
    Failure::new(
        Code::NO_STREAM,
        format!(
            "stream {:?} is not among the source's streams; disable its binding or discover again (the source has {has})",
            resource.id.to_string()
        ),
    )
}
