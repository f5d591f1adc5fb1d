//! All that knows Singer: how a tap is called, and what it prints.
//!
//! `message` reads lines, `stderr` log lines; `about`, `answer`, `catalog` and `flag` read what a tap says of
//! itself, `entry` what each family writes into a catalog; `resource`, `selection`, `fields` and `state` turn the
//! engine's words into Singer's and back, `foreign` finds positions under names of no bound stream; `refresh` tells what a bookmark says of a full refresh; `routes`
//! finds the names under which a tap prints its streams; `log_based` knows the taps that free a log.

mod about;
mod answer;
mod catalog;
mod entry;
mod fields;
mod flag;
mod foreign;
mod log_based;
mod message;
mod refresh;
mod resource;
mod routes;
mod selection;
mod state;
mod stderr;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::capture::event::LineError;
use crate::capture::input::parser::LineParser;
use crate::capture::processes::supervisor::Upstream;
use crate::capture::protocol::{
    Argument, BoundStream, DiscoveredStream, Invocation, PrivateFile, ReadPlan, RefreshState, Resource,
    ResourceSpec, StateUpdate, StoredState, TakenOver, UpstreamProtocol, UpstreamSpec,
};
use crate::failure::Failure;
use crate::log::Level;
use crate::shim::definition::{SingerSection, StateFileAcks};
use crate::shim::remembered::Remembered;

/// The name of the catalog among the private files of a read.
const CATALOG_FILE: &str = "catalog.json";

/// What is remembered of `--about`.
const ABOUT: &str = "about";

/// A Singer tap.
#[derive(Debug)]
pub struct Singer {
    flag: flag::Flag,
    remembered: Remembered,
    discovery: catalog::Discovery,
    state_file_acks: StateFileAcks,
}

impl Default for Singer {
    fn default() -> Self {
        Self::new(SingerSection::default())
    }
}

impl Singer {
    /// A tap with these settings.
    pub fn new(settings: SingerSection) -> Self {
        Self {
            flag: flag::Flag::new(settings.catalog_flag),
            remembered: Remembered::default(),
            discovery: catalog::Discovery::default(),
            state_file_acks: settings.state_file_acks,
        }
    }

    /// The same tap, which is not asked what is remembered of it.
    #[must_use]
    pub fn remembering(self, remembered: Remembered) -> Self {
        Self { remembered, ..self }
    }

    /// Learns what is to be remembered beside the specification.
    pub async fn learn(&self, upstream: &Upstream) -> Result<(), Failure> {
        self.flag.ask(upstream, &self.remembered).await
    }

    /// Whether what a tap tells of itself may end with this line.
    pub fn may_end_about(line: &str) -> bool {
        about::may_end(line.as_bytes())
    }

    /// Whether a program that was asked `--about` told what it is, as an SDK tap does.
    pub fn answers(output: &str) -> bool {
        about::is_about(output)
    }
}

impl UpstreamProtocol for Singer {
    fn environment(&self) -> Vec<(&'static str, Option<&'static str>)> {
        // Several taps take naive times for local ones, or open files in the locale's encoding
        // (singer-protocol.md, 1.4).
        vec![("TZ", Some("UTC")), ("LANG", Some("C.UTF-8")), ("LC_ALL", Some("C.UTF-8"))]
    }

    fn resource_spec(&self) -> ResourceSpec {
        resource::spec()
    }

    async fn spec(&self, upstream: &Upstream) -> Result<UpstreamSpec, Failure> {
        let known = self.remembered.answer(ABOUT);
        let spec = if let Some(spec) = known {
            spec
        } else {
            let spec = about::spec(upstream).await?;
            self.remembered.keep(ABOUT, &spec);
            spec
        };
        if spec.config_schema.is_some() {
            self.flag.answered_about(&self.remembered);
        } else {
            tracing::warn!(
                "the tap says nothing of its settings (`--about`), so its config form is empty; set `config.schema` in \
                 shim.yaml to the JSON schema of its config"
            );
        }
        Ok(spec)
    }

    /// Singer has no check; a tap that can discover can connect.
    async fn check(&self, upstream: &Upstream, config: &Value) -> Result<(), Failure> {
        self.flag.remember(&self.remembered);
        self.discovery.check(upstream, config, self.flag.discovers()).await
    }

    fn check_discovers(&self) -> bool {
        true
    }

