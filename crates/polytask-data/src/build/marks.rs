//! Labels that look like marks for unknown targets.

use polytask_core::near;
use polytask_core::words::verb;

/// Signs that programs write where nothing is known.
const SIGNS: [&str; 9] = ["-1", "-", "--", "?", "n/a", "#n/a", "nil", "null", "\\n"];
/// Words that are written where nothing is known, and that may be labels as well: no stance, no defect.
const WORDS: [&str; 5] = ["na", "none", "missing", "unknown", "undefined"];

/// Says which labels look like marks for unknown targets.
pub(super) fn markers(task: &str, labels: &[String]) -> Option<String> {
    let found = marks(labels, true);
    (!found.is_empty()).then(|| {
        let quoted = found.iter().map(|label| format!("{label:?}")).collect::<Vec<_>>().join(", ");
        format!(
            "task `{task}`: {} {} like a mark for an unknown target; `missing = [{quoted}]` reads {} so",
            near::list(&found),
            verb(found.len(), "looks", "look"),
            if found.len() == 1 { "it" } else { "them" }
        )
    })
}

/// Labels that look like marks for unknown targets: signs, and words as well where that is asked for.
pub(crate) fn marks(labels: &[String], with_words: bool) -> Vec<&String> {
    // Sentiments are -1, 0 and 1; a scale may begin at -3.
    let n_negative = labels.iter().filter(|label| label.parse::<i64>().is_ok_and(|n| n < 0)).count();
    let is_scale = n_negative > 1 || labels.iter().all(|label| ["-1", "0", "1"].contains(&label.as_str()));
    let is_marker = |label: &&String| {
        let lower = label.to_lowercase();
        let is_sign = SIGNS.contains(&lower.as_str()) && !(is_scale && label.as_str() == "-1");
        is_sign || with_words && WORDS.contains(&lower.as_str())
    };
    labels.iter().filter(is_marker).collect()
}
