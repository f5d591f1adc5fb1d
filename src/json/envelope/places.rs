//! Where values stand in messages: a tree of names, as far as they were seen.
//!
//! A place is a path, so what a value is follows from its place. The tree has bounds: where an object
//! has ever new names, as one that is used as a map has, its further members share one place.

use std::collections::HashMap;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{Part, Rule};

/// Nesting beyond this is left to a parser.
const DEPTH: u8 = 64;
/// So many members of an object have places of their own.
const NAMED: u16 = 1024;
/// So many places have names that are told apart; with those that share one there are at most twice as many.
const PLACES: usize = 1 << 16;

/// A place, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place(u32);

/// How a place is reached from the one that it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// The message itself.
    Whole,
    /// A member: its name as it stands in the text, without the quotes.
    Member(Box<[u8]>),
    /// Any of the members that have no place of their own.
    OtherMember,
    /// An element of an array.
    Element,
}

#[derive(Debug)]
struct Known {
    above: Place,
    step: Step,
    part: Part,
    depth: u8,
    /// How many of its members have places of their own.
    named: u16,
}

/// The places that are known.
#[derive(Debug)]
pub(super) struct Places {
    known: Vec<Known>,
    /// By a hash of the way to them.
    by_way: HashMap<u64, Place>,
    stream: Place,
}

impl Place {
    /// The place of the message itself.
    pub(super) const MESSAGE: Self = Self(0);

    /// Its number: small, and no other place's.
    pub(super) fn number(self) -> u32 {
        self.0
    }
}

impl Places {
    /// The places that rules name, which come after those of the objects that they are about.
    pub(super) fn new(rules: &[Rule]) -> Self {
        let message =
            Known { above: Place::MESSAGE, step: Step::Whole, part: Part::Message, depth: 0, named: 0 };
        let mut places = Self { known: vec![message], by_way: HashMap::new(), stream: Place::MESSAGE };
        for rule in rules {
            let above = places.known.iter().position(|known| known.part == rule.of);
            if let Some(above) = above.and_then(|above| u32::try_from(above).ok()) {
                let step = Step::Member(rule.name.as_bytes().into());
                let place = places.add(Place(above), step, rule.is, way(Place(above), rule.name.as_bytes()));
                if rule.is == Part::Stream {
                    places.stream = place;
                }
            }
        }
        places
    }

    /// Where the name of the stream stands; the message itself where no rule says so.
    pub(super) fn stream(&self) -> Place {
        self.stream
    }

    /// The place of a member; `None` where it is too deep, or there are too many.
    pub(super) fn member(&mut self, of: Place, name: &[u8]) -> Option<Place> {
        let way = way(of, name);
        match self.by_way.get(&way) {
            Some(known) if self.is_member(*known, of, name) => Some(*known),
            // Another way has the same hash.
            Some(_) => self.shared(of, Step::OtherMember),
            None if self.known[of.0 as usize].named >= NAMED || self.known.len() >= PLACES => {
                self.shared(of, Step::OtherMember)
            }
            None => {
                self.may_hold(of)?;
                self.known[of.0 as usize].named += 1;
                Some(self.add(of, Step::Member(name.into()), Part::Other, way))
            }
        }
    }

    /// The place of the elements of an array; `None` as of a member.
    pub(super) fn element(&mut self, of: Place) -> Option<Place> {
        self.shared(of, Step::Element)
    }

    /// What stands at a place.
    pub(super) fn part(&self, place: Place) -> Part {
        self.known[place.0 as usize].part
    }

    /// The object or array that a place is in, and how it is reached from there; the message is in itself.
    pub(super) fn above(&self, place: Place) -> (Place, &Step) {
        let known = &self.known[place.0 as usize];
        (known.above, &known.step)
    }

    /// The steps to a place from the part that it is in; `None` where it is not inside that.
    pub(super) fn way(&self, from: Part, mut to: Place) -> Option<Vec<&Step>> {
        let mut way = Vec::new();
        while self.part(to) != from {
            let (above, step) = self.above(to);
            (*step != Step::Whole).then_some(())?;
            way.push(step);
            to = above;
        }
        way.reverse();
        Some(way)
    }

    fn is_member(&self, place: Place, of: Place, name: &[u8]) -> bool {
        let (above, step) = self.above(place);
        above == of && matches!(step, Step::Member(known) if **known == *name)
    }

    /// A place that is all that is told apart of its kind.
    fn shared(&mut self, of: Place, step: Step) -> Option<Place> {
        // No name has bytes like these.
        let way = way(of, if step == Step::Element { &[0xff, 0] } else { &[0xff, 1] });
        match self.by_way.get(&way) {
            Some(known) if self.above(*known) == (of, &step) => Some(*known),
            Some(_) => None,
            None => {
                self.may_hold(of)?;
                Some(self.add(of, step, Part::Other, way))
            }
        }
    }

    fn may_hold(&self, of: Place) -> Option<()> {
        (self.known[of.0 as usize].depth < DEPTH && self.known.len() < 2 * PLACES).then_some(())
    }

    fn add(&mut self, above: Place, step: Step, part: Part, way: u64) -> Place {
        let place = Place(u32::try_from(self.known.len()).unwrap_or(u32::MAX));
        let depth = self.known[above.0 as usize].depth + 1;
        self.known.push(Known { above, step, part, depth, named: 0 });
        self.by_way.insert(way, place);
        place
    }
}

fn way(of: Place, name: &[u8]) -> u64 {
    xxh3_64_with_seed(name, u64::from(of.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_path() {
        let rules = [Rule { of: Part::Message, name: "a", is: Part::Container }];
        let mut places = Places::new(&rules);
        let mut member = |of, name: &str| places.member(of, name.as_bytes()).expect("not deep");
        let a = member(Place::MESSAGE, "a");
        let below = member(a, "a");
        assert_eq!(a, member(Place::MESSAGE, "a"));
        assert_ne!(below, a);
        assert_ne!(member(a, "b"), below);
        assert_eq!((places.part(a), places.part(below)), (Part::Container, Part::Other));
        let element = places.element(below).expect("not deep");
        assert_eq!(Some(element), places.element(below));
        assert_eq!(places.above(element), (below, &Step::Element));
    }

    #[test]
    fn maps_and_depth_are_bounded() {
        let mut places = Places::new(&[]);
        let mut member = |of, name: &str| places.member(of, name.as_bytes());
        for name in 0..NAMED {
            member(Place::MESSAGE, &name.to_string()).expect("not deep");
        }
        let shared = member(Place::MESSAGE, "one more").expect("not deep");
        assert_eq!(Some(shared), member(Place::MESSAGE, "and another"));
        assert_ne!(Some(shared), member(Place::MESSAGE, "7"), "what is known stays known");
        let mut deep = shared;
        for _ in 1..DEPTH {
            deep = member(deep, "x").expect("not too deep");
        }
        assert_eq!(member(deep, "x"), None);
        assert_eq!(places.element(deep), None);
    }

    #[test]
    fn ways_of_ever_new_nesting_are_bounded() {
        let mut places = Places::new(&[]);
        for way in 0..10_000_u32 {
            let mut place = Some(Place::MESSAGE);
            for level in 0..40 {
                let nested = way.rotate_left(level) & 1 == 0;
                place =
                    place.and_then(|of| if nested { places.element(of) } else { places.member(of, b"x") });
            }
        }
        assert!(places.known.len() <= 2 * PLACES, "{}", places.known.len());
    }
}
