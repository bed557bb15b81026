//! Which tensors of a file went where, all told at once.

use std::fmt::Write as _;
use std::path::Path;

use crate::{Error, Result};

/// A tensor whose shape in the file is not that of the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongShape {
    /// Dotted name.
    pub name: String,
    /// Shape in the file.
    pub found: Vec<usize>,
    /// Shape in the network.
    pub expected: Vec<usize>,
}

/// What became of every tensor when weights were loaded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoadReport {
    /// Loaded into the network.
    pub applied: Vec<String>,
    /// In the network, not in the file.
    pub missing: Vec<String>,
    /// In the file, not in the network.
    pub unused: Vec<String>,
    /// In both, but different in shape.
    pub wrong_shape: Vec<WrongShape>,
    /// In both, but with a NaN or an infinity.
    pub not_finite: Vec<String>,
}

impl LoadReport {
    /// Fails unless every tensor of the network was loaded; unused tensors of the file are no failure, but are
    /// listed, since a name that does not fit usually shows up on both sides.
    pub fn require_all(&self, path: &Path) -> Result<()> {
        if self.missing.is_empty() && self.wrong_shape.is_empty() && self.not_finite.is_empty() {
            return Ok(());
        }
        Err(Error::Weights { path: path.to_path_buf(), what: self.failures() })
    }

    fn failures(&self) -> String {
        let mut what = format!("{} tensors applied", self.applied.len());
        list(&mut what, "missing", &self.missing);
        let shape = |w: &WrongShape| format!("{} is {:?}, expected {:?}", w.name, w.found, w.expected);
        list(&mut what, "wrong shape", &self.wrong_shape.iter().map(shape).collect::<Vec<_>>());
        list(&mut what, "with NaN or infinity", &self.not_finite);
        list(&mut what, "unused", &self.unused);
        what.push_str("; try: the config.json and model.safetensors of one and the same model");
        what
    }
}

/// Names shown of each kind; the count says how many there are.
const SHOWN: usize = 8;

fn list(what: &mut String, kind: &str, names: &[String]) {
    if names.is_empty() {
        return;
    }
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = if names.len() > SHOWN { ", …" } else { "" };
    write!(what, "; {} {kind}: {shown}{more}", names.len()).expect("a String takes every text");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_failures_stand_in_one_message() {
        let report = LoadReport {
            applied: vec!["ok".into()],
            missing: vec!["gone".into()],
            unused: vec!["extra".into()],
            wrong_shape: vec![WrongShape { name: "w".into(), found: vec![2], expected: vec![3, 4] }],
            not_finite: vec!["nan".into()],
        };
        let message = report.require_all(Path::new("m.safetensors")).unwrap_err().to_string();
        for part in
            ["m.safetensors", "gone", "extra", "w is [2], expected [3, 4]", "nan", "1 tensors applied"]
        {
            assert!(message.contains(part), "{message}");
        }
        assert!(
            LoadReport { unused: vec!["extra".into()], ..LoadReport::default() }
                .require_all(Path::new("m"))
                .is_ok()
        );
    }
}
