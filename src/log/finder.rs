//! Finds many texts in one pass over another, and takes more of them at any time.
//!
//! An automaton over all secrets would have to be built again for each renewed token, and takes many
//! times the memory of its texts. Here, adding a text costs time in proportion to its length. Short
//! texts are stored whole, by their first bytes. Of longer ones only digests are stored, one for each
//! piece, which a rolling hash finds at any place. So a part of a long secret is found too, as where a
//! library prints one line of it.
//!
//! Texts that were added to last stay for good. Of the others, the oldest are forgotten once there are
//! too many.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::forms::Form;

/// How many bytes decide in which bucket a short text is.
const HEAD: usize = 3;
/// How long a piece of a long text is.
const PIECE: usize = 32;
/// Shorter texts are stored whole.
const LONG: usize = 2 * PIECE;
/// How many pieces, and how many short texts, may be there that do not last: about 8 MiB.
const MOST_PIECES: usize = 200_000;
const MOST_SHORT: usize = 20_000;
/// The generation of what lasts.
const LASTING: u32 = 0;

/// A piece of a long text.
#[derive(Debug, Clone, Copy)]
struct Piece {
    generation: u32,
    base64: bool,
}

/// The texts.
#[derive(Debug)]
pub(super) struct Finder {
    short: HashMap<[u8; HEAD], Vec<(Form, u32)>>,
    /// Which heads there may be, as bits.
    heads: Bits,
    long: HashMap<u64, Piece, BuildHasherDefault<Digest>>,
    /// Which digests of pieces there may be, as bits.
    pieces: Bits,
    /// The generation of what was added last.
    generation: u32,
    /// How many short texts and pieces do not last.
    passing: (usize, usize),
}

impl Default for Finder {
    fn default() -> Self {
        Self {
            short: HashMap::new(),
            heads: Bits::new(16),
            long: HashMap::default(),
            pieces: Bits::new(20),
            generation: LASTING,
            passing: (0, 0),
        }
    }
}

impl Finder {
    /// Whether there is nothing to find.
    pub(super) fn is_empty(&self) -> bool {
        self.short.is_empty() && self.long.is_empty()
    }

    /// The generation of what was added last.
    pub(super) fn generation(&self) -> u32 {
        self.generation
    }

    /// Begins a generation, whose texts are forgotten after those of earlier ones. The oldest
    /// generation that is still there: what was added before it is forgotten, unless it lasts.
    pub(super) fn begin(&mut self) -> u32 {
        let (short, pieces) = self.passing;
        let mut oldest = 1;
        if short > MOST_SHORT || pieces > MOST_PIECES {
            oldest = self.middle();
            self.forget(oldest);
        }
        self.generation += 1;
        oldest
    }

    /// Adds a text.
    pub(super) fn add(&mut self, form: Form, lasting: bool) {
        let generation = if lasting { LASTING } else { self.generation };
        if form.text.len() < LONG || form.word || form.kept > 0 {
            self.add_short(form, generation);
        } else {
            self.add_long(form.text.as_bytes(), form.base64, generation);
        }
    }

    fn add_short(&mut self, form: Form, generation: u32) {
        let Some(&head) = form.text.as_bytes().first_chunk::<HEAD>() else { return };
        self.heads.set(mixed_head(head));
        let bucket = self.short.entry(head).or_default();
        if let Some((_, known)) = bucket.iter_mut().find(|(other, _)| *other == form) {
            *known = newer(*known, generation);
        } else {
            bucket.push((form, generation));
            self.passing.0 += usize::from(generation != LASTING);
        }
    }

    /// The last piece ends with the text, so it may overlap the one before it.
    fn add_long(&mut self, text: &[u8], base64: bool, generation: u32) {
        let last = text.len() - PIECE;
        for at in (0..last).step_by(PIECE).chain([last]) {
            let digest = digest(&text[at..at + PIECE]);
            self.pieces.set(mixed(digest));
            if let Some(known) = self.long.get_mut(&digest) {
                known.generation = newer(known.generation, generation);
                known.base64 |= base64;
            } else {
                self.long.insert(digest, Piece { generation, base64 });
                self.passing.1 += usize::from(generation != LASTING);
            }
        }
    }

