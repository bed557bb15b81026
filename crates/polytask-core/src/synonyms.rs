//! Words of other tools for what a suite calls otherwise.

/// Words, the name meant by them, and what to write where the name alone does not say it.
///
/// A word may stand for several names: the one that is known at the place counts.
type Synonym = (&'static [&'static str], &'static str, &'static str);

static SYNONYMS: &[Synonym] = &[
    // Kinds.
    (
        &[
            "classification",
            "text-classification",
            "classifier",
            "single-label",
            "multiclass",
            "multi-class",
            "intent",
            "topic",
            "sentiment",
            "binary",
        ],
        "class",
        "",
    ),
    (
        &[
            "multi-label",
            "multilabel-classification",
            "multi-label-classification",
            "multi-class-multi-label",
            "tags",
        ],
        "multilabel",
        "",
    ),
    (
        &[
            "ner",
            "token-classification",
            "slot-filling",
            "slots",
            "sequence-labeling",
            "sequence-labelling",
            "sequence-tagging",
            "pos",
            "chunking",
            "bio",
        ],
        "tagging",
        "",
    ),
    (
        &["sts", "semantic-similarity", "sentence-similarity", "textual-similarity", "text-similarity"],
        "similarity",
        "",
    ),
    (
        &[
            "nli",
            "rte",
            "entailment",
            "paraphrase",
            "pair-classification",
            "sentence-pair",
            "text-pair",
            "duplicate",
            "pairs",
        ],
        "pair-class",
        "",
    ),
    (&["regressor", "number", "score", "rating", "numeric"], "regression", ""),
    (
        &["search", "ranking", "ir", "information-retrieval", "triplet", "contrastive", "semantic-search"],
        "retrieval",
        "",
    ),
    (&["image-classification", "images"], "image-class", ""),
    // Keys of [train].
    (&["learning-rate", "peak-lr", "base-lr", "max-lr"], "lr", ""),
    (&["num-epochs", "n-epochs", "num-train-epochs", "max-epochs", "epoch"], "epochs", ""),
    (&["max-steps", "num-steps", "n-steps", "num-train-steps", "iterations"], "steps", ""),
    (
        &["batch-size", "batch", "bs", "train-batch-size", "per-device-train-batch-size"],
        "batch_rows",
        "`batch_rows` (rows per source), or `batch_tokens`",
    ),
    (&["max-tokens", "tokens-per-batch"], "batch_tokens", ""),
    (
        &["warmup-ratio", "warmup-proportion", "warmup-steps", "num-warmup-steps"],
        "warmup",
        "`warmup`, a share of the steps: 0.1",
    ),
    (&["lr-scheduler", "lr-scheduler-type", "scheduler", "lr-schedule"], "schedule", ""),
    (&["grad-clip", "gradient-clip", "gradient-clipping", "max-grad-norm", "clip-norm"], "clip", ""),
    (&["early-stopping", "early-stopping-patience"], "patience", ""),
    (&["adam-betas"], "betas", ""),
    (&["epsilon", "adam-epsilon"], "eps", ""),
    (&["eval-steps", "evaluation-steps", "eval-interval"], "eval_every", ""),
    (&["save-steps", "checkpoint-steps"], "checkpoint_every", ""),
    (&["n-threads", "num-threads", "num-workers", "workers"], "threads", ""),
    (&["balancing", "loss-weighting", "loss-balancing", "aggregator", "mtl-method"], "weighting", ""),
    // Keys of [model] and of the top.
    (
        &[
            "base-model",
            "model-name",
            "model-name-or-path",
            "pretrained",
            "pretrained-model",
            "backbone",
            "checkpoint",
        ],
        "encoder",
        "",
    ),
    (&["max-len", "max-seq-length", "max-seq-len", "max-sequence-length", "seq-length"], "max_length", ""),
    (&["random-seed", "random-state", "rng-seed"], "seed", ""),
    (&["tasks"], "task", "[[task]], once for each task"),
    (&["sources", "datasets"], "source", "[[source]], once for each source"),
    // Keys of tasks and sources.
    (&["source", "source-name"], "from", "`from`, the name of a [[source]]"),
    (&["type", "task-type", "problem-type"], "kind", ""),
    (&["path", "dataset", "folder", "directory", "dir", "file", "data-dir"], "data", ""),
    (&["train", "train-file", "train-path"], "files", "files = { train = \"...\" }"),
    (
        &["valid-file", "validation-file", "dev-file", "eval-file", "dev", "val", "validation"],
        "files",
        "files = { train = \"...\", valid = \"...\" }",
    ),
    (&["test", "test-file", "test-path"], "files", "files = { train = \"...\", test = \"...\" }"),
    (
        &["label-column", "target-column", "label-field", "label", "target", "target-col", "label-col"],
        "columns",
        "columns = { label = \"...\" }",
    ),
    (
        &["text-column", "text-field", "text", "text-col", "input-column"],
        "columns",
        "columns = { text = \"...\" }",
    ),
    (&["validation-split", "dev-size", "val-size", "valid-size", "validation-fraction"], "valid", ""),
    (&["max-rows", "max-samples", "n-rows", "subset"], "limit", ""),
    (&["classes", "label-names", "label-list", "label-set", "class-names"], "labels", ""),
    (&["label-sep", "label-separator", "label-delimiter"], "separator", ""),
    (&["criterion", "loss-fn", "loss-function", "objective"], "loss", ""),
    (&["metrics", "main-metric", "eval-metric"], "metric", ""),
    (&["weight", "task-weight"], "loss_weight", ""),
    // Roles of columns.
    (
        &[
            "text",
            "text1",
            "text-a",
            "sentence",
            "sentence1",
            "sentence-a",
            "premise",
            "anchor",
            "question",
            "left",
        ],
        "a",
        "`a`; the kind reads two texts, `a` and `b`",
    ),
    (&["text2", "text-b", "sentence2", "sentence-b", "hypothesis", "positive", "passage", "right"], "b", ""),
    (&["tokens", "words", "sentence", "utterance", "a", "query", "input", "content", "body"], "text", ""),
    (&["text", "words", "sentence", "token"], "tokens", ""),
    (&["text", "question", "anchor", "a", "sentence"], "query", ""),
    (&["label", "labels", "slots", "ner-tags"], "tags", ""),
    (&["label", "tags", "classes"], "labels", ""),
    (&["labels", "class", "category", "intent", "target", "y", "tag", "score", "value"], "label", ""),
    (&["label", "value", "similarity", "target", "rating"], "score", ""),
    (&["label", "score", "target", "y", "number", "rating"], "value", ""),
    (&["label", "positive", "passage", "passages", "answer", "relevant"], "positives", ""),
    (&["negative", "hard-negatives"], "negatives", ""),
];

