//! What a suite's tasks read, and the settings and heads that go with it.

use std::collections::BTreeMap;
use std::path::Path;

use super::check::is_encoder_name;
use super::draft::Draft;
use super::fresh;
use super::near;
use super::reporter::Reporter;
use super::section::Section;
use super::tree::{Node, shorten};
use super::{ModelSpec, SourceSpec};
use crate::input::{self, INPUTS, InputInfo, image, table, text};
use crate::kind::{KINDS, KindInfo};
use crate::method::Choice;

/// What all tasks read: one thing.
pub(super) fn of_tasks(tasks: &[Draft], reporter: &mut Reporter) -> &'static InputInfo {
    let mut known = tasks.iter().filter_map(|task| Some((task, task.kind?)));
    let Some((first, kind)) = known.next() else { return &text::TEXT };
    for (task, other) in known.filter(|(_, other)| other.input != kind.input) {
        let problem = format!(
            "{} ({}) reads {}, but {} ({}) reads {}; one network reads one of them",
            task.section.label,
            other.name,
            other.input.plural,
            first.section.label,
            kind.name,
            kind.input.plural
        );
        reporter.report(task.section.place("kind"), problem, "a suite of its own for each");
    }
    kind.input
}

/// Where a section names its columns: the line of each role.
pub(super) fn column_lines(section: &Section) -> BTreeMap<String, usize> {
    let columns = section.node("columns").map_or(&[][..], Node::entries);
    columns.iter().map(|(role, column)| (role.clone(), column.origin.line())).collect()
}

/// Which columns of a suite's tables encoders read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Encoded {
    /// Whether some are texts.
    pub(super) texts: bool,
    /// Whether some are images.
    pub(super) images: bool,
}

impl Encoded {
    pub(super) fn of(sources: &[SourceSpec]) -> Self {
        let any = |columns: fn(&SourceSpec) -> &Vec<String>| {
            sources.iter().any(|source| !columns(source).is_empty())
        };
        Self { texts: any(|source| &source.texts), images: any(|source| &source.images) }
    }

    /// Whether a network on the table stands beside an encoder that is there already, and is trained as that is.
    pub(super) fn beside(self, model: &ModelSpec) -> bool {
        let is_there = |name: &String| !input::is_net(name);
        model.trees.is_none()
            && (self.texts || self.images && model.image_encoder.as_ref().is_some_and(is_there))
    }

    /// Whether the network starts from random weights, so that its vectors say nothing yet.
    pub(super) fn starts_fresh(self, model: &ModelSpec) -> bool {
        let has_image_encoder = !self.texts && self.beside(model);
        fresh::starts_fresh(&model.encoder) && !has_image_encoder
    }
}

/// Settings that are about one input stand in suites of it, and the encoder is one that reads what the tasks give.
pub(super) fn model_keys(
    section: &Section,
    (encoder, encoded): (&str, Encoded),
    own: &InputInfo,
    reporter: &mut Reporter,
) {
    images_of_tables(section, own, encoded, reporter);
    if encoded.texts {
        encoder_of_texts(section, encoder, reporter);
    } else {
        encoder_reads(section, encoder, own, reporter);
    }
    let of_others = INPUTS.iter().filter(|other| ***other != *own);
    let keys: BTreeMap<&str, &InputInfo> =
        of_others.flat_map(|other| other.model_keys.iter().map(move |key| (*key, *other))).collect();
    for (key, other) in keys {
        let is_of_columns = encoded.texts && key == "max_length";
        if section.has(key) && !own.model_keys.contains(&key) && !section.is_default(key) && !is_of_columns {
            let what =
                format!("`{key}` in [model] is about {}, but the tasks read {}", other.plural, own.plural);
            let resizes = if *own == image::IMAGE { "; `image_size` resizes images" } else { "" };
            reporter.report(section.place(key), what, format!("remove it{resizes}"));
        }
    }
    if section.maybe_size("channels").is_some_and(|n| n != 1 && n != 3) {
        let what = "`channels` in [model] is neither 1 nor 3";
        reporter.report(section.place("channels"), what, "1 (grey) or 3 (red, green, blue)");
    }
    if !own.even_states && section.maybe_text("pooling").is_some_and(|pooling| pooling.contains("flatten")) {
        let what =
            "`pooling` in [model] is `flatten`, which needs states of one number per input, as images have";
        reporter.report(section.place("pooling"), what, "\"mean\"");
    }
}

