//! Where the values of a consent flow go: Flow has them all in `/credentials` of the endpoint config,
//! upstream where it likes (flow-protocol.md, 5.4; airbyte-protocol.md, 6.3).

use serde_json::{Map, Value, json};

/// The member of the endpoint config that Flow writes to.
pub(super) const CREDENTIALS: &str = "credentials";

/// What moves between Flow's shape of a config and upstream's: TO and FROM as paths, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moves(Vec<(Vec<String>, Vec<String>)>);

impl Moves {
    /// Gives a config upstream's shape. What is not there, as the values of a branch that was not
    /// chosen, does not move.
    pub fn to_upstream(&self, config: &mut Value) {
        for (to, from) in &self.0 {
            relocate(config, from, to);
        }
    }

    /// Gives a config of upstream's Flow's shape again.
    pub fn to_flow(&self, config: &mut Value) {
        for (to, from) in self.0.iter().rev() {
            relocate(config, to, from);
        }
    }
}

fn relocate(config: &mut Value, from: &[String], to: &[String]) {
    let (Some((name, above)), Some((target, way))) = (from.split_last(), to.split_last()) else { return };
    let object = above.iter().try_fold(&mut *config, |value, step| value.get_mut(step));
    let value = object.and_then(Value::as_object_mut).and_then(|object| object.shift_remove(name));
    let (Some(value), Some(root)) = (value, config.as_object_mut()) else { return };
    way.iter().fold(root, |object, step| member(object, step)).insert(target.clone(), value);
}

/// The member of this name, made an object where it is none.
pub(super) fn member<'m>(object: &'m mut Map<String, Value>, name: &str) -> &'m mut Map<String, Value> {
    let member = object.entry(name.to_owned()).or_insert_with(|| json!({}));
    if !member.is_object() {
        *member = json!({});
    }
    member.as_object_mut().expect("it was made an object")
}

/// Where upstream wants the values.
#[derive(Debug, Default)]
pub(super) struct Placement {
    /// The object that becomes Flow's `credentials`; empty where upstream has none.
    pub(super) parent: Vec<String>,
    /// Which branch of it the flow is for: the property that tells, and its value there.
    pub(super) branch: Option<(String, Value)>,
    /// Each value's name in Flow's `credentials`, and its path in upstream's config; `None` where
    /// upstream does not take it.
    pub(super) values: Vec<(String, Option<Vec<String>>)>,
}

impl Placement {
    /// The path of a value below the parent, where it lies there.
    pub(super) fn below<'p>(&self, path: &'p [String]) -> Option<&'p [String]> {
        path.strip_prefix(self.parent.as_slice()).filter(|_| !self.parent.is_empty())
    }

    /// What is moved before upstream sees a config.
    pub(super) fn moves(&self) -> Moves {
        let mut moves = Vec::new();
        for (name, path) in &self.values {
            let Some(path) = path else { continue };
            let from = vec![CREDENTIALS.to_owned(), name.clone()];
            let to = match self.below(path) {
                Some(rest) => [&[CREDENTIALS.to_owned()], rest].concat(),
                None => path.clone(),
            };
            if to != from {
                moves.push((to, from));
            }
        }
        if !self.parent.is_empty() && self.parent != [CREDENTIALS] {
            moves.push((self.parent.clone(), vec![CREDENTIALS.to_owned()]));
        }
        Moves(moves)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(dotted: &str) -> Vec<String> {
        dotted.split('.').map(str::to_owned).collect()
    }

    /// What becomes of a config.
    fn moved(parent: &str, values: &[(&str, &str)], config: &Value) -> Value {
        let parent = if parent.is_empty() { Vec::new() } else { path(parent) };
        let values = values.iter().map(|(name, at)| ((*name).to_owned(), Some(path(at)))).collect();
        let moves = Placement { parent, branch: None, values }.moves();
        let mut upstream = config.clone();
        moves.to_upstream(&mut upstream);
        upstream
    }

    #[test]
    fn what_stands_right_stays() {
        let config = json!({"credentials": {"access_token": "a", "client_id": "c"}, "start": 1});
        let values = [("access_token", "credentials.access_token"), ("client_id", "credentials.client_id")];
        assert_eq!(moved("credentials", &values, &config), config);
    }

    #[test]
    fn flat_configs_and_other_names_are_served() {
        let config = json!({"credentials": {"token": "a", "client_id": "c"}, "start": 1});
        assert_eq!(
            moved("", &[("token", "access_token"), ("client_id", "app.id")], &config),
            json!({"credentials": {}, "start": 1, "access_token": "a", "app": {"id": "c"}})
        );
        assert_eq!(
            moved(
                "auth.method",
                &[("token", "auth.method.token"), ("client_id", "auth.method.app.id")],
                &config
            ),
            json!({"start": 1, "auth": {"method": {"token": "a", "app": {"id": "c"}}}})
        );
    }

    #[test]
    fn a_branch_without_the_values_moves_as_it_is() {
        let config = json!({"credentials": {"key": "k"}});
        assert_eq!(moved("auth", &[("token", "auth.oauth.token")], &config), json!({"auth": {"key": "k"}}));
    }

    #[test]
    fn a_config_comes_back_into_flows_shape() {
        let values = vec![("client_id".to_owned(), Some(path("auth.app.id")))];
        let moves = Placement { parent: path("auth"), branch: None, values }.moves();
        let mut config = json!({"auth": {"token": "new", "app": {"id": "c"}}});
        moves.to_flow(&mut config);
        assert_eq!(config, json!({"credentials": {"token": "new", "app": {}, "client_id": "c"}}));
    }
}
