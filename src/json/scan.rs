//! Hot path: walks JSON text token by token, and accepts nothing that is not JSON.
//!
//! It reads text that [`Scanner::new`] has found to be UTF-8 without control characters, as most lines
//! of connectors are: there, a string goes on to the next quote or backslash, and blanks are the only
//! white space. Other text is for a real parser. So `None` means both: no JSON, or not for us.

use wide::u8x16;

/// A place in a text.
#[derive(Debug, Clone)]
pub(crate) struct Scanner<'line> {
    bytes: &'line [u8],
    at: usize,
    /// Whether an escape of half a surrogate pair was passed; it may be a lone one.
    pub(crate) surrogates: bool,
    /// Whether the last string that was passed had an escape.
    pub(crate) escaped: bool,
}

impl<'line> Scanner<'line> {
    /// At the beginning of a text.
    #[inline]
    pub(crate) fn new(bytes: &'line [u8]) -> Option<Self> {
        // One pass without a branch: the compiler makes vector instructions of it.
        let (mut low, mut high) = (u8::MAX, 0);
        for &byte in bytes {
            low = low.min(byte);
            high = high.max(byte);
        }
        let plain = low >= b' ' && (high.is_ascii() || std::str::from_utf8(bytes).is_ok());
        plain.then_some(Self { bytes, at: 0, surrogates: false, escaped: false })
    }

    /// How many bytes were passed.
    #[inline]
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// What is ahead.
    #[inline]
    pub(crate) fn ahead(&self) -> &'line [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// The next byte; 0, which no text here holds, at the end.
    #[inline]
    pub(crate) fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    /// Passes so many bytes.
    #[inline]
    pub(crate) fn pass(&mut self, count: usize) {
        self.at += count;
    }

    /// Goes to where so many bytes are passed.
    #[inline]
    pub(crate) fn go_to(&mut self, at: usize) {
        self.at = at;
    }

    /// Passes a byte if it is this one.
    #[inline]
    pub(crate) fn pass_byte(&mut self, byte: u8) -> Option<()> {
        (self.peek() == byte).then(|| self.at += 1)
    }

    #[inline]
    pub(crate) fn pass_blanks(&mut self) {
        while self.peek() == b' ' {
            self.at += 1;
        }
    }

    /// Whether an object or array that begins here has nothing in it.
    pub(crate) fn is_empty_ahead(&self) -> bool {
        self.clone().pass_empty().is_some()
    }

    /// Passes an object or array that has nothing in it.
    fn pass_empty(&mut self) -> Option<()> {
        let end = if self.peek() == b'{' { b'}' } else { b']' };
        self.pass(1);
        self.pass_blanks();
        self.pass_byte(end)
    }

    /// Passes a string, a number, `true`, `false`, `null`, or an empty object or array.
    #[inline]
    pub(crate) fn pass_scalar(&mut self) -> Option<()> {
        match self.peek() {
            b'"' => self.pass_string(),
            b'-' | b'0'..=b'9' => self.pass_number(),
            b't' => self.pass_word(b"true"),
            b'f' => self.pass_word(b"false"),
            b'n' => self.pass_word(b"null"),
            b'{' | b'[' => self.pass_empty(),
            _ => None,
        }
    }

    /// Passes a string, from its opening quote to behind its closing one.
    #[inline]
    pub(crate) fn pass_string(&mut self) -> Option<()> {
        self.pass_byte(b'"')?;
        self.escaped = false;
        let (quote, backslash) = (u8x16::splat(b'"'), u8x16::splat(b'\\'));
        loop {
            let mut at = self.at;
            while let Some(block) = chunk(self.bytes, at) {
                let found = (block.simd_eq(quote) | block.simd_eq(backslash)).to_bitmask();
                if found != 0 {
                    at += found.trailing_zeros() as usize;
                    break;
                }
                at += 16;
            }
            self.at = at;
            if !matches!(self.peek(), b'"' | b'\\') {
                // Within the last bytes of the text.
                self.at += self.ahead().iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
            }
            if self.pass_byte(b'"').is_some() {
                return Some(());
            }
            self.pass_escape()?;
        }
    }

