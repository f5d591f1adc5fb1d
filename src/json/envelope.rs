//! Hot path: reads a message of which a few members count, in one pass that validates all of it.
//!
//! Messages of one stream look alike: the same names in the same order. So the names of the last
//! message of each stream are remembered with what they mean, and a name that comes again is
//! recognised by comparing bytes, not by parsing it. A message that looks different costs a little
//! more and is remembered in turn. What is remembered never decides what is valid: a name was valid
//! where it stood, and is taken again only in the same place of an object.
//!
//! Text that [`Scanner`] leaves to a parser, deep nesting, and a member that comes twice give `None`.

use std::collections::HashMap;

use super::scan::Scanner;

/// Nesting beyond this is left to a parser.
const DEPTH: usize = 64;
/// As many bytes of a name are remembered, with the comma before and the colon behind it.
const NAME: usize = 32;
/// As many names of a message are remembered.
const NAMES: usize = 4096;
/// As many streams are told apart.
const STREAMS: usize = 4096;

/// What a member of a message is. The values of members that no [`Rule`] names are validated only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The message itself.
    Message,
    /// An object that holds further parts.
    Container,
    /// The name of the stream.
    Stream,
    /// A value that is wanted, by its place in [`Parts::values`].
    Value(u8),
    /// Nothing that counts.
    Other,
}

/// Which member of which object is what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    /// The object.
    pub(crate) of: Part,
    /// The member's name.
    pub(crate) name: &'static str,
    /// What it is.
    pub(crate) is: Part,
}

/// How many values may be wanted.
pub(crate) const VALUES: usize = 6;

/// The parts of a message, as they stand in its text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts<'line> {
    /// The stream's name, with its quotes.
    pub(crate) stream: Option<&'line [u8]>,
    /// The values that are wanted.
    pub(crate) values: [Option<&'line [u8]>; VALUES],
    /// Whether there is an escape of half a surrogate pair anywhere.
    pub(crate) surrogates: bool,
}

/// The text of a part that is a string without escapes.
#[inline]
pub(crate) fn plain_string(part: &[u8]) -> Option<&str> {
    let text = part.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if text.contains(&b'\\') { None } else { std::str::from_utf8(text).ok() }
}

/// A name that was seen, with all that stood around it.
#[derive(Debug, Clone, Copy)]
struct Seen {
    text: [u8; NAME],
    length: u8,
    of: Part,
    is: Part,
}

/// Reads messages of one protocol.
#[derive(Debug)]
pub(crate) struct Envelopes {
    rules: Vec<Rule>,
    streams: HashMap<Vec<u8>, usize>,
    /// The names of the last message of each stream.
    shapes: Vec<Vec<Seen>>,
    /// The stream of the last message.
    last: usize,
    last_name: Vec<u8>,
}

impl Envelopes {
    pub(crate) fn new(rules: &[Rule]) -> Self {
        Self {
            rules: rules.to_vec(),
            streams: HashMap::new(),
            shapes: vec![Vec::new()],
            last: 0,
            last_name: Vec::new(),
        }
    }

    /// The parts of a message.
    pub(crate) fn read<'line>(&mut self, line: &'line [u8]) -> Option<Parts<'line>> {
        let scanner = Scanner::new(line)?;
        let mut walk = Walk { scanner, line, envelopes: self, nth: 0, parts: Parts::default() };
        walk.message()?;
        let parts = walk.parts;
        Some(Parts { surrogates: walk.scanner.surrogates, ..parts })
    }

    /// Turns to what is remembered of a stream.
    #[inline]
    fn turn_to(&mut self, stream: &[u8]) {
        if self.last_name != stream {
            self.look_up(stream);
        }
    }

    fn remember(&mut self, nth: usize, seen: Seen) {
        let shape = &mut self.shapes[self.last];
        match shape.len() {
            length if nth < length => shape[nth] = seen,
            length if nth == length && nth < NAMES => shape.push(seen),
            // Behind a name that was not remembered none can be.
            _ => {}
        }
    }

    #[inline(never)]
    fn look_up(&mut self, stream: &[u8]) {
        let shape = match self.streams.get(stream) {
            Some(shape) => *shape,
            None if self.shapes.len() > STREAMS => return,
            None => {
                // Its messages begin as the last one did.
                self.shapes.push(self.shapes[self.last].clone());
                self.streams.insert(stream.to_owned(), self.shapes.len() - 1);
                self.shapes.len() - 1
            }
        };
        self.last = shape;
        self.last_name.clear();
        self.last_name.extend_from_slice(stream);
    }
}

