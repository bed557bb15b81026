//! Every loss with every head: finite differences in f64, masking, reference values, the table.

use candle_core::{Device, Tensor, Var};
use polytask_core::method::Choice;
use polytask_core::{HeadForm, Purpose, Rng};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{LOSSES, LossFn, find, infos, make};
use crate::Block;
use crate::heads::{Head, HeadOptions, build, build_with};
use crate::objective::{Relation, Target, TaskInput, UNKNOWN, gradient, second_order, value};

const WIDTH: usize = 5;

fn choice(value: &Value) -> Choice {
    serde_json::from_value(value.clone()).unwrap()
}

fn labels(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("l{i}")).collect()
}

fn loss(value: &Value) -> Box<dyn LossFn> {
    make(&choice(value), &labels(4), &[3, 1, 4, 2]).unwrap()
}

fn draws(n: usize, seed: u64) -> Vec<f64> {
    let mut rng = Rng::new(seed, Purpose::Bench, &[]);
    (0..n).map(|_| rng.normal()).collect()
}

/// A head with weights large enough to matter, bias included.
fn fresh(form: HeadForm, n_outputs: usize) -> (Box<dyn Head>, Block<f64>) {
    let head = build(form, WIDTH, n_outputs);
    let mut block = head.block("head.t", 3).cast::<f64>();
    block.values = draws(block.values.len(), 7).iter().map(|x| 0.5 * x).collect();
    (head, block)
}

/// Inputs of `rows` rows (or queries and passages) drawn from `seed`, for a head that reads `n_inputs`.
fn input(n_inputs: usize, rows: usize, target: Target, weights: Vec<f32>) -> TaskInput<f64> {
    let (inputs, n) = match &target {
        Target::Passages { positive, relations } => {
            let passages = (relations.len() / positive.len()) as u32;
            let queries = positive.len() as u32;
            (vec![(0..queries).collect(), (queries..queries + passages).collect()], queries + passages)
        }
        // Rows are shared and not in order, so that the selection is part of what is tested.
        _ if n_inputs == 2 => {
            let n = rows as u32;
            (vec![(0..n).collect(), (0..n).map(|i| (i * 3 + 1) % n + n).collect()], 2 * n)
        }
        _ => (vec![(0..rows as u32).rev().collect()], rows as u32),
    };
    TaskInput { z: draws(n as usize * WIDTH, 11), width: WIDTH, starts: vec![], inputs, target, weights }
}

fn label_target() -> Target {
    Target::Label(vec![0, 3, UNKNOWN, 2, 3, 1])
}

fn labels_target() -> Target {
    let mut values: Vec<f32> = (0..24).map(|i| f32::from(i % 5 == 0)).collect();
    values[3] = f32::NAN;
    values[8..12].fill(f32::NAN);
    Target::Labels { n_labels: 4, values }
}

fn numbers_target(width: usize) -> Target {
    let values = draws(6 * width, 5).iter().map(|&x| if x > 1.0 { f32::NAN } else { x as f32 }).collect();
    Target::Numbers { width, values }
}

fn scores_target() -> Target {
    Target::Numbers { width: 1, values: vec![0.0, 0.5, f32::NAN, 0.5, 1.0, 0.25] }
}

fn passages_target() -> Target {
    let mut relations = vec![Relation::Negative; 4 * 6];
    relations[2] = Relation::LeftOut; // query 0 may not use passage 2
    relations[6 + 3] = Relation::Answer;
    Target::Passages { positive: vec![0, 1, UNKNOWN, 1], relations }
}

