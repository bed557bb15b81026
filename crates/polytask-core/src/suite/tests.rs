//! The suite file as a user meets it: exact texts of mistakes, defaults, round trips, hostile input.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::error::Error;
use crate::method::{Family, MethodInfo, ParamInfo, Range};

const fn part(id: &'static str, family: Family, params: &'static [ParamInfo]) -> MethodInfo {
    MethodInfo { id, title: id, paper: "", family, about: "", cost: "", kinds: &[], params }
}

const SCALE: ParamInfo = ParamInfo { name: "scale", about: "", default: "20.0", range: Range::Positive };
const WEIGHTS: ParamInfo = ParamInfo { name: "weights", about: "", default: "{}", range: Range::Map(&[]) };
static LOSSES: [MethodInfo; 7] = [
    part("bce", Family::Loss, &[]),
    part("cosent", Family::Loss, &[SCALE]),
    part("cosine-mse", Family::Loss, &[]),
    part("cross-entropy", Family::Loss, &[]),
    part("huber", Family::Loss, &[]),
    part("info-nce", Family::Loss, &[SCALE]),
    part("mse", Family::Loss, &[]),
];
const OF: ParamInfo = ParamInfo { name: "of", about: "", default: "\"equal\"", range: Range::Part };
const RHO: ParamInfo = ParamInfo { name: "rho", about: "", default: "0.05", range: Range::Positive };
static WEIGHTINGS: [MethodInfo; 4] = [
    part("constant", Family::LossWeighting, &[WEIGHTS]),
    part("equal", Family::LossWeighting, &[]),
    part("flat", Family::Aggregator, &[OF, RHO]),
    part("uw", Family::LossWeighting, &[]),
];
static REGULARIZERS: [MethodInfo; 1] = [part("rep-mtl", Family::Regularizer, &[SCALE])];
const EXPERTS: ParamInfo =
    ParamInfo { name: "experts", about: "", default: "3", range: Range::Integer { min: 1 } };
const AT: ParamInfo = ParamInfo { name: "at", about: "", default: "null", range: Range::Text };
static SHARINGS: [MethodInfo; 2] =
    [part("hard", Family::Sharing, &[]), part("mmoe", Family::Sharing, &[AT, EXPERTS])];
static DISTILS: [MethodInfo; 1] = [part("logit-mse", Family::Distil, &[])];
static TUNES: [MethodInfo; 1] = [part("full", Family::Tune, &[])];
static TREES: [MethodInfo; 1] = [part("boost", Family::Trees, &[])];
static OBJECTIVES: [MethodInfo; 1] = [part("squared", Family::Objective, &[])];
static SCORES: [MethodInfo; 1] = [part("pooled", Family::Score, &[])];
static LEARNERS: [MethodInfo; 2] =
    [part("single", Family::Learner, &[]), part("prior", Family::Learner, &[])];
static METRICS: [MethodInfo; 2] =
    [part("accuracy", Family::Metric, &[]), part("spearman", Family::Metric, &[])];

fn catalogue() -> Catalogue {
    Catalogue {
        losses: LOSSES.iter().collect(),
        weightings: WEIGHTINGS.iter().collect(),
        regularizers: REGULARIZERS.iter().collect(),
        metrics: METRICS.iter().collect(),
        sharings: SHARINGS.iter().collect(),
        tunes: TUNES.iter().collect(),
        distils: DISTILS.iter().collect(),
        scores: SCORES.iter().collect(),
        trees: TREES.iter().collect(),
        objectives: OBJECTIVES.iter().collect(),
        learners: LEARNERS.iter().collect(),
    }
}

/// A folder with the files of the examples, and the suite's path in it.
fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        "data/sick-train.tsv",
        "data/sick-dev.tsv",
        "data/banking/train.csv.gz",
        "data/banking/dev.csv",
        "data/banking/README.md",
        "data/empty/notes.txt",
        "data/scifact/corpus.jsonl.gz",
        "data/scifact/queries.jsonl",
        "data/scifact/qrels/train.tsv",
        "data/scifact/qrels/test.tsv",
    ];
    for file in files {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    let suite = folder.path().join("s.toml");
    (folder, suite)
}

const GOOD: &str = r#"
name = "quickstart"
[model]
freeze = ["embeddings", "layer.0-3"]
pooling = "cls+mean"
[train]
weighting = { name = "constant", weights = { sts = 1, entail = 0.5 } }
sampling = { name = "temperature", t = 3 }
watch = "sts.pearson"
[[source]]
name = "sick"
files = { train = "data/sick-train.tsv", dev = "data/sick-dev.tsv" }
columns = { a = "sentence_A", b = "sentence_B" }
[[task]]
name = "sts"
kind = "similarity"
from = "sick"
columns = { score = "relatedness" }
loss = { name = "cosent", scale = 10 }
[[task]]
name = "entail"
kind = "pair-class"
from = "sick"
columns.label = "entailment"
labels = ["yes", "no", "it \"depends\""]
margin = 2
[[task]]
name = "intent"
kind = "class"
data = "data/banking"
columns = { text = "query", label = "intent", weight = "w" }
batch_rows = 64
sampling_weight = 2.0
[[task]]
name = "facts"
kind = "retrieval"
data = "data/scifact"
"#;

fn shown(text: &str, overrides: &[&str]) -> Vec<String> {
    let (folder, path) = folder();
    let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
    match parse(text, &path, &catalogue(), &overrides) {
        Ok(_) => Vec::new(),
        Err(Error::Invalid(problems)) => {
            let root = format!("{}/", folder.path().display());
            problems.iter().map(|problem| problem.to_string().replace(&root, "")).collect()
        }
        Err(other) => panic!("{other}"),
    }
}

