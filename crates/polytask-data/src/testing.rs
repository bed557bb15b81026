//! Suites and data sets for the tests of this crate.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use polytask_core::method::Choice;
use polytask_core::suite::{
    GradientSpace, Keep, Mixing, ModelSpec, Sampling, Schedule, SourceSpec, TaskSpec, TrainSpec,
};
use polytask_core::{Split, Suite, kind};

/// A suite without sources in a folder.
pub(crate) fn suite(folder: &Path) -> Suite {
    let model = ModelSpec {
        encoder: "tiny".into(),
        freeze: vec![],
        tune: "full".into(),
        sharing: "hard".into(),
        pooling: None,
        max_length: None,
        precision: "f32".into(),
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
        eval_every: 0,
        keep: Keep::Best,
        watch: "mean".into(),
        patience: 0,
        conflict_every: 0,
        checkpoint_every: 0,
        baselines: true,
        cache_mb: 0,
        threads: 1,
    };
    let (folder, file) = (folder.to_path_buf(), folder.join("suite.toml"));
    Suite { name: "test".into(), seed: 13, model, train, sources: vec![], tasks: vec![], folder, file }
}

/// A source with files per split.
pub(crate) fn source(name: &str, files: &[(Split, &str)]) -> SourceSpec {
    SourceSpec {
        name: name.into(),
        files: files.iter().map(|(split, file)| (*split, PathBuf::from(file))).collect(),
        columns: BTreeMap::new(),
        valid: 0.1,
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
        loss: Choice::named(kind.losses[0]),
        metric: kind.metrics[0].into(),
        labels: None,
        margin: 1.0,
        loss_weight: 1.0,
        lr_factor: 1.0,
        freeze: vec![],
        line: 0,
    }
}