/// One message being read.
struct Walk<'line, 'e> {
    scanner: Scanner<'line>,
    line: &'line [u8],
    envelopes: &'e mut Envelopes,
    /// How many names were read.
    nth: usize,
    parts: Parts<'line>,
}

/// An object or array that is open.
#[derive(Clone, Copy)]
struct Open {
    /// What it is; `None` for an array.
    part: Option<Part>,
    start: usize,
}

impl Walk<'_, '_> {
    fn message(&mut self) -> Option<()> {
        self.scanner.pass_blanks();
        self.values()?;
        self.scanner.pass_blanks();
        self.scanner.ahead().is_empty().then_some(())
    }

    /// Passes a value with all that is in it.
    fn values(&mut self) -> Option<()> {
        let mut open = [Open { part: None, start: 0 }; DEPTH];
        let mut depth = 0;
        let mut part = Part::Message;
        loop {
            self.scanner.pass_blanks();
            let start = self.scanner.at();
            match self.scanner.peek() {
                b'{' => {
                    self.scanner.pass(1);
                    self.scanner.pass_blanks();
                    if self.scanner.pass_byte(b'}').is_none() {
                        *open.get_mut(depth)? = Open { part: Some(part), start };
                        depth += 1;
                        part = self.name(part, false)?;
                        continue;
                    }
                }
                b'[' => {
                    // What is in an array is no part, and no part is an array.
                    (part == Part::Other).then_some(())?;
                    self.scanner.pass(1);
                    self.scanner.pass_blanks();
                    if self.scanner.pass_byte(b']').is_none() {
                        *open.get_mut(depth)? = Open { part: None, start };
                        depth += 1;
                        continue;
                    }
                }
                _ => self.scanner.pass_scalar()?,
            }
            self.keep(part, start)?;
            part = loop {
                let Some(above) = depth.checked_sub(1) else { return Some(()) };
                self.scanner.pass_blanks();
                match (self.scanner.peek(), open[above].part) {
                    (b',', Some(of)) => break self.name(of, true)?,
                    (b',', None) => {
                        self.scanner.pass(1);
                        break Part::Other;
                    }
                    (b'}', Some(of)) => {
                        self.scanner.pass(1);
                        self.keep(of, open[above].start)?;
                    }
                    (b']', None) => self.scanner.pass(1),
                    _ => return None,
                }
                depth = above;
            };
        }
    }

    /// Passes the name of a member of an object that is `of`, and says what the member is.
    #[inline]
    fn name(&mut self, of: Part, comma: bool) -> Option<Part> {
        let nth = self.nth;
        self.nth += 1;
        let seen = self.envelopes.shapes[self.envelopes.last].get(nth);
        if let Some(seen) = seen
            && seen.of == of
            && seen.stands_at(self.scanner.ahead())
        {
            self.scanner.pass(usize::from(seen.length));
            return Some(seen.is);
        }
        self.new_name(of, comma, nth)
    }

    #[inline(never)]
    fn new_name(&mut self, of: Part, comma: bool, nth: usize) -> Option<Part> {
        let start = self.scanner.at();
        if comma {
            self.scanner.pass_byte(b',')?;
            self.scanner.pass_blanks();
        }
        let quote = self.scanner.at();
        self.scanner.pass_string()?;
        let is = if of == Part::Other {
            Part::Other
        } else {
            // An escaped name may be any name.
            (!self.scanner.escaped).then_some(())?;
            let name = &self.line[quote + 1..self.scanner.at() - 1];
            let rule = self.envelopes.rules.iter().find(|rule| rule.of == of && rule.name.as_bytes() == name);
            rule.map_or(Part::Other, |rule| rule.is)
        };
        self.scanner.pass_blanks();
        self.scanner.pass_byte(b':')?;
        self.scanner.pass_blanks();
        self.envelopes.remember(nth, Seen::new(&self.line[start..self.scanner.at()], of, is));
        Some(is)
    }

