//! Heads on frozen vectors. A fitted head gives a score for every label of a text; labels are those it is asked about, so
//! that some heads score labels they never saw.

mod cross;
mod logistic;

use polytask_core::method::Choice;
use polytask_core::suite::LABEL_HEADS;
use polytask_core::{MethodInfo, Problem, Purpose, Rng};
use polytask_nn::label_cross::{LabelCross, START_KAPPA};
use polytask_nn::linear_fit::bilinear::{self, BilinearData, BilinearStart};
use polytask_nn::{Block, Result};

use crate::features::{Features, to_unit};
use crate::labels::{LabelTexts, dot};
pub use crate::rows::Examples;
use crate::rows::Right;

/// Id of the control: a matrix between texts and random vectors of labels.
pub const RANDOM_LABELS: &str = "random-labels";
/// Id of the logistic regression on vectors.
pub const PROBE: &str = "probe";

/// Id of the head on an encoder that is tuned by pairs.
pub const CONTRASTIVE: &str = "contrastive";

/// How strongly a matrix may be held where it starts, and how strongly it is without valid.
const PULLS: [f64; 4] = [16.0, 4.0, 1.0, 0.25];
const USUAL_PULL: f64 = 4.0;

/// A head that was fitted.
#[derive(Debug, Clone, PartialEq)]
pub enum FittedHead {
    /// Cosines with descriptions.
    ZeroShot,
    /// Cosines with means of texts, `[labels, d_vector]`.
    NearestMean(Vec<f32>),
    /// Logistic regression: weight `[labels, d_vector]` and bias `[labels]`.
    Logistic(Vec<f32>, Vec<f32>),
    /// A matrix `[d_vector + 1, d_vector + 1]` between texts and descriptions, each with a constant, and a factor.
    Bilinear(Vec<f32>, f64),
    /// The same with vectors of labels that say nothing of them.
    RandomLabels(Vec<f32>, f64, Vec<f32>),
    /// Cross-attention on scores that it starts from.
    Cross(LabelCross, Block, CrossPrior),
}

/// What scores of cross-attention start from.
#[derive(Debug, Clone, PartialEq)]
pub enum CrossPrior {
    /// Nothing.
    None,
    /// Cosines with descriptions.
    Cosine,
    /// A matrix between texts and descriptions that was fitted before.
    Bilinear(Vec<f32>),
}

/// What heads are fitted on.
#[derive(Debug, Clone, Copy)]
pub struct FitRows<'a> {
    /// The labels.
    pub labels: &'a LabelTexts,
    /// Rows of train.
    pub train: &'a Examples,
    /// Rows of valid.
    pub valid: Option<&'a Examples>,
    /// Seed of every random choice.
    pub seed: u64,
}

/// What a head of a suite tells about itself.
///
/// # Errors
/// When no head has this name.
pub fn info_of(name: &str) -> Result<&'static MethodInfo> {
    LABEL_HEADS.iter().copied().find(|info| info.id == name).ok_or_else(|| {
        Problem::new(format!("head `{name}` does not match descriptions: this is a bug")).into()
    })
}

/// Whether a head reads the states of all tokens.
pub fn reads_states(name: &str) -> bool {
    name == "label-cross"
}

/// Fits a head of a suite, or a learner it is compared with. Without rows every head of descriptions is the zero-shot
/// classifier. `observe` hears of passes over the rows.
///
/// # Errors
/// When shapes do not fit: a bug.
pub fn fit(
    choice: &Choice,
    on: FitRows<'_>,
    observe: &mut dyn FnMut(usize, usize, f64),
) -> Result<FittedHead> {
    let none = on.train.is_empty();
    Ok(match choice.name.as_str() {
        _ if none => FittedHead::ZeroShot,
        "nearest-mean" => FittedHead::NearestMean(means(on)),
        PROBE => logistic::fit(on),
        "bilinear" => {
            let info = info_of("bilinear")?;
            let (scale, pull) = (choice.real(info, "scale"), choice.param(info, "pull").as_f64());
            FittedHead::Bilinear(matrix(on, scale, pull), scale)
        }
        RANDOM_LABELS => random_labels(on),
        "label-cross" => cross::fit(choice, on, observe)?,
        _ => FittedHead::ZeroShot,
    })
}

