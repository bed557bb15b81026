use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::testing;
use crate::{Rows, SourceData, Targets, TaskData};

/// Sources of the given numbers of rows, a class task on each; texts of 3 to 12 tokens; every fifth row of
/// the last source has no target.
fn example(sizes: &[usize]) -> (Suite, Dataset) {
    let (mut suite, mut dataset) = (testing::suite(Path::new(".")), Dataset::default());
    for (s, &n) in sizes.iter().enumerate() {
        let name = format!("s{s}");
        suite.sources.push(testing::source(&name, &[]));
        suite.tasks.push(testing::task(&name, "class", &name));
        let texts = (0..n).map(|i| dataset.texts.push(&vec![1; 3 + (i * 7 + s) % 10])).collect();
        let rows = Rows { texts, n_inputs: 1, weights: vec![1.0; n], keys: vec![], raw: vec![] };
        dataset
            .sources
            .push(SourceData { name: name.clone(), splits: BTreeMap::from([(Split::Train, rows)]) });
        let unknown = |i: usize| s + 1 == sizes.len() && i % 5 == 4;
        let labels = (0..n).map(|i| (!unknown(i)).then_some(0)).collect();
        let targets = BTreeMap::from([(Split::Train, Targets::Label(labels))]);
        dataset.tasks.push(TaskData { name, source: s, targets, ..TaskData::default() });
    }
    (suite, dataset)
}

/// All draws of a source, in order.
fn draws(plan: &Plan, source: usize) -> Vec<u32> {
    (0..plan.n_steps())
        .flat_map(|i| plan.step(i))
        .filter(|(s, _)| *s == source)
        .flat_map(|(_, r)| r)
        .collect()
}

fn counts(rows: &[u32]) -> BTreeMap<u32, usize> {
    rows.iter().fold(BTreeMap::new(), |mut counts, &row| {
        *counts.entry(row).or_default() += 1;
        counts
    })
}

#[test]
fn two_joint_epochs_visit_each_row_of_the_largest_source_twice_and_only_rows_with_a_target() {
    let (mut suite, dataset) = example(&[40, 100]);
    suite.train.epochs = 2.0;
    suite.train.batch_rows = Some(7);
    let plan = Plan::new(&suite, &dataset);
    let counts = counts(&draws(&plan, 1));
    assert!(counts.values().all(|&n| n == 2), "{counts:?}");
    assert_eq!(
        counts.keys().copied().collect::<Vec<_>>(),
        (0..100).filter(|i| i % 5 != 4).collect::<Vec<_>>()
    );
    assert!((0..plan.n_steps()).all(|i| plan.step(i).len() == 2), "every source is in every step");
    assert_eq!(plan.epochs(plan.n_steps()), 2.0);
    let ends: Vec<u64> = (0..plan.n_steps()).filter(|&i| plan.is_epoch_end(i)).collect();
    assert_eq!((ends.len(), ends[1]), (2, plan.n_steps() - 1));
}

#[test]
fn rows_that_no_step_draws_are_counted() {
    let (mut suite, dataset) = example(&[40, 100]);
    (suite.train.batch_rows, suite.train.steps) = (Some(7), Some(9));
    for mixing in [Mixing::Joint, Mixing::Alternate] {
        suite.train.mixing = mixing;
        let plan = Plan::new(&suite, &dataset);
        let never = plan.never_drawn();
        assert!(!never.is_empty(), "9 steps are too few for 112 rows");
        for source in 0..2 {
            let n_rows = dataset.rows(source, Split::Train).unwrap().len();
            let of = if source == 1 { (0..n_rows).filter(|i| i % 5 != 4).count() } else { n_rows };
            let drawn = counts(&draws(&plan, source)).len();
            let told = never.iter().find(|never| never.source == source).map_or(0, |never| never.rows);
            assert_eq!(drawn + told, of);
        }
    }
    suite.train.steps = Some(1000);
    assert_eq!(Plan::new(&suite, &dataset).never_drawn(), []);
}

