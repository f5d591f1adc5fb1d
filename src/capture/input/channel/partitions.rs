//! Which records have come of each part of a stream, and which states wait for theirs.
//!
//! Sockets are not ordered among each other, so a state may come before records that it covers. It
//! names its parts and how many records they have, and has a number in the order of its stream, or of
//! the whole source. It is ready once all that came before it were, and its records are there. Sources
//! send states on stdout and on a socket: the second one is left out.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::capture::protocol::{BoundStream, StateUpdate};
use crate::failure::{Code, Failure};

/// What has come of all parts, and which states wait.
#[derive(Debug, Default)]
pub struct Partitions {
    parts: HashMap<String, HashMap<usize, Part>>,
    /// The states of each stream, of the whole source under `None`.
    feeds: BTreeMap<Option<usize>, Feed>,
    /// States that do not say what they cover: once all has come, they do.
    last: Vec<StateUpdate>,
    /// Whether a record came on stdout that does not say of which part it is.
    outside: bool,
    /// How many sockets upstream has opened.
    sockets: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct Part {
    /// Records that no state has covered.
    records: u64,
    /// The row id behind its last record.
    row_id: u64,
    /// Whether a state has covered it.
    covered: bool,
}

#[derive(Debug, Default)]
struct Feed {
    /// The number of the last state that was ready.
    last: Option<u64>,
    waiting: BTreeMap<u64, StateUpdate>,
}

/// A state whose records are there.
#[derive(Debug)]
pub struct Ready {
    /// The state.
    pub update: StateUpdate,
    /// The row id behind the last record that it covers, of each stream that it covers records of.
    pub row_ids: HashMap<usize, u64>,
}

impl Partitions {
    /// Nothing yet. `sockets` is how many sockets upstream has opened by now.
    pub fn new(sockets: Arc<AtomicUsize>) -> Self {
        Self { sockets, ..Self::default() }
    }

    /// Records of a part came; `row_id` is the one behind the last of them.
    pub fn records(&mut self, stream: usize, partition: &str, records: u64, row_id: u64) {
        if !self.parts.contains_key(partition) {
            self.parts.insert(partition.to_owned(), HashMap::new());
        }
        let Some(streams) = self.parts.get_mut(partition) else { return };
        let part = streams.entry(stream).or_default();
        part.records += records;
        part.row_id = row_id;
    }

    /// A record came on stdout that does not say of which part it is.
    pub fn record_outside(&mut self) {
        self.outside = true;
    }

    /// Whether such a record came, and no socket is open.
    pub fn is_unused(&self) -> bool {
        self.outside && self.sockets.load(Ordering::SeqCst) == 0
    }

    /// A state came. Whether it is one that does not say what it covers.
    pub fn state(&mut self, update: StateUpdate) -> bool {
        let covered = update.coverage.as_ref().filter(|_| update.record_count.is_some());
        let Some(order) = covered.map(|coverage| coverage.order) else {
            self.last.push(update);
            return true;
        };
        let feed = update.streams.first().map(|(stream, _)| *stream).filter(|_| update.shared.is_none());
        let feed = self.feeds.entry(feed).or_default();
        if feed.last.is_none_or(|last| order > last) {
            feed.waiting.entry(order).or_insert(update);
        }
        false
    }

    /// A state that is ready; ask until there is none.
    pub fn ready(&mut self) -> Option<Ready> {
        let Self { parts, feeds, .. } = self;
        for feed in feeds.values_mut() {
            let Some(first) = feed.waiting.first_entry() else { continue };
            let order = *first.key();
            let is_next = feed.last.map_or(order <= 1, |last| order == last + 1);
            if !is_next || missing(parts, first.get()) > 0 {
                continue;
            }
            let update = first.remove();
            feed.last = Some(order);
            let row_ids = cover(parts, &update);
            return Some(Ready { update, row_ids });
        }
        None
    }

    /// All states that wait, in the order in which they may be taken: all has come, or nothing comes
    /// through sockets.
    pub fn give_up(self) -> Vec<StateUpdate> {
        let waiting = self.feeds.into_values().flat_map(|feed| feed.waiting.into_values());
        waiting.chain(self.last).collect()
    }

    /// States that do not say what they cover.
    pub fn take_last(&mut self) -> Vec<StateUpdate> {
        std::mem::take(&mut self.last)
    }

