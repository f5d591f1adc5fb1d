//! Hot path: protobuf, field by field, without any type of its own.

/// The bytes are no protobuf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

/// A message, from some field on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wire<'a>(&'a [u8]);

/// What a field holds, as far as the wire tells.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

impl<'a> Wire<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next field with its number; `None` at the end.
    #[inline]
    pub(super) fn field(&mut self) -> Result<Option<(u64, Field<'a>)>, Broken> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let field = match tag & 7 {
            0 => Field::Varint(self.varint()?),
            1 => Field::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Broken)?;
                Field::Bytes(self.take(length)?)
            }
            5 => Field::Fixed32(u32::from_le_bytes(self.array()?)),
            _ => return Err(Broken),
        };
        Ok(Some((tag >> 3, field)))
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Broken> {
        let mut value = 0;
        for nth in 0..10 {
            let (&byte, rest) = self.0.split_first().ok_or(Broken)?;
            self.0 = rest;
            if nth == 9 && byte > 1 {
                return Err(Broken);
            }
            value |= u64::from(byte & 0x7f) << (7 * nth);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Broken)
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], Broken> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Broken)?;
        self.0 = rest;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Broken)?;
        self.0 = rest;
        Ok(*taken)
    }
}

/// The number of a `sint32` or `sint64`.
#[inline]
pub(super) fn signed(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::encoding::{WireType, encode_key, encode_varint};

    use super::*;

    proptest! {
        #[test]
        fn numbers_are_read_as_they_were_written(number in 1_u32..1000, value: u64, text: Vec<u8>, of: i64) {
            let mut bytes = Vec::new();
            encode_key(number, WireType::Varint, &mut bytes);
            encode_varint(value, &mut bytes);
            encode_key(number, WireType::LengthDelimited, &mut bytes);
            encode_varint(text.len() as u64, &mut bytes);
            bytes.extend(&text);
            prost::encoding::sint64::encode(number, &of, &mut bytes);
            let mut wire = Wire::new(&bytes);
            prop_assert_eq!(wire.field(), Ok(Some((u64::from(number), Field::Varint(value)))));
            prop_assert_eq!(wire.field(), Ok(Some((u64::from(number), Field::Bytes(&text)))));
            let Ok(Some((_, Field::Varint(zigzag)))) = wire.field() else { panic!("a number") };
            prop_assert_eq!(signed(zigzag), of);
            prop_assert_eq!(wire.field(), Ok(None));
        }

        #[test]
        fn junk_never_panics_and_always_ends(bytes: Vec<u8>) {
            let mut wire = Wire::new(&bytes);
            while let Ok(Some(_)) = wire.field() {}
        }
    }
}
