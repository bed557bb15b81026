//! An experiment from recipe to findings on a small text suite with a random encoder.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use polytask_core::suite::{self, Catalogue};
use polytask_methods::findings::{Arm, Findings, Verdict};
use polytask_methods::paper::{Data, OracleRequest, OracleScore, OracleScores, Paper, Request};
use polytask_methods::{Options, reproduce, show};
use polytask_train::Result;
use polytask_train::observe::{Event, Observer};

const RECIPE: &str = r#"
name = "small"
[model]
encoder = "tiny"
dropout = 0.0
[train]
lr = 3e-3
batch_rows = 16
epochs = 4
conflict_every = 2
keep = "last"
[[source]]
name = "notes"
files = { train = "train.csv", valid = "valid.csv", test = "test.csv" }
[[task]]
name = "tone"
kind = "class"
from = "notes"
columns = { label = "tone" }
metric = "accuracy"
[[task]]
name = "thing"
kind = "class"
from = "notes"
columns = { label = "thing" }
metric = "accuracy"
[[task]]
name = "size"
kind = "regression"
from = "notes"
columns = { value = "size" }
metric = "rmse"
[method]
id = "small"
seeds = 2
choose_on = 2
data = { train = 64 }
[method.quick]
seeds = 1
set = ["train.epochs=1"]
settings = ["labels"]
arms = ["single-task", "equal"]
[[method.setting]]
name = "labels"
tasks = ["tone", "thing"]
score = "mean"
[[method.setting]]
name = "all three"
score = "delta-m"
data = { shift = 1.0 }
[[method.arm]]
name = "single-task"
alone = true
[[method.arm]]
name = "equal"
set = ["train.weighting=equal"]
[[method.arm]]
name = "chosen"
choose = [
    { label = "lr 1e-9", set = ["train.lr=1e-9"] },
    { label = "lr 0.01", set = ["train.lr=1e-2"] },
]
[[method.arm]]
name = "chosen in the time of equal"
like = "chosen"
in_time_of = "equal"
settings = ["labels"]
[[method.arm]]
name = "pcgrad"
set = ["train.weighting=pcgrad"]
settings = ["all three"]
[[method.compare]]
role = "claim"
setting = "labels"
better = "chosen"
than = "equal"
claimed = 50.0
[[method.compare]]
role = "mechanism"
setting = "labels"
value = "sharpness"
lower = true
better = "equal"
than = "chosen"
[[method.compare]]
role = "question"
setting = "all three"
better = "pcgrad"
than = "equal"
bar = -1000.0
"#;

static SMALL: Paper = Paper {
    id: "small",
    name: "small",
    title: "Small",
    paper: "none",
    family: "test",
    about: "a test",
    claim: "training helps",
    cost: "nothing",
    parts: &[],
    recipe: RECIPE,
    data: notes,
    oracle: None,
};

const WARM: [&str; 3] = ["red", "rust", "amber"];
const COLD: [&str; 3] = ["blue", "teal", "navy"];
const THINGS: [&str; 4] = ["cup", "door", "lamp", "coat"];

#[allow(clippy::unnecessary_wraps)] // the signature of a paper's data
fn notes(request: &Request) -> Result<Data> {
    let n = request.number("train") as usize;
    for (split, n) in [("train", n), ("valid", 40), ("test", 40)] {
        let mut text = String::from("text,tone,thing,size\n");
        for i in 0..n {
            let (warm, thing) = (i % 2 == 0, THINGS[(i / 2) % 4]);
            let colour = if warm { WARM[i % 3] } else { COLD[i % 3] };
            let tone = if warm { "warm" } else { "cold" };
            let _ = writeln!(text, "the {colour} {thing} of {split} {i},{tone},{thing},{}", (i % 7) as f64);
        }
        fs::write(request.folder.join(format!("{split}.csv")), text).unwrap();
    }
    Ok(Data { folder: request.folder.to_path_buf(), key: format!("{} {n}", request.number("shift")) })
}

