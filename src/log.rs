//! Log lines as Flow reads them: one JSON object a line on stderr (flow-protocol.md, section 4).
//!
//! Our own events come through `tracing`; upstream's lines come through [`upstream`] and say so in
//! the field `source`. The level is a process-wide setting, `LOG_LEVEL`. [`last_line`] is what ends
//! a failed run: nothing may be logged after it, because Flow shows the last line to the user.
//!
//! Every line leaves through one function, which masks what [`hide`] was told.

mod finder;
mod flood;
mod forms;
mod mask;
mod pretty;

use flood::{Flood, Folded};
pub use mask::Teacher;
pub use pretty::pretty;

use std::borrow::Cow;
use std::fmt;
use std::io::Write;
use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Instant;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::{Layer, Registry};

use crate::env;
use crate::failure::{Code, Failure};
use crate::terminal;

/// Flow's log levels, the quietest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something that a person should look at.
    Warn,
    /// What happens.
    Info,
    /// What happens, in detail.
    Debug,
    /// Everything.
    Trace,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
        }
    }
}

impl Level {
    /// The level that the environment asks for; `info` where it asks for none. The error says which there are.
    pub fn chosen() -> Result<Self, Failure> {
        let Some(chosen) = env::get(env::LOG_LEVEL) else { return Ok(Level::Info) };
        chosen.parse().map_err(|()| {
            let levels =
                [Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace].map(Level::name);
            let levels = levels.join(", ");
            Failure::new(
                Code::BAD_OPTION,
                format!("{} is {chosen:?}, and must be one of {levels}", env::LOG_LEVEL),
            )
        })
    }
}

impl FromStr for Level {
    type Err = ();

    /// Takes the spellings of Flow, Airbyte, Python and Java, in any case.
    fn from_str(text: &str) -> Result<Self, ()> {
        match text.to_ascii_lowercase().as_str() {
            "error" | "fatal" | "critical" | "panic" | "severe" => Ok(Level::Error),
            "warn" | "warning" => Ok(Level::Warn),
            "info" | "notice" => Ok(Level::Info),
            "debug" => Ok(Level::Debug),
            "trace" => Ok(Level::Trace),
            _ => Err(()),
        }
    }
}

/// Longer messages are cut, once they are masked.
const LONGEST_MESSAGE: usize = 64 * 1024;

/// Levels above this are not written; only errors are before [`start`].
static THRESHOLD: AtomicU8 = AtomicU8::new(Level::Error as u8);
/// What upstream said of late.
static FLOOD: LazyLock<Mutex<Flood>> = LazyLock::new(Mutex::default);
/// Whether lines are for a person, in text.
static FOR_PEOPLE: LazyLock<bool> = LazyLock::new(|| {
    terminal::watches_stderr() && env::get(env::LOG_FORMAT).is_none_or(|format| format != "json")
});

/// Whether lines of this level are written.
pub fn enabled(level: Level) -> bool {
    level as u8 <= THRESHOLD.load(Ordering::Relaxed)
}

/// Whether lines are text for a person at a terminal.
pub fn for_people() -> bool {
    *FOR_PEOPLE
}

/// Sends `tracing` events to stderr from here on.
pub fn start(threshold: Level) {
    THRESHOLD.store(threshold as u8, Ordering::Relaxed);
    // A second start, as tests in one process do, keeps the first subscriber: it has no settings.
    let _ = tracing::subscriber::set_global_default(Registry::default().with(FlowLines));
}

/// Has a panic, which is a bug of ours, leave as a log line: its text may quote what it stumbled over.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = panic.payload();
        let message =
            message.downcast_ref::<String>().map(String::as_str).or(message.downcast_ref::<&str>().copied());
        let message = message.unwrap_or_default();
        let message = format!("flow-shim has a bug; please report it: panic at {place}: {message}");
        write_failure(&Failure::new(Code::BUG, message));
    }));
}

/// Never again writes these values, given with the names of their members, in any form.
pub fn hide(secrets: impl IntoIterator<Item = (String, String)>) {
    mask::hide(secrets, true);
}

/// The same for secrets of a config that was renewed, of which there may be any number: the last few
/// hundred renewals are remembered.
pub fn hide_renewed(secrets: impl IntoIterator<Item = (String, String)>) {
    mask::hide(secrets, false);
}

/// The text as it would be logged.
pub fn masked(text: &str) -> String {
    mask::learn();
    mask::text(text).into_owned()
}

/// Asks this one for new secrets before each line of upstream's, as long as it lives: a line may hold
/// a token that was renewed a moment before.
pub fn learn_from(teacher: &Arc<Teacher>) {
    mask::learn_from(teacher);
}

/// Asks for new secrets now; see [`learn_from`].
pub fn learn() {
    mask::learn();
}

/// Logs a line that upstream wrote.
pub fn upstream(level: Level, message: &str, fields: Map<String, Value>) {
    // Before a line that is not written, too: it may be quoted later, as the last of many or by a failure.
    mask::learn();
    upstream_learnt(level, message, fields);
}

