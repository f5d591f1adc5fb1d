//! What stands between the scalars of messages: brackets, commas, colons and names.
//!
//! In messages that look alike it is the same bytes again. A gap was read with care once; in the same
//! place the same bytes mean the same, so it is passed by comparing them. Each gap knows which ones came
//! behind it before.

use std::cmp::Reverse;
use std::collections::HashMap;

use wide::u8x16;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Part;
use super::places::Place;
use super::watch::Watched;

/// As many bytes of a gap are compared at once.
const AT_ONCE: usize = 32;
/// So many gaps are remembered.
const GAPS: usize = 1 << 17;
/// So many gaps that may follow another one are tried.
const LIKELY: usize = 4;

/// A gap, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GapId(u32);

/// Where a message is, between two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// Before its first byte.
    Start,
    /// At, or behind, the value in this place.
    Value(Place),
    /// Behind its last byte.
    End,
}

/// A part that begins or ends inside a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) part: Part,
    /// How many bytes of the gap are before it.
    pub(super) offset: usize,
    pub(super) begins: bool,
}

/// What was read with care.
#[derive(Debug)]
pub(super) struct Findings {
    /// Parts that count, by their order.
    pub(super) marks: Vec<Mark>,
    /// Whether a name has an escape of half a surrogate pair.
    pub(super) surrogates: bool,
    /// Whether a name stands there that is not told from others, so that the gap will hardly come again.
    pub(super) rare: bool,
    /// What the scalar is that follows; `Other` where none does.
    pub(super) part: Part,
    /// Whether the scalar that follows is watched.
    pub(super) watched: Watched,
}

impl Findings {
    /// Nothing yet.
    pub(super) fn none() -> Self {
        Self { marks: Vec::new(), surrogates: false, rare: false, part: Part::Other, watched: Watched::No }
    }

    /// Notes that an object begins or ends, if it counts.
    pub(super) fn mark(&mut self, part: Part, offset: usize, begins: bool) {
        if matches!(part, Part::Value(_) | Part::Stream) {
            self.marks.push(Mark { part, offset, begins });
        }
    }
}

#[derive(Debug)]
pub(super) struct Gap {
    pub(super) id: GapId,
    /// Its first bytes; zeros behind its end.
    text: [u8x16; 2],
    /// A bit for each of these bytes that is behind its end.
    behind: u32,
    /// What does not fit there.
    rest: Box<[u8]>,
    likely: [GapId; LIKELY],
    length: u32,
    group: u32,
    from: At,
    /// Where a message is behind it.
    pub(super) to: At,
    pub(super) part: Part,
    pub(super) watched: Watched,
    /// Whether there is nothing to do but to pass it and the scalar behind it.
    pub(super) plain: bool,
    pub(super) surrogates: bool,
    pub(super) marks: Box<[Mark]>,
}

/// The gaps that are known.
#[derive(Debug)]
pub(super) struct Gaps {
    known: Vec<Gap>,
    by_text: HashMap<u64, GapId>,
}

impl GapId {
    /// Stands nowhere.
    const NONE: Self = Self(0);
    /// Holds a gap that is not remembered.
    const SCRATCH: Self = Self(1);
}

impl Gap {
    fn new(group: u32, from: At, to: At, text: &[u8], findings: &Findings) -> Self {
        let mut first = [0; AT_ONCE];
        let (start, rest) = text.split_at(text.len().min(AT_ONCE));
        first[..start.len()].copy_from_slice(start);
        let counts = !matches!(findings.part, Part::Other | Part::Container | Part::Message)
            || findings.watched != Watched::No;
        Self {
            id: GapId::SCRATCH,
            text: halves(&first),
            behind: u32::MAX.checked_shl(u32::try_from(text.len()).unwrap_or(u32::MAX)).unwrap_or(0),
            rest: rest.into(),
            likely: [GapId::NONE; LIKELY],
            length: u32::try_from(text.len()).unwrap_or(u32::MAX),
            group,
            from,
            to,
            part: findings.part,
            watched: findings.watched,
            plain: !counts && findings.marks.is_empty() && !findings.surrogates && to != At::End,
            surrogates: findings.surrogates,
            marks: findings.marks.as_slice().into(),
        }
    }

    /// How many bytes it has.
    #[inline]
    pub(super) fn length(&self) -> usize {
        self.length as usize
    }

