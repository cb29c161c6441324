//! A small random generator of our own, so that a seed gives the same bytes on every machine and in every release.
//!
//! In: a seed. Out: numbers. Never used for anything that must be secret. The algorithm is xoshiro256++ by
//! David Blackman and Sebastiano Vigna (public domain), its state filled by `SplitMix64`.

/// A deterministic generator.
#[derive(Clone, Debug)]
pub struct Random {
    state: [u64; 4],
}

impl Random {
    /// Fills the state from a seed.
    pub fn new(seed: u64) -> Self {
        let mut counter = seed;
        let mut state = [0; 4];
        for word in &mut state {
            counter = counter.wrapping_add(0x9e37_79b9_7f4a_7c15);
            *word = mixed(counter);
        }
        Self { state }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// A number in `0..bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        let product = u128::from(self.next_u64()) * u128::from(bound);
        u64::try_from(product >> 64).unwrap_or(0)
    }

    /// An index into something of `length`.
    pub fn index(&mut self, length: usize) -> usize {
        let bound = u64::try_from(length).unwrap_or(u64::MAX);
        usize::try_from(self.below(bound)).unwrap_or(0)
    }

    /// An index that prefers small values, as popularity does: the chance falls with the logarithm of the rank.
    pub fn popular_index(&mut self, length: usize) -> usize {
        let mut top = length;
        for _ in 0..2 {
            top = self.index(top) + 1;
        }
        self.index(top)
    }

    /// A duration of `low..=high` nanoseconds.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        let width = u64::try_from(high.saturating_sub(low)).unwrap_or(0).saturating_add(1);
        low.saturating_add(i64::try_from(self.below(width)).unwrap_or(0))
    }

    /// Whether something of probability `probability` (0 to 1) happens.
    pub fn chance(&mut self, probability: f64) -> bool {
        let bits = u32::try_from(self.next_u64() >> 32).unwrap_or(u32::MAX);
        f64::from(bits) < probability * 4_294_967_296.0
    }

    /// One of `items`; `None` when there is none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.index(items.len()))
    }

    /// A port from Linux's default ephemeral range, 32768 to 60999.
    pub fn ephemeral_port(&mut self) -> u16 {
        32_768 + u16::try_from(self.below(28_232)).unwrap_or(0)
    }

    /// `length` characters of the alphabet in which Kubernetes generates name parts (`k8s.io/apimachinery` rand).
    pub fn generated_part(&mut self, length: usize) -> String {
        (0..length).filter_map(|_| self.pick(b"bcdfghjklmnpqrstvwxz2456789").copied()).map(char::from).collect()
    }
}

/// Spreads the bits of a number (the finaliser of `SplitMix64`): equal in, equal out.
pub fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_of_a_seed_never_changes() {
        let mut random = Random::new(0);
        // First word: the published SplitMix64 states for seed 0, put through xoshiro256++ by hand.
        let [a, d] = [0xe220_a839_7b1d_cdaf_u64, 0xf88b_b8a8_724c_81ec_u64];
        assert_eq!(random.next_u64(), a.wrapping_add(d).rotate_left(23).wrapping_add(a));
        assert_ne!(random.next_u64(), Random::new(1).next_u64());
    }

    #[test]
    fn draws_stay_inside_their_bounds() {
        let mut random = Random::new(7);
        for _ in 0..10_000 {
            assert!(random.below(3) < 3);
            assert!(random.popular_index(5) < 5);
            assert!((-4..=9).contains(&random.between(-4, 9)));
            assert!((32_768..=60_999).contains(&random.ephemeral_port()));
        }
        assert!((0..1_000).all(|_| !random.chance(0.0) && random.chance(1.0)));
        assert_eq!((random.below(0), random.pick::<u8>(&[])), (0, None));
    }
}
