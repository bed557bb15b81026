//! From the rows of a step to a packed batch and each task's part of it.
//!
//! Every distinct text of a step becomes one sequence, however many rows and tasks read it.

use std::collections::HashMap;

use polytask_core::{Layout, PackedBatch, Purpose, Rng, Split};
use polytask_data::{Dataset, Relevance, Rows, Targets, TaskData, TeacherOutputs, TextId};
use polytask_nn::Trunk;
use polytask_nn::objective::{Relation, Target, UNKNOWN};

/// A step's batch: the texts once, and what each task makes of them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StepBatch {
    /// The distinct texts.
    pub packed: PackedBatch,
    /// Where the trunk's states of each text lie.
    pub layout: Layout,
    /// The text of each sequence, `[sequences]`.
    pub texts: Vec<TextId>,
    /// The tasks with known targets here, in suite order.
    pub parts: Vec<TaskBatch>,
}

/// A task's part of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskBatch {
    /// Suite index of the task.
    pub task: usize,
    /// Sequences of the layout it touches, ascending, each once.
    pub sequences: Vec<u32>,
    /// What a row of the head's leaf is.
    pub leaf: Leaf,
    /// For each head input, the leaf rows it reads.
    pub inputs: Vec<Vec<u32>>,
    /// The targets.
    pub target: Target,
    /// Weight of each target row.
    pub weights: Vec<f32>,
    /// Rows of the source, for messages.
    pub rows: Vec<u32>,
}

/// What a row of the head's leaf is.
#[derive(Debug, Clone, PartialEq)]
pub enum Leaf {
    /// The pooled vector of each sequence in `sequences`.
    Sentences,
    /// The state of these rows of the layout (first tokens of words).
    Tokens(Vec<u32>),
    /// All states of each sequence in `sequences`.
    States,
}

/// What decides the free choices of assembling: which positive, which hard negatives.
#[derive(Debug, Clone, Copy)]
pub struct Draw {
    /// Seed of the run.
    pub seed: u64,
    /// Optimiser step.
    pub step: u64,
}

/// A task as assembling needs to know it.
#[derive(Debug, Clone, Copy)]
pub struct TaskView<'a> {
    /// Suite index.
    pub index: usize,
    /// The view of the trunk's states it reads, where there are several.
    pub view: usize,
    /// Its data.
    pub data: &'a TaskData,
    /// Hard negatives per query (retrieval).
    pub negatives: usize,
    /// Whether its head reads all states of a text.
    pub reads_states: bool,
}

/// The batch of some rows of some sources for the given tasks, as this trunk lays out its states.
pub fn assemble(
    dataset: &Dataset,
    tasks: &[TaskView],
    split: Split,
    draws: &[(usize, Vec<u32>)],
    draw: Draw,
    trunk: &dyn Trunk,
) -> StepBatch {
    let mut builder = Builder { dataset, batch: StepBatch::default(), sequence_of: HashMap::new() };
    for task in tasks {
        for (source, rows) in draws {
            if *source == task.data.source {
                builder.add(task, split, rows, draw);
            }
        }
    }
    let mut batch = StepBatch { layout: trunk.layout(&builder.batch.packed), ..builder.batch };
    if trunk.n_views() > 1 {
        for part in &mut batch.parts {
            let view = tasks.iter().find(|task| task.index == part.task).map_or(0, |task| task.view);
            let n_sequences = batch.packed.n_sequences();
            let n_rows = batch.layout.n_rows() / trunk.n_views();
            part.look_at((view * n_sequences) as u32, (view * n_rows) as u32);
        }
    }
    batch
}

impl TaskBatch {
    /// Moves it to a view whose sequences and rows start here.
    fn look_at(&mut self, first_sequence: u32, first_row: u32) {
        self.sequences.iter_mut().for_each(|sequence| *sequence += first_sequence);
        if let Leaf::Tokens(rows) = &mut self.leaf {
            rows.iter_mut().for_each(|row| *row += first_row);
        }
    }
}

