//! Open: plans the read, runs upstream, and ends the session as it deserves.

use serde_json::Value;

use super::bindings::{self, BoundBinding};
use super::cadence::Cadence;
use super::counts::Counts;
use super::document::Documents;
use super::outcome;
use super::protocol::{BoundStream, DiscoveredStream, ReadPlan, UpstreamProtocol};
use super::pump::{Pump, closed};
use super::refresh::Refreshes;
use super::router::Router;
use super::schema;
use super::seen::Seen;
use super::session::Session;
use super::state::CaptureState;
use super::supervisor::{Running, stopped};
use crate::failure::{Cause, Failure};
use crate::flow::message::{CaptureSpec, OpenRequest, Opened, Response};
use crate::shim::stream::patch_schema;

impl<P: UpstreamProtocol> Session<P> {
    /// Runs the capture until upstream has no more.
    pub(super) async fn open(&mut self, request: OpenRequest) -> Result<(), Failure> {
        let Some(capture) = request.capture else {
            return Err(Failure::new(Cause::Runtime, "the Open request names no capture"));
        };
        let bound = bindings::resolve(&capture, &self.protocol)?;
        let keys: Vec<String> = bound.iter().map(|binding| binding.state_key.clone()).collect();
        let mut state = CaptureState::open(&request.state_json, &keys)?;
        // Until bindings are spread over shards, the shard that owns the first key reads them all.
        let idle = bound.is_empty() || request.range.is_some_and(|range| range.key_begin != 0);
        if idle {
            self.opened().await?;
            tracing::info!("no binding is to be read here; waiting");
            return self.wait_for_end().await;
        }
        let planned = self.plan(&capture, &bound, &mut state).await?;
        self.opened().await?;
        self.read(&bound, planned, &mut state).await
    }

    async fn plan(
        &mut self,
        capture: &CaptureSpec,
        bound: &[BoundBinding],
        state: &mut CaptureState,
    ) -> Result<Planned, Failure> {
        let config = self.config(&capture.config_json).await?;
        let carried: Vec<_> = bound.iter().map(|binding| schema::carried(&binding.write_schema)).collect();
        let schemas: Vec<Option<&Value>> = carried.iter().map(|(schema, _)| *schema).collect();
        let discovered = if self.protocol.needs_discovery(&schemas) {
            Some(self.protocol.discover(&self.upstream, &config).await?)
        } else {
            None
        };
        let streams: Vec<BoundStream> = bound
            .iter()
            .zip(carried)
            .map(|(binding, (carried, source_stream))| {
                let fresh = discovered.iter().flatten().find(|stream| stream.id == binding.resource.id);
                let mut schema = best_schema(fresh, carried, &binding.write_schema);
                if fresh.is_some() {
                    let id = &binding.resource.id;
                    patch_schema(&self.definition, &id.name, &id.to_string(), &mut schema);
                }
                BoundStream {
                    binding: binding.index,
                    id: binding.resource.id.clone(),
                    resource_config: binding.resource_config.clone(),
                    key: binding.key.clone(),
                    schema,
                    source_stream: source_stream.cloned(),
                }
            })
            .collect();
        let refreshes = Refreshes::begin(&self.protocol, &self.definition, bound, &streams, state)?;
        let plan = self.protocol.read_plan(&config, &streams, discovered.as_deref(), &state.stored())?;
        Ok(Planned { streams, refreshes, plan })
    }

    async fn opened(&mut self) -> Result<(), Failure> {
        let opened = Opened { explicit_acknowledgements: false };
        self.writer.send(&Response { opened: Some(opened), ..Response::default() }).await.map_err(closed)
    }

    async fn read(
        &mut self,
        bound: &[BoundBinding],
        planned: Planned,
        state: &mut CaptureState,
    ) -> Result<(), Failure> {
        let Planned { streams, refreshes, plan } = planned;
        let mut running = self.upstream.start(&plan.invocation)?;
        let mut pump = Pump {
            protocol: &self.protocol,
            parser: self.protocol.parser(),
            writer: &mut self.writer,
            streams: &streams,
            router: Router::new(plan.routes),
            state,
            documents: Documents::default(),
            refreshes,
            counts: Counts::new(streams.len()),
            cadence: Cadence::new(self.definition.read.checkpoint_every.clone()),
            seen: Seen::nothing(streams.len()),
        };
        pump.begin().await?;
        let (output, left_behind) = running.output();
        let read = tokio::select! {
            read = pump.run(output) => read,
            never = left_behind => match never {},
            why = self.upstream.shutdown.requested() => Err(stopped(why)),
            failure = stray_request(&mut self.requests) => Err(failure),
        };
        if let Err(failure) = read {
            return Err(end_early(running, failure).await);
        }
        let ended = running.ended(false).await?;
        report(&mut pump);
        let verdict = outcome::decide(&ended, &pump.seen, &streams);
        let finished = outcome::finished(&ended, &pump.seen, &streams, verdict.is_ok());
        pump.close(bound, &finished, verdict.is_ok()).await?;
        verdict
    }

    /// A session without work stays up until Flow ends it.
    async fn wait_for_end(&mut self) -> Result<(), Failure> {
        tokio::select! {
            why = self.upstream.shutdown.requested() => Err(stopped(why)),
            failure = stray_request_or_end(&mut self.requests) => failure.map_or(Ok(()), Err),
        }
    }
}

/// What a read needs to be known before it begins.
struct Planned {
    streams: Vec<BoundStream>,
    refreshes: Refreshes,
    plan: ReadPlan,
}

/// A read that failed may have failed because upstream did: its own words come first then.
async fn end_early(mut running: Running, failure: Failure) -> Failure {
    running.stop().await;
    // The stop is what is awaited here; how upstream took it changes nothing.
    let _ = running.ended(true).await;
    failure
}

fn best_schema(fresh: Option<&DiscoveredStream>, carried: Option<&Value>, write_schema: &Value) -> Value {
    fresh.map(|stream| &stream.schema).or(carried).unwrap_or(write_schema).clone()
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

/// Acknowledgements need nothing; the end of stdin is no stop; anything else is a mistake.
async fn stray_request(requests: &mut super::requests::Requests) -> Failure {
    match stray_request_or_end(requests).await {
        Some(failure) => failure,
        None => std::future::pending().await,
    }
}

async fn stray_request_or_end(requests: &mut super::requests::Requests) -> Option<Failure> {
    loop {
        match requests.next().await {
            Ok(None) => return None,
            Ok(Some(request)) if request.acknowledge.is_some() => {}
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
