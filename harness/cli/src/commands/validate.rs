//! `gameday validate FILE...`: every mistake with its place and how to mend it.

use harness_core::diag::Severity;
use harness_core::exit;
use serde_json::json;

use crate::args::{Global, Validate};
use crate::failure::Failure;
use crate::output;
use crate::scenario::{self, Source};

pub(crate) fn run(global: &Global, arguments: &Validate) -> Result<u8, Failure> {
    if arguments.list {
        list();
        return Ok(exit::PASS);
    }
    let mut wrong = 0;
    for file in &arguments.files {
        let source = scenario::source(file)?;
        let (checked, diagnostics) = scenario::diagnose(&source, &arguments.set);
        let fine = checked.is_some();
        wrong += usize::from(!fine);
        if arguments.json {
            for one in &diagnostics {
                let (line, column) = place(&source.text, one.span.start);
                let line = json!({
                    "file": source.name, "line": line, "column": column, "diagnostic": one,
                });
                output::say(&line.to_string());
            }
            continue;
        }
        scenario::tell(&source, &diagnostics, global.color);
        if fine {
            let warnings = diagnostics.iter().filter(|d| d.severity == Severity::Warning).count();
            let more = match warnings {
                0 => String::new(),
                1 => " (1 warning)".to_owned(),
                several => format!(" ({several} warnings)"),
            };
            output::say(&format!("{file}: fine{more}"));
        }
    }
    Ok(if wrong == 0 { exit::PASS } else { exit::USAGE })
}

fn list() {
    for entry in scenarios::catalogue::all() {
        let source = Source { name: entry.name.to_owned(), text: entry.text.to_owned() };
        let (checked, _) = scenario::diagnose(&source, &[]);
        let checked = checked.expect("a tidy test checks every scenario of the catalogue");
        output::say(&format!("{:<26} {}", entry.name, checked.title()));
    }
}

/// Line and column of a byte, both from 1; columns count characters.
fn place(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn places_count_from_one() {
        assert_eq!(place("a\nbé: 1", 0), (1, 1));
        assert_eq!(place("a\nbé: 1", 5), (2, 3));
        assert_eq!(place("a", 99), (1, 2));
    }
}