#[test]
fn a_token_budget_is_kept_and_a_row_beyond_it_still_comes() {
    let (mut suite, mut dataset) = example(&[300, 300]);
    suite.train.batch_tokens = 64;
    suite.train.sampling = Sampling::Uniform;
    let long = dataset.texts.push(&[1; 200]);
    dataset.sources[0].splits.get_mut(&Split::Train).unwrap().texts[17] = long;
    let plan = Plan::new(&suite, &dataset);
    let costs = [sizes::row_costs(&dataset, 0), sizes::row_costs(&dataset, 1)];
    for i in 0..plan.n_steps() {
        for (source, rows) in plan.step(i) {
            let tokens: u32 = rows.iter().map(|&row| costs[source][row as usize]).sum();
            assert!(tokens <= 32 || rows == [17], "{tokens} tokens in {rows:?}");
        }
    }
    assert!(draws(&plan, 0).contains(&17));
}

#[test]
fn retrieval_rows_cost_their_longest_passages_too() {
    let (_, mut dataset) = example(&[1]);
    let passages: Vec<u32> = [5, 9, 4].iter().map(|&n| dataset.texts.push(&vec![2; n])).collect();
    dataset.tasks[0].corpus = passages;
    let relevance = crate::Relevance {
        positives: vec![(0, 1.0), (1, 1.0)],
        negatives: vec![2],
        ..crate::Relevance::default()
    };
    dataset.tasks[0].targets.insert(Split::Train, Targets::Passages(vec![relevance]));
    assert_eq!(sizes::row_costs(&dataset, 0), [3 + 9 + 4]);
}

#[test]
fn joint_shares_follow_the_sampling() {
    let cases = [
        (Sampling::Proportional, 4.0),
        (Sampling::Uniform, 1.0),
        (Sampling::Sqrt, 2.0),
        (Sampling::Temperature { t: 4.0 }, 4_f64.powf(0.25)),
        (Sampling::RoundRobin, 1.0),
    ];
    for (sampling, expected) in cases {
        let (mut suite, dataset) = example(&[1000, 250, 1]);
        suite.train.batch_rows = Some(10);
        suite.train.sampling = sampling;
        suite.train.steps = Some(200);
        let plan = Plan::new(&suite, &dataset);
        let ratio = draws(&plan, 0).len() as f64 / draws(&plan, 1).len() as f64;
        assert!((ratio / expected - 1.0).abs() < 0.02, "{sampling:?}: {ratio}, expected {expected}");
    }
}

#[test]
fn sampling_weight_multiplies_the_share_and_own_sizes_win() {
    let (mut suite, dataset) = example(&[500, 500, 500]);
    suite.train.batch_rows = Some(10);
    suite.train.steps = Some(50);
    suite.sources[0].sampling_weight = 3.0;
    suite.sources[2].batch_rows = Some(4);
    let plan = Plan::new(&suite, &dataset);
    let n: Vec<usize> = (0..3).map(|s| draws(&plan, s).len()).collect();
    assert_eq!(n, [750, 250, 200]);
}

#[test]
fn annealed_shares_move_towards_equal_ones() {
    let (mut suite, dataset) = example(&[1600, 101]);
    suite.train.batch_rows = Some(40);
    suite.train.sampling = Sampling::Annealed;
    suite.train.epochs = 3.0;
    let plan = Plan::new(&suite, &dataset);
    let share = |i: u64| plan.step(i)[0].1.len() as f64 / plan.step(i)[1].1.len() as f64;
    assert!(share(0) > 15.0 && share(plan.n_steps() - 2) < 2.2, "{} {}", share(0), share(plan.n_steps() - 2));
    assert!(counts(&draws(&plan, 0)).values().all(|&n| n == 3));
}

#[test]
fn alternate_steps_draw_one_source_by_its_rate() {
    let (mut suite, dataset) = example(&[3000, 1000]);
    suite.train.mixing = Mixing::Alternate;
    suite.train.batch_rows = Some(2);
    suite.train.epochs = 1.0;
    suite.train.sampling = Sampling::Proportional;
    let plan = Plan::new(&suite, &dataset);
    assert_eq!(plan.n_steps(), 1500 + 400);
    assert!((0..plan.n_steps()).all(|i| plan.step(i).len() == 1));
    let share = draws(&plan, 0).len() as f64 / (draws(&plan, 0).len() + draws(&plan, 1).len()) as f64;
    assert!((share - 3000.0 / 3800.0).abs() < 0.04, "{share}");
}

