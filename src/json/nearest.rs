//! The known name that somebody meant who wrote another one.

/// The known name that is fewest edits away, if it is near at all; case does not count, and two letters that
/// changed places are one edit.
pub fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let edits = |known: &str| strsim::osa_distance(&name.to_lowercase(), &known.to_lowercase());
    let nearest = known.into_iter().min_by_key(|known| edits(known))?;
    (edits(nearest) <= (name.len() / 3).max(1)).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_near_name_is_meant() {
        assert_eq!(nearest("zzz", ["resource"]), None);
        assert_eq!(nearest("Targets", ["resource", "target"]), Some("target"));
        assert_eq!(nearest("cuont", ["count", "seed"]), Some("count"));
        assert_eq!(nearest("port", ["host"]), None);
        assert_eq!(nearest("a", []), None);
    }
}