struct Builder<'a> {
    dataset: &'a Dataset,
    batch: StepBatch,
    sequence_of: HashMap<TextId, u32>,
}

impl Builder<'_> {
    /// Adds a task's known rows, if there are any.
    fn add(&mut self, task: &TaskView, split: Split, rows: &[u32], draw: Draw) {
        let source = &self.dataset.sources[task.data.source].splits[&split];
        let targets = &task.data.targets[&split];
        let weights = self.dataset.weights(task.index, split);
        let rows: Vec<u32> = rows.iter().copied().filter(|&r| task.data.teaches(split, r as usize)).collect();
        if rows.is_empty() {
            return;
        }
        let part = match targets {
            Targets::Passages(relevance) => self.passages(task, source, relevance, &rows, draw),
            Targets::Tags(tags) => self.words(task, source, tags, &rows, weights),
            _ => self.sentences(task, source, (split, targets), &rows),
        };
        let mut part = part;
        if part.leaf == Leaf::Sentences {
            part.weights = rows.iter().map(|&r| weights[r as usize]).collect();
            if task.reads_states {
                part.leaf = Leaf::States;
            }
        }
        if !part.weights.is_empty() {
            self.batch.parts.push(part);
        }
    }

    /// The sequence of a text, packed at its first use.
    fn sequence(&mut self, text: TextId) -> u32 {
        let Self { dataset, batch, sequence_of } = self;
        *sequence_of.entry(text).or_insert_with(|| {
            batch.packed.push(dataset.texts.tokens(text));
            batch.texts.push(text);
            batch.texts.len() as u32 - 1
        })
    }

    /// Sequences of each input role, `[inputs][rows]`.
    fn input_sequences(&mut self, source: &Rows, rows: &[u32]) -> Vec<Vec<u32>> {
        let of_input = |builder: &mut Self, i: usize| {
            rows.iter().map(|&r| builder.sequence(source.inputs(r as usize)[i])).collect()
        };
        (0..source.n_inputs).map(|i| of_input(self, i)).collect()
    }

    /// Labels, label sets and numbers on sentence vectors.
    fn sentences(
        &mut self,
        task: &TaskView,
        source: &Rows,
        (split, targets): (Split, &Targets),
        rows: &[u32],
    ) -> TaskBatch {
        let inputs = self.input_sequences(source, rows);
        let (sequences, inputs) = leaf_rows(inputs);
        TaskBatch {
            task: task.index,
            sequences,
            leaf: Leaf::Sentences,
            inputs,
            target: taught(task.data, sentence_target(task.data, targets, rows), rows, split),
            weights: Vec::new(),
            rows: rows.to_vec(),
        }
    }

    /// A tag for the first token of each word that was not cut off.
    fn words(
        &mut self,
        task: &TaskView,
        source: &Rows,
        tags: &[Option<Vec<u32>>],
        rows: &[u32],
        row_weights: &[f32],
    ) -> TaskBatch {
        let (mut tokens, mut labels, mut weights, mut sequences) = (vec![], vec![], vec![], vec![]);
        for &row in rows {
            let text = source.inputs(row as usize)[0];
            let sequence = self.sequence(text);
            sequences.push(sequence);
            let first = self.batch.packed.starts[sequence as usize];
            let starts = self.dataset.texts.word_starts(text).unwrap_or(&[]);
            let known = tags[row as usize].as_deref().unwrap_or(&[]);
            for (&start, &tag) in starts.iter().zip(known).filter(|(start, _)| **start != u32::MAX) {
                tokens.push(first + start);
                labels.push(tag);
                weights.push(row_weights[row as usize]);
            }
        }
        sequences.sort_unstable();
        sequences.dedup();
        TaskBatch {
            task: task.index,
            sequences,
            inputs: vec![(0..tokens.len() as u32).collect()],
            leaf: Leaf::Tokens(tokens),
            target: Target::Label(labels),
            weights,
            rows: rows.to_vec(),
        }
    }

    /// Queries against the positives and hard negatives of the whole part.
    fn passages(
        &mut self,
        task: &TaskView,
        source: &Rows,
        relevance: &[Relevance],
        rows: &[u32],
        draw: Draw,
    ) -> TaskBatch {
        let chosen = ChosenPassages::draw(task, relevance, rows, draw);
        let queries = rows.iter().map(|&r| self.sequence(source.inputs(r as usize)[0])).collect();
        let texts: Vec<TextId> = chosen.passages.iter().map(|&p| task.data.corpus[p as usize]).collect();
        let passages = texts.iter().map(|&text| self.sequence(text)).collect();
        let (sequences, inputs) = leaf_rows(vec![queries, passages]);
        let asked: Vec<TextId> = rows.iter().map(|&r| source.inputs(r as usize)[0]).collect();
        let relations = chosen.relations(task.data, relevance, rows, &asked);
        TaskBatch {
            task: task.index,
            sequences,
            leaf: Leaf::Sentences,
            inputs,
            target: Target::Passages { positive: chosen.positive, relations },
            weights: Vec::new(),
            rows: rows.to_vec(),
        }
    }
}

