//! What must fit together: names, tasks and their sources, kinds and their columns, losses, metrics.

use std::collections::BTreeMap;
use std::path::Path;

use super::draft::Draft;
use super::files::Found;
use super::label_file::{self, needs_no_train};
use super::near;
use super::reporter::Reporter;
use super::section::Section;
use super::tree::{Node, Origin, shorten};
use super::{Catalogue, Split, Suite};
use crate::kind::KindInfo;
use crate::method::Choice;

/// Roles of columns that belong to the rows whatever the kind: an id for reports, a weight in the loss.
const ROW_ROLES: [&str; 2] = ["id", "weight"];

/// Keys of a source that a task with data of its own may hold too.
const SOURCE_KEYS: [&str; 19] = [
    "features",
    "group",
    "ignore",
    "categories",
    "texts",
    "images",
    "data",
    "files",
    "valid",
    "limit",
    "batch_rows",
    "batch_tokens",
    "sampling_weight",
    "prompts",
    "corpus",
    "queries",
    "qrels",
    "left",
    "right",
];

/// No two tasks and no two sources of one name; a task with its own data takes a source name too.
pub(super) fn names(sources: &[Draft], tasks: &[Draft], reporter: &mut Reporter) {
    unique("source", sources, reporter);
    unique("task", tasks, reporter);
    for task in tasks.iter().filter(|task| !task.section.has("from") && !task.name.is_empty()) {
        if let Some(source) = sources.iter().find(|source| source.name == task.name) {
            let line = source.section.origin.line();
            let what =
                format!("{} has no `from` but the name of the source in line {line}", task.section.label);
            reporter.report(
                task.section.place("name"),
                what,
                format!("from = {:?}, or another name", task.name),
            );
        }
    }
    for task in tasks.iter().filter(|task| task.name == "mean") {
        let what = "a task is named `mean`, which is what `train.watch` calls the mean of all tasks";
        reporter.report(task.section.place("name"), what, "another name");
    }
}

pub(super) fn unique(noun: &str, drafts: &[Draft], reporter: &mut Reporter) {
    let mut first: BTreeMap<&str, &Draft> = BTreeMap::new();
    for draft in drafts.iter().filter(|draft| !draft.name.is_empty()) {
        if let Some(earlier) = first.get(draft.name.as_str()) {
            let line = earlier.section.origin.line();
            let what = format!("two {noun}s are named `{}`, the first in line {line}", draft.name);
            reporter.report(draft.section.place("name"), what, format!("name = \"{}-2\"", draft.name));
        } else {
            first.insert(&draft.name, draft);
        }
    }
}

/// An encoder is a name, `pypi:NAME` or a folder.
pub(super) fn encoder(encoder: &str, base: &Path, origin: &Origin, reporter: &mut Reporter) {
    let looks_like_path = encoder.starts_with(['.', '/', '~']) || encoder.contains('\\');
    if base.join(encoder).is_dir() {
        return;
    }
    if looks_like_path {
        let what = format!("`encoder` in [model]: there is no folder `{}`", shorten(encoder));
        reporter.report(origin, what, "a path relative to the suite file, or a name for `polytask pull`");
    } else if !is_encoder_name(encoder.strip_prefix("pypi:").unwrap_or(encoder)) {
        let what = format!(
            "`encoder` in [model] is {:?}, expected NAME, OWNER/NAME, pypi:NAME or a folder",
            shorten(encoder)
        );
        reporter.report(origin, what, "\"sentence-transformers/all-MiniLM-L6-v2\"");
    }
}

pub(super) fn is_encoder_name(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let word = |part: &str| part.starts_with(|c: char| c.is_ascii_alphanumeric()) && part.chars().all(legal);
    let parts: Vec<&str> = text.split('/').collect();
    parts.len() <= 2 && parts.iter().all(|part| word(part))
}

