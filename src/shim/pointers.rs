//! JSON pointers in `shim.yaml`: of keys, of values to be moved and to be changed.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use crate::json::pointer;
use crate::json::remap::Move;

/// What `config.map` says, in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moves(pub Vec<Move>);

impl<'de> Deserialize<'de> for Moves {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MovesVisitor)
    }
}

struct MovesVisitor;

impl<'de> Visitor<'de> for MovesVisitor {
    type Value = Moves;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pairs of JSON pointers, TO: FROM")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Moves, A::Error> {
        let mut moves = Vec::new();
        while let Some(to) = pairs.next_key::<String>()? {
            let to = steps(&to).map_err(de::Error::custom)?;
            let from = pairs.next_value::<Pointer>()?.0;
            let from = steps(&from).map_err(de::Error::custom)?;
            if from.is_empty() {
                return Err(de::Error::custom("the whole config cannot be moved; name one value of it"));
            }
            moves.push(Move { to, from });
        }
        Ok(Moves(moves))
    }
}

/// A JSON pointer, as it is written.
struct Pointer(String);

impl<'de> Deserialize<'de> for Pointer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        steps(&text).map_err(de::Error::custom)?;
        Ok(Self(text))
    }
}

fn steps(text: &str) -> Result<Vec<String>, String> {
    pointer::to_path(text).ok_or_else(|| format!("{text:?} is not a JSON pointer; did you mean \"/{text}\"?"))
}

/// Reads the pointers of a key.
pub(super) fn key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    let pointers = Vec::<Pointer>::deserialize(deserializer)?;
    let key: Vec<String> = pointers.into_iter().map(|pointer| pointer.0).collect();
    if key.iter().any(String::is_empty) {
        return Err(de::Error::custom("the whole document cannot be a key; name properties of it"));
    }
    Ok(Some(key))
}

/// Reads what is said of places, by their pointers.
pub(super) fn by_pointer<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, T>, D::Error> {
    let places = BTreeMap::<String, T>::deserialize(deserializer)?;
    match places.keys().find_map(|text| steps(text).err()) {
        Some(mistake) => Err(de::Error::custom(mistake)),
        None => Ok(places),
    }
}
