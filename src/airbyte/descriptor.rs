//! Stream descriptors: how messages and state files name a stream.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::capture::protocol::BoundStream;
use crate::json::text::Text;

/// A descriptor that a source wrote.
#[derive(Deserialize)]
pub(super) struct Descriptor<'a> {
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "namespace")]
    pub(super) namespace: Option<Cow<'a, str>>,
}

impl Descriptor<'_> {
    /// The position of the bound stream that it means; `None` where no binding reads it, or where it
    /// could be several. A namespace that one side alone has tells nothing.
    pub(super) fn position(&self, streams: &[BoundStream]) -> Option<usize> {
        let namespace = self.namespace.as_deref();
        let named = || streams.iter().enumerate().filter(|(_, stream)| stream.id.name == self.name);
        if let Some((exact, _)) = named().find(|(_, stream)| stream.id.namespace.as_deref() == namespace) {
            return Some(exact);
        }
        let mut loose = named().filter(|(_, stream)| namespace.is_none() || stream.id.namespace.is_none());
        match (loose.next(), loose.next()) {
            (Some((position, _)), None) => Some(position),
            _ => None,
        }
    }
}

/// Reads a namespace: an empty one is none.
pub(super) fn namespace<'de, D>(deserializer: D) -> Result<Option<Cow<'de, str>>, D::Error>
where
    D: Deserializer<'de>,
{
    let written = Option::<Text<'de>>::deserialize(deserializer)?;
    Ok(written.map(|Text(namespace)| namespace).filter(|namespace| !namespace.is_empty()))
}

/// The descriptor of a stream that never wrote one.
pub(super) fn of(stream: &BoundStream) -> Value {
    match &stream.id.namespace {
        Some(namespace) => json!({"name": stream.id.name, "namespace": namespace}),
        None => json!({"name": stream.id.name}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_that_one_side_lacks_is_no_difference() {
        let position = |descriptor: &str, ids: &[(Option<&str>, &str)]| {
            let streams: Vec<BoundStream> =
                ids.iter().map(|&(namespace, name)| BoundStream::bare(namespace, name)).collect();
            serde_json::from_str::<Descriptor<'_>>(descriptor).expect("a descriptor").position(&streams)
        };
        let (bare, empty) = (r#"{"name":"s"}"#, r#"{"name":"s","namespace":""}"#);
        let named = r#"{"name":"s","namespace":"b"}"#;
        assert_eq!(position(named, &[(Some("a"), "s"), (Some("b"), "s")]), Some(1));
        assert_eq!(position(named, &[(None, "s")]), Some(0));
        assert_eq!(position(named, &[(Some("a"), "s")]), None);
        for lacks in [bare, empty] {
            assert_eq!(position(lacks, &[(Some("a"), "s"), (None, "s")]), Some(1), "{lacks}");
            assert_eq!(position(lacks, &[(Some("a"), "t"), (Some("a"), "s")]), Some(1), "{lacks}");
            assert_eq!(position(lacks, &[(Some("a"), "s"), (Some("b"), "s")]), None, "{lacks}");
        }
    }
}
