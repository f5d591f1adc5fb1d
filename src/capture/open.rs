//! Open: plans the read, runs upstream, and ends the session as it deserves.

use std::collections::HashMap;

use serde_json::Value;

use super::bindings::{self, BoundBinding};
use super::document::Documents;
use super::outcome;
use super::protocol::{BoundStream, DiscoveredStream, ReadPlan, StreamId, UpstreamProtocol};
use super::pump::{Pump, Seen, closed};
use super::router::Router;
use super::schema;
use super::session::Session;
use super::state::CaptureState;
use super::supervisor::{Running, stopped};
use super::transform::Transform;
use crate::failure::{Cause, Failure};
use crate::flow::message::{CaptureSpec, OpenRequest, Opened, Response};
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
        let keys: Vec<String> = bound.iter().map(|binding| binding.state_key.clone()).collect();
        let mut state = CaptureState::open(&request.state_json, &keys)?;
        // Until bindings are spread over shards, the shard that owns the first key reads them all.
        let idle = bound.is_empty() || request.range.is_some_and(|range| range.key_begin != 0);
        if idle {
            self.opened().await?;
            tracing::info!("no binding is to be read here; waiting");
            return self.wait_for_end().await;
        }
        let (streams, plan) = self.plan(&capture, &bound, &state).await?;
        self.opened().await?;
        self.read(&bound, &streams, plan, &mut state).await
    }

    async fn plan(
        &mut self,
        capture: &CaptureSpec,
        bound: &[BoundBinding],
        state: &CaptureState,
    ) -> Result<(Vec<BoundStream>, ReadPlan), Failure> {
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
        let plan = self.protocol.read_plan(&config, &streams, discovered.as_deref(), &state.stored())?;
        Ok((streams, plan))
    }

    async fn opened(&mut self) -> Result<(), Failure> {
        let opened = Opened { explicit_acknowledgements: false };
        self.writer.send(&Response { opened: Some(opened), ..Response::default() }).await.map_err(closed)
    }

    async fn read(
        &mut self,
        bound: &[BoundBinding],
        streams: &[BoundStream],
        plan: ReadPlan,
        state: &mut CaptureState,
    ) -> Result<(), Failure> {
        let mut running = self.upstream.start(&plan.invocation)?;
        let transforms = self.transforms(bound);
        let seen = Seen { statuses: vec![None; streams.len()], ..Seen::default() };
        let mut pump = Pump {
            protocol: &self.protocol,
            parser: self.protocol.parser(),
            writer: &mut self.writer,
            streams,
            router: Router::new(plan.routes),
            state,
            documents: Documents::default(),
            transforms,
            seen,
        };
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
        report(&pump);
        outcome::decide(&ended, &pump.seen, streams)?;
        if !self.protocol.keeps_state_of_finished_refresh() {
            for (stream, binding) in
                bound.iter().enumerate().filter(|(_, binding)| binding.resource.full_refresh)
            {
                tracing::debug!(stream = %binding.resource.id, "the refresh is complete; its state is not kept");
                pump.state.forget_upstream(stream);
            }
        }
        pump.close().await
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
            failure = stray_request_or_end(&mut self.requests) => failure.map_or(Ok(()), Err),
        }
    }
}

impl<P: UpstreamProtocol> Pump<'_, P> {
    /// The checkpoint of a read that ended well, where anything is left to be committed.
    async fn close(&mut self) -> Result<(), Failure> {
        if self.seen.uncommitted > 0 || self.state.has_changed() {
            self.checkpoint().await?;
        }
        Ok(())
    }
}

/// A read that failed may have failed because upstream did: its own words come first then.
async fn end_early(mut running: Running, failure: Failure) -> Failure {
    running.stop().await;
    // The stop is what is awaited here; how upstream took it changes nothing.
    let _ = running.ended(true).await;
    failure
}

fn report<P: UpstreamProtocol>(pump: &Pump<'_, P>) {
    let seen = &pump.seen;
    let repaired = seen.repaired_lines + pump.documents.repaired;
    if repaired > 0 {
        tracing::warn!(
            records = repaired,
            "upstream printed text that is not JSON: NaN and infinities became null, broken characters U+FFFD"
        );
    }
    for (stream, times) in &seen.unknown_streams {
        tracing::warn!(stream, times, "messages of a stream that no binding reads were left out");
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