/// Counts trainings.
#[derive(Default)]
struct Count(Vec<String>);

impl Observer for Count {
    fn event(&mut self, event: Event) {
        if let Event::Phase { name, .. } = event {
            self.0.push(name.to_owned());
        }
    }
}

fn run(out: &Path, quick: bool, seeds: Option<usize>, set: &[&str]) -> (Findings, Vec<String>) {
    run_arms(&[], out, quick, seeds, set)
}

/// A whole experiment in a folder.
fn whole<'a>(out: &Path, catalogue: &'a Catalogue) -> Options<'a> {
    Options {
        quick: false,
        arms: Vec::new(),
        seeds: None,
        out: out.to_path_buf(),
        bases: Vec::new(),
        set: Vec::new(),
        catalogue,
        command: "polytask reproduce small".into(),
        commit: "abc".into(),
    }
}

fn run_arms(
    arms: &[&str],
    out: &Path,
    quick: bool,
    seeds: Option<usize>,
    set: &[&str],
) -> (Findings, Vec<String>) {
    let catalogue = polytask_train::catalogue();
    let options = Options {
        quick,
        arms: arms.iter().map(ToString::to_string).collect(),
        seeds,
        set: set.iter().map(ToString::to_string).collect(),
        ..whole(out, &catalogue)
    };
    let mut count = Count::default();
    let findings = reproduce(&SMALL, &options, &mut count).unwrap();
    (findings, count.0)
}

const RANKS: &str = r#"
name = "ranks"
[model]
encoder = "tiny"
[train]
steps = 2
batch_rows = 4
keep = "last"
start = "random"
baselines = false
[[nodes]]
name = "job"
file = "jobs.jsonl"
[[nodes]]
name = "tool"
file = "tools.jsonl"
[[task]]
name = "find"
kind = "ranking"
left = "text"
right = "job"
columns = { right = "ids" }
files = { train = "find.jsonl", valid = "find.jsonl", test = "find.jsonl" }
[[task]]
name = "call"
kind = "ranking"
left = "text"
right = "job"
columns = { right = "ids" }
files = { train = "find.jsonl", valid = "find.jsonl", test = "find.jsonl" }
[[task]]
name = "use"
kind = "ranking"
left = "text"
right = "tool"
columns = { right = "ids" }
files = { test = "use.jsonl" }
[method]
id = "ranks"
seeds = 2
choose_on = 1
[method.quick]
seeds = 2
settings = ["texts"]
arms = ["single-task", "both", "one"]
[[method.setting]]
name = "texts"
tasks = ["find", "call"]
unseen = ["use"]
score = "mean"
[[method.setting]]
name = "known truth"
score = "mean"
oracle = true
data = { truth = 0.25 }
[[method.arm]]
name = "single-task"
alone = true
settings = ["texts"]
[[method.arm]]
name = "untrained"
learner = "probe"
settings = ["texts"]
[[method.arm]]
name = "both"
set = ["task.call.loss_weight=2.0"]
settings = ["texts"]
[[method.arm]]
name = "one"
tasks = ["find"]
set = ["task.call.loss_weight=2.0"]
settings = ["texts"]
[[method.arm]]
name = "true"
settings = ["known truth"]
"#;

#[allow(clippy::unnecessary_wraps)] // the signature of a paper's data
fn jobs(request: &Request) -> Result<Data> {
    let write = |file: &str, lines: &str| fs::write(request.folder.join(file), lines).unwrap();
    write(
        "jobs.jsonl",
        "{\"id\":\"1\",\"text\":\"cook\"}\n{\"id\":\"2\",\"text\":\"pilot\"}\n{\"id\":\"3\",\"text\":\"mason\"}\n",
    );
    write("tools.jsonl", "{\"id\":\"a\",\"text\":\"spoon\"}\n{\"id\":\"b\",\"text\":\"trowel\"}\n");
    write(
        "find.jsonl",
        "{\"text\":\"soup maker\",\"ids\":\"1\"}\n{\"text\":\"flyer\",\"ids\":\"2|3\"}\n{\"text\":\"builder\",\"ids\":\"3\"}\n",
    );
    write("use.jsonl", "{\"text\":\"stir a soup\",\"ids\":\"a\"}\n{\"text\":\"lay bricks\",\"ids\":\"b\"}\n");
    Ok(Data { folder: request.folder.to_path_buf(), key: "jobs".into() })
}

