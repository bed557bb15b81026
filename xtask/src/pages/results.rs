//! What an experiment found, as a part of a page.

use std::fmt::Write as _;

use serde_json::Value;

/// A result that has been read.
#[derive(Debug)]
pub(super) struct Results {
    /// Of the claim.
    pub(super) verdict: String,
    /// Of the mechanism.
    pub(super) mechanism: String,
    /// The part of the page.
    pub(super) text: String,
}

/// Reads a file that `polytask reproduce` wrote.
pub(super) fn read(text: &str) -> Result<Results, String> {
    let findings: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let word = |key: &str| {
        let found = findings[key].as_str().map(str::to_owned);
        found.ok_or_else(|| format!("has no text `{key}`, expected what `polytask reproduce` wrote"))
    };
    let (verdict, claim, command) = (word("verdict")?, word("claim")?, word("command")?);
    let mechanism = findings["mechanism"]["verdict"].as_str().unwrap_or("not asked").to_owned();
    let mut text = format!("**Claim.** {claim}\n\n**Verdict.** {}.", sentence(&verdict));
    let _ = writeln!(text, " **Mechanism.** {}.\n", sentence(&mechanism));
    let arms = list(&findings["arms"]);
    for group in arms.chunk_by(|a, b| a["setting"] == b["setting"]) {
        text += &table(group);
    }
    text += &differences(list(&findings["comparisons"]));
    let minutes = findings["minutes"].as_f64().unwrap_or(0.0);
    let commit = findings["commit"].as_str().filter(|commit| !commit.is_empty());
    let commit = commit.map_or_else(String::new, |commit| format!(" at commit {commit}"));
    let _ = writeln!(
        text,
        "Made by `{command}`{commit} in {minutes:.1} minutes of training. Intervals are 95 % over seeds."
    );
    Ok(Results { verdict, mechanism, text })
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// With a capital.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The arms of a setting. What a step took is left out: experiments run beside other work.
fn table(arms: &[Value]) -> String {
    let word = |value: &Value| value.as_str().unwrap_or("–").to_owned();
    let mut names: Vec<&String> =
        arms.iter().filter_map(|arm| arm["measured"].as_object()).flat_map(|map| map.keys()).collect();
    names.sort();
    names.dedup();
    let metric = word(&arms[0]["metric"]).replace("delta_m", "Δm %");
    let head: String = names.iter().map(|name| format!(" {name} |")).collect();
    let mut text = format!("### {}\n\n", sentence(&word(&arms[0]["setting"])));
    let _ = writeln!(text, "| arm | chosen on valid | {metric} | 95 % interval | seeds |{head}");
    let _ = writeln!(text, "|{}", " --- |".repeat(5 + names.len()));
    for arm in arms {
        let values: String =
            names.iter().map(|name| format!(" {} |", number(&arm["measured"][name.as_str()], 3))).collect();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} |{values}",
            word(&arm["name"]),
            word(&arm["chosen"]),
            number(&arm["mean"], 2),
            range(&arm["interval"], 2),
            arm["seeds"]
        );
    }
    text + "\n"
}

/// The judged differences.
fn differences(comparisons: &[Value]) -> String {
    if comparisons.is_empty() {
        return String::new();
    }
    let mut text = String::from("### Differences, paired by seed\n\n");
    text += "| evidence of | setting | difference | mean | 95 % interval | verdict |\n";
    text += "| --- | --- | --- | --- | --- | --- |\n";
    for c in comparisons {
        let word = |key: &str| c[key].as_str().unwrap_or("–");
        let (a, b) = if c["lower"] == true { ("than", "better") } else { ("better", "than") };
        let _ = writeln!(
            text,
            "| {} | {} | {}: {} − {} | {} | {} | {} |",
            word("role"),
            word("setting"),
            word("value"),
            word(a),
            word(b),
            number(&c["mean"], 3),
            range(&c["interval"], 3),
            word("verdict")
        );
    }
    text + "\n"
}

fn number(value: &Value, digits: usize) -> String {
    value.as_f64().map_or_else(|| "–".into(), |value| format!("{value:.digits$}"))
}

fn range(value: &Value, digits: usize) -> String {
    match list(value) {
        [low, high] => format!("{} … {}", number(low, digits), number(high, digits)),
        _ => "–".into(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) const RESULT: &str = r#"{
        "id": "7", "title": "A name", "claim": "It helps.", "quick": true,
        "arms": [
            {"setting": "noise", "name": "EW", "metric": "accuracy", "mean": 90.125, "interval": [89.0, 91.25],
             "seeds": 2, "chosen": null, "step_ms": 12.34, "measured": {"conflict": 0.5}},
            {"setting": "noise", "name": "F", "metric": "accuracy", "mean": null, "interval": null,
             "seeds": 2, "chosen": "rho 0.2", "step_ms": 30.0, "measured": {}}
        ],
        "comparisons": [
            {"role": "mechanism", "setting": "noise", "value": "conflict", "better": "F", "than": "EW", "lower": true,
             "mean": 0.25, "interval": [0.1, 0.4], "bar": 0.0, "verdict": "holds"}
        ],
        "verdict": "does not hold", "mechanism": {"verdict": "holds", "evidence": []},
        "minutes": 3.26, "command": "polytask reproduce 7 --quick --data DIR"
    }"#;

    #[test]
    fn numbers_are_rounded_and_what_is_missing_is_a_dash() {
        let results = read(RESULT).unwrap();
        for line in [
            "| arm | chosen on valid | accuracy | 95 % interval | seeds | conflict |",
            "| EW | – | 90.12 | 89.00 … 91.25 | 2 | 0.500 |",
            "| F | rho 0.2 | – | – | 2 | – |",
            "| mechanism | noise | conflict: EW − F | 0.250 | 0.100 … 0.400 | holds |",
            "**Verdict.** Does not hold. **Mechanism.** Holds.",
        ] {
            assert!(results.text.contains(line), "`{line}` is not in:\n{}", results.text);
        }
    }

    #[test]
    fn what_is_no_result_is_refused() {
        assert!(read("{}").unwrap_err().contains("`verdict`"));
        assert!(read("[").is_err());
    }
}