/// The suite without what depends on where its file is.
fn unplaced(mut suite: Suite) -> Suite {
    suite.train.open.clear();
    for source in &mut suite.sources {
        source.line = 0;
        source.column_lines.clear();
    }
    for task in &mut suite.tasks {
        task.line = 0;
        task.column_lines.clear();
    }
    suite.file = PathBuf::new();
    suite.folder = PathBuf::new();
    suite
}

#[test]
fn a_good_suite_is_read_as_written() {
    let (_folder, path) = folder();
    let suite = parse(GOOD, &path, &catalogue(), &[]).unwrap();
    let names: Vec<&str> = suite.sources.iter().map(|source| source.name.as_str()).collect();
    assert_eq!(names, ["sick", "intent", "facts"]);
    assert_eq!(suite.sources[0].files[&Split::Valid], Path::new("data/sick-dev.tsv"));
    assert_eq!(suite.sources[1].files[&Split::Train], Path::new("data/banking/train.csv.gz"));
    assert_eq!(suite.sources[1].columns["text"], "query");
    assert_eq!(suite.sources[1].columns["weight"], "w");
    assert_eq!(suite.sources[1].batch_rows, Some(64));
    assert_eq!(suite.sources[2].corpus.as_deref(), Some(Path::new("data/scifact/corpus.jsonl.gz")));
    assert_eq!(suite.sources[2].qrels[&Split::Test], Path::new("data/scifact/qrels/test.tsv"));
    assert_eq!(suite.tasks[1].columns["label"], "entailment");
    assert_eq!(suite.tasks[1].line, 20);
    assert_eq!(suite.tasks[2].columns.len(), 1);
    assert_eq!(suite.tasks[0].loss.params["scale"], 10);
    assert_eq!(suite.train.sampling, Sampling::Temperature { t: 3.0 });
    assert_eq!(suite.source_of(&suite.tasks[2]).name, "intent");
}

#[test]
fn five_mistakes_are_shown_at_once_with_lines_and_remedies() {
    let text = r#"seed = 7
[train]
lrr = 3e-4
epochs = "two"
[[task]]
name = "sts"
kind = "similarty"
data = "data/sick-tran.tsv"
[[task]]
name = "intent"
kind = "class"
data = "data/banking"
loss = "bce"
"#;
    let expected = [
        "s.toml:3: unknown key `lrr` in [train]\n    try: `lr`",
        "s.toml:4: `epochs` in [train] is \"two\", expected a number above 0\n    try: the default is 1.0",
        "s.toml:7: unknown kind `similarty` of task `sts`\n    try: `similarity`",
        "s.toml:8: `data` in task `sts`: `data/sick-tran.tsv` does not exist\n    try: `data/sick-train.tsv`",
        "s.toml:13: loss `bce` in task `intent` does not fit the kind `class`\n    try: `cross-entropy`",
    ];
    assert_eq!(shown(text, &[]), expected);
}

#[test]
fn defaults_are_those_of_the_table() {
    let (_folder, path) = folder();
    let text = "[[task]]\nname = 'sts'\nkind = 'similarity'\ndata = 'data/sick-train.tsv'\n";
    let suite = parse(text, &path, &catalogue(), &[]).unwrap();
    assert_eq!((suite.name.as_str(), suite.seed), ("suite", 13));
    assert_eq!(suite.model.encoder, "sentence-transformers/all-MiniLM-L6-v2");
    assert_eq!((suite.train.epochs, suite.train.lr, suite.train.eps), (1.0, 3e-5, 1e-8));
    assert_eq!(suite.train.betas, [0.9, 0.999]);
    assert_eq!((suite.train.schedule, suite.train.keep), (Schedule::Linear, Keep::Best));
    assert_eq!((suite.train.sampling, suite.train.mixing), (Sampling::Sqrt, Mixing::Joint));
    assert_eq!(suite.train.weighting, Choice::named("equal"));
    assert_eq!(suite.train.regularizer, Choice::named("none"));
    assert_eq!(suite.tasks[0].loss, Choice::named("cosent"));
    assert_eq!((suite.tasks[0].metric.as_str(), suite.tasks[0].margin), ("spearman", 1.0));
    assert_eq!(suite.sources[0].valid, 0.1);
}

/// Every word of every closed set is read into its type: the table of keys and the types agree.
#[test]
fn every_word_of_a_closed_set_is_read() {
    let (_folder, path) = folder();
    let task = "[[task]]\nname = 'sts'\nkind = 'similarity'\ndata = 'data/sick-train.tsv'\n";
    let ranked = "[[task]]\nname = 'search'\nkind = 'retrieval'\ndata = 'data/scifact'\n";
    for key in keys() {
        let ValueType::Scalar(Range::OneOf(words)) = key.value else { continue };
        for word in words {
            if key.tables[0] == Table::Endpoint {
                let endpoint = format!("url = 'http://127.0.0.1:1/v1', model = 'm', {} = '{word}'", key.name);
                let lines = format!("beside = 'bilinear'\n[model]\nendpoint = {{ {endpoint} }}\n");
                described_suite(DESCRIBED, &lines).1.unwrap();
                continue;
            }
            let text = match key.tables[0] {
                Table::Task if key.name == "form" => format!("{task}form = '{word}'\n"),
                Table::Task => format!("{ranked}{} = '{word}'\n", key.name),
                table => format!("{}\n{} = '{word}'\n{task}", table.header(), key.name),
            };
            parse(&text, &path, &catalogue(), &[]).unwrap();
        }
    }
    for sampling in SAMPLINGS {
        let set = format!("train.sampling={}", sampling.id);
        let suite = parse(task, &path, &catalogue(), &[set]).unwrap();
        let written = serde_json::to_value(suite.train.sampling).unwrap();
        assert_eq!(written["name"], sampling.id);
    }
}