/// Every loss with every head and target it works with.
fn combinations() -> Vec<(Value, HeadForm, usize, Target)> {
    use HeadForm::{Cosine, Linear, PairLinear, TokenLinear};
    let mut all = Vec::new();
    for head in [Linear, PairLinear, TokenLinear] {
        all.push((json!({"name": "cross-entropy"}), head, 4, label_target()));
        let weighted = json!({"name": "cross-entropy", "label_smoothing": 0.1, "class_weights": "balanced"});
        all.push((weighted, head, 4, label_target()));
        let by_table = json!({"name": "cross-entropy", "class_weights": {"l3": 2.5}});
        all.push((by_table, head, 4, label_target()));
        all.push((json!({"name": "bce", "pos_weight": 3.0}), head, 4, labels_target()));
        all.push((json!({"name": "huber", "delta": 0.7}), head, 2, numbers_target(2)));
        all.push((json!({"name": "mse"}), head, 2, numbers_target(2)));
    }
    for name in ["huber", "mse", "cosine-mse", "cosent", "order"] {
        all.push((json!({"name": name}), Cosine, 1, scores_target()));
    }
    for symmetric in [false, true] {
        let nce = json!({"name": "info-nce", "temperature": 0.3, "symmetric": symmetric});
        all.push((nce, Cosine, 1, passages_target()));
        let many = json!({"name": "many-to-many", "temperature": 0.3, "two_way": symmetric});
        all.push((many, Cosine, 1, passages_target()));
    }
    all
}

fn close(found: f64, expected: f64, tolerance: f64) -> bool {
    (found - expected).abs() <= tolerance * expected.abs().max(1e-3)
}

#[test]
fn gradients_of_every_loss_and_head_equal_finite_differences() {
    let h = 1e-6;
    for (name, form, n_outputs, target) in combinations() {
        let (head, block) = fresh(form, n_outputs);
        let fixed = loss(&name);
        let weights = (0..target.n_rows()).map(|i| 0.5 + i as f32).collect();
        let mut input = input(head.n_inputs(), 6, target, weights);
        let found = gradient(&*head, &block, &*fixed, &input).unwrap();
        assert_eq!(found.loss, value(&*head, &block, &*fixed, &input).unwrap());
        assert!(found.loss.is_finite() && found.loss > 0.0, "{name} {form:?}: {}", found.loss);
        for i in 0..input.z.len() {
            let mut at = |dx: f64| {
                input.z[i] += dx;
                let value = value(&*head, &block, &*fixed, &input).unwrap();
                input.z[i] -= dx;
                value
            };
            let slope = (at(h) - at(-h)) / (2.0 * h);
            assert!(close(found.d_z[i], slope, 1e-4), "{name} {form:?} z {i}: {} {slope}", found.d_z[i]);
        }
        for i in 0..block.values.len() {
            let at = |dx: f64| {
                let mut moved = block.clone();
                moved.values[i] += dx;
                value(&*head, &moved, &*fixed, &input).unwrap()
            };
            let slope = (at(h) - at(-h)) / (2.0 * h);
            let got = found.d_head[i];
            assert!(close(got, slope, 1e-4), "{name} {form:?} parameter {i}: {got} {slope}");
            assert!(got != 0.0, "{name} {form:?}: parameter {i} gets no gradient");
        }
        assert!(found.d_z.iter().any(|&d| d != 0.0), "{name} {form:?}: z gets no gradient");
    }
}

#[test]
fn second_derivatives_of_every_loss_and_head_equal_differences_of_gradients() {
    let h = 1e-5;
    for (name, form, n_outputs, target) in combinations() {
        for hidden in [None, Some(7)].into_iter().filter(|h| h.is_none() || form == HeadForm::Linear) {
            let head = build_with(form, WIDTH, n_outputs, HeadOptions { hidden, ..HeadOptions::default() });
            let mut block = head.block("head.t", 3).cast::<f64>();
            block.values = draws(block.values.len(), 7).iter().map(|x| 0.5 * x).collect();
            let fixed = loss(&name);
            let weights = (0..target.n_rows()).map(|i| 0.5 + i as f32).collect();
            let mut input = input(head.n_inputs(), 6, target.clone(), weights);
            let direction = draws(input.z.len(), 17);
            for log in [None, Some(1e-8)] {
                let found = second_order(&*head, &block, &*fixed, &input, &direction, log).unwrap();
                let mut at = |step: f64| {
                    input.z.iter_mut().zip(&direction).for_each(|(z, v)| *z += step * v);
                    let mut moved = gradient(&*head, &block, &*fixed, &input).unwrap();
                    input.z.iter_mut().zip(&direction).for_each(|(z, v)| *z -= step * v);
                    let factor = log.map_or(1.0, |eps| 1.0 / (moved.loss + eps));
                    moved.d_z.iter_mut().chain(&mut moved.d_head).for_each(|g| *g *= factor);
                    moved
                };
                let (ahead, here, behind) = (at(h), at(0.0), at(-h));
                let along: f64 = here.d_z.iter().zip(&direction).map(|(g, v)| g * v).sum();
                assert!(close(found.loss, along, 1e-9), "{name} {form:?} {hidden:?}: {} {along}", found.loss);
                let pairs =
                    ahead.d_z.iter().chain(&ahead.d_head).zip(behind.d_z.iter().chain(&behind.d_head));
                let expected: Vec<f64> = pairs.map(|(a, b)| (a - b) / (2.0 * h)).collect();
                let found: Vec<f64> = found.d_z.into_iter().chain(found.d_head).collect();
                let largest = expected.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
                assert!(largest > 1e-3, "{name} {form:?} {hidden:?}: nothing to compare");
                for (i, (a, b)) in found.iter().zip(&expected).enumerate() {
                    let place = format!("{name} {form:?} {hidden:?} {log:?}: {i} {a} {b}");
                    assert!((a - b).abs() < 1e-7 * largest, "{place}");
                }
            }
        }
    }
}

