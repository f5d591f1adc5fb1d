//! What Flow does with checkpoints: a merge patch is applied, and nulls inside objects vanish while
//! arrays are replaced whole (flow-protocol.md, 3.2).

use serde_json::{Map, Value};

/// The state after these checkpoints, in order.
pub(crate) fn reduce(state: Value, checkpoints: &[Value]) -> Value {
    checkpoints.iter().fold(state, |state, checkpoint| {
        let update = checkpoint["state"]["updated"].clone();
        let merge = checkpoint["state"]["mergePatch"] == Value::Bool(true);
        patch(if merge { state } else { Value::Null }, update)
    })
}

fn patch(target: Value, patch_with: Value) -> Value {
    let Value::Object(members) = patch_with else { return patch_with };
    let mut target = match target {
        Value::Object(target) => target,
        _ => Map::new(),
    };
    for (name, value) in members {
        if value.is_null() {
            target.shift_remove(&name);
        } else {
            let before = target.shift_remove(&name).unwrap_or(Value::Null);
            target.insert(name, patch(before, value));
        }
    }
    Value::Object(target)
}

#[test]
fn nulls_vanish_in_objects_and_stay_in_arrays() {
    let checkpoint = serde_json::json!({"state": {"updated": {"a": null, "b": {"c": null}, "d": [{"e": null}]}, "mergePatch": true}});
    let state = reduce(serde_json::json!({"a": 1, "b": {"c": 1, "f": 2}}), &[checkpoint]);
    assert_eq!(state, serde_json::json!({"b": {"f": 2}, "d": [{"e": null}]}));
}
