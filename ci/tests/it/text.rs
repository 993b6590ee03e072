//! Rules about the text of sources.

use super::{files, sources};

const LINES_MAX: usize = 600;
const COLUMNS_MAX: usize = 100;

fn complaints<'a>(found: impl IntoIterator<Item = String> + 'a) {
    let found: Vec<_> = found.into_iter().collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn files_are_short() {
    complaints(sources().iter().filter_map(|(path, text)| {
        let lines = text.lines().count();
        (lines > LINES_MAX)
            .then(|| format!("{}: {lines} lines, not over {LINES_MAX}", path.display()))
    }));
}

#[test]
fn lines_are_short() {
    complaints(sources().iter().flat_map(|(path, text)| {
        text.lines().enumerate().filter_map(move |(number, line)| {
            let columns = line.chars().count();
            // A snapshot or an address that cannot be broken is exempt.
            let breakable = !line.contains("@\"") && !line.contains("@r#") && !line.contains("://");
            (columns > COLUMNS_MAX && breakable)
                .then(|| format!("{}:{}: {columns} columns", path.display(), number + 1))
        })
    }));
}

#[test]
fn every_file_says_what_it_is_for() {
    complaints(sources().iter().filter_map(|(path, text)| {
        let first = text.lines().find(|line| !line.is_empty() && !line.starts_with("#!"));
        let says = first.is_some_and(|line| line.starts_with("//!"));
        (!says).then(|| format!("{}: opens without `//!`", path.display()))
    }));
}

#[test]
fn words_of_haste_do_not_stay() {
    // Written in two parts, so that this file does not find itself.
    let banned = [
        ["TO", "DO"],
        ["FIX", "ME"],
        ["XX", "X:"],
        ["HA", "CK"],
        ["todo", "!("],
        ["unimplemented", "!("],
        ["#[ign", "ore"],
        ["#[al", "low("],
        ["#![al", "low("],
        ["Mana", "ger"],
        ["Hel", "per"],
    ]
    .map(|parts| parts.concat());
    complaints(sources().iter().flat_map(|(path, text)| {
        let banned = &banned;
        text.lines().enumerate().flat_map(move |(number, line)| {
            banned
                .iter()
                .filter(move |word| line.contains(word.as_str()))
                .map(move |word| format!("{}:{}: `{word}`", path.display(), number + 1))
        })
    }));
}

#[test]
fn names_put_their_unit_last() {
    let wrong = ["ms_", "us_", "secs_"];
    complaints(sources().iter().flat_map(|(path, text)| {
        text.lines().enumerate().filter_map(move |(number, line)| {
            let declares = line
                .trim_start()
                .strip_prefix("pub ")
                .or_else(|| line.trim_start().strip_prefix("let "))?;
            let name = declares.split([':', ' ', '=']).next().unwrap_or("");
            wrong.iter().any(|unit| name.starts_with(unit)).then(|| {
                format!("{}:{}: `{name}` begins with its unit", path.display(), number + 1)
            })
        })
    }));
}

#[test]
fn text_files_end_with_a_newline() {
    complaints(files().iter().filter_map(|(path, text)| {
        // Snapshots and recorded data are as their writers left them.
        let data = path.extension().is_some_and(|e| e == "snap" || e == "json");
        (!data && !text.is_empty() && !text.ends_with('\n'))
            .then(|| format!("{}: no newline at its end", path.display()))
    }));
}
