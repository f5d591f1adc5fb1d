//! `flow-shim check`: what is wrong with a shim's folder, told with its place.

use std::path::Path;

use serde_json::Value;

use crate::harness::{flow_shim, repository};

/// What is printed about a folder, whose path is left out, and the exit code.
fn check(folder: &Path, more: &[&str]) -> (String, i32) {
    let mut command = flow_shim(&["check"]);
    command.arg(folder).args(more).current_dir(repository("")).env("LOG_LEVEL", "error");
    let output = command.output().expect("it runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!errors.contains("has a bug"), "{errors}");
    let text = String::from_utf8(output.stdout).expect("UTF-8") + &errors;
    (text.replace(&folder.display().to_string(), "SHIM"), output.status.code().expect("an exit code"))
}

/// A folder with a recorded source and these files.
fn shim(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let recorded = folder.path().join("recorded");
    std::fs::create_dir(&recorded).expect("made");
    for file in ["spec.jsonl", "check.jsonl", "discover.jsonl", "read.jsonl"] {
        let from = repository("shims/demo-airbyte/transcript").join(file);
        std::fs::copy(from, recorded.join(file)).expect("copied");
    }
    for (name, text) in files {
        let file = folder.path().join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        let shown = folder.path().to_str().expect("UTF-8");
        std::fs::write(file, text.replace("FOLDER", shown)).expect("written");
    }
    folder
}

const GOOD_FLOW: &str = "\
captures:
  acmeCo/demo:
    endpoint:
      local:
        command: [flow-shim, run, --shim, FOLDER]
        config: config.yaml
    bindings:
      - resource: {stream: users, syncMode: incremental, cursorField: [updated_at]}
        target: acmeCo/users
collections:
  acmeCo/users:
    schema: {type: object, required: [id], properties: {id: {type: integer}}}
    key: [/id]
";

#[test]
fn nothing_is_wrong_with_a_good_shim() {
    let folder = shim(&[
        (
            "shim.yaml",
            "protocol: airbyte\ncommand: [sh]\nconfig:\n  schemaPatch: {properties: {note: {type: string, title: Note, description: What to note, pattern: '^[a-z]+$'}}}\n  \
             map: {/count: /count}\nstreams:\n  select: [users, 'p*']\n  overrides:\n    users: {key: [/id]}\n    \
             '*': {refresh: append}\n",
        ),
        ("requirements.txt", "# all of it\nairbyte-source-faker==7.2.1\n"),
        ("test.flow.yaml", GOOD_FLOW),
        // Encrypted for somebody else: it is not opened.
        ("config.yaml", "count: 1\ntoken: ENC[AES256_GCM,data:x,iv:x,tag:x,type:str]\nsops: {mac: x}\n"),
    ]);
    let (text, code) = check(folder.path(), &["--strict"]);
    assert_eq!((text.as_str(), code), ("SHIM: nothing is wrong\n", 0));
    let (text, code) = check(folder.path(), &["-o", "json"]);
    let report: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((&report["findings"], &report["errors"], code), (&serde_json::json!([]), &0.into(), 0));
}

const BAD_SHIM: &str = "\
protocol: airbyte
command: [no-such-source]
oauth2:
  provider: acme
  authUrlTemplate: https://{{{config.domain}}}/authorize?state={{{state}}}&x={{{client_secret}}}
  accessTokenUrlTemplate: https://acme.com/{{#config.sandbox}}t{{/config.sandbox}}
  accessTokenBody: 'code={{{cod}}}'
  accessTokenHeaders: {authorization: 'Basic {{#basicauth}}{{{client_id}}}:{{{secret}}}{{/basicauth}}'}
config:
  schemaPatch:
    properties:
      region:
        type: string
        pattern: '(?!us)[a-z'
      zone: {patternProperties: {'*': {}}}
  map:
    /cnt: /conut
streams:
  select: [user, products]
  omit:
    - 'nothing_*'
    - purchases
  overrides:
    users:
      key: [/identity, /address]
      normalize: {/birthday: datetime-to-date}
    prodcts: {key: [/id]}
    products:
      schemaPatch: {properties: {model: {pattern: '(a'}}}
";

const BAD_FLOW: &str = "\
captures:
  acmeCo/demo:
    endpoint:
      local:
        command: [flow-shim, run, --shim, shims/other]
        config:
          api_key: sk_live_51Habcdefghij
          count: 5
    bindings:
      - resource: {stream: user, syncMode: incremental}
        target: acmeCo/users
      - resource: {stream: purchases, syncMode: incremental}
        target: acmeCo/users
      - resource: {stream: users, syncMode: sideways}
        target: acmeCo/users
      - resource: {syncMode: incremental}
        target: acmeCo/users
collections:
  acmeCo/users:
    schema: {type: object, required: [id], properties: {id: {type: integer}}}
    key: [/id]
";

#[test]
fn all_that_is_wrong_with_a_bad_shim_is_told() {
    let folder = shim(&[
        ("shim.yaml", BAD_SHIM),
        (
            "requirements.txt",
            "airbyte-source-faker\nrequests>=2\nx @ git+https://example.com/x@main\ny==1.0\n",
        ),
        ("test.flow.yaml", BAD_FLOW),
        (
            "upstream/upstream.lock",
            "remote: x\nref: main\ncommit: abc\npath: a\ndestination: b\nlicense: MITT\nlicensePath: L\nlicenseSha256: 00\n",
        ),
        ("upstream/upstream.license", "text"),
        (".venv/bin/other", ""),
    ]);
    let (text, code) = check(folder.path(), &[]);
    assert_eq!(code, 1);
    assert!(!text.contains("sk_live"), "{text}");
    insta::assert_snapshot!(text, @r#"
error SHIM/requirements.txt:1: airbyte-source-faker is not pinned, so another day installs another version; write `name==version`, or a git URL that ends in @COMMIT
error SHIM/requirements.txt:2: requests is not pinned, so another day installs another version; write `name==version`, or a git URL that ends in @COMMIT
error SHIM/requirements.txt:3: x is not pinned, so another day installs another version; write `name==version`, or a git URL that ends in @COMMIT
error SHIM/upstream/upstream.lock: its commit is not the id of one; pull the code anew with `flow-shim pull-upstream`
error SHIM/shim.yaml:2:command: the upstream program "no-such-source" was not found in the shim's .venv/bin or in PATH; correct `command` in shim.yaml, or install it with `flow-shim install SHIM`
error SHIM/shim.yaml:14:config.schemaPatch.properties.region.pattern: the pattern is refused: look-around, including look-ahead and look-behind, is not supported; write it as Rust's regex crate takes it, which Flow uses
error SHIM/shim.yaml:15:config.schemaPatch.properties.zone.patternProperties.*: the pattern is refused: repetition operator missing expression; write it as Rust's regex crate takes it, which Flow uses
error SHIM/shim.yaml:17:config.map./cnt: the config schema has nothing at /conut; name a place of the schema, or add it in `config.schemaPatch`
error SHIM/shim.yaml:5:oauth2.authUrlTemplate: it uses the variable "config.domain", which there is not; name a property of the config schema
error SHIM/shim.yaml:6:oauth2.accessTokenUrlTemplate: it uses the variable "config.sandbox", which there is not; name a property of the config schema
error SHIM/shim.yaml:7:oauth2.accessTokenBody: it uses the variable "cod", which there is not; Flow has client_id, redirect_uri and config, and what belongs to the step: state and code_challenge, or code, client_secret and code_verifier
error SHIM/shim.yaml:8:oauth2.accessTokenHeaders.authorization: it uses the variable "secret", which there is not; Flow has client_id, redirect_uri and config, and what belongs to the step: state and code_challenge, or code, client_secret and code_verifier
error SHIM/shim.yaml:3:oauth2: upstream's config has no `credentials`, and nothing moves what consent brings; say where it goes in `config.map`
error SHIM/shim.yaml:29:streams.overrides.products.schemaPatch.properties.model.pattern: the pattern is refused: unclosed group; write it as Rust's regex crate takes it, which Flow uses
error SHIM/shim.yaml:25:streams.overrides.users.key: /identity is not in the stream's schema; name a property that every record has, as text, whole number or boolean
error SHIM/shim.yaml:25:streams.overrides.users.key: /address is of type object; name a property that every record has, as text, whole number or boolean
error SHIM/shim.yaml:26:streams.overrides.users.normalize./birthday: the stream's schema has nothing at /birthday; correct it, or remove it
error SHIM/test.flow.yaml:5:captures.acmeCo/demo.endpoint.local.command: it runs the shim shims/other, which is another folder; write [flow-shim, run, --shim, THIS-FOLDER], from where it will be run
error SHIM/test.flow.yaml:12:captures.acmeCo/demo.bindings: the stream "purchases" is never shown; take it out of `streams.omit`, or remove the binding
error SHIM/test.flow.yaml:14:captures.acmeCo/demo.bindings: the stream "users": `syncMode` must be full_refresh or incremental, `namespace` text, and `cursorField` a list of names; correct the resource
error SHIM/test.flow.yaml:2:captures.acmeCo/demo.bindings[3]: its resource names no stream; take the resource config from `flow-shim raw discover`
error SHIM/test.flow.yaml:7:captures.acmeCo/demo.endpoint.local.config: "api_key" holds a secret in the clear; put the config into a file of its own, encrypt it with `flow-shim encrypt` or sops, and rotate the secret
warning SHIM/shim.yaml:17:config.map./cnt: upstream's config schema has nothing at /cnt; see whether upstream still reads it
warning SHIM/shim.yaml:3:oauth2: there is no accessTokenResponseMap, so Flow drops all that the provider answers; correct the block
warning SHIM/shim.yaml:3:oauth2: Flow refuses the URLs of authUrlTemplate: its whole host comes from a value, which Flow takes only for *.my.salesforce.com; correct the block
warning SHIM/shim.yaml:3:oauth2: authUrlTemplate has the state outside of {{#urlencode}}, so it may come back changed; correct the block
warning SHIM/shim.yaml:19:streams.select: "user" matches none of the 3 streams that were recorded; did you mean "users"?
warning SHIM/shim.yaml:21:streams.omit: "nothing_*" matches none of the 3 streams that were recorded; correct it, or remove it
warning SHIM/shim.yaml:27:streams.overrides.prodcts: "prodcts" matches none of the 3 streams that were recorded; did you mean "products"?
warning SHIM/shim.yaml:10:config.schemaPatch: places of the config schema have no title, so that the form shows the names of properties: /region, /zone; give them a `title`
warning SHIM/shim.yaml:10:config.schemaPatch: places of the config schema have no description: /region, /zone; give them a `description`
warning SHIM/test.flow.yaml:10:captures.acmeCo/demo.bindings: the stream "user" was not recorded; correct the resource, or record anew with `flow-shim record`
SHIM: 22 errors, 10 warnings
"#);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one line a mistake, and what is said of it")]
fn what_cannot_be_read_is_told_with_its_line() {
    let told = |files: &[(&str, &str)]| {
        let folder = shim(files);
        let (text, code) = check(folder.path(), &[]);
        assert_eq!(code, 1, "{text}");
        text
    };
    let mut all = String::new();
    for (file, text) in [
        ("shim.yaml", "streams:\n  selects: [a]\n"),
        ("shim.yaml", "config: {schema: {type: 7}}\n"),
        ("shim.yaml", "config:\n  schema:\n    properties: {a: {pattern: '('}}\n"),
        ("shim.yaml", "config: {schemaPatch: {properties: {a: {pattern: '[z-a]'}}}}\n"),
        ("shim.yaml", "oauth2: {provider: x}\n"),
        ("shim.yaml", "oauth2: {providers: x}\n"),
        ("shim.yaml", "oauth2: yes\n"),
        (
            "shim.yaml",
            "oauth2: {provider: x, authUrlTemplate: 'https://x/{{#urlencode}}', accessTokenUrlTemplate: 'https://x'}\n",
        ),
        (
            "shim.yaml",
            "oauth2: {provider: x, authUrlTemplate: 'https://x', accessTokenUrlTemplate: 'https://x/{{#urlencod}}{{/urlencod}}'}\n",
        ),
        ("spec.patch.json", "{\"a\": "),
        ("oauth2.patch.json", "[1]"),
        ("oauth2.patch.json", "{\"provider\": \"x\"}"),
        ("spec.map.json", "{\"a\": \"/b\"}"),
        ("selected_streams.json", "{}"),
        ("run_interval_minutes.json", "soon"),
        ("streams/users.pk.json", "{\"a\": 1}"),
        ("spec.baked.json", "{"),
        ("README.md", "# nothing"),
    ] {
        let about = [("shim.yaml", "command: [sh]\n"), (file, text)];
        let with_shim = file == "spec.baked.json";
        let whole = format!("command: [sh]\n{text}");
        let files = match file {
            "shim.yaml" => vec![(file, whole.as_str())],
            _ if with_shim => about.to_vec(),
            _ => vec![(file, text)],
        };
        all = all + "~ " + file + ": " + &text.trim_end().replace('\n', " ~ ") + "\n" + &told(&files);
    }
    let broken =
        shim(&[("shim.yaml", "protocol: airbyte\ncommand: [sh]\n"), ("test.flow.yaml", "capture: {}\n")]);
    all += &check(broken.path(), &[]).0;
    std::fs::write(broken.path().join("recorded/discover.jsonl"), "no\n").expect("written");
    all += &check(broken.path(), &[]).0;
    insta::assert_snapshot!(all, @r#"
~ shim.yaml: streams: ~   selects: [a]
error SHIM/shim.yaml:3:streams.selects: there is no such key; did you mean `select`? (known here: select, omit, overrides, conventions)
SHIM: 1 error
~ shim.yaml: config: {schema: {type: 7}}
error SHIM/shim.yaml:2:config.schema: it is not a valid JSON schema: anyOf at "/type"; correct it
SHIM: 1 error
~ shim.yaml: config: ~   schema: ~     properties: {a: {pattern: '('}}
error SHIM/shim.yaml:4:config.schema.properties.a.pattern: the pattern is refused: unclosed group; write it as Rust's regex crate takes it, which Flow uses
warning SHIM/shim.yaml:3:config.schema: places of the config schema have no title, so that the form shows the names of properties: /a; give them a `title`
warning SHIM/shim.yaml:3:config.schema: places of the config schema have no description: /a; give them a `description`
SHIM: 1 error, 2 warnings
~ shim.yaml: config: {schemaPatch: {properties: {a: {pattern: '[z-a]'}}}}
error SHIM/shim.yaml:2:config.schemaPatch.properties.a.pattern: the pattern is refused: invalid character class range, the start must be <= the end; write it as Rust's regex crate takes it, which Flow uses
warning SHIM/shim.yaml:2:config.schemaPatch: places of the config schema have no title, so that the form shows the names of properties: /a; give them a `title`
warning SHIM/shim.yaml:2:config.schemaPatch: places of the config schema have no description: /a; give them a `description`
SHIM: 1 error, 2 warnings
~ shim.yaml: oauth2: {provider: x}
error SHIM/shim.yaml:2:oauth2: it has no authUrlTemplate; correct the block, with which Flow could get no consent
SHIM: 1 error
~ shim.yaml: oauth2: {providers: x}
error SHIM/shim.yaml:2:oauth2: is not what Flow takes: unknown field `providers`, expected one of `provider`, `authUrlTemplate`, `accessTokenUrlTemplate`, `accessTokenBody`, `accessTokenHeaders`, `accessTokenResponseMap`, `refreshTokenUrlTemplate`, `refreshTokenBody`, `refreshTokenHeaders`, `refreshTokenResponseMap`, `accessTokenMethod`, `refreshTokenMethod` at line 1 column 12; correct the block, with which Flow could get no consent
SHIM: 1 error
~ shim.yaml: oauth2: yes
error SHIM/shim.yaml:2:oauth2: is not what Flow takes: invalid type: string "yes", expected struct OAuth2 at line 1 column 5; correct the block, with which Flow could get no consent
SHIM: 1 error
~ shim.yaml: oauth2: {provider: x, authUrlTemplate: 'https://x/{{#urlencode}}', accessTokenUrlTemplate: 'https://x'}
error SHIM/shim.yaml:2:oauth2: authUrlTemplate: invalid handlebars syntax: expected escape, expression, html_expression, decorator_expression, partial_expression, invert_tag, invert_chain_tag, helper_block_start, helper_block_end, decorator_block_start, partial_block_start, raw_block_start, hbs_comment, or hbs_comment_compact at line 1, column 25; correct the block, with which Flow could get no consent
SHIM: 1 error
~ shim.yaml: oauth2: {provider: x, authUrlTemplate: 'https://x', accessTokenUrlTemplate: 'https://x/{{#urlencod}}{{/urlencod}}'}
error SHIM/shim.yaml:2:oauth2: accessTokenUrlTemplate: "urlencod" is no helper; did you mean "urlencode"?; correct the block, with which Flow could get no consent
SHIM: 1 error
~ spec.patch.json: {"a":
error SHIM/spec.patch.json:1: it is not JSON: EOF while parsing a value; correct it
SHIM: 1 error
~ oauth2.patch.json: [1]
error SHIM/oauth2.patch.json: it must hold an object; correct it
SHIM: 1 error
~ oauth2.patch.json: {"provider": "x"}
error SHIM/oauth2.patch.json: it has no authUrlTemplate; correct the block, with which Flow could get no consent
SHIM: 1 error
~ spec.map.json: {"a": "/b"}
error SHIM/spec.map.json:/a: the config schema has nothing at /b; name a place of the schema, or add it in `config.schemaPatch`
warning SHIM/spec.map.json:/a: upstream's config schema has nothing at /a; see whether upstream still reads it
SHIM: 1 error, 1 warning
~ selected_streams.json: {}
error SHIM/selected_streams.json: it must hold a list of names; correct it
SHIM: 1 error
~ run_interval_minutes.json: soon
error SHIM/run_interval_minutes.json: it must hold a whole number of minutes and nothing else; correct it
SHIM: 1 error
~ streams/users.pk.json: {"a": 1}
error SHIM/streams/users.pk.json: it must hold a list of names of properties; correct it
SHIM: 1 error
~ spec.baked.json: {
error SHIM/spec.baked.json cannot be used: EOF while parsing an object at line 1 column 1; make it anew with `flow-shim bake`
SHIM: 1 error
~ README.md: # nothing
error SHIM/shim.yaml: there is no shim.yaml, and no file of airbyte-to-flow's; make a folder with `flow-shim new`
SHIM: 1 error
error SHIM/test.flow.yaml: the file has an unknown key "capture"; did you mean "captures"?
SHIM: 1 error
error SHIM/recorded: the recording cannot be played: discover: flow-shim exited with code 0 and answered nothing to "discover"; is it an Airbyte source?; record it anew with `flow-shim record`
error SHIM/test.flow.yaml: the file has an unknown key "capture"; did you mean "captures"?
SHIM: 2 errors
"#);
}

#[test]
fn what_flows_form_needs_is_told() {
    let folder = shim(&[(
        "shim.yaml",
        "protocol: singer
command: [sh]
documentationUrl: ' '
timeouts: {stop: 12s}
config:
  schema:
    type: object
    additionalProperties: false
    properties:
      site: {type: string, title: Site, description: Its name}
      plain: {type: string}
      pause: {type: boolean, title: Pause, description: Whether to wait}
      pin: {type: integer, title: Pin, description: A number, secret: true}
      zone: {title: Zone, description: Where it is, enum: [eu, us]}
      auth:
        type: object
        title: Authentication
        description: How to sign in
        oneOf:
          - {properties: {token: {type: string, title: Token, description: It opens}}}
          - {properties: {user: {type: string, title: User}}}
",
    )]);
    std::fs::remove_dir_all(folder.path().join("recorded")).expect("it was there");
    let (text, code) = check(folder.path(), &[]);
    assert_eq!(code, 1, "{text}");
    insta::assert_snapshot!(text, @r"
error SHIM/shim.yaml:3:documentationUrl: it is empty, and Flow refuses a connector without a documentation URL; name a page, or leave the key out
warning SHIM/shim.yaml:4:timeouts.stop: Docker kills the container 10 s after it asks it to stop, before upstream's time is over; set less than 10s
warning SHIM/shim.yaml:8:config.schema.additionalProperties: its root forbids further properties, and Flow adds `sops` to an encrypted config; leave it out; flow-shim does
warning SHIM/shim.yaml:6:config.schema: places of the config schema have no title, so that the form shows the names of properties: /plain; give them a `title`
warning SHIM/shim.yaml:6:config.schema: places of the config schema have no description: /plain, /auth/user; give them a `description`
warning SHIM/shim.yaml:6:config.schema: places of the config schema are booleans without a default, which the form cannot show as unset: /pause; add `default: false`
warning SHIM/shim.yaml:6:config.schema: places of the config schema are secrets that are no plain strings, which the form does not hide: /pin; set `type: string`
warning SHIM/shim.yaml:6:config.schema: places of the config schema have an `enum` without a `type`: /zone; add `type: string`, or the type of the values
warning SHIM/shim.yaml:6:config.schema: places of the config schema have a `oneOf` whose branches no property tells apart: /auth; give each branch a property with a `const` and the same `default`, and name it in `discriminator`
SHIM: 1 error, 8 warnings
");
}

#[test]
fn every_shim_of_this_repository_passes() {
    let mut checked = 0;
    for entry in std::fs::read_dir(repository("shims")).expect("shims") {
        let folder = entry.expect("an entry").path();
        if !folder.is_dir() {
            continue;
        }
        let (text, code) = check(&folder, &[]);
        assert_eq!(code, 0, "{text}");
        checked += 1;
    }
    assert!(checked >= 17, "{checked} shims");
}

#[test]
fn a_command_that_still_records_is_told() {
    let folder =
        shim(&[("shim.yaml", "protocol: airbyte\ncommand: [flow-shim, record, recorded, --, sh]\n")]);
    let (text, code) = check(folder.path(), &["--strict"]);
    assert!(text.contains("SHIM/shim.yaml:2:command: the command is still `flow-shim record`"), "{text}");
    assert_eq!(code, 1);
}

#[test]
fn a_new_folder_passes_at_once() {
    for protocol in ["airbyte", "singer"] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = flow_shim(&["new", "./connector-x", "--protocol", protocol]);
        assert!(command.current_dir(folder.path()).output().expect("it runs").status.success());
        let (text, code) = check(&folder.path().join("connector-x"), &[]);
        assert_eq!(code, 0, "{text}");
        assert!(text.contains("is not pinned") && text.contains("1 warning"), "{text}");
    }
}

#[test]
fn a_folder_that_is_not_there_is_a_mistake_of_the_call() {
    let (text, code) = check(Path::new("no/such/folder"), &[]);
    assert_eq!(code, 2);
    assert!(text.contains("does not exist"), "{text}");
}

#[test]
fn a_manifest_is_read_and_its_mistakes_are_told() {
    let manifest = r##"
version: 99.0.0
type: DeclarativeSource
definitions:
  requester:
    url_base: "https://api.example.com/{{ config['region'] }}"
    request_headers: {Authorization: "Bearer 4f8a9c0d1e2b"}
    authenticator:
      type: OAuthAuthenticator
      client_secret: "{{ config['client_secret'] }}"
      refresh_token_updater: {refresh_token_config_path: [kept, token]}
streams:
  - type: DeclarativeStream
    name: users
    primary_key: uid
    retriever: {requester: {$ref: "#/definitions/requester"}, record_selector: {class_name: source_x.components.Own}}
    incremental_sync: {type: DatetimeBasedCursor, cursor_field: changed}
    schema_loader: {type: InlineSchemaLoader, schema: {type: object, properties: {id: {type: integer}}}}
  - {type: DeclarativeStream, name: bare, primary_key: id}
  - type: DeclarativeStream
    name: keyless
    schema_loader: {type: InlineSchemaLoader, schema: {type: object, properties: {}}}
concurrency_level: {type: ConcurrencyLevel, default_concurrency: 8}
spec:
  connection_specification:
    type: object
    properties: {client_secret: {type: string, airbyte_secret: true}}
"##;
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("manifest.yaml"), manifest).expect("written");
    std::fs::write(folder.path().join("requirements.txt"), "airbyte-cdk==6.5.2\n").expect("written");
    let (text, code) = check(folder.path(), &[]);
    assert_eq!(code, 1, "{text}");
    for line in [
        "error SHIM/requirements.txt: airbyte-cdk 6.5.2 has no source-declarative-manifest",
        "\"Authorization\" holds a secret in the clear",
        "it uses the class \"source_x.components.Own\", and no Python code is beside it",
        "it uses \"region\" of the config",
        "renewed tokens are kept at \"kept.token\"",
        "the key \"uid\" of the stream \"users\" is not in its schema",
        "the cursor \"changed\" of the stream \"users\" is not in its schema",
        "the stream \"bare\" has no `schema_loader`",
        "the stream \"keyless\" has no primary key",
        "it sends 8 requests at once",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(!text.contains("4f8a9c0d1e2b") && !text.contains("\"client_secret\""), "{text}");
    std::fs::write(folder.path().join("requirements.txt"), "airbyte-cdk==7.39.1\n").expect("written");
    let (text, _) = check(folder.path(), &[]);
    assert!(text.contains("it was written for a newer airbyte-cdk than 7.39.1"), "{text}");
    let broken = manifest.replace("#/definitions/requester", "#/definitions/nothing");
    std::fs::write(folder.path().join("manifest.yaml"), broken).expect("written");
    let (text, code) = check(folder.path(), &[]);
    assert!(code == 1 && text.contains("it has nothing at \"#/definitions/nothing\""), "{text}");
}
