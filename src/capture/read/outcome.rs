//! Decides what a finished read means: success, or which failure.
//!
//! Success takes exit 0, the end of the output, no failure report, and every stream complete where
//! upstream tells such things. Exit 0 alone proves nothing (airbyte-protocol.md, 8.1).

use super::reports;
use super::seen::Seen;
use crate::capture::event::Status;
use crate::capture::processes::supervisor::Ended;
use crate::capture::protocol::BoundStream;
use crate::failure::{Code, Failure};

/// How many unfinished streams are named.
const NAMED: usize = 20;

/// `Ok` where everything was read. A failure names the streams that are committed whole all the same.
pub(super) fn decide(ended: &Ended, seen: &Seen, streams: &[BoundStream]) -> Result<(), Failure> {
    judge(ended, seen, streams).map_err(|failure| {
        let whole = finished(ended, seen, streams, false);
        let whole = streams.iter().zip(whole).filter(|(_, whole)| *whole);
        let names: Vec<String> = whole.map(|(stream, _)| stream.id.to_string()).collect();
        let names = (!names.is_empty()).then_some(names);
        failure.or_with("stream", seen.near.as_deref()).or_with("committedStreams", names)
    })
}

fn judge(ended: &Ended, seen: &Seen, streams: &[BoundStream]) -> Result<(), Failure> {
    if let Some(failure) = reports::failure(&seen.errors, ended) {
        return Err(failure);
    }
    if ended.lingered || !ended.status.success() {
        let doing = match &seen.last_stream {
            Some(stream) => format!("reading (last a record of stream {stream:?})"),
            None => "reading".to_owned(),
        };
        return Err(ended.failure(&doing));
    }
    if let Some(half) = &seen.half {
        return Err(half.clone());
    }
    if let Some((_, failure)) = &seen.short {
        return Err(failure.clone());
    }
    let told = seen.statuses.iter().any(Option::is_some);
    let unfinished: Vec<(&BoundStream, Option<Status>)> = streams
        .iter()
        .zip(seen.statuses.iter().copied())
        .filter(|(_, status)| told && *status != Some(Status::Complete))
        .collect();
    let Some((first, _)) = unfinished.first() else { return Ok(()) };
    let named: Vec<String> = unfinished
        .iter()
        .take(NAMED)
        .map(|(stream, status)| format!("{} ({})", stream.id, how_far(*status)))
        .collect();
    let more = match unfinished.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more streams"),
    };
    let failure = Failure::new(
        Code::STREAMS_UNREAD,
        format!(
            "upstream exited with code 0 but did not read {}{more} to the end; a stream that the source no longer has \
             must be disabled or discovered again, anything else is tried again from the last checkpoint",
            named.join(", ")
        ),
    );
    Err(ended.described(failure).with("stream", first.id.to_string()))
}

/// Which streams were read to their end: all of them after a success. Where another stream failed,
/// and upstream then exited by itself, those that it called complete, or whose rows it marked as
/// whole, and of which it reported no failure.
pub(super) fn finished(ended: &Ended, seen: &Seen, streams: &[BoundStream], succeeded: bool) -> Vec<bool> {
    let by_itself = ended.status.code().is_some() && !ended.cut_short;
    let whole = |position: usize, stream: &BoundStream| {
        let complete = seen.statuses[position] == Some(Status::Complete);
        let marked = seen.end_marks[position] && seen.statuses[position].is_none();
        let reported = seen.errors.has(&stream.id.name);
        let short = seen.short.as_ref().is_some_and(|(streams, _)| streams.contains(&position));
        by_itself && (complete || marked) && !reported && !short
    };
    streams.iter().enumerate().map(|(position, stream)| succeeded || whole(position, stream)).collect()
}

fn how_far(status: Option<Status>) -> &'static str {
    match status {
        None => "never begun",
        Some(Status::Started | Status::Running | Status::RateLimited { .. }) => "begun, never completed",
        Some(Status::Incomplete) => "reported incomplete",
        Some(Status::Complete) => "complete",
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;
    use crate::capture::event::ErrorReport;
    use crate::capture::processes::stderr::Tail;

    fn ended(code: i32) -> Ended {
        let status = ExitStatus::from_raw(code << 8);
        Ended {
            program: "tap".to_owned(),
            status,
            cut_short: false,
            stderr: Tail::default(),
            ..Ended::default()
        }
    }

    fn streams() -> Vec<BoundStream> {
        ["users", "orders"]
            .into_iter()
            .zip(0..)
            .map(|(name, binding)| BoundStream { binding, ..BoundStream::bare(None, name) })
            .collect()
    }

    fn seen(statuses: [Option<Status>; 2], errors: Vec<ErrorReport>) -> Seen {
        Seen { statuses: statuses.to_vec(), errors: errors.into_iter().collect(), ..Seen::nothing(2) }
    }

    #[test]
    fn a_source_that_tells_no_status_succeeds_by_its_exit() {
        assert!(decide(&ended(0), &seen([None, None], Vec::new()), &streams()).is_ok());
        assert!(decide(&ended(1), &seen([None, None], Vec::new()), &streams()).is_err());
    }

    #[test]
    fn exit_0_with_an_unfinished_stream_is_a_failure() {
        let failure = decide(&ended(0), &seen([Some(Status::Complete), None], Vec::new()), &streams());
        assert!(failure.expect_err("unfinished").message.contains("orders (never begun)"));
        let both = [Some(Status::Complete), Some(Status::Complete)];
        assert!(decide(&ended(0), &seen(both, Vec::new()), &streams()).is_ok());
    }

    #[test]
    fn a_stream_is_whole_by_what_upstream_said_of_it() {
        let error = |stream: &str| ErrorReport { stream: Some(stream.to_owned()), ..ErrorReport::default() };
        let whole = |ended: &Ended, seen: &Seen| finished(ended, seen, &streams(), false);
        let half = seen([Some(Status::Complete), Some(Status::Incomplete)], vec![error("orders")]);
        assert_eq!(whole(&ended(1), &half), [true, false]);
        let killed = Ended { status: ExitStatus::from_raw(9), ..ended(0) };
        assert_eq!(whole(&killed, &half), [false, false], "what it said last may not be all");
        let stopped = Ended { cut_short: true, ..ended(0) };
        assert_eq!(whole(&stopped, &half), [false, false]);
        let reported = seen([Some(Status::Complete), None], vec![error("users")]);
        assert_eq!(whole(&ended(1), &reported), [false, false]);
        let mut marked = seen([None, None], Vec::new());
        marked.end_marks[1] = true;
        assert_eq!(whole(&ended(1), &marked), [false, true]);
        assert_eq!(finished(&ended(0), &marked, &streams(), true), [true, true]);
    }
}
