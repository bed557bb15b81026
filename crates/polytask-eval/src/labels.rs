//! Labels matched by their descriptions, in words: probabilities, "none of these", made-up rows.

use polytask_core::report::{GeneratedReport, Interval, LabelTask, ScopeReport};

use crate::table::wrapped;
use crate::words::{number, plain, plural};

/// Labels whose made-up rows the summary names.
const SHOWN: usize = 8;

/// What a run says of a task below its scores.
pub fn summary(task: &LabelTask, width: usize) -> Vec<String> {
    let first = format!("{}: {}", plain(&task.task), lines(task).join(" "));
    let mut all = wrapped(&first, width);
    if let Some(generated) = &task.generated {
        all.extend(by_label(generated, width));
    }
    all
}

/// Sentences about a task.
pub(crate) fn lines(task: &LabelTask) -> Vec<String> {
    let learnt = if task.rows == 0 { "no row".into() } else { plural(task.rows, "row") };
    let mut lines =
        vec![format!("{} labels, head {}, {learnt} to train on.", task.labels, plain(&task.head))];
    lines.push(probabilities(task));
    lines.extend(task.scope.as_ref().map(scope));
    lines.extend(task.generated.as_ref().map(generated));
    lines
}

fn probabilities(task: &LabelTask) -> String {
    let error = |error: f64| number(100.0 * error, 1);
    match (task.calibrated, task.calibration_error) {
        (true, Some([before, after])) => format!(
            "Probabilities are calibrated on valid (temperature {}): expected calibration error {} points, {} before.",
            number(task.temperature, 2),
            error(after),
            error(before)
        ),
        (true, None) => "Probabilities are calibrated on valid.".into(),
        (false, Some([before, _])) => {
            format!("Probabilities are not calibrated: expected calibration error {} points.", error(before))
        }
        (false, None) => "Probabilities are not calibrated.".into(),
    }
}

fn percent(share: Interval) -> String {
    let of = |value: f64| number(100.0 * value, 1);
    format!("{} % [{}, {}]", of(share.value), of(share.low), of(share.high))
}

fn scope(scope: &ScopeReport) -> String {
    let Interval { low, high, .. } = scope.false_alarms;
    let standing = match scope.rate {
        rate if rate < low => "more than promised",
        rate if rate > high => "fewer than promised",
        _ => "as promised",
    };
    let found = scope.found.map_or_else(String::new, |found| {
        let auroc =
            scope.auroc.map_or_else(String::new, |auroc| format!(", AUROC {}", number(100.0 * auroc, 1)));
        format!("; {} of {} of no label are found{auroc}", percent(found), plural(scope.rows.1, "row"))
    });
    format!(
        "\"None of these\": {} of {} of known labels are answered so, promised {} %: {standing}{found}.",
        percent(scope.false_alarms),
        plural(scope.rows.0, "row"),
        number(100.0 * scope.rate, 1)
    )
}

fn generated(generated: &GeneratedReport) -> String {
    let (kept, dropped) =
        generated.labels.values().fold((0, 0), |(kept, dropped), of| (kept + of.0, dropped + of.1));
    let gate = generated.gate.map_or_else(
        || if generated.used { "used without a gate".into() } else { "none is left to use".to_owned() },
        |[without, with]| {
            let side = |(accuracy, loss): (f64, f64)| {
                format!("{} (loss {})", number(100.0 * accuracy, 1), number(loss, 3))
            };
            let verdict = if generated.used { "used" } else { "not used" };
            format!("valid without them {}, with them {}: {verdict}", side(without), side(with))
        },
    );
    format!(
        "Made-up rows: {} left out as repeated, short or too many, {dropped} dropped by the filter, {kept} kept; {gate}.",
        generated.left_out
    )
}

/// Kept and dropped rows of labels, most dropped first.
fn by_label(generated: &GeneratedReport, width: usize) -> Vec<String> {
    let rows = label_rows(generated);
    let named: Vec<String> =
        rows.iter().skip(1).take(SHOWN).map(|row| format!("{} {}/{}", row[0], row[1], row[2])).collect();
    let more = if rows.len() > SHOWN + 1 { ", …" } else { "" };
    if named.is_empty() {
        Vec::new()
    } else {
        wrapped(&format!("  kept/dropped: {}{more}", named.join(", ")), width)
    }
}

/// Cells of the table of made-up rows, its head first.
pub(crate) fn label_rows(generated: &GeneratedReport) -> Vec<Vec<String>> {
    let mut labels: Vec<_> =
        generated.labels.iter().filter(|(_, (kept, dropped))| kept + dropped > 0).collect();
    labels.sort_by_key(|(_, (_, dropped))| std::cmp::Reverse(*dropped));
    let row = |(label, (kept, dropped)): (&String, &(usize, usize))| {
        vec![plain(label), kept.to_string(), dropped.to_string()]
    };
    let head = ["label", "kept", "dropped"].map(String::from).to_vec();
    std::iter::once(head).chain(labels.into_iter().map(row)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(value: f64, low: f64, high: f64) -> Interval {
        Interval { value, low, high }
    }

    #[test]
    fn a_promise_is_met_where_its_interval_holds_it() {
        let of = |value: f64, low: f64, high: f64| {
            scope(&ScopeReport {
                rate: 0.05,
                false_alarms: interval(value, low, high),
                found: Some(interval(0.6, 0.5, 0.7)),
                auroc: Some(0.9),
                rows: (100, 40),
            })
        };
        assert!(of(0.04, 0.02, 0.09).contains("as promised"));
        assert!(of(0.2, 0.1, 0.3).contains("more than promised"));
        assert!(of(0.0, 0.0, 0.03).contains("fewer than promised; 60.0 % [50.0, 70.0] of 40 rows"));
    }

    #[test]
    fn made_up_rows_are_told_by_label() {
        let labels = [("a".to_owned(), (3, 1)), ("b".to_owned(), (2, 4)), ("c".to_owned(), (0, 0))].into();
        let report =
            GeneratedReport { labels, left_out: 2, gate: Some([(0.8, 0.6), (0.9, 0.5)]), used: true };
        let task = LabelTask {
            task: "news".into(),
            head: "bilinear".into(),
            labels: 3,
            generated: Some(report),
            ..LabelTask::default()
        };
        let said = summary(&task, 500).join("\n");
        assert!(
            said.contains("2 left out") && said.contains("5 dropped") && said.contains("5 kept"),
            "{said}"
        );
        assert!(said.contains("kept/dropped: b 2/4, a 3/1"), "{said}");
    }
}
