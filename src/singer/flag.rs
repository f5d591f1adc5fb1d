//! Which flags a tap takes, as its own `--help` says.
//!
//! A tap takes its catalog with `--catalog`, with the older `--properties`, or not at all. The parser of
//! singer-python takes both, and some taps that use it read only the older one (tap-hubspot,
//! pipelinewise-tap-s3-csv, tap-minio-csv), so a tap that knows both gets both. SDK taps refuse the older
//! one (singer-protocol.md, 1.1), so nothing is tried blindly.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::capture::processes::supervisor::{Operation, Progress, Upstream};
use crate::capture::protocol::Invocation;
use crate::failure::Failure;
use crate::shim::definition::CatalogFlag;
use crate::shim::remembered::Remembered;

const CATALOG: &str = "--catalog";
const PROPERTIES: &str = "--properties";

const STATE: &str = "--state";
const DISCOVER: &str = "--discover";

/// What is remembered of `--help`.
const HELP: &str = "help";

/// The flags that a tap knows beside `--config`, as far as they matter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Flags(BTreeSet<String>);

impl Flags {
    fn of(flags: &[&str]) -> Self {
        Self(flags.iter().map(|&flag| flag.to_owned()).collect())
    }

    /// Those of an SDK tap, and of any tap whose help says nothing.
    fn common() -> Self {
        Self::of(&[CATALOG, STATE, DISCOVER])
    }

    fn read(help: &str) -> Self {
        let known = [CATALOG, PROPERTIES, STATE, DISCOVER].into_iter().filter(|flag| help.contains(flag));
        if help.contains("--config") {
            return Self::of(&known.collect::<Vec<_>>());
        }
        // A help that is cut short may name the older flag alone; else it says nothing.
        if help.contains(PROPERTIES) && !help.contains(CATALOG) {
            return Self::of(&[PROPERTIES, STATE, DISCOVER]);
        }
        Self::common()
    }

    fn has(&self, flag: &str) -> bool {
        self.0.contains(flag)
    }
}

/// How a tap is called, as the shim sets it or as the tap's help says.
#[derive(Debug)]
pub(super) struct Flag {
    setting: CatalogFlag,
    known: OnceLock<Flags>,
}

impl Flag {
    pub(super) fn new(setting: CatalogFlag) -> Self {
        Self { setting, known: OnceLock::new() }
    }

    /// The flags that get the catalog; none where the tap takes no catalog. `--catalog` as long as the tap
    /// was not asked.
    pub(super) fn catalog(&self) -> Vec<&'static str> {
        match self.setting {
            CatalogFlag::Catalog => vec![CATALOG],
            CatalogFlag::Properties => vec![PROPERTIES],
            CatalogFlag::None => Vec::new(),
            CatalogFlag::Auto => [CATALOG, PROPERTIES].into_iter().filter(|flag| self.has(flag)).collect(),
        }
    }

    /// Whether the tap takes a state.
    pub(super) fn takes_state(&self) -> bool {
        self.has(STATE)
    }

    /// Whether the tap may know `--discover`: its help has it, or was not read.
    pub(super) fn discovers(&self) -> bool {
        self.has(DISCOVER)
    }

    fn has(&self, flag: &str) -> bool {
        self.known.get().map_or_else(|| Flags::common().has(flag), |flags| flags.has(flag))
    }

    /// A tap that answers `--about` is an SDK tap, which knows `--catalog` and not the older spelling.
    pub(super) fn answered_about(&self, remembered: &Remembered) {
        self.set(Flags::common());
        remembered.keep(HELP, &Flags::common());
    }

    /// Takes what an earlier session learned of the tap.
    pub(super) fn remember(&self, remembered: &Remembered) {
        if let Some(flags) = remembered.answer(HELP) {
            self.set(flags);
        }
    }

    fn set(&self, flags: Flags) {
        // The first answer stays; a second one is of the same tap.
        let _ = self.known.set(flags);
    }

    /// Asks the tap, once and only where it matters.
    pub(super) async fn ask(&self, upstream: &Upstream, remembered: &Remembered) -> Result<(), Failure> {
        self.remember(remembered);
        let settled = matches!(self.setting, CatalogFlag::Catalog | CatalogFlag::Properties);
        if settled || self.known.get().is_some() {
            return Ok(());
        }
        let invocation = Invocation { arguments: vec!["--help".into()], ..Invocation::default() };
        let mut help = String::new();
        upstream
            .run(Operation::Spec, &invocation, |line| {
                help.push_str(&String::from_utf8_lossy(line));
                help.push('\n');
                Progress::Unanswered
            })
            .await?;
        let flags = Flags::read(&help);
        remembered.keep(HELP, &flags);
        self.set(flags);
        tracing::debug!(flags = ?self.catalog(), "how the tap takes its catalog");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(setting: CatalogFlag, help: &str) -> Vec<&'static str> {
        let flag = Flag::new(setting);
        flag.set(Flags::read(help));
        flag.catalog()
    }

    #[test]
    fn the_setting_counts_before_what_the_tap_says() {
        let help = "usage: tap -c CONFIG\n  --config CONFIG\n  --catalog CATALOG";
        assert_eq!(asked(CatalogFlag::Properties, help), [PROPERTIES]);
        assert!(asked(CatalogFlag::None, help).is_empty());
        assert_eq!(Flag::new(CatalogFlag::Auto).catalog(), [CATALOG]);
    }

    #[test]
    fn a_tap_gets_its_catalog_by_every_flag_that_it_knows() {
        let auto = |help: &str| asked(CatalogFlag::Auto, help);
        let singer_python = "usage: tap -c CONFIG\n  -c, --config CONFIG\n  -s, --state STATE\n  -p, --properties PROPERTIES\n  --catalog CATALOG\n  -d, --discover";
        assert_eq!(auto(singer_python), [CATALOG, PROPERTIES]);
        assert_eq!(auto("  --config CONFIG\n  -p, --properties PROPERTIES"), [PROPERTIES]);
        assert_eq!(auto("usage: tap [-c CONFIG] [-p PROPERTIES] [--properties P]"), [PROPERTIES]);
        assert_eq!(auto("no help"), [CATALOG]);
        assert!(auto("usage: tap [-h] --config CONFIG [--state STATE]").is_empty());
    }

    #[test]
    fn a_tap_without_discovery_or_state_is_told_by_its_help() {
        let flags = Flags::read("usage: tap [-h] --config CONFIG");
        assert_eq!(flags, Flags::of(&[]));
        assert_eq!(Flags::read("Traceback"), Flags::common());
    }
}
