//! What becomes of a state that belongs to all streams, where several processes or shards each read
//! some of them.

use serde_json::value::RawValue;
use tokio::sync::watch;

use crate::capture::protocol::{StateUpdate, UpstreamProtocol};
use crate::failure::{Code, Failure};

const PROCESSES: &str = "processes; set read.parallelism to 1";

/// How upstream keeps its state, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Nothing was said yet.
    Unknown,
    /// Each stream has its own.
    Apart,
    /// One for all of them.
    Shared,
}

/// Which shared states are taken.
#[derive(Debug, Clone, Copy)]
pub enum Sharing<'a> {
    /// Each: all streams are read here.
    Whole,
    /// The same, as the one shard of several. That there is such a state is how the others know, so it is
    /// not given up.
    WholeOfShards,
    /// None: other shards read the rest of the streams.
    Shard,
    /// None: other processes of this session read the rest; the form is told to them.
    Process(&'a watch::Sender<Form>),
}

impl Sharing<'_> {
    /// Looks at a state message before it is taken.
    pub(crate) fn judge<P: UpstreamProtocol>(
        self,
        protocol: &P,
        update: &mut StateUpdate,
    ) -> Result<(), Failure> {
        let apart = update.shared.as_deref().is_none_or(|shared: &RawValue| protocol.shares_nothing(shared));
        match self {
            Sharing::WholeOfShards if apart => update.shared = None,
            Sharing::Whole | Sharing::WholeOfShards => {}
            Sharing::Process(form) if apart => {
                if !update.streams.is_empty() {
                    form.send_if_modified(|form| {
                        *form == Form::Unknown && {
                            *form = Form::Apart;
                            true
                        }
                    });
                }
            }
            Sharing::Shard if apart => {}
            Sharing::Process(form) => {
                form.send_replace(Form::Shared);
                return Err(shared(PROCESSES));
            }
            Sharing::Shard => return Err(shared("shards; join them to one")),
        }
        Ok(())
    }

    /// The failure of a read that must end because all streams are to be read together.
    pub(crate) async fn ended(self) -> Failure {
        if let Sharing::Process(form) = self
            && form.subscribe().wait_for(|form| *form == Form::Shared).await.is_ok()
        {
            return shared(PROCESSES);
        }
        std::future::pending().await
    }
}

fn shared(among: &str) -> Failure {
    Failure::new(
        Code::STATE_SHARED,
        format!("upstream keeps one state for all of its streams, so they cannot be spread over {among}"),
    )
}