/// Settings of rows that are about one input stand where tasks read it.
pub(super) fn row_keys(section: &Section, own: &InputInfo, reporter: &mut Reporter) {
    for other in INPUTS.iter().filter(|other| ***other != *own) {
        for key in other.row_keys.iter().filter(|key| section.has(key) && !section.is_default(key)) {
            let what = format!(
                "`{key}` in {} is about {}, but its tasks read {}",
                section.label, other.plural, own.plural
            );
            reporter.report(section.place(key), what, "remove it");
        }
    }
}

/// Settings about images stand in suites of tables that have some, which a network reads.
fn images_of_tables(section: &Section, own: &InputInfo, encoded: Encoded, reporter: &mut Reporter) {
    let keys = table::TABLE.model_keys.iter().filter(|key| image::IMAGE.model_keys.contains(key));
    for key in keys.chain([&"image_encoder"]).filter(|key| *own == table::TABLE && **key != "widths") {
        if section.has(key) && !section.is_default(key) && !encoded.images {
            let what = format!("`{key}` in [model] is about images, but no source names columns in `images`");
            reporter.report(section.place(key), what, "images = [\"photo\"] in the source, or remove it");
        }
    }
    let loaded = section.maybe_text("image_encoder").filter(|name| !input::is_net(name));
    for key in image::IMAGE.model_keys.iter().filter(|key| **key != "widths") {
        if let Some(name) = loaded.as_ref().filter(|_| section.has(key) && !section.is_default(key)) {
            let what = format!(
                "`{key}` in [model] is about images of a fresh network, but `{}` says itself what it reads",
                shorten(name)
            );
            reporter.report(section.place(key), what, "remove it");
        }
    }
    if encoded.images && section.has("trees") {
        let what = "`images` names columns that are images, which boosted trees do not read";
        reporter.report(
            section.place("trees"),
            what,
            "`images` left out, or a network in the place of `trees`",
        );
    }
}

/// Columns of texts are read through an encoder of texts.
fn encoder_of_texts(section: &Section, encoder: &str, reporter: &mut Reporter) {
    if let Some(net) = input::of_net(encoder) {
        let what = format!(
            "`encoder` in [model] is `{encoder}`, which reads {}, but `texts` names columns that are texts",
            net.plural
        );
        reporter.report(section.place("encoder"), what, "\"sentence-transformers/all-MiniLM-L6-v2\"");
    }
}

/// The encoder is a network that reads what the tasks give.
fn encoder_reads(section: &Section, encoder: &str, own: &InputInfo, reporter: &mut Reporter) {
    let origin = section.place("encoder");
    if let Some(other) = input::of_net(encoder).filter(|other| *other != own) {
        let what = format!(
            "`encoder` in [model] is the {} network `{encoder}`, but the tasks read {}",
            other.name, own.plural
        );
        let kind = KINDS.iter().find(|kind| kind.input == other).map_or("class", |kind| kind.name);
        reporter.report(origin, what, format!("kind = {kind:?}, or an encoder of {}", own.plural));
    }
    let is_of_texts = encoder == "tiny" || encoder.contains('/') && is_encoder_name(encoder);
    if !own.nets.is_empty() && is_of_texts && !Path::new(encoder).is_dir() {
        let what = format!(
            "`encoder` in [model] is `{}`, which reads texts, but the tasks read {}",
            shorten(encoder),
            own.plural
        );
        let remedy = format!("one of {}, or the model folder of such a run", near::list(own.nets));
        reporter.report(origin, what, remedy);
    }
}

/// A chosen head is for kinds whose head is a map of one vector; a hidden layer also for those that read two.
pub(super) fn head(draft: &Draft, kind: &KindInfo, head: &Choice, reporter: &mut Reporter) {
    let fits = match head.name.as_str() {
        "linear" => true,
        "mlp" => kind.head.takes_hidden(),
        _ => kind.head.reads_one_vector(),
    };
    if !fits {
        let what =
            format!("head `{}` in {} does not fit the kind `{}`", head.name, draft.section.label, kind.name);
        reporter.report(draft.section.place("head"), what, "remove it");
    }
}
