//! `polytask methods --pages DIR`: a page for every part of the tables and every kind, and one for the keys of a suite.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use polytask_core::suite::{Table, keys_of};
use polytask_core::{KindInfo, atomic, kind};

use super::{Listed, MERGE, PAPER, Parameter};
use polytask_terminal::output;

/// The first line of every page.
const MADE: &str = "<!-- Made by `polytask methods --pages`; not to be edited. -->\n";

/// A page.
struct Page {
    /// Its file's name.
    file: String,
    text: String,
}

/// Writes all pages into `folder`.
pub(super) fn write(listed: &[Listed], folder: &Path) -> Result<()> {
    atomic::create_dir(folder)?;
    for page in pages(listed) {
        atomic::write(&folder.join(&page.file), page.text.as_bytes())?;
        output::line(folder.join(&page.file).display().to_string())?;
    }
    Ok(())
}

/// The pages: their list first. Papers have pages of their own.
fn pages(listed: &[Listed]) -> Vec<Page> {
    let parts: Vec<&Listed> = listed.iter().filter(|part| part.kind != PAPER).collect();
    let list = Page { file: "README.md".into(), text: list(&parts) };
    let suite = Page { file: "suite.md".into(), text: suite() };
    let of_kinds = kind::KINDS.iter().map(|kind| of_kind(kind));
    let of_parts = parts.iter().map(|part| Page { file: file(part.kind, part.id), text: of_part(part) });
    [list, suite].into_iter().chain(of_kinds).chain(of_parts).collect()
}

/// The file of a page: metrics have a sign in their names that files should not.
fn file(kind: &str, id: &str) -> String {
    format!("{kind}-{}.md", id.replace('@', "-at-"))
}

fn list(parts: &[&Listed]) -> String {
    let mut text = format!(
        "{MADE}# Reference\n\n[suite.md](suite.md): every key of a suite file. Below: what its keys choose from, as \
         `polytask methods` lists it.\n\n## Kinds of tasks\n\n| kind | what it is |\n| --- | --- |\n"
    );
    for kind in kind::KINDS {
        let _ = writeln!(text, "| [{0}]({1}) | {2} |", kind.name, file("kind", kind.name), kind.about);
    }
    for family in parts.chunk_by(|a, b| a.family == b.family) {
        let _ = write!(
            text,
            "\n## {}\n\n| id | what it does | paper |\n| --- | --- | --- |\n",
            title(&family[0].family())
        );
        for part in family {
            let link = file(part.kind, part.id);
            let _ = writeln!(text, "| [{}]({link}) | {} | {} |", part.id, part.about, part.paper);
        }
    }
    text
}

/// A heading: the first letter large.
fn title(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn of_part(part: &Listed) -> String {
    let mut text = format!("{MADE}# {} (`{}`)\n\n{}\n\n", part.title, part.id, sentence(part.about));
    let kinds = kinds_of(part).join(", ");
    let facts = [("Family", &*part.family()), ("Paper", part.paper), ("Cost", part.cost), ("Kinds", &kinds)];
    for (name, fact) in facts.iter().filter(|(_, fact)| !fact.is_empty()) {
        let _ = writeln!(text, "- {name}: {fact}");
    }
    if !part.parameters.is_empty() {
        text += "\n## Parameters\n\n| name | takes | default | meaning |\n| --- | --- | --- | --- |\n";
        text.extend(part.parameters.iter().map(row));
    }
    let (place, language) =
        if part.kind == MERGE { ("On the command line", "sh") } else { ("In a suite", "toml") };
    let _ = write!(text, "\n## {place}\n\n```{language}\n{}\n```\n", part.example);
    if part.kind == "weighting" {
        let _ = write!(
            text,
            "\nRule, departures from the paper and published code, and scale of the step: the head of\n\
             [`{0}.rs`](../../crates/polytask-weighting/src/weightings/{0}.rs).\n",
            part.id.replace('-', "_")
        );
    }
    text
}

/// Names of the kinds a loss or metric fits.
fn kinds_of(part: &Listed) -> Vec<&'static str> {
    let known = polytask_train::catalogue();
    let fits = |kind: &&&KindInfo| match part.kind {
        "loss" => known.losses_of(kind).contains(&part.id),
        "metric" => known.has_metric(kind, &part.id.replace("@k", "@10")),
        _ => false,
    };
    kind::KINDS.iter().filter(fits).map(|kind| kind.name).collect()
}

