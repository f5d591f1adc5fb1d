//! Hot path: text as a JSON string.

use wide::u8x16;

/// Appends text with its quotes. Whether bytes were replaced that are no UTF-8.
#[inline]
pub(super) fn write(text: &[u8], out: &mut Vec<u8>) -> bool {
    let valid = std::str::from_utf8(text).is_ok();
    out.push(b'"');
    if valid {
        escaped(text, out);
    } else {
        escaped(String::from_utf8_lossy(text).as_bytes(), out);
    }
    out.push(b'"');
    !valid
}

/// Appends text with what JSON wants escaped.
#[inline]
fn escaped(mut text: &[u8], out: &mut Vec<u8>) {
    loop {
        let plain = plain(text);
        out.extend_from_slice(&text[..plain]);
        let Some(&byte) = text.get(plain) else { return };
        escape(byte, out);
        text = &text[plain + 1..];
    }
}

/// How many bytes there are before the next one that is to be escaped.
#[inline]
fn plain(text: &[u8]) -> usize {
    let (quote, backslash, control) = (u8x16::splat(b'"'), u8x16::splat(b'\\'), u8x16::splat(0x1f));
    let mut at = 0;
    while let Some(block) = text[at..].first_chunk::<16>() {
        let block = u8x16::new(*block);
        let found = block.simd_eq(quote) | block.simd_eq(backslash) | block.min(control).simd_eq(block);
        let found = found.to_bitmask();
        if found != 0 {
            return at + found.trailing_zeros() as usize;
        }
        at += 16;
    }
    let odd = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
    text[at..].iter().position(odd).map_or(text.len(), |offset| at + offset)
}

#[inline(never)]
fn escape(byte: u8, out: &mut Vec<u8>) {
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            let digit = |half: u8| b"0123456789abcdef"[usize::from(half)];
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 0xf)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_what_a_serializer_writes(text in r#"[ -~"\\\x00-\x1fé😀]{0,60}"#) {
            let mut out = Vec::new();
            prop_assert!(!write(text.as_bytes(), &mut out));
            let out = String::from_utf8(out).expect("UTF-8");
            prop_assert_eq!(&serde_json::from_str::<String>(&out).expect("JSON"), &text);
            prop_assert_eq!(out, serde_json::to_string(&text).expect("JSON"));
        }

        #[test]
        fn bytes_that_are_no_text_become_text(bytes: Vec<u8>) {
            let mut out = Vec::new();
            let replaced = write(&bytes, &mut out);
            let text: String = serde_json::from_slice(&out).expect("JSON");
            prop_assert_eq!(replaced, text.as_bytes() != bytes);
        }
    }
}
