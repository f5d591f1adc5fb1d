//! Apply: what changes with a new version of a capture.

use std::collections::BTreeMap;

use crate::failure::{Code, Failure};
use crate::flow::message::{Applied, ApplyRequest, CaptureSpec, Response};

/// Nothing has to be set up anywhere; the description tells people which bindings come and go.
pub(super) fn applied(request: &ApplyRequest) -> Result<Response, Failure> {
    let Some(capture) = &request.capture else {
        return Err(Failure::new(Code::REQUEST_UNEXPECTED, "the Apply request names no capture"));
    };
    let action_description = describe(request.last_capture.as_ref(), capture);
    Ok(Response { applied: Some(Applied { action_description }), ..Response::default() })
}

fn describe(before: Option<&CaptureSpec>, after: &CaptureSpec) -> String {
    let counters = |capture: Option<&CaptureSpec>| -> BTreeMap<String, u32> {
        capture.iter().flat_map(|c| &c.bindings).map(|b| (b.resource_path.join("/"), b.backfill)).collect()
    };
    let (before, after) = (counters(before), counters(Some(after)));
    let added: Vec<&str> =
        after.keys().filter(|path| !before.contains_key(*path)).map(String::as_str).collect();
    let removed: Vec<&str> =
        before.keys().filter(|path| !after.contains_key(*path)).map(String::as_str).collect();
    let again: Vec<&str> = after
        .iter()
        .filter(|(path, count)| before.get(*path).is_some_and(|old| old != *count))
        .map(|(path, _)| path.as_str())
        .collect();
    [("added", added), ("removed", removed), ("backfilled", again)]
        .into_iter()
        .filter(|(_, paths)| !paths.is_empty())
        .map(|(what, paths)| format!("{what}: {}", paths.join(", ")))
        .collect::<Vec<_>>()
        .join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::message::Binding;

    fn capture(bindings: &[(&str, u32)]) -> CaptureSpec {
        let bindings = bindings
            .iter()
            .map(|&(path, backfill)| Binding {
                resource_path: vec![path.to_owned()],
                backfill,
                ..Binding::default()
            })
            .collect();
        CaptureSpec { bindings, ..CaptureSpec::default() }
    }

    #[test]
    fn the_description_says_which_bindings_come_and_go() {
        let before = capture(&[("users", 0), ("orders", 0)]);
        let after = capture(&[("users", 1), ("carts", 0)]);
        assert_eq!(describe(Some(&before), &after), "added: carts; removed: orders; backfilled: users");
        assert_eq!(describe(Some(&after), &after), "");
        assert_eq!(describe(None, &before), "added: orders, users");
    }
}
