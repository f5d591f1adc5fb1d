//! `args` of a `shim.yaml`: what upstream is called with besides what the protocol asks for.

use std::fmt;

use schemars::JsonSchema;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// What upstream is called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// The specification; a tap's `--about`.
    Spec,
    /// A connection check.
    Check,
    /// A discovery.
    Discover,
    /// A read.
    Read,
}

/// Arguments that come last on upstream's command line: the same for all verbs, or by verb.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(untagged)]
pub enum Arguments {
    /// For all verbs.
    All(Vec<String>),
    /// By verb.
    ByVerb(ByVerb),
}

/// One entry of `args` for each verb.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ByVerb {
    /// For `spec`; for a tap, its `--about` call.
    pub spec: Vec<String>,
    /// For `check`, which taps do not have.
    pub check: Vec<String>,
    /// For `discover`; for a tap, its `--discover` call.
    pub discover: Vec<String>,
    /// For `read`; for a tap, the call that reads.
    pub read: Vec<String>,
}

impl Arguments {
    /// Those of one verb.
    pub fn of(&self, verb: Verb) -> &[String] {
        match (self, verb) {
            (Self::All(all), _) => all,
            (Self::ByVerb(by), Verb::Spec) => &by.spec,
            (Self::ByVerb(by), Verb::Check) => &by.check,
            (Self::ByVerb(by), Verb::Discover) => &by.discover,
            (Self::ByVerb(by), Verb::Read) => &by.read,
        }
    }
}

impl Default for Arguments {
    fn default() -> Self {
        Self::All(Vec::new())
    }
}

/// Not serde's own `untagged`: it would not say which key of the mapping is wrong.
impl<'de> Deserialize<'de> for Arguments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Arguments;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of arguments, or one for each of spec, check, discover, read")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Arguments, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(items)).map(Arguments::All)
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Arguments, A::Error> {
                ByVerb::deserialize(MapAccessDeserializer::new(members)).map(Arguments::ByVerb)
            }
        }
        deserializer.deserialize_any(Either)
    }
}
