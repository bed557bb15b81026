//! What a suite's tasks read: texts or images, and the settings and heads that go with them.

use std::collections::BTreeMap;
use std::path::Path;

use super::check::is_encoder_name;
use super::near;
use super::read::Draft;
use super::section::{Reporter, Section};
use super::written::{Node, shorten};
use crate::image;
use crate::kind::KindInfo;
use crate::method::Choice;

/// All tasks read texts, or all read images; whether they read images.
pub(super) fn reads_images(tasks: &[Draft], reporter: &mut Reporter) -> bool {
    let mut known = tasks.iter().filter_map(|task| Some((task, task.kind?)));
    let Some((first, kind)) = known.next() else { return false };
    let what = |kind: &KindInfo| if kind.reads_images() { "images" } else { "texts" };
    for (task, other) in known.filter(|(_, other)| other.reads_images() != kind.reads_images()) {
        let problem = format!(
            "{} ({}) reads {}, but {} ({}) reads {}; one network reads one of them",
            task.section.label,
            other.name,
            what(other),
            first.section.label,
            kind.name,
            what(kind)
        );
        reporter.report(task.section.place("kind"), problem, "a suite of its own for each");
    }
    kind.reads_images()
}

/// Where a section names its columns: the line of each role.
pub(super) fn column_lines(section: &Section) -> BTreeMap<String, usize> {
    let columns = section.node("columns").map_or(&[][..], Node::entries);
    columns.iter().map(|(role, column)| (role.clone(), column.origin.line())).collect()
}

/// Settings of images stand in suites of images, and the encoder is one that reads what the tasks give.
pub(super) fn image_keys(section: &Section, encoder: &str, images: bool, reporter: &mut Reporter) {
    let is_net = image::is_net(encoder);
    let origin = section.place("encoder");
    if is_net && !images {
        let what = format!("`encoder` in [model] is the image network `{encoder}`, but the tasks read texts");
        reporter.report(origin, what, "kind = \"image-class\", or an encoder of texts");
    }
    if images
        && !is_net
        && (encoder == "tiny" || encoder.contains('/') && is_encoder_name(encoder))
        && !Path::new(encoder).is_dir()
    {
        let what = format!(
            "`encoder` in [model] is `{}`, which reads texts, but the tasks read images",
            shorten(encoder)
        );
        reporter.report(
            origin,
            what,
            format!("one of {}, or the model folder of such a run", near::list(image::NETS)),
        );
    }
    // A merged suite has every default written out.
    let is_default = |key: &str| match key {
        "pixel_mean" => section.real(key) == 0.0,
        "pixel_std" => section.real(key) == 1.0,
        _ => false,
    };
    for key in ["image_size", "channels", "pixel_mean", "pixel_std", "widths"] {
        if section.has(key) && !images && !is_default(key) {
            let what = format!("`{key}` in [model] is about images, but the tasks read texts");
            reporter.report(section.place(key), what, "remove it");
        }
    }
    if images && section.has("max_length") {
        let what = "`max_length` in [model] is about texts, but the tasks read images";
        reporter.report(section.place("max_length"), what, "remove it; `image_size` resizes images");
    }
    if section.maybe_size("channels").is_some_and(|n| n != 1 && n != 3) {
        let what = "`channels` in [model] is neither 1 nor 3";
        reporter.report(section.place("channels"), what, "1 (grey) or 3 (red, green, blue)");
    }
    if !images && section.maybe_text("pooling").is_some_and(|pooling| pooling.contains("flatten")) {
        let what =
            "`pooling` in [model] is `flatten`, which needs states of one number per input, as images have";
        reporter.report(section.place("pooling"), what, "\"mean\"");
    }
}

/// A chosen head is for kinds whose head is a map of one vector.
pub(super) fn head(draft: &Draft, kind: &KindInfo, head: &Choice, reporter: &mut Reporter) {
    if !kind.head.takes_hidden() && head.name != "linear" {
        let what =
            format!("head `{}` in {} does not fit the kind `{}`", head.name, draft.section.label, kind.name);
        reporter.report(draft.section.place("head"), what, "remove it");
    }
}