    /// Keeps a part that ends here.
    #[inline]
    fn keep(&mut self, part: Part, start: usize) -> Option<()> {
        let text = || Some(&self.line[start..self.scanner.at()]);
        let before = match part {
            Part::Stream => std::mem::replace(&mut self.parts.stream, text()),
            Part::Value(place) => std::mem::replace(self.parts.values.get_mut(usize::from(place))?, text()),
            Part::Message | Part::Container | Part::Other => return Some(()),
        };
        if let (Part::Stream, Some(stream)) = (part, self.parts.stream) {
            self.envelopes.turn_to(stream);
        }
        before.is_none().then_some(())
    }
}

impl Seen {
    fn new(text: &[u8], of: Part, is: Part) -> Self {
        // One that is too long holds its place as zeros, which stand in no text that is read here.
        let mut seen = Seen { text: [0; NAME], length: 32, of, is };
        if let (Some(place), Ok(length)) = (seen.text.get_mut(..text.len()), u8::try_from(text.len())) {
            place.copy_from_slice(text);
            seen.length = length;
        }
        seen
    }

    /// Whether a text begins with this name. Compares without a loop, as both ends of the name.
    #[inline]
    fn stands_at(&self, text: &[u8]) -> bool {
        let length = usize::from(self.length);
        let Some(text) = text.first_chunk::<NAME>() else { return text.starts_with(&self.text[..length]) };
        let [low, high] = halves(text);
        let [seen_low, seen_high] = halves(&self.text);
        if length <= 16 {
            (low ^ seen_low) << (128 - 8 * length) == 0
        } else {
            low == seen_low && (high ^ seen_high) << (256 - 8 * length) == 0
        }
    }
}

