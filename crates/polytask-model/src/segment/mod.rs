//! Segments of a text by a model: depths of the similarity of its sentence vectors, or heads that learnt where topics
//! change.

mod info;
mod judge;
mod learned;
mod tune;

use std::ops::Range;

use polytask_core::Problem;
use polytask_nn::topk;
use polytask_segment::tiling::{self, Similarities, TilingThreshold};
use polytask_segment::{Boundaries, Crossing};

pub use info::{Combine, SegmenterInfo, choose as choose_segmenter, read_segmenters, write_segmenters};

pub use judge::{TrainedOn, judge};
pub use tune::{Tuned, tuned};

use crate::{Model, Result};

/// Sentences that go through the model together.
const BLOCK: usize = 512;

/// How segments are found.
#[derive(Debug, Clone, PartialEq)]
pub enum SegmentMethod {
    /// `TextTiling` on sentence vectors; needs no training.
    TextTiling {
        /// Sentences on each side of a place.
        width: usize,
        /// From which depth on a place is a boundary.
        threshold: TilingThreshold,
    },
    /// Heads of the model.
    Learned(SegmenterInfo),
}

/// A model that finds segments.
pub struct Segmenter {
    /// The model.
    pub model: Model,
    /// How.
    pub method: SegmentMethod,
}

/// A segment that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundSegment {
    /// Its sentences.
    pub sentences: Range<usize>,
    /// The depth or probability of the boundary that ends it; none at the end of the text.
    pub score: Option<f64>,
    /// The class of most of it, and how probable that is.
    pub class: Option<(String, f64)>,
}

/// What is known of the places between sentences.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PlaceScores {
    /// The depth or probability of a boundary at each.
    pub scores: Vec<f64>,
    /// Whether a boundary may stand there: of depths, peaks alone.
    pub can_end: Vec<bool>,
    /// The probability of each class for each sentence; empty without a head of classes.
    pub classes: Vec<Vec<f64>>,
}

impl Segmenter {
    /// `TextTiling` by the vectors of a model.
    ///
    /// # Errors
    /// When it reads no texts or gives no vector per text.
    pub fn text_tiling(model: Model, width: usize, threshold: TilingThreshold) -> Result<Self> {
        model.symbols.text()?;
        model.view(None)?;
        if model.encoder.scoring()?.is_some() {
            let what = "the model compares the states of tokens, expected one that gives a vector per text";
            return Err(Problem::new(what).try_this("a model of vectors").into());
        }
        Ok(Self { model, method: SegmentMethod::TextTiling { width, threshold } })
    }

    /// The heads of a model that learnt it, those of one of its segmentations where it has several.
    ///
    /// # Errors
    /// When there are none, or several and none is named.
    pub fn learned(model: Model, info: SegmenterInfo) -> Result<Self> {
        info.check(&model)?;
        Ok(Self { model, method: SegmentMethod::Learned(info) })
    }

    /// What is known of its heads, where it has any.
    pub fn info(&self) -> Option<&SegmenterInfo> {
        match &self.method {
            SegmentMethod::TextTiling { .. } => None,
            SegmentMethod::Learned(info) => Some(info),
        }
    }

