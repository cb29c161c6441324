//! Timelines as one line of marks.

const MARKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Nothing was seen.
const NOTHING: char = '·';
/// Nothing could be seen.
const UNSEEN: char = '×';

/// Counts as marks, each as high as its share of the highest; at most `width` of them, neighbours taken together where there are more.
/// `covered` tells which could have been seen at all.
pub(super) fn spark(counts: &[u64], covered: &[bool], width: usize) -> String {
    let together = counts.len().div_ceil(width.max(1)).max(1);
    let sums: Vec<u64> = counts.chunks(together).map(|some| some.iter().sum()).collect();
    let seen = covered.chunks(together).map(|some| some.iter().any(|covered| *covered));
    let highest = sums.iter().copied().max().unwrap_or(0).max(1);
    sums.iter()
        .zip(seen.chain(std::iter::repeat(true)))
        .map(|(sum, seen)| match (*sum, seen) {
            (0, true) => NOTHING,
            (0, false) => UNSEEN,
            (sum, _) => {
                // Rounded up, so that one connection beside thousands is still a mark.
                let height = (u128::from(sum) * 8).div_ceil(u128::from(highest)).clamp(1, 8);
                usize::try_from(height - 1).ok().and_then(|index| MARKS.get(index)).copied().unwrap_or(NOTHING)
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_as_high_as_their_share() {
        assert_eq!(spark(&[0, 1, 50, 100], &[true; 4], 10), "·▁▄█");
        assert_eq!(spark(&[0, 0, 3], &[false, true, false], 10), "×·█");
        assert_eq!(spark(&[1, 1, 0, 0, 2], &[true; 5], 3), "█·█");
        assert_eq!(spark(&[u64::MAX, 1], &[], 2), "█▁");
        assert_eq!(spark(&[], &[], 0), "");
    }
}