/// Someone reads the source, and all its readers take the same number of texts per row.
pub(super) fn readers(source: &Draft, readers: &[&Draft], reporter: &mut Reporter) {
    if readers.is_empty() && !source.name.is_empty() {
        let what = format!("{} is read by no task", source.section.label);
        reporter.report(
            source.section.origin,
            what,
            format!("from = {:?} in a [[task]], or remove the source", source.name),
        );
    }
    let mut known = readers.iter().filter_map(|reader| Some((reader, reader.kind?)));
    let Some((first, kind)) = known.next() else { return };
    let reads = |kind: &KindInfo| (kind.inputs.len(), kind.n_sequences());
    for (reader, other) in known.filter(|(_, other)| reads(other) != reads(kind)) {
        let what = format!(
            "{} ({}) reads {} of each row, but {} of the same source ({}) reads {}",
            reader.section.label,
            other.name,
            near::list(other.inputs),
            first.section.label,
            kind.name,
            near::list(kind.inputs)
        );
        reporter.report(
            reader.section.place("from"),
            what,
            "a [[source]] of its own for each way to read texts",
        );
    }
}

/// A task with `from`: the source exists, and settings of rows stand there.
pub(super) fn shared_task(task: &Draft, sources: &[Draft], reporter: &mut Reporter) {
    let from = task.section.maybe_text("from").unwrap_or_default();
    let label = &task.section.label;
    let names: Vec<&str> =
        sources.iter().map(|source| source.name.as_str()).filter(|name| !name.is_empty()).collect();
    if !names.contains(&from.as_str()) {
        let what = format!("`from` in {label} names `{from}`, which is no [[source]]");
        let remedy = if names.is_empty() {
            "a [[source]] of this name, or `data`".into()
        } else {
            near::advice(&from, &names)
        };
        reporter.report(task.section.place("from"), what, remedy);
    }
    for key in SOURCE_KEYS.into_iter().filter(|key| task.section.has(key)) {
        let (what, remedy) = if key == "data" || key == "files" {
            (format!("{label} has both `from` and `{key}`, expected one of them"), "remove one".into())
        } else {
            let what = format!("`{key}` in {label} is about rows it shares with others through `from`");
            (what, format!("move it to the [[source]] `{from}`"))
        };
        reporter.report(task.section.place(key), what, remedy);
    }
}

/// The rows have a train part, and retrieval's keys are whole and used by retrieval.
pub(super) fn found(draft: &Draft, readers: &[&Draft], found: &Found, reporter: &mut Reporter) {
    let section = &draft.section;
    let given = |key: &str| section.has(key);
    retrieval_keys(section, readers, found, reporter);
    if found.broken || ["data", "files", "qrels"].iter().any(|key| section.is_refused(key)) {
        return;
    }
    let needs_none = !readers.is_empty() && readers.iter().all(|reader| needs_no_train(reader));
    if found.files.is_empty() && found.qrels.is_empty() && needs_none {
        return;
    }
    if found.files.is_empty() && found.qrels.is_empty() {
        let what = format!("{} has no data, expected `data`, `files` or a source", section.label);
        reporter.report(section.origin, what, "data = \"a folder with train, valid and test files\"");
    } else if reporter.wants_train()
        && !needs_none
        && !found.files.contains_key(&Split::Train)
        && !found.qrels.contains_key(&Split::Train)
    {
        let key = if given("files") { "files" } else { "qrels" };
        let what = format!("`{key}` in {} has no `train`, expected a file to train on", section.label);
        reporter.report(section.place(key), what, format!("{key} = {{ train = \"...\" }}"));
    }
}

