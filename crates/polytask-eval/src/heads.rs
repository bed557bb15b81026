//! Heads on an encoder that stays as it is, side by side.

use polytask_core::report::{Interval, RunReport, Score, TaskReport};

use crate::words::{plain, range, signed, signed_range, value};

/// Cells of the tables of tasks, a line for each head, its head first.
pub(crate) fn comparison(report: &RunReport) -> Vec<Vec<String>> {
    let head = ["task", "head", "metric", "score", "95 %", "kept minus it"].map(String::from).to_vec();
    let of_task = |task: &TaskReport| -> Vec<Vec<String>> {
        let labels = report.labels.iter().find(|labels| labels.task == task.task);
        let own = labels.map_or("kept", |labels| labels.head.as_str());
        let line = |name: &str, score: &Score, over: Option<Interval>| {
            let over = over.map(|over| format!("{} {}", signed(over.value, 1), signed_range(over)));
            vec![
                plain(&task.task),
                plain(name),
                score.metric.clone(),
                value(&score.metric, score.interval.value),
                range(score),
                over.unwrap_or_else(|| "kept".into()),
            ]
        };
        let others = task
            .others
            .iter()
            .filter_map(|other| Some(line(&other.learner, other.scores.first()?, other.over)));
        task.joint.first().map(|score| line(own, score, None)).into_iter().chain(others).collect()
    };
    std::iter::once(head).chain(report.tasks.iter().flat_map(of_task)).collect()
}
