//! What a stage that has run comes to.

use std::collections::BTreeMap;

use anyhow::Error;

use super::counts::{self, Counts};
use super::stage::{REAL, Runner, Stage};

/// How a stage ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) counts: Counts,
    /// Why it failed, if it did.
    pub(crate) failure: Option<String>,
    /// Tests by module that wait for a stage of their own.
    pub(crate) waiting: BTreeMap<String, usize>,
}

/// Judges a stage by its end and by what it printed. `expected`: how many tests it has, if that is known.
pub(crate) fn of(stage: Stage, ended: Result<(), Error>, output: &str, expected: Option<usize>) -> Verdict {
    let mut verdict =
        Verdict { failure: ended.err().map(|error| format!("{error:#}")), ..Verdict::default() };
    match stage.runner() {
        Runner::None => verdict.counts.passed = usize::from(verdict.failure.is_none()),
        Runner::Go => verdict.counts = counts::of_go(output),
        Runner::Cargo => {
            let mut programs = counts::of_cargo(output);
            if stage.module().is_none()
                && let Some(real) = programs.get_mut(REAL)
            {
                verdict.waiting = counts::ignored_by_module(output);
                verdict.waiting.retain(|module, _| has_a_stage(module));
                real.skipped = real.skipped.saturating_sub(verdict.waiting.values().sum());
            }
            verdict.counts = programs.into_values().sum();
        }
    }
    let run = verdict.counts.run();
    if verdict.failure.is_none() && verdict.counts.failed > 0 {
        verdict.failure = Some("tests failed".to_owned());
    }
    if verdict.failure.is_none() {
        verdict.failure = match expected {
            _ if run == 0 => Some("it ran no test".to_owned()),
            Some(expected) if run != expected => Some(format!("it ran {run} of {expected} tests")),
            _ => None,
        };
    }
    if verdict.failure.is_some() && verdict.counts.failed == 0 {
        verdict.counts.failed = 1;
    }
    verdict
}

fn has_a_stage(module: &str) -> bool {
    use clap::ValueEnum;
    Stage::value_variants().iter().any(|stage| stage.module() == Some(module))
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    fn output(program: &str, result: &str) -> String {
        format!("     Running x ({program}-0)\ntest result: {result}\n")
    }

    fn counts(passed: usize, failed: usize, skipped: usize) -> Counts {
        Counts { passed, failed, skipped }
    }

    #[test]
    fn a_stage_that_is_no_test_program_counts_as_one() {
        assert_eq!(of(Stage::Format, Ok(()), "", None).counts, counts(1, 0, 0));
        let failed = of(Stage::Format, Err(anyhow!("no")), "", None);
        assert_eq!((failed.counts, failed.failure.as_deref()), (counts(0, 1, 0), Some("no")));
    }

    #[test]
    fn a_stage_that_ran_no_test_has_failed() {
        for output in ["", &output(REAL, "ok. 0 passed; 0 failed; 0 ignored")] {
            let verdict = of(Stage::ApiNewest, Ok(()), output, None);
            assert_eq!(verdict.failure.as_deref(), Some("it ran no test"));
            assert_eq!(verdict.counts, counts(0, 1, 0));
        }
        assert!(of(Stage::Go, Ok(()), "ok", None).failure.is_some());
    }

    #[test]
    fn a_stage_that_ran_fewer_tests_than_there_are_has_failed() {
        let output = output(REAL, "ok. 2 passed; 0 failed; 0 ignored");
        assert_eq!(of(Stage::ApiNewest, Ok(()), &output, Some(2)).failure, None);
        let verdict = of(Stage::ApiNewest, Ok(()), &output, Some(3));
        assert_eq!(verdict.failure.as_deref(), Some("it ran 2 of 3 tests"));
    }

    #[test]
    fn a_test_program_that_crashed_counts_as_one_failure() {
        let verdict = of(Stage::Unit, Err(anyhow!("signal 11")), "", None);
        assert_eq!(verdict.counts, counts(0, 1, 0));
    }

    #[test]
    fn failures_are_failures_whatever_the_exit_code() {
        let output = output(REAL, "FAILED. 2 passed; 1 failed; 0 ignored");
        assert!(of(Stage::ApiNewest, Ok(()), &output, None).failure.is_some());
        assert_eq!(of(Stage::ApiNewest, Err(anyhow!("101")), &output, None).counts, counts(2, 1, 0));
    }

    #[test]
    fn tests_that_have_a_stage_of_their_own_are_not_skipped_and_others_are() {
        let ignored = "test api::a::b ... ignored, needs a cluster\ntest api::c ... ignored, needs a cluster\n\
                       test running::d ... ignored\ntest common::e ... ignored\n";
        let output = ignored.to_owned()
            + &output(REAL, "ok. 0 passed; 0 failed; 4 ignored")
            + &output("perpro", "ok. 5 passed; 0 failed; 2 ignored");
        let verdict = of(Stage::Unit, Ok(()), &output, None);
        assert_eq!(verdict.counts, counts(5, 0, 3));
        assert_eq!(verdict.waiting, BTreeMap::from([("api".to_owned(), 2), ("running".to_owned(), 1)]));
    }
}