/// A world in which an arm reaches a share of the seed.
#[allow(clippy::unnecessary_wraps)] // the signature of a paper's oracle
fn known(request: &OracleRequest) -> Result<OracleScores> {
    let value = request.seed as f64 * request.number("truth", 0.0..=1.0)?;
    let tasks = vec![OracleScore { task: "known", metric: "map", value }];
    Ok(OracleScores { tasks, measured: vec![("half", value / 2.0)], steps: 1 })
}

#[test]
fn learners_and_oracles_are_arms_and_models_are_asked_what_they_were_not_trained_on() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = polytask_train::catalogue();
    let options = whole(folder.path(), &catalogue);
    let paper = Paper { id: "ranks", recipe: RANKS, data: jobs, oracle: Some(known), ..SMALL };
    let mut count = Count::default();
    let findings = reproduce(&paper, &options, &mut count).unwrap();
    assert_eq!(arm(&findings, "known truth", "true").values, [Some(25.0), Some(50.0)]);
    for name in ["untrained", "both", "one"] {
        let arm = arm(&findings, "texts", name);
        assert_eq!(arm.tasks.keys().collect::<Vec<_>>(), ["call", "find"], "{name}");
        assert!(arm.measured["use map"] > 0.0 && arm.mean.is_some(), "{name}");
    }
    let alone = arm(&findings, "texts", "single-task");
    assert!(alone.tasks.len() == 2 && !alone.measured.contains_key("use map"));
    // One seed, one training of each arm but those that learn otherwise.
    assert_eq!(count.0.iter().filter(|name| name.contains("untrained")).count(), 0);
    assert!(!folder.path().join("texts/seed-1/model").exists());
    let mut again = Count::default();
    let kept = reproduce(&paper, &options, &mut again).unwrap();
    let values = |findings: &Findings| findings.arms.iter().map(|arm| arm.values.clone()).collect::<Vec<_>>();
    assert_eq!((values(&kept), again.0.len()), (values(&findings), 0));
}

fn arm<'a>(findings: &'a Findings, setting: &str, name: &str) -> &'a Arm {
    findings.arms.iter().find(|arm| arm.setting == setting && arm.name == name).unwrap()
}

#[test]
fn arms_are_trained_chosen_on_valid_compared_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (findings, trainings) = run(folder.path(), false, None, &[]);
    assert_eq!(findings.arms.len(), 8);
    let chosen = arm(&findings, "labels", "chosen");
    assert_eq!((chosen.chosen.as_deref(), chosen.metric.as_str()), (Some("lr 0.01"), "accuracy"));
    assert!((0.0..=100.0).contains(&chosen.mean.unwrap()) && chosen.values.len() == 2);
    assert!(chosen.measured.contains_key("sharpness") && chosen.measured.contains_key("conflict"));
    assert!(chosen.step_ms > 0.0 && chosen.interval.unwrap()[0] <= chosen.mean.unwrap());
    let single = arm(&findings, "all three", "single-task");
    assert_eq!((single.mean, single.metric.as_str(), single.tasks.len()), (Some(0.0), "delta_m", 3));
    assert!(arm(&findings, "all three", "pcgrad").mean.unwrap().is_finite());
    assert_eq!(findings.comparisons.len(), 3);
    assert_eq!(findings.comparisons[2].verdict, Verdict::Holds);
    assert_eq!((findings.mechanism.evidence.len(), findings.id.as_str()), (1, "small"));
    // A choice of two trains two candidates with each of two seeds, and the winner is not trained again.
    assert_eq!(trainings.iter().filter(|name| name.starts_with("chosen #")).count(), 8);
    let (again, trainings) = run(folder.path(), false, None, &[]);
    assert!(trainings.is_empty(), "{trainings:?}");
    assert_eq!(again, findings);
    let written: Findings =
        serde_json::from_slice(&fs::read(folder.path().join("findings.json")).unwrap()).unwrap();
    assert_eq!(written, findings);
    let table = show::table(&findings, 100);
    for word in ["Claim: training helps", "chosen (lr 0.01)", "all three", "Δm %", "Verdict: the claim"] {
        assert!(table.contains(word), "`{word}` is not in:\n{table}");
    }
    assert!(table.lines().all(|line| line.chars().count() <= 100), "{table}");
}

