//! What the collection of a snapshot holds, block by block, and what a refresh changes of it.
//!
//! A snapshot's row ids count its rows, so rows at the same place have the same key. Its rows are cut
//! into blocks, each of which ends once it has [`BLOCK`] bytes, and a digest of each is kept. While a
//! refresh reads what may be a block that the collection has already, its documents are held back:
//! where the digests agree they are dropped, else they go out. Memory is bounded by one block. Block
//! ends are taken over from the refresh before, so a change in one block leaves the others comparable.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

/// A block ends once it has this many bytes.
const BLOCK: usize = 1024 * 1024;
/// What a row counts beside its bytes: its document is longer by about this.
const ROW: usize = 96;
/// Rows beyond this many blocks (16 GiB) are one block, whose rows are not compared: the state must
/// stay small.
const MOST: usize = 16 * 1024;
/// Changes with the way in which digests are made.
const SEED: u64 = 1;

/// Rows that follow each other. In the state: `[rows, "digest"]`, or `[rows]` without a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub(super) struct Block {
    rows: u64,
    /// Of the records' bytes, in their order; `None` where it is not known what is there.
    digest: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Known(u64, String),
    Unknown([u64; 1]),
}

impl Block {
    /// Rows of which nothing is known.
    fn unknown(rows: u64) -> Self {
        Self { rows, digest: None }
    }

    /// Rows of which nothing is known, if there are any.
    pub(super) fn some_unknown(rows: u64) -> Vec<Self> {
        if rows > 0 { vec![Self::unknown(rows)] } else { Vec::new() }
    }
}

impl From<Block> for Written {
    fn from(block: Block) -> Self {
        match block.digest {
            Some(digest) => Written::Known(block.rows, format!("{digest:016x}")),
            None => Written::Unknown([block.rows]),
        }
    }
}

impl TryFrom<Written> for Block {
    type Error = std::num::ParseIntError;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        Ok(match written {
            Written::Known(rows, digest) => Self { rows, digest: Some(u64::from_str_radix(&digest, 16)?) },
            Written::Unknown([rows]) => Self::unknown(rows),
        })
    }
}

/// The blocks of a collection while a refresh goes over them.
pub(super) struct Blocks {
    /// All of them, from row 0 on.
    all: Vec<Block>,
    /// The block at whose beginning the running one began.
    at: usize,
    rows: u64,
    bytes: usize,
    digest: Box<Xxh3>,
    /// Whether the running block may turn out to be what is there already.
    holds: bool,
    /// Encoded documents of the running block.
    held: Vec<u8>,
    /// Rows behind all blocks that are gone at the source and not deleted yet.
    beyond: u64,
    changed: bool,
}

impl Blocks {
    /// For a refresh that goes on at this row, over what the collection holds. `kind` tells apart
    /// documents that differ although their records do not.
    pub(super) fn new(blocks: Vec<Block>, row: u64, kind: u64) -> Self {
        let digest = Box::new(Xxh3::with_seed(SEED ^ (kind << 8)));
        let mut new = Self {
            all: blocks,
            at: 0,
            rows: 0,
            bytes: 0,
            digest,
            holds: false,
            held: Vec::new(),
            beyond: 0,
            changed: false,
        };
        let mut left = row;
        while let Some(block) = new.all.get(new.at).copied().filter(|_| left > 0) {
            if block.rows > left {
                // A resumed refresh begins inside a block.
                new.all[new.at] = Block::unknown(block.rows - left);
                new.all.insert(new.at, Block::unknown(left));
            }
            left = left.saturating_sub(block.rows);
            new.at += 1;
        }
        if left > 0 {
            new.all.push(Block::unknown(left));
            new.at += 1;
        }
        new.begin();
        new
    }

    fn begin(&mut self) {
        self.rows = 0;
        self.bytes = 0;
        self.digest.reset();
        // Many streams may come one after the other: none keeps a buffer that it does not use.
        self.held = Vec::new();
        self.holds = self.all.get(self.at).is_some_and(|block| block.digest.is_some());
    }

    /// Takes a record into the running block.
    pub(super) fn take(&mut self, record: &[u8]) {
        self.rows += 1;
        self.bytes += record.len() + ROW;
        self.digest.update(record);
        self.digest.update(b"\n");
    }

