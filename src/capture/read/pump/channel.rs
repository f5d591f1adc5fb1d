//! Hot path: records that come through sockets, beside what comes on stdout.
//!
//! A bundle of records is written as it comes. States wait in [`Partitions`] until the records that they
//! cover are written, whichever socket those come through.

use tokio::io::AsyncRead;

use super::events::damaged;
use super::{Next, Pump};
use crate::capture::collections::key;
use crate::capture::input::channel::{Bundle, Channel, End, Item, Partitions, Ready};
use crate::capture::input::lines::Lines;
use crate::capture::processes::supervisor::unreadable;
use crate::capture::protocol::{StateUpdate, UpstreamProtocol};
use crate::failure::{Code, Failure};

/// What comes next.
enum Came {
    /// So many bytes on stdout.
    Output(std::io::Result<usize>),
    /// Messages of a socket; `None` once all sockets have ended.
    Bundle(Option<Bundle>),
}

/// Records of one part of a stream that follow each other.
struct Run<'a> {
    stream: usize,
    partition: &'a str,
    records: u64,
}

impl<P: UpstreamProtocol> Pump<'_, P> {
    /// Reads to the end of the output and of all sockets.
    pub(super) async fn read_with(
        &mut self,
        mut channel: Channel,
        output: &mut (impl AsyncRead + Unpin),
    ) -> Result<(), Failure> {
        let mut lines = Lines::new(self.limit.line());
        let (mut output_ended, mut channel_ended) = (false, false);
        while !(output_ended && channel_ended) {
            if channel.is_idle() {
                self.flush().await?;
            }
            self.pulse.set_waiting(true);
            let came = self
                .wait(async || {
                    tokio::select! {
                        read = lines.fill(output), if !output_ended => Came::Output(read),
                        bundle = channel.next(), if !channel_ended => Came::Bundle(bundle),
                    }
                })
                .await?;
            // When Flow is slow, silence is not upstream's fault.
            self.pulse.set_waiting(false);
            match came {
                Came::Output(read) => {
                    self.take_lines(&mut lines).await?;
                    if read.map_err(|error| unreadable(&error))? == 0 {
                        output_ended = true;
                        self.take_rest(&mut lines).await?;
                        channel.give_up();
                    }
                }
                Came::Bundle(None) => channel_ended = true,
                Came::Bundle(Some(bundle)) => {
                    self.take_bundle(&bundle).await?;
                    channel.give_back(bundle);
                    self.release().await?;
                }
            }
            let unused = output_ended && channel_ended && channel.connected() == 0;
            if (unused || self.prints_records()) && self.fall_back()? {
                self.checkpoint().await?;
            }
            if self.partitions.is_none() && !output_ended {
                drop(channel);
                return self.go_on_reading(lines, output).await;
            }
        }
        self.flush().await
    }

    async fn take_bundle(&mut self, bundle: &Bundle) -> Result<(), Failure> {
        self.documents.repaired += bundle.repaired;
        let mut run: Option<Run<'_>> = None;
        for item in &bundle.items {
            match item {
                Item::Record { text, traits } => {
                    let Some(run) = &mut run else { continue };
                    self.document(run.stream, &bundle.bytes[text.clone()], *traits, None)?;
                    run.records += 1;
                    self.after_record().await?;
                }
                Item::Partition { stream, partition } => {
                    self.end_run(run.take());
                    self.router.enter(*stream);
                    run = Some(Run { stream: *stream, partition, records: 0 });
                }
                Item::Line(line) => {
                    if let Some(run) = &mut run {
                        let ended = Run { records: std::mem::take(&mut run.records), ..*run };
                        self.end_run(Some(ended));
                    }
                    let next = self.line(&bundle.bytes[line.clone()])?;
                    self.go_on(next).await?;
                }
                Item::Unbound(stream) => self.counts.dropped_record(stream),
            }
        }
        self.end_run(run);
        match &bundle.end {
            None | Some(End::Whole) => Ok(()),
            Some(End::Half(stream)) => {
                // Its own end says more than what it leaves.
                self.seen.half.get_or_insert_with(|| half(stream.as_deref()));
                Ok(())
            }
            Some(End::TooLong(oversized)) => {
                let error =
                    format!("a message of the data channel is longer than {} bytes", self.limit.line());
                Err(self.too_long(&error, oversized))
            }
            Some(End::Damaged(error)) => Err(damaged(error)),
            Some(End::Unreadable(error)) => Err(unreadable(error)),
        }
    }

    fn end_run(&mut self, run: Option<Run<'_>>) {
        if let (Some(Run { stream, partition, records: records @ 1.. }), Some(partitions)) =
            (run, &mut self.partitions)
        {
            partitions.records(stream, partition, records, self.refreshes.next_row_id(stream));
        }
    }

    /// A record that came as a line, on stdout or as an odd one through a socket.
    pub(super) fn lone_record(&mut self, stream: usize, partition: Option<&str>) {
        let row_id = self.refreshes.next_row_id(stream);
        match (&mut self.partitions, partition) {
            (Some(partitions), Some(partition)) => partitions.records(stream, partition, 1, row_id),
            (Some(partitions), None) => partitions.record_outside(),
            (None, _) => {}
        }
    }

    /// Takes a state over, or lets it wait for records.
    pub(super) fn take_state(&mut self, update: StateUpdate) -> Result<Next, Failure> {
        self.hear(&update);
        if self.prints_records() {
            self.fall_back()?;
        }
        // One that covers something has its place among others, also where it says nothing.
        let covers = update.coverage.is_some() && update.unbound.is_empty();
        let changes = covers || update.shared.is_some() || !update.streams.is_empty();
        match &mut self.partitions {
            Some(partitions) if changes => {
                if partitions.state(update) {
                    tracing::debug!("a state does not say which records it covers; it waits for all of them");
                }
                Ok(Next::Waiting)
            }
            _ => {
                self.state(update)?;
                Ok(Next::Checkpoint)
            }
        }
    }

    /// Takes the states over whose records are there.
    pub(super) async fn release(&mut self) -> Result<(), Failure> {
        let mut released = false;
        while let Some(ready) = self.partitions.as_mut().and_then(Partitions::ready) {
            self.covered(ready)?;
            released = true;
        }
        if released { self.checkpoint().await } else { Ok(()) }
    }

    /// Takes over a state that says what it covers. Records that it does not cover may have been written
    /// before it: they come again after a restart from it. So rows that are told apart by their place
    /// count on from what it covers, and a refresh of such rows, which come in any order, begins anew.
    fn covered(&mut self, Ready { mut update, row_ids }: Ready) -> Result<(), Failure> {
        let by_place = |stream: usize| key::is_by_place(&self.streams[stream].key);
        update.streams.retain(|(stream, _)| !(by_place(*stream) && self.refreshes.is_full_refresh(*stream)));
        let placed = update.streams.iter().map(|(stream, _)| *stream).filter(|&stream| by_place(stream));
        let placed: Vec<(usize, u64)> = placed
            .map(|stream| (stream, row_ids.get(&stream).copied().unwrap_or(self.state.row_id(stream))))
            .collect();
        // It has been compared already, with what it is about.
        update.record_count = None;
        self.state(update)?;
        for (stream, row_id) in placed {
            self.state.set_row_id(stream, row_id);
        }
        Ok(())
    }

    /// Whether upstream prints records and has opened no socket.
    fn prints_records(&self) -> bool {
        self.partitions.as_ref().is_some_and(Partitions::is_unused)
    }

    /// Goes on with what upstream prints on stdout, in its order, as all that there is. Whether states
    /// have waited until now.
    fn fall_back(&mut self) -> Result<bool, Failure> {
        let Some(partitions) = self.partitions.take() else { return Ok(false) };
        tracing::warn!(
            "upstream opened no socket of the data channel; its records are read from stdout, as without \
             `read.dataChannel`; set that to stdio if this source has no data channel"
        );
        let waiting = partitions.give_up();
        let any = !waiting.is_empty();
        for update in waiting {
            self.state(update)?;
        }
        Ok(any)
    }

    /// What is known once all has come and before it is judged.
    pub(in crate::capture::read) fn seal(&mut self) {
        let Some(partitions) = &self.partitions else { return };
        self.seen.short = partitions.in_vain(self.streams);
        for (stream, more) in partitions.surplus() {
            self.counts.more_than_told(stream, &self.streams[stream].id.to_string(), more);
        }
    }

    /// Takes over the states that do not say what they cover, once all was read to its end.
    pub(in crate::capture::read) fn take_last_states(&mut self) -> Result<(), Failure> {
        let last = self.partitions.as_mut().map(Partitions::take_last).unwrap_or_default();
        for mut update in last {
            update.record_count = None;
            self.state(update)?;
        }
        Ok(())
    }
}

/// The failure of a socket that ends within a message.
fn half(stream: Option<&str>) -> Failure {
    Failure::new(
        Code::DAMAGED_MESSAGE,
        "upstream's data channel ends in half a message, so upstream was not done; nothing after the last checkpoint \
         is kept, so that no data is lost",
    )
    .or_with("stream", stream)
}
