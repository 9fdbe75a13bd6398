//! Several comparisons at once: of a hundred equal figures, five differ "significantly" by chance.

/// The probabilities after Holm's correction: at a level of 0.05, the chance that any of the figures
/// below it differs by chance alone is at most 0.05 (Holm, "A simple sequentially rejective multiple
/// test procedure", Scandinavian Journal of Statistics 6, 1979).
#[must_use]
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut largest = 0.0_f64;
    let mut adjusted = vec![0.0; p.len()];
    for (rank, index) in ascending(p).into_iter().enumerate() {
        largest = largest.max(p[index] * (p.len() - rank) as f64).min(1.0);
        adjusted[index] = largest;
    }
    adjusted
}

/// The probabilities after the correction of Benjamini and Hochberg: at a level of 0.05, on average at
/// most one in twenty of the figures below it differs by chance alone ("Controlling the false discovery
/// rate", Journal of the Royal Statistical Society B 57, 1995).
#[must_use]
pub fn benjamini_hochberg(p: &[f64]) -> Vec<f64> {
    let mut smallest = 1.0_f64;
    let mut adjusted = vec![0.0; p.len()];
    for (rank, index) in ascending(p).into_iter().enumerate().rev() {
        smallest = smallest.min(p[index] * p.len() as f64 / (rank + 1) as f64);
        adjusted[index] = smallest;
    }
    adjusted
}

/// The positions from the smallest probability to the largest.
fn ascending(p: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_near(found: &[f64], expected: &[f64]) {
        let near = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(near && found.len() == expected.len(), "{found:?}, expected {expected:?}");
    }

    /// R: `p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")` and `"BH"`.
    #[test]
    fn corrections_are_those_of_r() {
        let p = [0.01, 0.04, 0.03, 0.005];
        assert_near(&holm(&p), &[0.03, 0.06, 0.06, 0.02]);
        assert_near(&benjamini_hochberg(&p), &[0.02, 0.04, 0.04, 0.02]);
    }

    #[test]
    fn corrected_probabilities_are_at_most_one() {
        assert_near(&holm(&[0.9, 0.8]), &[1.0, 1.0]);
        assert_near(&benjamini_hochberg(&[0.9, 0.8]), &[0.9, 0.9]);
        assert!(holm(&[]).is_empty() && benjamini_hochberg(&[]).is_empty());
    }
}
