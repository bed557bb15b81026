//! Same seed, same bytes; stopped anywhere and resumed, same bytes.

use std::fs;
use std::path::{Path, PathBuf};

use polytask_nn::weights::WeightFiles;
use polytask_train::observe::{Event, Observer, Silent};
use polytask_train::run::{RunOptions, run};

use crate::architectures;
use crate::common::{ALL, Data, NOTES, Rig, TWO, heads, trunk};

/// Every file below a folder with its content.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            all.extend(
                contents(&path).into_iter().map(|(f, b)| (Path::new(path.file_name().unwrap()).join(f), b)),
            );
        } else {
            all.push((path.file_name().unwrap().into(), fs::read(&path).unwrap()));
        }
    }
    all
}

#[test]
fn the_same_seed_gives_the_same_model_and_report_and_another_seed_another() {
    let data = Data::new();
    let once = |name: &str, seed: &str| {
        let options = RunOptions { out: data.out(name), resume: false, baselines: None };
        let prepared =
            data.prepare(ALL, &[seed, "train.weighting=\"uw\"", "train.baselines=true", "train.epochs=1"]);
        let mut report = run(&prepared, &options, &mut Silent).unwrap();
        report.seconds.clear();
        (serde_json::to_string(&report).unwrap(), contents(&data.out(name).join("model")))
    };
    let (first, again, other) = (once("a", "seed=7"), once("b", "seed=7"), once("c", "seed=8"));
    assert_eq!(first.0, again.0);
    assert!(first.1 == again.1);
    let weights = |run: &(String, Vec<(PathBuf, Vec<u8>)>)| {
        run.1.iter().find(|(file, _)| file == Path::new("model.safetensors")).unwrap().1.clone()
    };
    assert!(weights(&first) != weights(&other));
}

/// Copies the last checkpoint away when a step is told: what `kill -9` at that step would leave.
struct KillAt<'a> {
    step: u64,
    from: &'a Path,
    to: &'a Path,
}

impl Observer for KillAt<'_> {
    fn event(&mut self, event: Event) {
        if matches!(event, Event::Step { done, .. } if done == self.step) {
            fs::create_dir_all(self.to).unwrap();
            let (from, to) = (self.from.join("state.safetensors"), self.to.join("state.safetensors"));
            if from.exists() {
                fs::copy(from, to).unwrap();
            }
        }
    }
}

fn resumed_equals_whole(tasks: &str, set: &[&str]) -> u64 {
    let data = Data::new();
    resumed(&data, &data.rig(tasks, set))
}

/// Stops a training at every step and resumes it to the same bytes; gives the number of its steps.
pub(crate) fn resumed(data: &Data, rig: &Rig) -> u64 {
    let (whole, killed) = (data.out("whole"), data.out("killed"));
    let mut trainer = rig.saving(&whole, "x");
    trainer.train("test", &mut Silent).unwrap();
    let last = fs::read(whole.join("state.safetensors")).unwrap();
    let n_steps = trainer.state.step;
    for step in 1..=n_steps {
        let _ = fs::remove_dir_all(&whole);
        let _ = fs::remove_dir_all(&killed);
        let mut first = rig.saving(&whole, "x");
        first.train("test", &mut KillAt { step, from: &whole, to: &killed }).unwrap();
        let mut second = rig.saving(&killed, "x");
        let checkpoints = second.checkpoints.clone().unwrap();
        let found = checkpoints.load(&mut second.state, &rig.trainable).unwrap();
        assert_eq!(found, step > 1);
        if found {
            assert_eq!(second.state.step, step - 1);
            second.method.restore(&second.state.method).unwrap();
        }
        second.train("test", &mut Silent).unwrap();
        assert!(second.kept() == trainer.kept(), "resumed after step {step}");
        assert!(fs::read(killed.join("state.safetensors")).unwrap() == last, "resumed after step {step}");
    }
    n_steps
}

#[test]
fn a_training_stopped_at_any_step_resumes_to_the_same_bytes() {
    let set =
        ["train.weighting=\"uw\"", "train.checkpoint_every=1", "train.eval_every=2", "train.keep=\"best\""];
    assert_eq!(resumed_equals_whole(TWO, &set), 6);
    assert_eq!(resumed_equals_whole(NOTES, &set), 6);
}

#[test]
fn methods_that_keep_gradients_and_weights_resume_to_the_same_bytes() {
    for method in ["moco", "db-mtl", "excess-mtl", "flat(moco, variant=each)"] {
        let weighting = format!("train.weighting=\"{method}\"");
        assert_eq!(resumed_equals_whole(TWO, &[&weighting, "train.checkpoint_every=1", "train.epochs=1"]), 3);
    }
}

#[test]
fn adapters_resume_to_the_same_bytes_beside_weights_that_no_checkpoint_holds() {
    let tune = "model.tune={ name = \"lora\", rank = 2, dropout = 0.2 }";
    let set = [tune, "train.checkpoint_every=1", "train.eval_every=2", "train.keep=\"best\""];
    assert_eq!(resumed_equals_whole(TWO, &set), 6);
    let data = Data::new();
    let rig = data.rig(TWO, &set);
    let whole = data.out("whole");
    rig.saving(&whole, "x").train("test", &mut Silent).unwrap();
    let file = WeightFiles::open(&whole.join("state.safetensors")).unwrap();
    let trunk: Vec<&str> =
        file.entries().map(|entry| entry.name.as_str()).filter(|n| n.starts_with("trunk.")).collect();
    assert!(!trunk.is_empty() && trunk.iter().all(|name| name.starts_with("trunk.adapter.")), "{trunk:?}");
}

