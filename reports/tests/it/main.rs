//! Every format against synthetic runs: snapshots, hostile text, sizes, and the page in a browser.

mod fixture;
mod formats;