    #[inline(never)]
    fn pass_escape(&mut self) -> Option<()> {
        self.escaped = true;
        match self.ahead() {
            [_, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => self.at += 2,
            [_, b'u', digits @ ..] => {
                let digits = digits.get(..4).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
                self.surrogates |=
                    matches!(digits, [b'd' | b'D', b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F', ..]);
                self.at += 6;
            }
            _ => return None,
        }
        Some(())
    }

    #[inline]
    fn pass_number(&mut self) -> Option<()> {
        let _ = self.pass_byte(b'-');
        if self.pass_byte(b'0').is_none() {
            self.pass_digits()?;
        }
        if self.pass_byte(b'.').is_some() {
            self.pass_digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.pass_exponent()?;
        }
        Some(())
    }

    #[inline(never)]
    fn pass_exponent(&mut self) -> Option<()> {
        self.at += 1;
        if matches!(self.peek(), b'+' | b'-') {
            self.at += 1;
        }
        self.pass_digits()
    }

    #[inline]
    fn pass_digits(&mut self) -> Option<()> {
        let start = self.at;
        while let Some(block) = chunk(self.bytes, self.at) {
            let value = block - u8x16::splat(b'0');
            let others = !value.min(u8x16::splat(9)).simd_eq(value).to_bitmask() & 0xffff;
            if others != 0 {
                self.at += others.trailing_zeros() as usize;
                return (self.at > start).then_some(());
            }
            self.at += 16;
        }
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    #[inline]
    fn pass_word(&mut self, word: &[u8]) -> Option<()> {
        self.ahead().starts_with(word).then(|| self.at += word.len())
    }
}

/// The sixteen bytes that begin there; `None` where there are fewer.
#[inline]
fn chunk(bytes: &[u8], at: usize) -> Option<u8x16> {
    Some(u8x16::new(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// How far a scalar at the beginning of a text goes.
    fn scalar(text: &str) -> Option<usize> {
        let mut scanner = Scanner::new(text.as_bytes())?;
        scanner.pass_scalar()?;
        Some(scanner.at())
    }

    #[test]
    fn scalars_end_where_they_end() {
        for (text, end) in
            [("-0.50e+7,", 8), ("0", 1), ("truex", 4), (r#""a\"b\\" "#, 8), ("null", 4), ("\"\"", 2)]
        {
            assert_eq!(scalar(text), Some(end), "{text}");
        }
        for text in
            ["", "-", ".5", "1.", "1e", "1e+", "tru", "\"", r#""\x""#, r#""\u12g4""#, r#""\u12"#, "NaN", "+1"]
        {
            assert_eq!(scalar(text), None, "{text}");
        }
    }

    #[test]
    fn text_for_a_real_parser_is_left_to_it() {
        assert!(Scanner::new(b"\"a\tb\"").is_none());
        assert!(Scanner::new(b"\"\xff\"").is_none());
        assert!(Scanner::new("\"é\u{1f600}\"".as_bytes()).is_some());
    }

    #[test]
    fn halves_of_surrogate_pairs_are_noted() {
        for (text, noted) in
            [(r#""\uD83d""#, true), (r#""\udc00""#, true), (r#""\ud7ff""#, false), (r#""\\ud800""#, false)]
        {
            let mut scanner = Scanner::new(text.as_bytes()).expect("plain text");
            scanner.pass_scalar().expect("a string");
            assert_eq!(scanner.surrogates, noted, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_string_is_passed_as_a_parser_would(text in ".{0,60}", rest in "[,\\]} a\"\\\\]{0,20}") {
            let json = Value::from(text).to_string();
            let both = format!("{json}{rest}");
            if Scanner::new(both.as_bytes()).is_some() {
                prop_assert_eq!(scalar(&both), Some(json.len()));
            }
        }

        #[test]
        fn what_is_passed_whole_is_json(text in r#"["\\u0-9a-f.eE+ntrls -]{0,24}"#) {
            if scalar(&text) == Some(text.len()) {
                prop_assert!(serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok(), "{}", text);
            }
        }
    }
}
