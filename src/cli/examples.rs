//! The examples below each command's help; a test holds them against the command line that there is.

/// Of flow-shim itself.
pub(super) const ALL: &str = "\
Examples:
  # Wrap a connector, look whether all is well, and see its data
  flow-shim new source-example --protocol airbyte
  flow-shim check shims/source-example
  flow-shim preview --source shims/source-example/test.flow.yaml

Errors end with a code in brackets; docs/errors.md has them all.";

pub(super) const RUN: &str = "\
Examples:
  # As the entry point of an image that holds a shim in /shim
  flow-shim run
  # A tap without a shim's folder
  flow-shim run --protocol singer -- tap-github
  # Under a debugger, with all the time in the world
  flow-shim run --shim shims/source-x --no-timeouts -- python -m debugpy --listen 5678 --wait-for-client -m source_x";

pub(super) const RAW: &str = "\
Examples:
  # What there is to capture, as a table
  flow-shim raw discover --source test.flow.yaml -o table
  # The config schema, to be read
  flow-shim raw spec -o yaml
  # One capture of several
  flow-shim raw capture --name acmeCo/source-x --timeout 30s";

pub(super) const PREVIEW: &str = "\
Examples:
  # All captures of test.flow.yaml
  flow-shim preview
  # One of them: two transactions, then a second session that goes on from there
  flow-shim preview --source shims/source-x/test.flow.yaml --name acmeCo/source-x --sessions 2,-1
  # With the states, until nothing comes for half a minute
  flow-shim preview --output-state --timeout 30s
  # Without the connector, from a recording
  flow-shim preview --replay shims/source-x/recorded";

pub(super) const CHECK: &str = "\
Examples:
  flow-shim check shims/source-x
  # In CI: warnings fail too
  flow-shim check --strict shims/source-x
  # For an editor or a script
  flow-shim check -o json shims/source-x";

pub(super) const DIFF: &str = "\
Examples:
  # Two versions of a shim's folder
  flow-shim diff /tmp/before/source-x shims/source-x
  # The recordings of two versions of a connector
  flow-shim diff -o table recordings/1.2.0 recordings/1.3.0
  # What is installed, not what was recorded
  flow-shim diff --installed /tmp/before/source-x shims/source-x";

pub(super) const IMPORT_ATF: &str = "\
Examples:
  flow-shim import-atf airbyte-integrations/connectors/source-x shims/source-x";

pub(super) const OAUTH: &str = "\
Examples:
  # What would be sent, with secrets masked
  flow-shim oauth --client-id ID --client-secret SECRET --dry-run
  # On a machine without a browser
  flow-shim oauth --source shims/source-x/test.flow.yaml --client-id ID --client-secret SECRET --no-browser";

pub(super) const ENCRYPT: &str = "\
Examples:
  # By Flow's service
  ENCRYPTION_URL=https://… flow-shim encrypt --source shims/source-x/test.flow.yaml --output config.sops.yaml
  # For an age key; `age-keygen` makes one
  flow-shim encrypt --source shims/source-x/test.flow.yaml --age age1… --output config.sops.yaml";

pub(super) const INSTALL: &str = "\
Examples:
  flow-shim install shims/source-x";

pub(super) const BAKE: &str = "\
Examples:
  # In a Dockerfile, once upstream is installed
  flow-shim bake /shim";

pub(super) const RECORD: &str = "\
Examples:
  # What a source answers to one call
  flow-shim record recorded -- source-x spec
  flow-shim record recorded -- source-x discover --config config.json";

pub(super) const REPLAY: &str = "\
Examples:
  # In the place of the source that was recorded
  flow-shim replay recorded spec
  flow-shim replay recorded discover --config config.json";

pub(super) const NEW: &str = "\
Examples:
  flow-shim new source-x --protocol airbyte
  # A tap whose program has another name
  flow-shim new tap-x --protocol singer --command tap-x-cli";

pub(super) const PULL_UPSTREAM: &str = "\
Examples:
  flow-shim pull-upstream https://github.com/MeltanoLabs/tap-x.git main . taps/tap-x Apache-2.0 LICENSE";

pub(super) const COMPLETIONS: &str = "\
Examples:
  # bash, zsh and fish each have a folder for it
  flow-shim completions bash
  flow-shim completions zsh
  flow-shim completions fish";
