//! Looks for a text in a body that comes in pieces, without keeping the body.

/// A search for one text.
#[derive(Debug)]
pub(crate) struct Search<'a> {
    needle: &'a [u8],
    /// The last bytes seen, fewer than the needle has.
    tail: Vec<u8>,
    found: bool,
}

impl<'a> Search<'a> {
    /// For a needle that is not empty.
    pub(crate) fn new(needle: &'a [u8]) -> Self {
        assert!(!needle.is_empty(), "nothing is found by looking for nothing");
        Self { needle, tail: Vec::new(), found: false }
    }

    /// Takes the next piece.
    pub(crate) fn feed(&mut self, piece: &[u8]) {
        if self.found {
            return;
        }
        let keep = self.needle.len() - 1;
        // The needle may lie across the border: it then begins in the tail.
        self.tail.extend_from_slice(&piece[..piece.len().min(keep)]);
        self.found = contains(&self.tail, self.needle) || contains(piece, self.needle);
        if piece.len() >= keep {
            self.tail.clear();
            self.tail.extend_from_slice(&piece[piece.len() - keep..]);
        } else {
            let surplus = self.tail.len().saturating_sub(keep);
            self.tail.drain(..surplus);
        }
    }

    /// Whether it was seen.
    pub(crate) fn found(&self) -> bool {
        self.found
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_are_as_good_as_the_whole(
            pieces in proptest::collection::vec("[ab]{0,5}", 0..12), needle in "[ab]{1,6}"
        ) {
            let mut search = Search::new(needle.as_bytes());
            for piece in &pieces {
                search.feed(piece.as_bytes());
            }
            prop_assert_eq!(search.found(), pieces.concat().contains(&needle));
        }
    }
}
