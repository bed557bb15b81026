//! Notes the commit that is built, for `polytask info` and for the results of experiments.
#![allow(clippy::print_stdout)] // how a build script speaks to cargo

use std::process::Command;

fn main() {
    // Written at every commit and checkout.
    println!("cargo:rerun-if-changed=../../.git/logs/HEAD");
    println!("cargo:rustc-env=POLYTASK_COMMIT={}", commit().unwrap_or_default());
}

/// The commit of the source tree; none where it is in no repository.
fn commit() -> Option<String> {
    let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    Some(text.trim().to_owned())
}