fn retrieval_keys(section: &Section, readers: &[&Draft], found: &Found, reporter: &mut Reporter) {
    let keys = ["corpus", "queries", "qrels"];
    let kinds: Vec<&KindInfo> = readers.iter().filter_map(|reader| reader.kind).collect();
    let retrieval = |kind: &&KindInfo| !kind.answers_rows();
    if kinds.len() == readers.len() && !kinds.is_empty() && !kinds.iter().any(retrieval) {
        for key in keys.into_iter().filter(|key| section.has(key)) {
            let what = format!(
                "`{key}` in {} is for the kind `retrieval`, found `{}`",
                section.label, kinds[0].name
            );
            reporter.report(section.place(key), what, "kind = \"retrieval\", or remove it");
        }
        if section.has("data") && !found.qrels.is_empty() {
            let what = format!(
                "`data` in {} is a retrieval folder (corpus, queries, qrels), found kind `{}`",
                section.label, kinds[0].name
            );
            reporter.report(section.place("data"), what, "kind = \"retrieval\"");
        }
        return;
    }
    // A split with rows of its own has its queries there; judgements add what answers them.
    let asked = found.queries.is_some() || found.qrels.keys().all(|split| found.files.contains_key(split));
    let whole = found.qrels.is_empty() || (found.corpus.is_some() && asked);
    let lone_queries = section.has("queries") && !section.has("qrels");
    if !found.broken && (!whole || lone_queries) {
        let present: Vec<&str> = keys.into_iter().filter(|key| section.has(key)).collect();
        let what = format!(
            "{} has {}, expected `corpus`, `queries` and `qrels` together",
            section.label,
            near::list(&present)
        );
        reporter.report(section.place(present.first().copied().unwrap_or("data")), what, "the missing ones");
    }
}

fn columns<'a>(section: &Section<'a>) -> &'a [(String, Node)] {
    section.node("columns").map_or(&[], Node::entries)
}

fn pair((role, column): &(String, Node)) -> Option<(String, String)> {
    Some((role.clone(), column.text()?.to_owned()))
}

fn is_target(kind: &KindInfo, role: &str) -> bool {
    role == kind.target || (!kind.answers_rows() && role == "negatives")
}

fn is_input(kind: &KindInfo, role: &str) -> bool {
    kind.input_roles().contains(&role) || ROW_ROLES.contains(&role)
}

/// Columns of a source: inputs of its readers; targets stand in the tasks.
pub(super) fn source_columns(
    section: &Section,
    readers: &[&Draft],
    reporter: &mut Reporter,
) -> BTreeMap<String, String> {
    let kinds: Vec<&KindInfo> = readers.iter().filter_map(|reader| reader.kind).collect();
    let certain = kinds.len() == readers.len() && !readers.is_empty();
    for (role, node) in columns(section).iter().filter(|_| certain) {
        if kinds.iter().any(|kind| is_input(kind, role)) {
            continue;
        }
        let label = &section.label;
        let role_shown = shorten(role);
        if let Some(reader) =
            readers.iter().find(|reader| reader.kind.is_some_and(|kind| is_target(kind, role)))
        {
            let what = format!("column `{role_shown}` in {label} is a target, expected roles of inputs");
            reporter.report(&node.origin, what, format!("move it to `columns` of {}", reader.section.label));
        } else {
            let inputs = kinds.iter().flat_map(|kind| kind.input_roles().iter().copied());
            let mut known: Vec<&str> = inputs.chain(ROW_ROLES).collect();
            known.sort_unstable();
            known.dedup();
            reporter.report(
                &node.origin,
                format!("unknown role `{role_shown}` in columns of {label}"),
                near::advice(role, &known),
            );
        }
    }
    columns(section).iter().filter_map(pair).collect()
}

/// Columns of a task with data of its own that belong to its rows.
pub(super) fn input_columns(draft: &Draft) -> BTreeMap<String, String> {
    let input = |entry: &&(String, Node)| draft.kind.is_some_and(|kind| is_input(kind, &entry.0));
    columns(&draft.section).iter().filter(input).filter_map(pair).collect()
}

