//! A tap's state: one value for the whole tap, taken apart by stream for storage and put together
//! again, so that one stream can start anew without the others.
//!
//! Nothing is dropped but what would hand a state to a stream that begins: nulls, unknown members
//! and bookmarks of unknown streams come back, because taps fail without them
//! (singer-protocol.md, 4.3).

use std::collections::HashMap;

use serde_json::Value;
use serde_json::value::RawValue;

use super::foreign;
use crate::capture::event::LineError;
use crate::capture::protocol::{BoundStream, StateUpdate, StoredState, TakenOver, Unnamed};
use crate::failure::{Code, Failure};
use crate::json::members::{Member, Members, is_blank, is_empty, member};

/// The row id of the next document, which Estuary's older shim left in a bookmark
/// (flow-protocol.md, 8.4).
const ROW_COUNTER: &str = "estuary.dev/rowCounter";

/// The member with a bookmark for each stream.
pub(super) const BOOKMARKS: &str = "bookmarks";
/// The member that names the stream which the tap was reading.
const CURRENTLY_SYNCING: &str = "currently_syncing";
/// The members with the table version of each stream: taps' own, and that of singer-python since 6.8.
const VERSIONS: [&str; 2] = ["activate_versions", "versions"];

/// The members of an object as text, in their order.
type Pairs = Vec<(String, String)>;

pub(super) fn split(state: &RawValue, streams: &[BoundStream]) -> Result<StateUpdate, LineError> {
    if !state.get().starts_with('{') {
        let cause = "its value is no object".to_owned();
        return Err(LineError::Damaged { kind: "STATE", stream: None, cause });
    }
    // Older SDK taps begin with `{}`, others with the name of a stream alone: that says nothing of
    // what was read, and must not replace what says it.
    if Members::new(state.get()).all(|member| says_nothing(&member)) {
        return Ok(StateUpdate::default());
    }
    let positions: HashMap<&str, usize> =
        streams.iter().enumerate().map(|(position, stream)| (stream.id.name.as_str(), position)).collect();
    let mut update = StateUpdate { unnamed: Unnamed::Drop, ..StateUpdate::default() };
    let mut take = |object: &str| -> Pairs {
        let mut rest = Vec::new();
        for member in Members::new(object) {
            match positions.get(&*member.name) {
                Some(&position) => {
                    update.streams.push((position, RawValue::from_string(member.value.to_owned()).ok()));
                }
                None => rest.push(pair(&member)),
            }
        }
        rest
    };
    let bookmarks = member(state.get(), BOOKMARKS);
    let (shared, bookmarked) = match bookmarks {
        Some(bookmarks) => {
            let foreign = object(&take(bookmarks.value));
            let replaced = |member: Member<'_>| {
                let ours = member.name == BOOKMARKS && member.value.starts_with('{');
                let value = if ours { foreign.clone() } else { member.value.to_owned() };
                (member.raw_name.to_owned(), value)
            };
            let shared = object(&Members::new(state.get()).map(replaced).collect::<Pairs>());
            (shared, !says_nothing(&bookmarks))
        }
        None => (object(&take(state.get())), is_flat(state)),
    };
    if !bookmarked {
        update.unnamed = Unnamed::Keep;
    }
    update.shared = RawValue::from_string(shared).ok();
    Ok(update)
}

/// Whether a member of the whole state holds nothing that was read.
fn says_nothing(member: &Member<'_>) -> bool {
    member.name == CURRENTLY_SYNCING || member.name == BOOKMARKS && is_empty(member.value)
}

/// Whether all that was read is in the bookmarks of the bound streams. A bookmark of another one is
/// that of a parent, which its children go by, unless it holds no position: SDK taps leave empty ones.
pub(super) fn shares_nothing(shared: &RawValue) -> bool {
    let mut bookmarked = false;
    let silent = Members::new(shared.get()).all(|member| {
        bookmarked |= member.name == BOOKMARKS;
        member.name == CURRENTLY_SYNCING || member.name == BOOKMARKS && is_blank(member.value)
    });
    silent && bookmarked
}

