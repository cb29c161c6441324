//! How many different values there were, in bounded memory and whatever their order.
//!
//! In: hashes of values. Out: their number, exact up to [`KEPT_MAX`] and estimated beyond. The smallest hashes are kept (Bar-Yossef
//! et al., "Counting distinct elements in a data stream", 2002), so that merging is commutative and associative.

/// How many hashes are kept; below this number the count is exact.
pub(crate) const KEPT_MAX: usize = 256;

/// A set of values that knows its size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distinct {
    /// The smallest hashes, sorted.
    smallest: Vec<u64>,
}

impl Distinct {
    /// Adds a value by its hash.
    pub fn add(&mut self, hash: u64) {
        if self.smallest.len() >= KEPT_MAX && self.smallest.last().is_some_and(|largest| hash >= *largest) {
            return;
        }
        if let Err(place) = self.smallest.binary_search(&hash) {
            self.smallest.insert(place, hash);
            self.smallest.truncate(KEPT_MAX);
        }
    }

    /// Adds all values of another set.
    pub fn absorb(&mut self, other: &Self) {
        for hash in &other.smallest {
            self.add(*hash);
        }
    }

    /// The hashes that are kept, sorted: added to another set, they make it equal.
    pub fn hashes(&self) -> &[u64] {
        &self.smallest
    }

    /// How many different values were added. Beyond [`KEPT_MAX`] within about 6 % (one over the root of `KEPT_MAX`).
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an estimate of a positive number"
    )]
    pub fn count(&self) -> u64 {
        match self.smallest.last() {
            Some(largest) if self.smallest.len() >= KEPT_MAX => {
                let share = (*largest as f64 + 1.0) / (u64::MAX as f64 + 1.0);
                ((self.smallest.len() - 1) as f64 / share) as u64
            }
            _ => self.smallest.len() as u64,
        }
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.smallest.is_empty()
    }
}

/// FNV-1a, 64 bits (draft-eastlake-fnv): stable across releases and machines, and no defence against anybody.
pub fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// A hash of text that is the same in every version of this program: FNV-1a, then the finaliser of `SplitMix64`.
pub fn stable_hash(text: &str) -> u64 {
    let folded = fnv1a(text.as_bytes());
    let mixed = (folded ^ (folded >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(numbers: impl Iterator<Item = u32>) -> Distinct {
        let mut all = Distinct::default();
        numbers.for_each(|number| all.add(stable_hash(&number.to_string())));
        all
    }

    #[test]
    fn few_are_counted_and_many_are_estimated() {
        let check = |distinct: u32, least: u64, most: u64| {
            let count = of((0..distinct).chain(0..distinct)).count();
            assert!((least..=most).contains(&count), "{distinct} gave {count}");
        };
        check(0, 0, 0);
        check(255, 255, 255);
        check(1_000, 850, 1_150);
        check(50_000, 42_000, 58_000);
    }

    #[test]
    fn the_order_and_the_slicing_do_not_matter() {
        let whole = of(0..2_000);
        assert_eq!(of((0..2_000).rev()), whole);
        let mut sliced = of(1_500..2_000);
        sliced.absorb(&of(0..900));
        sliced.absorb(&of(700..1_600));
        assert_eq!(sliced, whole);
    }
}
