//! What a benchmark says: ours and the floor of the same run, their ratio over rounds, and whether that is good enough.
//! Pure.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

/// What a measured value must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Limit {
    /// A share of the floor, or more.
    AtLeast(f64),
    /// A multiple of the floor, or less; of a value that has no floor, the value itself.
    AtMost(f64),
    /// Only told.
    None,
}

impl Limit {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(limit) => value >= limit,
            Self::AtMost(limit) => value <= limit,
            // Also what could not be measured has a value, which is no number.
            Self::None => value.is_finite(),
        }
    }

    fn json(self) -> Value {
        match self {
            Self::AtLeast(limit) => json!({"atLeast": limit}),
            Self::AtMost(limit) => json!({"atMost": limit}),
            Self::None => Value::Null,
        }
    }
}

/// One measured thing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    name: String,
    unit: &'static str,
    ours: f64,
    floor: Option<f64>,
    /// What the limit is about: the ratio where there is a floor.
    judged: Spread,
    limit: Limit,
}

impl Finding {
    /// Rounds of (ours, floor). Each round is compared with itself, as machines have good and bad minutes.
    pub(crate) fn ratio(name: &str, unit: &'static str, rounds: &[(f64, f64)], limit: Limit) -> Self {
        let of = |part: fn(&(f64, f64)) -> f64| Spread::of(rounds.iter().map(part).collect());
        Self {
            name: name.into(),
            unit,
            ours: of(|round| round.0).median,
            floor: Some(of(|round| round.1).median),
            judged: of(|round| round.0 / round.1),
            limit,
        }
    }

    /// A value that is judged as it is, measured once or in rounds.
    pub(crate) fn value(name: &str, unit: &'static str, rounds: Vec<f64>, limit: Limit) -> Self {
        let judged = Spread::of(rounds);
        Self { name: name.into(), unit, ours: judged.median, floor: None, judged, limit }
    }

    fn passed(&self) -> bool {
        self.limit.holds(self.judged.median)
    }

    fn json(&self) -> Value {
        let mut json = json!({"name": self.name, "unit": self.unit, "ours": rounded(self.ours)});
        if let Some(floor) = self.floor {
            json["floor"] = json!(rounded(floor));
            json["ratio"] = self.judged.json();
        } else {
            json["rounds"] = self.judged.json();
        }
        json["limit"] = self.limit.json();
        json["passed"] = json!(self.passed());
        json
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<44} {:>10} {:<10}", self.name, rounded(self.ours), self.unit)?;
        if let Some(floor) = self.floor {
            let Spread { median, min, max } = self.judged;
            write!(f, " floor {:>8}, ratio {median:.2} ({min:.2} to {max:.2})", rounded(floor))?;
        }
        match self.limit {
            Limit::AtLeast(limit) => write!(f, ", at least {limit}")?,
            Limit::AtMost(limit) => write!(f, ", at most {limit}")?,
            Limit::None => {}
        }
        if self.passed() { Ok(()) } else { f.write_str("  MISSED") }
    }
}

/// All that one benchmark found.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) bench: &'static str,
    /// Too short to be judged?
    pub(crate) smoke: bool,
    pub(crate) findings: Vec<Finding>,
}

impl Report {
    /// The line for programs.
    pub(crate) fn json(&self, machine: &Value) -> Value {
        let results: Vec<Value> = self.findings.iter().map(Finding::json).collect();
        json!({"bench": self.bench, "smoke": self.smoke, "passed": self.passed(), "machine": machine, "results": results})
    }

    /// Whether nothing was missed. A smoke run only shows that the benchmark works.
    pub(crate) fn passed(&self) -> bool {
        self.smoke || self.findings.iter().all(Finding::passed)
    }
}

/// The middle of some values, and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
        Self { median: f64::midpoint(at(low), at(high)), min: at(0), max: at(values.len().saturating_sub(1)) }
    }

    fn json(&self) -> Value {
        json!({"median": rounded(self.median), "min": rounded(self.min), "max": rounded(self.max)})
    }
}

/// The time that 99 of 100 kept, in milliseconds.
pub(crate) fn p99(times: Vec<Duration>) -> f64 {
    quantile(times, 99)
}

/// The time that half of them kept, in milliseconds.
pub(crate) fn median(times: Vec<Duration>) -> f64 {
    quantile(times, 50)
}

/// The smallest of the times that `percent` of them do not exceed (nearest rank).
fn quantile(mut times: Vec<Duration>, percent: usize) -> f64 {
    times.sort_unstable();
    let rank = (times.len() * percent).div_ceil(100).max(1);
    times.get(rank - 1).map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
}

/// Four digits, which is more than any of it is worth.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let scale = 10f64.powf(3.0 - value.abs().log10().floor());
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(times: impl IntoIterator<Item = u64>) -> Vec<Duration> {
        times.into_iter().map(Duration::from_millis).collect()
    }

    fn passes(finding: Finding) -> bool {
        Report { bench: "x", smoke: false, findings: vec![finding] }.passed()
    }

    #[test]
    fn the_ratio_is_that_of_each_round_and_not_of_the_medians() {
        let rounds = [(90.0, 100.0), (9.0, 10.0), (900.0, 1000.0), (1.0, 2.0)];
        let finding = Finding::ratio("x", "1/s", &rounds, Limit::AtLeast(0.9));
        assert_eq!(finding.judged, Spread { median: 0.9, min: 0.5, max: 0.9 });
        assert!(passes(finding));
    }

    #[test]
    fn a_limit_that_is_missed_fails_the_benchmark() {
        let rounds = [(2.1, 1.0)];
        assert!(!passes(Finding::ratio("x", "ms", &rounds, Limit::AtMost(2.0))));
        assert!(passes(Finding::ratio("x", "ms", &rounds, Limit::AtMost(2.1))));
        assert!(!passes(Finding::value("x", "MB", vec![26.0], Limit::AtMost(25.0))));
        assert!(!passes(Finding::ratio("x", "1/s", &[(0.7, 1.0)], Limit::AtLeast(0.75))));
    }

    #[test]
    fn what_was_not_measured_fails_the_benchmark() {
        for limit in [Limit::AtLeast(0.1), Limit::AtMost(9.0), Limit::None] {
            assert!(!passes(Finding::ratio("x", "ms", &[], limit)), "{limit:?}");
            assert!(!passes(Finding::value("x", "ms", vec![p99(Vec::new())], limit)), "{limit:?}");
        }
    }

    #[test]
    fn a_smoke_run_is_never_judged() {
        let missed = Finding::value("x", "MB", vec![26.0], Limit::AtMost(25.0));
        assert!(Report { bench: "x", smoke: true, findings: vec![missed] }.passed());
    }

    #[test]
    fn one_slow_answer_in_a_hundred_is_beyond_p99_and_two_are_not() {
        assert_eq!(p99(millis((0..99).map(|_| 1).chain([50]))), 1.0);
        assert_eq!(p99(millis((0..98).map(|_| 1).chain([50, 50]))), 50.0);
        assert_eq!(median(millis([3, 1, 2])), 2.0);
    }

    #[test]
    fn numbers_are_told_with_four_digits() {
        assert_eq!(rounded(12345.6), 12350.0);
        assert_eq!(rounded(0.012_345_6), 0.01235);
        assert_eq!(rounded(0.0), 0.0);
    }
}
