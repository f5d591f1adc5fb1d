//! JSON pointers (RFC 6901).

/// The pointer of a path of member names.
pub fn from_path<S: AsRef<str>>(path: &[S]) -> String {
    path.iter().fold(String::new(), |pointer, step| pointer + "/" + &escape(step.as_ref()))
}

/// A member name as a pointer has it, without the slash.
pub fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// The member names of a pointer; `None` where it is no pointer.
pub fn to_path(pointer: &str) -> Option<Vec<String>> {
    if pointer.is_empty() {
        return Some(Vec::new());
    }
    let steps = pointer.strip_prefix('/')?.split('/');
    Some(steps.map(|step| step.replace("~1", "/").replace("~0", "~")).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn odd_names_are_escaped() {
        assert_eq!(from_path(&["a/b", "c~d", ""]), "/a~1b/c~0d/");
        assert_eq!(to_path("no"), None);
    }

    proptest! {
        #[test]
        fn a_path_survives(path in prop::collection::vec("[a~/1é]{0,4}", 0..4)) {
            prop_assert_eq!(to_path(&from_path(&path)), Some(path));
        }
    }
}
