//! What a shim says of one stream.

use super::definition::Definition;
use super::streams::StreamOverride;

/// Whether a stream is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Never.
    Omitted,
    /// Shown, but new captures do not read it.
    Disabled,
    /// New captures read it.
    Selected,
    /// As upstream has it.
    AsUpstream,
}

/// Whether a stream is shown. Globs match its plain name or its full one, `namespace.name`.
pub fn visibility(definition: &Definition, name: &str, full: &str) -> Visibility {
    let any = |globs: &[String]| globs.iter().any(|glob| matches(glob, name) || matches(glob, full));
    let streams = &definition.streams;
    if any(&streams.omit) {
        Visibility::Omitted
    } else if streams.select.is_empty() {
        Visibility::AsUpstream
    } else if any(&streams.select) {
        Visibility::Selected
    } else {
        Visibility::Disabled
    }
}

/// What is different for a stream: the entry of its full name, else of its plain one, else `*`.
pub fn stream_override(definition: &Definition, name: &str, full: &str) -> StreamOverride {
    let overrides = &definition.streams.overrides;
    [full, name, "*"].iter().find_map(|key| overrides.get(*key)).cloned().unwrap_or_default()
}

/// Whether a glob matches: `*` stands for any text, `?` for one character.
fn matches(glob: &str, text: &str) -> bool {
    let (glob, text): (Vec<char>, Vec<char>) = (glob.chars().collect(), text.chars().collect());
    let (mut g, mut t) = (0, 0);
    // Where the last star is, and how much text it has taken so far.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match glob.get(g) {
            Some('*') => {
                star = Some((g, t));
                g += 1;
            }
            Some(&c) if c == '?' || c == text[t] => {
                g += 1;
                t += 1;
            }
            _ => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                g = at + 1;
                t = taken + 1;
            }
        }
    }
    glob[g..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_as_in_a_shell() {
        for (glob, text) in
            [("*", ""), ("internal_*", "internal_x"), ("a*c*e", "abcde"), ("?b", "éb"), ("a**", "a")]
        {
            assert!(matches(glob, text), "{glob} {text}");
        }
        for (glob, text) in [("internal_*", "my_internal_x"), ("a", ""), ("?", ""), ("a*c", "ab")] {
            assert!(!matches(glob, text), "{glob} {text}");
        }
    }

    #[test]
    fn the_full_name_comes_before_the_plain_one_and_the_star() {
        let mut definition = Definition::default();
        let entry =
            |key: &str| StreamOverride { key: Some(vec![key.to_owned()]), ..StreamOverride::default() };
        definition.streams.overrides.insert("*".to_owned(), entry("/star"));
        definition.streams.overrides.insert("shop.users".to_owned(), entry("/full"));
        assert_eq!(stream_override(&definition, "users", "shop.users"), entry("/full"));
        assert_eq!(stream_override(&definition, "orders", "shop.orders"), entry("/star"));
    }

    #[test]
    fn omitted_wins_over_selected() {
        let mut definition = Definition::default();
        assert_eq!(visibility(&definition, "users", "users"), Visibility::AsUpstream);
        definition.streams.select.push("u*".to_owned());
        assert_eq!(visibility(&definition, "users", "users"), Visibility::Selected);
        assert_eq!(visibility(&definition, "orders", "orders"), Visibility::Disabled);
        definition.streams.omit.push("users".to_owned());
        assert_eq!(visibility(&definition, "users", "users"), Visibility::Omitted);
    }
}
