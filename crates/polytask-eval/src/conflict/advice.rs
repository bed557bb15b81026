//! Findings in words: what to do, each with its evidence.

use polytask_core::report::Interval;

use super::estimate::{is_above, is_below};
use super::{Advice, Conflict, Culprit, Grouping, Harm, TaskFinding};
use crate::words::{self, number, signed, signed_range};

/// The kind of the advice to measure more.
const MEASURE: &str = "measure";

/// Fills the advice and the verdict.
///
/// Advice comes in the order in which it has to be true for the next to mean anything: enough measurements, labels that
/// teach something, a division of the tasks, weights within a model. None contradicts another: tasks whose labels are
/// to be checked are in no later advice, tasks that are kept together are not told to be trained apart, and on few
/// measurements (`is_thin`) nothing is made of who did what to whom.
pub(super) fn give(conflict: &mut Conflict, is_thin: bool) {
    let mut advice = Vec::new();
    advice.extend(is_thin.then(|| measure(conflict)));
    advice.extend(conflict.tasks.iter().filter(|task| task.is_suspect()).map(check_labels));
    let first = advice.len();
    if !is_thin {
        advice.push(grouping(conflict));
        advice.extend(down_weights(conflict));
        advice.extend(conflict.harms.iter().filter_map(|harm| own_capacity(conflict, harm)));
    }
    conflict.verdict = verdict(conflict, is_thin, advice.get(first));
    conflict.advice = advice;
}

/// What matters most, in one line: too few measurements, tasks to check, harms, the grouping.
fn verdict(conflict: &Conflict, is_thin: bool, grouping: Option<&Advice>) -> String {
    let left_out: Vec<&str> = conflict.left_out.iter().map(String::as_str).collect();
    let check = format!("check the labels of {} first", listed(&left_out));
    let mut said = Vec::new();
    said.extend(is_thin.then(|| format!("rests on {}: no advice on grouping", few(conflict))));
    said.extend((!left_out.is_empty()).then_some(check));
    said.extend(conflict.harms.iter().map(if is_thin { loss_alone } else { in_short }));
    said.extend(grouping.map(|advice| advice.text.clone()));
    said.join("; ")
}

/// `few measurements (3)`.
fn few(conflict: &Conflict) -> String {
    format!("few measurements ({})", conflict.diagnosis.measurements.len())
}

/// A loss without a word on who is to blame.
pub(super) fn loss_alone(harm: &Harm) -> String {
    format!("{} loses by sharing ({})", harm.task, plus_minus(&harm.delta))
}

fn measure(conflict: &Conflict) -> Advice {
    let text = format!(
        "this rests on {}: who hurts whom, and a grouping, cannot be told; train longer (`--steps`) or measure more often \
         (`--every`)",
        few(conflict)
    );
    let tasks = conflict.tasks.iter().map(|task| task.task.clone()).collect();
    Advice { kind: MEASURE.into(), tasks, text }
}

impl Conflict {
    /// The grouping that is suggested.
    pub fn suggestion(&self) -> &Grouping {
        &self.budgets[self.suggested]
    }

    /// Whether a grouping keeps two tasks in one model.
    fn are_together(&self, a: &str, b: &str) -> bool {
        let holds = |group: &Vec<String>, task: &str| group.iter().any(|name| name == task);
        self.suggestion().groups.iter().any(|group| holds(group, a) && holds(group, b))
    }
}

/// `wic hurts sts (−1.8 ± 0.6)`.
pub(super) fn in_short(harm: &Harm) -> String {
    let by: Vec<&str> = harm.by.iter().map(|culprit| culprit.task.as_str()).collect();
    let who = match by.len() {
        0 => "sharing hurts".into(),
        1 => format!("{} hurts", by[0]),
        _ => format!("{} hurt", listed(&by)),
    };
    format!("{who} {} ({})", harm.task, plus_minus(&harm.delta))
}

/// Evidence against a culprit: `wic: affinity −0.60 ± 0.10, cosine −0.12`.
pub(super) fn evidence(culprit: &Culprit) -> String {
    let cosine = culprit.cosine.map_or_else(String::new, |cosine| format!(", cosine {}", signed(cosine, 2)));
    format!("{}: affinity {}{cosine}", culprit.task, affinity(&culprit.affinity))
}

/// A relative affinity.
pub(crate) fn affinity(affinity: &Interval) -> String {
    format!("{} ± {}", signed(affinity.value, 2), number((affinity.high - affinity.low) / 2.0, 2))
}

