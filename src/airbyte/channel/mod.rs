//! Airbyte's data channel, as sources on the JVM bulk CDK speak it (version 0.0.2).
//!
//! The source listens on sockets whose paths it finds in its environment, and waits for us. Through them
//! come RECORD, STATE and `STREAM_STATUS`, as lines or as protobuf messages; the same states and statuses
//! come on stdout, too, where logs and traces stay. `frame` reads protobuf messages, `value` what is in
//! records, `wire` protobuf itself, `text` and `time` write JSON.

mod changes;
mod frame;
mod text;
mod time;
mod value;
mod wire;

use std::num::NonZeroUsize;

use self::frame::Frames;
use super::catalog::ConfiguredCatalog;
use super::resource::{ResourceConfig, SyncMode};
use crate::capture::input::channel::{ChannelPlan, Form, SOCKETS};
use crate::capture::protocol::{Argument, BoundStream, Route};
use crate::shim::read::{DataChannel, ReadSection};

/// The variables that tell a source of the channel. Inherited, they would move records away.
pub(super) const MEDIUM: &str = "DATA_CHANNEL_MEDIUM";
pub(super) const FORMAT: &str = "DATA_CHANNEL_FORMAT";
pub(super) const PATHS: &str = "DATA_CHANNEL_SOCKET_PATHS";

/// How many sockets there are for each processor, and how many there are at least and at most, where
/// the shim does not say.
const FOR_EACH: usize = 2;
const BOUNDS: (usize, usize) = (2, 8);

/// What the shim says of the channel.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Setting {
    form: DataChannel,
    sockets: Option<NonZeroUsize>,
}

/// How a source is called so that it uses the channel.
pub(super) struct Call {
    pub(super) variables: Vec<(&'static str, Vec<Argument>)>,
    pub(super) plan: ChannelPlan,
}

impl Setting {
    pub(super) fn of(read: &ReadSection) -> Self {
        Self { form: read.data_channel, sockets: read.data_channel_sockets }
    }

    /// The call for a read of these streams; `None` where all comes on stdout. `catalog` is what the
    /// source is configured with.
    pub(super) fn call(
        self,
        streams: &[BoundStream],
        catalog: &ConfiguredCatalog,
        routes: &[Route],
    ) -> Option<Call> {
        let (word, form) = match self.form {
            DataChannel::Auto | DataChannel::Stdio => return None,
            DataChannel::Jsonl => ("JSONL", Form::Lines),
            DataChannel::Protobuf => {
                ("PROTOBUF", Form::Frames(Box::new(Frames::new(routes, catalog.schemas()))))
            }
        };
        let sockets = self.sockets(streams);
        let mut paths = Vec::new();
        for (nth, name) in SOCKETS.iter().enumerate().take(sockets) {
            if nth > 0 {
                paths.push(Argument::from(","));
            }
            paths.push(Argument::File(name));
        }
        let variables = vec![(MEDIUM, vec!["SOCKET".into()]), (FORMAT, vec![word.into()]), (PATHS, paths)];
        Some(Call { variables, plan: ChannelPlan { sockets, form } })
    }

    /// Rows that are told apart by their place alone have to come in order, which only one socket has.
    fn sockets(self, streams: &[BoundStream]) -> usize {
        let by_place = |stream: &&BoundStream| {
            let config = ResourceConfig::parse(&stream.resource_config);
            stream.key == ["/_meta/row_id"]
                && config.is_ok_and(|config| config.sync_mode == SyncMode::Incremental)
        };
        if let Some(stream) = streams.iter().find(by_place) {
            tracing::info!(
                stream = %stream.id,
                "the data channel has one socket only, because the rows of a collection that is read incrementally are \
                 told apart by /_meta/row_id, their place"
            );
            return 1;
        }
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let fitting = processors.saturating_mul(FOR_EACH).clamp(BOUNDS.0, BOUNDS.1);
        self.sockets.map_or(fitting, NonZeroUsize::get).min(SOCKETS.len())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn setting(form: DataChannel, sockets: usize) -> Setting {
        Setting { form, sockets: NonZeroUsize::new(sockets) }
    }

    fn catalog() -> ConfiguredCatalog {
        crate::airbyte::catalog::configured(&[], None).expect("a catalog")
    }

    #[test]
    fn a_source_is_told_where_to_listen() {
        let call = setting(DataChannel::Jsonl, 2).call(&[], &catalog(), &[]).expect("a call");
        let file = |name| Argument::File(name);
        let expected = vec![
            (MEDIUM, vec!["SOCKET".into()]),
            (FORMAT, vec!["JSONL".into()]),
            (PATHS, vec![file("channel-1.sock"), ",".into(), file("channel-2.sock")]),
        ];
        assert_eq!(call.variables, expected);
        assert_eq!(call.plan.sockets, 2);
        assert!(setting(DataChannel::Auto, 2).call(&[], &catalog(), &[]).is_none());
        assert!(setting(DataChannel::Stdio, 2).call(&[], &catalog(), &[]).is_none());
    }

    #[test]
    fn rows_that_are_told_apart_by_their_place_come_through_one_socket() {
        let stream = |mode: &str, key: &str| BoundStream {
            resource_config: json!({"stream": "users", "syncMode": mode}),
            key: vec![key.to_owned()],
            ..BoundStream::bare(None, "users")
        };
        let sockets = |stream: BoundStream| setting(DataChannel::Protobuf, 3).sockets(&[stream]);
        assert_eq!(sockets(stream("incremental", "/_meta/row_id")), 1);
        assert_eq!(sockets(stream("full_refresh", "/_meta/row_id")), 3);
        assert_eq!(sockets(stream("incremental", "/id")), 3);
    }
}
