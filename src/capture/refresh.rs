//! Row ids, and what becomes of the rows of earlier full refreshes.
//!
//! A binding whose key is `/_meta/row_id` tells rows apart by their place alone: a refresh that begins
//! anew counts from where it began before, so that it writes over what a failed one left, and what
//! lies beyond its end is deleted once it has ended well. Nothing here decides whether it has;
//! the pump's `ends` does. What the collection of a snapshot holds is in `blocks`; whether Flow gets markers
//! of a refresh is in `signals`.

mod blocks;
mod mode;
pub(super) mod signals;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use self::blocks::{Block, Blocks};
use self::mode::{Mode, mode, resumes};
use self::signals::Signals;
use super::collections::bindings::BoundBinding;
use super::documents::document::Documents;
use super::event::Traits;
use super::protocol::{BoundStream, RefreshState, UpstreamProtocol};
use super::state::CaptureState;
use crate::failure::{Code, Failure};
use crate::flow::writer::Writer;
use crate::shim::definition::Definition;
use crate::shim::schema::DocumentMeta;

/// How much all streams together may hold back; above it a block goes out early.
const HELD: usize = 8 * 1024 * 1024;

/// What is kept of a refresh in the state, beside the row id.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    /// Where the refresh under way began to count.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<u64>,
    /// Up to where there may be rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    reach: Option<u64>,
    /// What is there, from row 0 on.
    #[serde(skip_serializing_if = "Option::is_none")]
    blocks: Option<Vec<Block>>,
    /// Whether Flow was told that the refresh under way begins.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    begun: bool,
    /// Whether all of that refresh is committed, and Flow is still to be told that it is complete.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    whole: bool,
}

/// What Flow was told of a truncating refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// Nothing: none is under way.
    Nothing,
    /// That it begins.
    Begun,
    /// The same, and all of it is written.
    Whole,
}

/// The rows of one binding.
struct Rows {
    binding: u32,
    mode: Mode,
    /// The row id of the next document.
    next: u64,
    /// Where the refresh under way began to count.
    from: u64,
    /// Up to where there may be rows; of snapshots the blocks know it.
    reach: u64,
    /// How far the rows reached when this session began.
    held: u64,
    blocks: Option<Blocks>,
    /// Whether Flow is told where a refresh begins and is complete.
    signals: bool,
    told: Told,
    /// Whether the mode is the shim's own word.
    asked: bool,
    /// Whether upstream sends states from which it goes on inside a refresh.
    resumes: bool,
}

/// The rows of all bindings that are read.
pub(super) struct Refreshes {
    streams: Vec<Rows>,
    held: usize,
}

impl Refreshes {
    /// Begins or goes on, as the state has it. Drops upstream states that must not be handed back.
    pub(super) fn begin<P: UpstreamProtocol>(
        protocol: &P,
        definition: &Definition,
        bound: &[BoundBinding],
        streams: &[BoundStream],
        signals: &Signals,
        state: &mut CaptureState,
    ) -> Result<Self, Failure> {
        let whole = protocol.reads_whole(&state.stored());
        let mut all = Vec::with_capacity(bound.len());
        for (position, (binding, stream)) in bound.iter().zip(streams).enumerate() {
            let upstream = state.upstream(position).filter(|_| binding.resource.full_refresh);
            let says = upstream.map(|upstream| protocol.refresh_state(stream, upstream));
            let whole = whole && says != Some(RefreshState::Partial);
            let mode = mode(binding, whole);
            let resumes = says.is_some_and(|says| resumes(says, mode, binding));
            if !resumes && matches!(says, Some(RefreshState::Marker | RefreshState::Position { .. })) {
                // Handed back, it would have upstream read nothing, or not from the beginning.
                state.forget_upstream(position);
            }
            let kept = kept(state.refresh(position))
                .map_err(|failure| failure.with("stream", binding.resource.id.to_string()))?;
            let meta = definition.document.meta;
            let mut rows = Rows::begin(binding, mode, resumes, state.row_id(position), kept, meta);
            rows.signals = mode == Mode::Truncate && signals.of(&binding.resource.id, whole);
            if rows.told == Told::Begun && !rows.signals {
                rows.told = Told::Nothing;
            }
            all.push(rows);
        }
        Ok(Self { streams: all, held: 0 })
    }

    /// The streams whose last refresh is committed whole, while Flow was not told so.
    pub(super) fn whole(&self) -> Vec<usize> {
        self.those(|rows| rows.told == Told::Whole)
    }

    /// The streams whose refresh Flow has to be told of before anything else of them. One that was begun
    /// before a failure is still the same, also where upstream reads it from its beginning again.
    pub(super) fn beginning(&self) -> Vec<usize> {
        self.those(|rows| rows.signals && rows.told == Told::Nothing && !rows.resumes)
    }

