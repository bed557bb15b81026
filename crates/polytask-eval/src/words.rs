//! Numbers and verdicts in words, the same in the printed table, the report and the model card.

use polytask_core::report::{Interval, RunReport, Score, TaskReport};
use polytask_core::{near, printable};

use crate::metric::{Unit, find};

/// How a task of the joint model compares with its single-task model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Beyond its margin and clearly below.
    Regressed,
    /// Clearly below, but within its margin.
    Within,
    /// The paired interval holds zero.
    Unclear,
    /// Clearly above.
    Better,
    /// Nothing to compare with.
    Alone,
    /// Not trained to its end.
    Unfinished,
}

/// The smallest delta that is not printed as 0.0.
const SHOWN: f64 = 0.05;

/// From here on a number is written with a power of ten.
const WIDE: f64 = 1e7;

/// Δm, where every task has a verdict: a mean over models that are not judged says nothing of sharing.
pub(crate) fn delta_m(report: &RunReport) -> Option<f64> {
    report.delta_m.filter(|_| !report.tasks.iter().any(|task| task.unfinished))
}

/// The parameters of a part as words: `weights={"a":0.5,"b":2}` as `weights a 0.5, b 2`, a part within by its name.
pub(crate) fn settings(parameters: &str) -> String {
    let plain = parameters.replace("\"name\":", "");
    let mut words = String::new();
    for c in plain.chars() {
        match c {
            '{' | '}' | '[' | ']' | '"' => {}
            '=' | ':' => words.push(' '),
            ',' => words.push_str(", "),
            c => words.push(c),
        }
    }
    words
}

/// Ids of the learners that reports speak of by name: heads on frozen vectors, and what needs no input.
pub(crate) const PROBE: &str = "probe";
pub(crate) const PRIOR: &str = "prior";

/// What the columns of these learners mean.
const LEGEND: [Column; 7] = [
    Column {
        id: PROBE,
        title: "Probe",
        said: "Probe: a linear model on the encoder as it was loaded (or its cosines).",
    },
    Column {
        id: "bm25",
        title: "BM25",
        said: "BM25: passages by the tokens they share with the query, rare ones first.",
    },
    Column {
        id: PRIOR,
        title: "Prior",
        said: "Prior: the most frequent label, the mean: what needs no input.",
    },
    Column {
        id: "zero-shot",
        title: "Zero-shot",
        said: "Zero-shot: cosines with the descriptions of labels, nothing learnt.",
    },
    Column {
        id: "nearest-mean",
        title: "Nearest mean",
        said: "Nearest-mean: cosines with the mean of each label's texts.",
    },
    Column {
        id: "bilinear",
        title: "Bilinear",
        said: "Bilinear: a matrix between texts and descriptions, from the identity.",
    },
    Column {
        id: "random-labels",
        title: "Random labels",
        said: "Random-labels: the same matrix with label vectors that mean nothing, a control.",
    },
];

/// A column of the table of scores, and what it means.
pub(crate) struct Column {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) said: &'static str,
}

/// The learners the tasks were compared with beside single-task models, in the order of their columns.
pub(crate) fn others(report: &RunReport) -> Vec<&str> {
    let mut ids: Vec<&str> = Vec::new();
    for other in report.tasks.iter().flat_map(|task| &task.others) {
        if !ids.contains(&other.learner.as_str()) {
            ids.push(&other.learner);
        }
    }
    ids
}

/// How the column of a learner is headed.
pub(crate) fn heading(id: &str) -> &str {
    LEGEND.iter().find(|column| column.id == id).map_or(id, |column| column.title)
}

/// What the columns of other learners mean, a sentence each.
pub(crate) fn legend(report: &RunReport) -> impl Iterator<Item = &'static Column> {
    let others = others(report);
    LEGEND.iter().filter(move |column| others.contains(&column.id))
}

/// Which weights were kept.
pub fn kept(report: &RunReport) -> String {
    if report.trees.is_some() {
        return format!("trees of {} kept", plural(report.kept as usize, "round"));
    }
    match report.share {
        Some(share) => format!("weights {:.0} % of the way to step {} kept", 100.0 * share, report.kept),
        None => format!("weights of step {} kept", report.kept),
    }
}