/// The passages a retrieval part scores: one positive per query, then hard negatives; each passage once.
struct ChosenPassages {
    passages: Vec<u32>,
    positive: Vec<u32>,
}

impl ChosenPassages {
    fn draw(task: &TaskView, relevance: &[Relevance], rows: &[u32], draw: Draw) -> Self {
        let mut chosen = Self { passages: Vec::new(), positive: Vec::new() };
        let mut column = HashMap::new();
        for &row in rows {
            let mut rng = Rng::new(draw.seed, Purpose::Pick, &[task.index as u64, draw.step, u64::from(row)]);
            let positives = &relevance[row as usize].positives;
            let positive = positives[rng.below(positives.len())].0;
            let positive = chosen.column(&mut column, positive);
            chosen.positive.push(positive);
            let mut negatives = relevance[row as usize].negatives.clone();
            rng.shuffle(&mut negatives);
            for &negative in negatives.iter().take(task.negatives) {
                chosen.column(&mut column, negative);
            }
        }
        chosen
    }

    fn column(&mut self, column: &mut HashMap<u32, u32>, passage: u32) -> u32 {
        *column.entry(passage).or_insert_with(|| {
            self.passages.push(passage);
            self.passages.len() as u32 - 1
        })
    }

    /// What each passage is to each query. The same query may stand in several rows, each with another answer: none of
    /// them is a negative for it. Nor is its own text or the passage of its own id: as like it as can be, they would
    /// take the softmax for themselves.
    fn relations(
        &self,
        data: &TaskData,
        relevance: &[Relevance],
        rows: &[u32],
        queries: &[TextId],
    ) -> Vec<Relation> {
        let text = |passage: u32| data.corpus[passage as usize];
        let mut answers_of: HashMap<TextId, Vec<TextId>> = HashMap::new();
        for (&row, &query) in rows.iter().zip(queries) {
            let answers = relevance[row as usize].positives.iter().map(|&(p, _)| text(p));
            answers_of.entry(query).or_default().extend(answers);
        }
        let mut relations = Vec::with_capacity(rows.len() * self.passages.len());
        for ((query, &positive), &row) in queries.iter().zip(&self.positive).zip(rows) {
            let (answers, own) = (&answers_of[query], relevance[row as usize].own);
            let is_itself = |p: u32| !data.keeps_identical && (data.is_text_of(p, *query) || own == Some(p));
            let of_passage = |(j, &p): (usize, &u32)| {
                if j as u32 == positive || answers.contains(&text(p)) {
                    Relation::Answer
                } else if is_itself(p) {
                    Relation::LeftOut
                } else {
                    Relation::Negative
                }
            };
            relations.extend(self.passages.iter().enumerate().map(of_passage));
        }
        relations
    }
}