/// What of a shared part several processes cannot each have.
pub(super) fn what_is_shared(shared: &RawValue) -> String {
    let Some(bookmarks) = member(shared.get(), BOOKMARKS) else {
        return "the tap keeps one flat state for all of its streams".to_owned();
    };
    let held = |member: &Member<'_>| !is_blank(member.value);
    if let Some(foreign) = Members::new(bookmarks.value).find(held) {
        return format!(
            "the tap keeps a bookmark of {:?}, which no binding reads and other streams may go by, as children go by \
             their parent's",
            foreign.name
        );
    }
    let own = |member: &Member<'_>| !matches!(&*member.name, BOOKMARKS | CURRENTLY_SYNCING);
    let name = Members::new(shared.get()).find(own).map(|member| member.name.into_owned());
    format!("the tap keeps {:?} for all of its streams", name.unwrap_or_default())
}

/// Whether a member of the whole state is neither a bookmark nor holds some.
pub(super) fn is_of_the_tap(member: &Member<'_>) -> bool {
    member.name == CURRENTLY_SYNCING || VERSIONS.contains(&&*member.name)
}

/// Whether an old tap keeps one flat state: a member for each stream at the top, or values of its own, by
/// which it reads what is new although nothing in its catalog says so (fixture tap-fixerio).
pub(super) fn is_flat(state: &RawValue) -> bool {
    member(state.get(), BOOKMARKS).is_none()
        && !Members::new(state.get()).all(|member| is_of_the_tap(&member))
}

/// The stream that the tap was reading; `None` where the state names none.
fn syncing(shared: &RawValue) -> Option<String> {
    serde_json::from_str(member(shared.get(), CURRENTLY_SYNCING)?.value).ok()
}