/// The input with the rows `keep` only (the leaf rows stay).
fn filtered(input: &TaskInput<f64>, keep: &[usize]) -> TaskInput<f64> {
    let rows = |values: &Vec<f32>, width: usize| -> Vec<f32> {
        keep.iter().flat_map(|&i| values[i * width..(i + 1) * width].to_vec()).collect()
    };
    let mut kept = input.clone();
    kept.weights = rows(&input.weights, 1);
    kept.target = match &input.target {
        Target::Label(labels) => Target::Label(keep.iter().map(|&i| labels[i]).collect()),
        Target::Labels { n_labels, values } => {
            Target::Labels { n_labels: *n_labels, values: rows(values, *n_labels) }
        }
        Target::Numbers { width, values } => Target::Numbers { width: *width, values: rows(values, *width) },
        Target::Passages { positive, relations } => {
            let n = relations.len() / positive.len();
            let relations = keep.iter().flat_map(|&i| relations[i * n..(i + 1) * n].to_vec()).collect();
            Target::Passages { positive: keep.iter().map(|&i| positive[i]).collect(), relations }
        }
        Target::Taught { .. } => unreachable!("a loss of labels has no teacher"),
    };
    let inputs = if matches!(input.target, Target::Passages { .. }) { 1 } else { kept.inputs.len() };
    for rows in &mut kept.inputs[..inputs] {
        *rows = keep.iter().map(|&i| rows[i]).collect();
    }
    kept
}

#[test]
fn unknown_rows_count_as_if_they_were_not_there() {
    for (name, form, n_outputs, target) in combinations() {
        let (head, block) = fresh(form, n_outputs);
        let fixed = loss(&name);
        let unknown: Vec<usize> = match &target {
            Target::Label(rows) | Target::Passages { positive: rows, .. } => {
                (0..rows.len()).filter(|&i| rows[i] == UNKNOWN).collect()
            }
            Target::Labels { n_labels: width, values } | Target::Numbers { width, values } => {
                (0..6).filter(|i| values[i * width..(i + 1) * width].iter().all(|v| v.is_nan())).collect()
            }
            Target::Taught { .. } => unreachable!("a loss of labels has no teacher"),
        };
        let n = target.n_rows();
        let weights = (0..n).map(|i| 1.0 + i as f32).collect();
        let mut whole = input(head.n_inputs(), 6, target, weights);
        let keep: Vec<usize> = (0..n).filter(|i| !unknown.contains(i)).collect();
        let masked = gradient(&*head, &block, &*fixed, &whole).unwrap();
        let alone = gradient(&*head, &block, &*fixed, &filtered(&whole, &keep)).unwrap();
        assert_eq!(masked.loss, alone.loss, "{name} {form:?}");
        let pairs = masked.d_z.iter().zip(&alone.d_z).chain(masked.d_head.iter().zip(&alone.d_head));
        pairs.for_each(|(a, b)| assert!((a - b).abs() < 1e-12, "{name} {form:?}: {a} {b}"));

        // A row of weight 0 is left out in the same way.
        let last = keep[keep.len() - 1];
        whole.weights[last] = 0.0;
        let keep: Vec<usize> = keep.into_iter().filter(|&i| i != last).collect();
        let zero = value(&*head, &block, &*fixed, &whole).unwrap();
        assert_eq!(zero, value(&*head, &block, &*fixed, &filtered(&whole, &keep)).unwrap());
    }
}

