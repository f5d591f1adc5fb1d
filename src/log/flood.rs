//! Folds floods of lines that are alike: the first few are written, the others counted.
//!
//! Lines are alike when they differ in nothing but digits. How many were left out is said once a
//! while, with the last of them, and when the process ends.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Level;

/// So many lines that are alike are written within a window.
const WRITTEN: u64 = 10;
/// How long lines that are alike are counted together.
const WINDOW: Duration = Duration::from_secs(30);
/// How many kinds of lines are told apart.
const KINDS: usize = 500;
/// What tells two lines apart stands in their first bytes.
const TELLING: usize = 512;

/// What was seen of late.
#[derive(Debug, Default)]
pub(super) struct Flood {
    kinds: HashMap<u64, Kind>,
    /// When windows are looked through next.
    due: Option<Instant>,
}

#[derive(Debug)]
struct Kind {
    since: Instant,
    count: u64,
    level: Level,
    last: String,
}

/// Lines that were left out; one at least.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Folded {
    pub(super) level: Level,
    pub(super) count: u64,
    pub(super) last: String,
}

impl Folded {
    /// What is said of them: the last one, and how many came before it.
    pub(super) fn message(&self) -> String {
        match self.count {
            1 => self.last.clone(),
            count => format!("{} (and {} more lines like this one before it)", self.last, count - 1),
        }
    }
}

impl Flood {
    /// Whether this line is written.
    pub(super) fn admits(&mut self, level: Level, message: &str, now: Instant) -> bool {
        let kind = self.kinds.entry(kind(level, message)).or_insert_with(|| Kind {
            since: now,
            count: 0,
            level,
            last: String::new(),
        });
        kind.count += 1;
        if kind.count > WRITTEN {
            kind.last.clear();
            kind.last.push_str(message);
        }
        kind.count <= WRITTEN
    }

    /// What was left out in the windows that are over; in all of them with `all`.
    pub(super) fn folded(&mut self, now: Instant, all: bool) -> Vec<Folded> {
        let full = self.kinds.len() >= KINDS;
        if !all && !full && self.due.is_some_and(|due| now < due) {
            return Vec::new();
        }
        self.due = Some(now + WINDOW / 30);
        let mut over: Vec<(Instant, Folded)> = Vec::new();
        self.kinds.retain(|_, kind| {
            if !all && !full && now < kind.since + WINDOW {
                return true;
            }
            if kind.count > WRITTEN {
                let last = std::mem::take(&mut kind.last);
                over.push((kind.since, Folded { level: kind.level, count: kind.count - WRITTEN, last }));
            }
            false
        });
        over.sort_by_key(|(since, _)| *since);
        over.into_iter().map(|(_, folded)| folded).collect()
    }
}

/// The same for lines that are alike. All that a talkative upstream prints passes through here, so eight
/// bytes without a digit are taken at once.
fn kind(level: Level, message: &str) -> u64 {
    let mut telling = [0; TELLING];
    let mut length = 0;
    let mut in_number = false;
    let bytes = &message.as_bytes()[..message.len().min(TELLING)];
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words.iter().map(<[u8; 8]>::as_slice).chain([rest]) {
        if word.first_chunk().is_some_and(|word| !has_digit(u64::from_le_bytes(*word))) {
            telling[length..length + 8].copy_from_slice(word);
            length += 8;
            in_number = false;
            continue;
        }
        for &byte in word {
            let digit = byte.is_ascii_digit();
            telling[length] = if digit { b'0' } else { byte };
            length += usize::from(!(digit && in_number));
            in_number = digit;
        }
    }
    xxh3_64_with_seed(&telling[..length], level as u64)
}

/// Whether one of eight bytes is an ASCII digit: the upper bit of each byte tells whether the lower ones
/// are at least `0`, and whether they are above `9`.
fn has_digit(word: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let lower = word & (0x7f * ONES);
    let from_zero = lower + (0x80 - u64::from(b'0')) * ONES;
    let above_nine = lower + (0x80 - u64::from(b'9') - 1) * ONES;
    from_zero & !above_nine & !word & (0x80 * ONES) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_differ_in_numbers_are_one_kind() {
        let mut flood = Flood::default();
        let start = Instant::now();
        let written =
            (0..1_000_000).filter(|n| flood.admits(Level::Info, &format!("read {n} rows"), start)).count();
        assert_eq!(written as u64, WRITTEN);
        assert!(flood.admits(Level::Info, "another line", start));
        assert!(flood.admits(Level::Warn, "read 1 rows", start), "another level");
        assert_eq!(flood.folded(start, false), []);
        let folded = flood.folded(start + WINDOW, false);
        let last = "read 999999 rows".to_owned();
        assert_eq!(folded, [Folded { level: Level::Info, count: 1_000_000 - WRITTEN, last }]);
        let message = folded[0].message();
        assert_eq!(message, "read 999999 rows (and 999989 more lines like this one before it)");
        assert!(flood.admits(Level::Info, "read 7 rows", start + WINDOW), "a new window");
        assert_eq!(flood.folded(start + WINDOW, true), [], "nothing was left out");
    }

    #[test]
    fn digits_are_found_among_eight_bytes() {
        for byte in 0..=u8::MAX {
            for at in 0..8 {
                let mut word = *b"a/:\xb0zZ-~";
                word[at] = byte;
                assert_eq!(has_digit(u64::from_le_bytes(word)), byte.is_ascii_digit(), "{byte} at {at}");
            }
        }
        let kind = |message: &str| kind(Level::Info, message);
        for (one, other) in
            [("read 7 rows", "read 123456789012 rows"), ("12345678", "1"), ("a 1234567", "a 12345678")]
        {
            assert_eq!(kind(one), kind(other), "{one}");
        }
        assert_ne!(kind("read rows"), kind("read 1 rows"));
        let long = "x".repeat(TELLING - 3);
        assert_eq!(kind(&format!("{long}1234")), kind(&format!("{long}9")));
    }

    #[test]
    fn one_line_that_was_left_out_is_told_as_it_is() {
        let folded = Folded { level: Level::Info, count: 1, last: "read 11 rows".to_owned() };
        assert_eq!(folded.message(), "read 11 rows");
    }

    #[test]
    fn memory_is_bounded() {
        let mut flood = Flood::default();
        let start = Instant::now();
        for n in 0..10_000_u32 {
            let word: String = n.to_string().bytes().map(|digit| char::from(digit + b'A')).collect();
            assert!(flood.admits(Level::Info, &word, start));
            assert!(flood.folded(start, false).is_empty());
        }
        assert!(flood.kinds.len() <= KINDS);
    }
}