/// (what is wrong, the file, what is shown).
const MISTAKES: &[(&str, &str, &[&str])] = &[
    (
        "syntax",
        "seed = 1\n[train\n",
        &[
            "s.toml:2: not valid TOML: unclosed table, expected `]`\n    try: write texts in quotes, tables as [train] or [[task]], and each key once per table",
        ],
    ),
    (
        "an empty file",
        "",
        &[
            "s.toml:1: the suite has no task, expected at least one\n    try: a [[task]] with `name`, `kind` and `data`; `polytask init` writes one",
        ],
    ),
    (
        "a key of another table",
        "[model]\nlr = 1\n[[task]]\nname='t'\nkind='similarity'\ndata='data/sick-train.tsv'\n",
        &["s.toml:2: unknown key `lr` in [model]\n    try: `lr` belongs to [train]"],
    ),
    (
        "two tasks of one name",
        "[[task]]\nname='t'\nkind='similarity'\ndata='data/sick-train.tsv'\n[[task]]\nname='t'\nkind='similarity'\ndata='data/sick-dev.tsv'\n",
        &["s.toml:6: two tasks are named `t`, the first in line 1\n    try: name = \"t-2\""],
    ),
    (
        "names that are no file names, a task without kind and data",
        "[[task]]\nname='a/b'\n",
        &[
            "s.toml:1: task `a/b` has no `kind`, expected one of KINDS\n    try: kind = \"class\"",
            "s.toml:1: task `a/b` has no data, expected `data`, `files` or a source\n    try: data = \"a folder with train, valid and test files\"",
            "s.toml:2: `name` in task `a/b` is \"a/b\", expected a name of letters, digits, - and _ (at most 64)\n    try: \"a-b\"",
        ],
    ),
    (
        "a shared source",
        "[[source]]\nname='sick'\nfiles.train='data/sick-train.tsv'\n[[task]]\nname='t'\nkind='similarity'\nfrom='sik'\nbatch_rows=3\ndata='data/sick-train.tsv'\n",
        &[
            "s.toml:1: source `sick` is read by no task\n    try: from = \"sick\" in a [[task]], or remove the source",
            "s.toml:7: `from` in task `t` names `sik`, which is no [[source]]\n    try: `sick`",
            "s.toml:8: `batch_rows` in task `t` is about rows it shares with others through `from`\n    try: move it to the [[source]] `sik`",
            "s.toml:9: task `t` has both `from` and `data`, expected one of them\n    try: remove one",
        ],
    ),
    (
        "a separator where a row has one target",
        "[[task]]\nname='t'\nkind='similarity'\ndata='data/sick-train.tsv'\nseparator=';'\n",
        &[
            "s.toml:5: `separator` in task `t`: a row has one target in the kind `similarity`\n    try: kind = \"multilabel\", or remove it",
        ],
    ),
    (
        "training settings",
        "[train]\nepochs=1\nsteps=2\nbetas=[0.9,1.0]\nwarmup=1.5\nbatch_rows=0\nweighting='uww'\nsampling={name='temperature',t=0}\nwatch='t.f1'\nlr=nan\n[[task]]\nname='t'\nkind='similarity'\ndata='data/sick-train.tsv'\nvalid=1.0\nmargin=-1\nfreeze=['layer.3-1']\nmetric='accuracy'\n",
        &[
            "s.toml:3: [train] has both `epochs` and `steps`, expected one of them\n    try: remove one",
            "s.toml:4: `betas` in [train] is a list, expected a list of two numbers of at least 0 and below 1\n    try: the default is [0.9, 0.999]",
            "s.toml:5: `warmup` in [train] is 1.5, expected a number from 0 to 1\n    try: the default is 0.1",
            "s.toml:6: `batch_rows` in [train] is 0, expected a whole number of at least 1",
            "s.toml:7: unknown weighting `uww` in [train]\n    try: `uw`",
            "s.toml:8: parameter `t` of sampling `temperature` in [train] is 0, expected a number above 0\n    try: the default is 5.0",
            "s.toml:9: `watch` in [train] names `f1`, which is no metric of task `t`\n    try: one of `spearman`, `pearson`",
            "s.toml:10: `lr` in [train] is NaN, expected a number above 0\n    try: the default is 3e-5",
            "s.toml:15: `valid` in task `t` is 1, expected a number above 0 and below 1\n    try: the default is 0.1",
            "s.toml:16: `margin` in task `t` is -1, expected a number of at least 0\n    try: the default is 1.0",
            "s.toml:17: `freeze` in task `t` is a list with \"layer.3-1\", expected a list of `embeddings`, `layer.3` or `layer.0-3` (or `text`, `image.layer.0`: of an encoder of columns)\n    try: the default is []",
            "s.toml:18: metric `accuracy` in task `t` is not of the kind `similarity`\n    try: one of `spearman`, `pearson`",
        ],
    ),
    (
        "parts",
        "[train]\nweighting={name='constant',weights={tt=1},x=2}\n[[task]]\nname='t'\nkind='similarity'\ndata='data/sick-train.tsv'\nloss={scale=3}\n",
        &[
            "s.toml:2: unknown parameter `x` of weighting `constant` in [train]\n    try: one of `weights`",
            "s.toml:2: `weights` of the weighting names `tt`, expected names of tasks\n    try: `t`",
            "s.toml:7: `loss` in task `t` has no `name`, expected {name = ..., parameters}\n    try: loss = { name = \"cosent\" }",
        ],
    ),
    (
        "a regularizer",
        "[train]\nregularizer={name='rep-mtl',scal=1,scale=0}\n[[task]]\nname='t'\nkind='similarity'\ndata='data/sick-train.tsv'\n",
        &[
            "s.toml:2: unknown parameter `scal` of regularizer `rep-mtl` in [train]\n    try: `scale`",
            "s.toml:2: parameter `scale` of regularizer `rep-mtl` in [train] is 0, expected a number above 0\n    try: the default is 20.0",
        ],
    ),
    (
        "an unknown regularizer",
        "[train]\nregularizer='nine'\n[[task]]\nname='t'\nkind='similarity'\ndata='data/sick-train.tsv'\n",
        &["s.toml:2: unknown regularizer `nine` in [train]\n    try: `none`"],
    ),
    (
        "retrieval keys elsewhere",
        "[[task]]\nname='t'\nkind='class'\ndata='data/banking'\ncorpus='data/scifact/corpus.jsonl.gz'\n[[task]]\nname='u'\nkind='class'\ndata='data/scifact'\n",
        &[
            "s.toml:5: `corpus` in task `t` is for the kind `retrieval`, found `class`\n    try: kind = \"retrieval\", or remove it",
            "s.toml:9: `data` in task `u` is a retrieval folder (corpus, queries, qrels), found kind `class`\n    try: kind = \"retrieval\"",
        ],
    ),
    (
        "identical passages elsewhere",
        "[[task]]\nname='t'\nkind='class'\ndata='data/banking'\nidentical='keep'\n",
        &["s.toml:5: `identical` in task `t` is for the kind `retrieval`, found `class`\n    try: remove it"],
    ),
    (
        "baselines",
        "[train]\nbaselines=['singel']\n[[task]]\nname='t'\nkind='similarity'\ndata='data/sick-train.tsv'\n",
        &["s.toml:2: unknown learner `singel`\n    try: `single`"],
    ),
    (
        "columns",
        "[[source]]\nname='sick'\nfiles.train='data/sick-train.tsv'\ncolumns={score='x',aa='y'}\n[[task]]\nname='t'\nkind='similarity'\nfrom='sick'\ncolumns={a='x',scor='y'}\n",
        &[
            "s.toml:4: column `score` in source `sick` is a target, expected roles of inputs\n    try: move it to `columns` of task `t`",
            "s.toml:4: unknown role `aa` in columns of source `sick`\n    try: `a`",
            "s.toml:9: column `a` in task `t` is an input of rows it shares through `from`\n    try: move it to `columns` of the [[source]]",
            "s.toml:9: unknown role `scor` in columns of task `t` (similarity)\n    try: `score`",
        ],
    ),
    (
        "wrong shapes",
        "model = 3\n[task]\nname='t'\n",
        &[
            "s.toml:1: [model] is 3, expected a table\n    try: open it with [model]",
            "s.toml:2: `task` in the suite is a table, expected a list of tables\n    try: open each with [[task]]",
        ],
    ),
];

