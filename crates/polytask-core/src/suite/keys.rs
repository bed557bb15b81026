//! Every key of a suite file, once: where it may stand, what it takes, its default and why, what it means.
//!
//! The reader refuses what is not here, fills defaults from here, and the generated reference and
//! `polytask show` print from here.

use serde::Serialize;

use crate::method::Range;

/// A table of the suite file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Table {
    /// The top of the file.
    Root,
    /// `[model]`.
    Model,
    /// `[train]`.
    Train,
    /// A `[[nodes]]`.
    Nodes,
    /// A `[[source]]`.
    Source,
    /// A `[[task]]`.
    Task,
    /// The `teacher` of a task.
    Teacher,
    /// `generated` in a `[[task]]`.
    Generated,
    /// `endpoint` in `[model]`.
    Endpoint,
}

impl Table {
    /// All tables, in the order a suite file has them.
    pub const ALL: [Self; 9] = [
        Self::Root,
        Self::Model,
        Self::Train,
        Self::Nodes,
        Self::Source,
        Self::Task,
        Self::Teacher,
        Self::Generated,
        Self::Endpoint,
    ];

    /// How the table is opened in a file.
    pub const fn header(self) -> &'static str {
        match self {
            Self::Root => "the top of the file",
            Self::Model => "[model]",
            Self::Train => "[train]",
            Self::Nodes => "[[nodes]]",
            Self::Source => "[[source]]",
            Self::Task => "[[task]]",
            Self::Teacher => "teacher = { ... } in a [[task]]",
            Self::Generated => "[task.generated]",
            Self::Endpoint => "[model.endpoint]",
        }
    }
}

/// What a key takes.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ValueType {
    /// A number, a switch or one of several words.
    Scalar(Range),
    /// One or several of these words, joined by `+`.
    Joined(&'static [&'static str]),
    /// A real of at least 0 and below 1.
    Share,
    /// A real above 0 and below 1.
    Fraction,
    /// Two reals of at least 0 and below 1.
    Betas,
    /// Letters, digits, `-` and `_`, so that it can be part of a file name.
    Name,
    /// Any text but the empty one.
    Text,
    /// A file or folder, relative to the suite file's folder.
    Path,
    /// The same, or a list of them.
    Paths,
    /// Two numbers, the smaller first.
    Interval,
    /// Whole numbers of at least 1, as many as given.
    Counts(Option<usize>),
    /// Distinct texts.
    Texts,
    /// Distinct texts, or a file of names and descriptions.
    LabelSet,
    /// A switch, or the ids of learners.
    Learners,
    /// Names of trunk blocks: `embeddings`, `layer.3`, `layer.0-3`.
    Blocks,
    /// Role → column.
    Columns,
    /// Role → text.
    Prompts,
    /// Split → file.
    Files,
    /// A part by name, or a table with its name and parameters.
    Part,
    /// A table of its own.
    Section(Table),
    /// Any number of tables.
    Sections(Table),
}

impl ValueType {
    /// What is expected, for errors and the reference.
    pub fn describe(&self) -> String {
        match self {
            Self::Scalar(range) => return range.describe(),
            Self::Counts(Some(n)) => return format!("a list of {n} whole numbers of at least 1"),
            Self::Counts(None) => "a list of whole numbers of at least 1",
            Self::Joined(words) => return format!("one of {} (or several joined by +)", words.join(", ")),
            Self::Share => "a number of at least 0 and below 1",
            Self::Fraction => "a number above 0 and below 1",
            Self::Betas => "a list of two numbers of at least 0 and below 1",
            Self::Interval => "a list of two numbers, the smaller first",
            Self::Name => "a name of letters, digits, - and _ (at most 64)",
            Self::Text => "a text",
            Self::Path => "a path, relative to the suite file's folder",
            Self::Paths => "a path, or a list of paths, relative to the suite file's folder",
            Self::Texts => "a list of distinct texts",
            Self::LabelSet => "a list of distinct texts, or a TOML file of names and descriptions",
            Self::Learners => "true, false or a list of learners",
            Self::Blocks => "a list of `embeddings`, `layer.3` or `layer.0-3` (or `text`, `image.layer.0`: of an encoder of columns)",
            Self::Columns => "a table from roles to column names",
            Self::Prompts => "a table from roles (text, a, query, passage, ...) to texts",
            Self::Files => "a table from splits (train, valid, test) to files",
            Self::Part => "a name, or a table {name = ..., parameters}",
            Self::Section(_) => "a table",
            Self::Sections(_) => "a list of tables",
        }
        .into()
    }
}