/// What to write for a word of another tool, among the names known at the place.
pub fn advice<S: AsRef<str>>(word: &str, known: &[S]) -> Option<String> {
    let plain = |text: &str| text.to_lowercase().replace(['_', ' '], "-");
    let word = plain(word);
    let (_, name, say) = SYNONYMS.iter().find(|(words, name, _)| {
        words.contains(&word.as_str()) && known.iter().any(|known| known.as_ref() == *name)
    })?;
    Some(if say.is_empty() { format!("`{name}`") } else { (*say).to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_means_what_is_known_at_its_place() {
        assert_eq!(advice("Learning_Rate", &["lr", "epochs"]).as_deref(), Some("`lr`"));
        assert_eq!(advice("text", &["a", "b", "label"]).as_deref().map(|say| &say[..3]), Some("`a`"));
        assert_eq!(advice("text", &["tokens", "tags"]).as_deref(), Some("`tokens`"));
        assert_eq!(advice("text", &["lr"]), None);
        assert_eq!(advice("lr", &["lr"]), None);
    }

    #[test]
    fn words_are_written_as_they_are_compared_and_mean_names_that_there_are() {
        let mut names: Vec<&str> = crate::suite::keys().iter().map(|key| key.name).collect();
        for kind in crate::kind::KINDS {
            names.extend([&[kind.name, kind.target, "negatives"], kind.inputs].concat());
        }
        for (words, name, _) in SYNONYMS {
            assert!(names.contains(name), "{name} is no key, kind or role");
            let is_plain = |word: &&str| word.to_lowercase().replace(['_', ' '], "-") == **word;
            assert!(words.iter().all(is_plain), "{words:?}");
        }
    }
}