    fn those(&self, are: impl Fn(&Rows) -> bool) -> Vec<usize> {
        (0..self.streams.len()).filter(|&stream| are(&self.streams[stream])).collect()
    }

    /// Flow was told that the refresh of this stream begins.
    pub(super) fn begun(&mut self, stream: usize) {
        self.streams[stream].told = Told::Begun;
    }

    /// Flow was told that the refresh of this stream is complete.
    pub(super) fn completed(&mut self, stream: usize) {
        self.streams[stream].told = Told::Nothing;
    }

    /// Makes the document of a record and writes it or holds it back. Gives how many documents went
    /// out.
    pub(super) fn write(
        &mut self,
        stream: usize,
        record: &[u8],
        traits: Traits,
        documents: &mut Documents,
        writer: &mut Writer,
    ) -> u64 {
        let rows = &mut self.streams[stream];
        let document = documents.document(record, traits, rows.next);
        rows.next += 1;
        let Some(blocks) = &mut rows.blocks else {
            writer.captured(rows.binding, document.head, document.tail);
            return 1;
        };
        blocks.take(record);
        let before = blocks.held();
        let mut gone_out = 1;
        if let Some(held) = blocks.hold() {
            writer.encode(held, rows.binding, document.head, document.tail);
            gone_out = 0;
        } else {
            writer.captured(rows.binding, document.head, document.tail);
        }
        self.held += blocks.held() - before;
        if blocks.is_complete() {
            gone_out += self.settle(stream, writer);
        } else if self.held > HELD {
            gone_out += self.settle_largest(writer);
        }
        gone_out
    }

    /// Makes room where it makes most.
    fn settle_largest(&mut self, writer: &mut Writer) -> u64 {
        let held = |position: &usize| self.streams[*position].blocks.as_ref().map_or(0, Blocks::held);
        (0..self.streams.len()).max_by_key(held).map_or(0, |largest| self.settle(largest, writer))
    }

    /// Ends the running block. Gives how many held documents went out.
    pub(super) fn settle(&mut self, stream: usize, writer: &mut Writer) -> u64 {
        let Some(blocks) = &mut self.streams[stream].blocks else { return 0 };
        self.held -= blocks.held();
        blocks.settle(|held| writer.append(held))
    }

    /// The row id of the next document of a stream.
    pub(super) fn next_row_id(&self, stream: usize) -> u64 {
        self.streams[stream].next
    }

    /// Whether each read reads the stream from its beginning.
    pub(super) fn is_full_refresh(&self, stream: usize) -> bool {
        self.streams[stream].mode != Mode::Incremental
    }

    /// Whether rows of this stream may be deleted, by documents that hold their key alone.
    pub(super) fn may_delete(&self, stream: usize) -> bool {
        matches!(self.streams[stream].mode, Mode::Snapshot | Mode::Append)
    }

    /// Whether re-reading this stream from its beginning is all that a restart can do, so that a
    /// checkpoint at any place loses and doubles nothing.
    pub(super) fn is_silent(&self, stream: usize) -> bool {
        self.streams[stream].mode != Mode::Incremental && !self.streams[stream].resumes
    }

    /// A state of the stream came: rows before it will not come again. Gives how many held documents
    /// went out.
    pub(super) fn state(
        &mut self,
        stream: usize,
        kind: RefreshState,
        state: &mut CaptureState,
        writer: &mut Writer,
    ) -> u64 {
        let rows = &mut self.streams[stream];
        if kind == RefreshState::Partial && rows.mode == Mode::Snapshot && !rows.asked {
            // What did not come is not gone: upstream reads what is new.
            let gone_out = self.settle(stream, writer);
            let rows = &mut self.streams[stream];
            rows.mode = Mode::Count;
            rows.reach = rows.reach();
            rows.blocks = None;
            state.set_row_id(stream, rows.next);
            return gone_out;
        }
        if matches!(rows.mode, Mode::Incremental | Mode::Count) {
            rows.resumes = rows.mode == Mode::Count && matches!(kind, RefreshState::Position { .. });
            state.set_row_id(stream, rows.next);
            return 0;
        }
        if kind != (RefreshState::Position { exact: true }) {
            return 0;
        }
        rows.resumes = true;
        let gone_out = self.settle(stream, writer);
        state.set_row_id(stream, self.streams[stream].next);
        gone_out
    }

    /// Puts into the state what a checkpoint of all that was written has to say.
    pub(super) fn save(&mut self, state: &mut CaptureState) {
        for (position, rows) in self.streams.iter_mut().enumerate() {
            rows.save(position, state);
        }
    }

    /// How many rows a snapshot that ends here deletes, and how many the collection held when the session
    /// began; `None` for other refreshes. Nothing may be held back.
    pub(super) fn vanished(&self, stream: usize) -> Option<Vanished> {
        let rows = &self.streams[stream];
        let gone = rows.reach().saturating_sub(rows.next);
        (rows.mode == Mode::Snapshot).then_some(Vanished { gone, held: rows.held })
    }