impl FittedHead {
    /// The score of every label for every text, `[texts, labels]`.
    ///
    /// # Errors
    /// When shapes do not fit: a bug.
    pub fn scores(&self, labels: &LabelTexts, texts: &Features) -> Result<Vec<f32>> {
        let n = labels.len();
        Ok(match self {
            Self::ZeroShot => labels.cosines(texts).iter().map(|cosine| START_KAPPA * cosine).collect(),
            Self::NearestMean(means) => {
                let d = labels.d_vector;
                let mean =
                    |label: usize| means.get(label * d..(label + 1) * d).unwrap_or(labels.vector(label));
                let each = |text: usize| (0..n).map(move |label| dot(texts.vector(text), mean(label)));
                let all = (0..texts.len()).flat_map(each);
                all.map(|cosine| START_KAPPA * (cosine - labels.offset)).collect()
            }
            Self::Logistic(weight, bias) => {
                let row = |label: usize| &weight[label * labels.d_vector..(label + 1) * labels.d_vector];
                let each =
                    |text: usize| (0..n).map(move |label| dot(texts.vector(text), row(label)) + bias[label]);
                (0..texts.len()).flat_map(each).collect()
            }
            Self::Bilinear(matrix, scale) => {
                let (texts, labels, width) = with_constant(texts, labels, &labels.vectors);
                bilinear::scores(matrix, &texts, &labels, (width, *scale))
            }
            Self::RandomLabels(matrix, scale, random) => {
                let (texts, labels, width) = with_constant(texts, labels, random);
                bilinear::scores(matrix, &texts, &labels, (width, *scale))
            }
            Self::Cross(head, block, prior) => cross::scores(head, block, prior, labels, texts)?,
        })
    }
}

impl CrossPrior {
    /// What stands where the cosine of a text and a label does, `[texts, labels]`; empty where nothing does.
    fn of(&self, labels: &LabelTexts, texts: &Features) -> Vec<f32> {
        match self {
            Self::None => Vec::new(),
            Self::Cosine => labels.cosines(texts),
            Self::Bilinear(matrix) => {
                let (texts, labels, width) = with_constant(texts, labels, &labels.vectors);
                bilinear::scores(matrix, &texts, &labels, (width, 1.0))
            }
        }
    }
}

/// Vectors of texts and labels with one value more, whose product is the offset: a bias that may be learnt.
fn with_constant(texts: &Features, labels: &LabelTexts, vectors: &[f32]) -> (Vec<f32>, Vec<f32>, usize) {
    let d = labels.d_vector;
    let longer = |rows: &[f32], last: f32| -> Vec<f32> {
        rows.chunks(d).flat_map(|row| row.iter().copied().chain([last])).collect()
    };
    (longer(&texts.vectors, 1.0), longer(vectors, -labels.offset), d + 1)
}

/// The unit mean of the texts of each label; its description where it has none.
fn means(on: FitRows<'_>) -> Vec<f32> {
    let (labels, train) = (on.labels, on.train);
    let (n, d) = (labels.len(), labels.d_vector);
    let mut sums = vec![0.0; n * d];
    let counts = train.right.counts(n);
    let mut add = |text: usize, label: usize| {
        let to = &mut sums[label * d..(label + 1) * d];
        to.iter_mut().zip(train.features.vector(text)).for_each(|(sum, value)| *sum += value);
    };
    match &train.right {
        Right::One(right) => right.iter().enumerate().for_each(|(text, &label)| add(text, label as usize)),
        Right::Any(holds) => {
            holds.iter().enumerate().filter(|(_, holds)| **holds).for_each(|(i, _)| add(i / n, i % n));
        }
    }
    for (label, count) in counts.iter().enumerate() {
        let mean = &mut sums[label * d..(label + 1) * d];
        if *count == 0 {
            mean.copy_from_slice(labels.vector(label));
        }
        to_unit(mean);
    }
    sums
}