#[test]
fn each_mistake_has_its_exact_text() {
    let mut kinds: Vec<&str> = crate::kind::KINDS.iter().map(|kind| kind.name).collect();
    kinds.push(crate::kind::SEGMENTATION);
    for (about, text, expected) in MISTAKES {
        let expected: Vec<String> =
            expected.iter().map(|text| text.replace("KINDS", &crate::near::list(&kinds))).collect();
        assert_eq!(shown(text, &[]), expected, "{about}");
    }
}

#[test]
fn a_folder_without_a_train_file_says_what_it_holds() {
    let text = "[[task]]\nname='t'\nkind='class'\ndata='data/empty'\n";
    let expected = "s.toml:4: folder `data/empty` of task `t` has no train file, expected train.{csv,tsv,jsonl,parquet,tab,ndjson,json,conll,bio,iob,iob2,libsvm,svm,svmlight} \
                    (or with .gz, .zst)\n    try: the folder data/empty holds `notes.txt`";
    assert_eq!(shown(text, &[]), [expected]);
}

#[test]
fn a_mistake_of_an_override_is_placed_there() {
    let text = "[train]\nepochs = 3\n[[task]]\nname='t'\nkind='class'\ndata='data/banking'\n";
    let found = shown(text, &["train.lrr=1", "task.t.margin=low", "train.steps=10"]);
    assert_eq!(found.len(), 2, "--set train.steps replaces epochs: {found:?}");
    assert_eq!(
        found[0],
        "--set task.t.margin: `margin` in task `t` is \"low\", expected a number of at least 0\n    try: the default is 1.0"
    );
    assert_eq!(found[1], "--set train.lrr: unknown key `lrr` in [train]\n    try: `lr`");
}

#[test]
fn a_file_that_is_not_utf8_names_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.toml");
    fs::write(&path, b"seed = 1\nname = \"\xff\"\n").unwrap();
    let error = load(&path, &catalogue(), &[]).unwrap_err().to_string();
    assert!(error.contains("s.toml:2: bytes that are not UTF-8"), "{error}");
}

#[test]
fn the_merged_suite_reads_back_as_itself() {
    let (folder, path) = folder();
    let suite = parse(GOOD, &path, &catalogue(), &[]).unwrap();
    let again = parse(&to_toml(&suite), &path, &catalogue(), &[]).unwrap();
    assert_eq!(unplaced(again.clone()), unplaced(suite.clone()));
    assert_eq!(hash(&again), hash(&suite));
    let absolute = suite.with_absolute_paths();
    let elsewhere = Path::new("/nowhere/suite.toml");
    let moved = parse(&to_toml(&absolute), elsewhere, &catalogue(), &[]).unwrap();
    assert_eq!(unplaced(moved.clone()), unplaced(absolute));
    assert_eq!(moved.path(&moved.sources[0].files[&Split::Train]), folder.path().join("data/sick-train.tsv"));
}

#[test]
fn how_a_run_is_done_decides_no_weights_and_everything_else_does() {
    let (_folder, path) = folder();
    let with = |set: &[&str]| {
        let set: Vec<String> = set.iter().map(ToString::to_string).collect();
        weight_hash(&parse(GOOD, &path, &catalogue(), &set).unwrap())
    };
    for same in ["train.threads=3", "train.recompute=true", "train.checkpoint_every=5", "train.data_mb=0"] {
        assert_eq!(with(&[same]), with(&[]), "{same}");
    }
    let others = ["seed=14", "train.lr=1e-3", "train.steps=5", "train.cache_mb=3", "model.dropout=0.3"];
    for other in others {
        assert_ne!(with(&[other]), with(&[]), "{other}");
    }
}

