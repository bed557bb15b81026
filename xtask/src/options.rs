//! Options of the chores: `--name value` pairs and bare flags, unknown ones refused.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

/// Options as given.
#[derive(Debug, Default)]
pub(crate) struct Options {
    values: BTreeMap<String, String>,
    flags: Vec<String>,
}

impl Options {
    /// Reads arguments; `with_value` and `bare` are the names allowed, without dashes.
    pub(crate) fn parse(arguments: &[String], with_value: &[&str], bare: &[&str]) -> Result<Self> {
        let (mut options, mut rest) = (Self::default(), arguments.iter());
        while let Some(argument) = rest.next() {
            let name = argument.trim_start_matches("--");
            if bare.contains(&name) {
                options.flags.push(name.to_owned());
            } else if with_value.contains(&name) {
                let value = rest.next().with_context(|| format!("option `{argument}` has no value"))?;
                options.values.insert(name.to_owned(), value.clone());
            } else {
                bail!("unknown option `{argument}`, expected one of {}", allowed(with_value, bare));
            }
        }
        Ok(options)
    }

    /// Whether a bare flag was given.
    pub(crate) fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|given| given == flag)
    }

    /// The value of an option.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// The value of an option that must be there.
    pub(crate) fn require(&self, name: &str) -> Result<&str> {
        self.get(name).with_context(|| format!("option `--{name}` is missing"))
    }
}

fn allowed(with_value: &[&str], bare: &[&str]) -> String {
    let names = with_value.iter().chain(bare);
    names.map(|name| format!("--{name}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options> {
        let arguments: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        Options::parse(&arguments, &["runs"], &["quick"])
    }

    #[test]
    fn values_flags_and_defaults_are_read() {
        let options = parse("--quick --runs 3").unwrap();
        assert!(options.has("quick"));
        assert_eq!(options.get("runs"), Some("3"));
        assert_eq!(parse("").unwrap().get("runs"), None);
    }

    #[test]
    fn unknown_options_and_missing_values_are_refused() {
        assert!(parse("--rnus 3").unwrap_err().to_string().contains("--runs, --quick"));
        assert!(parse("--runs").is_err());
        assert!(parse("").unwrap().require("runs").is_err());
    }
}
