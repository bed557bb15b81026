//! Suites and data sets for the tests of this crate.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use polytask_core::method::Choice;
use polytask_core::suite::{
    GradientSpace, Keep, Mixing, ModelSpec, Sampling, Schedule, SourceSpec, Start, TaskSpec, TrainSpec,
};
use polytask_core::{Split, Suite, kind};

/// A suite without sources in a folder.
pub(crate) fn suite(folder: &Path) -> Suite {
    let model = ModelSpec {
        encoder: "tiny".into(),
        freeze: vec![],
        tune: Choice::named("full"),
        sharing: Choice::named("hard"),
        pooling: None,
        score: None,
        max_length: None,
        image_encoder: None,
        image_size: None,
        channels: None,
        pixel_mean: 0.0,
        pixel_std: 1.0,
        widths: None,
        precision: "f32".into(),
        trees: None,
        endpoint: None,
        dropout: None,
    };
    let train = TrainSpec {
        epochs: 1.0,
        steps: None,
        batch_tokens: 4096,
        batch_rows: None,
        lr: 3e-5,
        head_lr_factor: 10.0,
        weight_decay: 0.01,
        betas: [0.9, 0.999],
        eps: 1e-8,
        warmup: 0.1,
        schedule: Schedule::Linear,
        clip: 1.0,
        mixing: Mixing::Joint,
        sampling: Sampling::Sqrt,
        weighting: Choice::named("equal"),
        gradients: GradientSpace::Full,
        regularizer: Choice::named("none"),
        start: Start::Random,
        eval_every: 0,
        keep: Keep::Best,
        watch: "mean".into(),
        patience: 0,
        conflict_every: 0,
        checkpoint_every: 0,
        baselines: vec!["single".into()],
        recompute: false,
        micro_tokens: 0,
        cache_mb: 0,
        data_mb: 1,
        rows_mb: 0,
        threads: 1,
        open: Vec::new(),
        seconds: None,
    };
    let (folder, file) = (folder.to_path_buf(), folder.join("suite.toml"));
    Suite {
        nodes: Vec::new(),
        name: "test".into(),
        seed: 13,
        model,
        train,
        sources: vec![],
        tasks: vec![],
        folder,
        file,
        is_to_judge: false,
    }
}

/// A source with files per split.
pub(crate) fn source(name: &str, files: &[(Split, &str)]) -> SourceSpec {
    SourceSpec {
        prompts: std::collections::BTreeMap::new(),
        left: None,
        right: None,
        name: name.into(),
        files: files.iter().map(|(split, file)| (*split, PathBuf::from(file))).collect(),
        documents: None,
        columns: BTreeMap::new(),
        column_lines: BTreeMap::new(),
        features: vec![],
        ignore: vec![],
        group: None,
        categories: vec![],
        texts: vec![],
        images: vec![],
        valid: 0.1,
        missing: vec![],
        limit: 0,
        batch_rows: None,
        batch_tokens: None,
        sampling_weight: 1.0,
        corpus: None,
        queries: None,
        qrels: BTreeMap::new(),
        line: 0,
    }
}

/// A task of a kind on a source.
pub(crate) fn task(name: &str, kind: &str, from: &str) -> TaskSpec {
    let kind = kind::find(kind).unwrap();
    TaskSpec {
        name: name.into(),
        kind,
        from: from.into(),
        columns: BTreeMap::new(),
        column_lines: BTreeMap::new(),
        head: Choice::named("linear"),
        loss: Choice::named(kind.losses[0]),
        objective: None,
        metric: kind.metrics[0].into(),
        labels: None,
        counts_labels: false,
        label_file: None,
        descriptions: Vec::new(),
        none: None,
        out_of_scope: None,
        beside: None,
        generated: None,
        reads_words: false,
        separator: None,
        missing: vec![],
        identical: polytask_core::suite::Identical::Ignore,
        teacher: None,
        range: None,
        margin: 1.0,
        loss_weight: 1.0,
        lr_factor: 1.0,
        freeze: vec![],
        line: 0,
    }
}

/// A temporary folder with data files.
pub(crate) struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file, with its folders.
    pub(crate) fn write(&self, file: &str, content: &str) {
        let file = self.path().join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, content).unwrap();
    }

    /// A suite of tasks (name, kind), each on the source of its name, and of tasks (name, kind, source) on
    /// the source of another; a source has the files `{name}/{split}.*` that are there.
    pub(crate) fn suite(&self, own: &[(&str, &str)], shared: &[(&str, &str, &str)]) -> Suite {
        let mut suite = suite(self.path());
        for (name, kind) in own {
            let mut source = source(name, &[]);
            for split in Split::ALL {
                for ending in ["tsv", "csv", "jsonl"] {
                    let file = format!("{name}/{}.{ending}", split.name());
                    if self.path().join(&file).exists() {
                        source.files.insert(split, file.into());
                    }
                }
            }
            suite.sources.push(source);
            suite.tasks.push(task(name, kind, name));
        }
        suite.tasks.extend(shared.iter().map(|(name, kind, from)| task(name, kind, from)));
        suite
    }

    /// The suite's data set with a tokenizer of characters.
    // A method, so that it cannot be called after the folder with the files is gone.
    #[allow(clippy::unused_self)]
    pub(crate) fn build(&self, suite: &Suite) -> polytask_core::Result<crate::Dataset> {
        crate::build(suite, &Characters)
    }
}

/// A tokenizer whose tokens are characters between two special tokens, 12 at most.
pub(crate) struct Characters;

impl crate::Tokenize for Characters {
    fn encode(&self, text: &str) -> polytask_core::Result<Vec<u32>> {
        let characters = text.chars().take(10).map(u32::from);
        Ok(std::iter::once(1).chain(characters).chain([2]).collect())
    }

    fn encode_after(&self, prompt: &str, text: &str) -> polytask_core::Result<Vec<u32>> {
        self.encode(&format!("{prompt}{text}"))
    }

    fn encode_pair(&self, first: &str, second: &str) -> polytask_core::Result<Vec<u32>> {
        let second = self.encode(second)?.into_iter().skip(1).map(|token| token | polytask_core::SECOND_TEXT);
        Ok(self.encode(first)?.into_iter().chain(second).collect())
    }

    fn encode_words(&self, words: &[&str]) -> polytask_core::Result<(Vec<u32>, Vec<u32>)> {
        let (mut tokens, mut starts) = (vec![1], Vec::new());
        for word in words {
            starts.push(if tokens.len() < 11 { tokens.len() as u32 } else { u32::MAX });
            tokens.extend(word.chars().map(u32::from));
            tokens.truncate(11);
        }
        tokens.push(2);
        Ok((tokens, starts))
    }

    fn max_length(&self) -> usize {
        12
    }
}