    /// The generation below which about half of what does not last was added. The last one stays whole.
    fn middle(&self) -> u32 {
        let short = self.short.values().flatten().map(|(_, generation)| *generation);
        let pieces = self.long.values().map(|piece| piece.generation);
        let mut generations: Vec<u32> = short.chain(pieces).filter(|&of| of != LASTING).collect();
        generations.sort_unstable();
        generations.get(generations.len() / 2).copied().unwrap_or(1)
    }

    fn forget(&mut self, oldest: u32) {
        let stays = |generation: u32| generation == LASTING || generation >= oldest;
        self.short.retain(|_, bucket| {
            bucket.retain(|(_, generation)| stays(*generation));
            !bucket.is_empty()
        });
        self.long.retain(|_, piece| stays(piece.generation));
        let short = self.short.values().flatten().filter(|(_, generation)| *generation != LASTING).count();
        let pieces = self.long.values().filter(|piece| piece.generation != LASTING).count();
        self.passing = (short, pieces);
        self.heads.clear();
        self.short.keys().for_each(|&head| self.heads.set(mixed_head(head)));
        self.pieces.clear();
        self.long.keys().for_each(|&digest| self.pieces.set(mixed(digest)));
    }

    /// Calls back with each short text that begins anywhere: where, and which.
    pub(super) fn short<'f>(&'f self, text: &[u8], mut found: impl FnMut(usize, &'f Form)) {
        if self.short.is_empty() {
            return;
        }
        for (at, head) in text.windows(HEAD).enumerate() {
            let head = [head[0], head[1], head[2]];
            if !self.heads.get(mixed_head(head)) {
                continue;
            }
            for (form, _) in self.short.get(&head).into_iter().flatten() {
                if text[at..].starts_with(form.text.as_bytes()) {
                    found(at, form);
                }
            }
        }
    }

    /// Calls back with each piece of a long text: where it begins and ends, and whether it is base64.
    pub(super) fn long(&self, text: &[u8], mut found: impl FnMut(usize, usize, bool)) {
        if self.long.is_empty() || text.len() < PIECE {
            return;
        }
        let mut rolling = digest(&text[..PIECE]);
        let mut at = 0;
        loop {
            if self.pieces.get(mixed(rolling))
                && let Some(piece) = self.long.get(&rolling)
            {
                found(at, at + PIECE, piece.base64);
            }
            let Some(&next) = text.get(at + PIECE) else { return };
            let left = u64::from(text[at]).wrapping_mul(FIRST);
            rolling = rolling.wrapping_sub(left).wrapping_mul(BASE).wrapping_add(u64::from(next));
            at += 1;
        }
    }
}

/// What lasts stays so.
fn newer(known: u32, added: u32) -> u32 {
    if known == LASTING || added == LASTING { LASTING } else { known.max(added) }
}

/// The base of the rolling hash, and what its first byte is worth.
const BASE: u64 = 0x9E37_79B9_7F4A_7C15;
const FIRST: u64 = power(PIECE - 1);

const fn power(exponent: usize) -> u64 {
    let mut power: u64 = 1;
    let mut at = 0;
    while at < exponent {
        power = power.wrapping_mul(BASE);
        at += 1;
    }
    power
}

fn digest(piece: &[u8]) -> u64 {
    piece.iter().fold(0, |sum, &byte| sum.wrapping_mul(BASE).wrapping_add(u64::from(byte)))
}

/// With every bit of a digest in the upper ones.
fn mixed(digest: u64) -> u64 {
    (digest ^ (digest >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93)
}

fn mixed_head([a, b, c]: [u8; HEAD]) -> u64 {
    u64::from(u32::from_le_bytes([a, b, c, 0])).wrapping_mul(BASE)
}

/// A map by digests needs no other hash.
#[derive(Debug, Default)]
struct Digest(u64);

impl Hasher for Digest {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Keys are u64; this is here for the trait.
        self.0 = mixed(self.0 ^ digest(bytes));
    }

    fn write_u64(&mut self, digest: u64) {
        self.0 = mixed(digest);
    }
}

