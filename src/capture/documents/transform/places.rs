//! Has the values that may have to be changed noted while records are read, so that none is read twice.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::Transform;
use super::plan::Plan;
use crate::capture::protocol::Route;
use crate::json::envelope::{Step, Watch, Watched};

/// Where values of streams may have to be changed, by the names of the streams; `None` where the name
/// alone does not tell which stream it is.
#[derive(Debug)]
pub(crate) struct Places(HashMap<String, Option<Arc<Plan>>>);

impl Places {
    /// The places of these transforms, by the position of their streams; `None` where there are none.
    pub(in crate::capture) fn of(transforms: &[Option<Transform>], routes: &[Route]) -> Option<Self> {
        transforms.iter().any(Option::is_some).then_some(())?;
        let mut named: HashMap<&str, BTreeSet<usize>> = HashMap::new();
        for route in routes {
            named.entry(&route.name).or_default().insert(route.stream);
        }
        let mut plans = HashMap::new();
        for (name, streams) in named {
            let mut changed = streams.iter().filter_map(|stream| transforms[*stream].as_ref());
            if let Some(transform) = changed.next() {
                let plan = (streams.len() == 1).then(|| transform.plan.clone());
                plans.insert(name.to_owned(), plan);
            }
        }
        Some(Self(plans))
    }
}

impl Transform {
    /// Has the values noted that may have to be changed, in text that holds records of this binding alone.
    pub(crate) fn watch(&self) -> Box<dyn Watch> {
        Box::new(self.plan.clone())
    }
}

/// Of one binding, whatever its stream is called.
impl Watch for Arc<Plan> {
    fn watches(&self, _: &str, way: &[&Step]) -> Watched {
        self.at(way)
    }
}

impl Watch for Places {
    fn watches(&self, stream: &str, way: &[&Step]) -> Watched {
        match self.0.get(stream) {
            Some(Some(plan)) => plan.watches(stream, way),
            Some(None) => Watched::Unclear,
            None => Watched::No,
        }
    }
}
