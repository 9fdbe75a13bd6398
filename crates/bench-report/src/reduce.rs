//! Long series with fewer points.

/// A series with at most about `points_max` points in which every peak and every gap of the whole one is
/// still seen: of each stretch, the least and the largest value stay, in their order. A mean, or the
/// largest triangle of a line, would hide the tail.
#[must_use]
pub fn reduced(points: &[(f64, Option<f64>)], points_max: usize) -> Vec<(f64, Option<f64>)> {
    if points.len() <= points_max.max(2) {
        return points.to_vec();
    }
    // A stretch keeps two values, and perhaps a gap.
    let stretches = (points_max / 2).max(1);
    let length = points.len().div_ceil(stretches);
    points.chunks(length).flat_map(extremes).collect()
}

/// The least and the largest value of a stretch in their order, with its first gap.
fn extremes(stretch: &[(f64, Option<f64>)]) -> Vec<(f64, Option<f64>)> {
    let value = |index: &usize| stretch[*index].1.unwrap_or_default();
    let measured = || (0..stretch.len()).filter(|index| stretch[*index].1.is_some());
    let least = measured().min_by(|a, b| value(a).total_cmp(&value(b)));
    let largest = measured().max_by(|a, b| value(a).total_cmp(&value(b)));
    let gap = (0..stretch.len()).find(|index| stretch[*index].1.is_none());
    let mut kept: Vec<usize> = [least, largest, gap].into_iter().flatten().collect();
    kept.sort_unstable();
    kept.dedup();
    kept.into_iter().map(|index| stretch[index]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_and_gaps_stay() {
        let mut points: Vec<(f64, Option<f64>)> =
            (0..36_000).map(|second| (f64::from(second), Some(10.0))).collect();
        points[17_001].1 = Some(900.0);
        points[23_456].1 = Some(1.0);
        points[30_000].1 = None;
        let few = reduced(&points, 2_000);
        assert!(few.len() <= 2_001, "{}", few.len());
        for kept in [(17_001.0, Some(900.0)), (23_456.0, Some(1.0)), (30_000.0, None)] {
            assert!(few.contains(&kept), "{kept:?}");
        }
        assert!(few.is_sorted_by(|a, b| a.0 < b.0), "in the order of time");
    }

    #[test]
    fn short_series_stay_whole() {
        let points = [(0.0, Some(1.0)), (1.0, None), (2.0, Some(3.0))];
        assert_eq!(reduced(&points, 3), points);
        assert_eq!(reduced(&[], 3), []);
    }
}
