//! Where words go: data to standard output, all else to standard error. A reader that went away
//! (`| head`) is no failure.

use std::io::Write;

/// Data.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.write_all(newline(text))).ok();
    out.flush().ok();
}

/// Everything else.
pub(crate) fn tell(text: &str) {
    let mut out = std::io::stderr().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.write_all(newline(text))).ok();
}

fn newline(text: &str) -> &'static [u8] {
    if text.ends_with('\n') { b"" } else { b"\n" }
}
