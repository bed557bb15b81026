//! Heads that training goes on with: those of the model folder that the suite names as its encoder.

use std::collections::BTreeMap;

use polytask_core::suite::Start;
use polytask_core::{Problem, Suite, near};
use polytask_model::Model;
use polytask_nn::Block;

use crate::Result;
use crate::locate::locate;
use crate::observe::{Event, Observer};
use crate::prepared::is_fresh;

/// The heads of the encoder's folder by task, where training starts from them; the suite takes over the order of their
/// labels.
///
/// # Errors
/// An encoder without heads, and tasks that are of another kind there.
pub(crate) fn take(suite: &mut Suite, observer: &mut dyn Observer) -> Result<BTreeMap<String, Block>> {
    if suite.train.start != Start::Model {
        return Ok(BTreeMap::new());
    }
    if is_fresh(suite) || suite.model.encoder == polytask_core::suite::TINY {
        return Err(no_heads(suite));
    }
    let model = Model::load(&locate(suite, observer)?)?;
    let mut kept = BTreeMap::new();
    for task in &mut suite.tasks {
        let Ok(trained) = model.task(&task.name) else { continue };
        if trained.kind.name != task.kind.name {
            let (there, here) = (trained.kind.name, task.kind.name);
            let what = format!(
                "task `{}` is of kind {there} in the encoder's folder and {here} in the suite",
                task.name
            );
            return Err(Problem::new(what)
                .try_this("another name for the task, or `start = \"probe\"`")
                .into());
        }
        let form = (trained.info.hidden, trained.info.is_pooler);
        if form != (task.hidden(), task.is_pooler()) {
            let what = format!(
                "the head of task `{}` has another form in the encoder's folder than in the suite",
                task.name
            );
            return Err(Problem::new(what)
                .try_this("the `head` it was trained with, or `start = \"probe\"`")
                .into());
        }
        let own = trained.info.labels.clone();
        if let Some(given) = task.labels.as_ref().filter(|given| **given != own) {
            let what = format!(
                "task `{}` declares the labels {}, the head in the encoder's folder has {}",
                task.name,
                near::list(&given.iter().map(String::as_str).collect::<Vec<_>>()),
                near::list(&own.iter().map(String::as_str).collect::<Vec<_>>())
            );
            return Err(Problem::new(what).try_this("no `labels`, or `start = \"probe\"`").into());
        }
        if !own.is_empty() {
            task.labels = Some(own);
        }
        kept.insert(task.name.clone(), trained.block.clone());
    }
    if kept.is_empty() && !suite.tasks.iter().all(|task| task.kind.compares_texts()) {
        return Err(no_heads(suite));
    }
    let names = kept.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    observer.event(Event::Note(&format!("heads of the encoder's folder are trained further: {names}")));
    Ok(kept)
}

fn no_heads(suite: &Suite) -> crate::Error {
    let what = format!(
        "start = \"model\", but encoder `{}` has no head of any task of the suite",
        suite.model.encoder
    );
    Problem::new(what).try_this("the folder `model` of a run as `encoder`, or `start = \"probe\"`").into()
}

/// The kept head of a task where it has the shape of the fresh one, else that.
pub(crate) fn or_fresh(kept: &BTreeMap<String, Block>, task: &str, fresh: Block) -> Block {
    let shape = |block: &Block| block.tensors.iter().map(|tensor| tensor.shape.clone()).collect::<Vec<_>>();
    match kept.get(task) {
        Some(head) if shape(head) == shape(&fresh) => Block { values: head.values.clone(), ..fresh },
        _ => fresh,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_of_another_shape_starts_fresh() {
        let block = |n: usize, value: f32| {
            let mut block = Block::zeros("head.a", &[("weight", &[n, 2], true)]);
            block.values.fill(value);
            block
        };
        let kept = BTreeMap::from([("a".to_owned(), block(3, 7.0))]);
        assert_eq!(or_fresh(&kept, "a", block(3, 0.0)).values, [7.0; 6]);
        assert_eq!(or_fresh(&kept, "a", block(2, 1.0)).values, [1.0; 4]);
        assert_eq!(or_fresh(&kept, "b", block(3, 2.0)).values, [2.0; 6]);
    }
}
