//! Student's t and the normal distribution.

use statrs::distribution::{ContinuousCDF as _, Normal, StudentsT};

/// With more degrees of freedom, Student's t is the normal distribution to six digits, and the inverse
/// of the former loses its accuracy.
const DEGREES_NORMAL: f64 = 1e5;

/// The value that Student's t with so many degrees of freedom, at least 1, exceeds with a probability
/// of `(1 - level) / 2`: the factor of a two-sided interval. `level` lies between 0 and 1.
pub(crate) fn t_quantile(level: f64, degrees: f64) -> f64 {
    t_inverse(f64::midpoint(1.0, level), degrees)
}

/// The value below which Student's t lies with probability `p`.
pub(crate) fn t_inverse(p: f64, degrees: f64) -> f64 {
    if degrees > DEGREES_NORMAL {
        return Normal::standard().inverse_cdf(p);
    }
    match StudentsT::new(0.0, 1.0, degrees.max(1.0)) {
        Ok(student) => student.inverse_cdf(p),
        Err(_) => f64::NAN,
    }
}

/// The probability of a t that is at least as far from 0.
pub(crate) fn two_sided_p(t: f64, degrees: f64) -> f64 {
    if t.is_infinite() {
        return 0.0;
    }
    match StudentsT::new(0.0, 1.0, degrees.max(1.0)) {
        Ok(student) => 2.0 * student.cdf(-t.abs()),
        Err(_) => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Table of Student's t in Abramowitz and Stegun, 26.10, and R's `qt`.
    #[test]
    fn quantiles_are_those_of_tables() {
        let rows = [
            (0.95, 1.0, 12.706_205),
            (0.95, 2.0, 4.302_653),
            (0.95, 4.0, 2.776_445),
            (0.95, 9.0, 2.262_157),
            (0.99, 5.0, 4.032_143),
            (0.90, 19.0, 1.729_133),
            (0.95, 100.0, 1.983_972),
            (0.95, 1e6, 1.959_966),
        ];
        for (level, degrees, expected) in rows {
            let quantile = t_quantile(level, degrees);
            assert!((quantile - expected).abs() < 1e-5, "{level} {degrees}: {quantile}");
        }
    }

    /// R: `2 * pt(-2, 4)`, `2 * pt(-3.5, 9)`.
    #[test]
    fn probabilities_count_both_sides() {
        assert!((two_sided_p(2.0, 4.0) - 0.116_116_5).abs() < 1e-6);
        assert!((two_sided_p(-3.5, 9.0) - 0.006_723_5).abs() < 1e-6);
        assert!((two_sided_p(0.0, 3.0) - 1.0).abs() < 1e-12);
        assert!(two_sided_p(f64::INFINITY, 3.0).abs() < 1e-12);
    }
}
