//! From the file to the checked suite: the written tree, overrides, sections, then what must fit together.

use std::collections::BTreeMap;
use std::path::Path;

use super::draft::{self, Draft};
use super::inputs::Encoded;
use super::keys::Table;
use super::nodes::{self, NodeSpec};
use super::parts::{self, HEADS, NO_REGULARIZER, SAMPLINGS, Shelf};
use super::reporter::{Purpose, Reporter};
use super::section::Section;
use super::tree::{Data, Node, Origin, shorten};
use super::{Catalogue, ModelSpec, Sampling, SourceSpec, Start, Suite, TaskSpec, TrainSpec};
use super::{
    check, documents, endpoint, files, fresh, inputs, label_file, label_keys, near, prompts, teacher, written,
};
use crate::error::{Error, Result};
use crate::input::{FreshTraining, InputInfo};
use crate::kind::{self, KindInfo};
use crate::method::Choice;

/// Reads and checks a suite file; `overrides` are the `KEY=VALUE` of `--set`.
///
/// # Errors
/// `Io` when the file cannot be read; `Invalid` with every mistake in it, by line.
pub fn load(path: &Path, catalogue: &Catalogue, overrides: &[String]) -> Result<Suite> {
    load_for(Purpose::Train, path, catalogue, overrides)
}

/// As [`load`], to judge a model that is there: sources may have no rows to train on.
pub fn load_to_judge(path: &Path, catalogue: &Catalogue, overrides: &[String]) -> Result<Suite> {
    load_for(Purpose::Judge, path, catalogue, overrides)
}

fn load_for(purpose: Purpose, path: &Path, catalogue: &Catalogue, overrides: &[String]) -> Result<Suite> {
    let bytes = crate::files::read(path, crate::files::SMALL).map_err(Error::io("read", path))?;
    parse_for(purpose, &written::decoded(bytes, path)?, path, catalogue, overrides)
}

/// Checks the text of a suite file that stands (or would stand) at `file`.
///
/// # Errors
/// `Invalid` with every mistake, by line.
pub fn parse(text: &str, file: &Path, catalogue: &Catalogue, overrides: &[String]) -> Result<Suite> {
    parse_for(Purpose::Train, text, file, catalogue, overrides)
}

/// The same for a suite that judges a model: sources need no rows to train on.
pub fn parse_to_judge(text: &str, file: &Path, catalogue: &Catalogue, overrides: &[String]) -> Result<Suite> {
    parse_for(Purpose::Judge, text, file, catalogue, overrides)
}

fn parse_for(
    purpose: Purpose,
    text: &str,
    file: &Path,
    catalogue: &Catalogue,
    overrides: &[String],
) -> Result<Suite> {
    let mut tree = written::read(text, file)?;
    let mut reporter = Reporter::new(file, purpose);
    written::apply(&mut tree, overrides, &mut reporter);
    documents::expand(&mut tree, &mut reporter);
    let suite = Reader { file, catalogue, reporter: &mut reporter }.suite(&tree);
    match reporter.finish() {
        problems if problems.is_empty() => Ok(suite),
        problems => Err(Error::Invalid(problems)),
    }
}

struct Reader<'a, 'b> {
    file: &'a Path,
    catalogue: &'a Catalogue,
    reporter: &'b mut Reporter<'a>,
}

impl Reader<'_, '_> {
    fn suite(&mut self, tree: &Node) -> Suite {
        let empty = Node { origin: Origin::Line(1), data: Data::Table(Vec::new()) };
        let root = Section::check(Table::Root, "the suite".into(), tree, self.reporter);
        let table = |key: &str| root.node(key).unwrap_or(&empty);
        let model = Section::check(Table::Model, "[model]".into(), table("model"), self.reporter);
        let train = Section::check(Table::Train, "[train]".into(), table("train"), self.reporter);
        let nodes = self.nodes(root.node("nodes"));
        let sources = self.drafts(Table::Source, root.node("source"));
        let tasks = self.drafts(Table::Task, root.node("task"));
        if tasks.is_empty() && (root.has("task") || tree.get("task").is_none()) {
            let example = "a [[task]] with `name`, `kind` and `data`; `polytask init` writes one";
            self.reporter.report(root.origin, "the suite has no task, expected at least one", example);
        }
        check::names(&sources, &tasks, self.reporter);
        let sections: Vec<&Section> = sources.iter().chain(&tasks).map(|draft| &draft.section).collect();
        nodes::unused(&nodes, &sections, self.reporter);
        let input = inputs::of_tasks(&tasks, self.reporter);
        let sources = self.sources(&sources, &tasks, &nodes);
        let encoded = Encoded::of(&sources);
        let (written, model) = (&model, self.model(&model, input, encoded));
        let is_fresh = encoded.starts_fresh(&model);
        // Heads of tags start small where they start from probes, and nobody said how fast heads learn.
        let tags_start_small = fresh::start(&train, is_fresh) == Start::Probe && !train.has("head_lr_factor");
        let suite = Suite {
            name: root.text("name"),
            seed: root.count("seed"),
            train: self.train(&train, &tasks, (input.fresh, encoded.beside(&model)), is_fresh),
            model,
            tasks: tasks.iter().map(|draft| self.task(draft, tags_start_small)).collect(),
            nodes,
            sources,
            folder: self.file.parent().unwrap_or(Path::new("")).to_path_buf(),
            file: self.file.to_path_buf(),
            is_to_judge: !self.reporter.wants_train() || tasks.iter().all(label_file::needs_no_train),
        };
        check::fit(&suite, &train, &tasks, self.catalogue, self.reporter);
        endpoint::fits(&suite, written, self.reporter);
        suite
    }

