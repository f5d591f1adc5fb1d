//! What is wrong with a capture, all of it: a person who mends one thing at a time publishes again for each
//! (flow-protocol.md, R6).

use serde_json::{Value, json};

use crate::failure::Failure;

/// How many problems the message names. The field `problems` has more of them.
const NAMED: usize = 10;
/// How many the field has: a capture of thousands of bindings must not make a line of megabytes.
const LISTED: usize = 200;

/// Problems, in the order in which they were found.
#[derive(Debug, Default)]
pub(super) struct Problems {
    found: Vec<Failure>,
    advice: Vec<String>,
}

impl Problems {
    /// Adds one.
    pub(super) fn push(&mut self, problem: Failure) {
        self.found.push(problem);
    }

    /// Adds a sentence for the end of the message.
    pub(super) fn advise(&mut self, advice: String) {
        self.advice.push(advice);
    }

    /// The result, where it is one; its failure is a problem.
    pub(super) fn note<T>(&mut self, result: Result<T, Failure>) -> Option<T> {
        result.map_err(|problem| self.push(problem)).ok()
    }

    /// One failure that names all problems, with the code and the facts of the first; nothing where there is
    /// none. Its field `problems` lists them with code, message, and what each has as `binding`, `stream` and
    /// `at`.
    pub(super) fn result(self) -> Result<(), Failure> {
        let Self { found, advice } = self;
        let Some(first) = found.first() else { return Ok(()) };
        let mut failure = first.clone();
        let mut named: Vec<String> =
            found.iter().take(NAMED).map(|problem| problem.message.clone()).collect();
        if found.len() > NAMED {
            named.push(format!("and {} more, in the field `problems`", found.len() - NAMED));
        }
        let count = if found.len() > 1 { format!("{} problems: ", found.len()) } else { String::new() };
        named.extend(advice);
        failure.message = format!("{count}{}", named.join("; "));
        let listed: Vec<Value> = found.iter().flat_map(listed).take(LISTED).collect();
        failure.fields.shift_remove("binding");
        Err(failure.with("problems", listed))
    }
}

/// The entries of a problem: its own list, where it has one.
fn listed(problem: &Failure) -> Vec<Value> {
    if let Some(Value::Array(own)) = problem.fields.get("problems") {
        return own.clone();
    }
    let mut entry = json!({"code": problem.code.name(), "message": problem.message});
    for name in ["binding", "stream"] {
        if let Some(fact) = problem.fields.get(name) {
            entry[name] = fact.clone();
        }
    }
    vec![entry]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Code;

    #[test]
    fn all_are_named_and_many_are_counted() {
        assert!(Problems::default().result().is_ok());
        let mut problems = Problems::default();
        for binding in 0..12 {
            problems.push(Failure::new(Code::BINDING, format!("b{binding}")).with("binding", binding));
        }
        problems.advise("discover again".to_owned());
        let failure = problems.result().expect_err("problems");
        assert!(failure.message.starts_with("12 problems: b0; b1; "), "{failure}");
        assert!(
            failure.message.ends_with("and 2 more, in the field `problems`; discover again"),
            "{failure}"
        );
        assert_eq!(failure.fields["problems"].as_array().map(Vec::len), Some(12));
        assert_eq!(failure.fields["problems"][11]["binding"], 11);
    }
}
