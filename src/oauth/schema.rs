//! Binds a consent flow to the config schema (flow-protocol.md, 5.4): `credentials` is required, one
//! branch of it names the provider, and all that Flow writes there is declared and secret. Flow
//! refuses to encrypt a config where a secret would stay readable.

use serde_json::{Map, Value, json};

use super::join::{CREDENTIALS, Placement, member};

/// The keyword that binds a branch to a provider.
const PROVIDER: &str = "x-oauth2-provider";

/// Binds `provider`, which brings the values of these `names`. The error says what is in the way.
pub(super) fn bind(
    schema: &mut Value,
    provider: &str,
    names: &[String],
    placement: &Placement,
) -> Result<(), String> {
    let Some(root) = schema.as_object_mut() else { return Err("the config schema is no object".to_owned()) };
    let existing = take(root, parent(placement));
    let is_new = existing.is_none();
    let mut credentials = existing.unwrap_or_else(|| json!({"title": "Authentication", "type": "object"}));
    let moved = taken(root, placement);
    let target = target(&mut credentials, provider, names, placement.branch.as_ref())?;
    target.insert(PROVIDER.to_owned(), provider.into());
    // Upstream's own schema may take nothing else, but what Flow adds is moved away or ignored.
    target.shift_remove("additionalProperties");
    let inside = relocated(target, placement);
    for name in names {
        let found = moved.iter().chain(&inside).find(|(moved, _)| moved == name).map(|(_, schema)| schema);
        declare(target, name, found);
    }
    if is_new {
        target.insert("required".to_owned(), names.into());
    }
    member(root, "properties").insert(CREDENTIALS.to_owned(), credentials);
    require(root, CREDENTIALS);
    Ok(())
}

/// Where the object that becomes `credentials` is.
fn parent(placement: &Placement) -> Vec<String> {
    if placement.parent.is_empty() { vec![CREDENTIALS.to_owned()] } else { placement.parent.clone() }
}

/// Takes the schema of the property at this path out, with its place among the required ones.
fn take(schema: &mut Map<String, Value>, path: Vec<String>) -> Option<Value> {
    let (name, above) = path.split_last()?;
    let mut object = schema;
    for step in above {
        object = object.get_mut("properties")?.get_mut(step)?.as_object_mut()?;
    }
    let taken = object.get_mut("properties")?.as_object_mut()?.shift_remove(name)?;
    if let Some(Value::Array(required)) = object.get_mut("required") {
        required.retain(|required| required != name);
    }
    Some(taken)
}

/// Schemas of values that upstream has elsewhere than in the credentials, taken out of there.
fn taken(root: &mut Map<String, Value>, placement: &Placement) -> Vec<(String, Value)> {
    let elsewhere = placement.values.iter().filter_map(|(name, path)| Some((name, path.as_ref()?)));
    elsewhere
        .filter(|(_, path)| placement.below(path).is_none())
        .filter_map(|(name, path)| Some((name.clone(), take(root, path.clone())?)))
        .collect()
}

/// The same for values that upstream has in the credentials, under another name.
fn relocated(target: &mut Map<String, Value>, placement: &Placement) -> Vec<(String, Value)> {
    let inside =
        placement.values.iter().filter_map(|(name, path)| Some((name, placement.below(path.as_ref()?)?)));
    inside
        .filter(|(name, rest)| rest != &std::slice::from_ref(*name))
        .filter_map(|(name, rest)| Some((name.clone(), take(target, rest.to_vec())?)))
        .collect()
}

/// The schema that the provider is bound to: the branch that is meant, else the credentials.
fn target<'s>(
    credentials: &'s mut Value,
    provider: &str,
    names: &[String],
    branch: Option<&(String, Value)>,
) -> Result<&'s mut Map<String, Value>, String> {
    let alternatives = ["oneOf", "anyOf"].into_iter().find(|keyword| credentials[*keyword].is_array());
    let Some(alternatives) = alternatives else {
        let whole = credentials.as_object_mut();
        return whole.ok_or_else(|| format!("`{CREDENTIALS}` of the config schema is no object"));
    };
    if let Some((property, _)) = branch {
        discriminate(credentials, alternatives, property);
    }
    let branches = credentials[alternatives].as_array_mut().map(Vec::as_mut_slice).unwrap_or_default();
    let chosen = match branch {
        Some((property, value)) => branches.iter().position(|branch| {
            let tells = &branch["properties"][property];
            [&tells["const"], &tells["default"], &tells["enum"][0]].contains(&value)
        }),
        None => branches
            .iter()
            .position(|branch| branch[PROVIDER] == provider)
            .or_else(|| only_position(branches, |branch| branch[PROVIDER].is_string()))
            .or_else(|| only_position(branches, |branch| all_declared(branch, names)))
            .or_else(|| only_position(branches, |branch| all_declared(branch, &names[..names.len().min(1)]))),
    };
    chosen.and_then(|index| branches[index].as_object_mut()).ok_or_else(|| {
        format!("no single branch of `{CREDENTIALS}` is for it; mark one with \"{PROVIDER}\": {provider:?}")
    })
}

fn only_position(branches: &[Value], fits: impl Fn(&Value) -> bool) -> Option<usize> {
    let mut fitting = branches.iter().enumerate().filter(|(_, branch)| fits(branch)).map(|(index, _)| index);
    fitting.next().filter(|_| fitting.next().is_none())
}

fn all_declared(branch: &Value, names: &[String]) -> bool {
    !names.is_empty() && names.iter().all(|name| branch["properties"].get(name).is_some())
}

