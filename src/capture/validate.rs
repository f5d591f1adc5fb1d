//! Validate and Apply: could this capture run, and what changes with it.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::collections::bindings::{resource, wrong};
use super::collections::meta;
use super::protocol::{DiscoveredStream, Resource, StreamId, UpstreamProtocol};
use super::session::Session;
use crate::failure::{Code, Failure};
use crate::flow::message::{
    Applied, ApplyRequest, CaptureSpec, Response, ValidateRequest, Validated, ValidatedBinding,
};

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
        if resources.iter().any(|(_, resource)| is_new(resource)) {
            let config = self.upstream.rotation.newest();
            let streams = self.protocol.discover(&self.upstream, &config).await?;
            let by_id: HashMap<&StreamId, &DiscoveredStream> =
                streams.iter().map(|stream| (&stream.id, stream)).collect();
            for (config, resource) in resources.iter().filter(|(_, resource)| is_new(resource)) {
                let stream = by_id.get(&resource.id).ok_or_else(|| gone(resource, &streams))?;
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

    /// Nothing has to be set up anywhere; the description tells people which bindings come and go.
    pub(super) fn apply(request: &ApplyRequest) -> Result<Response, Failure> {
        let Some(capture) = &request.capture else {
            return Err(Failure::new(Code::REQUEST_UNEXPECTED, "the Apply request names no capture"));
        };
        let action_description = describe(request.last_capture.as_ref(), capture);
        Ok(Response { applied: Some(Applied { action_description }), ..Response::default() })
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

fn describe(before: Option<&CaptureSpec>, after: &CaptureSpec) -> String {
    let counters = |capture: Option<&CaptureSpec>| -> BTreeMap<String, u32> {
        capture.iter().flat_map(|c| &c.bindings).map(|b| (b.resource_path.join("/"), b.backfill)).collect()
    };
    let (before, after) = (counters(before), counters(Some(after)));
    let added: Vec<&str> =
        after.keys().filter(|path| !before.contains_key(*path)).map(String::as_str).collect();
    let removed: Vec<&str> =
        before.keys().filter(|path| !after.contains_key(*path)).map(String::as_str).collect();
    let again: Vec<&str> = after
        .iter()
        .filter(|(path, count)| before.get(*path).is_some_and(|old| old != *count))
        .map(|(path, _)| path.as_str())
        .collect();
    [("added", added), ("removed", removed), ("backfilled", again)]
        .into_iter()
        .filter(|(_, paths)| !paths.is_empty())
        .map(|(what, paths)| format!("{what}: {}", paths.join(", ")))
        .collect::<Vec<_>>()
        .join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::message::Binding;

    fn capture(bindings: &[(&str, u32)]) -> CaptureSpec {
        let bindings = bindings
            .iter()
            .map(|&(path, backfill)| Binding {
                resource_path: vec![path.to_owned()],
                backfill,
                ..Binding::default()
            })
            .collect();
        CaptureSpec { bindings, ..CaptureSpec::default() }
    }

    #[test]
    fn the_description_says_which_bindings_come_and_go() {
        let before = capture(&[("users", 0), ("orders", 0)]);
        let after = capture(&[("users", 1), ("carts", 0)]);
        assert_eq!(describe(Some(&before), &after), "added: carts; removed: orders; backfilled: users");
        assert_eq!(describe(Some(&after), &after), "");
        assert_eq!(describe(None, &before), "added: orders, users");
    }
}