    /// Ends a refresh that ended well. What is beyond it is for the caller to delete, from the end on.
    pub(super) fn finish(
        &mut self,
        stream: usize,
        state: &mut CaptureState,
        writer: &mut Writer,
    ) -> Finished {
        let settled = self.settle(stream, writer);
        let rows = &mut self.streams[stream];
        state.set_row_id(stream, rows.next);
        let beyond = match (&mut rows.blocks, rows.mode) {
            (Some(blocks), _) => blocks.finish(),
            (None, Mode::Append) => rows.reach.saturating_sub(rows.next),
            (None, _) => 0,
        };
        rows.from = rows.next;
        if !matches!(rows.mode, Mode::Incremental | Mode::Count) {
            rows.reach = rows.next + beyond;
        }
        if rows.told == Told::Begun {
            rows.told = Told::Whole;
        }
        Finished { settled, gone: rows.next..rows.next + beyond, binding: rows.binding }
    }

    /// Of the rows beyond a refresh that has ended, those before this one are left to be deleted.
    pub(super) fn deleted_down_to(&mut self, stream: usize, row: u64) {
        let rows = &mut self.streams[stream];
        rows.reach = row;
        if let Some(blocks) = &mut rows.blocks {
            blocks.delete_down_to(row - rows.next);
        }
    }
}

/// What a snapshot deletes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vanished {
    /// Rows that are gone.
    pub(super) gone: u64,
    /// Rows that the collection held.
    pub(super) held: u64,
}

/// What is left to be said of a refresh that ended well.
pub(super) struct Finished {
    /// How many held documents went out.
    pub(super) settled: u64,
    /// Row ids to be deleted.
    pub(super) gone: std::ops::Range<u64>,
    /// Of which binding.
    pub(super) binding: u32,
}

impl Rows {
    fn begin(
        binding: &BoundBinding,
        mode: Mode,
        resumes: bool,
        row_id: u64,
        kept: Kept,
        meta: DocumentMeta,
    ) -> Self {
        // Of states that are older than this mode, the row id tells how far rows may reach.
        let reach = match &kept.blocks {
            Some(blocks) => blocks::rows(blocks),
            None => kept.reach.unwrap_or_default().max(row_id),
        };
        let from = match mode {
            Mode::Incremental | Mode::Count => row_id,
            Mode::Append => kept.from.unwrap_or(row_id.max(reach)),
            Mode::Snapshot | Mode::Truncate => 0,
        };
        let next = if resumes { row_id } else { from };
        let blocks = (mode == Mode::Snapshot).then(|| {
            let blocks = kept.blocks.unwrap_or_else(|| Block::some_unknown(reach));
            Blocks::new(blocks, next, meta as u64)
        });
        Self {
            binding: binding.index,
            mode,
            next,
            from,
            reach,
            held: reach,
            blocks,
            signals: false,
            told: match kept {
                Kept { whole: true, .. } => Told::Whole,
                Kept { begun: true, .. } => Told::Begun,
                Kept { .. } => Told::Nothing,
            },
            asked: binding.different.refresh.is_some(),
            resumes,
        }
    }

    fn reach(&self) -> u64 {
        self.blocks.as_ref().map_or(self.reach.max(self.next), Blocks::reach)
    }

    fn save(&mut self, position: usize, state: &mut CaptureState) {
        let kept = match self.mode {
            // What another mode kept is not true any more, but for how far its rows may reach.
            Mode::Incremental | Mode::Count if self.reach > state.row_id(position) => {
                Kept { reach: Some(self.reach), ..Kept::default() }
            }
            Mode::Snapshot => match self.blocks.as_mut().and_then(Blocks::save) {
                Some(blocks) => Kept { blocks: Some(blocks), ..Kept::default() },
                None => return,
            },
            Mode::Append if self.reach() > self.from => {
                Kept { from: Some(self.from), reach: Some(self.reach()), ..Kept::default() }
            }
            Mode::Truncate if self.told != Told::Nothing => {
                Kept { begun: true, whole: self.told == Told::Whole, ..Kept::default() }
            }
            Mode::Incremental | Mode::Count | Mode::Append | Mode::Truncate => {
                return state.set_refresh(position, None);
            }
        };
        // Numbers, booleans and text are always JSON.
        state.set_refresh(position, serde_json::value::to_raw_value(&kept).ok());
    }
}

fn kept(raw: Option<&RawValue>) -> Result<Kept, Failure> {
    let Some(raw) = raw else { return Ok(Kept::default()) };
    serde_json::from_str(raw.get()).map_err(|error| {
        Failure::new(
            Code::STATE_UNREADABLE,
            format!("the capture's state of a refresh cannot be read ({:?} error)", error.classify()),
        )
    })
}
