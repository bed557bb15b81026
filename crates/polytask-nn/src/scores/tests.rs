use std::borrow::Cow;

use polytask_core::HeadForm;
use polytask_core::method::Choice;
use serde_json::{Value, json};

use super::*;
use crate::heads::{Head, HeadOptions, build_with};
use crate::objective::{Relation, Target, TaskInput, gradient, text_output, value};

/// Values of the golden file: token states of queries and targets, and what each score makes of them.
struct Golden(Value);

impl Golden {
    fn read() -> Self {
        Self(serde_json::from_str(include_str!("golden.json")).unwrap())
    }

    fn rows(&self, name: &str) -> TokenRows<'static, f64> {
        let texts: Vec<Vec<Vec<f64>>> = serde_json::from_value(self.0[name].clone()).unwrap();
        let mut starts = vec![0];
        texts.iter().for_each(|text| starts.push(starts.last().unwrap() + text.len() as u32));
        let (values, width) = (texts.iter().flatten().flatten().copied().collect(), texts[0][0].len());
        TokenRows { values: Cow::Owned(values), starts: Cow::Owned(starts), width }
    }

    /// Queries against targets, with the answers of the file.
    fn input(&self) -> TaskInput<f64> {
        let (queries, targets) = (self.rows("queries"), self.rows("targets"));
        let (n, m, tokens) =
            (queries.n_texts() as u32, targets.n_texts() as u32, queries.starts.last().copied());
        let starts =
            queries.starts.iter().copied().chain(targets.starts[1..].iter().map(|s| s + tokens.unwrap()));
        let answers: Vec<Vec<bool>> = serde_json::from_value(self.0["answers"].clone()).unwrap();
        let relation = |is: &bool| if *is { Relation::Answer } else { Relation::Negative };
        TaskInput {
            z: queries.values.iter().chain(&*targets.values).copied().collect(),
            width: queries.width,
            starts: starts.collect(),
            inputs: vec![(0..n).collect(), (n..n + m).collect()],
            target: Target::Passages {
                positive: answers.iter().map(|row| row.iter().position(|is| *is).unwrap() as u32).collect(),
                relations: answers.iter().flatten().map(relation).collect(),
            },
            weights: vec![],
        }
    }
}

fn scoring(choice: &Value, square: f64) -> Arc<dyn TokenScoring> {
    let choice: Choice = serde_json::from_value(choice.clone()).unwrap();
    ScoredBy { choice, square }.scoring().unwrap().unwrap()
}

fn head(choice: &Value, square: f64, d_in: usize) -> Box<dyn Head> {
    let options = HeadOptions { scoring: Some(scoring(choice, square)), ..HeadOptions::default() };
    build_with(HeadForm::Cosine, d_in, 1, options)
}

fn loss(name: &Value) -> Box<dyn crate::losses::LossFn> {
    crate::losses::make(&serde_json::from_value(name.clone()).unwrap(), &[], &[]).unwrap()
}

/// Every score with each of its ways to reduce and to look back.
fn choices() -> Vec<Value> {
    let mut all = Vec::new();
    for reverse in ["recompute", "transpose"] {
        all.push(json!({"name": "context-match", "temperature": 2.0, "reverse": reverse}));
        for reduce in ["mean", "sum"] {
            all.push(json!({"name": "maxsim", "reduce": reduce, "reverse": reverse}));
            all.push(json!({"name": "soft-li", "tau_a": 0.4, "reduce": reduce, "reverse": reverse}));
        }
    }
    all
}

#[test]
fn scores_are_those_of_an_independent_implementation() {
    let golden = Golden::read();
    let (queries, targets) = (golden.rows("queries"), golden.rows("targets"));
    for case in golden.0["cases"].as_array().unwrap() {
        let expected: Vec<Vec<f64>> = serde_json::from_value(case["scores"].clone()).unwrap();
        let scoring = scoring(&case["choice"], case["square"].as_f64().unwrap());
        let found = all_pairs(&*scoring, &queries, &targets).unwrap();
        assert_eq!(found.len(), 12);
        for (found, expected) in found.iter().zip(expected.iter().flatten()) {
            assert!((found - expected).abs() < 1e-12, "{}: {found}, expected {expected}", case["choice"]);
        }
    }
}

#[test]
fn losses_that_look_both_ways_are_those_of_an_independent_implementation() {
    let golden = Golden::read();
    let input = golden.input();
    for case in golden.0["cases"].as_array().unwrap() {
        for reverse in ["recompute", "transpose"] {
            let mut choice = case["choice"].clone();
            choice["reverse"] = reverse.into();
            let head = head(&choice, case["square"].as_f64().unwrap(), input.width);
            let loss = loss(&json!({"name": "many-to-many", "temperature": golden.0["tau"]}));
            let found = value(&*head, &head.block("h", 1).cast(), &*loss, &input).unwrap();
            let expected = case[reverse].as_f64().unwrap();
            assert!((found - expected).abs() < 1e-9, "{choice}: {found}, expected {expected}");
        }
    }
}

#[test]
fn gradients_of_every_score_equal_differences_of_losses() {
    let golden = Golden::read();
    let (passages, h) = (golden.input(), 1e-6);
    let numbers = TaskInput {
        inputs: vec![vec![0, 3, 2], vec![5, 1, 2]],
        target: Target::Numbers { width: 1, values: vec![0.9, 0.1, 0.4] },
        ..passages.clone()
    };
    let both_ways = ["many-to-many", "info-nce"].map(|name| (json!({"name": name}), &passages));
    let symmetric = (json!({"name": "info-nce", "symmetric": true}), &passages);
    let rows = (json!({"name": "cosine-mse"}), &numbers);
    for choice in choices() {
        for (name, input) in both_ways.iter().chain([&symmetric, &rows]) {
            let (head, loss) = (head(&choice, 5.0, input.width), loss(name));
            let block = head.block("h", 1).cast();
            let found = gradient(&*head, &block, &*loss, input).unwrap();
            for (i, found) in found.d_z.iter().enumerate() {
                let at = |h: f64| {
                    let mut moved = (*input).clone();
                    moved.z[i] += h;
                    value(&*head, &block, &*loss, &moved).unwrap()
                };
                let expected = (at(h) - at(-h)) / (2.0 * h);
                assert!(
                    (found - expected).abs() < 1e-6 * expected.abs().max(1.0),
                    "{choice} {name}: {found} {expected}"
                );
            }
        }
    }
}

