//! The command line. Types only: what they mean is decided where they are used.

mod examples;

use clap::{Parser, Subcommand};
use clap_complete::Shell;

use crate::dev::bake::BakeOptions;
use crate::dev::check::CheckOptions;
use crate::dev::diff::DiffOptions;
use crate::dev::encrypt::EncryptOptions;
use crate::dev::import_atf::ImportOptions;
use crate::dev::install::InstallOptions;
use crate::dev::new::NewOptions;
use crate::dev::oauth::OAuthOptions;
use crate::dev::preview::PreviewOptions;
use crate::dev::pull_upstream::PullOptions;
use crate::dev::raw::RawCommand;
use crate::dev::record::RecordOptions;
use crate::dev::replay::ReplayOptions;
use crate::settings::RunOptions;

/// Runs any open-source Airbyte source or Singer tap behind Estuary Flow's capture protocol.
#[derive(Debug, Parser)]
#[command(name = "flow-shim", version, args_conflicts_with_subcommands = true, max_term_width = 100, after_help = examples::ALL)]
pub struct Cli {
    /// What to do; nothing means `run`.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to run, where no command is named.
    #[command(flatten)]
    pub run: RunOptions,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Be a capture connector: Flow's requests on stdin, responses on stdout
    #[command(after_help = examples::RUN)]
    Run(RunOptions),
    /// Ask the connector of a test.flow.yaml one question, as `flowctl raw` does
    #[command(subcommand, after_help = examples::RAW)]
    Raw(RawCommand),
    /// Run the captures of a test.flow.yaml and print their documents, as `flowctl preview` does
    #[command(after_help = examples::PREVIEW)]
    Preview(PreviewOptions),
    /// Say what is wrong with a shim's folder, without running upstream
    #[command(after_help = examples::CHECK)]
    Check(CheckOptions),
    /// Say what changes for running captures between two versions of a connector
    #[command(after_help = examples::DIFF)]
    Diff(DiffOptions),
    /// Write the shim.yaml of a connector folder in airbyte-to-flow's layout
    #[command(after_help = examples::IMPORT_ATF)]
    ImportAtf(ImportOptions),
    /// Get consent from an OAuth2 provider, and print the credentials that it brings
    #[command(name = "oauth", after_help = examples::OAUTH)]
    OAuth(Box<OAuthOptions>),
    /// Encrypt a capture's config as Flow takes it
    #[command(after_help = examples::ENCRYPT)]
    Encrypt(EncryptOptions),
    /// Install a shim's requirements.txt into a virtual environment beside it
    #[command(after_help = examples::INSTALL)]
    Install(InstallOptions),
    /// Ask upstream for its specification once and keep the answer in the shim's folder
    #[command(after_help = examples::BAKE)]
    Bake(BakeOptions),
    /// Run an upstream and keep a transcript of what it prints
    #[command(after_help = examples::RECORD)]
    Record(RecordOptions),
    /// Be an upstream that plays a transcript
    #[command(after_help = examples::REPLAY)]
    Replay(ReplayOptions),
    /// Make a folder for one more connector
    #[command(after_help = examples::NEW)]
    New(NewOptions),
    /// Take a connector's code into this git repository, or merge what is new in it
    #[command(after_help = examples::PULL_UPSTREAM)]
    PullUpstream(PullOptions),
    /// Clear away what a killed run leaves; started by `run` itself
    #[command(hide = true)]
    Warden {
        /// Which run
        session: String,
    },
    /// Print completions for a shell
    #[command(after_help = examples::COMPLETIONS)]
    Completions {
        /// Which shell
        shell: Shell,
    },
}
