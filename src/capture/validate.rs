//! Validate: could this capture run. Names everything that is wrong, as far as it can be known at once.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::collections::bindings::{resource, twice, wrong};
use super::collections::key_check;
use super::collections::meta;
use super::files;
use super::problems::Problems;
use super::protocol::{DiscoveredStream, Resource, StreamId, UpstreamProtocol};
use super::session::Session;
use crate::failure::{Code, Failure};
use crate::flow::message::{CaptureSpec, Response, ValidateRequest, Validated, ValidatedBinding};

/// How many streams a message names at most.
const NAMED: usize = 10;

/// A binding whose resource config can be read.
struct Asked<'a> {
    index: u32,
    config: Value,
    resource: Resource,
    /// The collection's key; empty where Flow sent none.
    key: &'a [String],
    /// Whether the capture did not have it before.
    is_new: bool,
}

impl<P: UpstreamProtocol> Session<P> {
    /// Upstream must connect; streams are looked up only where a binding is new, because a
    /// discovery can take long, or where the check was one.
    pub(super) async fn validate(&mut self, request: &ValidateRequest) -> Result<Response, Failure> {
        let mut problems = Problems::default();
        let config = self.config(&request.config_json).await;
        let config = problems.note(config);
        let asked = self.asked(request, &mut problems);
        if let Some(config) = config {
            let checked = self.protocol.check(&self.upstream, &config).await;
            if problems.note(checked).is_some() {
                self.look(&asked, &mut problems).await;
            }
        }
        problems.result()?;
        let bindings =
            asked.into_iter().map(|asked| ValidatedBinding { resource_path: asked.resource.path }).collect();
        Ok(Response { validated: Some(Validated { bindings }), ..Response::default() })
    }

    /// The bindings that can be read; what is wrong with the others, and with keys, is a problem.
    fn asked<'a>(&self, request: &'a ValidateRequest, problems: &mut Problems) -> Vec<Asked<'a>> {
        let known = paths(request.last_capture.as_ref());
        let mut readers: HashMap<StreamId, u32> = HashMap::with_capacity(request.bindings.len());
        let mut asked = Vec::with_capacity(request.bindings.len());
        for (index, binding) in (0..).zip(&request.bindings) {
            let read = resource(&binding.resource_config_json, &self.protocol);
            let Some((config, resource)) = problems.note(read.map_err(|why| wrong(index, &why))) else {
                continue;
            };
            let key = binding.collection.as_ref().map(|collection| collection.key.as_slice());
            let key = key.unwrap_or_default();
            let serves = meta::serves(key, self.definition.document.meta);
            problems.note(serves.map_err(|why| wrong(index, &why)));
            if let Some(&twin) = readers.get(&resource.id) {
                problems.push(twice(index, twin, &resource));
                continue;
            }
            readers.insert(resource.id.clone(), index);
            let is_new = !known.contains(resource.path.as_slice());
            asked.push(Asked { index, config, resource, key, is_new });
        }
        asked
    }

    /// Looks the streams up, where that is needed and the config asks for rows.
    async fn look(&self, asked: &[Asked<'_>], problems: &mut Problems) {
        let config = self.upstream.rotation.newest();
        if let Some(first) = asked.first()
            && self.protocol.file_setting(&config).is_some()
        {
            problems.push(files::refused(&self.protocol, &first.resource.id, &config));
        } else if asked.iter().any(|asked| asked.is_new) || self.protocol.check_discovers() {
            let streams = self.protocol.discover(&self.upstream, &config).await;
            if let Some(streams) = problems.note(streams) {
                self.compare(asked, &streams, &config, problems);
            }
        }
    }

    /// Whether upstream has the streams of new bindings and can read them as they ask; and whether their
    /// keys are the source's.
    fn compare(
        &self,
        asked: &[Asked<'_>],
        streams: &[DiscoveredStream],
        config: &Value,
        problems: &mut Problems,
    ) {
        let by_id: HashMap<&StreamId, &DiscoveredStream> =
            streams.iter().map(|stream| (&stream.id, stream)).collect();
        let mut lacks = false;
        for asked in asked {
            let id = &asked.resource.id;
            let name = id.to_string();
            let stream = by_id.get(id);
            if let Some(stream) = stream {
                key_check::discovered(&self.definition, stream, asked.key);
            }
            let problem = match stream {
                _ if !asked.is_new => continue,
                None => {
                    lacks = true;
                    let message = format!("stream {name:?}: it is not among the source's streams");
                    Failure::new(Code::NO_STREAM, message)
                }
                Some(stream) if self.protocol.hands_over_files(stream) => {
                    files::refused(&self.protocol, id, config)
                }
                Some(stream) => match self.protocol.supports(stream, &asked.config) {
                    Ok(()) => continue,
                    Err(why) => Failure::new(Code::STREAM_MODE, format!("stream {name:?}: {why}")),
                },
            };
            problems.push(problem.with("binding", asked.index).with("stream", name));
        }
        if lacks {
            problems.advise(format!(
                "disable the bindings of streams that are gone, or discover again (the source has {})",
                offered(streams)
            ));
        }
    }
}

fn paths(capture: Option<&CaptureSpec>) -> HashSet<&[String]> {
    capture
        .iter()
        .flat_map(|capture| &capture.bindings)
        .map(|binding| binding.resource_path.as_slice())
        .collect()
}

/// The names of some streams, for a message.
fn offered(streams: &[DiscoveredStream]) -> String {
    let mut names: Vec<String> = streams.iter().take(NAMED).map(|stream| stream.id.to_string()).collect();
    if streams.len() > NAMED {
        names.push(format!("and {} more", streams.len() - NAMED));
    }
    if names.is_empty() { "no streams at all".to_owned() } else { names.join(", ") }
}
