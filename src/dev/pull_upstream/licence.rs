//! What an import's licence is: whether SPDX knows it, whether it is open, whether it changed.

use spdx::{Expression, LicenseReq};

use super::lock::Lock;
use crate::failure::{Code, Failure};

/// Refuses what SPDX does not know, and, unless it is accepted, what is not an open-source licence.
pub(super) fn check(license: &str, accepted: bool) -> Result<(), Failure> {
    let expression = Expression::parse(license).map_err(|_| unknown(license))?;
    for requirement in expression.requirements() {
        if let Some(id) = requirement.req.license.id().filter(|id| id.is_deprecated()) {
            tracing::warn!("SPDX has replaced {}; see https://spdx.org/licenses/", id.name);
        }
    }
    if expression.evaluate(is_open) {
        return Ok(());
    }
    let what = format!(
        "{license} is not an open-source licence: it may forbid what this import is for, such as offering it as a service"
    );
    if accepted {
        tracing::warn!("{what}");
        return Ok(());
    }
    Err(Failure::new(
        Code::LICENSE,
        format!("{what}; read it, and pass --accept-license to import all the same"),
    ))
}

/// Approved by the Open Source Initiative, or free as the Free Software Foundation has it.
fn is_open(requirement: &LicenseReq) -> bool {
    requirement.license.id().is_some_and(|id| id.is_osi_approved() || id.is_fsf_free_libre())
}

/// SPDX's name for a licence that goes by another one, as in Airbyte's repository.
pub(super) fn nearest(license: &str) -> Option<&'static str> {
    match license.to_ascii_lowercase().as_str() {
        "elv2" | "elastic" | "elastic license 2.0" => Some("Elastic-2.0"),
        "busl" | "bsl" | "business source license" => Some("BUSL-1.1"),
        _ => spdx::imprecise_license_id(license).map(|(id, _)| id.name),
    }
}

fn unknown(license: &str) -> Failure {
    let advice = nearest(license).map(|id| format!("; did you mean `{id}`?")).unwrap_or_default();
    Failure::new(
        Code::LICENSE,
        format!("SPDX knows no licence {license:?}, see https://spdx.org/licenses/{advice}"),
    )
}

/// SHA-256 of a licence's text, in hexadecimal.
pub(super) fn digest(text: &[u8]) -> String {
    use std::fmt::Write;

    use sha2::Digest;
    sha2::Sha256::digest(text).iter().fold(String::new(), |mut hex, byte| {
        // Writing into a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Says what is not as it was at the last import.
pub(super) fn compare(old: &Lock, new: &Lock) {
    if !old.license.is_empty() && old.license != new.license {
        tracing::warn!(
            "the licence was {} at the last import and is said to be {} now",
            old.license,
            new.license
        );
    }
    if !old.license_sha256.is_empty() && old.license_sha256 != new.license_sha256 {
        tracing::warn!(
            "the licence's text is not what it was at the last import; read {} before you publish this",
            new.license_path
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_licences_pass_and_others_only_when_accepted() {
        for open in ["MIT", "Apache-2.0", "MIT OR Elastic-2.0", "GPL-2.0-only", "CC0-1.0"] {
            assert!(check(open, false).is_ok(), "{open}");
        }
        for closed in ["Elastic-2.0", "BUSL-1.1", "MIT AND SSPL-1.0"] {
            assert!(check(closed, false).is_err(), "{closed}");
            assert!(check(closed, true).is_ok(), "{closed}");
        }
    }

    #[test]
    fn unknown_licences_are_refused_with_the_nearest() {
        let words = |license: &str| check(license, true).expect_err("unknown").message;
        assert!(words("ELv2").contains("`Elastic-2.0`"), "{}", words("ELv2"));
        assert!(words("apache2").contains("`Apache-2.0`"), "{}", words("apache2"));
        assert!(words("Mine").contains("\"Mine\""));
    }

    #[test]
    fn the_digest_is_sha256() {
        assert_eq!(digest(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