/// The content of the state file; `None` where there is no state.
pub(super) fn join(stored: &StoredState<'_>, streams: &[BoundStream]) -> Option<Vec<u8>> {
    let kept = || stored.streams.iter().zip(streams).filter_map(|(part, stream)| Some((stream, (*part)?)));
    let bookmarks: Pairs = kept()
        .map(|(stream, part)| (Value::from(stream.id.name.as_str()).to_string(), part.get().to_owned()))
        .collect();
    let Some(shared) = stored.shared else {
        let file = || format!(r#"{{"bookmarks":{}}}"#, object(&bookmarks));
        return (!bookmarks.is_empty()).then(|| file().into_bytes());
    };
    // The shared part may hold a member from a time when no binding read the stream.
    let bound: HashMap<&str, bool> = streams
        .iter()
        .enumerate()
        .map(|(at, stream)| (stream.id.name.as_str(), stored.fresh.get(at) == Some(&true)))
        .collect();
    let strangers = |object: &str| -> Pairs {
        let strangers = Members::new(object).filter(|member| !bound.contains_key(&*member.name));
        strangers.map(|member| pair(&member)).collect()
    };
    // A stream without a bookmark would be skipped for a whole run by singer-io tap-mysql; without the
    // member pipelinewise-tap-postgres fails (surprise 5).
    let goes_on = syncing(shared).is_some_and(|name| kept().any(|(stream, _)| stream.id.name == name));
    let nested = member(shared.get(), BOOKMARKS).is_some();
    let flat = is_flat(shared);
    let mut members: Pairs = Vec::new();
    for member in Members::new(shared.get()) {
        let value = match &*member.name {
            BOOKMARKS if member.value.starts_with('{') || !bookmarks.is_empty() => {
                object(&[strangers(member.value), bookmarks.clone()].concat())
            }
            CURRENTLY_SYNCING if !goes_on => "null".to_owned(),
            name if VERSIONS.contains(&name) => versions(member.value, &bound),
            name if flat && bound.contains_key(name) => continue,
            _ => member.value.to_owned(),
        };
        members.push((member.raw_name.to_owned(), value));
    }
    if !nested {
        members.extend(bookmarks);
    }
    Some(object(&members).into_bytes())
}

/// Whether pipelinewise-tap-postgres would skip the rest of a table: before it copies one that it reads
/// by the log from then on, it prints the place in the log where that goes on, and when it gets that
/// back without an `xmin` it takes the copy for done. Behind a copy that ended, `xmin` is null
/// (fixture pipelinewise-tap-postgres-log-based).
fn copy_has_not_ended(bookmark: &RawValue) -> bool {
    let has = |name: &str| member(bookmark.get(), name).is_some();
    bookmark.get().contains("\"LOG_BASED\"") && has("lsn") && !has("xmin")
}

/// The state file that a read begins with: a copy that has not ended begins anew, and a stream that begins
/// gets nothing that is kept for it under another name. `offered` names all of the tap's streams.
pub(super) fn begin(stored: &StoredState<'_>, streams: &[BoundStream], offered: &[&str]) -> Option<Vec<u8>> {
    let mut begins = stored.clone();
    let left = stored.shared.and_then(|shared| left(shared, stored, streams, offered));
    if let Some(left) = &left {
        begins.shared = Some(left);
    }
    let syncing = stored.shared.and_then(syncing);
    let cut_off = streams.iter().position(|stream| syncing.as_deref() == Some(&stream.id.name));
    if let Some(part) = cut_off.and_then(|position| begins.streams.get_mut(position)) {
        *part = part.filter(|part| !copy_has_not_ended(part));
    }
    join(&begins, streams)
}

/// The shared part where some streams begin and others go on; `None` where it stays as it is.
fn left(
    shared: &RawValue,
    stored: &StoredState<'_>,
    streams: &[BoundStream],
    offered: &[&str],
) -> Option<Box<RawValue>> {
    let names = || streams.iter().map(|stream| stream.id.name.as_str()).zip(&stored.fresh);
    let begins: Vec<&str> = names().filter(|(_, fresh)| **fresh).map(|(name, _)| name).collect();
    if begins.is_empty() {
        return None;
    }
    let going_on = names().filter(|(_, fresh)| !**fresh).map(|(name, _)| name);
    let others: Vec<&str> =
        going_on.chain(offered.iter().copied().filter(|name| !begins.contains(name))).collect();
    let foreign::Left { shared, mut positions } = foreign::without(shared, &begins, &others);
    // Bound streams have their bookmarks apart; one that is here is from a time before their binding.
    positions.retain(|name| !streams.iter().any(|stream| stream.id.name == *name));
    if !positions.is_empty() {
        foreign::warn(&begins, &positions);
    }
    Some(shared)
}

/// A stream that begins has no version yet; `bound` says which do.
fn versions(value: &str, bound: &HashMap<&str, bool>) -> String {
    if !value.starts_with('{') {
        return value.to_owned();
    }
    let kept = Members::new(value).filter(|member| bound.get(&*member.name) != Some(&true));
    object(&kept.map(|member| pair(&member)).collect::<Pairs>())
}

/// An entry of Estuary's older shim is the bookmark itself, with the row id of the next document.
pub(super) fn take_over(entry: &RawValue) -> Result<Option<TakenOver>, Failure> {
    if member(entry.get(), "rowId").is_some() {
        return Ok(None);
    }
    let row_id = match member(entry.get(), ROW_COUNTER) {
        None => 0,
        Some(counter) => counter.value.parse().map_err(|_| {
            Failure::new(
                Code::STATE_UNREADABLE,
                format!("the state that an older connector left cannot be read: its {ROW_COUNTER} is no count; repair it, or backfill the binding"),
            )
        })?,
    };
    let kept = Members::new(entry.get()).filter(|member| member.name != ROW_COUNTER);
    let bookmark: Pairs = kept.map(|member| pair(&member)).collect();
    let state = if bookmark.is_empty() { None } else { RawValue::from_string(object(&bookmark)).ok() };
    Ok(Some(TakenOver { row_id, state }))
}

pub(super) fn pair(member: &Member<'_>) -> (String, String) {
    (member.raw_name.to_owned(), member.value.to_owned())
}

pub(super) fn object(members: &[(String, String)]) -> String {
    let members: Vec<String> = members.iter().map(|(name, value)| format!("{name}:{value}")).collect();
    format!("{{{}}}", members.join(","))
}

#[cfg(test)]
mod tests;