/// The same where [`learn`] was called after the line had come.
pub fn upstream_learnt(level: Level, message: &str, mut fields: Map<String, Value>) {
    if !enabled(level) {
        return;
    }
    let now = Instant::now();
    let (folded, admitted) = {
        let mut flood = FLOOD.lock().unwrap_or_else(PoisonError::into_inner);
        (flood.folded(now, false), flood.admits(level, message, now))
    };
    write_folded(folded);
    if admitted {
        fields.insert("source".to_owned(), "upstream".into());
        write_line(level, message, fields);
    }
}

/// Says how the capture is doing, for Flow to show beside its name (flow-protocol.md, 4.3).
pub fn status(message: &str) {
    let mut fields = Map::new();
    fields.insert("eventType".to_owned(), "connectorStatus".into());
    write_line(Level::Info, message, fields);
}

/// Has Flow store this config, which is encrypted already and so is not masked (flow-protocol.md, 4.3).
pub fn config_update(encrypted: Value) {
    let mut fields = Map::new();
    fields.insert("eventType".to_owned(), "configUpdate".into());
    fields.insert("config".to_owned(), encrypted);
    let message = "upstream changed its config, as when a token is renewed; Flow stores the new one";
    write_unmasked(Level::Info, message, fields);
}

/// Says how many lines of upstream's were left out because they were like others: those of the time
/// that is over, or with `all` of all time, as at the end of the process.
pub fn tell_folded(all: bool) {
    write_folded(FLOOD.lock().unwrap_or_else(PoisonError::into_inner).folded(Instant::now(), all));
}

fn write_folded(folded: Vec<Folded>) {
    for folded in folded {
        let mut fields = Map::new();
        fields.insert("source".to_owned(), "upstream".into());
        fields.insert("folded".to_owned(), folded.count.into());
        write_line(folded.level, &folded.message(), fields);
    }
}

/// Logs what ended the run. Call it once, last.
pub fn last_line(failure: &Failure) {
    tell_folded(true);
    write_failure(failure);
}

/// However long the message, its code stays.
fn write_failure(failure: &Failure) {
    let mut fields = failure.fields.clone();
    fields.insert("code".to_owned(), failure.code.name().into());
    fields.insert("failureType".to_owned(), failure.failure_type().name().into());
    fields.insert("exitCode".to_owned(), failure.cause().exit_code().into());
    if failure.code.is_observable() {
        fields.insert("observable".to_owned(), true.into());
    }
    let message = format!("{} [{}]", shortened(mask::text(&failure.message)), failure.code);
    write_unmasked(Level::Error, &message, mask::fields(fields));
}

fn write_line(level: Level, message: &str, fields: Map<String, Value>) {
    write_unmasked(level, &shortened(mask::text(message)), mask::fields(fields));
}

/// The text up to the limit; what was cut is told.
fn shortened(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.len() <= LONGEST_MESSAGE {
        return text;
    }
    let kept = &text[..boundary(&text, LONGEST_MESSAGE)];
    Cow::Owned(format!("{kept}\u{2026} ({} more bytes)", text.len() - kept.len()))
}

/// The last place at or before `at` where the text can be cut.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

fn write_unmasked(level: Level, message: &str, fields: Map<String, Value>) {
    let mut line = Map::new();
    line.insert("ts".to_owned(), jiff::Timestamp::now().to_string().into());
    line.insert("level".to_owned(), level.name().into());
    line.insert("message".to_owned(), message.into());
    if !fields.is_empty() {
        line.insert("fields".to_owned(), fields.into());
    }
    let text = if for_people() { pretty(&line) } else { None };
    let text = text.unwrap_or_else(|| format!("{}\n", Value::Object(line)));
    // Where stderr is closed there is nobody left to tell.
    let _ = terminal::above(|| std::io::stderr().write_all(text.as_bytes()));
}

/// Turns `tracing` events into Flow's lines.
struct FlowLines;

impl<S: tracing::Subscriber> Layer<S> for FlowLines {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let level = match *event.metadata().level() {
            tracing::Level::ERROR => Level::Error,
            tracing::Level::WARN => Level::Warn,
            tracing::Level::INFO => Level::Info,
            tracing::Level::DEBUG => Level::Debug,
            tracing::Level::TRACE => Level::Trace,
        };
        // Crates below us log at debug and trace; only our own events concern the user.
        if !enabled(level) || !event.metadata().target().starts_with("flow_shim") {
            return;
        }
        let mut parts = EventParts::default();
        event.record(&mut parts);
        write_line(level, &parts.message, parts.fields);
    }
}

/// The message and the fields of a `tracing` event.
#[derive(Default)]
struct EventParts {
    message: String,
    fields: Map<String, Value>,
}

impl EventParts {
    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            ("message", value) => self.message = value.to_string(),
            (name, value) => {
                self.fields.insert(name.to_owned(), value);
            }
        }
    }
}

impl Visit for EventParts {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_in_every_spelling() {
        assert_eq!("CRITICAL".parse(), Ok(Level::Error));
        assert_eq!("Warning".parse(), Ok(Level::Warn));
        assert_eq!("FATAL".parse(), Ok(Level::Error));
        assert_eq!("loud".parse::<Level>(), Err(()));
    }

    #[test]
    fn quieter_levels_come_first() {
        assert!(Level::Error < Level::Trace);
    }
}
