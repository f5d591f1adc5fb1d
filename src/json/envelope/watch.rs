//! What a caller wants to find again in a part of messages: scalars, by where they stand.
//!
//! It is asked when a gap is learned, not for each message, so what is not watched costs nothing.

use std::fmt::Debug;

use super::places::Step;

/// Says which scalars of a part are to be found again.
pub(crate) trait Watch: Debug + Send {
    /// Whether the scalar at the end of this way is one, in messages of this stream. The way begins in
    /// the part; names on it stand as in the text, without their quotes.
    fn watches(&self, stream: &str, way: &[&Step]) -> Watched;
}

/// What is known of the scalars at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watched {
    /// They are of no interest.
    No,
    /// They are to be found again, under this number.
    As(u32),
    /// The place does not tell: whoever wants to find them has to walk the part.
    Unclear,
}

/// A scalar that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot {
    /// Where it begins, in bytes from the beginning of the part.
    pub(crate) start: usize,
    /// Where it ends.
    pub(crate) end: usize,
    /// The number that [`Watch::watches`] gave it.
    pub(crate) number: u32,
}
