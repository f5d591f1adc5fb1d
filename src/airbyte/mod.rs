//! All that knows Airbyte: how a source is called, and what it prints.
//!
//! `message` reads lines, `trace` what they report, `channel` what comes through sockets, `question` the
//! answers to spec, check and discover; `resource`, `catalog`, `state` and `state_file` turn the engine's
//! words into Airbyte's and back, `descriptor` a stream's name in both directions; `files` knows streams that
//! hand over files; `refresh` tells what a state says of a full refresh, `takeover` what older shims kept.
//! `manifest` is about connectors that are a file instead of a program.

mod catalog;
mod channel;
mod descriptor;
mod files;
pub mod manifest;
mod message;
mod question;
mod refresh;
mod resource;
mod state;
mod state_file;
mod takeover;
mod trace;

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::capture::event::LineError;
use crate::capture::files::refused;
use crate::capture::input::parser::LineParser;
use crate::capture::processes::supervisor::Upstream;
use crate::capture::protocol::{
    Argument, BoundStream, DiscoveredStream, Invocation, PrivateFile, ReadPlan, RefreshState, Resource,
    ResourceSpec, Route, StateUpdate, StoredState, TakenOver, TakenOverCapture, UpstreamProtocol,
    UpstreamSpec,
};
use crate::failure::Failure;
use crate::log::Level;
use crate::shim::manifest::Manifest;
use crate::shim::read::{ReadSection, StateFormat};
use crate::shim::streams::Conventions;

/// An Airbyte source.
#[derive(Debug, Clone, Default)]
pub struct Airbyte {
    state_format: StateFormat,
    channel: channel::Setting,
    manifest: Option<Arc<Described>>,
}

/// A source that a manifest describes.
#[derive(Debug, Clone)]
struct Described {
    manifest: Arc<Manifest>,
    /// What of its specification the shim wants.
    wanted: manifest::Wanted,
}

impl Airbyte {
    /// A source that is read as this says, and gets its state in this form.
    pub fn new(read: &ReadSection, state_format: StateFormat) -> Self {
        Self { state_format, channel: channel::Setting::of(read), manifest: None }
    }

    /// The same for a source that a manifest describes. `wanted`: what of its specification the shim wants.
    #[must_use]
    pub fn described_by(mut self, manifest: Option<Arc<Manifest>>, wanted: manifest::Wanted) -> Self {
        self.manifest = manifest.map(|manifest| Arc::new(Described { manifest, wanted }));
        self
    }

    /// The private file that holds the config.
    fn config_file(&self, config: &Value) -> Result<PrivateFile, Failure> {
        match &self.manifest {
            Some(described) => manifest::config_file(config, &described.manifest),
            None => Ok(PrivateFile::config(config)),
        }
    }

    /// Whether a program that was asked for its specification printed one, as a source does.
    pub fn answers(output: &str) -> bool {
        output.lines().any(|line| question::holds_spec(line.as_bytes()))
    }
}

impl UpstreamProtocol for Airbyte {
    fn environment(&self) -> Vec<(&'static str, Option<&'static str>)> {
        let mut variables = vec![
            // Older Java sources tell states by stream only if asked to (airbyte-protocol.md, 1.4).
            ("USE_STREAM_CAPABLE_STATE", Some("true")),
            // Inherited, these would move the records away from stdout.
            (channel::MEDIUM, None),
            (channel::FORMAT, None),
            (channel::PATHS, None),
        ];
        if let Some(Described { manifest, .. }) = self.manifest.as_deref() {
            // Only code that the shim's author put beside the manifest may run.
            let allowed = manifest.components.as_ref().map(|_| "true");
            variables.extend(manifest::UNSAFE_CODE.map(|name| (name, allowed)));
        }
        variables
    }

