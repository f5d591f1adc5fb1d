//! A line of the log for a person at a terminal: the time, what happened, and the facts beside it.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::Level;
use crate::terminal::{Style, harmless, styled};

/// Facts that the message says already, or that only machines need.
const LEFT_OUT: [&str; 4] = ["code", "source", "eventType", "exitCode"];
/// Longer facts get lines of their own.
const LONG: usize = 100;

/// The text of a line, and the end of it; `None` where it is no line of the log.
pub fn pretty(line: &Map<String, Value>) -> Option<String> {
    let text = |name: &str| line.get(name).and_then(Value::as_str);
    let message = text("message").or_else(|| text("msg"))?;
    let time = text("ts").and_then(|ts| ts.get(11..19)).unwrap_or_default();
    let (mark, style) = match text("level")?.parse() {
        Ok(Level::Error) => ("error", Style::Red),
        Ok(Level::Warn) => ("warn ", Style::Yellow),
        Ok(Level::Info) => ("info ", Style::Green),
        Ok(Level::Debug | Level::Trace) | Err(()) => ("debug", Style::Dim),
    };
    let mut pretty = format!("{} {} {}", styled(Style::Dim, time), styled(style, mark), harmless(message));
    let fields = line.get("fields").and_then(Value::as_object);
    let mut below = String::new();
    for (name, value) in fields.into_iter().flatten().filter(|(name, _)| !LEFT_OUT.contains(&name.as_str())) {
        let value = harmless(value.as_str().map_or_else(|| value.to_string(), str::to_owned).trim_end());
        if value.len() > LONG || value.contains('\n') {
            let value = value.replace('\n', "\n    ");
            let _ = write!(below, "\n  {name}:\n    {value}");
        } else {
            let _ = write!(pretty, " {}", styled(Style::Dim, &format!("{name}={value}")));
        }
    }
    if !below.is_empty() {
        pretty.push_str(&styled(Style::Dim, &below));
    }
    pretty.push('\n');
    Some(pretty)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(line: Value) -> Option<String> {
        pretty(line.as_object().expect("an object"))
    }

    #[test]
    fn short_facts_stand_beside_the_message_and_long_ones_below() {
        let line = json!({"ts": "2024-01-01T12:34:56.789Z", "level": "warn", "message": "slow", "fields":
            {"source": "upstream", "stream": "users", "rows": 3, "stderr": "one\ntwo\n"}});
        assert_eq!(
            of(line).as_deref(),
            Some("12:34:56 warn  slow stream=users rows=3\n  stderr:\n    one\n    two\n")
        );
        assert_eq!(of(json!({"no": "line"})), None);
    }

    #[test]
    fn levels_of_other_connectors_are_known() {
        for (level, mark) in [("ERROR", "error"), ("Warning", "warn "), ("INFO", "info "), ("trace", "debug")]
        {
            assert_eq!(of(json!({"level": level, "msg": "x"})), Some(format!(" {mark} x\n")), "{level}");
        }
    }

    #[test]
    fn nothing_steers_the_terminal() {
        let line = json!({"level": "info", "message": "a\u{1b}[2Jb\rc"});
        assert_eq!(of(line).as_deref(), Some(" info  a\\u{1b}[2Jb\\rc\n"));
        let line =
            json!({"level": "info", "message": "a\u{202e}b\u{2066}c\u{9b}d", "fields": {"x": "\u{200f}"}});
        assert_eq!(of(line).as_deref(), Some(" info  a\\u{202e}b\\u{2066}c\\u{9b}d x=\\u{200f}\n"));
    }
}
