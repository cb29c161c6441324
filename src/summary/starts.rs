//! When something happened, in bounded memory and whatever the order: the earliest times exactly, all of them as a histogram.
//!
//! In: times in whole seconds. Out: a [`Starts`] that is a function of the times alone, so that merging is commutative and
//! associative. Regular gaps show in the earliest times, evenness and coverage in the histogram.

use std::collections::BTreeMap;

/// How many of the earliest times are kept exactly.
pub const EXACT_MAX: usize = 96;
/// Bins of a histogram of starts.
const BINS_MAX: u32 = 64;

/// Counts by bins of equal width, aligned to the epoch. The width is the smallest power of two seconds by which first and last lie within
/// the allowed number of bins, so that it follows from the times and not from their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    bins_max: u32,
    width_log2: u8,
    /// Bin → count; only bins that are not empty.
    bins: BTreeMap<u32, u32>,
}

impl Histogram {
    /// An empty histogram of at most `bins_max` bins, none narrower than two to the power of `narrowest_log2` seconds.
    pub const fn new(bins_max: u32, narrowest_log2: u8) -> Self {
        Self { bins_max, width_log2: narrowest_log2, bins: BTreeMap::new() }
    }

    /// Counts `times` events in a second.
    pub fn add(&mut self, second: u32, times: u32) {
        let bin = second >> self.width_log2;
        self.fit(bin, bin);
        let count = self.bins.entry(second >> self.width_log2).or_default();
        *count = count.saturating_add(times);
    }

    /// Adds the counts of another histogram with the same bounds.
    pub fn absorb(&mut self, other: &Self) {
        let (Some(first), Some(last)) = (other.bins.keys().next(), other.bins.keys().next_back()) else { return };
        while self.width_log2 < other.width_log2 {
            self.coarsen();
        }
        let by = self.width_log2 - other.width_log2;
        self.fit(first >> by, last >> by);
        let by = self.width_log2 - other.width_log2;
        for (bin, times) in &other.bins {
            let count = self.bins.entry(bin >> by).or_default();
            *count = count.saturating_add(*times);
        }
    }

    /// Widens the bins until these fit in, too.
    fn fit(&mut self, mut first: u32, mut last: u32) {
        while let (Some(own_first), Some(own_last)) = (self.bins.keys().next(), self.bins.keys().next_back())
            && last.max(*own_last) - first.min(*own_first) >= self.bins_max
        {
            self.coarsen();
            (first, last) = (first >> 1, last >> 1);
        }
        while last - first >= self.bins_max {
            self.coarsen();
            (first, last) = (first >> 1, last >> 1);
        }
    }

    fn coarsen(&mut self) {
        self.width_log2 = (self.width_log2 + 1).min(31);
        let mut bins = BTreeMap::new();
        for (bin, times) in std::mem::take(&mut self.bins) {
            let count: &mut u32 = bins.entry(bin >> 1).or_default();
            *count = count.saturating_add(times);
        }
        self.bins = bins;
    }

    /// The width of a bin in seconds.
    pub const fn width(&self) -> u32 {
        1 << self.width_log2
    }

    /// Start of each bin that is not empty, in seconds, with its count.
    pub fn bins(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.bins.iter().map(|(bin, count)| (bin << self.width_log2, *count))
    }

    /// The counts from the first to the last bin, empty ones too.
    pub fn counts(&self) -> Vec<u32> {
        let (Some(first), Some(last)) = (self.bins.keys().next(), self.bins.keys().next_back()) else {
            return Vec::new();
        };
        (*first..=*last).map(|bin| self.bins.get(&bin).copied().unwrap_or(0)).collect()
    }
}

/// When connections began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Starts {
    count: u64,
    /// The earliest, sorted, with repetitions.
    earliest: Vec<u32>,
    /// All of them; only when there are more than [`EXACT_MAX`].
    spread: Option<Box<Histogram>>,
    last: u32,
}

impl Starts {
    /// Adds a time in seconds since the epoch.
    pub fn add(&mut self, second: u32) {
        self.count += 1;
        self.last = self.last.max(second);
        if let Some(spread) = &mut self.spread {
            spread.add(second, 1);
            if self.earliest.last().is_some_and(|latest| second >= *latest) {
                return;
            }
        }
        let place = self.earliest.partition_point(|known| *known <= second);
        self.earliest.insert(place, second);
        if self.earliest.len() > EXACT_MAX {
            if self.spread.is_none() {
                self.spread = Some(Box::new(histogram(&self.earliest)));
            }
            self.earliest.truncate(EXACT_MAX);
        }
    }

    /// Adds all times of another.
    pub fn absorb(&mut self, other: &Self) {
        if other.spread.is_none() {
            other.earliest.iter().for_each(|second| self.add(*second));
            return;
        }
        let mut spread = self.spread();
        spread.absorb(&other.spread());
        self.spread = Some(Box::new(spread));
        self.count += other.count;
        self.last = self.last.max(other.last);
        self.earliest.extend(&other.earliest);
        self.earliest.sort_unstable();
        self.earliest.truncate(EXACT_MAX);
    }

    /// How many there were.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The earliest ones, at most [`EXACT_MAX`], in order.
    pub fn earliest(&self) -> &[u32] {
        &self.earliest
    }

    /// First and last, in seconds since the epoch.
    pub fn ends(&self) -> Option<(u32, u32)> {
        self.earliest.first().map(|first| (*first, self.last))
    }

    /// All of them by bins.
    pub fn spread(&self) -> Histogram {
        self.spread.as_deref().map_or_else(|| histogram(&self.earliest), Clone::clone)
    }
}

fn histogram(seconds: &[u32]) -> Histogram {
    let mut histogram = Histogram::new(BINS_MAX, 0);
    for second in seconds {
        histogram.add(*second, 1);
    }
    histogram
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(seconds: &[u32]) -> Starts {
        let mut starts = Starts::default();
        for second in seconds {
            starts.add(*second);
        }
        starts
    }

    #[test]
    fn the_earliest_are_exact_and_all_are_counted() {
        let seconds: Vec<u32> = (0..1_440).map(|minute| 1_700_000_000 + minute * 60).collect();
        let starts = of(&seconds);
        assert_eq!((starts.count(), starts.earliest().len()), (1_440, EXACT_MAX));
        assert_eq!(starts.ends(), Some((1_700_000_000, 1_700_086_340)));
        let spread = starts.spread();
        assert!(spread.counts().len() <= 64 && spread.counts().len() > 30, "{}", spread.counts().len());
        assert_eq!(spread.counts().iter().sum::<u32>(), 1_440);
    }

    proptest! {
        #[test]
        fn order_and_slicing_do_not_matter(
            seconds in prop::collection::vec(0_u32..3_000_000, 0..400),
            cut in 0_usize..400,
            wide in prop::collection::vec(prop::sample::select(vec![0_u32, 1, u32::MAX / 2, u32::MAX]), 0..3),
        ) {
            let all: Vec<u32> = seconds.iter().chain(&wide).copied().collect();
            let mut backwards = all.clone();
            backwards.reverse();
            let (one, two) = all.split_at(cut.min(all.len()));
            let mut merged = of(two);
            merged.absorb(&of(one));
            prop_assert_eq!(&merged, &of(&all));
            prop_assert_eq!(&of(&backwards), &of(&all));
            prop_assert_eq!(merged.spread().bins().map(|(_, count)| u64::from(count)).sum::<u64>(), merged.count());
        }
    }
}
