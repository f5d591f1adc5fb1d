//! Serde for fields that hold raw JSON text: inline JSON in the JSON codec, bytes in protobuf.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// Reads any JSON value as its text.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    Ok(String::from(Box::<str>::from(raw)).into_bytes())
}

/// Writes text inline. Text that is not JSON is an error.
pub(crate) fn serialize<S: Serializer>(json: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    let raw: &RawValue = serde_json::from_slice(json).map_err(serde::ser::Error::custom)?;
    raw.serialize(serializer)
}

/// The same for maps whose values are raw JSON.
pub(crate) mod map {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};
    use serde_json::value::RawValue;

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, Vec<u8>>, D::Error> {
        let raw = BTreeMap::<String, Box<RawValue>>::deserialize(deserializer)?;
        Ok(raw.into_iter().map(|(name, value)| (name, value.get().as_bytes().to_vec())).collect())
    }

    pub(crate) fn serialize<S: Serializer>(
        map: &BTreeMap<String, Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut raw = BTreeMap::new();
        for (name, json) in map {
            let value: &RawValue = serde_json::from_slice(json).map_err(serde::ser::Error::custom)?;
            raw.insert(name, value);
        }
        serializer.collect_map(raw)
    }
}