#[test]
fn a_setting_that_an_older_file_lacks_has_its_default() {
    let (_folder, path) = folder();
    let text = "[[task]]\nname='t'\nkind='class'\ndata='data/banking'\n";
    let written = to_toml(&parse(text, &path, &catalogue(), &[]).unwrap());
    let expected = weight_settings(&written);
    let train = written.split_once("[train]\n").unwrap().1.split_once("\n\n").unwrap().0;
    assert!(train.lines().count() > 20, "{train}");
    // What heads start from follows from the encoder, and how fast they learn from that.
    for line in train.lines().filter(|line| !line.starts_with("start") && !line.starts_with("head_lr_factor"))
    {
        assert_eq!(weight_settings(&written.replace(&format!("{line}\n"), "")), expected, "{line}");
    }
    let other = parse(text, &path, &catalogue(), &["train.eps=1e-6".into()]).unwrap();
    assert_ne!(weight_settings(&to_toml(&other)), expected);
    assert!(expected.contains(&"lr = 0.00003".to_owned()), "{expected:?}");
    assert_eq!(weight_settings("not = = toml\nat all"), ["not = = toml", "at all"]);
    assert_ne!(weight_settings(&format!("later = 1\n{written}")), expected);
}

#[test]
fn heads_of_tags_learn_faster_from_probes_unless_somebody_says_how_fast() {
    let (folder, path) = folder();
    std::fs::create_dir_all(folder.path().join("data/tags")).unwrap();
    std::fs::write(folder.path().join("data/tags/train.jsonl"), "{}").unwrap();
    let text = "[[task]]\nname='t'\nkind='tagging'\ndata='data/tags'\n[[task]]\nname='c'\nkind='class'\ndata='data/banking'\n";
    let factors = |set: &[&str]| {
        let set: Vec<String> = set.iter().map(ToString::to_string).collect();
        let suite = parse(text, &path, &catalogue(), &set).unwrap();
        [suite.tasks[0].lr_factor, suite.tasks[1].lr_factor]
    };
    assert_eq!(factors(&[]), [10.0, 1.0]);
    assert_eq!(factors(&["task.t.lr_factor=2"]), [2.0, 1.0]);
    assert_eq!(factors(&["train.head_lr_factor=5"]), [1.0, 1.0]);
    assert_eq!(factors(&["train.start=random"]), [1.0, 1.0]);
}

#[test]
fn steps_survive_the_round_trip() {
    let (_folder, path) = folder();
    let suite = parse(GOOD, &path, &catalogue(), &["train.steps=5".into()]).unwrap();
    let again = parse(&to_toml(&suite), &path, &catalogue(), &[]).unwrap();
    assert_eq!((again.train.steps, unplaced(again)), (Some(5), unplaced(suite)));
}

/// Every key that a suite is written with is in the table of keys, and every key of the table with a default is
/// written: nothing is lost between the two.
#[test]
fn the_merged_suite_has_every_key_with_a_default() {
    let (_folder, path) = folder();
    let written = to_toml(&parse(GOOD, &path, &catalogue(), &[]).unwrap());
    let lines: Vec<&str> = written.lines().filter_map(|line| line.split(" = ").next()).collect();
    // A table that is written only where it was given has its defaults with it.
    let stands = |key: &&KeyInfo| {
        ![Table::Generated, Table::Teacher, Table::Endpoint].contains(&key.tables[0]) && key.name != "images"
    };
    for key in keys().iter().filter(|key| !key.default.is_empty() && key.default != "{}").filter(stands) {
        assert!(lines.contains(&key.name), "{} is missing in\n{written}", key.name);
    }
}

#[test]
fn deep_nesting_is_refused_without_overflow() {
    for text in [
        format!("a = {}", "[".repeat(100_000)),
        format!("a{} = 1", ".a".repeat(100_000)),
        format!("[{}a]", "a.".repeat(100_000)),
        format!("a = {}1{}", "{ a = ".repeat(100_000), "}".repeat(100_000)),
    ] {
        assert!(!shown(&text, &[]).is_empty());
    }
    let deep = format!("{}=1", vec!["train"; 100_000].join("."));
    let nested = format!("seed={}", "[".repeat(100_000));
    assert!(!shown("", &[&deep, &nested]).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
        let _ = parse(&String::from_utf8_lossy(&bytes), Path::new("/nowhere/s.toml"), &catalogue(), &[]);
    }

    /// Keys of the table with values of every type, in every table: mistakes, but never a panic.
    #[test]
    fn no_value_of_any_key_makes_the_reader_panic(
        picks in proptest::collection::vec((0..keys().len(), 0..VALUES.len()), 0..12),
        set in ".{0,24}",
    ) {
        let mut text = String::from("[[task]]\nname = 't'\n");
        for (key, value) in picks {
            let key = &keys()[key];
            if key.tables[0] != Table::Root {
                writeln!(text, "{}", key.tables[0].header()).unwrap();
            }
            writeln!(text, "{} = {}", key.name, VALUES[value]).unwrap();
        }
        let _ = parse(&text, Path::new("/nowhere/s.toml"), &catalogue(), &[set]);
    }

    /// A slip in any place of a good suite is an error or still a suite, never a panic.
    #[test]
    fn no_slip_in_a_good_suite_makes_the_reader_panic(at in 0..GOOD.len(), length in 0..20_usize, with in "[\\PC\n]{0,5}") {
        let mut bytes = GOOD.as_bytes().to_vec();
        let end = (at + length).min(bytes.len());
        bytes.splice(at..end, with.bytes());
        let _ = parse(&String::from_utf8_lossy(&bytes), Path::new("/nowhere/s.toml"), &catalogue(), &[]);
    }
}