    /// The node sets, each of a name of its own.
    fn nodes(&mut self, list: Option<&Node>) -> Vec<NodeSpec> {
        let base = self.file.parent().unwrap_or(Path::new(""));
        let drafts = self.drafts(Table::Nodes, list);
        check::unique("node set", &drafts, self.reporter);
        drafts.iter().map(|draft| nodes::read(draft, base, self.reporter)).collect()
    }

    /// The sections of a list of tables.
    fn drafts<'t>(&mut self, table: Table, list: Option<&'t Node>) -> Vec<Draft<'t>> {
        let nodes = list.map_or(&[][..], Node::items).iter().enumerate();
        nodes.map(|(i, node)| self.draft(table, i, node)).collect()
    }

    fn draft<'t>(&mut self, table: Table, i: usize, node: &'t Node) -> Draft<'t> {
        let noun = match table {
            Table::Task => "task",
            Table::Nodes => "node set",
            _ => "source",
        };
        let label = match node.get("name").and_then(Node::text) {
            Some(name) => format!("{noun} `{}`", shorten(name)),
            None => format!("{} number {}", table.header(), i + 1),
        };
        let section = Section::check(table, label, node, self.reporter);
        if node.get("name").is_none() && matches!(node.data, Data::Table(_)) {
            let what = format!("{} has no `name`, expected letters, digits, - and _", section.label);
            let example = format!("name = \"{}-{}\"", noun.replace(' ', "-"), i + 1);
            self.reporter.report(section.origin, what, example);
        }
        let kind = if table == Table::Task { draft::kind(&section, node, self.reporter) } else { None };
        let name = section.maybe_text("name").unwrap_or_default();
        Draft { section, name, kind }
    }

    fn model(&mut self, section: &Section, input: &InputInfo, encoded: Encoded) -> ModelSpec {
        // Columns of texts are read by an encoder that is there already.
        let fresh = input.fresh.filter(|_| !section.has("encoder") && !encoded.texts);
        let encoder = fresh.map_or_else(|| section.text("encoder"), |fresh| fresh.encoder.into());
        let base = self.file.parent().unwrap_or(Path::new(""));
        check::encoder(&encoder, base, section.place("encoder"), self.reporter);
        inputs::model_keys(section, (&encoder, encoded), input, self.reporter);
        let shelf = Shelf { noun: "sharing", parts: &self.catalogue.sharings };
        let (sharing, _) = shelf.choice(section, "sharing", &section.part("sharing"), self.reporter);
        let shelf = Shelf { noun: "tune", parts: &self.catalogue.tunes };
        let scores = Shelf { noun: "score", parts: &self.catalogue.scores };
        let trees = Shelf { noun: "trees", parts: &self.catalogue.trees };
        let (tune, _) = shelf.choice(section, "tune", &section.part("tune"), self.reporter);
        let score = section.has("score").then(|| scores.choice(section, "score", "pooled", self.reporter).0);
        ModelSpec {
            encoder,
            score,
            freeze: section.texts("freeze"),
            tune,
            sharing,
            pooling: section.maybe_text("pooling"),
            max_length: section.maybe_size("max_length"),
            image_encoder: section.maybe_text("image_encoder"),
            image_size: section.maybe_sizes("image_size"),
            channels: section.maybe_size("channels"),
            pixel_mean: section.real("pixel_mean"),
            pixel_std: section.real("pixel_std"),
            widths: section.maybe_sizes("widths"),
            precision: section.text("precision"),
            dropout: section.maybe_real("dropout"),
            trees: trees.maybe(section, "trees", self.reporter),
            endpoint: endpoint::read(section, self.reporter),
        }
    }

    fn train(
        &mut self,
        section: &Section,
        tasks: &[Draft],
        (fresh, has_encoder): (Option<FreshTraining>, bool),
        is_fresh: bool,
    ) -> TrainSpec {
        let fresh = fresh.filter(|_| !has_encoder);
        let is_sized = section.has("batch_rows") || section.has("batch_tokens");
        let rows = fresh.filter(|_| !is_sized).map(|fresh| fresh.batch_rows);
        let lr = fresh.filter(|_| !section.has("lr")).map(|fresh| fresh.lr);
        let shelf = Shelf { noun: "weighting", parts: &self.catalogue.weightings };
        let (weighting, _) = shelf.choice(section, "weighting", &section.part("weighting"), self.reporter);
        let names: Vec<&str> = tasks.iter().map(|task| task.name.as_str()).collect();
        parts::check_task_keys(section, &names, self.reporter);
        let regularizer = self.regularizer(section);
        let start = fresh::start(section, is_fresh);
        TrainSpec {
            epochs: section.real("epochs"),
            steps: section.maybe_count("steps"),
            batch_tokens: section.size("batch_tokens"),
            batch_rows: rows.or_else(|| section.maybe_size("batch_rows")),
            lr: lr.unwrap_or_else(|| section.real("lr")),
            head_lr_factor: fresh::head_lr_factor(section, (fresh.is_some(), has_encoder), start),
            weight_decay: section.real("weight_decay"),
            betas: section.word("betas"),
            eps: section.real("eps"),
            warmup: section.real("warmup"),
            schedule: section.word("schedule"),
            clip: section.real("clip"),
            mixing: section.word("mixing"),
            sampling: self.sampling(section),
            weighting,
            gradients: section.word("gradients"),
            regularizer,
            start,
            eval_every: section.count("eval_every"),
            keep: section.word("keep"),
            watch: section.text("watch"),
            patience: section.count("patience"),
            conflict_every: section.count("conflict_every"),
            checkpoint_every: section.count("checkpoint_every"),
            baselines: self.baselines(section),
            recompute: section.flag("recompute"),
            micro_tokens: section.size("micro_tokens"),
            cache_mb: section.size("cache_mb"),
            data_mb: section.size("data_mb"),
            rows_mb: section.size("rows_mb"),
            threads: section.size("threads"),
            seconds: None,
            open: fresh::open_keys(section, fresh, is_fresh),
        }
    }

    /// The learners a run is compared with.
    fn baselines(&mut self, section: &Section) -> Vec<String> {
        let known: Vec<&str> = self.catalogue.learners.iter().map(|info| info.id).collect();
        let asked = match section.switch("baselines") {
            Some(true) => return known.into_iter().map(str::to_owned).collect(),
            Some(false) => return Vec::new(),
            None => section.texts("baselines"),
        };
        for id in asked.iter().filter(|id| !known.contains(&id.as_str())) {
            let what = format!("unknown learner `{}`", shorten(id));
            self.reporter.report(section.place("baselines"), what, near::advice(id, &known));
        }
        asked
    }

    fn regularizer(&mut self, section: &Section) -> Choice {
        let parts: Vec<_> =
            [&NO_REGULARIZER].into_iter().chain(self.catalogue.regularizers.iter().copied()).collect();
        let shelf = Shelf { noun: "regularizer", parts: &parts };
        shelf.choice(section, "regularizer", &section.part("regularizer"), self.reporter).0
    }

    fn sampling(&mut self, section: &Section) -> Sampling {
        let shelf = Shelf { noun: "sampling", parts: SAMPLINGS };
        let (choice, info) = shelf.choice(section, "sampling", &section.part("sampling"), self.reporter);
        match (choice.name.as_str(), info) {
            ("proportional", _) => Sampling::Proportional,
            ("uniform", _) => Sampling::Uniform,
            ("annealed", _) => Sampling::Annealed,
            ("round-robin", _) => Sampling::RoundRobin,
            ("temperature", Some(info)) => Sampling::Temperature { t: choice.real(info, "t") },
            _ => Sampling::Sqrt,
        }
    }

    /// The sources written, then one for each task with data of its own.
    fn sources(&mut self, sources: &[Draft], tasks: &[Draft], nodes: &[NodeSpec]) -> Vec<SourceSpec> {
        let shared = sources.iter().map(|draft| {
            let readers: Vec<&Draft> = tasks.iter().filter(|task| task.reads(&draft.name)).collect();
            check::readers(draft, &readers, self.reporter);
            let columns = check::source_columns(&draft.section, &readers, self.reporter);
            self.source(draft, &readers, columns, nodes)
        });
        let mut all: Vec<SourceSpec> = shared.collect();
        for draft in tasks {
            if draft.section.has("from") {
                check::shared_task(draft, sources, self.reporter);
            } else {
                let columns = check::input_columns(draft);
                all.push(self.source(draft, &[draft], columns, nodes));
            }
        }
        all
    }

    fn source(
        &mut self,
        draft: &Draft,
        readers: &[&Draft],
        mut columns: BTreeMap<String, String>,
        nodes: &[NodeSpec],
    ) -> SourceSpec {
        let section = &draft.section;
        let kinds: Vec<&KindInfo> = readers.iter().filter_map(|reader| reader.kind).collect();
        nodes::sides(section, &kinds, nodes, self.reporter);
        let left = section.maybe_text("left");
        // A left side that is no node set is a column.
        if let Some(column) = left.as_ref().filter(|left| !nodes.iter().any(|node| node.name == **left)) {
            columns.entry("left".into()).or_insert_with(|| column.clone());
        }
        let base = self.file.parent().unwrap_or(Path::new(""));
        let found = files::resolve(section, base, self.reporter);
        check::found(draft, readers, &found, self.reporter);
        if let Some(kind) = readers.iter().find_map(|reader| reader.kind) {
            inputs::row_keys(section, kind.input, self.reporter);
        }
        SourceSpec {
            name: draft.name.clone(),
            files: found.files,
            documents: documents::choice(section, self.reporter),
            columns,
            column_lines: inputs::column_lines(section),
            prompts: prompts::read(section, &kinds, self.reporter),
            features: section.texts("features"),
            ignore: section.texts("ignore"),
            categories: section.texts("categories"),
            texts: section.texts("texts"),
            images: section.texts("images"),
            group: section.maybe_text("group"),
            valid: section.real("valid"),
            missing: label_keys::missing_of_rows(section),
            limit: section.size("limit"),
            batch_rows: section.maybe_size("batch_rows"),
            batch_tokens: section.maybe_size("batch_tokens"),
            sampling_weight: section.real("sampling_weight"),
            corpus: found.corpus,
            queries: found.queries,
            qrels: found.qrels,
            left,
            right: section.maybe_text("right"),
            line: section.origin.line(),
        }
    }

    fn task(&mut self, draft: &Draft, tags_start_small: bool) -> TaskSpec {
        let section = &draft.section;
        // A placeholder for reading on: a task without a kind has been reported.
        let kind = draft.kind.unwrap_or(kind::KINDS[0]);
        let columns = check::target_columns(draft, self.reporter);
        let shelf = Shelf { noun: "loss", parts: &self.catalogue.losses };
        let (loss, known) = shelf.choice(section, "loss", kind.losses[0], self.reporter);
        let heads = Shelf { noun: "head", parts: HEADS };
        let objectives = Shelf { noun: "objective", parts: &self.catalogue.objectives };
        let labels = label_file::labels(section, self.file, self.reporter);
        let usual = if labels.file.is_some() { "label-cross".into() } else { section.part("head") };
        let (head, _) = heads.choice(section, "head", &usual, self.reporter);
        if draft.kind.is_some() {
            check::loss(draft, kind, self.catalogue, (&loss, known.is_some()), self.reporter);
            check::metric(draft, kind, self.catalogue, self.reporter);
            label_keys::labels(draft, kind, labels.names.as_deref(), self.reporter);
            label_keys::separator(draft, kind, self.reporter);
            label_keys::identical(draft, kind, self.reporter);
            label_keys::range(draft, kind, self.reporter);
            label_file::fits(draft, kind, &head, self.reporter);
            inputs::head(draft, kind, &head, self.reporter);
        }
        TaskSpec {
            name: draft.name.clone(),
            kind,
            from: section.maybe_text("from").unwrap_or_else(|| draft.name.clone()),
            columns,
            column_lines: inputs::column_lines(section),
            head,
            loss,
            objective: objectives.maybe(section, "objective", self.reporter),
            metric: section.maybe_text("metric").unwrap_or_else(|| kind.metrics[0].into()),
            labels: labels.names,
            label_file: labels.file,
            descriptions: labels.described,
            none: section.maybe_text("none"),
            out_of_scope: label_file::out_of_scope(section),
            beside: label_file::beside(section, self.reporter),
            generated: label_file::generated(section, self.file, self.reporter),
            counts_labels: section.has("labels"),
            reads_words: false,
            range: section.maybe_interval("range"),
            separator: section.maybe_text("separator"),
            missing: label_keys::trimmed(section, "missing"),
            identical: section.word("identical"),
            teacher: teacher::read(section, kind, (self.catalogue, self.file), self.reporter),
            margin: section.real("margin"),
            loss_weight: section.real("loss_weight"),
            lr_factor: fresh::lr_factor(section, kind, tags_start_small),
            freeze: section.texts("freeze"),
            line: section.origin.line(),
        }
    }
}
