//! Open: plans the read, runs upstream, and ends the session as it deserves.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use super::acknowledged::StateFile;
use super::bindings::{self, BoundBinding};
use super::cadence::Cadence;
use super::counts::Counts;
use super::document::Documents;
use super::interval::{self, Rested, rest};
use super::meta;
use super::outcome;
use super::oversized::RecordLimit;
use super::protocol::{BoundStream, DiscoveredStream, ReadPlan, StreamId, UpstreamProtocol};
use super::pump::{Pump, closed};
use super::refresh::Refreshes;
use super::requests::Requests;
use super::router::Router;
use super::schema;
use super::seen::Seen;
use super::session::Session;
use super::sourced::Sourced;
use super::state::CaptureState;
use super::supervisor::{Running, stopped};
use super::takeover;
use super::transform::Transform;
use super::upstream_config::skips_interval;
use super::watchdog;
use crate::failure::{Cause, Failure};
use crate::flow::message::{CaptureSpec, OpenRequest, Opened, Request, Response};
use crate::log;
use crate::shim::read::DiscoverOnOpen;
use crate::shim::stream::stream_override;
use crate::shim::streams::Normalization;

impl<P: UpstreamProtocol> Session<P> {
    /// Runs the capture until upstream has no more.
    pub(super) async fn open(&mut self, request: OpenRequest) -> Result<(), Failure> {
        let Some(capture) = request.capture else {
            return Err(Failure::new(Cause::Runtime, "the Open request names no capture"));
        };
        let bound = bindings::resolve(&capture, &self.protocol)?;
        for binding in &bound {
            meta::serves(&binding.key, self.definition.document.meta)
                .map_err(|why| bindings::wrong(binding.index, &why))?;
        }
        // Until bindings are spread over shards, the shard that owns the first key reads them all.
        let idle = bound.is_empty() || request.range.is_some_and(|range| range.key_begin != 0);
        if idle {
            self.opened(false).await?;
            tracing::info!("no binding is to be read here; waiting");
            return self.wait_for_end().await;
        }
        let began = Instant::now();
        let Some(bound) = self.due(bound, &request.state_json).await? else { return Ok(()) };
        let mut state = CaptureState::open(&request.state_json, &state_keys(&bound))?;
        let planned = self.plan(&capture, &bound, &mut state).await?;
        self.opened(planned.plan.durable.is_some()).await?;
        self.read(&bound, planned, &mut state).await?;
        // Everything is committed; a session that is to stay up waits.
        let least = self.definition.read.min_interval.filter(|_| !skips_interval(&capture.config_json));
        let time = least.map(|least| least.saturating_sub(began.elapsed()));
        if let Some(time) = time.filter(|time| !time.is_zero()) {
            tracing::info!(
                seconds = time.as_secs(),
                "everything is read; waiting, as `read.minInterval` has it"
            );
            rest(time, &self.upstream.shutdown, &mut self.requests).await?;
        }
        Ok(())
    }

    /// The bindings that are to be read now; waits for the first where none is. `None`: Flow has
    /// ended the session.
    async fn due(
        &mut self,
        bound: Vec<BoundBinding>,
        state: &[u8],
    ) -> Result<Option<Vec<BoundBinding>>, Failure> {
        let state = CaptureState::open(state, &state_keys(&bound))?;
        loop {
            let waits = interval::waits(&self.protocol, &self.definition, &bound, &state, Timestamp::now());
            let next = waits.iter().min().copied().unwrap_or_default();
            if next.is_zero() {
                let due = |(binding, wait): (BoundBinding, &std::time::Duration)| {
                    if !wait.is_zero() {
                        tracing::info!(stream = %binding.resource.id, seconds = wait.as_secs(), "not due yet; left out of this read");
                    }
                    wait.is_zero().then_some(binding)
                };
                return Ok(Some(bound.into_iter().zip(&waits).filter_map(due).collect()));
            }
            self.opened(self.protocol.may_keep_durable()).await?;
            tracing::info!(seconds = next.as_secs(), "no stream is due yet; waiting");
            if rest(next, &self.upstream.shutdown, &mut self.requests).await? == Rested::Ended {
                return Ok(None);
            }
        }
    }