const VALUES: [&str; 16] = [
    "1",
    "-1",
    "0.5",
    "nan",
    "inf",
    "-0.0",
    "true",
    "''",
    "'mean'",
    "'\\u0000'",
    "9223372036854775807",
    "2020-01-01",
    "[]",
    "['a', 'a', 1]",
    "{}",
    "{ name = 'constant', weights = { t = 1 }, train = 'x' }",
];

#[test]
fn declared_labels_are_read_as_labels_of_data_are() {
    let (_folder, file) = folder();
    let task = "[[task]]\nname='t'\nkind='class'\ndata='data/banking'\nlabels=";
    let suite = parse(&format!("{task}[' yes', \"no\\t\"]\n"), &file, &catalogue(), &[]).unwrap();
    assert_eq!(suite.tasks[0].labels.as_deref().unwrap(), ["yes", "no"]);
    let error =
        parse(&format!("{task}['yes',' yes','  ']\n"), &file, &catalogue(), &[]).unwrap_err().to_string();
    assert!(error.contains("s.toml:5: `labels` in task `t` names `yes` twice"), "{error}");
    assert!(error.contains("s.toml:5: `labels` in task `t` has an empty label"), "{error}");
}

#[test]
fn judgements_may_stand_beside_files_of_queries_but_need_a_corpus() {
    let (_folder, file) = folder();
    let task = "[[task]]\nname='t'\nkind='retrieval'\nfiles={train='data/scifact/queries.jsonl'}\n";
    let corpus = "corpus='data/scifact/corpus.jsonl.gz'\n";
    let qrels = |split: &str| format!("qrels={{{split}='data/scifact/qrels/train.tsv'}}\n");
    let suite = parse(&format!("{task}{corpus}{}", qrels("train")), &file, &catalogue(), &[]).unwrap();
    assert_eq!((suite.sources[0].files.len(), suite.sources[0].qrels.len()), (1, 1));
    for wrong in [format!("{task}{}", qrels("train")), format!("{task}{corpus}{}", qrels("test"))] {
        let error = parse(&wrong, &file, &catalogue(), &[]).unwrap_err().to_string();
        assert!(error.contains("expected `corpus`, `queries` and `qrels` together"), "{error}");
    }
}

const STS: &str = "[[task]]\nname = 'sts'\nkind = 'similarity'\ndata = 'data/sick-train.tsv'\n";

fn weighting(value: &str) -> Result<crate::method::Choice, String> {
    let (_folder, file) = folder();
    let text = format!("{STS}[train]\nweighting = {value}\n");
    let suite = parse(&text, &file, &catalogue(), &[]).map_err(|error| error.to_string())?;
    Ok(suite.train.weighting)
}

#[test]
fn a_weighting_inside_another_is_written_in_short_or_at_length() {
    let long =
        weighting("{ name = 'flat', of = { name = 'constant', weights = { sts = 2 } }, rho = 0.1 }").unwrap();
    assert_eq!(long.to_string(), "flat(constant(weights={\"sts\":2}), rho=0.1)");
    for short in [
        "'flat(constant(weights={\"sts\": 2}), rho=0.1)'",
        "{ name = 'flat', of = 'constant(weights={\"sts\": 2})', rho = 0.1 }",
    ] {
        assert_eq!(weighting(short).unwrap(), long);
    }
    assert_eq!(
        weighting("'flat(uw)'").unwrap(),
        weighting("{ name = 'flat', of = { name = 'uw' } }").unwrap()
    );
}

#[test]
fn mistakes_of_a_weighting_inside_another_are_reported_with_their_line() {
    for (value, part) in [
        ("'flat(uww)'", "s.toml:6: unknown weighting `uww` in weighting `flat` in [train]"),
        (
            "'flat(uw, rho=0)'",
            "parameter `rho` of weighting `flat` in [train] is 0, expected a number above 0",
        ),
        ("'flat(uw(rate=1))'", "unknown parameter `rate` of weighting `uw` in weighting `flat` in [train]"),
        ("'flat(uw'", "s.toml:6: `weighting` in [train] cannot be read: `flat(uw` does not end"),
        ("{ name = 'flat', of = { rho = 1 } }", "`of` in weighting `flat` in [train] has no `name`"),
        ("{ name = 'flat', of = 3 }", "is 3, expected a name or a table of `name` and parameters"),
        (
            "{ name = 'flat', of = { name = 'constant', weights = { stss = 2 } } }",
            "names `stss`, expected names of tasks",
        ),
    ] {
        let error = weighting(value).unwrap_err();
        assert!(error.contains(part), "{value}: {error}");
    }
}

#[test]
fn sharing_is_a_part_by_name_or_table_and_mistakes_in_it_are_named() {
    let (_folder, path) = folder();
    let task = "[[task]]\nname='t'\nkind='similarity'\ndata='data/sick-train.tsv'\n";
    let read = |model: &str| parse(&format!("[model]\n{model}\n{task}"), &path, &catalogue(), &[]);
    assert_eq!(read("").unwrap().model.sharing, Choice::named("hard"));
    assert_eq!(read("sharing='mmoe'").unwrap().model.sharing, Choice::named("mmoe"));
    let suite = read("sharing={name='mmoe',at='layer.3',experts=2}").unwrap();
    assert_eq!(suite.model.sharing.params["at"], "layer.3");
    let again = parse(&to_toml(&suite), &path, &catalogue(), &[]).unwrap();
    assert_eq!(again.model.sharing, suite.model.sharing);
    let message = |model: &str| read(model).unwrap_err().to_string();
    let unknown = message("sharing='mmo'");
    assert!(unknown.contains("unknown sharing `mmo` in [model]") && unknown.contains("`mmoe`"), "{unknown}");
    let range = message("sharing={name='mmoe',experts=0,att='layer.1'}");
    assert!(range.contains("parameter `experts` of sharing `mmoe`"), "{range}");
    assert!(range.contains("unknown parameter `att`") && range.contains("`at`"), "{range}");
}