/// The matrix of the bilinear head.
fn matrix(on: FitRows<'_>, scale: f64, pull: Option<f64>) -> Vec<f32> {
    Matrices { on, vectors: &on.labels.vectors, scale, diagonal: 1.0 }.fit(pull)
}

/// The control: the same matrix from zeros, with labels that are random directions.
fn random_labels(on: FitRows<'_>) -> FittedHead {
    let d = on.labels.d_vector;
    let mut rng = Rng::new(on.seed, Purpose::Method, &[on.labels.len() as u64]);
    let mut random: Vec<f32> = (0..on.labels.len() * d).map(|_| rng.normal() as f32).collect();
    random.chunks_mut(d).for_each(to_unit);
    let scale = f64::from(START_KAPPA);
    let matrix = Matrices { on, vectors: &random, scale, diagonal: 0.0 }.fit(None);
    FittedHead::RandomLabels(matrix, scale, random)
}

/// Matrices between texts and vectors of labels, each held where it starts with another strength.
struct Matrices<'a> {
    on: FitRows<'a>,
    /// Vectors of labels.
    vectors: &'a [f32],
    scale: f64,
    /// They start from this multiple of the identity.
    diagonal: f64,
}

impl Matrices<'_> {
    /// The one with a pull; without it the one that valid prefers, of the strongest first.
    fn fit(&self, pull: Option<f64>) -> Vec<f32> {
        let Some(valid) = self.on.valid.filter(|valid| !valid.is_empty() && pull.is_none()) else {
            return self.pulled(pull.unwrap_or(USUAL_PULL));
        };
        let (texts, labels, width) = with_constant(&valid.features, self.on.labels, self.vectors);
        let mut best: Option<(f64, Vec<f32>)> = None;
        for pull in PULLS {
            let matrix = self.pulled(pull);
            let scores = bilinear::scores(&matrix, &texts, &labels, (width, self.scale));
            let losses = valid.calibrated_losses(&scores, self.on.labels.len());
            let loss = losses.iter().sum::<f64>() / losses.len() as f64;
            if best.as_ref().is_none_or(|(least, _)| loss < *least) {
                best = Some((loss, matrix));
            }
        }
        best.map(|(_, matrix)| matrix).unwrap_or_default()
    }

    fn pulled(&self, pull: f64) -> Vec<f32> {
        let FitRows { labels, train, .. } = self.on;
        let (texts, labels, width) = with_constant(&train.features, labels, self.vectors);
        let target = train.right.target(self.on.labels.len());
        let (texts, labels, weights) = (&texts[..], &labels[..], &train.weights[..]);
        let data = BilinearData { texts, labels, width, target: &target, weights };
        let pull = pull / train.len() as f64;
        data.fit(BilinearStart { scale: self.scale, pull, diagonal: self.diagonal })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::tests::single;

    fn labels() -> LabelTexts {
        let names = ["a", "b", "c"].map(String::from).to_vec();
        let vectors = vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
        LabelTexts { names, means: vectors.clone(), vectors, d_vector: 3, offset: 0.0 }
    }

    fn fitted(name: &str, train: &Examples) -> FittedHead {
        let labels = labels();
        let on = FitRows { labels: &labels, train, valid: None, seed: 1 };
        fit(&Choice::named(name), on, &mut |_, _, _| ()).unwrap()
    }

    fn best(head: &FittedHead, texts: &Features) -> Vec<u32> {
        head.scores(&labels(), texts).unwrap().chunks(3).map(polytask_core::outputs::largest).collect()
    }

    /// Labels whose texts lie turned against their descriptions.
    fn turned() -> Examples {
        let rows: [&[f32]; 6] = [
            &[0.5, 1.0, 0.0],
            &[0.4, 1.0, 0.1],
            &[0.0, 0.5, 1.0],
            &[0.1, 0.4, 1.0],
            &[1.0, 0.0, 0.5],
            &[1.0, 0.1, 0.4],
        ];
        Examples::of_labels(single(&rows), vec![0, 0, 1, 1, 2, 2])
    }

    #[test]
    fn without_rows_every_head_is_the_zero_shot_classifier() {
        let none = Examples::of_labels(Features { d_vector: 3, ..Features::default() }, Vec::new());
        for name in ["zero-shot", "nearest-mean", "bilinear", "label-cross", PROBE, RANDOM_LABELS] {
            assert_eq!(fitted(name, &none), FittedHead::ZeroShot, "{name}");
        }
    }

    #[test]
    fn heads_learn_what_descriptions_do_not_say() {
        let train = turned();
        assert_eq!(best(&fitted("zero-shot", &train), &train.features), [1, 1, 2, 2, 0, 0]);
        for name in ["nearest-mean", PROBE, RANDOM_LABELS] {
            assert_eq!(best(&fitted(name, &train), &train.features), [0, 0, 1, 1, 2, 2], "{name}");
        }
        // Held by its start as by four rows of six, the matrix stays near it; held less, it learns.
        let labels = labels();
        let on = FitRows { labels: &labels, train: &train, valid: Some(&train), seed: 1 };
        let mut loose = Choice::named("bilinear");
        loose.params.insert("pull".into(), 0.1.into());
        let head = fit(&loose, on, &mut |_, _, _| ()).unwrap();
        assert_eq!(best(&head, &train.features), [0, 0, 1, 1, 2, 2]);
        let mut choice = Choice::named("label-cross");
        choice.params.insert("lr".into(), 0.05.into());
        choice.params.insert("epochs".into(), 60.into());
        let head = fit(&choice, on, &mut |_, _, _| ()).unwrap();
        let judged = |head: &FittedHead| train.judged(&head.scores(&labels, &train.features).unwrap(), 3);
        let (zero, learnt) = (judged(&FittedHead::ZeroShot), judged(&head));
        assert!(zero.0 == 0.0 && learnt.0 > 0.6 && learnt.1 < 0.5 * zero.1, "{zero:?} {learnt:?}");
    }

    #[test]
    fn a_label_without_rows_is_its_description() {
        let few = Examples::of_labels(single(&[&[0.0, 0.6, 0.8]]), vec![1]);
        let FittedHead::NearestMean(means) = fitted("nearest-mean", &few) else { panic!("another head") };
        assert_eq!(means[..3], [1.0, 0.0, 0.0]);
        assert!((means[4] - 0.6).abs() < 1e-6 && (means[5] - 0.8).abs() < 1e-6);
    }

    #[test]
    fn several_labels_of_a_row_are_learnt_with_an_offset() {
        let features = single(&[&[1.0, 1.0, 0.0], &[0.0, 1.0, 1.0], &[0.0, 0.0, 1.0], &[1.0, 0.0, 0.0]]);
        let right =
            Right::Any(vec![true, true, false, false, true, true, false, false, true, true, false, false]);
        let train = Examples { features: features.clone(), right, weights: vec![1.0; 4] };
        let labels = LabelTexts { offset: 0.4, ..labels() };
        for name in ["zero-shot", "nearest-mean", "bilinear", "label-cross", PROBE] {
            let on = FitRows { labels: &labels, train: &train, valid: Some(&train), seed: 1 };
            let head = fit(&Choice::named(name), on, &mut |_, _, _| ()).unwrap();
            let (right, _) = train.judged(&head.scores(&labels, &features).unwrap(), 3);
            assert!(right > 0.8, "{name} {right}");
        }
    }
}
