//! Hot path: reads a message of which a few members count, in one pass that validates all of it.
//!
//! Messages of one stream look alike: the same names in the same order, and between them scalars. So
//! what stands between the scalars is remembered ([`gaps`]) with the places that it leads to ([`places`]),
//! and what comes again is recognised by comparing bytes, not by parsing them. A message that looks
//! different is read with care where it does ([`careful`]), and remembered in turn. What is remembered
//! never decides what is valid: it was valid behind the same brackets, and is taken again only there.
//!
//! Text that [`super::scan`] leaves to a parser, deep nesting, and a part that comes twice give `None`.

mod careful;
mod gaps;
mod places;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::HashMap;
use std::ops::Range;

use careful::Careful;
use gaps::{At, Gap, GapId, Gaps, Mark};
pub(crate) use places::Step;
use places::{Place, Places};
pub(crate) use watch::{Spot, Watch, Watched};

use super::scan::{Noticed, behind_scalar, is_plain};

/// As many streams are told apart.
const STREAMS: usize = 4096;

/// What a member of a message is. The values of members that no [`Rule`] names are validated only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The message itself.
    Message,
    /// An object that holds further parts.
    Container,
    /// The name of the stream.
    Stream,
    /// A value that is wanted, by its place in [`Parts::values`].
    Value(u8),
    /// Nothing that counts.
    Other,
}

/// Which member of which object is what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    /// The object.
    pub(crate) of: Part,
    /// The member's name.
    pub(crate) name: &'static str,
    /// What it is.
    pub(crate) is: Part,
}

/// How many values may be wanted.
pub(crate) const VALUES: usize = 8;

/// The parts of a message, as they stand in its text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts<'line> {
    /// The stream's name, with its quotes.
    pub(crate) stream: Option<&'line [u8]>,
    /// The values that are wanted.
    pub(crate) values: [Option<&'line [u8]>; VALUES],
    /// Whether there is an escape of half a surrogate pair anywhere.
    pub(crate) surrogates: bool,
    /// Whether [`Envelopes::spots`] holds all that is watched in this message.
    pub(crate) watched: bool,
    /// Whether something stands behind something else in it as it never did before.
    pub(crate) novel: bool,
}

/// The text of a part that is a string without escapes.
#[inline]
pub(crate) fn plain_string(part: &[u8]) -> Option<&str> {
    let text = part.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if text.contains(&b'\\') { None } else { std::str::from_utf8(text).ok() }
}

/// The messages of one stream.
#[derive(Debug, Clone, Copy)]
struct Group {
    start: GapId,
    behind_stream: GapId,
}

/// Reads messages of one protocol.
#[derive(Debug)]
pub(crate) struct Envelopes {
    places: Places,
    gaps: Gaps,
    groups: Vec<Group>,
    streams: HashMap<Vec<u8>, u32>,
    /// The group of the last message.
    last: u32,
    last_name: Vec<u8>,
    /// The part that is watched, and who says what of it.
    watch: Option<(Part, Box<dyn Watch>)>,
    spots: Vec<Spot>,
}

impl Envelopes {
    /// Rules about the members of a part come after the one that names it.
    pub(crate) fn new(rules: &[Rule]) -> Self {
        let mut envelopes = Self {
            places: Places::new(rules),
            gaps: Gaps::new(),
            groups: Vec::new(),
            streams: HashMap::new(),
            last: 0,
            last_name: Vec::new(),
            watch: None,
            spots: Vec::new(),
        };
        envelopes.add_group();
        envelopes
    }

    /// Notes scalars of a part from now on: of a value, or of whole messages where all are of one stream,
    /// whose name then is empty. Nothing was read yet.
    pub(crate) fn watch(&mut self, part: Part, watch: Box<dyn Watch>) {
        self.watch = Some((part, watch));
    }

    /// What is watched and was found in the last message, in its order.
    pub(crate) fn spots(&self) -> &[Spot] {
        &self.spots
    }

