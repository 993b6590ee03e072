//! What failed tests said, kept from the middle of a long output to be told again at its end.

use std::io::{BufRead, Write};

/// So many lines are told again at most; the output itself has all of them.
const LINES_MAX: usize = 200;

/// The words of failed tests, in the form in which the test harness prints them.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    lines: Vec<String>,
    inside: bool,
}

impl Failures {
    /// Copies an output as it comes, and keeps the words of failed tests.
    pub(crate) fn copy(from: impl BufRead, mut to: impl Write) -> std::io::Result<Self> {
        let mut failures = Self::default();
        for line in from.split(b'\n') {
            let line = line?;
            to.write_all(&line)?;
            to.write_all(b"\n")?;
            to.flush()?;
            failures.take(&String::from_utf8_lossy(&line));
        }
        Ok(failures)
    }

    /// `---- its::name stdout ----` begins what a test said; after it `failures:` lists their
    /// names.
    fn take(&mut self, line: &str) {
        if line.starts_with("---- ") && line.ends_with(" ----") {
            self.inside = true;
        } else if line == "failures:" {
            self.inside = false;
        }
        if self.inside && self.lines.len() < LINES_MAX {
            self.lines.push(line.to_owned());
        }
    }

    pub(crate) fn lines(&self) -> &[String] {
        &self.lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "running 2 tests
test good ... ok
test bad ... FAILED

failures:

---- bad stdout ----

thread 'bad' panicked at src/lib.rs:1:1:
out of luck

failures:
    bad

test result: FAILED. 1 passed; 1 failed
";

    #[test]
    fn the_words_of_a_failed_test_are_kept_and_all_is_copied() {
        let mut copy = Vec::new();
        let failures = Failures::copy(OUTPUT.as_bytes(), &mut copy).unwrap();
        assert_eq!(String::from_utf8(copy).unwrap(), OUTPUT);
        let words = ["", "thread 'bad' panicked at src/lib.rs:1:1:", "out of luck", ""];
        assert_eq!(failures.lines(), [&["---- bad stdout ----"][..], &words[..]].concat());
        let good = OUTPUT.split("\nfailures").next().unwrap();
        assert!(Failures::copy(good.as_bytes(), Vec::new()).unwrap().lines().is_empty());
    }

    #[test]
    fn what_is_told_again_is_bounded() {
        let endless = format!("---- bad stdout ----\n{}", "out of luck\n".repeat(LINES_MAX));
        let failures = Failures::copy(endless.as_bytes(), Vec::new()).unwrap();
        assert_eq!(failures.lines().len(), LINES_MAX);
    }
}
