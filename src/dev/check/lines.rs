//! The line of a key in a YAML or JSON file, found in its text: parsers keep no places.
//!
//! Good enough to lead somebody there; a file that is written oddly gets the line of an outer key.

/// The line, from 1, where the last step of a path of keys stands that can be found. A step may be an
/// item of a list as well. `None` where not even the first can be found.
pub(super) fn line(text: &str, path: &[&str]) -> Option<usize> {
    let lines: Vec<&str> = text.lines().collect();
    let (mut at, mut column, mut found) = (0, 0, None);
    for step in path {
        let Some((next, end)) = find(&lines, at, column, found.is_some(), step) else { break };
        (at, column, found) = (next, end, Some(next + 1));
    }
    found
}

/// The next place of a step: its line and where it ends there. It is looked for on the rest of this
/// line, then on the lines below that are indented further than it.
fn find(lines: &[&str], at: usize, column: usize, is_inner: bool, step: &str) -> Option<(usize, usize)> {
    let outer = is_inner.then(|| indent(lines[at]));
    for (number, line) in lines.iter().enumerate().skip(at) {
        let is_first = number == at;
        let trimmed = line.trim_start();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        // Items of a list may stand as far left as their key.
        let ends = outer.is_some_and(|outer| {
            indent(line) < outer || (indent(line) == outer && !trimmed.starts_with(['-', '}', ']']))
        });
        if ends && !is_first {
            return None;
        }
        let from = if is_first { column } else { 0 };
        let depth = if outer.is_none() && !trimmed.starts_with(['{', '"', '[']) { Some(0) } else { None };
        if depth.is_some_and(|depth| indent(line) != depth) {
            continue;
        }
        if let Some(end) = word(line, from, step) {
            return Some((number, end));
        }
    }
    None
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// Where a whole word ends in a line, quoted or not, behind this column.
fn word(line: &str, from: usize, step: &str) -> Option<usize> {
    let rest = line.get(from..)?;
    rest.match_indices(step).map(|(index, _)| (from + index, from + index + step.len())).find_map(
        |(start, end)| {
            let before = line[..start].chars().next_back();
            let after = line[end..].chars().next();
            let begins = before.is_none_or(|c| c.is_whitespace() || "{[,\"'".contains(c));
            let ends = after.is_none_or(|c| c.is_whitespace() || ":,]}\"'".contains(c));
            (begins && ends).then_some(end)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "streams:\n  omit:\n  - a_*\n  - b\n  overrides:\n    users: {key: [/id]}\n    \"*\":\n      key: [/x]\nread:\n  key: 1\n";

    #[test]
    fn keys_and_items_are_found() {
        assert_eq!(line(TEXT, &["streams", "omit", "b"]), Some(4));
        assert_eq!(line(TEXT, &["streams", "overrides", "users", "key", "/id"]), Some(6));
        assert_eq!(line(TEXT, &["streams", "overrides", "*", "key"]), Some(8));
        assert_eq!(line(TEXT, &["read", "key"]), Some(10));
        assert_eq!(line(TEXT, &["streams", "select"]), Some(1));
        assert_eq!(line(TEXT, &["nothing"]), None);
        assert_eq!(line("{\n  \"a\": {\n    \"b\": 1\n  }\n}\n", &["a", "b"]), Some(3));
    }
}
