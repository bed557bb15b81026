use candle_core::{Device, Tensor};
use polytask_core::method::Choice;

use super::*;
use crate::losses::{self, LossFn};
use crate::target::{Target, UNKNOWN};

const SORTS: [OutputSort; 3] = [OutputSort::OneOf, OutputSort::Each, OutputSort::Numbers];

fn tensor(values: &[f64], width: usize) -> Tensor {
    Tensor::from_slice(values, (values.len() / width, width), &Device::Cpu).unwrap()
}

fn values(x: &Tensor) -> Vec<f64> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn slopes_are_the_differences_of_the_losses() {
    let output = [0.4, -1.2, 0.7, 2.0, 0.1, -0.3];
    let teacher = tensor(&[1.5, -0.2, 0.3, -1.0, 0.8, 0.4], 3);
    for distil in DISTILS {
        for sort in SORTS.into_iter().filter(|&sort| distil.fits(sort)) {
            let made = distil.make(&Choice::named(distil.info().id), sort);
            let slope = values(&made.slope(&tensor(&output, 3), &teacher).unwrap());
            for i in 0..output.len() {
                let at = |h: f64| {
                    let mut moved = output;
                    moved[i] += h;
                    values(&made.rows(&tensor(&moved, 3), &teacher).unwrap()).iter().sum::<f64>()
                };
                let found = (at(1e-6) - at(-1e-6)) / 2e-6;
                assert!((found - slope[i]).abs() < 1e-6, "{} {sort:?} {i}", distil.info().id);
            }
        }
    }
}

#[test]
fn a_student_that_says_what_its_teacher_says_is_pulled_nowhere() {
    let same = tensor(&[0.4, -1.2, 0.7, 2.0], 2);
    for distil in DISTILS {
        for sort in SORTS.into_iter().filter(|&sort| distil.fits(sort)) {
            let made = distil.make(&Choice::named(distil.info().id), sort);
            let slope = values(&made.slope(&same, &same).unwrap());
            assert!(slope.iter().all(|x| x.abs() < 1e-9), "{} {sort:?}: {slope:?}", distil.info().id);
        }
    }
}

fn taught(alpha: f64) -> Taught {
    Taught {
        own: losses::make(&Choice::named("cross-entropy"), &["a".into(), "b".into()], &[1, 1]).unwrap(),
        distil: make(&Choice::named("logit-mse"), OutputSort::OneOf, "t").unwrap(),
        alpha,
    }
}

#[test]
fn the_sum_is_that_of_the_dossier_by_hand() {
    // o = (1, −1), g = (2, 0), y = 0: CE .126928, distillation 2, α = .5 → 1.063464.
    let output = tensor(&[1.0, -1.0], 2);
    let target = Target::Taught { own: Box::new(Target::Label(vec![0])), width: 2, values: vec![2.0, 0.0] };
    let loss = taught(0.5).loss(&output, &target, &[1.0]).unwrap().unwrap();
    assert!((loss.to_scalar::<f64>().unwrap() - 1.063_464).abs() < 1e-6);
}

#[test]
fn rows_without_a_label_or_an_answer_count_in_the_other_part_alone() {
    let output = tensor(&[1.0, -1.0, 0.5, 0.25, 3.0, 3.0], 2);
    let nan = f32::NAN;
    let target = Target::Taught {
        own: Box::new(Target::Label(vec![0, UNKNOWN, UNKNOWN])),
        width: 2,
        values: vec![nan, nan, 1.5, 0.25, nan, nan],
    };
    let weights = [1.0; 3];
    let loss = taught(0.25).loss(&output, &target, &weights).unwrap().unwrap();
    let expected = 0.75 * (1.0 + (-2.0_f64).exp()).ln() + 0.25 * 1.0;
    assert!((loss.to_scalar::<f64>().unwrap() - expected).abs() < 1e-9);
    // Along a direction: what a small step changes.
    let direction = tensor(&[0.3, -0.1, 0.2, 0.4, 1.0, 1.0], 2);
    let slope = taught(0.25).jvp(&output, &direction, &target, &weights).unwrap().unwrap();
    let at = |h: f64| {
        let moved = (&output + (&direction * h).unwrap()).unwrap();
        taught(0.25).loss(&moved, &target, &weights).unwrap().unwrap().to_scalar::<f64>().unwrap()
    };
    assert!((slope.to_scalar::<f64>().unwrap() - (at(1e-6) - at(-1e-6)) / 2e-6).abs() < 1e-6);
    let nothing =
        Target::Taught { own: Box::new(Target::Label(vec![UNKNOWN; 3])), width: 2, values: vec![nan; 6] };
    assert!(taught(0.25).loss(&output, &nothing, &weights).unwrap().is_none());
}

#[test]
fn a_loss_of_logits_is_refused_for_numbers() {
    let error = make(&Choice::named("kl"), OutputSort::Numbers, "close").err().unwrap().to_string();
    assert!(error.contains("`kl` needs logits") && error.contains("`close`"), "{error}");
}