/// Says that training changed nothing, where the probes were kept.
pub fn unmoved(report: &RunReport) -> Option<String> {
    let has_probe = report.tasks.iter().any(|task| task.other(PROBE).is_some());
    if report.kept > 0 || report.steps == 0 || !has_probe {
        return None;
    }
    let steps = plural(report.steps as usize, "step");
    Some(format!(
        "The encoder was left as it was loaded, with the heads of the probes: on valid, nothing that {steps} of training \
         gave was worth leaving them. More labelled rows or a longer training (--time 30m) may change that."
    ))
}

/// Says which tasks were scored on valid for want of a test split.
pub fn on_valid(tasks: &[&str]) -> Option<String> {
    let names = near::list(tasks);
    (!tasks.is_empty()).then(|| {
        format!(
            "no test split with known targets for {names}: scores are of valid, on which weights were chosen"
        )
    })
}

/// What one model for all tasks saves; none where there is one task.
pub fn saving(report: &RunReport) -> Option<String> {
    let (sizes, n) = (report.sizes?, report.tasks.len());
    let mb = |values: usize| 4.0 * values as f64 / 1e6;
    Some(format!(
        "One model: {:.0} MB, and one encode answers all {n} tasks. A model for each: {:.0} MB, and {n} encodes.",
        mb(sizes.joint),
        mb(sizes.single)
    ))
}

impl Standing {
    /// The standing of a task.
    pub fn of(task: &TaskReport) -> Self {
        match task.delta {
            _ if task.regressed => Self::Regressed,
            None => Self::Alone,
            // A gain needs no more training to be one.
            Some(delta) if delta.low > 0.0 && delta.value >= SHOWN && delta.value.is_finite() => Self::Better,
            _ if task.unfinished => Self::Unfinished,
            // What is printed as no change is none.
            Some(delta) if !(delta.value.abs() >= SHOWN && delta.value.is_finite()) => Self::Unclear,
            Some(delta) if delta.high < 0.0 => Self::Within,
            Some(_) => Self::Unclear,
        }
    }

    /// The standing in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Regressed => "regressed",
            Self::Within => "within margin",
            Self::Unclear => "no clear change",
            Self::Better => "better",
            Self::Alone => "no baseline",
            Self::Unfinished => "not judged",
        }
    }

    /// The class of its colour and mark in the report.
    pub(crate) const fn class(self) -> &'static str {
        match self {
            Self::Regressed => "bad",
            Self::Within => "mild",
            Self::Unclear | Self::Alone | Self::Unfinished => "even",
            Self::Better => "good",
        }
    }
}

/// A real with a true minus sign; an en dash where it is undefined.
pub(crate) fn number(x: f64, digits: usize) -> String {
    if !x.is_finite() {
        return "–".into();
    }
    let text = if x.abs() < WIDE { format!("{x:.digits$}") } else { format!("{x:.2e}") };
    match text.strip_prefix('-') {
        // A value that rounds to zero has no sign.
        Some(rest) if rest.bytes().all(|b| b == b'0' || b == b'.') => rest.into(),
        Some(rest) => format!("−{rest}"),
        None => text,
    }
}

/// A real with four significant digits, in the power of ten where it is far from 1.
pub(crate) fn significant(x: f64) -> String {
    decimals(x).map_or_else(|| format!("{x:.2e}").replace('-', "−"), |digits| number(x, digits))
}

/// Decimals of four significant digits; `None` where a power of ten reads better.
pub(crate) fn decimals(x: f64) -> Option<usize> {
    let size = x.abs();
    if size == 0.0 || !size.is_finite() {
        return Some(3);
    }
    (1e-3..1e4).contains(&size).then(|| (3.0 - size.log10().floor()) as usize)
}

/// A real with its sign.
pub(crate) fn signed(x: f64, digits: usize) -> String {
    let text = number(x, digits);
    let zero = text.bytes().all(|b| b == b'0' || b == b'.');
    if x > 0.0 && x.is_finite() && !zero { format!("+{text}") } else { text }
}