    async fn plan(
        &mut self,
        capture: &CaptureSpec,
        bound: &[BoundBinding],
        state: &mut CaptureState,
    ) -> Result<Planned, Failure> {
        let config = self.config(&capture.config_json).await?;
        let carried: Vec<_> = bound
            .iter()
            .map(|binding| schema::carried(&binding.write_schema, self.definition.schema.mode))
            .collect();
        let schemas: Vec<Option<&Value>> = carried.iter().map(|(schema, _)| *schema).collect();
        let discovers = match self.definition.read.discover_on_open {
            DiscoverOnOpen::Auto => self.protocol.needs_discovery(&schemas),
            DiscoverOnOpen::Always => true,
            DiscoverOnOpen::Never => false,
        };
        let discovered =
            if discovers { Some(self.protocol.discover(&self.upstream, &config).await?) } else { None };
        let fresh: HashMap<&StreamId, &DiscoveredStream> =
            discovered.iter().flatten().map(|stream| (&stream.id, stream)).collect();
        let streams: Vec<BoundStream> = bound
            .iter()
            .zip(carried)
            .map(|(binding, (carried, source_stream))| {
                let id = &binding.resource.id;
                let patch = stream_override(&self.definition, &id.name, &id.to_string()).schema_patch;
                let fresh = fresh.get(id).map(|stream| schema::patched(&stream.schema, patch.as_ref()));
                BoundStream {
                    binding: binding.index,
                    id: binding.resource.id.clone(),
                    resource_config: binding.resource_config.clone(),
                    key: binding.key.clone(),
                    schema: fresh.unwrap_or_else(|| carried.unwrap_or(&binding.write_schema).clone()),
                    source_stream: source_stream.cloned(),
                }
            })
            .collect();
        let sourced = bound.iter().zip(&streams).map(|(binding, stream)| {
            // Of a source that says nothing, the write schema stands in; Flow knows that one.
            let says = discovered.iter().flatten().any(|found| found.id == stream.id)
                || schema::carried(&binding.write_schema, self.definition.schema.mode).0.is_some();
            says.then(|| stream.schema.clone())
        });
        let sourced = sourced.collect();
        let offered: Vec<&str> = discovered.iter().flatten().map(|stream| stream.id.name.as_str()).collect();
        takeover::take_over(&self.protocol, state, &streams, &offered)?;
        let refreshes = Refreshes::begin(&self.protocol, &self.definition, bound, &streams, state)?;
        let config = self.upstream.rotation.newest();
        let plan = self.protocol.read_plan(&config, &streams, discovered.as_deref(), &state.stored())?;
        Ok(Planned { streams, sourced, refreshes, plan })
    }

    /// Tells Flow, once, that the capture is open.
    async fn opened(&mut self, explicit_acknowledgements: bool) -> Result<(), Failure> {
        if std::mem::replace(&mut self.is_open, true) {
            return Ok(());
        }
        let opened = Opened { explicit_acknowledgements };
        self.writer.send(&Response { opened: Some(opened), ..Response::default() }).await.map_err(closed)
    }

