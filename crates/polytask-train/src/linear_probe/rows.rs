//! Rows of a split as the features and targets of a linear model.

use polytask_core::outputs::largest;
use polytask_core::{Split, TargetType};
use polytask_data::{Targets, TextId};
use polytask_eval::Predictions;
use polytask_nn::Params;
use polytask_nn::objective::Target;

use crate::Result;
use crate::assemble::sentence_target;
use crate::engine::Engine;
use crate::heads::TaskHead;
use crate::pooled::{Pooled, for_batches};
use crate::units::read_outputs;

/// Reads the rows of a task.
pub(super) struct Reader<'a> {
    pub(super) engine: &'a Engine<'a>,
    /// The encoder's weights.
    pub(super) trunk: &'a Params,
    pub(super) task: usize,
    /// Sentence vectors of the texts of all splits.
    pub(super) pooled: &'a Pooled,
}

/// Rows of one split; for tags a row is a word.
pub(super) struct ProbeRows {
    pub(super) split: Split,
    /// The rows of the split, for tags the row of each word.
    pub(super) rows: Vec<u32>,
    /// `[rows, width]`.
    pub(super) features: Vec<f32>,
    pub(super) target: Target,
    pub(super) weights: Vec<f32>,
}

impl ProbeRows {
    /// Some of the rows.
    pub(super) fn pick(&self, places: &[usize], width: usize) -> Self {
        Self {
            split: self.split,
            rows: places.iter().map(|&i| self.rows[i]).collect(),
            features: places
                .iter()
                .flat_map(|&i| &self.features[i * width..(i + 1) * width])
                .copied()
                .collect(),
            target: pick_targets(&self.target, places),
            weights: places.iter().map(|&i| self.weights[i]).collect(),
        }
    }
}

fn pick_targets(target: &Target, places: &[usize]) -> Target {
    let rows = |values: &[f32], width: usize| {
        places.iter().flat_map(|&i| &values[i * width..(i + 1) * width]).copied().collect::<Vec<_>>()
    };
    match target {
        Target::Label(labels) => Target::Label(places.iter().map(|&i| labels[i]).collect()),
        Target::Labels { n_labels, values } => {
            Target::Labels { n_labels: *n_labels, values: rows(values, *n_labels) }
        }
        Target::Numbers { width, values } => Target::Numbers { width: *width, values: rows(values, *width) },
        Target::Passages { .. } | Target::Taught { .. } => {
            unreachable!("no probe reads passages or has a teacher: this is a bug")
        }
    }
}

/// The rows of a split whose target is known and whose weight counts, at most `most`, evenly taken.
pub(super) fn known_rows(engine: &Engine, task: usize, split: Split, most: usize) -> Vec<u32> {
    let Some(targets) = engine.dataset.tasks[task].targets.get(&split) else { return Vec::new() };
    let weights = engine.dataset.weights(task, split);
    let known: Vec<u32> =
        (0..targets.len()).filter(|&i| targets.is_known(i) && weights[i] > 0.0).map(|i| i as u32).collect();
    evenly(known, most)
}

/// At most `most` of some items, at even distances.
fn evenly<T: Copy>(items: Vec<T>, most: usize) -> Vec<T> {
    if items.len() <= most {
        return items;
    }
    (0..most).map(|i| items[i * items.len() / most]).collect()
}