#[test]
fn nothing_known_gives_loss_zero_and_zero_gradients() {
    for (name, form, n_outputs, target) in combinations() {
        let (head, block) = fresh(form, n_outputs);
        let nothing = match target {
            Target::Label(rows) => Target::Label(vec![UNKNOWN; rows.len()]),
            Target::Labels { n_labels, values } => {
                Target::Labels { n_labels, values: vec![f32::NAN; values.len()] }
            }
            Target::Numbers { width, values } => {
                Target::Numbers { width, values: vec![f32::NAN; values.len()] }
            }
            Target::Passages { positive, relations } => {
                Target::Passages { positive: vec![UNKNOWN; positive.len()], relations }
            }
            Target::Taught { .. } => unreachable!("a loss of labels has no teacher"),
        };
        let input = input(head.n_inputs(), 6, nothing, vec![]);
        let found = gradient(&*head, &block, &*loss(&name), &input).unwrap();
        assert_eq!(found.loss, 0.0);
        assert!(found.d_z.iter().chain(&found.d_head).all(|&d| d == 0.0));
        assert_eq!((found.d_z.len(), found.d_head.len()), (input.z.len(), block.values.len()));
    }
}

#[test]
fn an_empty_batch_gives_loss_zero() {
    let (head, block) = fresh(HeadForm::Linear, 4);
    let empty = TaskInput {
        z: vec![],
        width: WIDTH,
        starts: vec![],
        inputs: vec![vec![]],
        target: Target::Label(vec![]),
        weights: vec![],
    };
    assert_eq!(gradient(&*head, &block, &*loss(&json!({"name": "bce"})), &empty).unwrap().loss, 0.0);
}

#[test]
fn extreme_outputs_give_finite_losses_and_gradients() {
    for (name, form, n_outputs, target) in combinations() {
        let (head, block) = fresh(form, n_outputs);
        let block32 = block.cast::<f32>();
        let input = input(head.n_inputs(), 6, target, vec![]);
        for scale in [0.0, 1e-20, 1e4] {
            let z = input.z.iter().map(|x| (x * scale) as f32).collect();
            let scaled = TaskInput {
                z,
                width: WIDTH,
                starts: vec![],
                inputs: input.inputs.clone(),
                target: input.target.clone(),
                weights: vec![],
            };
            let found = gradient(&*head, &block32, &*loss(&name), &scaled).unwrap();
            assert!(found.loss.is_finite(), "{name} {form:?} at {scale}: {}", found.loss);
            let finite = found.d_z.iter().chain(&found.d_head).all(|d| d.is_finite());
            assert!(finite, "{name} {form:?} at {scale}");
        }
    }
}

#[derive(Deserialize)]
struct Golden {
    outputs: Vec<Case>,
    pairs: Vec<Case>,
    retrieval: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    choice: Value,
    shape: [usize; 2],
    output: Vec<f64>,
    target: Vec<f64>,
    loss: f64,
    grad: Vec<f64>,
}

/// From `xtask/parity/heads_losses.py`.
fn golden() -> Golden {
    serde_json::from_str(include_str!("../golden.json")).unwrap()
}

fn compare(case: &Case, loss: f64, grad: &[f64]) {
    assert!(
        (loss - case.loss).abs() <= 1e-9 * case.loss.abs().max(1.0),
        "{}: {loss} {}",
        case.choice,
        case.loss
    );
    for (a, b) in grad.iter().zip(&case.grad) {
        assert!((a - b).abs() < 1e-9, "{}: gradient {a} {b}", case.choice);
    }
}

