//! One read: upstream runs, its output is moved, and its end is judged.

mod cadence;
mod changes;
mod counts;
mod errors;
mod outcome;
pub(super) mod parallel;
mod progress;
mod pump;
mod reports;
mod seen;
pub(super) mod standing;
mod watchdog;

use jiff::Timestamp;

use self::cadence::Cadence;
use self::counts::Counts;
use self::progress::Progress;
use self::pump::Pump;
use self::seen::Seen;
use self::standing::Standing;
use super::collections::bindings::BoundBinding;
use super::collections::sourced::Sourced;
use super::documents::document::Documents;
use super::documents::omission::Omission;
use super::documents::oversized::RecordLimit;
use super::documents::router::Router;
use super::documents::transform::{Places, Transform};
use super::input::batch::Batches;
use super::input::channel::{Channel, ChannelPlan, Opening, Partitions};
use super::input::parser::LineParser;
use super::processes::supervisor::{Ended, Running, Upstream};
use super::protocol::{BoundStream, DiscoveredStream, ReadPlan, Route, UpstreamProtocol};
use super::refresh::Refreshes;
use super::refresh::signals::Signals;
use super::requests::Requests;
use super::shutdown::{stopped, unwritten};
use super::state::CaptureState;
use super::state::acknowledged::StateFile;
use super::state::sharing::Sharing;
use super::stray::stray_request;
use crate::failure::Failure;
use crate::flow::writer::Writer;
use crate::shim::arguments::Verb;
use crate::shim::definition::Definition;
use crate::shim::units::Share;

/// How a read ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Everything was read but so many streams, of which upstream said nothing.
    Read {
        /// How many these are.
        unread: usize,
    },
    /// Upstream hung and was stopped; what it had read is committed.
    GaveUp,
}

/// What all reads of a session have in common.
pub(super) struct Reader<'a, P> {
    pub(super) protocol: &'a P,
    pub(super) definition: &'a Definition,
    pub(super) upstream: &'a Upstream,
    /// The whole fresh catalog, where there had to be one.
    pub(super) discovered: Option<&'a [DiscoveredStream]>,
    /// Whether Flow is told of truncating refreshes.
    pub(super) signals: Signals,
}

/// What one read is to read, by position.
pub(super) struct Part<'a> {
    pub(super) bound: &'a [BoundBinding],
    pub(super) streams: &'a [BoundStream],
    pub(super) sharing: Sharing<'a>,
}

/// How a read begins.
pub(super) struct Planned {
    pub(super) refreshes: Refreshes,
    pub(super) plan: ReadPlan,
}

impl<P: UpstreamProtocol> Reader<'_, P> {
    /// Plans a read of these streams, from this state.
    pub(super) fn plan(&self, part: &Part<'_>, state: &mut CaptureState) -> Result<Planned, Failure> {
        let Part { bound, streams, .. } = part;
        let refreshes =
            Refreshes::begin(self.protocol, self.definition, bound, streams, &self.signals, state)?;
        let config = self.upstream.rotation.newest();
        let plan = self.protocol.read_plan(&config, streams, self.discovered, &state.stored())?;
        Ok(Planned { refreshes, plan })
    }

    /// Runs upstream to its end. `requests`: those of Flow, where nobody else takes them meanwhile.
    pub(super) async fn read(
        &self,
        part: Part<'_>,
        planned: Planned,
        state: &mut CaptureState,
        writer: &mut Writer,
        requests: Option<&mut Requests>,
    ) -> Result<End, Failure> {
        let batches = Batches::begin(planned.plan.batches.clone());
        let mut batches = self.upstream.shutdown.unless_stopped(batches).await??;
        let read = Box::pin(self.run(part, planned, state, writer, requests, &mut batches)).await;
        batches.end().await;
        read
    }

    async fn run(
        &self,
        part: Part<'_>,
        planned: Planned,
        state: &mut CaptureState,
        writer: &mut Writer,
        mut requests: Option<&mut Requests>,
        batches: &mut Batches,
    ) -> Result<End, Failure> {
        let Part { bound, streams, sharing } = part;
        let Planned { refreshes, plan } = planned;
        let read_at = Timestamp::now().to_string();
        let standing = standing(&sharing, state, streams.len());
        let mut running = self.upstream.start(Verb::Read, &plan.invocation)?;
        let channel =
            plan.channel.as_ref().map(|channel| self.channel(channel, &plan, &running)).transpose()?;
        let shutdown = &self.upstream.shutdown;
        let broken = writer.broken();
        let transforms = transforms(bound);
        let state_file = plan.durable.map(|name| StateFile::new(running.file(name)));
        let state_file = state_file.as_ref();
        let sourced = Sourced::new(self.definition, bound, |stream| refreshes.may_delete(stream));
        let mut pump = Pump {
            protocol: self.protocol,
            parser: self.parser(&transforms, &plan.routes),
            writer,
            streams,
            router: Router::new(plan.routes),
            state,
            documents: Documents::new(self.definition.document.meta),
            transforms,
            omissions: streams.iter().map(|stream| stream.fields.clone().map(Omission::new)).collect(),
            state_file,
            refreshes,
            counts: Counts::new(streams.len()),
            sourced,
            cadence: Cadence::new(self.definition.read.checkpoint_every.clone()),
            batches,
            seen: Seen::nothing(streams.len()),
            progress: Progress::new(streams.len()),
            standing,
            rotation: &self.upstream.rotation,
            pulse: running.pulse().clone(),
            limit: RecordLimit::of(&self.definition.read),
            sharing,
            partitions: channel.as_ref().map(|channel| Partitions::new(channel.counter())),
        };
        let watch = watchdog::Watch::over(&running, self.upstream.idle_timeout);
        let (output, left_behind) = running.output();
        let read = tokio::select! {
            read = async { pump.begin().await?; pump.run(output, channel).await } => read,
            error = broken => Err(unwritten(error)),
            never = left_behind => match never {},
            () = watch.expired() => Ok(()),
            why = shutdown.requested() => Err(stopped(why)),
            failure = sharing.ended() => Err(failure),
            failure = stray_request(requests.as_deref_mut(), state_file) => Err(failure),
        };
        pump.seen.last_stream = pump.last_stream();
        pump.seen.near = pump.near();
        if let Some(verdict) = watch.verdict(&pump.seen) {
            cut_short(running).await;
            return verdict.map(|()| End::GaveUp);
        }
        if let Err(failure) = read {
            cut_short(running).await;
            return Err(failure);
        }
        let ended = tokio::select! {
            ended = running.ended(false) => ended?,
            failure = stray_request(requests, state_file) => return Err(failure),
        };
        let most = self.definition.read.max_deleted_share;
        let unread = shutdown.unless_stopped(conclude(pump, &ended, bound, most, &read_at)).await??;
        Ok(End::Read { unread })
    }

    /// What reads the lines, and notes what the transforms may have to change.
    fn parser(&self, transforms: &[Option<Transform>], routes: &[Route]) -> LineParser {
        let mut parser = self.protocol.parser();
        if let Some(places) = Places::of(transforms, routes) {
            parser.watch(Box::new(places));
        }
        parser
    }

    /// Waits for the sockets that upstream was asked to open.
    fn channel(&self, channel: &ChannelPlan, plan: &ReadPlan, running: &Running) -> Result<Channel, Failure> {
        tracing::info!(sockets = channel.sockets, "upstream is asked to open a data channel");
        let opening = Opening {
            routes: &plan.routes,
            parser: &|| self.protocol.parser(),
            limit: RecordLimit::of(&self.definition.read).line(),
            pulse: running.pulse(),
        };
        Channel::open(channel, &opening, |name| running.file(name))
    }
}

