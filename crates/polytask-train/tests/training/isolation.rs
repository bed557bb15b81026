//! A task whose numbers stop being finite is left out and named; the others train as if it were absent.

use polytask_train::Error;
use polytask_train::observe::Silent;
use polytask_train::run::{RunOptions, run};
use polytask_weighting::WEIGHTINGS;

use crate::common::{Data, TWO, heads, trunk};
use crate::methods::{of_two, spaces};

/// Two tasks with heads, those named `broken` with a weight that no gradient survives.
fn tasks(broken: &[&str]) -> String {
    let weight = |task| if broken.contains(&task) { "1e300" } else { "1" };
    let task = |name, kind, data| {
        let loss_weight = weight(name);
        format!(
            "[[task]]\nname = \"{name}\"\nkind = \"{kind}\"\ndata = \"{data}\"\nbatch_rows = 8\nloss_weight = {loss_weight}\n"
        )
    };
    task("tone", "class", "notes") + &task("same", "pair-class", "pairs")
}

#[test]
fn the_others_train_as_if_the_broken_task_were_absent() {
    let data = Data::new();
    for method in WEIGHTINGS.iter().map(|entry| entry.info.id) {
        let (space, of_two) = (spaces(method)[0], of_two(method));
        let set = [format!("train.weighting={of_two}"), format!("train.gradients=\"{space}\"")];
        let set: Vec<&str> = set.iter().map(String::as_str).chain(["train.conflict_every=1"]).collect();
        let rig = data.rig(&tasks(&["same"]), &set);
        let both = rig.trained();
        let mut alone = rig.trainer_of(&[0]);
        alone.train("test", &mut Silent).unwrap();
        assert!(trunk(&both) == trunk(&alone.state), "{method}");
        assert!(both.heads[0] == alone.state.heads[0] && both.heads[1] == rig.blocks()[1], "{method}");
        assert_eq!(both.slots, alone.state.slots);
        let isolated = &both.history.isolated;
        assert_eq!((isolated.len(), &*isolated[0].task, isolated[0].step), (1, "same", 1));
        assert_eq!(isolated[0].steps, both.step);
        assert!(isolated[0].what.contains("not finite"), "{}", isolated[0].what);
    }
}

#[test]
fn a_run_with_a_broken_task_ends_with_a_report_that_names_it() {
    let data = Data::new();
    let prepared = data.prepare(&tasks(&["same"]), &["train.baselines=true"]);
    let options = RunOptions { out: data.out("run"), resume: false, baselines: Some(data.out("kept")) };
    let report = run(&prepared, &options, &mut Silent).unwrap();
    assert_eq!((&*report.isolated[0].task, report.isolated[0].step), ("same", 1));
    let single: Vec<bool> = report.tasks.iter().map(|task| task.single.is_empty()).collect();
    assert_eq!(single, [false, true]);
    assert!(report.notes.iter().any(|note| note.contains("`same` is not compared")), "{:?}", report.notes);
    assert!(data.out("run").join("report.html").exists() && data.out("run").join("model").exists());
}

#[test]
fn a_broken_task_that_stands_alone_in_its_steps_is_skipped() {
    let data = Data::new();
    let state = data.rig(&tasks(&["same"]), &["train.mixing=\"alternate\"", "train.steps=10"]).trained();
    assert_eq!(state.step, 10);
    assert_eq!(state.history.losses[&0].len() as u64 + state.history.isolated[0].steps, 10);
    assert!(state.history.isolated[0].steps > 1 && !state.history.losses.contains_key(&1));
}

#[test]
fn when_no_task_is_sound_training_ends_in_words() {
    let data = Data::new();
    for mixing in ["joint", "alternate"] {
        let rig = data.rig(&tasks(&["same", "tone"]), &[&*format!("train.mixing=\"{mixing}\"")]);
        let error = rig.trainer().train("test", &mut Silent).unwrap_err();
        assert!(matches!(error, Error::Diverged { .. }));
        let words = error.to_string();
        assert!(words.contains("diverged at step") && words.contains("`train.lr`"), "{words}");
        assert!(words.contains("task `same`") || words.contains("task `tone`"), "{words}");
    }
}

#[test]
fn a_loss_weight_that_overflows_gradients_isolates_its_task_wherever_it_does() {
    let data = Data::new();
    for method in ["equal", "uw", "mgda", "pcgrad", "moml", "forum"] {
        let mut places = Vec::new();
        for weight in ["1e36", "1e37", "1e38", "3e38", "1e300"] {
            let tasks = TWO.replace("data = \"pairs\"", &format!("data = \"pairs\"\nloss_weight = {weight}"));
            let method = format!("train.weighting=\"{method}\"");
            let rig = data.rig(&tasks, &["train.clip=0", &method]);
            let state = rig.trained();
            assert!(trunk(&state).iter().chain(&heads(&state)).all(|v| v.is_finite()), "{weight}");
            let Some(isolated) = state.history.isolated.first() else { continue };
            assert_eq!(isolated.task, "alike");
            places.push((weight, isolated.what.clone(), isolated.steps));
            if isolated.steps == state.step {
                let mut alone = rig.trainer_of(&[0]);
                alone.train("test", &mut Silent).unwrap();
                assert!(trunk(&state) == trunk(&alone.state), "{method} {weight}");
            }
        }
        let at = |words: &str| places.iter().any(|(_, what, _)| what.contains(words));
        assert!(at("gradient in the trunk") && at("gradient is not finite"), "{method} {places:?}");
    }
}
