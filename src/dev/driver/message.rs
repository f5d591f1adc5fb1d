//! What a message of a connector is: a message has exactly one member (flow-protocol.md, section 3.1).

use super::broken;
use super::rules::sequence::Marker;
use crate::failure::Failure;
use crate::flow::message::Response;

/// What a message says of a backfill, and of which binding; `None` for any other message.
pub(super) fn marker(message: &Response) -> Option<(Marker, u32)> {
    let begin = message.backfill_begin.as_ref().map(|begin| (Marker::Begin, begin.binding));
    begin.or_else(|| message.backfill_complete.as_ref().map(|complete| (Marker::Complete, complete.binding)))
}

/// The name of a message's only member. One with none or several is a break of protocol.
pub(super) fn kind(response: &Response) -> Result<&'static str, Failure> {
    // Taken apart, so that a member that is new is not forgotten.
    let Response {
        spec,
        discovered,
        validated,
        applied,
        opened,
        captured,
        checkpoint,
        sourced_schema,
        backfill_begin,
        backfill_complete,
    } = response;
    let members = [
        ("spec", spec.is_some()),
        ("discovered", discovered.is_some()),
        ("validated", validated.is_some()),
        ("applied", applied.is_some()),
        ("opened", opened.is_some()),
        ("captured", captured.is_some()),
        ("checkpoint", checkpoint.is_some()),
        ("sourcedSchema", sourced_schema.is_some()),
        ("backfillBegin", backfill_begin.is_some()),
        ("backfillComplete", backfill_complete.is_some()),
    ];
    let mut set = members.iter().filter(|(_, set)| *set).map(|(name, _)| *name);
    match (set.next(), set.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(broken("the connector sent a message that is empty")),
        (Some(first), Some(second)) => {
            Err(broken(format!("the connector sent {first} and {second} in one message")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::message::{Captured, Opened};

    #[test]
    fn a_message_has_one_member() {
        let one = Response { opened: Some(Opened::default()), ..Default::default() };
        assert_eq!(kind(&one).ok(), Some("opened"));
        let two = Response { captured: Some(Captured::default()), ..one };
        assert!(kind(&two).is_err());
        assert!(kind(&Response::default()).is_err());
    }
}