#[test]
fn single_precision_agrees_with_double() {
    let golden = Golden::read();
    let input = golden.input();
    for choice in choices() {
        let (head, loss) = (head(&choice, 5.0, input.width), loss(&json!({"name": "many-to-many"})));
        let exact = gradient(&*head, &head.block("h", 1).cast(), &*loss, &input).unwrap();
        let single = TaskInput {
            z: input.z.iter().map(|v| *v as f32).collect(),
            width: input.width,
            starts: input.starts.clone(),
            inputs: input.inputs.clone(),
            target: input.target.clone(),
            weights: vec![],
        };
        let found = gradient(&*head, &head.block("h", 1), &*loss, &single).unwrap();
        assert!((found.loss - exact.loss).abs() < 1e-4 * exact.loss.max(1.0), "{choice}");
        for (a, b) in found.d_z.iter().zip(&exact.d_z) {
            assert!((f64::from(*a) - b).abs() < 1e-3 * b.abs().max(1.0), "{choice}: {a} {b}");
        }
    }
}

#[test]
fn texts_without_tokens_and_states_of_zeros_score_zero_with_finite_gradients() {
    for choice in choices() {
        let head = head(&choice, 5.0, 2);
        let input = TaskInput {
            z: vec![1.0, 2.0, 0.0, 0.0, -1.0, 0.5],
            width: 2,
            starts: vec![0, 0, 1, 2, 3],
            inputs: vec![vec![0, 1, 2], vec![2, 0, 3]],
            target: Target::Passages { positive: vec![2, 2, 2], relations: vec![Relation::Negative; 9] },
            weights: vec![],
        };
        let texts =
            TokenRows { values: Cow::Borrowed(&input.z), starts: Cow::Borrowed(&input.starts), width: 2 };
        let block = head.block("h", 1).cast::<f64>();
        let scores = text_output(&*head, &block, &texts, &[vec![0, 1, 3], vec![1, 2, 0]]).unwrap();
        assert_eq!(scores, [0.0; 3], "{choice}");
        let found = gradient(&*head, &block, &*loss(&json!({"name": "many-to-many"})), &input).unwrap();
        assert!(found.loss.is_finite() && found.d_z.iter().all(|d| d.is_finite()), "{choice}");
        assert!(found.d_z.iter().any(|d| *d != 0.0), "{choice}");
    }
}

#[test]
fn texts_of_one_token_have_the_cosine() {
    let golden = Golden::read();
    let states = golden.rows("queries");
    let n = states.values.len() / states.width;
    let single = TokenRows { starts: Cow::Owned((0..=n as u32).collect()), ..states };
    let cosine = crate::heads::build(HeadForm::Cosine, single.width, 1);
    let pairs: Vec<u32> = (0..n as u32).collect();
    let inputs = [pairs.clone(), pairs.into_iter().rev().collect()];
    let block = cosine.block("h", 1).cast::<f64>();
    let expected = crate::objective::output(&*cosine, &block, &single.values, single.width, &inputs).unwrap();
    for choice in choices() {
        let found = text_output(&*head(&choice, 5.0, single.width), &block, &single, &inputs).unwrap();
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12), "{choice}");
    }
}

#[test]
fn the_best_texts_are_found_piece_by_piece() {
    let golden = Golden::read();
    let ragged = |name: &str| {
        let rows = golden.rows(name);
        Ragged {
            values: rows.values.iter().map(|v| *v as f32).collect(),
            starts: rows.starts.to_vec(),
            width: rows.width,
        }
    };
    let (queries, targets) = (ragged("queries"), ragged("targets"));
    let scoring = scoring(&json!({"name": "soft-li"}), 9.0);
    let scores = all_pairs(&*scoring, &queries.rows(), &targets.rows()).unwrap();
    let piece = |texts: std::ops::Range<usize>| {
        let mut piece = Ragged::new(targets.width);
        texts.for_each(|i| piece.push(targets.text(i)));
        Ok::<_, Error>(piece)
    };
    let found = top_k(&*scoring, &queries, [0..1, 1..3, 3..4], 2, piece).unwrap();
    for (found, scores) in found.iter().zip(scores.chunks(4)) {
        let mut order: Vec<u32> = (0..4).collect();
        order.sort_by(|a, b| scores[*b as usize].total_cmp(&scores[*a as usize]));
        assert_eq!(found.iter().map(|(text, _)| *text).collect::<Vec<_>>(), order[..2]);
    }
}

#[test]
fn a_score_that_is_none_is_refused() {
    let refused = |choice: Value, square| {
        let choice: Choice = serde_json::from_value(choice).unwrap();
        ScoredBy { choice, square }.scoring().unwrap_err().to_string()
    };
    assert!(refused(json!({"name": "colbert"}), 1.0).contains("maxsim, pooled, soft-li"));
    assert!(
        refused(json!({"name": "soft-li", "tau_a": 0.0}), 1.0).contains("`tau_a` of score `soft-li` is 0")
    );
    assert!(refused(json!({"name": "soft-li"}), 0.0).contains("above 0"));
}