fn row(parameter: &Parameter) -> String {
    let default = if parameter.default.is_null() { "–".into() } else { format!("`{}`", parameter.default) };
    format!(
        "| `{}` | {} | {default} | {} |\n",
        parameter.name,
        parameter.range.replace('|', "\\|"),
        sentence(parameter.about)
    )
}

/// A description as a sentence.
fn sentence(about: &str) -> String {
    let about = title(about);
    if about.ends_with('.') { about } else { format!("{about}.") }
}

fn of_kind(kind: &KindInfo) -> Page {
    let mut text = format!("{MADE}# `{}`\n\n{}\n\n## Columns\n\n", kind.name, kind.about);
    text += "| role | also found under the names |\n| --- | --- |\n";
    for role in kind.input_roles().iter().chain([&kind.target]) {
        let names: Vec<String> = kind.synonyms_of(role).iter().map(|name| format!("`{name}`")).collect();
        let _ = writeln!(text, "| `{role}` | {} |", names.join(", "));
    }
    let linked = |what: &str, ids: Vec<&str>| {
        // One page for a metric at any cut: `ndcg@10` is `ndcg@k`.
        let page = |id: &str| id.split_once('@').map_or(id.to_owned(), |(name, _)| format!("{name}@k"));
        let links = ids.iter().map(|id| format!("[`{id}`]({})", file(what, &page(id))));
        links.collect::<Vec<_>>().join(", ")
    };
    let known = polytask_train::catalogue();
    let labels = if kind.form.orders_labels() { "labels = [\"low\", \"medium\", \"high\"]\n" } else { "" };
    let _ = write!(
        text,
        "\nLosses, the default first: {}.\n\nMetrics, the main one first: {}.\n\n## In a suite\n\n```toml\n[[task]]\n\
         name = \"mine\"\nkind = {:?}\ndata = \"data/mine\"\n{labels}```\n\nHubs call it `{}`.\n",
        linked("loss", known.losses_of(kind)),
        linked("metric", known.metrics_of(kind)),
        kind.name,
        kind.hub_task
    );
    Page { file: file("kind", kind.name), text }
}

/// Every key of every table.
fn suite() -> String {
    let mut text = format!(
        "{MADE}# The suite file\n\nA TOML file. Every key may be set on the command line too: `--set train.lr=1e-4`, \
         `--set task.intent.metric=accuracy`. What a suite leaves open is chosen from the data: `polytask show suite.toml` \
         prints it with its reasons.\n"
    );
    for table in Table::ALL {
        let _ = write!(
            text,
            "\n## {}\n\n| key | takes | default | meaning | why, or what happens without it |\n",
            title(table.header())
        );
        text += "| --- | --- | --- | --- | --- |\n";
        for key in keys_of(table) {
            let default = if key.default.is_empty() { "–".into() } else { format!("`{}`", key.default) };
            let takes = key.value.describe().replace('|', "\\|");
            let [about, why] = [key.about, key.why].map(|said| sentence(said).replace('|', "\\|"));
            let _ = writeln!(
                text,
                "| `{}` | {takes} | {} | {about} | {why} |",
                key.name,
                default.replace('|', "\\|")
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_pages_are_those_of_the_tables() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");
        let pages = pages(&super::super::all());
        for page in &pages {
            let found = std::fs::read_to_string(folder.join(&page.file)).unwrap_or_default();
            assert!(
                found == page.text,
                "{}: stale; run `polytask methods --pages docs/reference`",
                page.file
            );
        }
        let written = std::fs::read_dir(&folder).unwrap().count();
        assert_eq!(written, pages.len(), "a page of no part in {}", folder.display());
    }

    #[test]
    fn every_link_of_a_page_leads_to_one() {
        let pages = pages(&super::super::all());
        let files: Vec<&str> = pages.iter().map(|page| page.file.as_str()).collect();
        for page in &pages {
            let links = page.text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
            for link in links.filter(|link| !link.starts_with("../")) {
                assert!(files.contains(&link), "{}: {link}", page.file);
            }
        }
    }
}