    /// Once all has come: the streams whose states wait in vain, and the failure that it is.
    pub fn in_vain(&self, streams: &[BoundStream]) -> Option<(Vec<usize>, Failure)> {
        let waiting =
            || self.feeds.iter().filter_map(|(of, feed)| Some((*of, feed, feed.waiting.iter().next()?)));
        let (of, feed, (order, state)) = waiting().next()?;
        let all = || (0..streams.len()).collect();
        let short = waiting().flat_map(|(of, ..)| of.map_or_else(all, |stream| vec![stream])).collect();
        let name = of.and_then(|stream| streams.get(stream)).map(|stream| stream.id.to_string());
        let whose = name.as_ref().map_or("all streams".to_owned(), |name| format!("stream {name:?}"));
        let missing = missing(&self.parts, state);
        let what = if missing > 0 {
            let told = state.record_count.unwrap_or_default();
            let names = state.coverage.iter().flat_map(|coverage| &coverage.parts);
            let names: Vec<String> = names.map(|(_, name)| format!("{name:?}")).collect();
            format!(
                "state {order} of {whose} covers {told} records of partition {}, and {missing} of them never came \
                 through the data channel",
                names.join(", ")
            )
        } else {
            let expected = feed.last.map_or(1, |last| last + 1);
            format!("state {order} of {whose} came, and state {expected} never did")
        };
        let failure = Failure::new(
            Code::RECORDS_MISSING,
            format!(
                "{what}; nothing that it covers is committed as read, so the next session reads it again; \
                 `read.dataChannel: stdio` reads without sockets"
            ),
        );
        Some((short, failure.or_with("stream", name)))
    }

