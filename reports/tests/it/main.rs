//! Every format against synthetic runs: snapshots, hostile text, sizes, and the page in a browser.

mod browser;
#[cfg(test)]
mod fixture;
mod formats;
mod hostile;
mod model;
mod page;