#[test]
fn losses_of_outputs_equal_pytorch() {
    use candle_core::{Device, Var};
    for case in golden().outputs {
        let output = Var::from_slice(&case.output, &case.shape, &Device::Cpu).unwrap();
        let name = case.choice["name"].as_str().unwrap();
        let values: Vec<f32> = case.target.iter().map(|&x| x as f32).collect();
        let target = match name {
            "cross-entropy" => Target::Label(case.target.iter().map(|&x| x as u32).collect()),
            "bce" => Target::Labels { n_labels: case.shape[1], values },
            _ => Target::Numbers { width: case.shape[1], values },
        };
        let scalar = loss(&case.choice).loss(&output, &target, &vec![1.0; case.shape[0]]).unwrap().unwrap();
        let grads = scalar.backward().unwrap();
        let grad = grads.get(&output).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
        compare(&case, scalar.to_scalar().unwrap(), &grad);
    }
}

fn compare_cosine(case: &Case, inputs: Vec<Vec<u32>>, target: Target) {
    let head = build(HeadForm::Cosine, case.shape[1], 1);
    let block = head.block("head.t", 0).cast();
    let z = case.output.clone();
    let input = TaskInput { z, width: case.shape[1], starts: vec![], inputs, target, weights: vec![] };
    let found = gradient(&*head, &block, &*loss(&case.choice), &input).unwrap();
    compare(case, found.loss, &found.d_z);
}

#[test]
fn losses_of_pairs_equal_sentence_transformers() {
    for case in golden().pairs {
        let n = case.target.len() as u32;
        let values = case.target.iter().map(|&x| x as f32).collect();
        compare_cosine(
            &case,
            vec![(0..n).collect(), (n..2 * n).collect()],
            Target::Numbers { width: 1, values },
        );
    }
}

#[test]
fn info_nce_equals_sentence_transformers() {
    for case in golden().retrieval {
        let n = case.target.len();
        let inputs = vec![(0..n as u32).collect(), (n as u32..3 * n as u32).collect()];
        let positive = case.target.iter().map(|&x| x as u32).collect();
        compare_cosine(
            &case,
            inputs,
            Target::Passages { positive, relations: vec![Relation::Negative; n * 2 * n] },
        );
    }
}

#[test]
fn a_passage_that_is_left_out_is_as_if_absent() {
    let head = build(HeadForm::Cosine, WIDTH, 1);
    let block = head.block("head.t", 0).cast::<f64>();
    let fixed = loss(&json!({"name": "info-nce"}));
    let all = input(
        2,
        0,
        Target::Passages { positive: vec![0, 1], relations: vec![Relation::Negative; 6] },
        vec![],
    );
    let mut masked = all.clone();
    let (other, left_out) = (Relation::Negative, Relation::LeftOut);
    let relations = vec![other, other, left_out, other, other, left_out];
    masked.target = Target::Passages { positive: vec![0, 1], relations };
    let mut without = all.clone();
    without.inputs[1].pop();
    without.target = Target::Passages { positive: vec![0, 1], relations: vec![Relation::Negative; 4] };
    let value = |input| value(&*head, &block, &*fixed, input).unwrap();
    assert!((value(&masked) - value(&without)).abs() < 1e-12);
    assert!(value(&all) > value(&masked));
}

#[test]
fn cosent_looks_at_the_order_of_scores_only() {
    let head = build(HeadForm::Cosine, WIDTH, 1);
    let block = head.block("head.t", 0).cast::<f64>();
    let fixed = loss(&json!({"name": "cosent"}));
    let at = |values: Vec<f32>| {
        let n = values.len();
        value(&*head, &block, &*fixed, &input(2, n, Target::Numbers { width: 1, values }, vec![])).unwrap()
    };
    assert_eq!(at(vec![0.1, 0.9, 0.1, 0.3]), at(vec![1.0, 5.0, 1.0, 2.0]));
    assert_eq!(at(vec![0.5; 4]), 0.0, "equal scores do not count");
}

#[test]
fn row_weights_act_as_repeated_rows() {
    for (name, form, n_outputs, target) in combinations() {
        // Losses of pairs repeat pairs too, and a repeated query would be its own rival.
        if matches!(name["name"].as_str(), Some("cosent" | "info-nce" | "many-to-many" | "order")) {
            continue;
        }
        let (head, block) = fresh(form, n_outputs);
        let n = target.n_rows();
        let mut weighted = input(head.n_inputs(), 6, target, vec![1.0; n]);
        let twice: Vec<usize> = (0..n).chain([1]).collect();
        let repeated = filtered(&weighted, &twice);
        weighted.weights[1] = 2.0;
        let value = |input| value(&*head, &block, &*loss(&name), input).unwrap();
        let (a, b) = (value(&weighted), value(&repeated));
        assert!(close(a, b, 1e-12), "{name} {form:?}: {a} {b}");
    }
}