    /// Where the document of the record goes; `None`: it is not held back.
    pub(super) fn hold(&mut self) -> Option<&mut Vec<u8>> {
        self.holds.then_some(&mut self.held)
    }

    /// How many bytes are held back.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// Whether the running block ends here.
    pub(super) fn is_complete(&self) -> bool {
        self.bytes >= BLOCK || self.all.get(self.at).is_some_and(|block| block.rows == self.rows)
    }

    /// Ends the running block. Gives the held documents that have to go out, and their number.
    pub(super) fn settle(&mut self, out: impl FnOnce(&[u8])) -> u64 {
        if self.rows == 0 {
            return 0;
        }
        let block = Block { rows: self.rows, digest: Some(self.digest.digest()) };
        let mut gone_out = 0;
        if self.holds && self.all.get(self.at) == Some(&block) {
            self.at += 1;
        } else {
            if self.holds {
                out(&self.held);
                gone_out = self.rows;
            }
            self.replace(block);
        }
        self.begin();
        gone_out
    }

    /// Writes down that this block is now what the collection holds at this place.
    fn replace(&mut self, block: Block) {
        self.changed = true;
        let beyond = self.at >= MOST;
        cover(&mut self.all, self.at, if beyond { Block::unknown(block.rows) } else { block });
        let before = self.at.checked_sub(1).filter(|&before| beyond && self.all[before].digest.is_none());
        match before {
            // Beyond the most, all is one block.
            Some(before) => self.all[before].rows += self.all.remove(self.at).rows,
            None => self.at += 1,
        }
    }

    /// How many rows the collection may hold.
    pub(super) fn reach(&self) -> u64 {
        let (settled, before) = self.all.split_at(self.at);
        let running = if self.holds { 0 } else { self.rows };
        rows(settled) + running.max(rows(before)) + self.beyond
    }

    /// Ends the refresh: what lies beyond it is gone, and gives so many rows to be deleted. The running
    /// block must be settled.
    pub(super) fn finish(&mut self) -> u64 {
        self.changed |= self.at < self.all.len();
        self.beyond = rows(&self.all[self.at..]);
        self.all.truncate(self.at);
        self.beyond
    }

    /// Rows were deleted from the end; so many are left to be deleted.
    pub(super) fn delete_down_to(&mut self, beyond: u64) {
        self.beyond = beyond;
        self.changed = true;
    }

    /// What the collection holds once all that was written is committed, to be kept in the state;
    /// `None` where nothing has changed since the last time.
    pub(super) fn save(&mut self) -> Option<Vec<Block>> {
        let running = !self.holds && self.rows > 0;
        if !std::mem::take(&mut self.changed) && !running {
            return None;
        }
        // Documents of the running block are out, but its digest is not yet known.
        self.changed = running;
        let mut blocks = self.all.clone();
        if running {
            cover(&mut blocks, self.at, Block::unknown(self.rows));
        }
        blocks.append(&mut Block::some_unknown(self.beyond));
        debug_assert_eq!(rows(&blocks), self.reach(), "no row is forgotten");
        if blocks.len() > 2 * MOST {
            blocks = vec![Block::unknown(rows(&blocks))];
        }
        Some(blocks)
    }
}

/// How many rows these blocks have.
pub(super) fn rows(blocks: &[Block]) -> u64 {
    blocks.iter().map(|block| block.rows).sum()
}

