//! One read: upstream runs, its output is moved, and its end is judged.

use jiff::Timestamp;

use super::acknowledged::StateFile;
use super::bindings::BoundBinding;
use super::cadence::Cadence;
use super::counts::Counts;
use super::document::Documents;
use super::interval;
use super::outcome;
use super::oversized::RecordLimit;
use super::planning::Planned;
use super::progress::Progress;
use super::protocol::UpstreamProtocol;
use super::pump::Pump;
use super::router::Router;
use super::seen::Seen;
use super::session::Session;
use super::sourced::Sourced;
use super::standing::Standing;
use super::state::CaptureState;
use super::stray::stray_request;
use super::supervisor::{Running, stopped};
use super::transform::Transform;
use super::watchdog;
use crate::failure::Failure;
use crate::log;
use crate::shim::stream::stream_override;
use crate::shim::streams::Normalization;

impl<P: UpstreamProtocol> Session<P> {
    /// Runs upstream to its end.
    pub(super) async fn read(
        &mut self,
        bound: &[BoundBinding],
        planned: Planned,
        state: &mut CaptureState,
    ) -> Result<(), Failure> {
        let Planned { streams, sourced, refreshes, plan } = planned;
        let read_at = Timestamp::now().to_string();
        let standing = Standing::begin(state, streams.len());
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
            progress: Progress::new(streams.len()),
            standing,
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
}

/// Ends upstream before it is done; nothing of it runs afterwards.
async fn cut_short(mut running: Running) {
    running.stop().await;
    // The stop is what is awaited here; how upstream took it changes nothing.
    let _ = running.ended(true).await;
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
