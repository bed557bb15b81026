//! The learners of a task side by side: a head with what makes answers of its scores, on the encoder as it is or tuned.

use polytask_core::method::Choice;
use polytask_core::suite::{DescribedLabel, TaskSpec};
use polytask_core::{Problem, Suite};
use polytask_nn::Result;

use crate::calibration::Calibration;
use crate::contrast::Contrast;
use crate::encoder::TextEncoder;
use crate::heads::{Examples, FitRows, FittedHead, PROBE, RANDOM_LABELS, fit, info_of};
use crate::labels::{LabelTexts, descriptions};
use crate::rows::KnownRows;

/// A learner.
pub(crate) struct Side {
    pub(crate) learner: String,
    pub(crate) head: FittedHead,
    pub(crate) calibration: Calibration,
    /// The encoder it tuned for itself.
    pub(crate) tuned: Option<Box<TextEncoder>>,
}

/// The heads that are fitted: the chosen one first, then those it is compared with.
pub(crate) fn learners(suite: &Suite, spec: &TaskSpec, has_rows: bool) -> Vec<Choice> {
    let mut all = vec![spec.head.clone()];
    // Without rows to learn from, all of them are one.
    if !has_rows {
        return all;
    }
    all.extend(spec.beside.clone());
    if suite.train.baselines.is_empty() {
        return all;
    }
    let wanted = |name: &&str| *name != PROBE || suite.train.compares(PROBE);
    for name in
        ["zero-shot", "nearest-mean", PROBE, "bilinear", RANDOM_LABELS].iter().filter(|name| wanted(name))
    {
        if all.iter().all(|choice| choice.name != *name) {
            all.push(Choice::named(name));
        }
    }
    all
}

impl Calibration {
    /// What valid makes of a head's scores; what rows of train would, they would do too well.
    pub(crate) fn of(
        head: &FittedHead,
        labels: &LabelTexts,
        valid: Option<&Examples>,
        rate: Option<f64>,
    ) -> Result<Self> {
        let Some(valid) = valid.filter(|valid| !valid.is_empty()) else { return Ok(Self::default()) };
        let scores = head.scores(labels, &valid.features)?;
        Ok(Self::fit(&scores, &valid.right, labels.len(), rate))
    }
}

/// What an encoder is tuned on, and a head is fitted on it.
pub(crate) struct Tuning<'a> {
    pub(crate) encoder: &'a TextEncoder,
    pub(crate) described: &'a [DescribedLabel],
    pub(crate) labels: &'a LabelTexts,
    pub(crate) train: &'a KnownRows,
    pub(crate) valid: Option<&'a KnownRows>,
    pub(crate) rate: Option<f64>,
    pub(crate) seed: u64,
}

impl Tuning<'_> {
    /// A copy of the encoder is tuned, and a logistic regression fitted on its vectors.
    pub(crate) fn side(&self, choice: &Choice, observe: &mut dyn FnMut(usize, usize, f64)) -> Result<Side> {
        let Some(model) = self.encoder.model() else {
            let what = "head `contrastive` tunes the encoder, but an endpoint gives no gradient";
            return Err(Problem::new(what).try_this("head = \"bilinear\"").into());
        };
        let (info, n) = (info_of(&choice.name)?, self.labels.len());
        let (known, _) = self.train.scoped(n);
        let sequences: Vec<Vec<u32>> = known.iter().map(|&row| self.train.sequences[row].clone()).collect();
        let contrast = Contrast {
            model,
            sequences: &sequences,
            right: &self.train.right.pick(&known, n),
            descriptions: &descriptions(self.encoder, self.described)?,
            steps: choice.count(info, "steps"),
            rows: choice.count(info, "rows"),
            lr: choice.real(info, "lr"),
            seed: self.seed,
        };
        let tuned = Box::new(TextEncoder::from(contrast.tune(observe)?));
        let train = self.examples(&tuned, self.train)?;
        let valid = self.valid.map(|rows| self.examples(&tuned, rows)).transpose()?;
        let on = FitRows { labels: self.labels, train: &train, valid: valid.as_ref(), seed: self.seed };
        let head = fit(&Choice::named(PROBE), on, &mut |_, _, _| ())?;
        let calibration = Calibration::of(&head, self.labels, valid.as_ref(), self.rate)?;
        Ok(Side { learner: choice.name.clone(), head, calibration, tuned: Some(tuned) })
    }

    /// Rows of the labels, as the tuned encoder sees them.
    fn examples(&self, tuned: &TextEncoder, rows: &KnownRows) -> Result<Examples> {
        let n = self.labels.len();
        Ok(rows.examples(&tuned.encode(&rows.sequences, false)?, &rows.scoped(n).0, n))
    }
}
