//! Findings in words: what to do, each with its evidence.

use polytask_core::report::Interval;

use super::estimate::{is_above, is_below};
use super::{Advice, Conflict, Culprit, Grouping, Harm, TaskFinding};
use crate::words::{self, number, signed, signed_range};

/// Fills the advice and the verdict.
pub(super) fn give(conflict: &mut Conflict) {
    let mut advice = vec![grouping(conflict)];
    advice.extend(conflict.tasks.iter().filter(|task| task.is_noise).map(leave_out));
    advice.extend(down_weights(conflict));
    advice.extend(conflict.harms.iter().filter_map(|harm| own_capacity(conflict, harm)));
    let harms: Vec<String> = conflict.harms.iter().map(in_short).collect();
    conflict.verdict = harms.into_iter().chain([advice[0].text.clone()]).collect::<Vec<_>>().join("; ");
    conflict.advice = advice;
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

fn grouping(conflict: &Conflict) -> Advice {
    let suggestion = conflict.suggestion();
    let tasks: Vec<String> = suggestion.groups.concat();
    let predicted = with_range(suggestion.delta_m.as_ref());
    let (kind, text) = match suggestion.groups.len() {
        0 => ("together", "no task learns anything: nothing to group".into()),
        1 => ("together", together(conflict, &predicted)),
        _ => {
            let against = with_range(conflict.together.as_ref());
            let groups = braces(&suggestion.groups);
            ("split", format!("split {groups}; predicted Δm {predicted} % (all in one model {against} %)"))
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
    let reason = match conflict.budgets.len() {
        _ if conflict.harms.is_empty() => "nothing hurts clearly",
        1 => "one model is all there may be",
        _ => "no split is predicted to help clearly",
    };
    format!("{reason}: train {tasks} together; predicted Δm {predicted} %")
}

fn leave_out(task: &TaskFinding) -> Advice {
    let score = |score: &Option<Interval>| {
        score.map_or_else(
            || "–".into(),
            |s| {
                let (low, high) = (words::value(&task.metric, s.low), words::value(&task.metric, s.high));
                format!("{} [{low}, {high}]", words::value(&task.metric, s.value))
            },
        )
    };
    let text = format!(
        "leave out {} or check its labels: it learns nothing, alone ({} {}) or jointly ({})",
        task.task,
        task.metric,
        score(&task.single),
        score(&task.joint)
    );
    Advice { kind: "leave-out".into(), tasks: vec![task.task.clone()], text }
}

/// Tasks that hurt another of their suggested model and have nothing to lose themselves.
fn down_weights(conflict: &Conflict) -> Vec<Advice> {
    let can_afford = |name: &str| {
        let task = conflict.tasks.iter().find(|task| task.task == name);
        task.is_some_and(|task| !is_below(task.delta.as_ref()))
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
        "give {} weights of its own: it loses {} by sharing, {cause}; train it apart, or protect what tasks share \
         by a longer `model.freeze`",
        harm.task,
        plus_minus(&harm.delta)
    );
    Some(Advice { kind: "own-capacity".into(), tasks: vec![harm.task.clone()], text })
}