    async fn read(
        &mut self,
        bound: &[BoundBinding],
        planned: Planned,
        state: &mut CaptureState,
    ) -> Result<(), Failure> {
        let Planned { streams, sourced, refreshes, plan } = planned;
        let read_at = Timestamp::now().to_string();
        log::status(&beginning(state, streams.len()));
        let mut running = self.upstream.start(&plan.invocation)?;
        let transforms = self.transforms(bound);
        let state_file = plan.durable.map(|name| StateFile::new(running.file(name)));
        let state_file = state_file.as_ref();
        let mut pump = Pump {
            protocol: &self.protocol,
            parser: self.protocol.parser(),
            writer: &mut self.writer,
            streams: &streams,
            router: Router::new(plan.routes),
            state,
            documents: Documents::new(self.definition.document.meta),
            transforms,
            state_file,
            refreshes,
            counts: Counts::new(streams.len()),
            sourced: Sourced::new(&self.definition, bound),
            cadence: Cadence::new(self.definition.read.checkpoint_every.clone()),
            seen: Seen::nothing(streams.len()),
            rotation: &self.upstream.rotation,
            pulse: running.pulse().clone(),
            limit: RecordLimit::of(&self.definition.read),
        };
        pump.begin(&sourced).await?;
        let watch = watchdog::Watch::over(&running, self.upstream.idle_timeout);
        let (output, left_behind) = running.output();
        let read = tokio::select! {
            read = pump.run(output) => read,
            never = left_behind => match never {},
            () = watch.expired() => Ok(()),
            why = self.upstream.shutdown.requested() => Err(stopped(why)),
            failure = stray_request(&mut self.requests, state_file) => Err(failure),
        };
        pump.seen.last_stream = pump.last_stream();
        if let Some(verdict) = watch.verdict(&pump.seen) {
            cut_short(running).await;
            return verdict;
        }
        if let Err(failure) = read {
            cut_short(running).await;
            return Err(failure);
        }
        let ended = tokio::select! {
            ended = running.ended(false) => ended?,
            failure = stray_request(&mut self.requests, state_file) => return Err(failure),
        };
        report(&mut pump);
        let verdict = outcome::decide(&ended, &pump.seen, &streams);
        let finished = outcome::finished(&ended, &pump.seen, &streams, verdict.is_ok());
        for (stream, binding) in bound.iter().enumerate().filter(|(stream, _)| finished[*stream]) {
            if interval::interval(&self.definition, binding).is_some() {
                pump.state.set_read_at(stream, read_at.clone());
            }
        }
        pump.close(bound, &finished, verdict.is_ok()).await?;
        if verdict.is_ok() {
            log::status(&format!("Up to date: {} streams were read to their end", streams.len()));
        }
        verdict
    }

    /// What is changed in the records of each binding.
    fn transforms(&self, bound: &[BoundBinding]) -> Vec<Option<Transform>> {
        let compiled = bound.iter().map(|binding| {
            let id = &binding.resource.id;
            let different = stream_override(&self.definition, &id.name, &id.to_string());
            let to_date = |(pointer, Normalization::DatetimeToDate)| pointer;
            let dates: Vec<String> = different.normalize.into_iter().map(to_date).collect();
            Transform::compile(&binding.write_schema, &dates)
        });
        compiled.collect()
    }

    /// A session without work stays up until Flow ends it.
    async fn wait_for_end(&mut self) -> Result<(), Failure> {
        tokio::select! {
            why = self.upstream.shutdown.requested() => Err(stopped(why)),
            failure = stray_request_or_end(&mut self.requests, None) => failure.map_or(Ok(()), Err),
        }
    }
}

/// What the user is told when a read begins: streams that have no state yet are read from the start.
fn beginning(state: &CaptureState, streams: usize) -> String {
    match (0..streams).filter(|&stream| state.upstream(stream).is_none()).count() {
        0 => format!("Reading what is new of {streams} streams"),
        new => format!("Backfilling {new} of {streams} streams"),
    }
}

/// What a read needs to be known before it begins.
struct Planned {
    streams: Vec<BoundStream>,
    /// What the source says of the schema of each stream; `None` where it says nothing.
    sourced: Vec<Option<Value>>,
    refreshes: Refreshes,
    plan: ReadPlan,
}

/// Ends upstream before it is done; nothing of it runs afterwards.
async fn cut_short(mut running: Running) {
    running.stop().await;
    // The stop is what is awaited here; how upstream took it changes nothing.
    let _ = running.ended(true).await;
}

fn state_keys(bound: &[BoundBinding]) -> Vec<String> {
    bound.iter().map(|binding| binding.state_key.clone()).collect()
}

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

/// Takes acknowledgements; the end of stdin is no stop; anything else is a mistake.
async fn stray_request(requests: &mut Requests, file: Option<&StateFile>) -> Failure {
    match stray_request_or_end(requests, file).await {
        Some(failure) => failure,
        None => std::future::pending().await,
    }
}

pub(super) async fn stray_request_or_end(
    requests: &mut Requests,
    file: Option<&StateFile>,
) -> Option<Failure> {
    loop {
        match requests.next().await {
            Ok(None) => return None,
            Ok(Some(Request { acknowledge: Some(acknowledge), .. })) => {
                let written = file.map_or(Ok(()), |file| file.acknowledge(acknowledge.checkpoints));
                if let Err(failure) = written {
                    return Some(failure);
                }
            }
            Ok(Some(_)) => {
                return Some(Failure::new(
                    Cause::Runtime,
                    "a request other than Acknowledge came while the capture runs",
                ));
            }
            Err(failure) => return Some(failure),
        }
    }
}