    async fn discover(&self, upstream: &Upstream, config: &Value) -> Result<Vec<DiscoveredStream>, Failure> {
        if let Some(streams) = self.discovery.checked(config) {
            return Ok(streams);
        }
        self.flag.ask(upstream, &self.remembered).await?;
        self.discovery.run(upstream, config, self.flag.discovers()).await
    }

    fn resource(&self, resource_config: &Value) -> Result<Resource, String> {
        resource::read(resource_config)
    }

    fn supports(&self, stream: &DiscoveredStream, resource_config: &Value) -> Result<(), String> {
        resource::supports(stream, resource_config)
    }

    /// A tap wants its whole catalog back, as fresh as can be (singer-protocol.md, 2.3 and 4.7).
    fn needs_discovery(&self, _: bool) -> bool {
        true
    }

    fn read_plan(
        &self,
        config: &Value,
        streams: &[BoundStream],
        discovered: Option<&[DiscoveredStream]>,
        state: &StoredState<'_>,
    ) -> Result<ReadPlan, Failure> {
        // Where the shim forbids a discovery, what the last one left has to do.
        let kept: Vec<DiscoveredStream> = match discovered {
            Some(_) => Vec::new(),
            None => streams.iter().filter_map(catalog::kept).collect(),
        };
        let discovered = discovered.unwrap_or(&kept);
        let catalog = selection::catalog(streams, discovered)?;
        let mut arguments = vec!["--config".into(), Argument::File(PrivateFile::CONFIG)];
        let mut files = vec![PrivateFile::config(config)];
        let flags = self.flag.catalog();
        for flag in &flags {
            arguments.extend([(*flag).into(), Argument::File(CATALOG_FILE)]);
        }
        if !flags.is_empty() {
            files.push(PrivateFile::json(CATALOG_FILE, &catalog));
        }
        log_based::warn(config, streams, discovered);
        let rewritten = match self.state_file_acks {
            StateFileAcks::On => true,
            StateFileAcks::Off => false,
            StateFileAcks::Auto => log_based::rereads_state(streams, discovered),
        };
        let offered: Vec<&str> = discovered.iter().map(|found| found.id.name.as_str()).collect();
        let begins = state::begin(state, streams, &offered).or_else(|| rewritten.then(|| b"{}".to_vec()));
        if let Some(content) = begins.filter(|_| self.flag.takes_state()) {
            arguments.extend(["--state".into(), Argument::File("state.json")]);
            files.push(PrivateFile { name: "state.json", content });
        }
        Ok(ReadPlan {
            invocation: Invocation { arguments, files, variables: Vec::new() },
            channel: None,
            batches: message::batch_root(config),
            routes: routes::routes(streams, discovered),
            durable: rewritten.then_some("state.json"),
        })
    }

    fn may_keep_durable(&self) -> bool {
        self.state_file_acks != StateFileAcks::Off
    }

    fn parser(&self) -> LineParser {
        message::parser()
    }

    fn split_state(&self, state: &RawValue, streams: &[BoundStream]) -> Result<StateUpdate, LineError> {
        state::split(state, streams)
    }

    fn refresh_state(&self, _: &BoundStream, state: &RawValue) -> RefreshState {
        refresh::state(state)
    }

    /// A replication slot moves on for all the streams that are read from it.
    fn may_be_left_out(&self, resource_config: &Value, _: &StoredState<'_>) -> bool {
        resource::method(resource_config).is_ok_and(|method| method != entry::LOG_BASED)
    }

    fn shares_nothing(&self, shared: &RawValue) -> bool {
        state::shares_nothing(shared)
    }

    fn what_is_shared(&self, shared: &RawValue) -> String {
        state::what_is_shared(shared)
    }

    fn reads_whole(&self, state: &StoredState<'_>) -> bool {
        !state.shared.is_some_and(state::is_flat)
    }

    fn state_file(&self, state: &StoredState<'_>, streams: &[BoundStream]) -> Vec<u8> {
        state::join(state, streams).unwrap_or_else(|| b"{}".to_vec())
    }

    fn take_over_binding(&self, entry: &RawValue, _: &BoundStream) -> Result<Option<TakenOver>, Failure> {
        state::take_over(entry)
    }

    fn keeps_state_of_finished_refresh(&self) -> bool {
        true
    }

    fn deletion_marker(&self) -> &'static str {
        message::DELETED_AT
    }

    fn stderr_line(line: &str) -> Option<(Level, &str)> {
        stderr::level(line)
    }
}