    fn private_members(&self) -> &'static [&'static str] {
        if self.manifest.is_some() { manifest::MEMBERS } else { &[] }
    }

    fn resource_spec(&self) -> ResourceSpec {
        resource::spec()
    }

    async fn spec(&self, upstream: &Upstream) -> Result<UpstreamSpec, Failure> {
        match self.manifest.as_deref() {
            Some(Described { manifest, wanted }) => manifest::spec(manifest, *wanted),
            None => question::spec(upstream).await,
        }
    }

    async fn check(&self, upstream: &Upstream, config: &Value) -> Result<(), Failure> {
        question::check(upstream, self.config_file(config)?).await
    }

    async fn discover(&self, upstream: &Upstream, config: &Value) -> Result<Vec<DiscoveredStream>, Failure> {
        question::discover(upstream, self.config_file(config)?).await
    }

    fn resource(&self, resource_config: &Value) -> Result<Resource, String> {
        resource::read(resource_config)
    }

    fn proposed_config(&self, stream: &DiscoveredStream, key: &[String], conventions: Conventions) -> Value {
        match conventions {
            Conventions::FlowShim => stream.resource_config.clone(),
            Conventions::AirbyteToFlow => resource::as_airbyte_to_flow_proposed(stream, key),
        }
    }

    fn supports(&self, stream: &DiscoveredStream, resource_config: &Value) -> Result<(), String> {
        catalog::supports(stream, resource_config)
    }

    fn hands_over_files(&self, stream: &DiscoveredStream) -> bool {
        files::are_handed_over(stream.source_stream.as_ref())
    }

    fn file_setting(&self, config: &Value) -> Option<String> {
        files::setting(config)
    }

    fn needs_discovery(&self, all_carried: bool) -> bool {
        !all_carried
    }

    fn read_plan(
        &self,
        config: &Value,
        streams: &[BoundStream],
        discovered: Option<&[DiscoveredStream]>,
        state: &StoredState<'_>,
    ) -> Result<ReadPlan, Failure> {
        // Files are on the disk before the first record says so.
        let handed_over = |stream: &&BoundStream| files::are_handed_over(stream.source_stream.as_ref());
        if let Some(stream) = streams.iter().find(handed_over).filter(|_| files::setting(config).is_some()) {
            return Err(refused(self, &stream.id, config));
        }
        let catalog = catalog::configured(streams, discovered)?;
        let mut arguments = vec![
            "read".into(),
            "--config".into(),
            Argument::File(PrivateFile::CONFIG),
            "--catalog".into(),
            Argument::File("catalog.json"),
        ];
        let mut files = vec![self.config_file(config)?, PrivateFile::json("catalog.json", &catalog)];
        if let Some(content) = state_file::join(state, streams, self.state_format)? {
            arguments.extend(["--state".into(), Argument::File("state.json")]);
            files.push(PrivateFile { name: "state.json", content });
        }
        let routes = routes(streams);
        let call = self.channel.call(streams, &catalog, &routes);
        let (variables, channel) = call.map(|call| (call.variables, call.plan)).unzip();
        let invocation = Invocation { arguments, files, variables: variables.unwrap_or_default() };
        Ok(ReadPlan { invocation, routes, durable: None, channel, batches: None })
    }

    fn parser(&self) -> LineParser {
        message::parser()
    }

    fn split_state(&self, state: &RawValue, streams: &[BoundStream]) -> Result<StateUpdate, LineError> {
        state::split(state, streams)
    }

    fn refresh_state(&self, stream: &BoundStream, state: &RawValue) -> RefreshState {
        refresh::state(stream, state)
    }

    /// What belongs to no single stream (GLOBAL, LEGACY) moves on with each read.
    fn may_be_left_out(&self, _: &Value, state: &StoredState<'_>) -> bool {
        state.shared.is_none()
    }

    fn reads_whole(&self, _: &StoredState<'_>) -> bool {
        true
    }

    fn take_over_binding(
        &self,
        entry: &RawValue,
        stream: &BoundStream,
    ) -> Result<Option<TakenOver>, Failure> {
        takeover::binding(entry, stream)
    }

    fn take_over_capture(
        &self,
        state: &RawValue,
        streams: &[BoundStream],
        offered: &[&str],
    ) -> Result<Option<TakenOverCapture>, Failure> {
        takeover::capture(state, streams, offered)
    }

    fn keeps_state_of_finished_refresh(&self) -> bool {
        false
    }

    fn deletion_marker(&self) -> &'static str {
        message::DELETED_AT
    }

    fn stderr_line(line: &str) -> Option<(Level, &str)> {
        let (word, rest) = line.split_once([' ', ':'])?;
        let level = word.chars().all(|c| c.is_ascii_uppercase()).then(|| word.parse().ok())??;
        Some((level, rest.trim_start_matches([' ', ':'])))
    }
}

/// A stream goes by its namespace and name, and by its name alone where that is enough.
fn routes(streams: &[BoundStream]) -> Vec<Route> {
    let mut named: HashMap<&str, usize> = HashMap::with_capacity(streams.len());
    for bound in streams {
        *named.entry(&bound.id.name).or_default() += 1;
    }
    let mut routes = Vec::with_capacity(streams.len());
    for (stream, bound) in streams.iter().enumerate() {
        let route = |namespace: Option<&String>| Route {
            namespace: namespace.cloned(),
            name: bound.id.name.clone(),
            stream,
        };
        routes.push(route(bound.id.namespace.as_ref()));
        let alone = named.get(bound.id.name.as_str()) == Some(&1);
        if alone && bound.id.namespace.is_some() {
            routes.push(route(None));
        }
    }
    routes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_before_the_text_is_found() {
        assert_eq!(Airbyte::stderr_line("WARN: slow"), Some((Level::Warn, "slow")));
        assert_eq!(Airbyte::stderr_line("INFO starting"), Some((Level::Info, "starting")));
        assert_eq!(Airbyte::stderr_line("error handling"), None);
        assert_eq!(Airbyte::stderr_line("usage: main.py"), None);
    }
}
