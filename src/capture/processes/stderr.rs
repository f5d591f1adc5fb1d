//! Upstream's stderr: each entry becomes a log line, and the last ones are kept, because a crash
//! explains itself there.
//!
//! A traceback is one entry, however many lines it has. Bytes that are not UTF-8 are replaced: Flow
//! stops reading a log at the first invalid byte (flow-protocol.md, section 4.2).

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::Map;
use tokio::io::AsyncRead;

use super::delayed::Delayed;
use crate::capture::input::lines::Lines;
use crate::capture::input::pipe::PAUSE;
use crate::log::{self, Level};

/// How much the pipe is to hold.
pub const CAPACITY: usize = 1 << 20;
/// How many entries are kept.
const TAIL_ENTRIES: usize = 40;
/// How many bytes of an entry are kept and logged.
const ENTRY_BYTES: usize = 64 * 1024;
/// How much before its end a line that is too long is cut: no secret that matters is longer.
const CUT_BYTES: usize = 16 * 1024;
/// How long what came is held back: longer than the pause of stdout, so that a secret which upstream
/// renews there is known, and masked, when it is printed here behind that.
const BEHIND_OUTPUT: Duration = PAUSE.saturating_add(Duration::from_millis(3));
/// An entry is complete when nothing came for this long.
const QUIET: Duration = Duration::from_millis(100);

/// How a protocol recognises the level in a line of stderr.
pub type LevelOf = fn(&str) -> Option<(Level, &str)>;

/// The end of what upstream wrote on stderr.
#[derive(Debug, Default, Clone)]
pub struct Tail {
    entries: VecDeque<Kept>,
}

/// An entry that is kept.
#[derive(Debug, Clone)]
struct Kept {
    level: Option<Level>,
    /// As it was printed.
    text: String,
    /// Where in it the message begins, behind the prefix that every line of the program has: time, name,
    /// level.
    message: usize,
}

impl Tail {
    fn push(&mut self, kept: Kept) {
        if self.entries.len() == TAIL_ENTRIES {
            self.entries.pop_front();
        }
        self.entries.push_back(kept);
    }

    /// The text that most likely says why upstream failed (singer-protocol.md, section 4.10): the last of
    /// what was logged as an error and what was raised. An error that was logged before something was raised
    /// was survived, unless it is a CRITICAL line right before it: those repeat what is being raised, line by
    /// line (`handle_top_exception` of singer-python), and hold nothing of the code.
    pub fn cause(&self) -> Option<String> {
        let last = (0..self.entries.len()).rev().find(|&at| self.entries[at].tells());
        let Some(last) = last else {
            let mut lines = self.entries.iter().rev().flat_map(|kept| kept.text.lines().rev());
            return lines.find(|line| !line.trim().is_empty()).map(|line| line.trim().to_owned());
        };
        let critical = |at: usize| is_critical(&self.entries[at].text);
        let end = if !critical(last) && last > 0 && critical(last - 1) { last - 1 } else { last };
        if critical(end) {
            let first = (0..=end).rev().take_while(|&at| critical(at)).last().unwrap_or(end);
            return Some(first_line(self.entries[first].message()));
        }
        self.entries[last].exception().or_else(|| Some(first_line(self.entries[last].message())))
    }

    /// The first entry that was logged as an error; `None` where there is none.
    pub fn first_error(&self) -> Option<String> {
        let mut errors = self.entries.iter().filter(|kept| kept.level == Some(Level::Error));
        errors.next().map(|kept| first_line(kept.message()))
    }

    /// The last traceback, whole; `None` where there is none.
    pub fn traceback(&self) -> Option<&str> {
        let mut texts = self.entries.iter().rev().map(|kept| kept.text.as_str());
        texts.find(|text| text.lines().any(is_chain))
    }

    /// The last entries as one text, for developers.
    pub fn text(&self) -> String {
        let skip = self.entries.len().saturating_sub(10);
        self.entries.iter().skip(skip).map(|kept| kept.text.as_str()).collect::<Vec<_>>().join("\n")
    }
}

