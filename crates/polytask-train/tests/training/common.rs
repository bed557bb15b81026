//! Small data and suites written to a folder, and what a training needs made of them.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use polytask_core::suite::{self, Suite};
use polytask_core::{Purpose, Rng, Split};
use polytask_data::Plan;
use polytask_nn::Block;
use polytask_train::assemble::{Draw, StepBatch, assemble};
use polytask_train::cache::FrozenCache;
use polytask_train::checkpoint::{Checkpoints, fresh};
use polytask_train::engine::Engine;
use polytask_train::heads::TaskHead;
use polytask_train::observe::Silent;
use polytask_train::prepare::prepare;
use polytask_train::regularizer;
use polytask_train::run::Prepared;
use polytask_train::trainer::{State, Trainer};
use polytask_weighting::Weighting;
use polytask_weighting::table::{self, Setup};
use serde_json::{Value, json};

const WARM: [&str; 4] = ["red", "rust", "amber", "gold"];
const COLD: [&str; 4] = ["blue", "teal", "navy", "ice"];
const THINGS: [&str; 6] = ["cup", "door", "lamp", "coat", "boat", "wall"];

/// A folder with the data of all kinds, and the suite's tables that read it.
pub(crate) struct Data(tempfile::TempDir);

/// Settings every test starts from; overridden by `KEY=VALUE`.
const BASE: &str = r#"
name = "test"
seed = 7
[model]
encoder = "tiny"
dropout = 0.1
[train]
lr = 3e-3
batch_rows = 8
epochs = 2
conflict_every = 3
baselines = false
"#;

/// Four tasks on the rows of `notes`.
pub(crate) const NOTES: &str = r#"
[[source]]
name = "notes"
data = "notes"
[[task]]
name = "tone"
kind = "class"
from = "notes"
[[task]]
name = "size"
kind = "regression"
from = "notes"
columns = { value = "size" }
[[task]]
name = "topics"
kind = "multilabel"
from = "notes"
columns = { labels = "topics" }
"#;

/// Two tasks with rows of their own.
pub(crate) const TWO: &str = r#"
[[task]]
name = "tone"
kind = "class"
data = "notes"
[[task]]
name = "alike"
kind = "similarity"
data = "pairs"
"#;

/// One task of every kind.
pub(crate) const ALL: &str = r#"
[[source]]
name = "notes"
data = "notes"
[[task]]
name = "tone"
kind = "class"
from = "notes"
[[task]]
name = "size"
kind = "regression"
from = "notes"
columns = { value = "size" }
[[task]]
name = "topics"
kind = "multilabel"
from = "notes"
columns = { labels = "topics" }
[[task]]
name = "alike"
kind = "similarity"
data = "pairs"
[[task]]
name = "same"
kind = "pair-class"
data = "pairs"
[[task]]
name = "find"
kind = "retrieval"
data = "finds"
[[task]]
name = "tags"
kind = "tagging"
data = "tags"
"#;

impl Data {
    /// Writes all data; every text says what its targets are.
    pub(crate) fn new() -> Self {
        let data = Self(tempfile::tempdir().unwrap());
        for (split, n) in [(Split::Train, 24), (Split::Valid, 12), (Split::Test, 16)] {
            let mut rng = Rng::new(1, Purpose::Bench, &[split as u64]);
            data.write("notes", split, (0..n).map(|i| note(i, &mut rng)));
            data.write("pairs", split, (0..n).map(|i| pair(i, &mut rng)));
            data.write("finds", split, (0..n).map(|i| find(i, &mut rng)));
            data.write("tags", split, (0..n).map(|i| tags(i, &mut rng)));
        }
        data
    }

    /// Writes a split of a data folder as JSON lines.
    pub(crate) fn write(&self, name: &str, split: Split, rows: impl IntoIterator<Item = Value>) {
        let folder = self.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        let lines: Vec<String> = rows.into_iter().map(|row| row.to_string()).collect();
        fs::write(folder.join(format!("{}.jsonl", split.name())), lines.join("\n") + "\n").unwrap();
    }