/// Puts a block in the place of those whose rows it has. What it leaves of the last one is unknown.
fn cover(all: &mut Vec<Block>, at: usize, block: Block) {
    let mut left = block.rows;
    let mut end = at;
    while let Some(covered) = all.get_mut(end).filter(|_| left > 0) {
        if covered.rows > left {
            *covered = Block::unknown(covered.rows - left);
            break;
        }
        left -= covered.rows;
        end += 1;
    }
    all.splice(at..end, [block]);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Flow's side: what the collection holds, by row id.
    type Collection = BTreeMap<u64, Vec<u8>>;

    /// Reads rows up to a crash, if any, or to the end; gives how many documents went out.
    fn refresh(
        kept: &mut Vec<Block>,
        collection: &mut Collection,
        rows: &[Vec<u8>],
        crash: Option<usize>,
    ) -> u64 {
        let mut blocks = Blocks::new(kept.clone(), 0, 0);
        let mut open: Vec<(u64, Vec<u8>)> = Vec::new();
        let mut out = Vec::new();
        for (number, row) in (0..).zip(rows) {
            if crash == Some(open.len() + out.len()) {
                break;
            }
            blocks.take(row);
            match blocks.hold() {
                Some(held) => {
                    held.push(0);
                    open.push((number, row.clone()));
                }
                None => out.push((number, row.clone())),
            }
            if blocks.is_complete() {
                if blocks.settle(|_| ()) > 0 {
                    out.append(&mut open);
                }
                open.clear();
            }
        }
        if crash.is_none() {
            if blocks.settle(|_| ()) > 0 {
                out.append(&mut open);
            }
            let reach = blocks.reach();
            blocks.finish();
            for stale in rows.len() as u64..reach {
                collection.remove(&stale);
            }
        }
        let count = out.len() as u64;
        collection.extend(out);
        if let Some(blocks) = blocks.save() {
            *kept = blocks;
        }
        count
    }

    fn rows(sizes: &[u8]) -> Vec<Vec<u8>> {
        sizes.iter().enumerate().map(|(n, &size)| vec![size; usize::from(size) * 1500 + n % 3]).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn the_collection_is_what_was_read_last(
            reads in prop::collection::vec((prop::collection::vec(0_u8..=255, 0..20), prop::option::weighted(0.4, 0_usize..20)), 1..6),
        ) {
            let (mut kept, mut collection) = (Vec::new(), Collection::new());
            for (sizes, crash) in reads {
                let rows = rows(&sizes);
                refresh(&mut kept, &mut collection, &rows, crash);
                if crash.is_none() {
                    let held: Vec<Vec<u8>> = collection.values().cloned().collect();
                    prop_assert_eq!(&held, &rows);
                    prop_assert_eq!(refresh(&mut kept, &mut collection, &rows, None), 0, "unchanged");
                }
                let text = serde_json::to_string(&kept).expect("JSON");
                prop_assert_eq!(&serde_json::from_str::<Vec<Block>>(&text).expect("blocks"), &kept);
            }
        }
    }

    #[test]
    fn a_change_goes_out_with_its_block_and_no_other() {
        let (mut kept, mut collection) = (Vec::new(), Collection::new());
        let mut all: Vec<Vec<u8>> = (0_u8..100).map(|n| vec![n; 100_000]).collect();
        assert_eq!(refresh(&mut kept, &mut collection, &all, None), 100);
        all[50][0] = 0;
        assert_eq!(refresh(&mut kept, &mut collection, &all, None), 11);
        all.truncate(95);
        assert_eq!(refresh(&mut kept, &mut collection, &all, None), 7, "the last block is cut");
        assert_eq!(collection.len(), 95);
    }

    #[test]
    fn memory_and_state_are_bounded() {
        let mut blocks = Blocks::new(vec![Block { rows: u64::MAX / 2, digest: Some(1) }], 0, 0);
        for _ in 0..100_000 {
            blocks.take(&[b'x'; 400]);
            if let Some(held) = blocks.hold() {
                held.extend_from_slice(&[b'x'; 400]);
                assert!(held.len() <= BLOCK);
            }
            if blocks.is_complete() {
                blocks.settle(|_| ());
            }
        }
        let mut many = Blocks::new(Vec::new(), 0, 0);
        for _ in 0..2 * MOST {
            many.take(b"x");
            many.settle(|_| ());
        }
        let kept = many.save().expect("blocks");
        assert_eq!((kept.len(), many.reach()), (MOST + 1, 2 * MOST as u64));
    }

    #[test]
    fn what_is_beyond_the_most_blocks_does_not_cost_the_comparison_of_those_before() {
        let many = 3 * MOST;
        let mut kept = Vec::new();
        for refresh in 0..4 {
            let mut blocks = Blocks::new(kept, 0, 0);
            let mut gone_out = 0;
            for _ in 0..many {
                let held = blocks.holds;
                blocks.take(b"x");
                gone_out += if held { blocks.settle(|_| ()) } else { blocks.settle(|_| ()) + 1 };
            }
            blocks.finish();
            let expected = if refresh == 0 { many } else { many - MOST };
            assert_eq!(gone_out, expected as u64, "refresh {refresh}");
            kept = blocks.save().expect("rows that are not compared are written each time");
            assert_eq!((kept.len(), blocks.reach()), (MOST + 1, many as u64), "refresh {refresh}");
        }
    }
}