#[inline]
fn halves(text: &[u8; NAME]) -> [u128; 2] {
    let half = |at: usize| text[at..].first_chunk::<16>().map_or(0, |half| u128::from_le_bytes(*half));
    [half(0), half(16)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;
    use serde_json::value::RawValue;

    use super::*;

    const DATA: Part = Part::Value(0);
    const RULES: &[Rule] = &[
        Rule { of: Part::Message, name: "record", is: Part::Container },
        Rule { of: Part::Container, name: "stream", is: Part::Stream },
        Rule { of: Part::Container, name: "data", is: DATA },
        Rule { of: DATA, name: "_meta", is: Part::Value(1) },
    ];

    fn read<'a>(envelopes: &mut Envelopes, line: &'a str) -> Option<Parts<'a>> {
        envelopes.read(line.as_bytes())
    }

    fn text(part: Option<&[u8]>) -> Option<&str> {
        part.map(|part| std::str::from_utf8(part).expect("UTF-8"))
    }

    #[test]
    fn parts_are_cut_out_in_any_order_and_with_blanks() {
        let mut envelopes = Envelopes::new(RULES);
        for line in [
            r#"{"type":"RECORD","record":{"stream":"users","data":{"id":1,"_meta":{"a":[]}},"at":7}}"#,
            r#"{"type":"RECORD","record":{"stream":"users","data":{"id":1,"_meta":{"a":[]}},"at":7}}"#,
            r#" { "record" : { "at":[1, {"_meta": 0}], "data" :{"id":1,"_meta":{"a":[]}} , "stream": "users" } } "#,
        ] {
            let parts = read(&mut envelopes, line).expect(line);
            assert_eq!(text(parts.stream), Some("\"users\""), "{line}");
            assert_eq!(text(parts.values[0]), Some(r#"{"id":1,"_meta":{"a":[]}}"#), "{line}");
            assert_eq!(text(parts.values[1]), Some(r#"{"a":[]}"#), "{line}");
        }
    }

    #[test]
    fn a_name_counts_only_in_its_place() {
        let mut envelopes = Envelopes::new(RULES);
        let first = r#"{"record":{"data":{"a":1,"_meta":2}}}"#;
        let second = r#"{"record":{"data":{"a":{"_meta":2}}}}"#;
        for _ in 0..2 {
            assert!(read(&mut envelopes, first).expect("parts").values[1].is_some());
            assert!(read(&mut envelopes, second).expect("parts").values[1].is_none());
        }
    }

    #[test]
    fn what_is_doubtful_is_left_to_a_parser() {
        let mut envelopes = Envelopes::new(RULES);
        let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(80), "]".repeat(80));
        for line in [
            r#"{"record":{"data":{"\u005fmeta":1}}}"#,
            r#"{"record":{"data":{},"data":{}}}"#,
            r#"{"record":{"data":[1]}}"#,
            "{\"a\":\"\t\"}",
            "{\"a\":1}x",
            "",
            &deep,
        ] {
            assert_eq!(read(&mut envelopes, line), None, "{line}");
        }
    }

    #[test]
    fn streams_are_remembered_apart() {
        let mut envelopes = Envelopes::new(RULES);
        let line = |stream: &str, name: &str| {
            format!(r#"{{"record":{{"stream":"{stream}","data":{{"{name}":1}}}}}}"#)
        };
        for _ in 0..3 {
            for (stream, name) in [("a", "x"), ("b", "y")] {
                let line = line(stream, name);
                read(&mut envelopes, &line).expect("parts");
                let last = envelopes.shapes[envelopes.last].last().expect("names").text;
                assert!(last.starts_with(format!("\"{name}\":").as_bytes()));
            }
        }
        assert_eq!(envelopes.shapes.len(), 3);
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            "[\"\\\\{}a,: é]{0,20}".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 24, 5, |inner| {
            let name = prop_oneof![
                Just("record"),
                Just("stream"),
                Just("data"),
                Just("_meta"),
                Just("a long name, longer than is remembered")
            ];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((name, inner), 0..5).prop_map(|members| Value::Object(
                    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
                )),
            ]
        })
    }

    proptest! {
        #[test]
        fn parts_are_those_of_a_parser(values in prop::collection::vec(any_value(), 1..6)) {
            let mut envelopes = Envelopes::new(RULES);
            for value in values {
                let line = value.to_string();
                let Some(parts) = read(&mut envelopes, &line) else { continue };
                let parsed = |part: Option<&[u8]>| part.map(|part| serde_json::from_slice::<Value>(part).expect("JSON"));
                prop_assert_eq!(parsed(parts.stream), value.pointer("/record/stream").cloned());
                prop_assert_eq!(parsed(parts.values[0]), value.pointer("/record/data").cloned());
                prop_assert_eq!(parsed(parts.values[1]), value.pointer("/record/data/_meta").cloned());
            }
        }

        #[test]
        fn what_is_read_is_json(lines in prop::collection::vec(r#"[{}\[\]",:a0 \\]{0,14}"#, 1..8)) {
            let mut envelopes = Envelopes::new(RULES);
            for line in lines {
                if read(&mut envelopes, &line).is_some() {
                    prop_assert!(serde_json::from_str::<&RawValue>(&line).is_ok(), "{}", line);
                }
            }
        }

        #[test]
        fn a_changed_byte_is_noticed(at: prop::sample::Index, byte in 0_u8..128) {
            let mut envelopes = Envelopes::new(RULES);
            let line = br#"{"record":{"stream":"users","data":{"id":1,"n":[true,{"a":null}],"_meta":{"a":"b"}}}}"#.to_vec();
            envelopes.read(&line).expect("parts");
            let mut changed = line.clone();
            let at = at.index(line.len());
            changed[at] = byte;
            if envelopes.read(&changed).is_some() {
                prop_assert!(serde_json::from_slice::<&RawValue>(&changed).is_ok());
            }
            prop_assert!(envelopes.read(&line).is_some());
        }
    }
}
