//! The flag with which a tap takes its catalog: `--catalog`, or `--properties` where a tap knows only
//! that older spelling. SDK taps refuse the older one (singer-protocol.md, 1.1), so it is not tried
//! blindly: the tap's own `--help` decides.

use std::sync::OnceLock;

use crate::capture::processes::supervisor::{Operation, Progress, Upstream};
use crate::capture::protocol::Invocation;
use crate::failure::Failure;
use crate::shim::definition::CatalogFlag;

const CATALOG: &str = "--catalog";
const PROPERTIES: &str = "--properties";

/// The flag, as the shim sets it or as the tap's help tells.
#[derive(Debug)]
pub(super) struct Flag {
    setting: CatalogFlag,
    told: OnceLock<&'static str>,
}

impl Flag {
    pub(super) fn new(setting: CatalogFlag) -> Self {
        Self { setting, told: OnceLock::new() }
    }

    /// The flag; `--catalog` as long as the tap was not asked.
    pub(super) fn get(&self) -> &'static str {
        match self.setting {
            CatalogFlag::Catalog => CATALOG,
            CatalogFlag::Properties => PROPERTIES,
            CatalogFlag::Auto => self.told.get().copied().unwrap_or(CATALOG),
        }
    }

    /// A tap that answers `--about` is an SDK tap, which knows `--catalog` and nothing else.
    pub(super) fn answered_about(&self) {
        // Told twice it says the same.
        let _ = self.told.set(CATALOG);
    }

    /// Asks the tap, once and only where nothing has decided yet.
    pub(super) async fn ask(&self, upstream: &Upstream) -> Result<(), Failure> {
        if self.setting != CatalogFlag::Auto || self.told.get().is_some() {
            return Ok(());
        }
        let invocation = Invocation { arguments: vec!["--help".into()], ..Invocation::default() };
        let mut help = String::new();
        upstream
            .run(Operation::Spec, &invocation, |line| {
                help.push_str(&String::from_utf8_lossy(line));
                Progress::Unanswered
            })
            .await?;
        let flag = if only_properties(&help) { PROPERTIES } else { CATALOG };
        tracing::debug!("the tap takes its catalog with {flag}");
        let _ = self.told.set(flag);
        Ok(())
    }
}

fn only_properties(help: &str) -> bool {
    help.contains(PROPERTIES) && !help.contains(CATALOG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_counts_before_what_the_tap_tells() {
        let flag = Flag::new(CatalogFlag::Properties);
        flag.answered_about();
        assert_eq!(flag.get(), PROPERTIES);
        assert_eq!(Flag::new(CatalogFlag::Auto).get(), CATALOG);
    }

    #[test]
    fn the_older_spelling_is_taken_only_where_the_newer_is_unknown() {
        assert!(only_properties("usage: tap [-c CONFIG] [-p PROPERTIES]\n  -p, --properties PROPERTIES"));
        assert!(!only_properties("  -p, --properties PROPERTIES\n  --catalog CATALOG"));
        assert!(!only_properties("no help"));
    }
}
