//! Every key of `shim.yaml` in a malformed version, with what is said about it.

use crate::harness::{Connector, spec};

/// What is said about a `shim.yaml`; the file's path is left out.
fn told(yaml: &str) -> String {
    let connector = Connector::shim(yaml, &[]);
    let run = connector.run(&[spec()]);
    assert_eq!(run.code, 3, "{yaml}");
    run.last_words().replace(&format!("{}/", connector.folder_path()), "")
}

fn all(texts: &[&str]) -> String {
    texts
        .iter()
        .map(|yaml| format!("{}\n  {}", yaml.trim_end().replace('\n', "\n~ "), told(yaml)))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
#[expect(clippy::too_many_lines, reason = "one line a key")]
fn values_of_the_wrong_kind() {
    insta::assert_snapshot!(all(&[
        "7\n",
        "protocol: airbite\n",
        "protocol: [airbyte]\n",
        "command: tap\n",
        "command: [tap, {a: 1}]\n",
        "env: [A]\n",
        "env: {A: [1]}\n",
        "documentationUrl: []\n",
        "config: 7\n",
        "config: {map: [/a]}\n",
        "config: {map: {a: /b}}\n",
        "config: {map: {/a: b}}\n",
        "config: {map: {/a: \"\"}}\n",
        "config:\n  map:\n    /a: [/b]\n",
        "streams: users\n",
        "streams: {select: users}\n",
        "streams: {omit: {a: 1}}\n",
        "streams: {conventions: mine}\n",
        "streams: {overrides: [users]}\n",
        "streams:\n  overrides:\n    users:\n      key: /id\n",
        "streams:\n  overrides:\n    users:\n      key:\n        - /id\n        - name\n",
        "streams: {overrides: {users: {key: [\"\"]}}}\n",
        "streams: {overrides: {users: {normalize: {/a: upper}}}}\n",
        "streams: {overrides: {users: {normalize: {a: datetime-to-date}}}}\n",
        "streams: {overrides: {users: {refresh: sometimes}}}\n",
        "streams: {overrides: {users: {interval: 5}}}\n",
        "schema: {mode: strict}\n",
        "schema: {sourced: maybe}\n",
        "schema: {dateToDatetime: 1}\n",
        "document: {meta: some}\n",
        "read: {minInterval: 30}\n",
        "read: {idleTimeout: never}\n",
        "read: {parallelism: 0}\n",
        "read: {maxRecordBytes: large}\n",
        "read: {oversizedRecord: drop}\n",
        "read: {discoverOnOpen: sometimes}\n",
        "read: {checkpointEvery: 5}\n",
        "read: {checkpointEvery: {documents: -1}}\n",
        "read: {checkpointEvery: {bytes: many}}\n",
        "read: {checkpointEvery: {seconds: 5s}}\n",
        "state: {format: other}\n",
        "timeouts: {spec: 60}\n",
        "timeouts: {discover: [1m]}\n",
        "timeouts: {check: soon}\n",
        "timeouts: {stop: -5s}\n",
        "singer: {catalogFlag: --config}\n",
        "singer: {stateFileAcks: maybe}\n",
    ]), @r#"
7
  shim.yaml: line 1, column 1: keys with values are expected
protocol: airbite
  shim.yaml: line 1, column 11, `protocol`: `airbite` is none of airbyte, singer
protocol: [airbyte]
  shim.yaml: line 1, column 11, `protocol`: one word is expected
command: tap
  shim.yaml: line 1, column 10, `command`: a list is expected
command: [tap, {a: 1}]
  shim.yaml: line 1, column 16, `command[1]`: text is expected
env: [A]
  shim.yaml: line 1, column 6, `env`: keys with values are expected
env: {A: [1]}
  shim.yaml: line 1, column 10, `env.A`: text is expected
documentationUrl: []
  shim.yaml: line 1, column 19, `documentationUrl`: text is expected
config: 7
  shim.yaml: line 1, column 9, `config`: keys with values are expected
config: {map: [/a]}
  shim.yaml: line 1, column 15, `config.map`: keys with values are expected
config: {map: {a: /b}}
  shim.yaml: line 1, column 15, `config.map`: "a" is not a JSON pointer; did you mean "/a"?
config: {map: {/a: b}}
  shim.yaml: line 1, column 20, `config.map./a`: "b" is not a JSON pointer; did you mean "/b"?
config: {map: {/a: ""}}
  shim.yaml: line 1, column 15, `config.map`: the whole config cannot be moved; name one value of it
config:
~   map:
~     /a: [/b]
  shim.yaml: line 3, column 9, `config.map./a`: text is expected
streams: users
  shim.yaml: line 1, column 10, `streams`: keys with values are expected
streams: {select: users}
  shim.yaml: line 1, column 19, `streams.select`: a list is expected
streams: {omit: {a: 1}}
  shim.yaml: line 1, column 17, `streams.omit`: a list is expected
streams: {conventions: mine}
  shim.yaml: line 1, column 24, `streams.conventions`: `mine` is none of flow-shim, airbyte-to-flow
streams: {overrides: [users]}
  shim.yaml: line 1, column 22, `streams.overrides`: keys with values are expected
streams:
~   overrides:
~     users:
~       key: /id
  shim.yaml: line 4, column 12, `streams.overrides.users.key`: a list is expected
streams:
~   overrides:
~     users:
~       key:
~         - /id
~         - name
  shim.yaml: line 6, column 11, `streams.overrides.users.key[1]`: "name" is not a JSON pointer; did you mean "/name"?
streams: {overrides: {users: {key: [""]}}}
  shim.yaml: line 1, column 36, `streams.overrides.users.key`: the whole document cannot be a key; name properties of it
streams: {overrides: {users: {normalize: {/a: upper}}}}
  shim.yaml: line 1, column 47, `streams.overrides.users.normalize./a`: `upper` is none of datetime-to-date
streams: {overrides: {users: {normalize: {a: datetime-to-date}}}}
  shim.yaml: line 1, column 42, `streams.overrides.users.normalize`: "a" is not a JSON pointer; did you mean "/a"?
streams: {overrides: {users: {refresh: sometimes}}}
  shim.yaml: line 1, column 40, `streams.overrides.users.refresh`: `sometimes` is none of snapshot, append, truncate
streams: {overrides: {users: {interval: 5}}}
  shim.yaml: line 1, column 41, `streams.overrides.users.interval`: "5" is not a duration such as 90s, 15m or 1h
schema: {mode: strict}
  shim.yaml: line 1, column 16, `schema.mode`: `strict` is none of infer, source
schema: {sourced: maybe}
  shim.yaml: line 1, column 19, `schema.sourced`: true or false is expected
schema: {dateToDatetime: 1}
  shim.yaml: line 1, column 26, `schema.dateToDatetime`: true or false is expected
document: {meta: some}
  shim.yaml: line 1, column 18, `document.meta`: `some` is none of full, rowId, none
read: {minInterval: 30}
  shim.yaml: line 1, column 21, `read.minInterval`: "30" is not a duration such as 90s, 15m or 1h
read: {idleTimeout: never}
  shim.yaml: line 1, column 21, `read.idleTimeout`: "never" is not a duration such as 90s, 15m or 1h
read: {parallelism: 0}
  shim.yaml: line 1, column 8, `read.parallelism`: invalid value: integer `0`, expected a nonzero usize
read: {maxRecordBytes: large}
  shim.yaml: line 1, column 24, `read.maxRecordBytes`: "large" is not a size such as 64MiB or 500kB
read: {oversizedRecord: drop}
  shim.yaml: line 1, column 25, `read.oversizedRecord`: `drop` is none of error, nullLargest
read: {discoverOnOpen: sometimes}
  shim.yaml: line 1, column 24, `read.discoverOnOpen`: `sometimes` is none of auto, always, never
read: {checkpointEvery: 5}
  shim.yaml: line 1, column 25, `read.checkpointEvery`: keys with values are expected
read: {checkpointEvery: {documents: -1}}
  shim.yaml: line 1, column 37, `read.checkpointEvery.documents`: a whole number is expected
read: {checkpointEvery: {bytes: many}}
  shim.yaml: line 1, column 33, `read.checkpointEvery.bytes`: "many" is not a size such as 64MiB or 500kB
read: {checkpointEvery: {seconds: 5s}}
  shim.yaml: line 1, column 35, `read.checkpointEvery.seconds`: a whole number is expected
state: {format: other}
  shim.yaml: line 1, column 17, `state.format`: `other` is none of auto, stream, global, legacy
timeouts: {spec: 60}
  shim.yaml: line 1, column 18, `timeouts.spec`: "60" is not a duration such as 90s, 15m or 1h
timeouts: {discover: [1m]}
  shim.yaml: line 1, column 22, `timeouts.discover`: text is expected
timeouts: {check: soon}
  shim.yaml: line 1, column 19, `timeouts.check`: "soon" is not a duration such as 90s, 15m or 1h
timeouts: {stop: -5s}
  shim.yaml: line 1, column 18, `timeouts.stop`: "-5s" is not a duration such as 90s, 15m or 1h
singer: {catalogFlag: --config}
  shim.yaml: line 1, column 23, `singer.catalogFlag`: `--config` is none of auto, --catalog, --properties, none
singer: {stateFileAcks: maybe}
  shim.yaml: line 1, column 25, `singer.stateFileAcks`: `maybe` is none of auto, on, off
"#);
}

#[test]
fn keys_that_there_are_not() {
    insta::assert_snapshot!(all(&[
        "protcol: airbyte\n",
        "config: {shema: {}}\n",
        "streams: {selects: [a]}\n",
        "streams:\n  overrides:\n    users: {keys: [/id]}\n",
        "schema: {modes: infer}\n",
        "document: {rowId: true}\n",
        "read:\n  minimumInterval: 5m\n",
        "read: {checkpointEvery: {records: 5}}\n",
        "state: {form: auto}\n",
        "timeouts: {start: 5s}\n",
        "singer: {catalog_flag: auto}\n",
        "quite: {another: thing}\n",
    ]), @r"
protcol: airbyte
  shim.yaml: line 1, column 1, `protcol`: there is no such key; did you mean `protocol`? (known here: protocol, command, args, manifest, components, env, documentationUrl, oauth2, config, streams, schema, document, read, state, timeouts, singer)
config: {shema: {}}
  shim.yaml: line 1, column 10, `config.shema`: there is no such key; did you mean `schema`? (known here: schemaPatch, schema, map)
streams: {selects: [a]}
  shim.yaml: line 1, column 11, `streams.selects`: there is no such key; did you mean `select`? (known here: select, omit, overrides, conventions)
streams:
~   overrides:
~     users: {keys: [/id]}
  shim.yaml: line 3, column 13, `streams.overrides.users.keys`: there is no such key; did you mean `key`? (known here: key, schemaPatch, normalize, fields, refresh, interval)
schema: {modes: infer}
  shim.yaml: line 1, column 10, `schema.modes`: there is no such key; did you mean `mode`? (known here: mode, sourced, dateToDatetime)
document: {rowId: true}
  shim.yaml: line 1, column 12, `document.rowId`: there is no such key (known here: meta)
read:
~   minimumInterval: 5m
  shim.yaml: line 2, column 3, `read.minimumInterval`: there is no such key; did you mean `minInterval`? (known here: minInterval, idleTimeout, parallelism, maxRecordBytes, oversizedRecord, discoverOnOpen, checkpointEvery, maxDeletedShare, dataChannel, dataChannelSockets)
read: {checkpointEvery: {records: 5}}
  shim.yaml: line 1, column 26, `read.checkpointEvery.records`: there is no such key; did you mean `seconds`? (known here: documents, bytes, seconds)
state: {form: auto}
  shim.yaml: line 1, column 9, `state.form`: there is no such key; did you mean `format`? (known here: format)
timeouts: {start: 5s}
  shim.yaml: line 1, column 12, `timeouts.start`: there is no such key (known here: spec, discover, check, stop)
singer: {catalog_flag: auto}
  shim.yaml: line 1, column 10, `singer.catalog_flag`: there is no such key; did you mean `catalogFlag`? (known here: catalogFlag, stateFileAcks)
quite: {another: thing}
  shim.yaml: line 1, column 1, `quite`: there is no such key (known here: protocol, command, args, manifest, components, env, documentationUrl, oauth2, config, streams, schema, document, read, state, timeouts, singer)
");
}

#[test]
fn what_is_no_yaml() {
    insta::assert_snapshot!(all(&[
        "a: [\n",
        "protocol: airbyte\nprotocol: singer\n",
        "protocol: airbyte\n---\nprotocol: singer\n",
        "protocol: *nowhere\n",
        "protocol: \"airbyte\n",
    ]), @r#"
a: [
  shim.yaml: line 1, column 4, `a`: unclosed bracket '['
protocol: airbyte
~ protocol: singer
  shim.yaml: line 2, column 1: the key `protocol` is there twice
protocol: airbyte
~ ---
~ protocol: singer
  shim.yaml: line 3, column 1: there is a second document; only one is read
protocol: *nowhere
  shim.yaml: line 1, column 11: alias references unknown anchor
protocol: "airbyte
  shim.yaml: line 1, column 11: unclosed quote
"#);
}