    /// Whether a text begins with it.
    #[inline]
    fn stands_at(&self, text: &[u8]) -> bool {
        let Some(first) = text.first_chunk::<AT_ONCE>() else { return self.is_start_of(text) };
        let [low, high] = halves(first);
        let low = low.simd_eq(self.text[0]).to_bitmask();
        let high = high.simd_eq(self.text[1]).to_bitmask();
        (low | high << 16 | self.behind) == u32::MAX
            && (self.rest.is_empty() || text[AT_ONCE..].starts_with(&self.rest))
    }

    /// The same, of a text that is shorter than what is compared at once.
    #[inline(never)]
    fn is_start_of(&self, text: &[u8]) -> bool {
        let mut padded = [0; AT_ONCE];
        padded[..text.len()].copy_from_slice(text);
        self.length() <= text.len() && self.stands_at(&padded)
    }

    fn is(&self, group: u32, from: At, text: &[u8]) -> bool {
        (self.group, self.from, self.length()) == (group, from, text.len()) && self.stands_at(text)
    }
}

#[inline]
fn halves(text: &[u8; AT_ONCE]) -> [u8x16; 2] {
    let half = |at: usize| text[at..].first_chunk::<16>().map_or(u8x16::ZERO, |half| u8x16::new(*half));
    [half(0), half(16)]
}

impl Gaps {
    pub(super) fn new() -> Self {
        let mut gaps = Self { known: Vec::new(), by_text: HashMap::new() };
        // `GapId::NONE`: no text begins with a zero, and an empty one is shorter.
        gaps.add(Gap::new(0, At::End, At::End, b"\0", &Findings::none()));
        // `GapId::SCRATCH`.
        gaps.add_before(0, At::Start);
        gaps
    }

    /// Adds what stands for all that comes before a place in the messages of a group.
    pub(super) fn add_before(&mut self, group: u32, to: At) -> GapId {
        self.add(Gap::new(group, At::End, to, &[], &Findings::none()))
    }

    #[inline]
    pub(super) fn get(&self, gap: GapId) -> &Gap {
        &self.known[gap.0 as usize]
    }

    /// The gap that a text begins with, if it came behind `before` before.
    #[inline]
    pub(super) fn likely(&self, before: GapId, text: &[u8]) -> Option<&Gap> {
        self.get(before).likely.iter().map(|id| self.get(*id)).find(|gap| gap.stands_at(text))
    }

    /// The gap that is this text and was read with these findings; and whether it is not known from earlier
    /// messages.
    pub(super) fn learn(
        &mut self,
        before: GapId,
        group: u32,
        to: At,
        text: &[u8],
        findings: &Findings,
    ) -> (GapId, bool) {
        let from = self.get(before).to;
        let place = match from {
            At::Value(place) => u64::from(place.number()),
            At::Start | At::End => u64::from(u32::MAX),
        };
        let hash = xxh3_64_with_seed(text, u64::from(group) << 32 | place);
        let (found, novel) = match self.by_text.get(&hash) {
            Some(known) if self.get(*known).is(group, from, text) => (*known, false),
            None if self.known.len() < GAPS && !findings.rare => {
                let gap = self.add(Gap::new(group, from, to, text, findings));
                self.by_text.insert(hash, gap);
                (gap, true)
            }
            _ => {
                self.known[GapId::SCRATCH.0 as usize] = Gap::new(group, from, to, text, findings);
                return (GapId::SCRATCH, true);
            }
        };
        if before != GapId::SCRATCH {
            self.expect(before, found);
        }
        (found, novel)
    }

    /// Remembers that a gap followed another one. One that begins like a shorter one is tried first.
    fn expect(&mut self, before: GapId, found: GapId) {
        let mut likely = self.get(before).likely;
        if !likely.contains(&found) {
            likely.rotate_right(1);
            likely[0] = found;
        }
        likely.sort_by_key(|gap| (*gap == GapId::NONE, Reverse(self.get(*gap).length)));
        self.known[before.0 as usize].likely = likely;
    }

    fn add(&mut self, gap: Gap) -> GapId {
        let id = GapId(u32::try_from(self.known.len()).unwrap_or(u32::MAX));
        self.known.push(Gap { id, ..gap });
        id
    }
}
