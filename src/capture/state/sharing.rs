//! A capture's state where several processes or shards each read some of its streams, and what becomes
//! there of a state that belongs to all of them.

use serde_json::value::RawValue;
use tokio::sync::watch;

use super::{CaptureState, Layout};
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

impl Form {
    /// What came so far is not shared, which tells where nothing was known.
    pub(crate) fn not_shared(form: &watch::Sender<Self>) {
        form.send_if_modified(|form| {
            let unknown = *form == Form::Unknown;
            if unknown {
                *form = Form::Apart;
            }
            unknown
        });
    }
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
    /// None: other processes of this session read the rest.
    Process {
        /// How upstream keeps its state; whoever finds out tells the others.
        form: &'a watch::Sender<Form>,
        /// Whether this one goes on while nothing is known of the form.
        leads: bool,
    },
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
            Sharing::Process { form, .. } if apart && !update.streams.is_empty() => Form::not_shared(form),
            Sharing::Whole | Sharing::WholeOfShards => {}
            Sharing::Shard | Sharing::Process { .. } if apart => {}
            Sharing::Shard => return Err(shared("shards; join them to one")),
            Sharing::Process { form, .. } => {
                let first = form.send_replace(Form::Shared) != Form::Shared;
                if let Some(shared) = update.shared.as_ref().filter(|_| first) {
                    warn_together(protocol, shared);
                }
                return Err(shared(PROCESSES));
            }
        }
        Ok(())
    }

    /// Ends once documents may go out: of several processes, only one writes any before it is known that
    /// they may be read apart, since all of them come once more where they may not.
    pub(crate) async fn settled(self) {
        if let Sharing::Process { form, leads: false } = self {
            // Where the state is shared, `ended` ends the read. The sender is there as long as that is.
            let _ = form.subscribe().wait_for(|form| *form == Form::Apart).await;
        }
    }

    /// The failure of a read that must end because all streams are to be read together.
    pub(crate) async fn ended(self) -> Failure {
        if let Sharing::Process { form, .. } = self
            && form.subscribe().wait_for(|form| *form == Form::Shared).await.is_ok()
        {
            return shared(PROCESSES);
        }
        std::future::pending().await
    }
}

/// Says why streams are read together although `read.parallelism` asks for more.
pub(crate) fn warn_together<P: UpstreamProtocol>(protocol: &P, shared: &RawValue) {
    let why = protocol.what_is_shared(shared);
    tracing::warn!("`read.parallelism` has no effect here: {why}; all streams are read by one process");
}

fn shared(among: &str) -> Failure {
    Failure::new(
        Code::STATE_SHARED,
        format!("upstream keeps one state for all of its streams, so they cannot be spread over {among}"),
    )
}

impl CaptureState {
    /// The state of one binding alone, taken out until it is [given back](Self::give_back).
    pub(in crate::capture) fn take(&mut self, binding: usize) -> Self {
        let shared = self.shared.clone();
        Self { shared, bindings: vec![std::mem::take(&mut self.bindings[binding])], ..Self::default() }
    }

    /// Puts back the state of a binding.
    pub(in crate::capture) fn give_back(&mut self, binding: usize, mut taken: Self) {
        if let Some(state) = taken.bindings.pop() {
            self.bindings[binding] = state;
        }
        self.shared = taken.shared.or(self.shared.take());
    }

    /// Has no patch touch the shared part before upstream does.
    pub(in crate::capture) fn leave_shared(&mut self) {
        self.shared_changed = false;
    }
}

/// The member of what belongs to no stream: `None` where there is none; it may be empty. Fails for a
/// state in another layout.
pub(in crate::capture) fn shared_member(json: &[u8]) -> Result<Option<Vec<Box<RawValue>>>, Failure> {
    match Layout::of(json)? {
        Layout::Ours(stored) => {
            Ok(stored.shared.map(|shared| shared.into_iter().map(RawValue::to_owned).collect()))
        }
        Layout::Foreign(_) => Err(Failure::new(
            Code::STATE_SHARED,
            "the capture's state is one of an older connector, which several shards cannot take over; join them to one \
             until it has written a checkpoint",
        )),
    }
}
