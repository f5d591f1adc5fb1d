//! Names of streams, and the globs that stand for them.

/// Whether a glob matches: `*` stands for any text, `?` for one character, and a backslash takes the
/// character after it as it is.
pub fn matches(glob: &str, text: &str) -> bool {
    let (glob, text): (Vec<Token>, Vec<char>) = (tokens(glob).collect(), text.chars().collect());
    let (mut g, mut t) = (0, 0);
    // Where the last star is, and how much text it has taken so far.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match glob.get(g) {
            Some(Token::Any) => {
                star = Some((g, t));
                g += 1;
            }
            Some(Token::One) => {
                g += 1;
                t += 1;
            }
            Some(Token::Char(c)) if *c == text[t] => {
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
    glob[g..].iter().all(|token| *token == Token::Any)
}

/// How many characters a glob names; `None` for plain names, which are more specific than any glob.
pub(super) fn literals(glob: &str) -> Option<usize> {
    let named = tokens(glob).filter(|token| matches!(token, Token::Char(_))).count();
    let is_plain = tokens(glob).count() == named;
    (!is_plain).then_some(named)
}

/// A name as a glob that matches it alone.
pub fn escaped(name: &str) -> String {
    name.chars().flat_map(|c| matches!(c, '*' | '?' | '\\').then_some('\\').into_iter().chain([c])).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Any,
    One,
    Char(char),
}

fn tokens(glob: &str) -> impl Iterator<Item = Token> {
    let mut chars = glob.chars();
    std::iter::from_fn(move || {
        Some(match chars.next()? {
            '*' => Token::Any,
            '?' => Token::One,
            '\\' => Token::Char(chars.next().unwrap_or('\\')),
            c => Token::Char(c),
        })
    })
}

/// The name that airbyte-to-flow gave the collection of a stream: parts between slashes keep letters,
/// digits and `-._`, and empty parts go (flow-protocol.md, 9.2).
pub fn airbyte_to_flow(name: &str) -> String {
    let keeps = |c: &char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_');
    let parts = name.split('/').map(|part| part.chars().filter(keeps).collect::<String>());
    parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn globs_match_as_in_a_shell() {
        for (glob, text) in [
            ("*", ""),
            ("internal_*", "internal_x"),
            ("a*c*e", "abcde"),
            ("?b", "éb"),
            ("a**", "a"),
            ("a\\*", "a*"),
            ("a\\", "a\\"),
        ] {
            assert!(matches(glob, text), "{glob} {text}");
        }
        for (glob, text) in [
            ("internal_*", "my_internal_x"),
            ("a", ""),
            ("?", ""),
            ("a*c", "ab"),
            ("a\\*", "ab"),
            ("\\?", "x"),
        ] {
            assert!(!matches(glob, text), "{glob} {text}");
        }
    }

    #[test]
    fn collections_are_named_as_airbyte_to_flow_did() {
        assert_eq!(airbyte_to_flow("/&foo!/B ar// b+i-n.g /"), "foo/Bar/bi-n.g");
        assert_eq!(airbyte_to_flow("été_1"), "été_1");
        assert_eq!(airbyte_to_flow("&"), "");
    }

    proptest! {
        #[test]
        fn an_escaped_name_matches_itself_alone(name in "[a*?\\\\]{0,5}", other in "[a*?\\\\]{0,5}") {
            prop_assert!(matches(&escaped(&name), &name));
            prop_assert_eq!(matches(&escaped(&name), &other), name == other);
            prop_assert_eq!(literals(&escaped(&name)), None);
        }
    }
}
