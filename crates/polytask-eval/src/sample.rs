//! A run as real ones look, for the tests of everything that shows a report.

use std::collections::BTreeMap;

use polytask_core::report::{
    ConflictReport, DataCard, Diagnosis, Interval, Isolated, Leak, Lineage, Measurement, OtherScores, Point,
    RunReport, Score, Sizes, TaskCard, TaskReport,
};
use polytask_core::{Purpose, Rng};

type Row = (&'static str, &'static str, &'static str, f64, f64, f64, f64);

/// Names with an East Asian script and with markup, kinds, metrics, joint, single, delta ± half width.
const TASKS: [Row; 6] = [
    ("sts", "similarity", "spearman", 0.8312, 0.8254, 0.58, 0.51),
    ("entail", "pair-class", "accuracy", 0.8411, 0.8463, -0.52, 0.71),
    ("intent", "class", "macro_f1", 0.9123, 0.9331, -2.08, 0.74),
    ("search", "retrieval", "ndcg@10", 0.7712, 0.7521, 1.91, 1.2),
    ("情绪", "regression", "rmse", 0.412, 0.419, 1.67, 2.4),
    ("<script>alert(1)</script> & co", "tagging", "entity_f1", 0.8842, 0.8903, -0.61, 0.44),
];

fn interval(value: f64, half: f64) -> Interval {
    Interval { value, low: value - half, high: value + half }
}

fn score(metric: &str, value: f64) -> Score {
    let higher_is_better = crate::higher_is_better(metric);
    Score { metric: metric.into(), interval: interval(value, 0.012), higher_is_better, n: 1379 }
}

fn curve(task: u64, from: f64, to: f64, steps: u64, noise: f64) -> Vec<Point> {
    let mut rng = Rng::new(task, Purpose::Bench, &[]);
    let at = |step: u64| to + (from - to) * (-(step as f64) / (steps as f64 / 4.0)).exp();
    (1..=steps).map(|step| Point { step, value: at(step) + noise * rng.normal() }).collect()
}

fn card(name: &str, kind: &str, i: usize) -> TaskCard {
    let split =
        |n: usize| BTreeMap::from([("train".into(), n), ("valid".into(), n / 10), ("test".into(), n / 5)]);
    let labels = match kind {
        "class" => (0..77).map(|l| (format!("card_payment_fee_charged_{l}"), 180 - 2 * l)).collect(),
        "pair-class" => BTreeMap::from([
            ("entailment".into(), 1690),
            ("neutral".into(), 1640),
            ("contradiction".into(), 1612),
        ]),
        "tagging" => BTreeMap::from([("O".into(), 40_211), ("B-PER".into(), 1612), ("I-<b>".into(), 844)]),
        _ => BTreeMap::new(),
    };
    let values = (0..10).map(|v| (f64::from(v) * 0.5, (v as usize * 97 + 31 * i) % 300 + 20)).collect();
    TaskCard {
        task: name.into(),
        kind: kind.into(),
        rows: split(5000 + 1250 * i),
        labelled: split(4500 + 1250 * i),
        labels,
        values: if matches!(kind, "similarity" | "regression") { values } else { Vec::new() },
        lengths: vec![(8, 420), (16, 3820), (32, 2210), (64, 640), (128, 120), (256, 12)],
        truncated: 12 * i,
        duplicates: 37 * i,
        leaked: BTreeMap::from([("test".into(), 11 * (i % 2)), ("valid".into(), 0)]),
        hashes: BTreeMap::from([(format!("data/{name}/train.tsv"), "9f86d081884c7d65".repeat(4))]),
    }
}

fn conflict() -> ConflictReport {
    let tasks: Vec<String> = TASKS.iter().map(|task| task.0.into()).collect();
    let cell = |i: usize, j: usize| match (i.min(j), i.max(j)) {
        (a, b) if a == b => Some(1.0),
        (4, 5) => None,
        (a, b) => Some(((a * 7 + b * 11) % 13) as f64 / 16.0 - 0.42),
    };
    let share = |cosine: f64| (0.5 - 0.5 * cosine).clamp(0.0, 1.0);
    let cosine: Vec<Vec<Option<f64>>> = (0..6).map(|i| (0..6).map(|j| cell(i, j)).collect()).collect();
    let conflicting = cosine.iter().map(|row| row.iter().map(|c| c.map(share)).collect()).collect();
    ConflictReport { tasks, cosine, conflicting, n: 48 }
}

/// Measurements in which `intent` is pushed up by `search` and everybody else is let alone.
pub(crate) fn diagnosis() -> Diagnosis {
    let n = TASKS.len();
    let one = |step: u64| {
        let mut rng = Rng::new(step, Purpose::Bench, &[]);
        let mut table = |mean: &dyn Fn(usize, usize) -> f64, noise: f64| -> Vec<Vec<Option<f64>>> {
            let mut cell = |i: usize, j: usize| ((i, j) != (4, 5)).then(|| mean(i, j) + noise * rng.normal());
            (0..n).map(|i| (0..n).map(|j| cell(i, j)).collect()).collect()
        };
        let does = |i: usize, j: usize| match (i, j) {
            (3, 2) => -0.02,
            _ if i == j => 0.02,
            _ => 0.001,
        };
        let along = |i: usize, j: usize| if i == j { 1.0 } else { 10.0 * does(i, j) };
        let (cosine, affinity) = (table(&along, 0.02), table(&does, 0.0005));
        Measurement { step, loss: vec![Some(0.5); n], cosine, affinity, sharpness: vec![Some(0.01); n] }
    };
    let tasks = TASKS.iter().map(|task| task.0.into()).collect();
    Diagnosis { tasks, rho: 0.05, measurements: (1..=20).map(|m| one(m * 10)).collect() }
}

fn task((name, kind, metric, joint, single, delta, half): Row) -> TaskReport {
    let second = match kind {
        "similarity" | "regression" => "pearson",
        "retrieval" => "recall@100",
        "pair-class" => "macro_f1",
        _ => "accuracy",
    };
    let cosine = matches!(kind, "similarity" | "retrieval");
    let probe = OtherScores {
        learner: "probe".into(),
        scores: vec![score(metric, 0.69), score(second, 0.7)],
        over: Some(interval(joint - 0.69, half)),
    };
    TaskReport {
        task: name.into(),
        kind: kind.into(),
        split: "test".into(),
        joint: vec![score(metric, joint), score(second, joint - 0.02)],
        single: vec![score(metric, single), score(second, single - 0.015)],
        others: if cosine { vec![probe] } else { Vec::new() },
        delta: Some(interval(delta, half)),
        relative: Some(delta / single / 1.0),
        margin: 1.0,
        regressed: delta < -1.0 && delta + half < 0.0,
        unfinished: false,
    }
}

/// Six tasks, one of them regressed, with curves, conflicts, leaks and an isolated task.
pub(crate) fn report() -> RunReport {
    let tasks: Vec<TaskReport> = TASKS.into_iter().map(task).collect();
    let summary = crate::summarise(&tasks);
    let curves = |from: f64, to: f64, steps: u64, noise: f64| -> BTreeMap<String, Vec<Point>> {
        let one = |(i, task): (usize, &Row)| {
            (task.0.to_string(), curve(i as u64, from + i as f64 * 0.3, to + 0.05 * i as f64, steps, noise))
        };
        TASKS.iter().enumerate().map(one).collect()
    };
    let valid = |(i, task): (usize, &Row)| {
        let every = curve(i as u64, 0.6, task.3, 12, 0.004);
        (
            task.0.to_string(),
            every.into_iter().map(|p| Point { step: p.step * 100, value: p.value }).collect(),
        )
    };
    RunReport {
        geometry: Vec::new(),
        segmentations: Vec::new(),
        trees: None,
        labels: Vec::new(),
        on_valid: Vec::new(),
        version: polytask_core::report::REPORT_VERSION,
        name: "quickstart".into(),
        sides: Vec::new(),
        delta_m: summary.delta_m,
        worst: summary.worst,
        below: summary.below,
        tasks,
        weighting: "uw".into(),
        regularizer: "none".into(),
        steps: 1200,
        kept: 900,
        losses: curves(1.4, 0.25, 1200, 0.05),
        single_losses: curves(1.4, 0.21, 1100, 0.05),
        valid: TASKS.iter().enumerate().map(valid).collect(),
        observed: BTreeMap::new(),
        conflict: conflict(),
        diagnosis: Some(diagnosis()),
        data: DataCard {
            tasks: TASKS.iter().enumerate().map(|(i, task)| card(task.0, task.1, i)).collect(),
            leaks: vec![Leak {
                task: "entail".into(),
                split: "test".into(),
                trained_by: "sts".into(),
                texts: 214,
                pairs: 71,
            }],
            texts: 48_211,
            tokens: 812_344,
        },
        isolated: vec![Isolated {
            task: "情绪".into(),
            step: 412,
            what: "loss is NaN on rows 17, 240".into(),
            steps: 3,
        }],
        lineage: Lineage {
            version: "0.1.0".into(),
            suite: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".into(),
            data: "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752".into(),
            encoder: "fd61a03af4f77d870fc21e05e7e80678095c92d808cfb3b5c279ee04c74aca13".into(),
            seed: 13,
            threads: 2,
            machine: "x86-64, AVX-512, Linux".into(),
        },
        seconds: BTreeMap::from([
            ("joint".into(), 141.2),
            ("single".into(), 118.9),
            ("evaluation".into(), 21.4),
            ("data".into(), 3.1),
        ]),
        share: None,
        sizes: Some(Sizes { joint: 22_764_033, single: 113_617_281 }),
        cautions: Vec::new(),
        notes: vec![
            "task `entail`: 214 test texts are train texts of `sts`; its score may be too high".into(),
        ],
    }
}

/// Writes everything the sample is shown as into a folder: `SAMPLE_OUT=DIR cargo test -p polytask-eval -- --ignored`.
#[test]
#[ignore = "writes files for the eye"]
fn the_sample_can_be_looked_at() {
    let folder = std::path::PathBuf::from(std::env::var("SAMPLE_OUT").unwrap());
    crate::html::write(&report(), &folder.join("report.html")).unwrap();
    crate::card::write(&report(), &crate::ModelFacts::default(), &folder.join("CARD.md")).unwrap();
    crate::mteb::write(&folder, &report(), &crate::ModelFacts::default(), &crate::MtebRun::default())
        .unwrap();
    let tables = [200, 120, 80, 40].map(|width| crate::table(&report(), width)).join("\n\n");
    polytask_core::atomic::write(&folder.join("table.txt"), tables.as_bytes()).unwrap();
}
