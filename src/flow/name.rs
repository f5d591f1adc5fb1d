//! How Flow makes the name of a collection from a recommended one (flow-protocol.md, 3, row 31).

use std::sync::LazyLock;

use regex::Regex;
use unicode_normalization::UnicodeNormalization;

/// A run of characters that Flow keeps: letters, numbers, `-`, `_` and `.`, with single slashes between.
static KEPT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[\pL\pN\-_.]+(?:/[\pL\pN\-_.]+)*").ok());

/// The name that Flow gives: the runs that it keeps, in their Unicode form NFKC, joined by `_`. Empty where
/// it keeps nothing.
pub fn normalized(name: &str) -> String {
    let runs = KEPT.iter().flat_map(|kept| kept.find_iter(name));
    runs.map(|run| run.as_str().nfkc().collect::<String>()).collect::<Vec<_>>().join("_")
}

/// The form in which Flow compares names: two that differ in case alone are one.
pub fn compared(name: &str) -> String {
    normalized(name).to_lowercase().nfkc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_those_that_flow_gives() {
        for (name, expected) in [
            ("users", "users"),
            ("shop/lines", "shop/lines"),
            ("Q1 2025", "Q1_2025"),
            ("Sales!", "Sales"),
            ("/v1//users/", "v1_users"),
            ("a.b/c", "a.b/c"),
            ("*", ""),
            ("größe", "größe"),
            ("ﬁle①", "file1"),
        ] {
            assert_eq!(normalized(name), expected, "{name}");
        }
        assert_eq!(compared("Users"), compared("users"));
    }
}
