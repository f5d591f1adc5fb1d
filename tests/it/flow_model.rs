//! What Flow does with checkpoints: a merge patch is applied, and nulls inside objects vanish while
//! arrays are replaced whole (flow-protocol.md, 3.2). And with documents whose key is `/_meta/row_id`:
//! those that a checkpoint follows replace each other by key.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::harness::Run;

/// A collection with the key `/_meta/row_id`, reduced.
#[derive(Debug, Default)]
pub(crate) struct Collection(BTreeMap<u64, Value>);

impl Collection {
    /// Takes what a run has committed of a binding.
    pub(crate) fn commit(&mut self, run: &Run, binding: u64) {
        let committed = run.responses.len() - run.uncommitted();
        for captured in run.responses[..committed].iter().filter_map(|response| response.get("captured")) {
            if captured["binding"].as_u64().unwrap_or(0) == binding {
                let document = &captured["doc"];
                let key = document["_meta"]["row_id"].as_u64().expect("a row id");
                if document["_meta"]["op"] == "d" {
                    assert_eq!(document.as_object().map(Map::len), Some(1), "a delete holds its key alone");
                    self.0.remove(&key);
                } else {
                    self.0.insert(key, document.clone());
                }
            }
        }
    }

    /// What it holds, by key, without `_meta`.
    pub(crate) fn rows(&self) -> Vec<Value> {
        let mut rows: Vec<Value> = self.0.values().cloned().collect();
        for row in &mut rows {
            row.as_object_mut().and_then(|row| row.shift_remove("_meta"));
        }
        rows
    }
}

/// The state after these checkpoints, in order.
pub(crate) fn reduce(state: Value, checkpoints: &[Value]) -> Value {
    checkpoints.iter().fold(state, |state, checkpoint| {
        let update = checkpoint["state"]["updated"].clone();
        let merge = checkpoint["state"]["mergePatch"] == Value::Bool(true);
        patch(if merge { state } else { Value::Null }, update)
    })
}

/// Two patches of one transaction as the one that Flow keeps of them: their nulls stay.
pub(crate) fn fold(first: Value, second: Value) -> Value {
    let Value::Object(members) = second else { return second };
    let mut folded = match first {
        Value::Object(folded) => folded,
        _ => Map::new(),
    };
    for (name, value) in members {
        let before = folded.shift_remove(&name).unwrap_or(Value::Null);
        folded.insert(name, fold(before, value));
    }
    Value::Object(folded)
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