impl Kept {
    fn message(&self) -> &str {
        &self.text[self.message..]
    }

    /// Whether it says why a program failed.
    fn tells(&self) -> bool {
        let is_error = self.level == Some(Level::Error) && is_telling(&self.text);
        is_error || is_critical(&self.text) || self.exception().is_some()
    }

    /// The line of the exception that it ends in; `None` where it has none.
    fn exception(&self) -> Option<String> {
        self.text.lines().rev().find(|line| is_exception(line)).map(|line| line.trim().to_owned())
    }
}

fn is_critical(text: &str) -> bool {
    text.starts_with("CRITICAL ") || text.contains("level=CRITICAL") || text.contains("| CRITICAL")
}

/// Singer's SDK logs "An unhandled error occurred …" before the line that says which; a traceback
/// says it in its last line.
fn is_telling(text: &str) -> bool {
    !text.contains("unhandled error") && !is_chain(text)
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim().to_owned()
}

/// `psycopg2.OperationalError: …`: a dotted name that ends in Error or Exception, then a colon.
fn is_exception(line: &str) -> bool {
    line.split_once(':').is_some_and(|(name, rest)| {
        !rest.trim().is_empty()
            && (name.ends_with("Error") || name.ends_with("Exception"))
            && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.')
    })
}

/// Reads to the end, logging as it goes.
pub async fn drain(source: impl AsyncRead + Unpin, level_of: LevelOf) -> Tail {
    let mut source = Delayed::new(source, BEHIND_OUTPUT);
    let mut lines = Lines::new(ENTRY_BYTES);
    let mut entries = Entries { level_of, open: None, tail: Tail::default() };
    // Whether the rest of a line that was cut is passed over: half a secret cannot be masked.
    let mut cut = false;
    loop {
        let read = tokio::time::timeout(QUIET, lines.fill(&mut source)).await;
        match read {
            Err(_quiet) => entries.close(),
            // A pipe that cannot be read has nothing more to say.
            Ok(Ok(0) | Err(_)) => break,
            // Whatever is secret in what came was so before it came.
            Ok(Ok(_)) => log::learn(),
        }
        loop {
            match lines.next_line() {
                Ok(Some(_)) if std::mem::take(&mut cut) => {}
                Ok(Some(line)) => entries.line(&String::from_utf8_lossy(line)),
                Ok(None) => break,
                // A line without end is cut, not kept: this is only a log.
                Err(_too_long) => {
                    let line = lines.take_rest();
                    if !std::mem::replace(&mut cut, true) {
                        entries.line(&shortened(line));
                    }
                }
            }
        }
    }
    if !cut {
        entries.line(&String::from_utf8_lossy(lines.take_rest()));
    }
    entries.close();
    entries.tail
}

/// The beginning of a line that is too long. Its end may be half a secret, which no mask fits, so more
/// is left out than the longest secret has.
fn shortened(line: &[u8]) -> String {
    let text = log::masked(&String::from_utf8_lossy(line));
    let end = (0..=text.len().saturating_sub(CUT_BYTES)).rev().find(|&at| text.is_char_boundary(at));
    format!("{}\u{2026} (a line longer than {ENTRY_BYTES} bytes was cut)", &text[..end.unwrap_or(0)])
}

/// Joins lines to entries.
struct Entries {
    level_of: LevelOf,
    open: Option<Entry>,
    tail: Tail,
}

struct Entry {
    kept: Kept,
    traceback: bool,
}

