//! How many tests ran: read from what cargo and go print.

use std::collections::BTreeMap;
use std::fmt;
use std::iter::Sum;

/// Numbers of tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

impl Counts {
    /// Those that ran.
    pub(crate) fn run(self) -> usize {
        self.passed + self.failed
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |sum, one| Self {
            passed: sum.passed + one.passed,
            failed: sum.failed + one.failed,
            skipped: sum.skipped + one.skipped,
        })
    }
}

/// What cargo printed of each test program, by the program's name; all documentation tests are called `doc-tests`.
pub(crate) fn of_cargo(output: &str) -> BTreeMap<String, Counts> {
    let mut all: BTreeMap<String, Vec<Counts>> = BTreeMap::new();
    let mut program = String::new();
    for line in output.lines().map(str::trim_start) {
        if let Some(named) = program_of(line) {
            program = named;
        } else if let Some(result) = line.strip_prefix("test result: ") {
            all.entry(program.clone()).or_default().push(result_of(result));
        }
    }
    all.into_iter().map(|(program, counts)| (program, counts.into_iter().sum())).collect()
}

/// The tests that cargo printed as ignored, by the first part of their path.
pub(crate) fn ignored_by_module(output: &str) -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    for line in output.lines() {
        let test = line.strip_prefix("test ").and_then(|line| line.split_once(" ... ignored"));
        if let Some((module, _)) = test.and_then(|(path, _)| path.split_once("::")) {
            *all.entry(module.to_owned()).or_default() += 1;
        }
    }
    all
}

/// What `go test -v` printed: top-level tests only, whose lines are not indented.
pub(crate) fn of_go(output: &str) -> Counts {
    let count = |start: &str| output.lines().filter(|line| line.starts_with(start)).count();
    Counts { passed: count("--- PASS: "), failed: count("--- FAIL: "), skipped: count("--- SKIP: ") }
}

/// `Running tests/e2e/main.rs (FOLDER/e2e-0123456789abcdef)` begins what the program `e2e` prints.
fn program_of(line: &str) -> Option<String> {
    if line.starts_with("Doc-tests ") {
        return Some("doc-tests".to_owned());
    }
    let (_, path) = line.strip_prefix("Running ")?.strip_suffix(')')?.rsplit_once('(')?;
    let file = path.rsplit('/').next()?;
    Some(file.rsplit_once('-').map_or(file, |(name, _)| name).to_owned())
}

/// `ok. 3 passed; 0 failed; 1 ignored; ...`
fn result_of(result: &str) -> Counts {
    let number = |word: &str| {
        let fields = result.split(['.', ';']).map(str::trim);
        fields.filter_map(|field| field.strip_suffix(word)?.trim().parse().ok()).next().unwrap_or_default()
    };
    Counts { passed: number("passed"), failed: number("failed"), skipped: number("ignored") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARGO: &str = "    Finished `release` profile [optimized] target(s) in 0.2s
     Running unittests src/lib.rs (/cache/target/x/release/deps/perpro_core-0123456789abcdef)

running 3 tests
test a ... ok
test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.00s

     Running tests/e2e/main.rs (/cache/target/x/release/deps/e2e-fedcba9876543210)
test result: FAILED. 20 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 9.00s

   Doc-tests perpro_core
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
   Doc-tests perpro_e2e
test result: ok. 4 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

    #[test]
    fn cargo_is_counted_by_test_program() {
        let counts = of_cargo(CARGO);
        assert_eq!(counts["perpro_core"], Counts { passed: 2, failed: 0, skipped: 1 });
        assert_eq!(counts["e2e"], Counts { passed: 20, failed: 3, skipped: 0 });
        assert_eq!(counts["doc-tests"], Counts { passed: 5, failed: 0, skipped: 0 });
        assert_eq!(counts.len(), 3);
    }

    #[test]
    fn go_is_counted_by_top_level_test() {
        let go = "=== RUN   TestA\n--- PASS: TestA (0.00s)\n    --- PASS: TestA/case (0.00s)\n\
                  --- FAIL: TestB (0.10s)\n--- SKIP: TestC (0.00s)\nok  \texample/x\t0.01s\n?   \ty\t[no test files]\n";
        assert_eq!(of_go(go), Counts { passed: 1, failed: 1, skipped: 1 });
    }

    #[test]
    fn ignored_tests_are_counted_by_module() {
        let output = "test a::b ... ignored, needs a cluster\ntest a::c::d ... ignored\ntest a::e ... ok\n\
                      test f ... ignored\n";
        assert_eq!(ignored_by_module(output), BTreeMap::from([("a".to_owned(), 2)]));
        assert!(ignored_by_module("").is_empty());
    }

    #[test]
    fn nothing_printed_is_nothing_run() {
        assert!(of_cargo("error: could not compile").is_empty());
        assert_eq!(of_go("").run(), 0);
    }

    #[test]
    fn the_sum_is_told_in_one_line() {
        let one = Counts { passed: 1, failed: 2, skipped: 3 };
        assert_eq!([one, one].into_iter().sum::<Counts>().to_string(), "2 passed, 4 failed, 6 skipped");
    }
}