    /// The parts of a message.
    pub(crate) fn read<'line>(&mut self, line: &'line [u8]) -> Option<Parts<'line>> {
        is_plain(line).then_some(())?;
        self.spots.clear();
        let parts = Parts { watched: self.watch.is_some(), ..Parts::default() };
        let mut walk = Walk { line, envelopes: self, starts: [0; VALUES], parts };
        walk.message()?;
        Some(walk.parts)
    }

    /// Turns to what is remembered of a stream.
    #[inline]
    fn turn_to(&mut self, stream: &[u8]) {
        if self.last_name != stream {
            self.look_up(stream);
        }
    }

    #[inline(never)]
    fn look_up(&mut self, stream: &[u8]) {
        self.last = match self.streams.get(stream) {
            Some(group) => *group,
            // All others are one group, as what comes before any stream is.
            None if self.groups.len() > STREAMS => 0,
            None => {
                let group = self.add_group();
                self.streams.insert(stream.to_owned(), group);
                group
            }
        };
        self.last_name.clear();
        self.last_name.extend_from_slice(stream);
    }

    fn add_group(&mut self) -> u32 {
        let group = u32::try_from(self.groups.len()).unwrap_or(u32::MAX);
        let start = self.gaps.add_before(group, At::Start);
        let behind_stream = self.gaps.add_before(group, At::Value(self.places.stream()));
        self.groups.push(Group { start, behind_stream });
        group
    }

    fn group(&self) -> Group {
        self.groups[self.last as usize]
    }

    /// What the watch says of the scalar at a place.
    fn watched(&self, place: Place) -> Watched {
        let Some((part, watch)) = &self.watch else { return Watched::No };
        let stream = match part {
            Part::Message => Some(""),
            // The first group is of any stream; the others each have one, whose name may have escapes.
            _ if self.last == 0 => None,
            _ => plain_string(&self.last_name),
        };
        match (self.places.way(*part, place), stream) {
            (None, _) => Watched::No,
            (Some(_), None) => Watched::Unclear,
            (Some(way), Some(stream)) => watch.watches(stream, &way),
        }
    }
}

/// How far a message was read.
enum Passed<'line> {
    /// Through a scalar: the gap before it, and what is behind it.
    Scalar(GapId, &'line [u8]),
    /// To its end.
    Message,
}

/// One message being read.
struct Walk<'line, 'e> {
    line: &'line [u8],
    envelopes: &'e mut Envelopes,
    /// Where objects that are wanted begin.
    starts: [usize; VALUES],
    parts: Parts<'line>,
}

