//! The pooling module's `config.json`, in both styles.

use std::path::Path;

use polytask_core::length::read_json;
use serde_json::{Map, Value, json};

use super::problem;
use crate::Result;
use crate::pooling::{PoolMode, Pooling};

/// The old style's switches, in the order their results are concatenated.
const SWITCHES: [(&str, PoolMode); 6] = [
    ("pooling_mode_cls_token", PoolMode::Cls),
    ("pooling_mode_max_tokens", PoolMode::Max),
    ("pooling_mode_mean_tokens", PoolMode::Mean),
    ("pooling_mode_mean_sqrt_len_tokens", PoolMode::MeanSqrtLen),
    ("pooling_mode_weightedmean_tokens", PoolMode::WeightedMean),
    ("pooling_mode_lasttoken", PoolMode::LastToken),
];

/// Pooling and whether prompts are pooled, from the module's folder.
pub(super) fn read(path: &Path, d_hidden: usize) -> Result<(Pooling, bool)> {
    let file = path.join("config.json");
    let Some(config) = read_json(path, "config.json")? else {
        return Err(problem(&file, "no such file", "fetch the folder again"));
    };
    check_width(&file, &config, d_hidden)?;
    let names = match config.get("pooling_mode") {
        None => return Ok((Pooling { modes: switched_on(&config) }, include_prompt(&config))),
        Some(Value::String(name)) => vec![name.as_str()],
        Some(Value::Array(names)) => names.iter().map(|name| name.as_str().unwrap_or("")).collect(),
        Some(_) => Vec::new(),
    };
    if names.is_empty() {
        return Err(problem(&file, "`pooling_mode` is neither a name nor a list of names", "`\"mean\"`"));
    }
    let parsed: Result<Vec<PoolMode>, _> = names.iter().map(|name| name.parse::<PoolMode>()).collect();
    let modes = parsed.map_err(|error| problem(&file, &error.to_string(), "another encoder"))?;
    Ok((Pooling { modes }, include_prompt(&config)))
}

fn include_prompt(config: &Value) -> bool {
    config.get("include_prompt").and_then(Value::as_bool).unwrap_or(true)
}

fn switched_on(config: &Value) -> Vec<PoolMode> {
    let on = |key: &str| config.get(key).and_then(Value::as_bool).unwrap_or(false);
    let modes: Vec<PoolMode> = SWITCHES.iter().filter(|(key, _)| on(key)).map(|&(_, mode)| mode).collect();
    if modes.is_empty() { vec![PoolMode::Mean] } else { modes }
}

fn check_width(file: &Path, config: &Value, d_hidden: usize) -> Result<()> {
    for key in ["word_embedding_dimension", "embedding_dimension"] {
        if let Some(width) = config.get(key).filter(|width| width.as_u64() != Some(d_hidden as u64)) {
            let what = format!("`{key}` is {width}, but the network's `hidden_size` is {d_hidden}");
            return Err(problem(file, &what, "fetch the folder again"));
        }
    }
    Ok(())
}

/// The configuration to write: switches; a list of names where the order is one switches cannot say.
pub(super) fn to_json(pooling: &Pooling, d_hidden: usize, include_prompt: bool) -> Value {
    if !pooling.modes.is_sorted_by(|a, b| a < b) {
        let names: Vec<&str> = pooling.modes.iter().map(|mode| mode.name()).collect();
        return json!({"embedding_dimension": d_hidden, "pooling_mode": names, "include_prompt": include_prompt});
    }
    let mut config = Map::new();
    config.insert("word_embedding_dimension".into(), d_hidden.into());
    for (key, mode) in SWITCHES {
        // Versions before 2.4 know the first four switches only and refuse others.
        let on = pooling.modes.contains(&mode);
        if on || mode <= PoolMode::MeanSqrtLen {
            config.insert(key.into(), on.into());
        }
    }
    if !include_prompt {
        config.insert("include_prompt".into(), false.into());
    }
    Value::Object(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<(Pooling, bool)> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), text).unwrap();
        read(folder.path(), 8)
    }

    #[test]
    fn switches_names_and_lists_are_read() {
        let modes = |text: &str| read_text(text).unwrap().0.modes;
        assert_eq!(modes(r#"{"word_embedding_dimension":8}"#), [PoolMode::Mean]);
        let two = r#"{"pooling_mode_lasttoken":true,"pooling_mode_cls_token":true}"#;
        assert_eq!(modes(two), [PoolMode::Cls, PoolMode::LastToken]);
        assert_eq!(modes(r#"{"pooling_mode":"weightedmean"}"#), [PoolMode::WeightedMean]);
        let list = r#"{"pooling_mode":["max","cls"],"include_prompt":false}"#;
        assert_eq!(modes(list), [PoolMode::Max, PoolMode::Cls]);
        assert!(!read_text(list).unwrap().1);
        for wrong in [r#"{"pooling_mode":"median"}"#, r#"{"pooling_mode":[3]}"#, r#"{"pooling_mode":[]}"#] {
            let message = read_text(wrong).unwrap_err().to_string();
            assert!(message.contains("config.json"), "{message}");
        }
    }

    #[test]
    fn every_written_configuration_reads_back_the_same() {
        let mut cases: Vec<Vec<PoolMode>> = PoolMode::ALL.iter().map(|&mode| vec![mode]).collect();
        cases.push(vec![PoolMode::Cls, PoolMode::Mean]);
        cases.push(vec![PoolMode::Mean, PoolMode::Cls]);
        for modes in cases {
            for include_prompt in [true, false] {
                let pooling = Pooling { modes: modes.clone() };
                let text = to_json(&pooling, 8, include_prompt).to_string();
                assert_eq!(read_text(&text).unwrap(), (pooling, include_prompt));
            }
        }
    }
}
