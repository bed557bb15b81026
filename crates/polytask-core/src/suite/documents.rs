//! Rows made of documents: the forms there are, and a task of the kind `segmentation` as the tasks of its heads.

use super::near;
use super::parts::Shelf;
use super::reporter::Reporter;
use super::section::Section;
use super::tree::{Data, Node, Origin, shorten};
use crate::kind::{SEGMENT_HEADS, SEGMENTATION};
use crate::method::{Choice, Family, MethodInfo, ParamInfo, Range};

/// The label of two sentences of one topic, after that of two topics.
pub const TOPIC_LABELS: [&str; 2] = ["change", "same"];
/// The label of a sentence that follows another, after that of one that does not.
pub const NEXT_LABELS: [&str; 2] = ["apart", "next"];
/// Roles of the columns of a document.
pub const DOCUMENT_ROLES: [&str; 5] = ["sentences", "sections", "boundaries", "labels", "id"];

const fn column(name: &'static str, about: &'static str) -> ParamInfo {
    ParamInfo { name, about, default: "null", range: Range::Text }
}

const SENTENCES: ParamInfo = column("sentences", "Column of the list of sentences.");
const SECTIONS: ParamInfo = column("sections", "Column of the section of each sentence.");
const BOUNDARIES: ParamInfo = column("boundaries", "Column of marks: 1 where a sentence ends a segment.");
const LABELS: ParamInfo = column("labels", "Column of the class of each sentence.");
const ID: ParamInfo = column("id", "Column of the document's id.");
const OF: ParamInfo = column("of", "The segmentation whose heads read these rows.");

/// The ways to make rows of documents, sorted by name.
pub static DOCUMENTS: &[&MethodInfo] = &[
    &documents(
        "pairs",
        "Two sentences of a document, whether they are of one topic and whether one follows the other: all neighbours, and as many that lie apart, half of them of one section. Whether those are of one topic is learnt and not scored.",
        &[
            OF,
            ParamInfo {
                name: "context",
                about: "Sentences on each side that are read as one text.",
                default: "1",
                range: Range::Integer { min: 1 },
            },
            ParamInfo {
                name: "combine",
                about: "Which heads decide where a segment ends: that of same topics, that of classes, or the mean of both.",
                default: "\"stp\"",
                range: Range::OneOf(&["stp", "tc", "mean"]),
            },
            ParamInfo {
                name: "across",
                about: "Which pairs across a place decide: its two neighbours, or by themselves the neighbours, all pairs of two or three sentences a side, or peaks of these, whichever has the best F1 on valid.",
                default: "\"auto\"",
                range: Range::OneOf(&["auto", "neighbours"]),
            },
            ParamInfo {
                name: "nsp_boundary",
                about: "Whether the first sentence of a section counts as following the last one of the section before.",
                default: "\"follow\"",
                range: Range::OneOf(&["follow", "break"]),
            },
            SENTENCES,
            SECTIONS,
            BOUNDARIES,
            LABELS,
            ID,
        ],
    ),
    &documents(
        "sentences",
        "A sentence of a document and its class.",
        &[OF, SENTENCES, SECTIONS, BOUNDARIES, LABELS, ID],
    ),
];

const fn documents(id: &'static str, about: &'static str, params: &'static [ParamInfo]) -> MethodInfo {
    MethodInfo { id, title: id, paper: "", family: Family::Documents, about, cost: "", kinds: &[], params }
}

/// How a source makes rows of documents, where it does.
pub(super) fn choice(section: &Section, reporter: &mut Reporter) -> Option<Choice> {
    let shelf = Shelf { noun: "documents", parts: DOCUMENTS };
    shelf.maybe(section, "documents", reporter)
}

/// Keys of a segmentation itself.
const OWN: [&str; 5] = ["heads", "context", "combine", "across", "nsp_boundary"];
/// Keys that are about its documents.
const OF_ROWS: [&str; 6] = ["data", "files", "limit", "batch_rows", "batch_tokens", "sampling_weight"];
/// Keys that each of its heads takes.
const OF_HEADS: [&str; 4] = ["margin", "loss_weight", "lr_factor", "freeze"];

/// Puts the tasks of its heads, and the sources they read, in the place of every task of the kind `segmentation`.
pub(super) fn expand(tree: &mut Node, reporter: &mut Reporter) {
    let Data::Table(entries) = &mut tree.data else { return };
    let Some((_, Node { data: Data::List(tasks), origin })) =
        entries.iter_mut().find(|(key, _)| key == "task")
    else {
        return;
    };
    let (mut sources, origin) = (Vec::new(), origin.clone());
    for task in std::mem::take(tasks) {
        let is_one = task.get("kind").and_then(Node::text) == Some(SEGMENTATION);
        match (is_one, task.get("name").and_then(Node::text).map(str::to_owned)) {
            (true, Some(name)) => {
                let written = Segmentation { task: &task, name: &name };
                let heads = written.heads(reporter);
                written.check(reporter);
                sources.extend(written.sources(&heads));
                tasks.extend(heads.iter().map(|head| written.head(head)));
            }
            _ => tasks.push(task),
        }
    }
    if sources.is_empty() {
        return;
    }
    match entries.iter_mut().find(|(key, _)| key == "source") {
        Some((_, Node { data: Data::List(known), .. })) => known.extend(sources),
        Some(_) => {}
        None => entries.push(("source".into(), Node { origin, data: Data::List(sources) })),
    }
}