/// The sequences used (ascending, once), and each input's sequences as positions among them.
fn leaf_rows(inputs: Vec<Vec<u32>>) -> (Vec<u32>, Vec<Vec<u32>>) {
    let mut sequences: Vec<u32> = inputs.iter().flatten().copied().collect();
    sequences.sort_unstable();
    sequences.dedup();
    let mut leaf = vec![0; sequences.last().map_or(0, |&last| last as usize + 1)];
    for (i, &s) in sequences.iter().enumerate() {
        leaf[s as usize] = i as u32;
    }
    let place = |rows: Vec<u32>| rows.into_iter().map(|s| leaf[s as usize]).collect();
    (sequences, inputs.into_iter().map(place).collect())
}

/// The targets with what a teacher says beside them.
fn taught(data: &TaskData, own: Target, rows: &[u32], split: Split) -> Target {
    match data.taught.as_ref().filter(|_| split == Split::Train) {
        None => own,
        Some(TeacherOutputs { width, .. }) => {
            let values =
                rows.iter().flat_map(|&row| data.taught.iter().flat_map(move |of| of.row(row as usize)));
            Target::Taught { own: Box::new(own), width: *width, values: values.copied().collect() }
        }
    }
}

/// Targets of sentence tasks, numbers scaled as the task's data says.
pub(crate) fn sentence_target(data: &TaskData, targets: &Targets, rows: &[u32]) -> Target {
    let n_labels = data.labels.len();
    match targets {
        Targets::Label(labels) => {
            Target::Label(rows.iter().map(|&r| labels[r as usize].unwrap_or(UNKNOWN)).collect())
        }
        Targets::Labels(sets) => {
            let mut values = vec![0.0; rows.len() * n_labels];
            for (i, &row) in rows.iter().enumerate() {
                if sets[row as usize].is_none() {
                    values[i * n_labels..(i + 1) * n_labels].fill(f32::NAN);
                }
                for &label in sets[row as usize].iter().flatten() {
                    values[i * n_labels + label as usize] = 1.0;
                }
            }
            Target::Labels { n_labels, values }
        }
        Targets::Numbers { width, values } => {
            let scaled = |r: &u32| {
                let row = &values[*r as usize * width..(*r as usize + 1) * width];
                // The differences are taken in f64: large numbers close to each other must not become one.
                let scaled =
                    row.iter().zip(&data.scale).map(|(v, (shift, span))| ((v - shift) / span) as f32);
                scaled.collect::<Vec<_>>()
            };
            Target::Numbers { width: *width, values: rows.iter().flat_map(scaled).collect() }
        }
        Targets::Tags(_) | Targets::Passages(_) => unreachable!("tags and passages have their own parts"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_another_answer_nor_the_query_itself_is_a_negative() {
        let data = TaskData { corpus: vec![5, 7, 9, 8, 7], ..TaskData::default() };
        let row = |own| Relevance { positives: vec![(1, 1.0)], negatives: vec![], own, query: None };
        let chosen = ChosenPassages { passages: vec![0, 1, 2, 3, 4], positive: vec![1, 1] };
        let relations = chosen.relations(&data, &[row(Some(3)), row(None)], &[0, 1], &[5, 6]);
        // The first query's text is passage 0 and its id that of passage 3; passage 4 has the text of the answer.
        let (answer, other, itself) = (Relation::Answer, Relation::Negative, Relation::LeftOut);
        assert_eq!(relations[..5], [itself, answer, other, itself, answer]);
        assert_eq!(relations[5..], [other, answer, other, other, answer]);
        let kept = TaskData { keeps_identical: true, ..data };
        let relations = chosen.relations(&kept, &[row(Some(3)), row(None)], &[0, 1], &[5, 6]);
        assert_eq!(relations[..5], [other, answer, other, other, answer]);
    }
}