    /// What the numbers of boundaries are.
    pub fn score_name(&self) -> &'static str {
        match self.method {
            SegmentMethod::TextTiling { .. } => "depth",
            SegmentMethod::Learned(_) => "probability",
        }
    }

    /// What it is called in tables.
    pub fn name(&self) -> String {
        match &self.method {
            SegmentMethod::TextTiling { .. } => "texttiling".into(),
            SegmentMethod::Learned(info) => info.name.clone(),
        }
    }

    /// The score above which a place of any text is a boundary; none where each text has its own.
    pub fn fixed_threshold(&self) -> Option<f64> {
        match &self.method {
            SegmentMethod::TextTiling { threshold: TilingThreshold::Depth(depth), .. } => Some(*depth),
            SegmentMethod::TextTiling { .. } => None,
            SegmentMethod::Learned(info) => Some(info.threshold),
        }
    }

    /// The boundaries of a text of so many sentences and these scores.
    pub fn boundaries(&self, scores: &PlaceScores, n_sentences: usize) -> Boundaries {
        let threshold = self.threshold(&scores.scores);
        let places = scores.scores.iter().zip(&scores.can_end);
        let mut marks: Vec<bool> = places.map(|(score, can_end)| *can_end && *score > threshold).collect();
        marks.resize(n_sentences, false);
        Boundaries::new(marks)
    }

    /// The score above which a place is a boundary, in a text of these scores.
    pub fn threshold(&self, scores: &[f64]) -> f64 {
        match &self.method {
            SegmentMethod::TextTiling { threshold, .. } => threshold.depth(scores),
            SegmentMethod::Learned(info) => info.threshold,
        }
    }

    /// The same with another threshold of depths or probabilities.
    #[must_use]
    pub fn above(mut self, score: f64) -> Self {
        match &mut self.method {
            SegmentMethod::TextTiling { threshold, .. } => *threshold = TilingThreshold::Depth(score),
            SegmentMethod::Learned(info) => info.threshold = score,
        }
        self
    }

    /// The scores of all places of a text.
    ///
    /// # Errors
    /// Those of the model.
    pub fn scores<S: AsRef<str> + Sync>(&self, sentences: &[S]) -> Result<PlaceScores> {
        let own = match &self.method {
            SegmentMethod::TextTiling { .. } => Crossing::NEIGHBOURS,
            SegmentMethod::Learned(info) => info.crossing,
        };
        Ok(self.readings(sentences, &[own])?.pop().unwrap_or_default())
    }

    /// Gives the segments of a text to `take`, in order. Heads need a few sentences beyond a boundary (the context, and those
    /// whose pairs are asked about), so that segments come while a long text is read; depths are measured against those of the whole text. `ends` are sentences
    /// that end a segment whatever the model says, in order.
    ///
    /// # Errors
    /// Those of the model and of taking.
    pub fn segment<S: AsRef<str> + Sync>(
        &self,
        sentences: &[S],
        ends: &[usize],
        take: &mut dyn FnMut(FoundSegment) -> Result<()>,
    ) -> Result<()> {
        let mut open = Open { ends, ..Open::default() };
        if let SegmentMethod::Learned(info) = &self.method {
            let labels = info.labels(&self.model);
            for block in blocks(sentences.len()) {
                let scores = learned::scores(&self.model, info, sentences, block)?;
                open.read(&scores, info.threshold, labels, take)?;
            }
            return open.end(sentences.len(), labels, take);
        }
        let scores = self.scores(sentences)?;
        open.read(&scores, self.threshold(&scores.scores), &[], take)?;
        open.end(sentences.len(), &[], take)
    }

    fn depths<S: AsRef<str> + Sync>(&self, sentences: &[S], width: usize) -> Result<PlaceScores> {
        let mut similarities = Similarities::new(self.model.encoder.d_embedding(), width);
        for block in sentences.chunks(BLOCK) {
            let states = self.model.embed(block, None, None)?;
            similarities.push(&topk::normalised(states.values, states.width));
        }
        let scores = tiling::depths(&similarities.finish());
        let can_end = tiling::deepest(&scores, f64::NEG_INFINITY);
        Ok(PlaceScores { scores, can_end, classes: Vec::new() })
    }
}

impl PlaceScores {
    fn extend(&mut self, further: Self) {
        self.scores.extend(further.scores);
        self.can_end.extend(further.can_end);
        self.classes.extend(further.classes);
    }
}

/// The sentences of a text in blocks.
fn blocks(n: usize) -> impl Iterator<Item = Range<usize>> {
    (0..n).step_by(BLOCK).map(move |start| start..(start + BLOCK).min(n))
}

/// The segment that goes on.
#[derive(Default)]
struct Open<'a> {
    /// Sentences that end a segment whatever is said of them.
    ends: &'a [usize],
    start: usize,
    n_sentences: usize,
    /// Sums of the probabilities of its classes.
    classes: Vec<f64>,
}

impl Open<'_> {
    /// Reads further places, each with the sentence before it.
    fn read(
        &mut self,
        places: &PlaceScores,
        threshold: f64,
        labels: &[String],
        take: &mut dyn FnMut(FoundSegment) -> Result<()>,
    ) -> Result<()> {
        let n = places.scores.len().max(places.classes.len());
        for at in 0..n {
            self.n_sentences += 1;
            if let Some(classes) = places.classes.get(at) {
                self.classes.resize(classes.len(), 0.0);
                self.classes.iter_mut().zip(classes).for_each(|(sum, p)| *sum += p);
            }
            let Some(&score) = places.scores.get(at) else { continue };
            let is_forced = self.ends.binary_search(&(self.n_sentences - 1)).is_ok();
            if is_forced || places.can_end[at] && score > threshold {
                self.close(Some(score), labels, take)?;
            }
        }
        Ok(())
    }

    fn close(
        &mut self,
        score: Option<f64>,
        labels: &[String],
        take: &mut dyn FnMut(FoundSegment) -> Result<()>,
    ) -> Result<()> {
        let sentences = self.start..self.n_sentences;
        let n = sentences.len() as f64;
        let best = (0..self.classes.len()).max_by(|&a, &b| self.classes[a].total_cmp(&self.classes[b]));
        let class = best.and_then(|class| Some((labels.get(class)?.clone(), self.classes[class] / n)));
        self.start = self.n_sentences;
        self.classes.clear();
        take(FoundSegment { sentences, score, class })
    }

    /// Gives what is left of a text of so many sentences.
    fn end(
        mut self,
        n_sentences: usize,
        labels: &[String],
        take: &mut dyn FnMut(FoundSegment) -> Result<()>,
    ) -> Result<()> {
        self.n_sentences = n_sentences;
        if n_sentences > self.start { self.close(None, labels, take) } else { Ok(()) }
    }
}