/// A key of the suite file.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct KeyInfo {
    /// The tables it may stand in.
    pub tables: &'static [Table],
    /// The key.
    pub name: &'static str,
    /// What it takes.
    pub value: ValueType,
    /// The default as JSON; empty when the key must be given or is found out.
    pub default: &'static str,
    /// What it means, in a sentence.
    pub about: &'static str,
    /// Why the default is what it is, or what happens without the key.
    pub why: &'static str,
}

/// All keys, table by table, in the order they are written.
pub const fn keys() -> &'static [KeyInfo] {
    KEYS
}

/// The keys of one table, in the order they are written.
pub fn keys_of(table: Table) -> impl Iterator<Item = &'static KeyInfo> {
    KEYS.iter().filter(move |key| key.tables.contains(&table))
}

/// The key of this name in a table.
pub(super) fn find(table: Table, name: &str) -> Option<&'static KeyInfo> {
    keys_of(table).find(|key| key.name == name)
}

const ROOT: &[Table] = &[Table::Root];
const MODEL: &[Table] = &[Table::Model];
const TRAIN: &[Table] = &[Table::Train];
const TASK: &[Table] = &[Table::Task];
const SOURCE: &[Table] = &[Table::Source];
const GENERATED: &[Table] = &[Table::Generated];
const ENDPOINT: &[Table] = &[Table::Endpoint];
const OWN_DATA: &[Table] = &[Table::Source, Table::Task];
const TEACHER: &[Table] = &[Table::Teacher];
const NODES: &[Table] = &[Table::Nodes];
const NAMED: &[Table] = &[Table::Nodes, Table::Source, Table::Task];

const AT_LEAST_0: ValueType = ValueType::Scalar(Range::Real { min: 0.0, max: f64::INFINITY });
const COUNT: ValueType = ValueType::Scalar(Range::Integer { min: 0 });
const COUNT_FROM_1: ValueType = ValueType::Scalar(Range::Integer { min: 1 });
const POSITIVE: ValueType = ValueType::Scalar(Range::Positive);

const fn words(words: &'static [&'static str]) -> ValueType {
    ValueType::Scalar(Range::OneOf(words))
}

const fn key(
    tables: &'static [Table],
    name: &'static str,
    value: ValueType,
    default: &'static str,
    about: &'static str,
    why: &'static str,
) -> KeyInfo {
    KeyInfo { tables, name, value, default, about, why }
}

/// Ways to make one vector of a text's states; the names are those of sentence-transformers, and `flatten` is for
/// images alone.
pub const POOLINGS: &[&str] =
    &["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken", "flatten"];