#[test]
fn round_robin_takes_turns_by_weight() {
    let (mut suite, dataset) = example(&[50, 50, 50]);
    suite.train.mixing = Mixing::Alternate;
    suite.train.sampling = Sampling::RoundRobin;
    suite.train.batch_rows = Some(5);
    suite.train.steps = Some(9);
    let order = |suite: &Suite| {
        let plan = Plan::new(suite, &dataset);
        (0..9).map(|i| plan.step(i)[0].0).collect::<Vec<_>>()
    };
    assert_eq!(order(&suite), [0, 1, 2, 0, 1, 2, 0, 1, 2]);
    suite.sources[1].sampling_weight = 2.0;
    let weighted = order(&suite);
    assert_eq!(weighted.iter().filter(|&&s| s == 1).count(), weighted.len().div_ceil(2));
}

#[test]
fn an_empty_dataset_has_no_steps() {
    let (suite, dataset) = example(&[]);
    assert_eq!(Plan::new(&suite, &dataset).n_steps(), 0);
    let (mut suite, dataset) = example(&[0]);
    assert_eq!(Plan::new(&suite, &dataset).n_steps(), 0);
    suite.train.mixing = Mixing::Alternate;
    assert_eq!(Plan::new(&suite, &dataset).n_steps(), 0);
}

#[test]
fn a_task_plan_sees_the_same_rows_as_the_joint_plan_shows_the_task() {
    let (mut suite, mut dataset) = example(&[60, 40]);
    // A second task on source 0 that knows only a few rows.
    let labels = (0..60).map(|i| (i % 20 == 3).then_some(0)).collect();
    let targets = BTreeMap::from([(Split::Train, Targets::Label(labels))]);
    dataset.tasks.push(TaskData { name: "rare".into(), source: 0, targets, ..TaskData::default() });
    suite.tasks.push(testing::task("rare", "class", "s0"));
    suite.train.batch_rows = Some(6);
    for mixing in [Mixing::Joint, Mixing::Alternate] {
        suite.train.mixing = mixing;
        let plan = Plan::new(&suite, &dataset);
        for task in 0..3 {
            let source = dataset.tasks[task].source;
            let known = |row: &u32| dataset.tasks[task].targets[&Split::Train].is_known(*row as usize);
            let joint: Vec<u32> = draws(&plan, source).into_iter().filter(known).collect();
            let single = plan.for_task(task);
            assert_eq!(draws(&single, source), joint);
            assert!((0..single.n_steps()).all(|i| !single.step(i)[0].1.is_empty()));
            let joint_steps: BTreeSet<u64> = (0..single.n_steps()).map(|i| single.joint_step(i)).collect();
            assert_eq!(joint_steps.len() as u64, single.n_steps());
        }
        assert!(plan.for_task(2).n_steps() < plan.n_steps());
        // All tasks together are the joint plan; a group has the rows of its tasks and of no other.
        let all = plan.for_tasks(&[0, 1, 2]);
        let steps = |plan: &Plan| (0..plan.n_steps()).map(|i| plan.step(i)).collect::<Vec<_>>();
        assert_eq!(steps(&all), steps(&plan));
        let pair = plan.for_tasks(&[1, 2]);
        assert_eq!(draws(&pair, 1), draws(&plan.for_task(1), 1));
        assert_eq!(draws(&pair, 0), draws(&plan.for_task(2), 0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn every_pass_visits_every_row_once_whatever_the_sizes(
        sizes in proptest::collection::vec(1_usize..60, 1..4),
        batch in 1_usize..40,
        epochs in 1_u32..4,
        alternate in any::<bool>(),
        by_tokens in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let (mut suite, dataset) = example(&sizes);
        suite.seed = seed;
        suite.train.epochs = f64::from(epochs);
        if alternate { suite.train.mixing = Mixing::Alternate; }
        if by_tokens { suite.train.batch_tokens = batch * 5; } else { suite.train.batch_rows = Some(batch); }
        let plan = Plan::new(&suite, &dataset);
        for source in 0..sizes.len() {
            let drawn = draws(&plan, source);
            let n = plan.streams[source].rows.len();
            for pass in drawn.chunks(n.max(1)) {
                prop_assert!(counts(pass).values().all(|&c| c == 1));
            }
        }
        for i in 0..plan.n_steps() {
            for (source, rows) in plan.step(i) {
                prop_assert!(rows.len() <= plan.streams[source].rows.len());
            }
        }
        let again = Plan::new(&suite, &dataset);
        prop_assert_eq!(again.n_steps(), plan.n_steps());
        prop_assert!((0..plan.n_steps()).all(|i| again.step(i) == plan.step(i)));
    }
}