/// A share in percent.
pub(crate) fn percent(share: &Interval) -> String {
    let half = (share.high - share.low) / 2.0;
    let digits = if share.value.abs() < 0.01 { 2 } else { 1 };
    format!("{} % ± {}", signed(share.value * 100.0, digits), number(half * 100.0, digits))
}

/// `−1.8 ± 0.6`.
pub(super) fn plus_minus(interval: &Interval) -> String {
    format!("{} ± {}", signed(interval.value, 1), number((interval.high - interval.low) / 2.0, 1))
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).into(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// `{sts, twin} | {opposite}`.
pub(crate) fn braces(groups: &[Vec<String>]) -> String {
    groups.iter().map(|group| format!("{{{}}}", group.join(", "))).collect::<Vec<_>>().join(" | ")
}

/// `+1.1 [0.2, 2.0]`, or a dash.
pub(crate) fn with_range(interval: Option<&Interval>) -> String {
    interval.map_or_else(|| "–".into(), |x| format!("{} {}", signed(x.value, 1), signed_range(*x)))
}

/// Whether a grouping has a task in a model of its own, which is what it is compared with.
pub(crate) fn is_alone(grouping: &Grouping, task: &str) -> bool {
    grouping.groups.iter().any(|group| group.len() == 1 && group[0] == task)
}

impl Grouping {
    /// Tasks in models of their own: what they are compared with is what they are.
    pub(crate) fn alone(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().filter(|group| group.len() == 1).map(|group| group[0].as_str())
    }

    /// Whether every task has a model of its own, so that there is nothing to predict or to train.
    pub(crate) fn is_all_alone(&self) -> bool {
        !self.groups.is_empty() && self.groups.iter().all(|group| group.len() == 1)
    }

    /// Why Δm is zero without an interval: by definition, or since all that was measured is put down to tasks of other
    /// groups (what rounds to zero at both ends is no range either).
    pub(crate) fn why_zero(&self) -> Option<&'static str> {
        let rounds_to_zero = |x: Interval| x.low.abs() < 0.05 && x.high.abs() < 0.05;
        if self.is_all_alone() {
            return Some("by definition: every task alone");
        }
        self.delta_m.is_some_and(rounds_to_zero).then_some("no effect within a group was seen")
    }
}

/// The predicted Δm of a grouping with its unit's sign, or why it is zero.
pub(crate) fn predicted(grouping: &Grouping, sign: &str) -> String {
    match (grouping.why_zero(), grouping.delta_m) {
        (Some(why), _) => format!("0 ({why})"),
        (None, Some(found)) => format!("{} {sign}", with_range(Some(&found))),
        (None, None) => "–".into(),
    }
}

impl Conflict {
    /// Whether too few measurements were made to say who did what to whom.
    pub(crate) fn is_thin(&self) -> bool {
        self.advice.iter().any(|advice| advice.kind == MEASURE)
    }

    /// The unit of Δm as it is printed.
    pub(crate) fn sign(&self) -> &'static str {
        if self.unit == "points" { "points" } else { "%" }
    }
}

fn grouping(conflict: &Conflict) -> Advice {
    let suggestion = conflict.suggestion();
    let tasks: Vec<String> = suggestion.groups.concat();
    let (kind, text) = match suggestion.groups.len() {
        0 => ("together", "no task is left to group".into()),
        1 if tasks.len() == 1 => ("together", format!("only {} is left: nothing to group", tasks[0])),
        1 => ("together", together(conflict, &predicted(suggestion, conflict.sign()))),
        _ => {
            let (sign, groups) = (conflict.sign(), braces(&suggestion.groups));
            let predicted = predicted(suggestion, sign);
            let against = with_range(conflict.together.as_ref());
            ("split", format!("split {groups}; predicted Δm {predicted} (all in one model {against} {sign})"))
        }
    };
    Advice { kind: kind.into(), tasks, text }
}

fn together(conflict: &Conflict, predicted: &str) -> String {
    let tasks = match conflict.left_out.len() {
        0 => "all tasks".into(),
        _ => format!("{{{}}}", conflict.suggestion().groups[0].join(", ")),
    };
    // A budget of one model leaves no choice, whatever hurts.
    let is_left_out = |culprit: &Culprit| conflict.left_out.contains(&culprit.task);
    let by_left_out = |harm: &Harm| !harm.by.is_empty() && harm.by.iter().all(is_left_out);
    let reason = match conflict.budgets.len() {
        _ if conflict.harms.is_empty() => "nothing hurts clearly",
        _ if conflict.harms.iter().all(by_left_out) => "those that hurt are left out",
        1 => "one model is all there may be",
        _ => "no split is predicted to help clearly",
    };
    format!("{reason}: train {tasks} together; predicted Δm {predicted}")
}

