//! What an upstream protocol has to know for the engine to drive it.
//!
//! `airbyte` and `singer` each implement [`UpstreamProtocol`]; the engine is generic over it and
//! never asks which one it has. Everything here is neutral: no Flow message, no Airbyte or Singer
//! word. Where one protocol needs something the other lacks, it is a method with a default.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::event::LineError;
use super::input::channel::ChannelPlan;
use super::input::parser::LineParser;
pub use super::processes::invocation::{Argument, Invocation, PrivateFile};
use super::processes::supervisor::Upstream;
use crate::failure::Failure;
use crate::json::packed::Packed;
use crate::json::pointer;
use crate::shim::fields::FieldSelection;
use crate::shim::streams::Conventions;

/// The name of a stream: unique within a source.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StreamId {
    /// A database schema or the like; `None` where absent, null or empty.
    pub namespace: Option<String>,
    /// The name, for Singer the `tap_stream_id`.
    pub name: String,
}

impl std::fmt::Display for StreamId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// What upstream says of itself; may be kept as JSON in a shim's folder.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UpstreamSpec {
    /// The JSON schema of its config, as upstream wrote it; `None` where it has none to tell
    /// (taps without `--about`).
    pub config_schema: Option<Packed>,
    /// Where its documentation is.
    pub documentation_url: Option<String>,
    /// How its vendor describes its consent flow, as `oauth` reads it; `None` where it has none.
    pub consent_flow: Option<Value>,
}

impl UpstreamSpec {
    /// The JSON schema of its config as a tree, where it has one to tell.
    pub fn config_schema(&self) -> Option<Value> {
        self.config_schema.as_ref().map(Packed::tree)
    }
}

/// How bindings of this protocol are configured.
#[derive(Debug, Clone)]
pub struct ResourceSpec {
    /// The JSON schema of a resource config. It allows `_meta` and further members.
    pub schema: Value,
    /// Pointers into a resource config whose values form the resource path.
    pub path_pointers: &'static [&'static str],
}

/// A stream that upstream offers.
#[derive(Debug, Clone)]
pub struct DiscoveredStream {
    /// Which stream.
    pub id: StreamId,
    /// The name proposed for its collection, before Flow normalises it.
    pub recommended_name: String,
    /// The resource config that a new binding of it gets.
    pub resource_config: Value,
    /// The resource path: what the path pointers resolve to in the resource config.
    pub resource_path: Vec<String>,
    /// The primary key as paths of property names; empty where there is none.
    pub key: Vec<Vec<String>>,
    /// The source's JSON schema of a record.
    pub schema: Packed,
    /// Facts about the stream that [`UpstreamProtocol::read_plan`] wants back at Open, kept as an
    /// annotation of the discovered schema; `None` where a fresh discovery is needed anyway.
    pub source_stream: Option<Packed>,
    /// Whether a new binding of it is enabled.
    pub enabled: bool,
    /// Whether an update may bring some of a row's columns only, so that a collection has to merge it.
    pub partial_updates: bool,
}

/// A stream that a capture reads: a binding, as the protocol sees it.
#[derive(Debug, Clone)]
pub struct BoundStream {
    /// The binding's index in the Open request.
    pub binding: u32,
    /// Which stream.
    pub id: StreamId,
    /// The resource config, without `_meta`.
    pub resource_config: Value,
    /// The collection's key as JSON pointers.
    pub key: Vec<String>,
    /// The source's JSON schema: the freshly discovered one, else what rides in the write schema as
    /// `x-source-schema`, else the write schema itself.
    pub schema: Packed,
    /// Whether the source itself says so; `false` where the write schema stands in.
    pub is_sourced: bool,
    /// What discovery left as [`DiscoveredStream::source_stream`].
    pub source_stream: Option<Packed>,
    /// Which fields are read; `None` where upstream's own choice holds.
    pub fields: Option<FieldSelection>,
}

impl BoundStream {
    /// The source's schema of the fields that are read.
    pub fn read_schema(&self) -> Value {
        let mut schema = self.schema.tree();
        if let Some(fields) = &self.fields {
            fields.narrow(&mut schema);
        }
        schema
    }

    /// The collection's key as paths of member names; empty where it is not of the source's own columns.
    pub fn source_key(&self) -> Vec<Vec<String>> {
        if self.key.iter().any(|step| step.starts_with("/_meta/")) {
            return Vec::new();
        }
        self.key.iter().filter_map(|step| pointer::to_path(step)).collect()
    }
}

#[cfg(test)]
impl BoundStream {
    /// A stream of which nothing but its identity matters.
    pub(crate) fn bare(namespace: Option<&str>, name: &str) -> Self {
        Self {
            binding: 0,
            id: StreamId { namespace: namespace.map(str::to_owned), name: name.to_owned() },
            resource_config: serde_json::json!({}),
            key: Vec::new(),
            schema: Packed::from(&serde_json::json!({})),
            is_sourced: false,
            source_stream: None,
            fields: None,
        }
    }
}

/// What a resource config says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Which stream.
    pub id: StreamId,
    /// The resource path: what the path pointers resolve to.
    pub path: Vec<String>,
    /// Whether each read reads the stream from its beginning.
    pub full_refresh: bool,
}