#[test]
fn the_table_is_sorted_and_complete() {
    assert!(LOSSES.windows(2).all(|pair| pair[0].info().id < pair[1].info().id));
    for info in infos() {
        assert!(info.about.ends_with('.') && !info.title.is_empty(), "{}", info.id);
        assert!(find(info.id).is_some());
        for param in info.params {
            let default: Value = serde_json::from_str(param.default).unwrap();
            assert!(param.range.contains(&default), "{} {}", info.id, param.name);
            assert!(param.about.ends_with('.'), "{} {}", info.id, param.name);
        }
        assert!(combinations().iter().any(|(name, ..)| name["name"] == info.id), "{} is untested", info.id);
        make(&Choice::named(info.id), &labels(4), &[1, 2, 3, 4]).unwrap();
    }
}

#[test]
fn every_loss_a_kind_names_exists() {
    for kind in polytask_core::kind::KINDS {
        for id in kind.losses {
            assert!(find(id).is_some(), "kind `{}` names loss `{id}`", kind.name);
        }
    }
}

#[test]
fn wrong_parameters_are_named_with_what_was_expected() {
    let message = |value: Value| match make(&choice(&value), &labels(2), &[1, 1]) {
        Ok(_) => panic!("{value} was accepted"),
        Err(error) => error.to_string(),
    };
    let text = message(json!({"name": "huber", "delta": -1.0, "detla": 2.0}));
    assert!(text.contains("`delta` of loss `huber` is -1.0, expected a number above 0"), "{text}");
    assert!(text.contains("unknown parameter `detla`"), "{text}");
    assert!(message(json!({"name": "hubber"})).contains("unknown loss `hubber`"));
    let text = message(json!({"name": "cross-entropy", "class_weights": {"no": 1.0}}));
    assert!(text.contains("names the label `no`, expected one of l0, l1"), "{text}");
}

#[test]
fn targets_and_shapes_that_do_not_fit_are_refused() {
    let (head, block) = fresh(HeadForm::Linear, 4);
    let run =
        |name: &str, input: &TaskInput<f64>| value(&*head, &block, &*loss(&json!({"name": name})), input);
    assert!(run("cross-entropy", &input(1, 2, Target::Label(vec![0, 9]), vec![])).is_err());
    assert!(run("cross-entropy", &input(1, 6, labels_target(), vec![])).is_err());
    assert!(run("bce", &input(1, 6, label_target(), vec![])).is_err());
    assert!(run("mse", &input(1, 6, numbers_target(2), vec![])).is_err());
    assert!(run("cross-entropy", &input(1, 5, label_target(), vec![])).is_err());
    assert!(run("cross-entropy", &input(1, 6, label_target(), vec![1.0; 2])).is_err());
    let mut outside = input(1, 6, label_target(), vec![]);
    outside.inputs[0][0] = 99;
    assert!(run("cross-entropy", &outside).is_err());
    let wrong = Block::<f64>::zeros("head.t", &[("weight", &[2, WIDTH], true)]);
    let input = input(1, 6, label_target(), vec![]);
    assert!(value(&*head, &wrong, &*loss(&json!({"name": "cross-entropy"})), &input).is_err());
}

#[test]
fn balanced_weights_are_those_of_scikit_learn() {
    // compute_class_weight("balanced", ...) for 3, 1, 4 and 2 rows: 10 / (4 · rows).
    let by_word = loss(&json!({"name": "cross-entropy", "class_weights": "balanced"}));
    let table = json!({"l0": 10.0 / 12.0, "l1": 2.5, "l2": 0.625, "l3": 1.25});
    let by_table = loss(&json!({"name": "cross-entropy", "class_weights": table}));
    let (head, block) = fresh(HeadForm::Linear, 4);
    let input = input(1, 6, label_target(), vec![]);
    let value = |fixed: &dyn LossFn| value(&*head, &block, fixed, &input).unwrap();
    assert!((value(&*by_word) - value(&*by_table)).abs() < 1e-12);
}

