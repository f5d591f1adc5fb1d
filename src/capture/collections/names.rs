//! Names of collections: distinct, and not empty, after Flow has normalised them. Two streams with one
//! collection would overwrite each other's rows.

use std::collections::HashMap;

use super::shards;
use crate::flow::message::DiscoveredBinding;
use crate::flow::name;

/// What stands in for a name of which Flow would keep nothing.
const NAMELESS: &str = "stream";
/// How often names are looked at again after some were changed: a changed one could be that of another
/// stream.
const ROUNDS: usize = 3;

/// Gives bindings whose names would become one collection, or none, names of their own: with the hash of
/// the resource path at the end. All that clash are changed, so that no name depends on the order of the
/// streams.
pub(crate) fn make_distinct<'a>(bindings: impl Iterator<Item = &'a mut DiscoveredBinding>) {
    let mut bindings: Vec<&mut DiscoveredBinding> = bindings.collect();
    for _ in 0..ROUNDS {
        let mut counts: HashMap<String, usize> = HashMap::with_capacity(bindings.len());
        for binding in &bindings {
            *counts.entry(name::compared(&binding.recommended_name)).or_default() += 1;
        }
        let mut changed = false;
        for binding in &mut bindings {
            let compared = name::compared(&binding.recommended_name);
            if compared.is_empty() || counts[&compared] > 1 {
                let hash = shards::hash(&binding.resource_path);
                let mut name = name::normalized(&binding.recommended_name);
                if name.is_empty() {
                    NAMELESS.clone_into(&mut name);
                }
                binding.recommended_name = format!("{name}_{hash:08x}");
                changed = true;
            }
        }
        if !changed {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[(&str, &[&str])]) -> Vec<String> {
        let mut bindings: Vec<DiscoveredBinding> = names
            .iter()
            .map(|(name, path)| DiscoveredBinding {
                recommended_name: (*name).to_owned(),
                resource_path: path.iter().map(|&step| step.to_owned()).collect(),
                ..Default::default()
            })
            .collect();
        make_distinct(bindings.iter_mut());
        bindings.into_iter().map(|binding| binding.recommended_name).collect()
    }

    #[test]
    fn only_names_that_clash_are_changed_and_in_any_order_alike() {
        let streams: [(&str, &[&str]); 5] = [
            ("Sales", &["Sales"]),
            ("Sales!", &["Sales!"]),
            ("*", &["*"]),
            ("users", &["users"]),
            ("odd name", &["odd name"]),
        ];
        let names = named(&streams);
        assert_eq!(&names[3..], ["users", "odd name"], "Flow normalises it itself");
        assert!(names[0].starts_with("Sales_") && names[1].starts_with("Sales_") && names[0] != names[1]);
        assert!(names[2].starts_with("stream_"));
        let mut turned = streams;
        turned.reverse();
        let mut backwards = named(&turned);
        backwards.reverse();
        assert_eq!(backwards, names);
    }

    #[test]
    fn names_that_differ_in_case_alone_clash() {
        let names = named(&[("Users", &["Users"]), ("users", &["users"])]);
        assert!(names[0].starts_with("Users_") && names[1].starts_with("users_"), "{names:?}");
    }
}
