//! The forms of a tap's log lines (singer-protocol.md, 4.10).

use crate::log::Level;

/// The level that a line names, and its text without the prefix that every line has.
pub(super) fn level(line: &str) -> Option<(Level, &str)> {
    let (level, message) = sdk(line).or_else(|| pipelinewise(line)).or_else(|| legacy(line))?;
    // Metrics come several times a second.
    let level = if level == Level::Info && message.starts_with("METRIC") { Level::Debug } else { level };
    Some((level, message))
}

/// `INFO message`
fn legacy(line: &str) -> Option<(Level, &str)> {
    let (word, message) = line.split_once(' ')?;
    let upper = word.len() >= 4 && word.bytes().all(|byte| byte.is_ascii_uppercase());
    upper.then(|| word.parse().ok()).flatten().map(|level| (level, message))
}

/// `time=2026-11-24 00:55:20 name=tap_postgres level=INFO message=…`
fn pipelinewise(line: &str) -> Option<(Level, &str)> {
    let (_, rest) = line.strip_prefix("time=")?.split_once(" level=")?;
    let (word, message) = rest.split_once(" message=")?;
    Some((word.parse().ok()?, message))
}

/// `2026-11-24 00:47:44,733 | INFO     | tap-postgres.stream  | message`
fn sdk(line: &str) -> Option<(Level, &str)> {
    let mut parts = line.splitn(4, '|');
    let time = parts.next()?;
    let level = parts.next()?.trim().parse().ok()?;
    parts.next()?;
    let message = parts.next()?.trim_start();
    time.starts_with(|c: char| c.is_ascii_digit()).then_some((level, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_is_read() {
        for (line, expected) in [
            ("CRITICAL access denied", (Level::Error, "access denied")),
            (
                "time=2026-11-24 00:55:20 name=tap_postgres level=INFO message=Beginning sync",
                (Level::Info, "Beginning sync"),
            ),
            (
                "2026-11-24 00:47:44,733 | WARNING  | tap-postgres.a      | slow | very",
                (Level::Warn, "slow | very"),
            ),
            ("INFO METRIC: {\"type\":\"counter\"}", (Level::Debug, "METRIC: {\"type\":\"counter\"}")),
        ] {
            assert_eq!(level(line), Some(expected), "{line}");
        }
        for line in ["ValueError: x", "Traceback (most recent call last):", "", "usage: tap", "a | b | c | d"]
        {
            assert_eq!(level(line), None, "{line}");
        }
    }
}