impl Entries {
    fn line(&mut self, line: &str) {
        let line = line.trim_end();
        if let Some(open) = &mut self.open {
            let indented = line.starts_with([' ', '\t']);
            let in_traceback = open.traceback && (self.level_of)(line).is_none();
            if (indented || in_traceback) && open.kept.text.len() + line.len() < ENTRY_BYTES {
                open.kept.text.push('\n');
                open.kept.text.push_str(line);
                // The exception's own line ends a traceback; a chained one begins the next.
                open.traceback = open.traceback && (indented || line.is_empty() || is_chain(line));
                return;
            }
        }
        self.close();
        if line.is_empty() {
            return;
        }
        let traceback = is_chain(line);
        let (level, message) = match (self.level_of)(line) {
            Some((level, message)) => (Some(level), message),
            None => (traceback.then_some(Level::Error), line),
        };
        let message = line.strip_suffix(message).map_or(0, str::len);
        self.open = Some(Entry { kept: Kept { level, text: line.to_owned(), message }, traceback });
    }

    fn close(&mut self) {
        if let Some(Entry { kept, .. }) = self.open.take() {
            log::upstream_learnt(kept.level.unwrap_or(Level::Info), kept.message(), Map::new());
            self.tail.push(kept);
        }
    }
}

fn is_chain(line: &str) -> bool {
    line.starts_with("Traceback (most recent call last)")
        || line.starts_with("During handling of the above exception")
        || line.starts_with("The above exception was the direct cause")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(line: &str) -> Option<(Level, &str)> {
        line.split_once(' ').and_then(|(word, rest)| word.parse().ok().map(|level| (level, rest)))
    }

    async fn tail_of(text: &str) -> Tail {
        drain(text.as_bytes(), plain).await
    }

    #[tokio::test]
    async fn a_traceback_is_one_entry() {
        let tail = tail_of(
            "INFO starting\nTraceback (most recent call last):\n  File \"x\", line 1\nValueError: bad port\nbye\n",
        )
        .await;
        assert_eq!(tail.entries.len(), 3);
        assert!(tail.entries[1].text.ends_with("ValueError: bad port"));
    }

    #[tokio::test]
    async fn the_cause_is_found_before_the_useless_last_line() {
        let text = "Traceback (most recent call last):\n  File \"x\", line 1\npsycopg2.OperationalError: no password\n(Background on this error at: https://sqlalche.me/e/20/e3q8)\n";
        assert_eq!(tail_of(text).await.cause().as_deref(), Some("psycopg2.OperationalError: no password"));
        let text = "Traceback (most recent call last):\n  x\nKeyError: 'port'\n\nThe above exception was the direct cause of the following exception:\n\nTraceback (most recent call last):\n  y\nConfigError: no port\n";
        assert_eq!(tail_of(text).await.cause().as_deref(), Some("ConfigError: no port"));
        let text = "CRITICAL access denied\nTraceback (most recent call last):\n  x\nValueError: y\n";
        assert_eq!(tail_of(text).await.cause().as_deref(), Some("access denied"));
        let text = "ERROR Retrying with fewer arguments\nTraceback (most recent call last):\n  x\nOperationalError: refused\n";
        assert_eq!(tail_of(text).await.cause().as_deref(), Some("OperationalError: refused"));
        let text =
            "Traceback (most recent call last):\n  x\nValueError: survived\nERROR no such table\nINFO bye\n";
        assert_eq!(tail_of(text).await.cause().as_deref(), Some("no such table"));
        let text = "CRITICAL survived\nINFO on\nCRITICAL refused\nCRITICAL is it running?\nTraceback (most recent call last):\n  x\nE: y\n";
        assert_eq!(tail_of(text).await.cause().as_deref(), Some("refused"));
        assert_eq!(tail_of("usage: tap\n").await.cause().as_deref(), Some("usage: tap"));
        assert_eq!(tail_of("").await.cause(), None);
    }

    #[tokio::test]
    async fn a_line_without_end_is_bounded() {
        let mut tail = tail_of(&"x".repeat(ENTRY_BYTES * 3)).await;
        let [Kept { text, .. }] = tail.entries.make_contiguous() else {
            panic!("one entry: {:?}", tail.entries.len())
        };
        assert!(text.len() <= ENTRY_BYTES && text.ends_with("was cut)"), "{}", text.len());
    }
}