/// What a read of so many streams tells of itself; one process of several leaves most to the others.
fn standing(sharing: &Sharing<'_>, state: &CaptureState, streams: usize) -> Standing {
    match sharing {
        Sharing::Process { .. } => Standing::of_process(streams),
        _ => Standing::begin(state, streams),
    }
}

/// What is changed in the records of each binding.
fn transforms(bound: &[BoundBinding]) -> Vec<Option<Transform>> {
    let compiled = |binding: &BoundBinding| {
        // The only normalisation there is makes dates.
        let dates: Vec<String> = binding.different.normalize.keys().cloned().collect();
        Transform::compile(&binding.write_schema.tree(), &dates)
    };
    bound.iter().map(compiled).collect()
}

/// Ends upstream before it is done; nothing of it runs afterwards.
async fn cut_short(mut running: Running) {
    running.stop().await;
    // The stop is what is awaited here; how upstream took it changes nothing.
    let _ = running.ended(true).await;
}

/// Judges a read whose output was read to its end, and commits what is whole. `most`: the share of a
/// collection's rows that a snapshot may delete; `read_at`: when the read began. Gives how many streams were
/// not read.
async fn conclude<P: UpstreamProtocol>(
    mut pump: Pump<'_, P>,
    ended: &Ended,
    bound: &[BoundBinding],
    most: Option<Share>,
    read_at: &str,
) -> Result<usize, Failure> {
    pump.seal();
    report(&mut pump);
    let verdict = outcome::decide(ended, &pump.seen, pump.streams);
    let mut finished = outcome::finished(ended, &pump.seen, pump.streams, verdict.is_ok());
    if verdict.is_ok() {
        pump.take_last_states()?;
    }
    let unread = pump.leave_unread(bound, &mut finished);
    let refused = pump.refuse(bound, &mut finished, most);
    for (stream, binding) in bound.iter().enumerate() {
        if finished[stream] && binding.different.interval.is_some() {
            pump.state.set_read_at(stream, read_at.to_owned());
        }
    }
    pump.close(bound, &finished, verdict.is_ok()).await?;
    verdict.and(refused).map(|()| unread)
}

/// Says what there is to say of a read whatever it comes to.
fn report<P: UpstreamProtocol>(pump: &mut Pump<'_, P>) {
    pump.counts.tell(pump.streams);
    let seen = &pump.seen;
    let repaired = seen.repaired_lines + pump.documents.repaired;
    if repaired > 0 {
        tracing::warn!(
            records = repaired,
            "upstream printed text that is not JSON: NaN and infinities became null, broken characters U+FFFD"
        );
    }
    tracing::info!(documents = seen.documents, "upstream has ended");
}