fn task(lines: &str) -> Result<Suite, String> {
    let (folder, path) = folder();
    std::fs::create_dir_all(folder.path().join("runs/old")).unwrap();
    let text = format!("[[task]]\nname = 't'\ndata = 'data/banking'\n{lines}\n");
    parse(&text, &path, &catalogue(), &[]).map_err(|error| error.to_string())
}

#[test]
fn two_texts_as_one_sequence_are_a_kind_of_their_own() {
    let kind = |lines| task(lines).map(|suite| suite.tasks[0].kind.name);
    assert_eq!(kind("kind = 'pair-class'\nform = 'pair'"), Ok("cross-class"));
    assert_eq!(kind("kind = 'cross-class'"), Ok("cross-class"));
    assert_eq!(kind("kind = 'cross-similarity'\nform = 'pair'"), Ok("cross-similarity"));
    assert_eq!(kind("kind = 'similarity'\nform = 'siamese'"), Ok("similarity"));
    let error = kind("kind = 'class'\nform = 'pair'").unwrap_err();
    assert!(error.contains("\"pair\", which the kind `class` has not"), "{error}");
    assert!(error.contains("`pair-class`, `similarity`"), "{error}");
    assert!(kind("kind = 'cross-class'\nform = 'siamese'").is_err());
}

#[test]
fn a_teacher_is_a_folder_or_a_table_with_more_about_it() {
    let teacher = |lines: &str| {
        let suite = task(&format!("kind = 'class'\n{lines}"))?;
        let written = to_toml(&suite);
        let (_folder, path) = folder();
        std::fs::create_dir_all(path.parent().unwrap().join("runs/old")).unwrap();
        let again = parse(&written, &path, &catalogue(), &[]).unwrap();
        assert_eq!(again.tasks[0].teacher, suite.tasks[0].teacher, "{written}");
        Ok::<_, String>(suite.tasks[0].teacher.clone().unwrap())
    };
    let short = teacher("teacher = 'runs/old'").unwrap();
    assert_eq!(
        (short.model, short.alpha, short.loss.name),
        (vec!["runs/old".into()], 0.5, "logit-mse".into())
    );
    let long = teacher("teacher = { model = ['runs/old', 'runs'], task = 'x', alpha = 1 }").unwrap();
    assert_eq!((long.model.len(), long.task.as_deref(), long.alpha), (2, Some("x"), 1.0));
    for (lines, expected) in [
        ("teacher = 'runs/gone'", "there is no folder `runs/gone`"),
        ("teacher = { alpha = 0.5 }", "has no `model`"),
        ("teacher = { model = 'runs/old', alpha = 1.5 }", "`alpha` in the teacher of task `t` is 1.5"),
        ("teacher = { model = [] }", "a path, or a list of paths"),
        ("teacher = { model = 'runs/old', loss = 'klx' }", "unknown loss `klx`"),
        ("teacher = { model = 'runs/old', weight = 1 }", "unknown key `weight`"),
    ] {
        let error = teacher(lines).unwrap_err();
        assert!(error.contains(expected), "{lines}: {error}");
    }
    let error = task("kind = 'retrieval'\nteacher = 'runs/old'").unwrap_err();
    assert!(error.contains("tasks of the kind `retrieval` have none"), "{error}");
}

#[test]
fn a_range_is_two_numbers_of_a_score() {
    let range = |lines: &str| task(lines).map(|suite| suite.tasks[0].range);
    assert_eq!(range("kind = 'similarity'\nrange = [0, 5]"), Ok(Some((0.0, 5.0))));
    assert_eq!(range("kind = 'similarity'"), Ok(None));
    for (lines, expected) in [
        ("kind = 'similarity'\nrange = [5, 0]", "a list of two numbers, the smaller first"),
        ("kind = 'similarity'\nrange = 5", "a list of two numbers, the smaller first"),
        ("kind = 'class'\nrange = [0, 1]", "is for scores of two texts, found kind `class`"),
    ] {
        let error = range(lines).unwrap_err();
        assert!(error.contains(expected), "{lines}: {error}");
    }
}

/// The suite of a task whose labels are described in a file, with further lines, in a folder of its own.
fn described_suite(labels: &str, lines: &str) -> (tempfile::TempDir, Result<Suite, Error>) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("labels.toml"), labels).unwrap();
    fs::write(folder.path().join("test.jsonl"), "").unwrap();
    fs::write(folder.path().join("gen.jsonl"), "").unwrap();
    let text = format!(
        "[[task]]\nname = 'news'\nkind = 'class'\nlabels = 'labels.toml'\nfiles = {{ test = 'test.jsonl' }}\n{lines}"
    );
    let suite = parse(&text, &folder.path().join("s.toml"), &catalogue(), &[]);
    (folder, suite)
}

const DESCRIBED: &str = "World = 'News of the world.'\n\"Sci/Tech\" = ''\n";