    /// The rows of a split of a data folder.
    pub(crate) fn rows(&self, name: &str, split: Split) -> Vec<Value> {
        let file = self.path().join(name).join(format!("{}.jsonl", split.name()));
        fs::read_to_string(file).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// A copy of a data folder with each row of train changed.
    pub(crate) fn change(&self, from: &str, to: &str, change: impl Fn(usize, &mut Value)) {
        for split in Split::ALL {
            let mut rows = self.rows(from, split);
            if split == Split::Train {
                rows.iter_mut().enumerate().for_each(|(i, row)| change(i, row));
            }
            self.write(to, split, rows);
        }
    }

    /// Gives each row of train a weight in a column of its own, and every other row the weight 1.
    pub(crate) fn weigh(&self, name: &str, column: &str, weight: impl Fn(usize) -> f64) {
        for split in Split::ALL {
            let rows = self.rows(name, split).into_iter().enumerate();
            let weight = |i| if split == Split::Train { weight(i) } else { 1.0 };
            let rows = rows.map(|(i, mut row)| {
                row[column] = json!(weight(i));
                row
            });
            self.write(name, split, rows);
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// A folder beside the data.
    pub(crate) fn out(&self, name: &str) -> PathBuf {
        self.path().join("out").join(name)
    }

    /// The suite of these tasks.
    pub(crate) fn suite(&self, tasks: &str, set: &[&str]) -> Suite {
        let catalogue = polytask_train::catalogue();
        let set: Vec<String> = set.iter().map(ToString::to_string).collect();
        let mut text = BASE.to_owned();
        text.write_str(tasks).unwrap();
        suite::parse(&text, &self.path().join("suite.toml"), &catalogue, &set)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Everything a run of these tasks works on.
    pub(crate) fn prepare(&self, tasks: &str, set: &[&str]) -> Prepared {
        prepare(self.suite(tasks, set), &mut Silent).unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn rig(&self, tasks: &str, set: &[&str]) -> Rig {
        Rig::new(self.prepare(tasks, set))
    }
}

fn words(n: usize, rng: &mut Rng, colours: &[&str]) -> String {
    let word = |i: usize, rng: &mut Rng| match i % 2 {
        0 => colours[rng.below(colours.len())],
        _ => THINGS[rng.below(THINGS.len())],
    };
    (0..n).map(|i| word(i, rng)).collect::<Vec<_>>().join(" ")
}

fn note(i: usize, rng: &mut Rng) -> Value {
    let (colours, label) = if i.is_multiple_of(2) { (&WARM, "warm") } else { (&COLD, "cold") };
    let n = 2 + rng.below(4);
    let text = words(n, rng, colours);
    let topics: Vec<&str> = THINGS.iter().copied().filter(|thing| text.contains(thing)).collect();
    json!({ "text": text, "label": label, "size": text.len(), "topics": topics })
}

fn pair(i: usize, rng: &mut Rng) -> Value {
    let a = words(2, rng, &WARM);
    let b = if i.is_multiple_of(3) { a.clone() } else { words(3, rng, &COLD) };
    let label = if a == b { "same" } else { "other" };
    let score = if a == b { 5.0 } else { i as f64 % 4.0 };
    json!({ "a": a, "b": b, "score": score, "label": label })
}

pub(crate) fn find(i: usize, rng: &mut Rng) -> Value {
    let thing = THINGS[i % THINGS.len()];
    let colour = WARM[rng.below(WARM.len())];
    json!({ "query": format!("where is the {colour} {thing}"), "positives": [format!("the {thing} stands here")] })
}

fn tags(i: usize, rng: &mut Rng) -> Value {
    let text = words(3 + i % 2, rng, &COLD);
    let tokens: Vec<&str> = text.split(' ').collect();
    let tags: Vec<&str> = tokens.iter().map(|t| if COLD.contains(t) { "B-COL" } else { "O" }).collect();
    json!({ "tokens": tokens, "tags": tags })
}

/// What an engine and a trainer borrow.
pub(crate) struct Rig {
    pub(crate) prepared: Prepared,
    pub(crate) heads: Vec<TaskHead>,
    pub(crate) trainable: Vec<bool>,
    pub(crate) cache: Option<FrozenCache>,
}

impl Rig {
    pub(crate) fn new(prepared: Prepared) -> Self {
        let Prepared { suite, dataset, encoder, .. } = &prepared;
        let heads = TaskHead::all(suite, dataset, encoder).unwrap();
        let frozen = encoder.frozen(&suite.model.freeze).unwrap();
        let trainable: Vec<bool> = frozen.iter().map(|frozen| !frozen).collect();
        let lowest = frozen.iter().position(|frozen| !frozen).unwrap_or(frozen.len());
        let cache = FrozenCache::pays(dataset, &*encoder.trunk, lowest, suite.train.cache_mb).then(|| {
            FrozenCache::fill(dataset, &*encoder.trunk, &encoder.params, lowest, &mut Silent).unwrap()
        });
        Self { prepared, heads, trainable, cache }
    }

    pub(crate) fn engine(&self) -> Engine<'_> {
        let Prepared { suite, dataset, encoder, .. } = &self.prepared;
        Engine {
            dataset,
            trunk: &*encoder.trunk,
            pooling: &encoder.pooling,
            heads: &self.heads,
            trainable: &self.trainable,
            cache: self.cache.as_ref(),
            dropout: suite.model.dropout.unwrap(),
            seed: suite.seed,
            recompute: suite.train.recompute,
        }
    }

    pub(crate) fn blocks(&self) -> Vec<Block> {
        self.heads.iter().map(|head| head.block(self.prepared.suite.seed)).collect()
    }

    pub(crate) fn state(&self) -> State {
        fresh(self.prepared.encoder.params.clone(), self.blocks(), self.heads.len())
    }

    /// A method of this suite at its defaults.
    pub(crate) fn method(&self, id: &str) -> Box<dyn Weighting> {
        let suite = &self.prepared.suite;
        let names = suite.tasks.iter().map(|task| task.name.clone()).collect();
        let choice = polytask_core::method::Choice::named(id);
        table::make(&choice, &Setup { tasks: names, lr: suite.train.lr }).unwrap()
    }

    /// A trainer of some tasks, on the rows of the whole suite's plan.
    pub(crate) fn trainer_of(&self, tasks: &[usize]) -> Trainer<'_> {
        let Prepared { suite, dataset, .. } = &self.prepared;
        let names = suite.tasks.iter().map(|task| task.name.clone()).collect();
        let setup = Setup { tasks: names, lr: suite.train.lr };
        Trainer {
            engine: self.engine(),
            spec: &suite.train,
            plan: Plan::new(suite, dataset),
            tasks: tasks.to_vec(),
            method: self.method_for(&setup, tasks.len()),
            regularizer: if tasks.len() > 1 {
                regularizer::table::make(&suite.train.regularizer).unwrap()
            } else {
                None
            },
            state: self.state(),
            checkpoints: None,
            spare: None,
            reference: None,
            share: None,
            saved: None,
        }
    }

    /// The method of a training of `n_tasks` tasks.
    fn method_for(&self, setup: &Setup, n_tasks: usize) -> Box<dyn Weighting> {
        let train = &self.prepared.suite.train;
        match n_tasks {
            0 | 1 => table::make(&train.weighting, setup).unwrap(),
            _ => {
                let n_blocks = self.engine().n_trained();
                table::make_in(&train.weighting, setup, train.gradients, n_blocks).unwrap()
            }
        }
    }

    pub(crate) fn trainer(&self) -> Trainer<'_> {
        self.trainer_of(&(0..self.heads.len()).collect::<Vec<_>>())
    }

    /// The state after a whole training.
    pub(crate) fn trained(&self) -> State {
        let mut trainer = self.trainer();
        trainer.train("test", &mut Silent).unwrap();
        trainer.state
    }

    /// The state after a whole training by this method.
    pub(crate) fn trained_by(&self, method: Box<dyn Weighting>) -> State {
        let mut trainer = Trainer { method, ..self.trainer() };
        trainer.train("test", &mut Silent).unwrap();
        trainer.state
    }

    /// A trainer that keeps checkpoints in a folder.
    pub(crate) fn saving(&self, folder: &Path, identity: &str) -> Trainer<'_> {
        fs::create_dir_all(folder).unwrap();
        Trainer { checkpoints: Some(Checkpoints::new(folder, identity)), ..self.trainer() }
    }

    /// The batch of these rows of train of a source, for all its tasks.
    pub(crate) fn batch(&self, source: usize, rows: &[u32]) -> StepBatch {
        self.batch_of(&[(source, rows.to_vec())])
    }

    /// The batch of these rows of these sources, for all tasks.
    pub(crate) fn batch_of(&self, draws: &[(usize, Vec<u32>)]) -> StepBatch {
        let dataset = &self.prepared.dataset;
        let views: Vec<_> = (0..self.heads.len()).map(|t| self.heads[t].view(t, dataset)).collect();
        let draw = Draw { seed: self.prepared.suite.seed, step: 0 };
        assemble(dataset, &views, Split::Train, draws, draw, &*self.prepared.encoder.trunk)
    }
}

/// The trunk's values, all blocks end to end.
pub(crate) fn trunk(state: &State) -> Vec<f32> {
    state.trunk.blocks.iter().flat_map(|block| block.values.iter().copied()).collect()
}

/// The values of all heads, end to end.
pub(crate) fn heads(state: &State) -> Vec<f32> {
    state.heads.iter().flat_map(|block| block.values.iter().copied()).collect()
}

/// The largest difference of two lists.
pub(crate) fn apart(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// The largest size of a list's values.
pub(crate) fn size(a: &[f32]) -> f32 {
    a.iter().fold(0.0, |m, v| v.abs().max(m))
}