fn check_labels(task: &TaskFinding) -> Advice {
    let score = |score: &Option<Interval>| {
        score.map_or_else(
            || "–".into(),
            |s| {
                let (low, high) = (words::value(&task.metric, s.low), words::value(&task.metric, s.high));
                format!("{} [{low}, {high}]", words::value(&task.metric, s.value))
            },
        )
    };
    let (name, alone, joint) = (&task.task, score(&task.single), score(&task.joint));
    let text = if task.is_below_chance {
        format!(
            "check the labels of {name} first: alone it scores below chance ({} {alone}; jointly {joint}), as where scores \
             are reversed or its test is labelled other than its train; leave it out until then",
            task.metric
        )
    } else {
        format!(
            "check the labels of {name} first: it learns nothing, alone ({} {alone}) or jointly ({joint}); leave it out \
             until then",
            task.metric
        )
    };
    Advice { kind: "check-labels".into(), tasks: vec![name.clone()], text }
}

/// Tasks that hurt another of their suggested model and have nothing to lose themselves.
fn down_weights(conflict: &Conflict) -> Vec<Advice> {
    let can_afford = |name: &str| {
        let task = conflict.tasks.iter().find(|task| task.task == name);
        task.is_some_and(|task| !task.is_suspect() && !is_below(task.delta.as_ref()))
    };
    let hurts = |name: &str| -> Vec<(&Harm, &Culprit)> {
        let culprits = |harm| move |culprit| (harm, culprit);
        let all = conflict.harms.iter().flat_map(|harm| harm.by.iter().map(culprits(harm)));
        all.filter(|(harm, culprit)| culprit.task == name && conflict.are_together(name, &harm.task))
            .collect()
    };
    let advise = |task: &TaskFinding| {
        let hurt = hurts(&task.task);
        if hurt.is_empty() || !can_afford(&task.task) {
            return None;
        }
        let names: Vec<&str> = hurt.iter().map(|(harm, _)| harm.task.as_str()).collect();
        let gains =
            if is_above(task.delta.as_ref()) { "gains itself" } else { "loses nothing clearly itself" };
        let text = format!(
            "down-weight {} (`--set task.{}.loss_weight=0.5`): it hurts {} (affinity {}) and {gains}",
            task.task,
            task.task,
            listed(&names),
            hurt.iter().map(|(_, culprit)| affinity(&culprit.affinity)).collect::<Vec<_>>().join(", ")
        );
        let tasks = [vec![task.task.clone()], names.into_iter().map(String::from).collect()].concat();
        Some(Advice { kind: "down-weight".into(), tasks, text })
    };
    conflict.tasks.iter().filter_map(advise).collect()
}

/// A task that loses in its suggested model through nobody in particular, or through tasks that lose as well.
fn own_capacity(conflict: &Conflict, harm: &Harm) -> Option<Advice> {
    let group = conflict.suggestion().groups.iter().find(|group| group.contains(&harm.task))?;
    let present: Vec<&Culprit> = harm.by.iter().filter(|culprit| group.contains(&culprit.task)).collect();
    let is_weighted = |culprit: &&Culprit| {
        let named = |advice: &Advice| advice.kind == "down-weight" && advice.tasks[0] == culprit.task;
        down_weights(conflict).iter().any(named)
    };
    let is_left_to_others = !harm.by.is_empty() && present.is_empty();
    if group.len() < 2 || is_left_to_others || present.iter().any(is_weighted) {
        return None;
    }
    let cause = match present.len() {
        0 => "to no task in particular".into(),
        _ => format!(
            "to {}, which loses as well",
            listed(&present.iter().map(|culprit| culprit.task.as_str()).collect::<Vec<_>>())
        ),
    };
    let text = format!(
        "give {} weights of its own in the model it shares: it loses {} by sharing, {cause}; `model.sharing` gives each \
         task its own part, a longer `model.freeze` protects what all share",
        harm.task,
        plus_minus(&harm.delta)
    );
    Some(Advice { kind: "own-capacity".into(), tasks: vec![harm.task.clone()], text })
}