#[test]
fn labels_of_a_file_keep_its_order_and_their_descriptions_and_need_no_rows_to_train_on() {
    let lines = "none = 'other'\ngenerated = { file = 'gen.jsonl', filter = 0.4 }";
    let (folder, suite) = described_suite(DESCRIBED, lines);
    let suite = suite.unwrap();
    let task = &suite.tasks[0];
    assert_eq!(task.labels.as_deref().unwrap(), ["World", "Sci/Tech", "other"]);
    assert_eq!(task.descriptions[0].description, "News of the world.");
    assert_eq!(
        (task.descriptions[1].description.as_str(), task.descriptions[1].is_described),
        ("Sci/Tech", false)
    );
    assert_eq!((task.head.name.as_str(), task.out_of_scope), ("label-cross", Some(0.05)));
    let generated = task.generated.as_ref().unwrap();
    assert_eq!((generated.filter, generated.gate, generated.most), (0.4, true, 64));
    assert!(suite.matches_labels() && suite.is_to_judge);
    let absolute = suite.with_absolute_paths();
    let again = parse(&to_toml(&absolute), &folder.path().join("other/s.toml"), &catalogue(), &[]).unwrap();
    assert_eq!((&again.tasks[0].labels, &again.tasks[0].descriptions), (&task.labels, &task.descriptions));
    assert_eq!(to_toml(&again), to_toml(&absolute));
}

#[test]
fn mistakes_of_a_file_of_labels_are_told_with_its_lines() {
    for (labels, line, what) in [
        ("a = 'One.'\nb = ' one. '\n", 2, "label `b` has the description of label `a` in line 1"),
        ("a = 'One.'\n\nb = 3\n", 3, "label `b` is 3, expected its description"),
        ("a = 'One.'\n'' = 'x'\n", 2, "a label has an empty name"),
        ("a = 'One.\n", 1, "not valid TOML"),
        ("", 0, "the file has no label"),
    ] {
        let error = described_suite(labels, "").1.unwrap_err().to_string();
        let place = if line > 0 { format!("labels.toml:{line}: ") } else { "labels.toml: ".into() };
        assert!(error.contains(&place) && error.contains(what), "{error}");
    }
    let error = described_suite("a = 'One.'\n", "").1.unwrap_err().to_string();
    assert!(error.contains("`labels` in task `news` has 1 label, expected at least 2"), "{error}");
}

#[test]
fn an_endpoint_stands_in_the_place_of_an_encoder_and_holds_no_secret() {
    let model = |lines: &str| {
        format!("[model]\nendpoint = {{ url = 'http://127.0.0.1:1/v1', model = 'm'{lines} }}\n")
    };
    let read = |text: &str| described_suite(DESCRIBED, &format!("beside = 'bilinear'\n{text}"));
    let (_folder, suite) = read(&model(", key_env = 'API_KEY', tokens = 500"));
    let suite = suite.unwrap();
    let endpoint = suite.model.endpoint.as_ref().unwrap();
    assert_eq!((endpoint.tokens, endpoint.requests, endpoint.batch), (Some(500), None, 64));
    assert_eq!((endpoint.mode.as_str(), endpoint.cassette.to_str().unwrap()), ("replay", "vectors.cassette"));
    let absolute = suite.with_absolute_paths();
    assert!(absolute.model.endpoint.as_ref().unwrap().cassette.is_absolute());
    let again = parse(&to_toml(&absolute), Path::new("/other/s.toml"), &catalogue(), &[]).unwrap();
    assert_eq!(again.model.endpoint, absolute.model.endpoint);
    for (text, what) in [
        (
            model(", key_env = 'sk-123456'"),
            "`key_env` in `endpoint` of [model] is no name of a variable (9 characters)",
        ),
        (model(", mode = 'replya'"), "`mode` in `endpoint` of [model]"),
        (model(", api_key = 'x'"), "unknown key `api_key`"),
        ("[model]\nendpoint = { url = 'http://a' }".into(), "has no `model`"),
        ("[model]\nendpoint = { url = 'a:1', model = 'm' }".into(), "has no `http://`"),
        (model("") + "max_length = 64", "`max_length` in [model] is about an encoder"),
    ] {
        let error = read(&text).1.unwrap_err().to_string();
        assert!(error.contains(what) && !error.contains("sk-123456"), "{error}");
    }
    let tuned = described_suite(DESCRIBED, &format!("head = 'contrastive'\n{}", model(""))).1.unwrap_err();
    assert!(tuned.to_string().contains("tunes the encoder, but `endpoint`"), "{tuned}");
    let trained = described_suite(DESCRIBED, &format!("head = 'linear'\n{}", model(""))).1.unwrap_err();
    assert!(trained.to_string().contains("gives vectors of texts alone"), "{trained}");
}

#[test]
fn keys_of_described_labels_stand_where_they_mean_something() {
    let refused = |lines: &str, what: &str| {
        let error = described_suite(DESCRIBED, lines).1.unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    };
    refused("none = 'World'", "`none` in task `news` is `World`, which is a label of the file");
    refused(
        "head = 'linear'\nout_of_scope = 0.1",
        "`out_of_scope` in task `news` is for heads that match descriptions",
    );
    refused("generated = { filter = 0.5 }", "`generated` of task `news` has no `file`");
    refused("generated = { file = 'gone.jsonl' }", "there is no file `gone.jsonl`");
    refused("generated = { file = 'gen.jsonl', fliter = 0.5 }", "unknown key `fliter`");
    refused(
        "head = 'contrastive'\ngenerated = { file = 'gen.jsonl' }",
        "is for heads on the encoder as it is",
    );
    refused("head = 'linear'\nbeside = 'contrastive'", "`beside` in task `news` is for heads that match");
    refused("beside = 'contrastve'", "unknown head `contrastve`");
    let other = "head = 'contrastive'\n[[task]]\nname = 'other'\nkind = 'class'\nlabels = 'labels.toml'";
    refused(other, "the head of task `news` tunes the encoder for itself, but the suite has 2 tasks");
    refused("out_of_scope = 1.5", "`out_of_scope` in task `news` is 1.5");
    refused("head = { name = 'label-cross', prior = 'cosin' }", "parameter `prior`");
    let other = "[[task]]\nname = 'other'\nkind = 'class'\nhead = 'linear'\nlabels = ['a', 'b']\nfiles = { train = 'test.jsonl' }";
    refused(other, "head `linear` in task `other` is trained with the encoder");
}