#[rustfmt::skip]
static KEYS: &[KeyInfo] = &[
    key(ROOT, "name", ValueType::Name, r#""suite""#, "Name of the suite.", "only reports show it"),
    key(ROOT, "seed", COUNT, "13", "Seed of every random choice.", "any number does; the same one gives the same run"),
    key(ROOT, "model", ValueType::Section(Table::Model), "", "The shared model.", "all its keys have defaults"),
    key(ROOT, "train", ValueType::Section(Table::Train), "", "How the model is trained.", "all its keys have defaults"),
    key(ROOT, "nodes", ValueType::Sections(Table::Nodes), "", "Texts with ids that rankings name.", "only the kind `ranking` has them"),
    key(ROOT, "source", ValueType::Sections(Table::Source), "", "Rows that several tasks read.", "a task with data of its own needs none"),
    key(ROOT, "task", ValueType::Sections(Table::Task), "", "The tasks.", "at least one must be given"),

    key(MODEL, "encoder", ValueType::Text, r#""sentence-transformers/all-MiniLM-L6-v2""#,
        "A name that `polytask pull` knows, a folder, `tiny` (random, for tests), or a network that starts from random weights: on images (`lenet`, ...) or on tables (`table-mlp`).",
        "small, free to use, and good enough that a minute on a CPU gives a useful model"),
    key(MODEL, "freeze", ValueType::Blocks, "[]", "Blocks whose weights stay as they are.", "training everything scores best when data allow it"),
    key(MODEL, "tune", ValueType::Part, r#""full""#, "What of the encoder is trained: all of it, or adapters beside its matrices.", "the strongest way, and affordable with a small encoder"),
    key(MODEL, "sharing", ValueType::Part, r#""hard""#, "How tasks share the encoder: the whole of it, or its upper blocks through experts, stitches or masks.", "one encoder for all: the baseline of every other way"),
    key(MODEL, "pooling", ValueType::Joined(POOLINGS), "", "How one vector is made of a text's states.", "what the encoder's folder says"),
    key(MODEL, "score", ValueType::Part, "", "How texts are scored against each other in similarity, retrieval and ranking: by a vector of each, or by the states of all their tokens.", "what the encoder's folder says, else cosines of vectors (`pooled`), which need a fraction of the memory"),
    key(MODEL, "max_length", ValueType::Scalar(Range::Integer { min: 3 }), "", "Longest text in tokens, special ones included.", "what the encoder's folder says"),
    key(MODEL, "image_encoder", ValueType::Text, "", "What reads the columns of a table that `images` names: a network on images that starts from random weights (`lenet`, ...), a name that `polytask pull` knows, or a folder.", "`convnet`, which reads images of any size; only tables with `images` have it"),
    key(MODEL, "image_size", ValueType::Counts(Some(2)), "", "Height and width that images are resized to.", "images stay as they are, and all must have one size"),
    key(MODEL, "channels", COUNT_FROM_1, "", "Channels that images are converted to: 1 (grey) or 3.", "images stay as they are"),
    key(MODEL, "pixel_mean", AT_LEAST_0, "0.0", "Subtracted from pixels (as shares of full white) before an image network.", "black is 0"),
    key(MODEL, "pixel_std", POSITIVE, "1.0", "What pixels are divided by after that.", "white is 1"),
    key(MODEL, "widths", ValueType::Counts(None), "", "Widths of the layers of a network on images or tables.", "those of the published network; 256 and 256 for `table-mlp`"),
    key(MODEL, "precision", words(&["f32"]), r#""f32""#, "Numbers the model computes in.", "exact enough for every method"),
    key(MODEL, "dropout", ValueType::Share, "", "Share of values dropped in training, in trainable layers and before heads.", "what the encoder's folder says"),
    key(MODEL, "trees", ValueType::Part, "", "Boosted trees in the place of the encoder: `boost` for all targets at once, `rmtgb` for tasks by `group`, which also says which of them is unlike the others.", "a table is read by the network that `encoder` names"),
    key(MODEL, "endpoint", ValueType::Section(Table::Endpoint), "", "An endpoint that gives vectors of texts in the place of the encoder, for heads that match descriptions.", "the encoder gives them, on this machine"),

    key(TRAIN, "epochs", POSITIVE, "1.0", "Passes over the largest source (joint) or over all sources (alternate).", "of a pre-trained encoder chosen from the data, as steps; for a fresh network on images or tables so many steps that 60,000 images or 400,000 rows are seen, each 20 or 30 times at most (36 steps at least)"),
    key(TRAIN, "steps", COUNT_FROM_1, "", "Optimiser steps, instead of epochs.", "epochs decide"),
    key(TRAIN, "batch_tokens", COUNT_FROM_1, "4096", "Most tokens of a step, over all tasks of the step.", "a pre-trained encoder has `batch_rows`; for fresh ones steady gradients that fit a laptop's memory"),
    key(TRAIN, "batch_rows", COUNT_FROM_1, "", "Rows per source and step, where the source says nothing.", "32 for a pre-trained encoder whose suite gives no size; 128 for images and tables"),
    key(TRAIN, "lr", POSITIVE, "3e-5", "Peak learning rate of the trunk.", "chosen with the other settings of a pre-trained encoder (1e-4, on heads that start from probes); 1e-3 for fresh networks on images and tables"),
    key(TRAIN, "head_lr_factor", POSITIVE, "10.0", "Heads learn this many times faster than the trunk.", "heads that start from random weights would at the trunk's rate still be untrained after one epoch; 1 where they start from probes, and for fresh networks on images and tables"),
    key(TRAIN, "weight_decay", AT_LEAST_0, "0.01", "Decoupled weight decay of matrices (not of biases and norms).", "the value BERT encoders are fine-tuned with"),
    key(TRAIN, "betas", ValueType::Betas, "[0.9, 0.999]", "AdamW's decay rates.", "those of the paper (Kingma & Ba 2015)"),
    key(TRAIN, "eps", POSITIVE, "1e-8", "AdamW's epsilon.", "that of the paper (Kingma & Ba 2015)"),
    key(TRAIN, "warmup", ValueType::Scalar(Range::Real { min: 0.0, max: 1.0 }), "0.1", "Share of steps in which the rate rises linearly.", "AdamW's first steps are its least certain; a tenth is the custom for BERT encoders"),
    key(TRAIN, "schedule", words(&["linear", "cosine", "constant"]), r#""linear""#, "What the rate does after warm-up.", "falling to 0 is the custom for fine-tuning; linear has nothing to choose"),
    key(TRAIN, "clip", AT_LEAST_0, "1.0", "Largest norm of the whole gradient; 0 means no clipping.", "one odd batch cannot throw the weights away"),
    key(TRAIN, "mixing", words(&["joint", "alternate"]), r#""joint""#, "Whether a step sees all tasks or one source.", "weightings and conflict measurements need the tasks side by side"),
    key(TRAIN, "sampling", ValueType::Part, r#""sqrt""#, "How often each source is drawn.", "between starving small sources (proportional) and repeating them too often (uniform)"),
    key(TRAIN, "weighting", ValueType::Part, r#""equal""#, "Loss weighting, Gramian weighting or aggregator.", "the plain sum is the bar that every other one has to beat; several tasks on a pre-trained encoder are brought to one scale"),
    key(TRAIN, "gradients", words(&["full", "layer", "representation"]), r#""full""#, "Which gradients a weighting sees: of all trunk parameters, of each block, or of the trunk's output.", "exact; representation is the cheap bound, layer lets every block settle its own conflicts"),
    key(TRAIN, "regularizer", ValueType::Part, r#""none""#, "Term added to the task losses, on top of a loss weighting.", "every published one has to prove itself against the plain losses"),
    key(TRAIN, "start", words(&["probe", "random", "model"]), "", "What heads start from: linear models fitted on the encoder's vectors, random weights, or the heads of the model that `encoder` is the folder of, to train it further.", "probe: heads that fit do not distort the encoder in their first steps; random for networks that start fresh themselves"),
    key(TRAIN, "eval_every", COUNT, "0", "Steps between evaluations on valid; 0 means once per epoch.", "evaluation costs time that short runs would rather train; six in all for a pre-trained encoder"),
    key(TRAIN, "keep", words(&["best", "last"]), r#""best""#, "Which weights a run keeps: `best` are, where heads start from probes, those between the probes and the last step that valid prefers, else those of the best evaluation.", "the last step may be past the best one"),
    key(TRAIN, "watch", ValueType::Text, r#""mean""#, "What `best` and early stopping look at: `mean` (of main metrics), a task, or `task.metric`.", "no task is favoured"),
    key(TRAIN, "patience", COUNT, "0", "Evaluations without improvement before training stops; 0 means never.", "the schedule needs its whole length"),
    key(TRAIN, "conflict_every", COUNT, "20", "Steps between measurements of gradient cosines; 0 means never.", "costs a few percent and shows who hurts whom"),
    key(TRAIN, "checkpoint_every", COUNT, "0", "Steps between checkpoints; 0 means at evaluations only.", "short runs are repeated faster than saved"),
    key(TRAIN, "baselines", ValueType::Learners, "true", "What the joint model is compared with: `single` (a model trained for each task alone), `probe` (a linear model on the encoder as it was loaded), `bm25` (passages by the tokens they share with a query), `prior` (the most frequent label, the mean); `true` is all of them.", "without them nobody knows which task was hurt, or whether training was worth it"),
    key(TRAIN, "micro_tokens", COUNT, "0", "Tokens that go through the encoder together in a training step; 0 means all of the batch. A larger batch goes in pieces and its losses see it whole, so that thousands of passages stand against each query.", "a batch of usual size fits at once; pieces run every text twice"),
    key(TRAIN, "recompute", ValueType::Scalar(Range::Bool), "false", "Whether activations are computed again in the backward instead of kept.", "a third faster; `true` needs a fraction of the memory and gives the same weights"),
    key(TRAIN, "cache_mb", COUNT, "1024", "Most memory for one set of cached states of the frozen part, in MiB; tasks that share the encoder and tasks alone have one each.", "fits beside a small encoder on an 8 GiB machine"),
    key(TRAIN, "data_mb", COUNT, "2048", "Most memory for the tokens of all texts (4 bytes each; a pixel of an image is one), in MiB; beyond it they lie in a file in the cache that is mapped into memory.", "forty million short texts; the results are the same bytes either way"),
    key(TRAIN, "rows_mb", COUNT, "1024", "Most memory for the task gradients of a step, in MiB.", "eleven tasks of a small encoder; where they fit, a Gramian weighting spares its last backward"),
    key(TRAIN, "threads", COUNT, "0", "Worker threads; 0 means all cores.", "one run at a time is the common case"),

    key(NAMED, "name", ValueType::Name, "", "Its name in commands, reports and file names.", "must be given"),
    key(TASK, "kind", ValueType::Text, "", "What the task is; `polytask check` answers an unknown kind with all there are.", "must be given"),
    key(TASK, "form", words(&["siamese", "pair"]), "", "How two texts are read: each alone (`siamese`), so that vectors can be kept, or as one sequence (`pair`), a cross-encoder: `pair-class` becomes `cross-class`, `similarity` `cross-similarity`.", "`siamese`; the kind says it where it is a cross-encoder's"),
    key(TASK, "from", ValueType::Name, "", "The source whose rows it reads.", "the task has data of its own"),
    key(OWN_DATA, "data", ValueType::Path, "", "A folder with train, valid and test files, a BEIR folder, or one file to train on.", "`files`, `qrels` or (a task) `from` must be given"),
    key(OWN_DATA, "files", ValueType::Files, "", "The file of each split; dev, val and validation mean valid.", "`data` says where"),
    key(SOURCE, "documents", ValueType::Part, "", "How rows are made of the documents in its files: `pairs` of sentences or `sentences`; a task of the kind `segmentation` writes such sources itself.", "a row of a file is a row"),
    key(OWN_DATA, "columns", ValueType::Columns, "{}", "Which column plays which role (text, a, b, query, label, score, weight, ...).", "a column has the name of its role, or a usual synonym"),
    key(OWN_DATA, "features", ValueType::Texts, "[]", "The columns of a table that are read (`table-class`, `table-regression`).", "all that are no target, weight or id of a task and do not stand in `ignore`; in them `?`, `-`, `NA`, `N/A`, `None`, `NULL` and `missing` say nothing, too"),
    key(OWN_DATA, "prompts", ValueType::Prompts, "{}", "Words before every text of a role, as `query: `; `passage` is what a retrieval ranks, `right` what a ranking does.", "the encoder's own default prompt, if it has one"),
    key(OWN_DATA, "group", ValueType::Text, "", "Column of a table that names the group of a row: a shop, a patient, a school. For `trees = \"rmtgb\"` each group is a task; others read it as a category.", "rows have no groups"),
    key(OWN_DATA, "ignore", ValueType::Texts, "[]", "Columns of a table that are not read: names, ids, what is known only afterwards.", "every column may say something"),
    key(OWN_DATA, "categories", ValueType::Texts, "[]", "Columns of a table whose numbers are categories: codes, classes, years that are no amounts.", "a column whose first known cell is a number holds numbers, any other one categories"),
    key(OWN_DATA, "texts", ValueType::Texts, "[]", "Columns of a table that are texts: a network reads each with the `encoder` in [model], which is trained with it; boosted trees read the vector that this encoder, frozen, gives.", "a column of words holds categories"),
    key(OWN_DATA, "images", ValueType::Texts, "[]", "Columns of a table that name files of images: a network reads each with the `image_encoder` in [model], which is trained with it.", "a column of words holds categories"),
    key(OWN_DATA, "valid", ValueType::Fraction, "0.1", "Share of train that becomes valid, by hash, when there is no valid file.", "enough to choose on, little enough to spare"),
    key(OWN_DATA, "missing", ValueType::Texts, "[]", "Cells of targets, and of the columns of a table, that mean unknown, beside empty ones, null and NaN: `[\"-1\", \"-\"]`; a number counts in columns only where a [[source]] names it.", "what is written there is the target"),
    key(OWN_DATA, "limit", COUNT, "0", "Most rows read per split (chosen by hash); 0 means all.", "all data are used"),
    key(OWN_DATA, "batch_rows", COUNT_FROM_1, "", "Rows per step.", "`train.batch_rows` or `train.batch_tokens` decides"),
    key(OWN_DATA, "batch_tokens", COUNT_FROM_1, "", "Tokens per step.", "`train.batch_tokens` decides"),
    key(OWN_DATA, "sampling_weight", POSITIVE, "1.0", "Factor on how often the source is drawn.", "`train.sampling` alone decides"),
    key(OWN_DATA, "corpus", ValueType::Path, "", "Passages (retrieval): JSONL or TSV with id, title, text.", "passages stand in the rows themselves"),
    key(OWN_DATA, "queries", ValueType::Path, "", "Queries (retrieval), shared by all splits.", "queries stand in the rows themselves"),
    key(OWN_DATA, "qrels", ValueType::Files, "", "Relevance judgements of each split (retrieval).", "positives stand in the rows themselves"),
    key(OWN_DATA, "left", ValueType::Text, "", "What is asked (ranking): a column of texts, or a node set whose ids stand in the column `left`.", "the column `left`"),
    key(OWN_DATA, "right", ValueType::Text, "", "The node set that is ranked (ranking); rows name its ids, several joined by `|`, in the column `right`.", "a ranking must name one"),
    key(NODES, "file", ValueType::Path, "", "File with a row per node: JSONL, TSV, CSV or Parquet, compressed or not.", "it must be given"),
    key(NODES, "id", ValueType::Text, "", "Column of the id that edges name.", "`_id`, `id`, `code` and other usual names are tried"),
    key(NODES, "text", ValueType::Text, "", "How a text is made of columns: `{title}: {description}`.", "title and text, as of a corpus"),
    key(TASK, "head", ValueType::Part, r#""linear""#, "What turns a vector into labels or numbers: `linear`, or `mlp` with a `hidden` layer; or, on an encoder that stays as it is, one that matches texts with descriptions of labels (`zero-shot`, `nearest-mean`, `bilinear`, `label-cross`), or tunes the encoder by pairs of them (`contrastive`).", "a pre-trained encoder needs no more; `label-cross` where `labels` is a file"),
    key(TASK, "loss", ValueType::Part, "", "Its loss.", "the first loss of its kind"),
    key(TASK, "objective", ValueType::Part, "", "What boosted trees learn of the target: `squared`, `poisson` or a `quantile` of numbers, `logistic` or `softmax` of classes.", "what fits its kind"),
    key(TASK, "metric", ValueType::Text, "", "The metric that decides; one of its kind.", "the first metric of its kind"),
    key(TASK, "range", ValueType::Interval, "", "Smallest and largest score there can be (`similarity`, `cross-similarity`): `[0, 5]`.", "the smallest and the largest of train"),
    key(TASK, "labels", ValueType::LabelSet, "", "The label set, in the order of outputs: a list, or a TOML file of lines `name = \"description\"`.", "the labels that train shows, sorted"),
    key(TASK, "none", ValueType::Text, "", "What the target's column holds in rows that are of none of the labels (heads that match descriptions).", "no row is out of scope"),
    key(TASK, "beside", ValueType::Part, "", "A head that is fitted beside the task's own and printed with it: `contrastive` tunes a copy of the encoder, which takes minutes.", "only heads that take seconds are"),
    key(TASK, "out_of_scope", ValueType::Fraction, "", "Share of rows of known labels that may be answered \"none of these\" (heads that match descriptions); the threshold that keeps it is fitted on valid.", "every row gets a label; 0.05 where `none` is given"),
    key(TASK, "generated", ValueType::Section(Table::Generated), "", "Rows that somebody or something made up, to train on beside those of train (heads that match descriptions).", "train alone"),
    key(TASK, "separator", ValueType::Text, "", "What stands between the labels of a cell (`multilabel`).", "`|`, a sign that labels seldom hold"),
    key(TASK, "identical", words(&["ignore", "keep"]), r#""ignore""#, "What becomes of a passage with a query's own text or id (`retrieval`): `ignore` leaves it out of the query's negatives and hits, `keep` takes it as any other.", "as like the query as can be, it would stand first everywhere; `keep` where a copy is what is looked for"),
    key(TASK, "teacher", ValueType::Section(Table::Teacher), "", "A run or model folder whose answers on train the task learns from, or a table with more about it.", "labels alone are learnt"),
    key(TEACHER, "model", ValueType::Paths, "", "Runs or model folders; of several, the mean of their outputs counts.", "it must be given"),
    key(TEACHER, "task", ValueType::Name, "", "The task of that model.", "the one of the same name, or the only one that fits"),
    key(TEACHER, "loss", ValueType::Part, r#""logit-mse""#, "What lies between the outputs of student and teacher.", "it needs no temperature, and is what distilled sentence pairs were published with"),
    key(TEACHER, "alpha", ValueType::Scalar(Range::Real { min: 0.0, max: 1.0 }), "0.5", "Weight of the teacher; labels have the rest, and rows without one are learnt from the teacher alone.", "half and half, as published for sentence pairs (Barkan et al. 2020)"),
    key(TEACHER, "out_of_fold", ValueType::Scalar(Range::Bool), "false", "Each of several models answers the rows of its own fold alone, which it was not trained on, as `polytask distill SUITE --folds N` makes them.", "one model, or the mean of several, answers all rows"),
    key(TASK, "margin", AT_LEAST_0, "1.0", "Points (of 100) below single-task that count as regression.", "about what a user would notice"),
    key(TASK, "loss_weight", AT_LEAST_0, "1.0", "Factor on its loss.", "weightings start from equal tasks"),
    key(TASK, "lr_factor", AT_LEAST_0, "1.0", "Its head learns this many times faster than `train.head_lr_factor` says.", "heads learn alike; 10 for tags where heads start from probes and `train.head_lr_factor` is not given"),
    key(TASK, "freeze", ValueType::Blocks, "[]", "Blocks in which this task's gradient stops.", "every task shapes the whole trunk"),

    key(GENERATED, "file", ValueType::Path, "", "The rows: JSON lines with `text` and `label`.", "must be given"),
    key(GENERATED, "filter", ValueType::Scalar(Range::Real { min: 0.0, max: 1.0 }), "0.5", "Least probability that a teacher fitted on train gives a row's label, which must be its first choice too; 0 keeps all rows.", "wrong rows hurt more than right ones help"),
    key(GENERATED, "gate", ValueType::Scalar(Range::Bool), "true", "Whether the rows are used only where valid is better with them.", "what does not help is left out"),
    key(GENERATED, "most", COUNT_FROM_1, "64", "Most rows of a label.", "a few times what few labels are"),

    key(ENDPOINT, "url", ValueType::Text, "", "Its address, as `http://127.0.0.1:8000/v1`; it speaks the form of OpenAI.", "must be given"),
    key(ENDPOINT, "model", ValueType::Text, "", "Name of the model there.", "must be given"),
    key(ENDPOINT, "key_env", ValueType::Text, "", "The environment variable that holds its key; the key itself is written nowhere.", "no key is sent"),
    key(ENDPOINT, "cassette", ValueType::Path, r#""vectors.cassette""#, "File of requests and answers, from which a text that was paid for is answered.", "nothing is paid twice"),
    key(ENDPOINT, "mode", words(&["record", "replay", "strict"]), r#""replay""#, "What the cassette does: `replay` answers from it and asks the rest, `record` asks all anew, `strict` asks nothing.", "a run that was interrupted goes on"),
    key(ENDPOINT, "requests", COUNT_FROM_1, "", "Most requests, all runs with the cassette together.", "no limit"),
    key(ENDPOINT, "tokens", COUNT_FROM_1, "", "Most tokens, all runs with the cassette together.", "no limit"),
    key(ENDPOINT, "batch", COUNT_FROM_1, "64", "Texts of a request.", "few requests, none too large"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_unique_per_table_and_documented() {
        for table in Table::ALL {
            let names: Vec<_> = keys_of(table).map(|key| key.name).collect();
            let distinct: std::collections::BTreeSet<_> = names.iter().collect();
            assert_eq!(names.len(), distinct.len(), "{table:?}");
        }
        for key in keys() {
            assert!(key.about.ends_with('.'), "{} has no sentence", key.name);
            assert!(!key.why.is_empty() && !key.why.ends_with('.'), "{} has no reason", key.name);
        }
    }

    #[test]
    fn every_default_is_json() {
        for key in keys().iter().filter(|key| !key.default.is_empty()) {
            let parsed: Result<serde_json::Value, _> = serde_json::from_str(key.default);
            assert!(parsed.is_ok(), "{}: {}", key.name, key.default);
        }
    }
}