#[test]
fn the_suite_of_an_arm_trains_to_what_the_experiment_found() {
    let folder = tempfile::tempdir().unwrap();
    let (findings, _) = run(folder.path(), true, None, &[]);
    let equal = arm(&findings, "labels", "equal");
    let file: PathBuf = folder.path().join(&equal.suite);
    let suite = suite::load(&file, &polytask_train::catalogue(), &["train.baselines=false".into()]).unwrap();
    assert_eq!((suite.tasks.len(), suite.train.epochs, suite.seed), (2, 1.0, 1));
    let mut silent = polytask_train::observe::Silent;
    let prepared = polytask_train::prepare::prepare(suite, &mut silent).unwrap();
    let out = folder.path().join("run");
    let options = polytask_train::run::RunOptions { out, resume: false, baselines: None };
    let report = polytask_train::run::run(&prepared, &options, &mut silent).unwrap();
    for task in &report.tasks {
        assert_eq!(task.joint[0].interval.value, equal.tasks[&task.task], "{}", task.task);
    }
}

#[test]
fn another_seed_or_setting_trains_only_what_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let (_, first) = run(folder.path(), true, Some(1), &[]);
    assert_eq!(first, ["single-task #1 tone", "single-task #1 thing", "equal #1"]);
    let (findings, more) = run(folder.path(), true, Some(2), &[]);
    assert_eq!(more, ["single-task #2 tone", "single-task #2 thing", "equal #2"]);
    assert_eq!((findings.arms[0].seeds, findings.quick), (2, true));
    let (_, changed) = run(folder.path(), true, Some(1), &["train.lr=1e-3", "method.data.train=48"]);
    assert_eq!(changed.len(), 3);
}

#[test]
fn some_arms_are_trained_as_among_all_and_show_no_claim_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (some, trainings) = run_arms(&["equal"], folder.path(), false, Some(1), &[]);
    let names: Vec<&str> = trainings.iter().map(String::as_str).collect();
    assert!(
        names.contains(&"equal #1")
            && names.iter().all(|n| n.starts_with("equal") || n.starts_with("single"))
    );
    assert_ne!(some.verdict, Verdict::Holds);
    assert!(
        folder.path().join("findings-of-arms.json").exists() && !folder.path().join("findings.json").exists()
    );
    let (all, more) = run(folder.path(), false, Some(1), &[]);
    assert!(more.iter().all(|name| !name.starts_with("equal")), "{more:?}");
    for found in &some.arms {
        assert_eq!(found, arm(&all, &found.setting, &found.name));
    }
}

#[test]
fn a_diverged_arm_has_no_score_and_the_experiment_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (findings, _) = run(folder.path(), true, None, &["train.lr=1e30", "train.clip=0"]);
    let equal = arm(&findings, "labels", "equal");
    assert_eq!((equal.mean, equal.values.as_slice()), (None, &[None][..]));
    assert!(show::table(&findings, 100).contains("–"));
}
