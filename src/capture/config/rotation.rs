//! Configs that upstream changes, as it does when a token is renewed: kept for this session, and
//! handed to Flow for the next.
//!
//! What changed is merged into the user's config, encrypted, and logged as the event on which Flow
//! stores it (flow-protocol.md, 4.3). A renewed token may be the only one that still works, so this
//! happens before anything else is read, also when upstream fails, and to its end when a stop is
//! asked for. How a change is heard of is left to the protocols and to `file`.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::limits::limiting;
use super::shape::Way;
use super::{sealed, secrets};
use crate::log;

/// Has a config encrypted: a body of JSON in, the service's answer out. It may take a while, so it
/// runs on a thread of its own; the error says why it failed, without a word of the config.
pub type Encrypt = Arc<dyn Fn(&str) -> Result<String, String> + Send + Sync>;

/// The schemas of a config, each of which marks secrets.
#[derive(Debug, Default)]
pub struct Schemas {
    /// As Flow knows it, of the config that people see.
    pub flow: Value,
    /// Upstream's own, of the config that it gets; null where it has none.
    pub upstream: Value,
}

/// What becomes of changed configs. Clones share it.
#[derive(Clone, Default)]
pub struct Rotation {
    encrypt: Option<Encrypt>,
    /// Members of upstream's config that no user has.
    private: &'static [&'static str],
    configs: Arc<Mutex<Configs>>,
}

#[derive(Default)]
struct Configs {
    schemas: Schemas,
    /// The config as Flow gave it.
    given: Value,
    /// The user's config with all changes.
    user: Value,
    /// The same as upstream gets it.
    upstream: Value,
    /// How the one became the other.
    way: Way,
    /// A change that was heard of and is not worked on yet.
    heard: Option<Box<RawValue>>,
    /// Whether it was said that changes cannot be kept.
    warned: bool,
}

impl fmt::Debug for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rotation").field("encrypts", &self.encrypt.is_some()).finish_non_exhaustive()
    }
}

impl Rotation {
    /// One that has configs encrypted this way; with `None`, changes last as long as the process.
    pub fn new(encrypt: Option<Encrypt>) -> Self {
        Self { encrypt, private: &[], configs: Arc::default() }
    }

