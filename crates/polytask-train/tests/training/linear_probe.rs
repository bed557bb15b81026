//! Probes: heads fitted on frozen vectors, as the start of training and as its yardstick.

use std::fs;
use std::path::{Path, PathBuf};

use polytask_core::report::RunReport;
use polytask_core::{Purpose, Rng, Split};
use polytask_nn::Params;
use polytask_nn::encoder::Encoder;
use polytask_train::defaults;
use polytask_train::observe::{Event, Observer, Silent};
use polytask_train::run::{RunOptions, run};

use crate::common::{ALL, Data, TWO, find};

const PROBE: &[&str] = &["train.start=\"probe\"", "train.steps=4", "train.eval_every=2"];

fn report(data: &Data, name: &str, set: &[&str]) -> RunReport {
    let prepared = data.prepare(ALL, set);
    let options = RunOptions { out: data.out(name), resume: false, baselines: None };
    run(&prepared, &options, &mut Silent).unwrap()
}

#[test]
fn a_training_that_never_surpasses_its_probes_keeps_them() {
    let data = Data::new();
    // A rate at which the encoder is lost in the first step.
    let report = report(&data, "run", &[PROBE, &["train.lr=50.0", "train.warmup=0.0"]].concat());
    assert_eq!(report.kept, 0);
    for task in &report.tasks {
        assert_eq!(task.joint, task.other("probe").unwrap().scores, "{} is its probe", task.task);
    }
    assert!(report.cautions.iter().all(|said| !said.contains("below its probe")), "{:?}", report.cautions);
}

#[test]
fn fitted_heads_score_better_than_random_ones_before_the_first_step() {
    let data = Data::new();
    let report = report(&data, "run", PROBE);
    for task in report.tasks.iter().filter(|task| !["similarity", "retrieval"].contains(&task.kind.as_str()))
    {
        let first = report.valid[&task.task].first().unwrap();
        assert_eq!(first.step, 0, "valid is looked at before the first step");
    }
    let random = {
        let set = ["train.start=\"random\"", "train.steps=1", "train.lr=1e-9", "train.keep=\"last\""];
        self::report(&data, "random", &set)
    };
    let mean = |report: &RunReport, of: fn(&polytask_core::report::TaskReport) -> f64| {
        report.tasks.iter().map(of).sum::<f64>() / report.tasks.len() as f64
    };
    let (fitted, drawn) = (
        mean(&report, |task| task.other("probe").unwrap().scores[0].interval.value),
        mean(&random, |task| task.joint[0].interval.value),
    );
    assert!(fitted > drawn + 0.05, "{fitted} {drawn}");
}

#[test]
fn a_task_below_its_probe_is_said_and_not_judged() {
    let data = Data::new();
    let set = ["train.start=\"random\"", "train.steps=2", "train.lr=1e-9", "train.baselines=true"];
    let report = report(&data, "run", &set);
    let below: Vec<_> = report.tasks.iter().filter(|task| task.unfinished).collect();
    assert!(!below.is_empty(), "random heads are below some probe");
    for task in below {
        assert!(!task.regressed);
        assert!(report.cautions.iter().any(|said| said.contains(&format!("`{}`", task.task))));
    }
    let page = fs::read_to_string(data.out("run").join("report.html")).unwrap();
    assert!(page.contains("Caution: task"));
}

#[test]
fn probes_are_the_same_bytes_again() {
    let data = Data::new();
    let [a, b] = ["a", "b"].map(|name| report(&data, name, PROBE).tasks);
    assert_eq!(a, b);
}

#[test]
fn open_settings_are_chosen_once_and_written_as_any_other() {
    let data = Data::new();
    let mut prepared = data.prepare(ALL, &[]);
    prepared.suite.train.open = polytask_core::suite::OPEN.to_vec();
    let chosen = defaults::choose(&mut prepared.suite, &prepared.dataset, &prepared.encoder).unwrap();
    let keys: Vec<_> = chosen.iter().map(|chosen| chosen.key).collect();
    assert_eq!(keys, ["batch_rows", "lr", "steps", "eval_every", "weighting"], "no time, no schedule");
    let train = &prepared.suite.train;
    assert!(train.open.is_empty() && train.steps.unwrap() > 0 && train.eval_every > 0);
    let weights = train.weighting.params["weights"].as_object().unwrap();
    assert_eq!(weights.len(), prepared.suite.tasks.len());
    let mean = weights.values().filter_map(serde_json::Value::as_f64).sum::<f64>() / weights.len() as f64;
    assert!((mean - 1.0).abs() < 0.02, "{mean}");
    let text = polytask_core::suite::to_toml(&prepared.suite);
    assert!(text.contains(&format!("steps = {}", train.steps.unwrap())) && text.contains("constant"));
    assert!(defaults::choose(&mut prepared.suite, &prepared.dataset, &prepared.encoder).unwrap().is_empty());
}

#[test]
fn a_training_that_surpasses_its_probe_is_kept() {
    let data = Data::new();
    // A dozen rows do not make the gain sure.
    let mut rng = Rng::new(1, Purpose::Bench, &[9]);
    let row = |i: usize| {
        let row = find(i, &mut rng);
        let query = format!("{} {i}", row["query"].as_str().unwrap());
        serde_json::json!({ "query": query, "positives": row["positives"] })
    };
    data.write("finds", Split::Valid, (0..60).map(row));
    let prepared = data.prepare(
        "[[task]]\nname = \"find\"\nkind = \"retrieval\"\ndata = \"finds\"\n",
        &["train.start=\"probe\"", "train.lr=3e-3", "train.steps=60", "train.eval_every=30"],
    );
    let options = RunOptions { out: data.out("run"), resume: false, baselines: None };
    let report = run(&prepared, &options, &mut Silent).unwrap();
    assert!(report.kept > 0, "{:?}", report.valid);
    let valid = &report.valid["find"];
    let best = valid.iter().map(|point| point.value).fold(f64::NEG_INFINITY, f64::max);
    assert!(best > valid[0].value, "{valid:?}");
}