/// Golden values of the order loss (`xtask/parity/ranking_losses.py`).
#[test]
fn order_terms_equal_those_of_the_released_code() {
    for case in ranking_golden()["order"].as_array().unwrap() {
        let numbers = |key: &str| -> Vec<f64> {
            case[key].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
        };
        let (s, y) = (numbers("s"), numbers("y"));
        let target = Target::Numbers { width: 1, values: y.iter().map(|&y| y as f32).collect() };
        let value = |weights: Value| {
            let mut choice = weights;
            choice["name"] = "order".into();
            choice["on_equal"] = "pull".into();
            let output = Tensor::from_vec(s.clone(), (s.len(), 1), &Device::Cpu).unwrap();
            let found = loss(&choice).loss(&output, &target, &vec![1.0; s.len()]).unwrap();
            found.map_or(0.0, |found| found.to_scalar::<f64>().unwrap())
        };
        let alone = |name: &str| {
            let mut weights = json!({"pearson": 0.0, "pro": 0.0, "rank_kl": 0.0});
            weights[name] = 1.0.into();
            value(weights)
        };
        for name in ["pearson", "pro", "rank_kl"] {
            let expected = case[name].as_f64().unwrap();
            assert!((alone(name) - expected).abs() < 2e-6, "{name} of {s:?}: {} for {expected}", alone(name));
        }
        let expected = case["sum"].as_f64().unwrap();
        assert!((value(json!({})) - expected).abs() < 1e-5, "{s:?}");
    }
}

#[test]
fn many_to_many_equals_an_independent_implementation() {
    let golden = ranking_golden();
    let case = &golden["many_to_many"];
    let rows = |key: &str| case[key].as_array().unwrap().clone();
    let s: Vec<f64> = rows("S")
        .iter()
        .flat_map(|row| row.as_array().unwrap().clone())
        .map(|v| v.as_f64().unwrap())
        .collect();
    let answers: Vec<Vec<u64>> = rows("P")
        .iter()
        .map(|row| row.as_array().unwrap().iter().map(|v| v.as_u64().unwrap()).collect())
        .collect();
    let (n, m) = (answers.len(), s.len() / answers.len());
    let relations = answers.iter().flat_map(|own| {
        (0..m as u64).map(|p| if own.contains(&p) { Relation::Answer } else { Relation::Negative })
    });
    let positive = answers.iter().map(|own| own.first().map_or(UNKNOWN, |&p| p as u32)).collect();
    let target = Target::Passages { positive, relations: relations.collect() };
    let output = Var::from_tensor(&Tensor::from_vec(s, (n, m), &Device::Cpu).unwrap()).unwrap();
    let of = |two_way: bool| {
        let choice = json!({"name": "many-to-many", "temperature": case["tau"], "two_way": two_way});
        loss(&choice).loss(&output, &target, &vec![1.0; n]).unwrap().unwrap()
    };
    let one = of(false);
    let number = |x: &Tensor| x.to_scalar::<f64>().unwrap();
    let expected = |key: &str| case[key].as_f64().unwrap();
    assert!((number(&one) - expected("forward")).abs() < 1e-6);
    assert!((number(&of(true)) - expected("forward") - expected("backward")).abs() < 1e-6);
    let gradient =
        one.backward().unwrap().get(&output).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
    let wanted = rows("gradient").iter().flat_map(|row| row.as_array().unwrap().clone()).collect::<Vec<_>>();
    for (found, wanted) in gradient.iter().zip(&wanted) {
        assert!((found - wanted.as_f64().unwrap()).abs() < 1e-5, "{gradient:?}");
    }
}

#[test]
fn equal_scores_count_for_nothing_unless_they_shall_pull() {
    let target = Target::Numbers { width: 1, values: vec![0.5; 3] };
    let output = Tensor::new(&[[0.7], [0.1], [0.4]], &Device::Cpu).unwrap();
    let found = |choice: Value| loss(&choice).loss(&output, &target, &[1.0; 3]).unwrap();
    assert!(found(json!({"name": "order"})).is_none());
    assert!(found(json!({"name": "order", "on_equal": "pull"})).is_some());
}

fn ranking_golden() -> Value {
    serde_json::from_str(include_str!("ranking_golden.json")).unwrap()
}