/// A whole number in groups of three.
pub(crate) fn count(n: usize) -> String {
    let digits = n.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join("\u{202f}")
}

/// Seconds as a person says them.
pub(crate) fn duration(seconds: f64) -> String {
    match seconds {
        s if !s.is_finite() => "–".into(),
        s if s < 10.0 => format!("{s:.1} s"),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// Whether a metric has the unit of its target, so that it is printed as it is.
pub(crate) fn in_target_unit(metric: &str) -> bool {
    find(metric).is_ok_and(|(metric, _)| metric.unit == Unit::Target)
}

/// A value of a metric: times 100 with one digit, or in the unit of the target with three significant digits.
pub(crate) fn value(metric: &str, x: f64) -> String {
    if !in_target_unit(metric) {
        return number(x * 100.0, 1);
    }
    if x != 0.0 && x.abs() < 1e-6 {
        return significant(x);
    }
    let whole_digits = if x == 0.0 || !x.is_finite() { 1 } else { x.abs().log10().floor() as i32 + 1 };
    number(x, (3 - whole_digits).clamp(0, 6) as usize)
}

/// `[low, high]` of a score.
pub(crate) fn range(score: &Score) -> String {
    let Interval { low, high, .. } = score.interval;
    format!("[{}, {}]", value(&score.metric, low), value(&score.metric, high))
}

/// `[low, high]` of a delta.
pub(crate) fn signed_range(delta: Interval) -> String {
    format!("[{}, {}]", signed(delta.low, 1), signed(delta.high, 1))
}

/// A task's delta with its sign, `%` where it is in percent; an en dash without a baseline.
pub(crate) fn delta(task: &TaskReport) -> String {
    let percent = if delta_unit(task) == "%" { " %" } else { "" };
    task.delta.map_or_else(|| "–".into(), |delta| format!("{}{percent}", signed(delta.value, 1)))
}

/// What a delta of this task is measured in.
pub(crate) fn delta_unit(task: &TaskReport) -> &'static str {
    if task.joint.first().is_some_and(|score| in_target_unit(&score.metric)) { "%" } else { "points" }
}

/// `1 task`, `3 tasks`.
pub(crate) fn plural(n: usize, noun: &str) -> String {
    format!("{} {}", count(n), polytask_core::words::form(n, noun))
}

/// The run in a sentence: what it cost to share one model.
pub fn verdict(report: &RunReport) -> String {
    let compared = report.tasks.iter().filter(|task| task.delta.is_some()).count();
    if let [name] = &report.sides[..] {
        return format!("{name}: {} scored.", plural(report.tasks.len(), "task"));
    }
    let (one, others) = match &report.sides[..] {
        [ours, theirs] => (plain(ours), plain(theirs)),
        _ => (format!("One model for {}", plural(report.tasks.len(), "task")), "single-task models".into()),
    };
    if !report.labels.is_empty() {
        let n = plural(report.labels.len(), "task");
        return format!("{n} on an encoder that stays as it is: labels matched by their descriptions.");
    }
    if report.tasks.len() == 1 && compared == 0 {
        return format!("{one}: alone, it shares with no other.");
    }
    if compared == 0 {
        return format!("{one}; without single-task baselines, so nothing is said about what sharing costs.");
    }
    let mean = delta_m(report).map_or_else(String::new, |x| format!(", Δm {} %", signed(x, 1)));
    let losses: Vec<String> = report.tasks.iter().filter(|task| task.regressed).map(loss).collect();
    let regressed = format!("; regressed: {}", losses.join("; "));
    let unjudged = report.tasks.iter().filter(|task| Standing::of(task) == Standing::Unfinished).count();
    if unjudged > 0 {
        return format!(
            "{one}; {} not judged (see the cautions), so neither is what sharing costs{}.",
            of_all(unjudged),
            if losses.is_empty() { "" } else { &regressed }
        );
    }
    if losses.is_empty() {
        return format!("{one}{mean} against {others}; no task regressed.");
    }
    format!("{one}{mean} against {others}{regressed}.")
}

/// `1 is`, `3 are`.
fn of_all(n: usize) -> String {
    format!("{n} {}", if n == 1 { "is" } else { "are" })
}

fn loss(task: &TaskReport) -> String {
    let delta = task.delta.map_or(f64::NAN, |delta| delta.value);
    let unit = delta_unit(task);
    format!("{} by {} {unit} (margin {})", task.task, number(-delta, 1), number(task.margin, 1))
}

/// A name on one line, and nothing in it that would speak to the terminal.
pub(crate) fn plain(name: &str) -> String {
    printable(name).replace(['\n', '\t'], " ")
}

#[cfg(test)]
mod tests {
    #[test]
    fn settings_are_words() {
        let said = super::settings(r#"weights={"sick-entailment":2.09,"stsb":0.371}"#);
        assert_eq!(said, "weights sick-entailment 2.09, stsb 0.371");
        let within = super::settings(r#"of={"name":"pcgrad"},rho=0.05"#);
        assert_eq!(within, "of pcgrad, rho 0.05");
    }

    use super::*;

    #[test]
    fn numbers_are_written_with_one_kind_of_minus_and_no_negative_zero() {
        assert_eq!((number(-1.25, 1).as_str(), number(-0.01, 1).as_str()), ("−1.2", "0.0"));
        assert_eq!((signed(0.5, 1).as_str(), signed(0.01, 1).as_str()), ("+0.5", "0.0"));
        assert_eq!((number(f64::NAN, 1).as_str(), signed(f64::INFINITY, 1).as_str()), ("–", "–"));
        assert_eq!((number(-1.234e36, 1).as_str(), signed(4.5619e37, 1).as_str()), ("−1.23e36", "+4.56e37"));
        assert_eq!(number(9_999_999.0, 0), "9999999");
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
    }

    #[test]
    fn errors_keep_their_unit_and_three_digits() {
        assert_eq!((value("rmse", 0.01234).as_str(), value("rmse", 1234.6).as_str()), ("0.0123", "1235"));
        assert_eq!((value("rmse", 1.0).as_str(), value("mae", 0.0).as_str()), ("1.00", "0.00"));
        assert_eq!((value("spearman", 0.8768).as_str(), value("r2", -0.5).as_str()), ("87.7", "−50.0"));
    }

    #[test]
    fn numbers_far_from_one_are_written_with_a_power_of_ten() {
        for (x, text) in [(1e30, "1.00e30"), (-2.5e20, "−2.50e20"), (1e-9, "1.00e−9"), (f64::MAX, "1.80e308")]
        {
            assert_eq!(value("rmse", x), text);
        }
    }

    #[test]
    fn a_clear_gain_is_one_however_long_the_training_was() {
        let mut task = crate::sample::report().tasks.remove(0);
        (task.regressed, task.unfinished) = (false, true);
        task.delta = Some(Interval { value: 4.7, low: 2.4, high: 6.9 });
        assert_eq!(Standing::of(&task), Standing::Better);
        task.delta = Some(Interval { value: -4.7, low: -6.9, high: -2.4 });
        assert_eq!(Standing::of(&task), Standing::Unfinished);
    }

    #[test]
    fn a_delta_that_is_printed_as_none_or_cannot_be_printed_is_no_clear_change() {
        let standing = |value: f64, low: f64, high: f64| {
            let task = crate::sample::report().tasks.remove(0);
            Standing::of(&TaskReport { delta: Some(Interval { value, low, high }), regressed: false, ..task })
        };
        for value in [1e-9, 0.04, -0.04, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            assert_eq!(standing(value, value, value), Standing::Unclear, "{value}");
        }
        assert_eq!(standing(0.3, 0.01, 0.5), Standing::Better);
        assert_eq!(standing(-0.3, -0.5, -0.01), Standing::Within);
    }

    #[test]
    fn durations_are_read_at_a_glance() {
        assert_eq!([2.04, 61.0, 600.0, 9000.0].map(duration), ["2.0 s", "61 s", "10 min", "2.5 h"]);
    }
}