/// A task of the kind as it was written.
struct Segmentation<'a> {
    task: &'a Node,
    name: &'a str,
}

impl Segmentation<'_> {
    fn label(&self) -> String {
        format!("task `{}`", shorten(self.name))
    }

    /// The heads it names, all of them where it names none.
    fn heads(&self, reporter: &mut Reporter) -> Vec<&'static str> {
        let Some(node) = self.task.get("heads") else { return SEGMENT_HEADS.to_vec() };
        let named: Vec<Option<&'static str>> = node.items().iter().map(known_head).collect();
        let is_doubled = named.iter().enumerate().any(|(at, head)| named[..at].contains(head));
        if named.is_empty() || is_doubled || named.contains(&None) {
            let what =
                format!("`heads` in {} is {}, expected some of stp, tc, nsp", self.label(), node.found());
            reporter.report(&node.origin, what, "heads = [\"stp\", \"tc\", \"nsp\"]");
            return SEGMENT_HEADS.to_vec();
        }
        named.into_iter().flatten().collect()
    }

    /// Refuses keys and roles that it does not have.
    fn check(&self, reporter: &mut Reporter) {
        let rest = ["name", "kind", "columns", "labels"];
        let known: Vec<&str> = [&OWN[..], &OF_ROWS, &OF_HEADS, &rest].concat();
        for (key, node) in self.task.entries().iter().filter(|(key, _)| !known.contains(&key.as_str())) {
            let what =
                format!("key `{}` in {} is none of the kind `{SEGMENTATION}`", shorten(key), self.label());
            let remedy = match key.as_str() {
                "loss" | "metric" | "head" => {
                    format!(
                        "`polytask show` writes the tasks of its heads out ({}-stp, …), which take it",
                        self.name
                    )
                }
                "from" => "`data` or `files`: its rows are made of documents".to_owned(),
                "valid" => "`files = { train = …, valid = … }`: documents are not cut by rows".to_owned(),
                _ => near::advice(key, &known),
            };
            reporter.report(&node.origin, what, remedy);
        }
        let columns = self.task.get("columns").map_or(&[][..], Node::entries);
        for (role, node) in columns.iter().filter(|(role, _)| !DOCUMENT_ROLES.contains(&role.as_str())) {
            let what = format!("unknown role `{}` in columns of {}", shorten(role), self.label());
            reporter.report(&node.origin, what, near::advice(role, &DOCUMENT_ROLES));
        }
    }

    /// The rows of pairs, and those of sentences where a head reads classes.
    fn sources(&self, heads: &[&str]) -> Vec<Node> {
        let forms = [("pairs", heads.iter().any(|head| *head != "tc")), ("sentences", heads.contains(&"tc"))];
        forms.into_iter().filter(|(_, is_read)| *is_read).map(|(form, _)| self.source(form)).collect()
    }

    fn source(&self, form: &str) -> Node {
        let mut documents = vec![self.text_of("name", form), self.text_of("of", self.name)];
        let own = OWN[1..].iter().filter(|_| form == "pairs").filter_map(|key| self.given(key));
        documents.extend(own);
        let columns = self.task.get("columns").map_or(&[][..], Node::entries);
        documents.extend(columns.iter().filter(|(role, _)| DOCUMENT_ROLES.contains(&role.as_str())).cloned());
        let mut entries = vec![self.text_of("name", &format!("{}-{form}", self.name))];
        entries.extend(OF_ROWS.iter().filter_map(|key| self.given(key)));
        entries.push(("documents".into(), self.node(Data::Table(documents))));
        self.node(Data::Table(entries))
    }

    /// The task of a head.
    fn head(&self, head: &str) -> Node {
        let (kind, form, column, labels): (_, _, _, &[&str]) = match head {
            "tc" => ("class", "sentences", "label", &[]),
            "nsp" => ("pair-class", "pairs", "next", &NEXT_LABELS),
            _ => ("pair-class", "pairs", "topic", &TOPIC_LABELS),
        };
        let columns = vec![self.text_of("label", column)];
        let mut entries = vec![
            self.text_of("name", &format!("{}-{head}", self.name)),
            self.text_of("kind", kind),
            self.text_of("from", &format!("{}-{form}", self.name)),
            ("columns".into(), self.node(Data::Table(columns))),
            // Boundaries are rare or dense: the share of right answers says little.
            self.text_of("metric", "macro_f1"),
        ];
        if labels.is_empty() {
            entries.extend(self.given("labels"));
        } else {
            let labels = labels.iter().map(|label| self.node(Data::Text((*label).into())));
            entries.push(("labels".into(), self.node(Data::List(labels.collect()))));
        }
        entries.extend(OF_HEADS.iter().filter_map(|key| self.given(key)));
        self.node(Data::Table(entries))
    }

    fn given(&self, key: &str) -> Option<(String, Node)> {
        Some((key.to_owned(), self.task.get(key)?.clone()))
    }

    fn text_of(&self, key: &str, text: &str) -> (String, Node) {
        (key.to_owned(), self.node(Data::Text(text.to_owned())))
    }

    /// A value at the place of the task.
    fn node(&self, data: Data) -> Node {
        let origin: Origin = self.task.origin.clone();
        Node { origin, data }
    }
}

fn known_head(node: &Node) -> Option<&'static str> {
    let name = node.text()?;
    SEGMENT_HEADS.iter().copied().find(|head| *head == name)
}
