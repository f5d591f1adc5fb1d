//! Requests that come while a capture runs: acknowledgements are taken, the end of stdin is no stop,
//! and anything else is a mistake.

use super::requests::Requests;
use super::state::acknowledged::StateFile;
use crate::failure::{Code, Failure};
use crate::flow::message::Request;

/// The failure of a request that may not come; acknowledgements are taken until then, and written to
/// `file`. It never ends where somebody else takes the requests, nor at the end of stdin.
pub(super) async fn stray_request(requests: Option<&mut Requests>, file: Option<&StateFile>) -> Failure {
    let Some(requests) = requests else { return std::future::pending().await };
    match stray_request_or_end(requests, file).await {
        Some(failure) => failure,
        None => std::future::pending().await,
    }
}

/// The same; `None` at the end of the requests.
pub(super) async fn stray_request_or_end(
    requests: &mut Requests,
    file: Option<&StateFile>,
) -> Option<Failure> {
    loop {
        match requests.next().await {
            Ok(None) => return None,
            Ok(Some(Request { acknowledge: Some(acknowledge), .. })) => {
                let written = file.map_or(Ok(()), |file| file.acknowledge(acknowledge.checkpoints));
                if let Err(failure) = written {
                    return Some(failure);
                }
            }
            Ok(Some(_)) => {
                return Some(Failure::new(
                    Code::REQUEST_UNEXPECTED,
                    "a request other than Acknowledge came while the capture runs",
                ));
            }
            Err(failure) => return Some(failure),
        }
    }
}
