//! Serde for fields that hold raw JSON text: inline JSON in the JSON codec, bytes in protobuf.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// Reads any JSON value as its text.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(text)
}

/// Writes text inline. Text that is not JSON is an error.
pub(crate) fn serialize<S: Serializer>(json: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    raw::<S>(json)?.serialize(serializer)
}

fn text(raw: Box<RawValue>) -> Vec<u8> {
    String::from(Box::<str>::from(raw)).into_bytes()
}

fn raw<S: Serializer>(json: &[u8]) -> Result<&RawValue, S::Error> {
    serde_json::from_slice(json).map_err(serde::ser::Error::custom)
}

/// The same for maps whose values are raw JSON.
pub(crate) mod map {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};
    use serde_json::value::RawValue;

    use super::{raw, text};

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, Vec<u8>>, D::Error> {
        let map = BTreeMap::<String, Box<RawValue>>::deserialize(deserializer)?;
        Ok(map.into_iter().map(|(name, value)| (name, text(value))).collect())
    }

    pub(crate) fn serialize<S: Serializer>(
        map: &BTreeMap<String, Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let map: Result<BTreeMap<_, _>, _> =
            map.iter().map(|(name, json)| Ok((name, raw::<S>(json)?))).collect();
        serializer.collect_map(map?)
    }
}