/// Tells Flow's UI which property chooses the branch, and each branch its value.
fn discriminate(credentials: &mut Value, alternatives: &str, property: &str) {
    for branch in credentials[alternatives].as_array_mut().into_iter().flatten() {
        if let Some(tells) = branch.get_mut("properties").and_then(|all| all.get_mut(property))
            && let Some(value) = tells.get("const").cloned()
            && let Some(tells) = tells.as_object_mut()
        {
            tells.insert("default".to_owned(), value);
        }
    }
    if let Some(credentials) = credentials.as_object_mut() {
        credentials.insert("discriminator".to_owned(), json!({"propertyName": property}));
    }
}

/// Declares a property and makes it secret.
fn declare(target: &mut Map<String, Value>, name: &str, found: Option<&Value>) {
    let declared = member(target, "properties").entry(name.to_owned()).or_insert_with(|| {
        found.filter(|found| found.is_object()).cloned().unwrap_or_else(|| json!({"type": "string"}))
    });
    if let Some(declared) = declared.as_object_mut() {
        declared.shift_remove("airbyte_secret");
        declared.insert("secret".to_owned(), true.into());
    }
}

fn require(root: &mut Map<String, Value>, name: &str) {
    let required = root.entry("required".to_owned()).or_insert_with(|| json!([]));
    if !required.is_array() {
        *required = json!([]);
    }
    let required = required.as_array_mut().expect("it was made a list");
    if !required.iter().any(|required| required == name) {
        required.push(name.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(mut schema: Value, placement: &Placement) -> Value {
        let names = ["access_token", "client_id", "client_secret"].map(str::to_owned);
        bind(&mut schema, "acme", &names, placement).expect("it binds");
        schema
    }

    fn path(dotted: &str) -> Vec<String> {
        dotted.split('.').map(str::to_owned).collect()
    }

    #[test]
    fn a_config_without_credentials_gains_them() {
        let placement = Placement {
            values: vec![("access_token".to_owned(), Some(path("token"))), ("client_id".to_owned(), None)],
            ..Placement::default()
        };
        let schema = json!({
            "type": "object", "required": ["token", "start"],
            "properties": {"token": {"type": "string", "title": "Token", "airbyte_secret": true}, "start": {"type": "string"}},
        });
        insta::assert_json_snapshot!(bound(schema, &placement), @r#"
        {
          "type": "object",
          "required": [
            "start",
            "credentials"
          ],
          "properties": {
            "start": {
              "type": "string"
            },
            "credentials": {
              "title": "Authentication",
              "type": "object",
              "x-oauth2-provider": "acme",
              "properties": {
                "access_token": {
                  "type": "string",
                  "title": "Token",
                  "secret": true
                },
                "client_id": {
                  "type": "string",
                  "secret": true
                },
                "client_secret": {
                  "type": "string",
                  "secret": true
                }
              },
              "required": [
                "access_token",
                "client_id",
                "client_secret"
              ]
            }
          }
        }
        "#);
    }

    #[test]
    fn a_branch_is_found_by_its_discriminator() {
        let placement = Placement {
            parent: vec!["auth".to_owned()],
            branch: Some(("kind".to_owned(), "oauth".into())),
            values: vec![("client_id".to_owned(), Some(path("auth.app_id")))],
        };
        let branch = |kind: &str, own: &str| json!({"type": "object", "additionalProperties": false, "required": ["app_id"], "properties": {"kind": {"const": kind}, own: {"type": "string"}}});
        let schema = json!({"required": ["auth"], "properties": {"auth": {"oneOf": [branch("key", "api_key"), branch("oauth", "app_id")]}}});
        insta::assert_json_snapshot!(bound(schema, &placement), @r#"
        {
          "required": [
            "credentials"
          ],
          "properties": {
            "credentials": {
              "oneOf": [
                {
                  "type": "object",
                  "additionalProperties": false,
                  "required": [
                    "app_id"
                  ],
                  "properties": {
                    "kind": {
                      "const": "key",
                      "default": "key"
                    },
                    "api_key": {
                      "type": "string"
                    }
                  }
                },
                {
                  "type": "object",
                  "required": [],
                  "properties": {
                    "kind": {
                      "const": "oauth",
                      "default": "oauth"
                    },
                    "access_token": {
                      "type": "string",
                      "secret": true
                    },
                    "client_id": {
                      "type": "string",
                      "secret": true
                    },
                    "client_secret": {
                      "type": "string",
                      "secret": true
                    }
                  },
                  "x-oauth2-provider": "acme"
                }
              ],
              "discriminator": {
                "propertyName": "kind"
              }
            }
          }
        }
        "#);
    }

    #[test]
    fn without_a_placement_the_branch_that_has_the_values_is_taken() {
        let schema = json!({"properties": {"credentials": {"oneOf": [
            {"properties": {"key": {}}},
            {"properties": {"access_token": {}, "client_id": {}, "client_secret": {}}},
        ]}}});
        let bound = bound(schema, &Placement::default());
        assert_eq!(bound["properties"]["credentials"]["oneOf"][1][PROVIDER], "acme");
        assert_eq!(bound["properties"]["credentials"]["oneOf"][0].get(PROVIDER), None);
        assert_eq!(bound["required"], json!(["credentials"]));
    }

    #[test]
    fn a_branch_that_cannot_be_told_is_named() {
        let mut schema = json!({"properties": {"credentials": {"oneOf": [{}, {}]}}});
        let why = bind(&mut schema, "acme", &["token".to_owned()], &Placement::default()).expect_err("none");
        assert!(why.contains("x-oauth2-provider"), "{why}");
    }
}
