//! How many bytes each of the earliest connections of one pod to one destination sent.
//!
//! In: the start of a connection and its bytes, in any order. Out: at most [`SIZES_MAX`] of them. Adding is commutative and associative: those with
//! the smallest start stay, and of those the smallest.

/// Connections whose size is kept, the earliest.
pub const SIZES_MAX: usize = 96;

/// Sizes of the earliest connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Seconds since the epoch and bytes, sorted.
    earliest: Vec<(u32, u64)>,
}

impl Sizes {
    /// Adds a connection that began at `second` and sent `bytes`.
    pub fn add(&mut self, second: u32, bytes: u64) {
        let place = self.earliest.partition_point(|known| *known <= (second, bytes));
        if place < SIZES_MAX {
            self.earliest.insert(place, (second, bytes));
            self.earliest.truncate(SIZES_MAX);
        }
    }

    /// Adds all connections of another.
    pub fn absorb(&mut self, other: &Self) {
        self.earliest.extend(&other.earliest);
        self.earliest.sort_unstable();
        self.earliest.truncate(SIZES_MAX);
    }

    /// Bytes sent by each connection, in the order of time.
    pub fn bytes(&self) -> impl Iterator<Item = u64> + '_ {
        self.earliest.iter().map(|(_, bytes)| *bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(sizes: &[(u32, u64)]) -> Sizes {
        let mut all = Sizes::default();
        for (second, bytes) in sizes {
            all.add(*second, *bytes);
        }
        all
    }

    proptest! {
        #[test]
        fn order_and_slicing_do_not_matter(sizes in prop::collection::vec((0_u32..150, 0_u64..4), 0..300), cut in 0_usize..300) {
            let (one, two) = sizes.split_at(cut.min(sizes.len()));
            let mut merged = of(two);
            merged.absorb(&of(one));
            prop_assert_eq!(&merged, &of(&sizes));
            prop_assert!(merged.bytes().count() <= SIZES_MAX);
        }
    }
}
