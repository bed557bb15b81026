//! Learners: each predicts what it predicted when it is read again, and one more is one file and one line.

use std::collections::BTreeMap;
use std::path::Path;

use polytask_core::{Family, MethodInfo, Split};
use polytask_data::Targets;
use polytask_eval::Predictions;
use polytask_train::Result;
use polytask_train::learner::{Fitted, LEARNERS, Learner};
use polytask_train::observe::{Observer, Silent};
use polytask_train::run::{Run, RunOptions, with_run};

use crate::common::{ALL, Data};

#[test]
fn what_a_learner_wrote_predicts_the_same_when_it_is_read() {
    let data = Data::new();
    let prepared = data.prepare(ALL, &["train.steps=3", "train.start=random"]);
    let options = RunOptions { out: data.out("run"), resume: false, baselines: None };
    let tasks: Vec<usize> = (0..prepared.suite.tasks.len()).collect();
    with_run(&prepared, &options, &mut Silent, |run, observer| {
        for learner in LEARNERS {
            let folder = data.out(learner.info().id);
            let fitted = learner.fit(&run, &tasks, observer)?;
            fitted.write(&folder)?;
            let read = learner.read(&run, &folder)?;
            for split in [Split::Valid, Split::Test] {
                let expected = fitted.predict(split)?;
                // BM25 knows passages alone.
                let known = if learner.info().id == "bm25" { 1 } else { tasks.len() };
                assert_eq!(expected.len(), known, "{} on {}", learner.info().id, split.name());
                assert_eq!(read.predict(split)?, expected, "{} on {}", learner.info().id, split.name());
            }
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn probes_are_of_the_encoder_as_it_came_whatever_is_tuned() {
    let predict = |tune: &str| {
        let data = Data::new();
        let tune = format!("model.tune={tune}");
        let prepared = data.prepare(ALL, &["train.steps=3", "model.max_length=30", &tune]);
        let options = RunOptions { out: data.out("run"), resume: false, baselines: None };
        let tasks: Vec<usize> = (0..prepared.suite.tasks.len()).collect();
        let probe = LEARNERS.iter().find(|learner| learner.info().id == "probe").unwrap();
        let predict = |run: Run, observer: &mut dyn Observer| {
            let fitted = probe.fit(&run, &tasks, observer)?;
            let found = fitted.predict(Split::Test)?;
            fitted.write(&data.out("probe"))?;
            assert_eq!(probe.read(&run, &data.out("probe"))?.predict(Split::Test)?, found, "{tune}");
            Ok(found)
        };
        with_run(&prepared, &options, &mut Silent, predict).unwrap()
    };
    let plain = predict("full");
    for tune in ["bottleneck", "{name=\"prompt\",rows=4}"] {
        assert_eq!(predict(tune), plain, "{tune}");
    }
}

const MEAN: MethodInfo = MethodInfo {
    id: "mean",
    title: "Mean",
    paper: "",
    family: Family::Learner,
    about: "the mean of every number",
    cost: "",
    kinds: &[],
    params: &[],
};

/// A learner as somebody else would write it.
struct Mean;

struct FittedMean<'r> {
    run: &'r Run<'r>,
    means: BTreeMap<usize, f64>,
}

impl Learner for Mean {
    fn info(&self) -> &'static MethodInfo {
        &MEAN
    }

    fn fit<'r>(&self, run: &'r Run, tasks: &[usize], _: &mut dyn Observer) -> Result<Box<dyn Fitted + 'r>> {
        let mean = |&task: &usize| match run.prepared().dataset.tasks[task].targets.get(&Split::Train)? {
            Targets::Numbers { values, .. } => Some((task, values.iter().sum::<f64>() / values.len() as f64)),
            _ => None,
        };
        Ok(Box::new(FittedMean { run, means: tasks.iter().filter_map(mean).collect() }))
    }

    fn read<'r>(&self, run: &'r Run, folder: &Path) -> Result<Box<dyn Fitted + 'r>> {
        let text = std::fs::read_to_string(folder.join("mean")).unwrap();
        let means = text.lines().enumerate().map(|(task, line)| (task, line.parse().unwrap())).collect();
        Ok(Box::new(FittedMean { run, means }))
    }
}

impl Fitted for FittedMean<'_> {
    fn predict(&self, split: Split) -> Result<BTreeMap<usize, Predictions>> {
        let said = |(&task, &mean): (&usize, &f64)| match self.run.prepared().dataset.tasks[task]
            .targets
            .get(&split)?
        {
            Targets::Numbers { width, values } => {
                let predicted = vec![mean; values.len()];
                Some((task, Predictions::Numbers { width: *width, truth: values.clone(), predicted }))
            }
            _ => None,
        };
        Ok(self.means.iter().filter_map(said).collect())
    }

    fn write(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(
            folder.join("mean"),
            self.means.values().map(|mean| format!("{mean}\n")).collect::<String>(),
        )
        .unwrap();
        Ok(())
    }
}

static AMONG: &[&dyn Learner] = &[&Mean];

#[test]
fn one_more_learner_is_a_column_of_the_report() {
    let data = Data::new();
    let mut prepared = data.prepare(ALL, &["train.steps=3", "train.baselines=false"]);
    let options = RunOptions { out: data.out("run"), resume: false, baselines: None };
    prepared.suite.train.baselines = vec!["mean".into()];
    let work = |run: Run, observer: &mut dyn Observer| run.execute_among(AMONG, observer);
    let report = with_run(&prepared, &options, &mut Silent, work).unwrap();
    let mean_of = |kind: &str| report.tasks.iter().find(|task| task.kind == kind).unwrap().other("mean");
    let mean = mean_of("regression").unwrap();
    // A constant explains nothing of what varies.
    let r2 = mean.scores.iter().find(|score| score.metric == "r2").unwrap();
    assert!(r2.interval.value < 0.1, "{r2:?}");
    assert!(mean_of("class").is_none());
    assert!(report.tasks.iter().all(|task| task.other("prior").is_none()));
}
