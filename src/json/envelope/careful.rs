//! Reads a gap with care: by the grammar of JSON, from the end of a value to the next scalar.

use super::Part;
use super::gaps::{At, Findings};
use super::places::{Place, Places, Step};
use crate::json::scan::{Noticed, behind_blanks, behind_empty, behind_string};

/// A gap being read.
pub(super) struct Careful<'line, 'p> {
    places: &'p mut Places,
    /// What is ahead.
    rest: &'line [u8],
    /// How much was ahead where the gap begins.
    ahead: usize,
    findings: Findings,
}

impl<'line, 'p> Careful<'line, 'p> {
    /// Reads the gap that a text begins with, at this place of a message. Gives where it leads to, the
    /// text behind it, and what was found in it.
    pub(super) fn read(
        places: &'p mut Places,
        text: &'line [u8],
        from: At,
    ) -> Option<(At, &'line [u8], Findings)> {
        let mut gap = Careful { places, rest: text, ahead: text.len(), findings: Findings::none() };
        let to = match from {
            At::Start => gap.begin_value(Place::MESSAGE)?,
            At::Value(place) => gap.end_value(place)?,
            At::End => return None,
        };
        Some((to, gap.rest, gap.findings))
    }

    /// The next byte behind blanks; 0, which no text here holds, at the end.
    fn peek(&mut self) -> u8 {
        self.rest = behind_blanks(self.rest);
        self.rest.first().copied().unwrap_or(0)
    }

    /// Passes the byte that is next.
    fn pass(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    /// How many bytes of the gap were passed.
    fn passed(&self) -> usize {
        self.ahead - self.rest.len()
    }

    /// Goes into objects and arrays to the first scalar.
    fn begin_value(&mut self, mut place: Place) -> Option<At> {
        loop {
            let part = self.places.part(place);
            match self.peek() {
                b'{' | b'[' if behind_empty(self.rest).is_some() => return Some(At::Value(place)),
                b'{' => {
                    self.findings.mark(part, self.passed(), true);
                    self.pass();
                    place = self.name(place)?;
                }
                b'[' => {
                    // What is in an array is no part, and no part is an array.
                    (part == Part::Other).then_some(())?;
                    self.pass();
                    place = self.places.element(place)?;
                }
                _ => return Some(At::Value(place)),
            }
        }
    }

    /// Goes from the end of a value to the next scalar, or to the end of the message.
    fn end_value(&mut self, mut place: Place) -> Option<At> {
        loop {
            let next = self.peek();
            let (above, step) = self.places.above(place);
            match (next, step) {
                (_, Step::Whole) => return Some(At::End),
                (b',', Step::Element) => {
                    self.pass();
                    return self.begin_value(place);
                }
                (b',', Step::Member(_) | Step::OtherMember) => {
                    self.pass();
                    let place = self.name(above)?;
                    return self.begin_value(place);
                }
                (b']', Step::Element) => self.pass(),
                (b'}', Step::Member(_) | Step::OtherMember) => {
                    self.pass();
                    self.findings.mark(self.places.part(above), self.passed(), false);
                }
                _ => return None,
            }
            place = above;
        }
    }

    /// Passes the name of a member of an object, and says where its value stands.
    fn name(&mut self, of: Place) -> Option<Place> {
        let quoted = behind_blanks(self.rest);
        let mut noticed = Noticed::default();
        let behind = behind_string(quoted, &mut noticed)?;
        // An escaped name may be any name.
        (!noticed.escapes || self.places.part(of) == Part::Other).then_some(())?;
        self.findings.surrogates |= noticed.surrogates;
        self.rest = behind_blanks(behind).strip_prefix(b":")?;
        let place = self.places.member(of, quoted.get(1..quoted.len() - behind.len() - 1)?)?;
        self.findings.rare |= *self.places.above(place).1 == Step::OtherMember;
        Some(place)
    }
}