/// Two tasks with five rows on valid each, too few to prefer anything.
fn with_little_valid() -> Data {
    let data = Data::new();
    for name in ["notes", "pairs"] {
        let rows = data.rows(name, Split::Valid);
        data.write(name, Split::Valid, rows.into_iter().take(5));
    }
    data
}

/// The encoder a run kept.
fn trunk(data: &Data, name: &str) -> Params {
    Encoder::load(&data.out(name).join("model")).unwrap().params
}

#[test]
fn half_way_weights_are_kept_where_valid_has_too_few_rows_to_prefer_others() {
    let data = with_little_valid();
    let train = |name: &str, more: &str| {
        let prepared = data.prepare(TWO, &["train.start=\"probe\"", "train.steps=6", more]);
        let options = RunOptions { out: data.out(name), resume: false, baselines: None };
        (run(&prepared, &options, &mut Silent).unwrap(), prepared.encoder.params)
    };
    let (report, start) = train("half", "train.keep=\"best\"");
    assert_eq!((report.kept, report.share), (6, Some(0.5)));
    let (last, _) = train("last", "train.keep=\"last\"");
    assert_eq!((last.kept, last.share), (6, None));
    let (half, end) = (trunk(&data, "half"), trunk(&data, "last"));
    let mut moved = 0;
    for ((half, end), start) in half.blocks.iter().zip(&end.blocks).zip(&start.blocks) {
        for ((half, end), start) in half.values.iter().zip(&end.values).zip(&start.values) {
            assert!((half - (start + end) / 2.0).abs() < 1e-6, "{start} {half} {end}");
            moved += usize::from(start != end);
        }
    }
    assert!(moved > 1000, "training moved the encoder");
}

/// Copies the checkpoints away when the last step is done and nothing is chosen yet: what `kill -9` there would leave.
struct KillBeforeChoice {
    from: PathBuf,
    to: PathBuf,
}

impl Observer for KillBeforeChoice {
    fn event(&mut self, event: Event) {
        if matches!(event, Event::Phase { name: "interpolated weights", .. }) {
            let place = |folder: &Path| folder.join("checkpoint/joint/state.safetensors");
            fs::create_dir_all(place(&self.to).parent().unwrap()).unwrap();
            fs::copy(place(&self.from), place(&self.to)).unwrap();
        }
    }
}

#[test]
fn a_run_that_was_killed_before_it_chose_chooses_the_same_weights() {
    let data = with_little_valid();
    let prepared = data.prepare(TWO, &["train.start=\"probe\"", "train.steps=6"]);
    let options = |name: &str, resume| RunOptions { out: data.out(name), resume, baselines: None };
    let mut killer = KillBeforeChoice { from: data.out("whole"), to: data.out("killed") };
    let whole = run(&prepared, &options("whole", false), &mut killer).unwrap();
    let resumed = run(&prepared, &options("killed", true), &mut Silent).unwrap();
    assert_eq!((whole.share, whole.tasks), (resumed.share, resumed.tasks));
    assert!(trunk(&data, "whole") == trunk(&data, "killed"));
}

#[test]
fn the_probes_are_kept_where_half_way_weights_clearly_lose() {
    let data = Data::new();
    let set = ["train.start=\"probe\"", "train.steps=30", "train.lr=0.3", "train.clip=0.0"];
    let report = report(&data, "run", &set);
    assert_eq!((report.kept, report.share), (0, None), "{:?}", report.valid);
    let page = fs::read_to_string(data.out("run").join("report.html")).unwrap();
    assert!(page.contains("The encoder was left as it was loaded"));
}

#[test]
fn suites_of_tags_start_small_at_a_rate_of_their_own_and_keep_the_end() {
    let data = Data::new();
    let tags = "[[task]]\nname = \"tags\"\nkind = \"tagging\"\ndata = \"tags\"\n";
    let chosen = |suite: &str, start: &str| {
        let mut prepared = data.prepare(suite, &[&format!("train.start={start}")]);
        prepared.suite.train.open = vec!["lr"];
        defaults::choose(&mut prepared.suite, &prepared.dataset, &prepared.encoder).unwrap();
        prepared.suite.train.lr
    };
    assert_eq!([chosen(tags, "probe"), chosen(tags, "random"), chosen(TWO, "probe")], [2e-4, 1e-4, 1e-4]);
    let train = |name: &str, set: &[&str]| {
        let prepared = data.prepare(tags, &[&["train.start=probe", "train.steps=4"], set].concat());
        let options = RunOptions { out: data.out(name), resume: false, baselines: None };
        run(&prepared, &options, &mut Silent).unwrap()
    };
    // At a rate of nearly nothing the end is where training started: the small head gives what the whole probe does.
    let still = train("still", &["train.lr=1e-12"]);
    assert_eq!(still.tasks[0].joint, still.tasks[0].other("probe").unwrap().scores);
    assert_eq!((still.kept, still.share), (4, None), "the last step's weights are kept");
}