impl Reader<'_> {
    fn head(&self) -> &TaskHead {
        &self.engine.heads[self.task]
    }

    /// Values per row.
    pub(super) fn width(&self) -> usize {
        self.head().head.n_features().unwrap_or(0)
    }

    /// Whether the targets are numbers.
    pub(super) fn reads_numbers(&self) -> bool {
        let kind = self.head().kind;
        kind.target_type() == TargetType::Numbers && !kind.form.gives_log_odds()
    }

    /// Outputs per row.
    pub(super) fn n_outputs(&self) -> usize {
        self.head().head.n_outputs()
    }

    /// At most `most` rows of a split; none when nothing is known there.
    pub(super) fn rows(&self, split: Split, most: usize) -> Result<Option<ProbeRows>> {
        let rows = known_rows(self.engine, self.task, split, most);
        if rows.is_empty() {
            return Ok(None);
        }
        let data = &self.engine.dataset.tasks[self.task];
        let found = match &data.targets[&split] {
            Targets::Tags(tags) => self.words(split, &rows, tags, most)?,
            targets => self.sentences(split, rows, targets),
        };
        Ok(Some(found).filter(|found| !found.rows.is_empty()))
    }

    fn sentences(&self, split: Split, rows: Vec<u32>, targets: &Targets) -> ProbeRows {
        let dataset = self.engine.dataset;
        let source = &dataset.sources[dataset.tasks[self.task].source].splits[&split];
        let mut features = Vec::with_capacity(rows.len() * self.width());
        for &row in &rows {
            let texts = source.inputs(row as usize).iter();
            let vectors: Vec<&[f32]> = texts.map(|&text| self.pooled.vector(text)).collect();
            self.head().head.features(&vectors, &mut features);
        }
        let weights = dataset.weights(self.task, split);
        let weights = rows.iter().map(|&row| weights[row as usize]).collect();
        let target = match sentence_target(&dataset.tasks[self.task], targets, &rows) {
            // A logistic fit, as of one label.
            Target::Numbers { width, values } if self.head().kind.form.gives_log_odds() => {
                Target::Labels { n_labels: width, values }
            }
            target => target,
        };
        ProbeRows { split, rows, features, target, weights }
    }

    /// The states of the first tokens of words, with their tags.
    fn words(&self, split: Split, rows: &[u32], tags: &[Option<Vec<u32>>], most: usize) -> Result<ProbeRows> {
        let dataset = self.engine.dataset;
        let source = &dataset.sources[dataset.tasks[self.task].source].splits[&split];
        let n_words = |row: &u32| tags[*row as usize].as_ref().map_or(0, Vec::len);
        let n_all: usize = rows.iter().map(n_words).sum();
        let rows = evenly(rows.to_vec(), (rows.len() * most / n_all.max(1)).max(1));
        let texts: Vec<TextId> = rows.iter().map(|&row| source.inputs(row as usize)[0]).collect();
        let row_weights = dataset.weights(self.task, split);
        let mut found = ProbeRows {
            split,
            rows: vec![],
            features: vec![],
            target: Target::Label(vec![]),
            weights: vec![],
        };
        let mut labels = Vec::new();
        for_batches(self.engine, self.trunk, 0, &texts, |positions, layout, states| {
            for (s, &at) in positions.iter().enumerate() {
                let starts = dataset.texts.word_starts(texts[at]).unwrap_or(&[]);
                let known = tags[rows[at] as usize].as_deref().unwrap_or(&[]);
                for (&start, &tag) in starts.iter().zip(known).filter(|(start, _)| **start != u32::MAX) {
                    found.features.extend_from_slice(states.row(layout.rows(s).start + start as usize));
                    labels.push(tag);
                    found.rows.push(rows[at]);
                    found.weights.push(row_weights[rows[at] as usize]);
                }
            }
            Ok(())
        })?;
        found.target = Target::Label(labels);
        Ok(found)
    }

    /// What outputs on some rows predict, beside the truth. A tag is judged word by word here: choosing a penalty needs
    /// no entities.
    pub(super) fn predictions(&self, rows: &ProbeRows, outputs: &[f32]) -> Predictions {
        let data = &self.engine.dataset.tasks[self.task];
        if let (Target::Label(truth), true) = (&rows.target, self.head().kind.tags_words()) {
            let predicted = outputs.chunks(self.n_outputs()).map(largest).collect();
            return Predictions::Labels { truth: truth.clone(), predicted, n_labels: self.n_outputs() };
        }
        let shown: Vec<usize> = rows.rows.iter().map(|&row| row as usize).collect();
        read_outputs(self.head().kind, data, &data.targets[&rows.split], &shown, outputs)
    }

    /// The metric that chooses: the task's own, for words their macro-F1.
    pub(super) fn metric<'m>(&self, own: &'m str) -> &'m str {
        if self.head().kind.tags_words() { "macro_f1" } else { own }
    }
}