/// How a read is done.
#[derive(Debug)]
pub struct ReadPlan {
    /// How upstream is called.
    pub invocation: Invocation,
    /// Which names in records, states and statuses mean which binding.
    pub routes: Vec<Route>,
    /// The file of the invocation that upstream reads again while it runs, to learn what is durable;
    /// `None` where it does not. [`UpstreamProtocol::state_file`] has its content.
    pub durable: Option<&'static str>,
    /// The sockets that the invocation asks upstream to open; `None` where all comes on stdout.
    pub channel: Option<ChannelPlan>,
    /// The folder in which upstream writes files of records that it then names, and that we remove; `None`
    /// where it writes none, or nobody knows where.
    pub batches: Option<PathBuf>,
}

/// A name under which upstream prints a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The namespace that goes with the name; `None` also takes any namespace that has no route.
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
    /// The position of the stream in the slice that was given to `read_plan`.
    pub stream: usize,
}

/// What is kept between runs for upstream, as the engine stores it.
#[derive(Debug, Clone, Default)]
pub struct StoredState<'a> {
    /// What belongs to no single stream.
    pub shared: Option<&'a RawValue>,
    /// What belongs to each stream, in the order of the bound streams; `None` for a stream that
    /// has none yet, or that is to start anew.
    pub streams: Vec<Option<&'a RawValue>>,
    /// Which streams begin: Flow holds nothing of their bindings, which were added or backfilled.
    pub fresh: Vec<bool>,
}

/// What a binding goes on from that another program read before.
#[derive(Debug, Default)]
pub struct TakenOver {
    /// The row id of its next document.
    pub row_id: u64,
    /// Upstream's state of its stream, as [`UpstreamProtocol::split_state`] would have it.
    pub state: Option<Box<RawValue>>,
}

/// What a capture goes on from that another program ran before.
#[derive(Debug, Default)]
pub struct TakenOverCapture {
    /// What belongs to no single stream.
    pub shared: Option<Box<RawValue>>,
    /// The state of each stream, in the order of the bound streams.
    pub streams: Vec<Option<Box<RawValue>>>,
}

/// What upstream's state of a stream that is read by full refresh says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshState {
    /// Nothing about a refresh: handed back, it does not keep upstream from beginning anew.
    Ended,
    /// Where upstream goes on in the next read: it reads what is new, whatever it was asked for.
    Partial,
    /// That a refresh has ended: handed back, it might keep upstream from beginning anew.
    Marker,
    /// How far a refresh is: handed back, upstream goes on there.
    Position {
        /// Whether it sends no row again that it sent before.
        exact: bool,
    },
}

/// What a state message of upstream changes.
#[derive(Debug, Default)]
pub struct StateUpdate {
    /// The new shared part; `None` leaves it as it is.
    pub shared: Option<Box<RawValue>>,
    /// New states of streams, by position in the bound streams; an inner `None` drops the state.
    pub streams: Vec<(usize, Option<Box<RawValue>>)>,
    /// What becomes of the states of streams that the message does not name.
    pub unnamed: Unnamed,
    /// Names of streams in the message that no binding reads: their states are not kept.
    pub unbound: Vec<String>,
    /// How many records upstream says it has printed since the last such message: of the one stream
    /// in `streams`, or of all streams where `shared` is set. `None` where it does not count.
    pub record_count: Option<u64>,
    /// Which records it covers, where upstream says so; it does where records come through sockets.
    pub coverage: Option<Coverage>,
}

impl StateUpdate {
    /// Whether upstream speaks of one stream here, and of nothing else.
    pub(crate) fn is_of_one_stream(&self) -> bool {
        self.shared.is_none() && self.streams.len() == 1 && matches!(self.unnamed, Unnamed::Keep)
    }
}

/// Which records a state covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    /// Its number among the states of its stream, or of the whole source, from 1.
    pub order: u64,
    /// The parts whose records it covers, each of the stream at this position, or of all streams.
    pub parts: Vec<(Option<usize>, String)>,
}

/// What a state message means for streams that it does not name.
#[derive(Debug, Clone, Copy, Default)]
pub enum Unnamed {
    /// Nothing.
    #[default]
    Keep,
    /// Those that are read have no state any more.
    Drop,
    /// The same where this says so of a state, and for bindings that are not read now, too: what
    /// the message shares has moved on without them.
    DropWhole(fn(&RawValue) -> bool),
}

/// An upstream protocol: Airbyte or Singer.
///
/// Methods that run upstream take an [`Upstream`], which starts the process, feeds its log lines
/// to our log, and enforces time limits.
#[expect(async_fn_in_trait, reason = "the engine runs on one thread: futures need not be Send")]
pub trait UpstreamProtocol {
    /// Variables that upstream gets unless the shim sets them; `None` removes an inherited one.
    fn environment(&self) -> Vec<(&'static str, Option<&'static str>)>;