/// Columns of a task that are its target; roles that are neither its target nor its input are reported.
pub(super) fn target_columns(draft: &Draft, reporter: &mut Reporter) -> BTreeMap<String, String> {
    let (section, shared) = (&draft.section, draft.section.has("from"));
    let Some(kind) = draft.kind else { return BTreeMap::new() };
    let mut targets = BTreeMap::new();
    for entry in columns(section) {
        let (role, node) = entry;
        if is_target(kind, role) || (shared && role == "weight") {
            targets.extend(pair(entry));
        } else if !is_input(kind, role) {
            let mut known: Vec<&str> = vec![kind.target, "weight"];
            if !kind.answers_rows() {
                known.push("negatives");
            }
            if !shared {
                known.extend(kind.input_roles().iter().chain(&["id"]));
            }
            let what =
                format!("unknown role `{}` in columns of {} ({})", shorten(role), section.label, kind.name);
            reporter.report(&node.origin, what, near::advice(role, &known));
        } else if shared {
            let what =
                format!("column `{role}` in {} is an input of rows it shares through `from`", section.label);
            reporter.report(&node.origin, what, "move it to `columns` of the [[source]]");
        }
    }
    targets
}

/// The loss is one of the kind's.
pub(super) fn loss(
    draft: &Draft,
    kind: &KindInfo,
    catalogue: &Catalogue,
    (loss, known): (&Choice, bool),
    reporter: &mut Reporter,
) {
    let fitting = catalogue.losses_of(kind);
    if known && draft.section.has("loss") && !fitting.contains(&loss.name.as_str()) {
        let what =
            format!("loss `{}` in {} does not fit the kind `{}`", loss.name, draft.section.label, kind.name);
        reporter.report(draft.section.place("loss"), what, one_of(&fitting));
    }
}

/// The metric is one of the kind's.
pub(super) fn metric(draft: &Draft, kind: &KindInfo, catalogue: &Catalogue, reporter: &mut Reporter) {
    let Some(metric) = draft.section.maybe_text("metric") else { return };
    if catalogue.has_metric(kind, &metric) {
        return;
    }
    let label = &draft.section.label;
    let exists = catalogue.metrics.iter().any(|info| info.id == metric);
    let what = if exists {
        format!("metric `{metric}` in {label} is not of the kind `{}`", kind.name)
    } else {
        format!("unknown metric `{}` in {label}", shorten(&metric))
    };
    let fitting = catalogue.metrics_of(kind);
    let remedy = if exists { one_of(&fitting) } else { near::advice(&metric, &fitting) };
    reporter.report(draft.section.place("metric"), what, remedy);
}

fn one_of(names: &[&str]) -> String {
    if names.len() == 1 { near::list(names) } else { format!("one of {}", near::list(names)) }
}

/// What concerns the whole suite: steps against epochs, and what is watched.
pub(super) fn fit(
    suite: &Suite,
    train: &Section,
    tasks: &[Draft],
    catalogue: &Catalogue,
    reporter: &mut Reporter,
) {
    if train.has("epochs") && train.has("steps") {
        let what = "[train] has both `epochs` and `steps`, expected one of them";
        reporter.report(train.place("steps"), what, "remove one");
    }
    watch(&suite.train.watch, train.place("watch"), tasks, catalogue, reporter);
    label_file::all_or_none(suite, tasks, reporter);
}

fn watch(watch: &str, origin: &Origin, tasks: &[Draft], catalogue: &Catalogue, reporter: &mut Reporter) {
    if watch == "mean" {
        return;
    }
    let (name, metric) = watch.split_once('.').map_or((watch, None), |(name, metric)| (name, Some(metric)));
    let mut known: Vec<&str> =
        tasks.iter().map(|task| task.name.as_str()).filter(|name| !name.is_empty()).collect();
    known.push("mean");
    let Some(task) = tasks.iter().find(|task| task.name == name) else {
        let what =
            format!("`watch` in [train] names `{}`, expected mean, a task or task.metric", shorten(name));
        return reporter.report(origin, what, near::advice(name, &known));
    };
    let (Some(metric), Some(kind)) = (metric, task.kind) else { return };
    if !catalogue.has_metric(kind, metric) {
        let what = format!(
            "`watch` in [train] names `{}`, which is no metric of {}",
            shorten(metric),
            task.section.label
        );
        reporter.report(origin, what, near::advice(metric, &catalogue.metrics_of(kind)));
    }
}
