//! Hot path: records become documents, states become ours.

use serde_json::value::RawValue;

use super::Pump;
use crate::capture::documents::own_meta;
use crate::capture::documents::transform::Transform;
use crate::capture::event::{Batch, Record, Traits};
use crate::capture::input::batch::{BatchRecord, Reading};
use crate::capture::protocol::{BoundStream, StateUpdate, UpstreamProtocol};
use crate::failure::{Code, Failure};
use crate::json::envelope::Spot;
use crate::json::members::{Members, is_blank};

/// How many names are listed that came in place of a stream's.
const NAMED: usize = 5;

impl<P: UpstreamProtocol> Pump<'_, P> {
    pub(super) fn record(&mut self, record: &Record<'_>) -> Result<(), Failure> {
        let Some(stream) = self.router.find(record.namespace.as_deref(), &record.stream) else {
            self.counts.dropped_record(&record.stream);
            return Ok(());
        };
        match record.changes {
            None => self.document(stream, record.data, record.traits, None)?,
            Some(changes) => self.changed(stream, record.data, changes)?,
        }
        if self.partitions.is_some() {
            self.lone_record(stream, record.partition.as_deref());
        }
        Ok(())
    }

    /// Writes a record of which upstream says that it damaged it, with its words in `/_meta/changes`.
    #[cold]
    fn changed(&mut self, stream: usize, record: &[u8], changes: &RawValue) -> Result<(), Failure> {
        self.counts.changes.note(stream, changes, self.streams);
        // A record is text, which its parser has checked.
        let record = std::str::from_utf8(record).unwrap_or("{}");
        let record = own_meta::with(Members::new(record), own_meta::CHANGES, changes.get());
        let traits = Traits::find(&record, self.protocol.deletion_marker());
        self.document(stream, record.as_bytes(), traits, None)
    }

    /// Writes a record, without what the shim leaves out of it. `spots` are the values of it that its
    /// transform asked for, where another than the parser has them.
    pub(super) fn document(
        &mut self,
        stream: usize,
        record: &[u8],
        traits: Traits,
        spots: Option<&[Spot]>,
    ) -> Result<(), Failure> {
        let Some(mut omission) = self.omissions[stream].take() else {
            return self.whole_document(stream, record, traits, spots);
        };
        let left = omission.apply(record);
        let text = std::str::from_utf8(left).unwrap_or("{}");
        let found = Traits::find(text, self.protocol.deletion_marker());
        let found = Traits { deleted: traits.deleted, ..found };
        let written = self.whole_document(stream, left, found, None);
        self.omissions[stream] = Some(omission);
        written
    }

    fn whole_document(
        &mut self,
        stream: usize,
        record: &[u8],
        traits: Traits,
        spots: Option<&[Spot]>,
    ) -> Result<(), Failure> {
        if record.len() > self.limit.bytes {
            let BoundStream { id, key, .. } = &self.streams[stream];
            let record = self.limit.cut_down(&id.to_string(), record, key)?;
            let traits = Traits::find(&record, self.protocol.deletion_marker());
            self.write(stream, record.as_bytes(), traits, None);
        } else {
            self.write(stream, record, traits, spots);
        }
        Ok(())
    }

    fn write(&mut self, stream: usize, record: &[u8], traits: Traits, spots: Option<&[Spot]>) {
        self.counts.record(stream, record.len());
        self.seen.end_marks[stream] = false;
        if traits.novel {
            self.sourced.record(stream, record);
        }
        let record = match &mut self.transforms[stream] {
            Some(transform) => transform.apply(record, spots.or_else(|| self.parser.spots(traits))),
            None => record,
        };
        let written = self.refreshes.write(stream, record, traits, &mut self.documents, self.writer);
        self.seen.wrote(written);
        if written > 0 && self.refreshes.is_silent(stream) {
            self.cadence.written(written, record.len());
        }
    }

    /// Takes over a state. A row id is kept with the state of its own stream alone: after a restart
    /// from an older state the rows behind it come again, and get the same row ids again.
    pub(super) fn state(&mut self, mut update: StateUpdate) -> Result<(), Failure> {
        self.sharing.judge(self.protocol, &mut update)?;
        for stream in &update.unbound {
            self.counts.dropped(stream);
        }
        self.counts.state(&update, self.streams);
        self.refuse_renamed(&update)?;
        for (stream, upstream) in &update.streams {
            let Some(upstream) = upstream else { continue };
            if self.state.upstream(*stream).is_some_and(|old| old.get() == upstream.get())
                && self.refreshes.is_full_refresh(*stream)
            {
                continue;
            }
            let kind = self.protocol.refresh_state(&self.streams[*stream], upstream);
            let written = self.refreshes.state(*stream, kind, self.state, self.writer);
            self.seen.wrote(written);
        }
        self.state.update(update);
        Ok(())
    }

    /// Fails where a stream moves its position, nothing came of it, and records of another name were left
    /// out: they may be its own, renamed (`__alias__` in the `stream_maps` of Singer's SDK renames SCHEMA and
    /// RECORD, not STATE). Behind that position nobody would read them again.
    fn refuse_renamed(&self, update: &StateUpdate) -> Result<(), Failure> {
        for (stream, upstream) in &update.streams {
            let Some(upstream) = upstream else { continue };
            let names = self.counts.instead_of(*stream);
            if names.is_empty() {
                continue;
            }
            let stands = self.state.upstream(*stream).is_some_and(|old| old.get() == upstream.get());
            if !stands && !is_blank(upstream.get()) {
                return Err(renamed(&self.streams[*stream].id.to_string(), &names));
            }
        }
        Ok(())
    }

    /// Notes of which streams a state speaks: one of a single stream does; one of many, which repeats what
    /// the others had, only where it changes something.
    pub(super) fn hear(&mut self, update: &StateUpdate) {
        let single = update.is_of_one_stream();
        for (stream, new) in &update.streams {
            let old = self.state.upstream(*stream).map(RawValue::get);
            self.seen.heard[*stream] |= single || old != new.as_deref().map(RawValue::get);
        }
    }

    pub(super) async fn batch(&mut self, batch: &Batch) -> Result<(), Failure> {
        let stream = self.router.find(None, &batch.stream);
        for file in &batch.files {
            let Some(stream) = stream else {
                self.counts.dropped_record(&batch.stream);
                self.batches.remove(file).await?;
                continue;
            };
            let reading = Reading {
                deletion_marker: self.protocol.deletion_marker(),
                watch: self.transforms[stream].as_ref().map(Transform::watch),
                pulse: self.pulse.clone(),
            };
            let Some(mut records) = self.batches.open(file, &batch.stream, reading).await? else { continue };
            while let Some(BatchRecord { text, traits, spots }) = records.next_record().await? {
                self.document(stream, text, traits, spots)?;
                self.after_record().await?;
            }
            self.batches.remove(file).await?;
        }
        Ok(())
    }
}

/// The failure of a stream whose records seem to come under other names.
fn renamed(stream: &str, names: &[&str]) -> Failure {
    let listed: Vec<String> = names.iter().take(NAMED).map(|name| format!("{name:?}")).collect();
    let more = if names.len() > NAMED { " and others" } else { "" };
    let listed = listed.join(", ");
    Failure::new(
        Code::STREAM_RENAMED,
        format!(
            "upstream moved the position of stream {stream:?} without printing anything of it, while it printed records \
             of {listed}{more}, which no binding reads; the position is not committed, because those records would be \
             lost: if a setting of the connector renames the stream (such as `stream_maps` with `__alias__`), remove it, \
             else discover again and enable the binding of the stream that prints records"
        ),
    )
    .with("stream", stream)
}