    /// Members that are added to upstream's config file, and are no part of the user's config when
    /// upstream hands it back.
    fn private_members(&self) -> &'static [&'static str] {
        &[]
    }

    /// How bindings are configured.
    fn resource_spec(&self) -> ResourceSpec;

    /// Asks upstream for its specification. Needs no config.
    async fn spec(&self, upstream: &Upstream) -> Result<UpstreamSpec, Failure>;

    /// Whether upstream can connect with this config.
    async fn check(&self, upstream: &Upstream, config: &Value) -> Result<(), Failure>;

    /// Whether [`check`](Self::check) is a discovery, so that the next [`discover`](Self::discover) with the
    /// same config costs nothing.
    fn check_discovers(&self) -> bool {
        false
    }

    /// Which streams there are.
    async fn discover(&self, upstream: &Upstream, config: &Value) -> Result<Vec<DiscoveredStream>, Failure>;

    /// Reads a resource config; the error says what is wrong with it.
    fn resource(&self, resource_config: &Value) -> Result<Resource, String>;

    /// The resource config that a new binding of a stream gets, once the key of its collection (JSON
    /// pointers) is known.
    fn proposed_config(&self, stream: &DiscoveredStream, key: &[String], conventions: Conventions) -> Value {
        let _ = (key, conventions);
        stream.resource_config.clone()
    }

    /// Whether the resource config asks for something that the stream, as discovered, can do;
    /// the error says what it can do.
    fn supports(&self, stream: &DiscoveredStream, resource_config: &Value) -> Result<(), String>;

    /// Whether a stream, as discovered, hands over files in place of rows.
    fn hands_over_files(&self, stream: &DiscoveredStream) -> bool {
        let _ = stream;
        false
    }

    /// A pointer to the setting of upstream's config by which it hands over files in place of rows;
    /// `None` where the config does not ask for that.
    fn file_setting(&self, config: &Value) -> Option<String> {
        let _ = config;
        None
    }

    /// Whether Open needs a fresh discovery. `all_carried`: the write schema of each binding carries
    /// what the source said of its stream.
    fn needs_discovery(&self, all_carried: bool) -> bool;

    /// How to read these streams. `streams` is never empty and has no stream twice.
    /// `discovered` holds the whole fresh catalog where `needs_discovery` asked for one.
    fn read_plan(
        &self,
        config: &Value,
        streams: &[BoundStream],
        discovered: Option<&[DiscoveredStream]>,
        state: &StoredState<'_>,
    ) -> Result<ReadPlan, Failure>;

    /// What reads the lines of one read; it has not read anything yet.
    fn parser(&self) -> LineParser;

    /// Takes a state message apart. An error is fatal: a state that cannot be read is data lost.
    fn split_state(&self, state: &RawValue, streams: &[BoundStream]) -> Result<StateUpdate, LineError>;

    /// What the state of a stream that is read by full refresh says.
    fn refresh_state(&self, stream: &BoundStream, state: &RawValue) -> RefreshState;

    /// Whether a stream can be left out of a read and be read again later, without missing anything.
    fn may_be_left_out(&self, resource_config: &Value, state: &StoredState<'_>) -> bool;

    /// Whether a shared part says nothing of what was read, so that several processes may each have
    /// one of their own.
    fn shares_nothing(&self, shared: &RawValue) -> bool {
        let _ = shared;
        false
    }

    /// What of a shared part is not kept apart by stream, as a clause that says why streams are read together.
    fn what_is_shared(&self, shared: &RawValue) -> String {
        let _ = shared;
        "upstream keeps one state for all of its streams".to_owned()
    }

    /// Whether upstream, given this state, reads streams whole where it is asked to. Where it does
    /// not, a row that did not come is not a row that is gone.
    fn reads_whole(&self, state: &StoredState<'_>) -> bool;

    /// Whether a read plan may have a [`ReadPlan::durable`], for a session that opens before it plans.
    fn may_keep_durable(&self) -> bool {
        false
    }

    /// The content of [`ReadPlan::durable`] in this state.
    fn state_file(&self, _: &StoredState<'_>, _: &[BoundStream]) -> Vec<u8> {
        Vec::new()
    }

    /// Reads what another program kept for a binding; `None` where no program of this protocol
    /// writes such an entry.
    fn take_over_binding(&self, _: &RawValue, _: &BoundStream) -> Result<Option<TakenOver>, Failure> {
        Ok(None)
    }

    /// Reads what another program kept for a whole capture; `None` where no program of this protocol
    /// writes such a state. `offered` names the source's streams, as far as they are known.
    fn take_over_capture(
        &self,
        _: &RawValue,
        _: &[BoundStream],
        _: &[&str],
    ) -> Result<Option<TakenOverCapture>, Failure> {
        Ok(None)
    }

    /// Whether the state of a full-refresh stream is handed back after a refresh that ended well.
    /// Airbyte's is not: a source that gets it reads nothing (airbyte-protocol.md, 5.6).
    fn keeps_state_of_finished_refresh(&self) -> bool;

    /// The member of a record that says, when not null, that the row was deleted.
    fn deletion_marker(&self) -> &'static str;

    /// The level and text of a line of stderr, where the line has a form that names a level.
    fn stderr_line(line: &str) -> Option<(crate::log::Level, &str)>;
}