    /// Streams of which more records came than the states of their parts say.
    pub fn surplus(&self) -> Vec<(usize, u64)> {
        let parts = self.parts.values().flatten();
        parts.filter(|(_, part)| part.covered).map(|(stream, part)| (*stream, part.records)).collect()
    }
}

/// How many records that a state covers have not come.
fn missing(parts: &HashMap<String, HashMap<usize, Part>>, state: &StateUpdate) -> u64 {
    let covered = state.coverage.iter().flat_map(|coverage| &coverage.parts);
    let came: u64 = covered
        .filter_map(|(of, name)| Some((of, parts.get(name)?)))
        .flat_map(|(of, streams)| {
            streams.iter().filter(move |(stream, _)| of.is_none_or(|of| of == **stream))
        })
        .map(|(_, part)| part.records)
        .sum();
    state.record_count.unwrap_or_default().saturating_sub(came)
}

/// Takes away the records that a state covers. What is left of a part is of another part with the same
/// name, or nobody has told of it.
fn cover(parts: &mut HashMap<String, HashMap<usize, Part>>, state: &StateUpdate) -> HashMap<usize, u64> {
    let mut left = state.record_count.unwrap_or_default();
    let mut row_ids = HashMap::new();
    for (of, name) in state.coverage.iter().flat_map(|coverage| &coverage.parts) {
        let Some(streams) = parts.get_mut(name) else { continue };
        streams.retain(|stream, part| {
            if of.is_some_and(|of| of != *stream) {
                return true;
            }
            let taken = part.records.min(left);
            left -= taken;
            part.records -= taken;
            part.covered = true;
            let row_id = row_ids.entry(*stream).or_default();
            *row_id = part.row_id.max(*row_id);
            part.records > 0
        });
        if streams.is_empty() {
            parts.remove(name);
        }
    }
    row_ids
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;
    use crate::capture::protocol::Coverage;

    fn state(stream: usize, order: u64, part: &str, count: u64) -> StateUpdate {
        StateUpdate {
            streams: vec![(stream, None)],
            record_count: Some(count),
            coverage: Some(Coverage { order, parts: vec![(Some(stream), part.to_owned())] }),
            ..StateUpdate::default()
        }
    }

    fn global(order: u64, parts: &[(Option<usize>, &str)], count: u64) -> StateUpdate {
        let parts = parts.iter().map(|(of, name)| (*of, (*name).to_owned())).collect();
        StateUpdate {
            shared: Some(RawValue::NULL.to_owned()),
            record_count: Some(count),
            coverage: Some(Coverage { order, parts }),
            ..StateUpdate::default()
        }
    }

    fn orders(partitions: &mut Partitions) -> Vec<u64> {
        let ready = std::iter::from_fn(|| partitions.ready());
        ready.map(|ready| ready.update.coverage.expect("what it covers").order).collect()
    }

    #[test]
    fn a_state_waits_for_its_records_and_for_those_before_it() {
        let mut partitions = Partitions::default();
        partitions.state(state(0, 2, "b", 2));
        partitions.records(0, "b", 2, 3);
        assert_eq!(orders(&mut partitions), [] as [u64; 0], "state 1 has not come");
        partitions.state(state(0, 1, "a", 3));
        partitions.records(0, "a", 2, 5);
        partitions.records(1, "a", 9, 9);
        assert_eq!(orders(&mut partitions), [] as [u64; 0], "the records of another stream do not count");
        partitions.records(0, "a", 1, 6);
        let first = partitions.ready().expect("state 1");
        assert_eq!(first.row_ids, HashMap::from([(0, 6)]));
        assert_eq!(orders(&mut partitions), [2]);
        partitions.state(state(0, 2, "b", 2));
        assert_eq!(orders(&mut partitions), [] as [u64; 0], "it came on stdout, too");
        assert!(partitions.in_vain(&[]).is_none());
    }

    #[test]
    fn streams_do_not_wait_for_each_other() {
        let mut partitions = Partitions::default();
        partitions.state(state(0, 1, "a", 1));
        partitions.state(state(1, 1, "b", 0));
        assert_eq!(orders(&mut partitions), [1]);
        let streams = [BoundStream::bare(None, "users"), BoundStream::bare(None, "orders")];
        let (short, failure) = partitions.in_vain(&streams).expect("a failure");
        assert_eq!(short, [0]);
        assert!(failure.message.starts_with("state 1 of stream \"users\" covers 1 records"), "{failure}");
    }

    #[test]
    fn a_state_of_the_whole_source_counts_all_of_its_parts() {
        let mut partitions = Partitions::default();
        partitions.state(global(1, &[(None, "log"), (Some(1), "snap")], 5));
        partitions.records(0, "log", 1, 0);
        partitions.records(1, "log", 1, 0);
        partitions.records(0, "snap", 7, 0);
        assert_eq!(orders(&mut partitions), [] as [u64; 0], "that part is of another stream");
        partitions.records(1, "snap", 3, 0);
        partitions.state(global(2, &[(None, "log"), (Some(0), "snap")], 7));
        assert_eq!(orders(&mut partitions), [1, 2]);
    }

    #[test]
    fn two_parts_of_one_name_are_told_apart_by_their_counts() {
        let mut partitions = Partitions::default();
        partitions.records(0, "a", 5, 5);
        partitions.state(state(0, 1, "a", 3));
        assert_eq!(orders(&mut partitions), [1]);
        assert_eq!(partitions.surplus(), [(0, 2)]);
        partitions.state(state(0, 2, "a", 2));
        assert_eq!(orders(&mut partitions), [2]);
        assert_eq!(partitions.surplus(), []);
    }

    #[test]
    fn a_state_that_never_came_holds_back_those_behind_it() {
        let mut partitions = Partitions::default();
        partitions.state(state(0, 2, "a", 0));
        assert_eq!(orders(&mut partitions), [] as [u64; 0]);
        let (_, failure) = partitions.in_vain(&[BoundStream::bare(None, "users")]).expect("a failure");
        assert!(failure.message.contains("state 1 never did"), "{failure}");
        assert!(partitions.state(StateUpdate::default()), "it does not say what it covers");
        assert_eq!(partitions.take_last().len(), 1);
    }

    proptest! {
        /// Whatever the order in which records and states come, a state is ready exactly once, in order,
        /// and never before its records.
        #[test]
        fn no_state_is_ready_before_its_records(
            counts in prop::collection::vec(0_u64..4, 1..6),
            shuffled in Just((0..60).collect::<Vec<usize>>()).prop_shuffle(),
        ) {
            // Each record and, twice, each state is one event.
            let mut events: Vec<(usize, bool)> = Vec::new();
            for (part, &count) in counts.iter().enumerate() {
                events.extend(std::iter::repeat_n((part, true), usize::try_from(count).expect("few")));
                events.extend([(part, false), (part, false)]);
            }
            let mut order: Vec<usize> = shuffled.into_iter().filter(|&at| at < events.len()).collect();
            order.extend((0..events.len()).filter(|at| *at >= 60));
            let mut partitions = Partitions::default();
            let (mut came, mut ready) = (vec![0; counts.len()], Vec::new());
            for at in order {
                let (part, record) = events[at];
                if record {
                    came[part] += 1;
                    partitions.records(0, &part.to_string(), 1, 0);
                } else {
                    partitions.state(state(0, part as u64 + 1, &part.to_string(), counts[part]));
                }
                for number in orders(&mut partitions) {
                    let part = usize::try_from(number).expect("few") - 1;
                    prop_assert_eq!(came[part], counts[part]);
                    ready.push(number);
                }
            }
            prop_assert_eq!(ready, (1..=counts.len() as u64).collect::<Vec<_>>());
            prop_assert!(partitions.in_vain(&[]).is_none() && partitions.surplus().is_empty());
        }
    }
}
