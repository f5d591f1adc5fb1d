//! Members that a record gets in a `_meta` of its own, before its document is made.
//!
//! Only odd records get any: those that upstream damaged, and those that are too large.

use crate::json::members::{Member, Members};

/// The member that lists what upstream says that it damaged.
pub(crate) const CHANGES: &str = "changes";
/// The member that lists what was made null here.
pub(super) const NULLED: &str = "nulled";

/// The text of a record with one more member in its `_meta`, whose value is JSON. It replaces one of this
/// name. A `_meta` that is no object becomes a member of ours, as `document` does it.
pub(crate) fn with<'m>(members: impl Iterator<Item = Member<'m>> + Clone, name: &str, value: &str) -> String {
    let mut text = format!("{{\"_meta\":{{\"{name}\":{value}");
    match members.clone().find(|member| member.name == "_meta").map(|member| member.value) {
        Some(own) if own.starts_with('{') => {
            for member in Members::new(own).filter(|member| member.name != name) {
                text.extend([",", member.raw_name, ":", member.value]);
            }
        }
        Some(other) => text.extend([",\"_meta\":", other]),
        None => {}
    }
    text.push('}');
    for member in members.filter(|member| member.name != "_meta") {
        text.extend([",", member.raw_name, ":", member.value]);
    }
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_added_to_what_the_record_brings() {
        let with = |record: &str| with(Members::new(record), CHANGES, "[1]");
        assert_eq!(with("{}"), r#"{"_meta":{"changes":[1]}}"#);
        assert_eq!(with(r#"{"a":1, "b":2}"#), r#"{"_meta":{"changes":[1]},"a":1,"b":2}"#);
        assert_eq!(
            with(r#"{"a":1,"_meta":{"changes":[2],"source":"x"}}"#),
            r#"{"_meta":{"changes":[1],"source":"x"},"a":1}"#
        );
        assert_eq!(with(r#"{"_meta":7}"#), r#"{"_meta":{"changes":[1],"_meta":7}}"#);
    }
}
