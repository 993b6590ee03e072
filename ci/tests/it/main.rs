//! Tidy: rules about the repository that no compiler checks.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod formats;
mod layout;
mod text;

use std::path::{Path, PathBuf};
use std::process::Command;

/// The repository's root.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// All files that git tracks, relative to the root, with their text; binary ones are left out.
fn files() -> Vec<(PathBuf, String)> {
    let output = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root())
        .output()
        .expect("git lists the files");
    let names = String::from_utf8(output.stdout).unwrap();
    let files: Vec<_> = names
        .split('\0')
        .filter(|name| !name.is_empty())
        .filter_map(|name| {
            let text = std::fs::read_to_string(root().join(name)).ok()?;
            Some((PathBuf::from(name), text))
        })
        .collect();
    assert!(files.len() > 50, "the repository has more files than {}", files.len());
    files
}

/// The Rust sources among them.
fn sources() -> Vec<(PathBuf, String)> {
    let rust = |path: &Path| path.extension().is_some_and(|extension| extension == "rs");
    files().into_iter().filter(|(path, _)| rust(path)).collect()
}