/// A set of hashes that may hold more than was put into it. It has no memory while it is empty.
#[derive(Debug)]
struct Bits {
    words: Vec<u64>,
    /// How many of the upper bits of a hash count.
    bits: u32,
}

impl Bits {
    fn new(bits: u32) -> Self {
        Self { words: Vec::new(), bits }
    }

    fn place(&self, hash: u64) -> (usize, u64) {
        let place = hash >> (u64::BITS - self.bits);
        ((place / 64) as usize, 1 << (place % 64))
    }

    fn set(&mut self, hash: u64) {
        if self.words.is_empty() {
            self.words = vec![0; (1 << self.bits) / 64];
        }
        let (word, bit) = self.place(hash);
        self.words[word] |= bit;
    }

    fn get(&self, hash: u64) -> bool {
        let (word, bit) = self.place(hash);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    fn clear(&mut self) {
        self.words.fill(0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn form(text: &str) -> Form {
        Form { text: text.to_owned(), kept: 0, word: false, base64: false }
    }

    /// What is found of all texts, as places that are covered.
    fn covered(finder: &Finder, text: &str) -> Vec<bool> {
        let mut covered = vec![false; text.len()];
        finder.short(text.as_bytes(), |at, form| covered[at..at + form.text.len()].fill(true));
        finder.long(text.as_bytes(), |start, end, _| covered[start..end].fill(true));
        covered
    }

    #[test]
    fn a_part_of_a_long_text_is_found() {
        let long: String =
            (0..200_u32).map(|n| char::from_digit(10 + n * n % 23, 36).expect("a digit")).collect();
        let mut finder = Finder::default();
        finder.add(form(&long), true);
        let around = format!("before {} after", &long[PIECE..3 * PIECE]);
        assert_eq!(covered(&finder, &around).iter().filter(|&&covered| covered).count(), 2 * PIECE);
    }

    #[test]
    fn what_does_not_last_is_bounded_and_the_newest_stays() {
        let mut finder = Finder::default();
        let lasting = "lasting-".repeat(20);
        finder.add(form(&lasting), true);
        finder.add(form("a short lasting one"), true);
        let text = |n: u64| {
            let words = (0..400_u64).map(|at| mixed(at << 32 | n));
            words.map(|word| format!("{word:016x}")).collect::<Vec<_>>().concat()
        };
        for n in 0..2_000 {
            finder.begin();
            finder.add(form(&text(n)), false);
            finder.add(form(&text(n)[..40]), false);
        }
        assert!(finder.passing.1 <= MOST_PIECES + 300 && finder.long.len() < MOST_PIECES + 400);
        assert!(covered(&finder, &lasting).iter().all(|&covered| covered));
        assert!(covered(&finder, "a short lasting one").iter().all(|&covered| covered));
        for n in 1_700..2_000 {
            assert!(covered(&finder, &text(n)).iter().all(|&covered| covered), "{n}");
        }
        assert!(covered(&finder, &text(0)).iter().all(|&covered| !covered), "the oldest is forgotten");
    }

    proptest! {
        #[test]
        fn all_that_a_plain_search_finds_is_covered(
            texts in prop::collection::vec("[ab]{3,9}|[a-c]{60,140}", 1..6),
            between in prop::collection::vec("[a-c ]{0,9}", 6),
        ) {
            let mut finder = Finder::default();
            for text in &texts {
                finder.add(form(text), true);
            }
            let whole: String = between.iter().zip(&texts).flat_map(|(a, b)| [a.as_str(), b.as_str()]).collect();
            let mut expected = vec![false; whole.len()];
            for text in &texts {
                for at in 0..whole.len() {
                    if whole[at..].starts_with(text.as_str()) {
                        expected[at..at + text.len()].fill(true);
                    }
                }
            }
            let covered = covered(&finder, &whole);
            prop_assert!(expected.iter().zip(&covered).all(|(expected, covered)| !expected || *covered));
        }
    }
}