impl<'line> Walk<'line, '_> {
    fn message(&mut self) -> Option<()> {
        let mut noticed = Noticed::default();
        let mut before = self.envelopes.group().start;
        let mut rest = self.line;
        loop {
            if let Some(gap) = self.envelopes.gaps.likely(before, rest) {
                let scalar = rest.get(gap.length()..)?;
                let id = gap.id;
                if let Some(behind) = behind_scalar(scalar, &mut noticed) {
                    before = if gap.plain { id } else { self.take(id, rest, scalar, behind)? };
                    rest = behind;
                    continue;
                }
                if gap.to == At::End && scalar.is_empty() {
                    self.marks(id, rest)?;
                    break;
                }
                // It may be a longer gap that begins like this one and goes on into an object.
            }
            match self.unlikely(before, rest, &mut noticed)? {
                Passed::Scalar(next, behind) => (before, rest) = (next, behind),
                Passed::Message => break,
            }
        }
        self.parts.surrogates |= noticed.surrogates;
        Some(())
    }

    /// Passes a gap that was not expected, and the scalar behind it.
    #[inline(never)]
    fn unlikely(&mut self, before: GapId, text: &'line [u8], noticed: &mut Noticed) -> Option<Passed<'line>> {
        let id = self.learn(before, text)?;
        let gap = self.envelopes.gaps.get(id);
        let scalar = text.get(gap.length()..)?;
        if gap.to == At::End {
            self.marks(id, text)?;
            return scalar.is_empty().then_some(Passed::Message);
        }
        let behind = behind_scalar(scalar, noticed)?;
        Some(Passed::Scalar(self.take(id, text, scalar, behind)?, behind))
    }

    /// Reads the gap that a text begins with, and remembers it.
    fn learn(&mut self, before: GapId, text: &'line [u8]) -> Option<GapId> {
        let from = self.envelopes.gaps.get(before).to;
        let (to, behind, mut findings) = Careful::read(&mut self.envelopes.places, text, from)?;
        if let At::Value(place) = to {
            findings.part = self.envelopes.places.part(place);
            findings.watched = self.envelopes.watched(place);
        }
        let gap = &text[..text.len() - behind.len()];
        let Envelopes { gaps, last, .. } = &mut *self.envelopes;
        let (gap, novel) = gaps.learn(before, *last, to, gap, &findings);
        self.parts.novel |= novel;
        Some(gap)
    }

    /// Takes what counts of a gap and of the scalar behind it. Gives what the next gap follows.
    fn take(&mut self, gap: GapId, text: &[u8], scalar: &[u8], behind: &[u8]) -> Option<GapId> {
        self.marks(gap, text)?;
        let Gap { part, watched, .. } = *self.envelopes.gaps.get(gap);
        let scalar = self.offset(scalar)..self.offset(behind);
        self.note(watched, &scalar)?;
        let is_stream = self.keep(part, scalar)?;
        Some(if is_stream { self.envelopes.group().behind_stream } else { gap })
    }

    /// How many bytes of the message are before the rest of it.
    fn offset(&self, rest: &[u8]) -> usize {
        self.line.len() - rest.len()
    }

    /// Notes where wanted objects begin, and keeps those that end, in a gap.
    fn marks(&mut self, gap: GapId, text: &[u8]) -> Option<()> {
        let start = self.offset(text);
        let gap = self.envelopes.gaps.get(gap);
        self.parts.surrogates |= gap.surrogates;
        for Mark { part, offset, begins } in &gap.marks {
            // Streams have names, and no other part is kept.
            let Part::Value(value) = *part else { return None };
            let at = start + offset;
            if *begins {
                *self.starts.get_mut(usize::from(value))? = at;
            } else {
                let text = &self.line[*self.starts.get(usize::from(value))?..at];
                self.parts.values.get_mut(usize::from(value))?.replace(text).is_none().then_some(())?;
            }
        }
        Some(())
    }

    /// Notes a scalar, if it is watched.
    fn note(&mut self, watched: Watched, scalar: &Range<usize>) -> Option<()> {
        match watched {
            Watched::No => {}
            Watched::Unclear => self.parts.watched = false,
            Watched::As(number) => {
                let of = match self.envelopes.watch.as_ref()?.0 {
                    Part::Value(part) => *self.starts.get(usize::from(part))?,
                    _ => 0,
                };
                self.envelopes.spots.push(Spot { start: scalar.start - of, end: scalar.end - of, number });
            }
        }
        Some(())
    }

    /// Keeps a scalar, if it is wanted. Gives whether it is the stream.
    #[inline]
    fn keep(&mut self, part: Part, scalar: Range<usize>) -> Option<bool> {
        let text = &self.line[scalar];
        let kept = match part {
            Part::Stream => &mut self.parts.stream,
            Part::Value(value) => self.parts.values.get_mut(usize::from(value))?,
            Part::Message | Part::Container | Part::Other => return Some(false),
        };
        kept.replace(text).is_none().then_some(())?;
        if part == Part::Stream {
            let before = self.envelopes.last;
            self.envelopes.turn_to(text);
            // What came before was watched for another stream.
            let watched_part = self.envelopes.watch.as_ref().map(|(part, _)| *part);
            if let Some(Part::Value(value)) = watched_part.filter(|_| before != self.envelopes.last) {
                self.parts.watched &= *self.starts.get(usize::from(value))? == 0;
            }
        }
        Some(part == Part::Stream)
    }
}
