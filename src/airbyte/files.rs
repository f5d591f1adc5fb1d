//! Streams of files (protocol 0.15): the source puts each into a staging folder, and a record points there.

use serde_json::Value;

use crate::json::packed::Packed;
use crate::json::pointer::escape;

/// The setting by which every file-based source of airbyte-cdk is asked for files, and its value.
const SETTING: (&str, &str) = ("delivery_type", "use_file_transfer");

/// Whether the source says of a stream that it hands over files. It does so whether or not the
/// configured catalog asks for them: airbyte-cdk 7 looks at no `include_files`.
pub(super) fn are_handed_over(source_stream: Option<&Packed>) -> bool {
    source_stream.is_some_and(|stream| stream.tree()["is_file_based"] == true)
}

/// A pointer to the setting of a config that asks for files.
pub(super) fn setting(config: &Value) -> Option<String> {
    match config {
        Value::Object(members) => members.iter().find_map(|(name, value)| {
            let here = || format!("/{}", escape(name));
            let asks = name == SETTING.0 && value == SETTING.1;
            if asks { Some(here()) } else { setting(value).map(|below| here() + &below) }
        }),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| setting(item).map(|below| format!("/{index}{below}"))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_setting_is_found_where_it_stands() {
        let asks = json!({"bucket": "b", "delivery_method": {"delivery_type": "use_file_transfer"}});
        assert_eq!(setting(&asks).as_deref(), Some("/delivery_method/delivery_type"));
        let of_one = json!({"streams": [{"a": 1}, {"delivery_type": "use_file_transfer"}]});
        assert_eq!(setting(&of_one).as_deref(), Some("/streams/1/delivery_type"));
        assert_eq!(setting(&json!({"delivery_method": {"delivery_type": "use_records_transfer"}})), None);
    }
}