    /// The same, deaf to these members of upstream's config: the protocol put them there.
    #[must_use]
    pub fn without(mut self, private: &'static [&'static str]) -> Self {
        self.private = private;
        self
    }

    /// Takes a config that Flow gave, as the user knows it and as upstream gets it. Changes that were
    /// made to this very config in this process are kept.
    pub fn begin(&self, user: &Value, upstream: Value, way: Way, schemas: Schemas) {
        let mut configs = self.lock();
        configs.schemas = schemas;
        if configs.given != *user || configs.upstream.is_null() {
            configs.given = user.clone();
            configs.user = user.clone();
            configs.upstream = upstream;
            configs.way = way;
        }
    }

    /// The config as upstream should get it now.
    pub fn newest(&self) -> Value {
        self.lock().upstream.clone()
    }

    /// The pointer of a setting that limits what a full refresh reads; `None` where none does.
    pub(crate) fn limit(&self) -> Option<String> {
        let configs = self.lock();
        let upstream = limiting(&configs.upstream, &configs.schemas.upstream);
        limiting(&configs.user, &configs.schemas.flow).or(upstream)
    }

    /// Notes a whole new config, for [`settle`](Self::settle): where a line is heard of in the middle
    /// of something.
    pub fn note(&self, config: &RawValue) {
        self.lock().heard = Some(config.to_owned());
    }

    /// Works on what was noted.
    pub async fn settle(&self) {
        let heard = self.lock().heard.take();
        if let Some(config) = heard {
            self.changed(config.get().as_bytes()).await;
        }
    }

    /// Takes a whole config as upstream has it now. `false` where it is no config.
    pub async fn changed(&self, config: &[u8]) -> bool {
        let Some(new) = self.read(config) else { return false };
        let Some(body) = self.merge(&new) else { return true };
        match self.encrypt.clone() {
            None => self.warn("ENCRYPTION_URL is not set"),
            Some(encrypt) => {
                let rotation = self.clone();
                // The runtime waits for what was begun, so a stop does not lose the token.
                let published = tokio::task::spawn_blocking(move || rotation.publish(&encrypt, &body));
                if published.await.is_err() {
                    self.warn("it could not be encrypted");
                }
            }
        }
        true
    }

    /// Keeps a config's secrets out of the log; nothing else becomes of it.
    pub fn hide(&self, config: &[u8]) {
        if let Some(config) = self.read(config) {
            self.lock().hide(&config);
        }
    }

    /// A whole config of upstream's, without what no user has; `None` where it is no config.
    fn read(&self, config: &[u8]) -> Option<Value> {
        let mut members: Map<String, Value> = serde_json::from_slice(config).ok()?;
        members.retain(|name, _| !self.private.contains(&name.as_str()));
        Some(Value::Object(members))
    }

    /// Merges a change into the configs; what is to be encrypted, or `None` where nothing changed.
    fn merge(&self, new: &Value) -> Option<String> {
        let mut configs = self.lock();
        configs.hide(new);
        let Configs { user, upstream, way, .. } = &mut *configs;
        let before = way.back(upstream, user);
        apply(upstream, &change(upstream, new)?);
        let after = way.back(upstream, user);
        if let Some(change) = change(&before, &after) {
            apply(user, &change);
        }
        if let Value::Object(user) = &mut configs.user {
            user.shift_remove("sops");
        }
        Some(sealed::request(&configs.user, &configs.schemas.flow))
    }

    fn publish(&self, encrypt: &Encrypt, body: &str) {
        match encrypt(body).and_then(|answer| self.sealed(&answer)) {
            Ok(config) => log::config_update(config),
            Err(why) => self.warn(&why),
        }
    }

    /// The answer of the encryption service, where it is an encrypted config.
    fn sealed(&self, answer: &str) -> Result<Value, String> {
        let configs = self.lock();
        sealed::answer(answer, &configs.schemas.flow, &configs.user)
    }

    fn warn(&self, why: &str) {
        if !std::mem::replace(&mut self.lock().warned, true) {
            tracing::warn!(
                "upstream changed its config, as when a token is renewed, and the change cannot be stored: {why}; \
                 it holds for this session, but the next may have to authenticate again"
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, Configs> {
        self.configs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Configs {
    /// Keeps the secrets of a config of upstream's out of the log. Each schema may mark some that the
    /// other does not.
    fn hide(&self, new: &Value) {
        log::hide_renewed(secrets::secrets(&self.schemas.upstream, new));
        log::hide_renewed(secrets::secrets(&self.schemas.flow, &self.way.back(new, &self.user)));
    }
}

/// The members of `new` that differ from `old`, at any depth; `None` where none does. What `new`
/// lacks is no change: a source may tell only a part of its config.
fn change(old: &Value, new: &Value) -> Option<Value> {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let changed: Map<String, Value> = new
                .iter()
                .filter_map(|(name, new)| {
                    let change = old.get(name).map_or_else(|| Some(new.clone()), |old| change(old, new))?;
                    Some((name.clone(), change))
                })
                .collect();
            (!changed.is_empty()).then_some(Value::Object(changed))
        }
        (old, new) => (old != new).then(|| new.clone()),
    }
}

/// Sets what a change holds. A null is a value here, not a deletion.
fn apply(config: &mut Value, change: &Value) {
    match (config, change) {
        (Value::Object(config), Value::Object(change)) => {
            for (name, change) in change {
                match config.get_mut(name) {
                    Some(old) => apply(old, change),
                    None => {
                        config.insert(name.clone(), change.clone());
                    }
                }
            }
        }
        (config, change) => *config = change.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn a_change_is_merged_and_encrypted_once() {
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let sink = bodies.clone();
        let encrypt: Encrypt = Arc::new(move |body| {
            sink.lock().expect("unpoisoned").push(body.to_owned());
            Ok(r#"{"sops": {}}"#.to_owned())
        });
        let rotation = Rotation::new(Some(encrypt));
        let given = json!({"z": {"token": "old-one", "kept": 1}, "a": [1]});
        let schemas = Schemas { flow: json!({"type": "object"}), ..Schemas::default() };
        rotation.begin(&given, given.clone(), Way::default(), schemas);
        let new = br#"{"z": {"token": "new-one"}, "extra": null}"#;
        assert!(rotation.changed(new).await);
        assert!(rotation.changed(new).await);
        assert!(!rotation.changed(b"half {").await);
        let expected = r#"{"config":{"a":[1],"extra":null,"z":{"kept":1,"token":"new-one"}},"schema":{"type":"object"}}"#;
        assert_eq!(*bodies.lock().expect("unpoisoned"), [expected]);
        assert_eq!(rotation.newest(), json!({"z": {"token": "new-one", "kept": 1}, "a": [1], "extra": null}));
        rotation.begin(&given, given.clone(), Way::default(), Schemas::default());
        assert_eq!(rotation.newest()["z"]["token"], "new-one", "the same config again keeps the change");
        rotation.begin(&json!({"b": 1}), json!({"b": 1}), Way::default(), Schemas::default());
        assert_eq!(rotation.newest(), json!({"b": 1}));
    }
}