#[test]
fn a_training_with_a_regularizer_resumes_to_the_same_bytes() {
    let set = ["train.regularizer=\"rep-mtl\"", "train.checkpoint_every=1", "train.epochs=1"];
    assert_eq!(resumed_equals_whole(NOTES, &set), 3);
}

#[test]
fn a_training_with_routes_or_selectors_resumes_to_the_same_bytes() {
    let data = Data::new();
    for sharing in ["ltb", "dselect-k"] {
        let set = ["train.checkpoint_every=1", "train.eval_every=2", "train.keep=\"best\""];
        assert_eq!(resumed(&data, &architectures::rig(&data, TWO, sharing, &set)), 6);
    }
}

#[test]
fn a_training_that_runs_out_of_patience_resumes_to_the_same_bytes() {
    let set = ["train.checkpoint_every=1", "train.eval_every=1", "train.patience=3", "train.lr=1e-12"];
    // The first evaluation is the best one; three without improvement follow.
    assert_eq!(resumed_equals_whole(TWO, &set), 4);
}

#[test]
fn an_undefined_score_on_valid_survives_a_checkpoint() {
    let data = Data::new();
    data.write(
        "pairs",
        polytask_core::Split::Valid,
        data.rows("pairs", polytask_core::Split::Valid).into_iter().map(|mut row| {
            row["score"] = 1.into();
            row
        }),
    );
    let rig = data.rig(TWO, &[]);
    let folder = data.out("nan");
    let mut trainer = rig.saving(&folder, "x");
    trainer.train("test", &mut Silent).unwrap();
    assert!(trainer.state.history.valid[&1].iter().all(|point| point.value.is_nan()));
    let mut state = rig.state();
    assert!(trainer.checkpoints.as_ref().unwrap().load(&mut state, &rig.trainable).unwrap());
    assert_eq!((trunk(&state), heads(&state)), (trunk(&trainer.state), heads(&trainer.state)));
}

#[test]
fn a_checkpoint_of_another_training_is_refused_in_words() {
    let data = Data::new();
    let rig = data.rig(TWO, &[]);
    let folder = data.out("other");
    rig.saving(&folder, "one").train("test", &mut Silent).unwrap();
    let error = rig
        .saving(&folder, "two")
        .checkpoints
        .unwrap()
        .load(&mut rig.state(), &rig.trainable)
        .unwrap_err()
        .to_string();
    assert!(error.contains("belongs to another suite") && error.contains("--force"), "{error}");
    assert!(error.contains("state.safetensors"), "{error}");
}

#[test]
fn a_truncated_or_garbled_checkpoint_is_a_clear_error() {
    let data = Data::new();
    let rig = data.rig(TWO, &["train.steps=2"]);
    let folder = data.out("broken");
    rig.saving(&folder, "x").train("test", &mut Silent).unwrap();
    let (file, checkpoints) =
        (folder.join("state.safetensors"), rig.saving(&folder, "x").checkpoints.unwrap());
    let whole = fs::read(&file).unwrap();
    let mut broken: Vec<Vec<u8>> =
        [0, 7, 100, whole.len() / 2, whole.len() - 1].map(|n| whole[..n].to_vec()).into();
    broken.push(b"garbage, not tensors at all".to_vec());
    let header = String::from_utf8_lossy(&whole[..4096]).find("\"meta\"").unwrap_or(9);
    let mut renamed = whole.clone();
    renamed[header + 1] = b'M';
    broken.push(renamed);
    for bytes in broken {
        fs::write(&file, &bytes).unwrap();
        let error = checkpoints.load(&mut rig.state(), &rig.trainable).unwrap_err().to_string();
        assert!(error.contains("state.safetensors"), "{error}");
    }
}

#[test]
fn a_trained_block_that_a_checkpoint_lacks_is_named_and_a_frozen_one_may_lack() {
    let data = Data::new();
    let rig = data.rig(TWO, &["train.steps=2", "model.freeze=[\"embeddings\"]"]);
    let folder = data.out("gone");
    rig.saving(&folder, "x").train("test", &mut Silent).unwrap();
    let (file, checkpoints) =
        (folder.join("state.safetensors"), rig.saving(&folder, "x").checkpoints.unwrap());
    assert!(checkpoints.load(&mut rig.state(), &rig.trainable).unwrap());
    let whole = fs::read(&file).unwrap();
    for name in ["trunk.layer.1.value", "heads.head.tone.value"] {
        let mut renamed = whole.clone();
        let at = whole.windows(name.len()).position(|bytes| bytes == name.as_bytes()).unwrap();
        renamed[at] = b'X';
        fs::write(&file, renamed).unwrap();
        let error = checkpoints.load(&mut rig.state(), &rig.trainable).unwrap_err().to_string();
        let block = name.split_once('.').unwrap().1.trim_end_matches(".value");
        assert!(error.contains("state.safetensors") && error.contains(&format!("`{block}`")), "{error}");
    }
    fs::write(&file, whole).unwrap();
    let error = checkpoints.load(&mut rig.state(), &vec![true; rig.trainable.len()]).unwrap_err().to_string();
    assert!(error.contains("no block `words`"), "{error}");
}
