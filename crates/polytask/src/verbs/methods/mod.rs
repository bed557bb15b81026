//! `polytask methods`: every named part with its parameters, cost and paper, from the tables the suite check reads.

use std::path::PathBuf;

use anyhow::Result;
use polytask_core::method::MethodInfo;
use polytask_core::suite::{DOCUMENTS, HEADS, SAMPLINGS};
use polytask_core::{ParamInfo, near};
use polytask_eval::table::{aligned, fitting, wrapped};
use polytask_methods::Paper;
use polytask_methods::registry::PAPERS;
use serde::Serialize;
use serde_json::Value;

use polytask_terminal::output::{self, Outcome};

mod pages;

/// List the methods (weightings, losses, metrics, papers, …) or show one in full
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask methods
  polytask methods --kind weighting --json
  polytask methods mgda
  polytask methods --kind paper
  polytask methods --pages reference

Exit codes: 0 done, 2 there is no such method.")]
pub(crate) struct Args {
    /// Show this one in full: parameters with range and default, cost, an example
    name: Option<String>,
    /// Only methods of this kind
    #[arg(long, value_parser = KINDS)]
    kind: Option<String>,
    /// Print a JSON list of objects
    #[arg(long)]
    json: bool,
    /// Write a Markdown page of each part, each kind of task and all keys of a suite into this folder
    #[arg(long, value_name = "DIR", conflicts_with_all = ["name", "kind", "json"])]
    pages: Option<PathBuf>,
}

/// The kinds of named parts.
const KINDS: [&str; 16] = [
    "weighting",
    "regularizer",
    "loss",
    "metric",
    "head",
    "sampling",
    "documents",
    "sharing",
    "tune",
    "score",
    "trees",
    "objective",
    DISTIL,
    LEARNER,
    MERGE,
    PAPER,
];
/// What lies between a student and its teacher.
const DISTIL: &str = "distil";
/// What a run is compared with.
const LEARNER: &str = "learner";
/// How models become one.
const MERGE: &str = "merge";

/// The kind that is no part of a suite: what `polytask reproduce` runs.
const PAPER: &str = "paper";

/// A method as other programs read it; they rely on these names.
#[derive(Debug, Clone, Serialize)]
struct Listed {
    id: &'static str,
    /// The same, but for papers, whose id is a number.
    name: &'static str,
    title: &'static str,
    kind: &'static str,
    /// As [`polytask_core::Family`] is written.
    family: Value,
    paper: &'static str,
    about: &'static str,
    cost: &'static str,
    parameters: Vec<Parameter>,
    /// How a user chooses it.
    example: String,
}

#[derive(Debug, Clone, Serialize)]
struct Parameter {
    name: &'static str,
    about: &'static str,
    /// `null` when it must be given or is found out.
    default: Value,
    /// The values it takes, in words.
    range: String,
}

pub(crate) fn run(args: &Args) -> Result<Outcome> {
    let mut listed = all();
    if let Some(folder) = &args.pages {
        pages::write(&listed, folder)?;
        return Ok(Outcome::Done);
    }
    if let Some(kind) = &args.kind {
        listed.retain(|method| method.kind == kind);
    }
    if let Some(name) = &args.name {
        listed = named(&listed, name)?;
    }
    if args.json {
        output::json(&listed)?;
    } else if args.name.is_some() {
        listed.iter().try_for_each(show_one)?;
    } else {
        show_families(&listed)?;
    }
    Ok(Outcome::Done)
}

/// The tables of named parts.
fn tables() -> [(&'static str, Vec<&'static MethodInfo>); 15] {
    let known = polytask_train::catalogue();
    [
        ("weighting", known.weightings),
        ("regularizer", known.regularizers),
        ("loss", known.losses),
        ("metric", known.metrics),
        ("head", HEADS.to_vec()),
        ("sampling", SAMPLINGS.to_vec()),
        ("documents", DOCUMENTS.to_vec()),
        ("sharing", known.sharings),
        ("tune", known.tunes),
        ("score", known.scores),
        ("trees", known.trees),
        ("objective", known.objectives),
        (DISTIL, known.distils),
        (LEARNER, known.learners),
        (MERGE, polytask_merge::METHODS.iter().map(|method| &method.info).collect()),
    ]
}

/// Every method, kind after kind and family after family.
fn all() -> Vec<Listed> {
    let mut listed = Vec::new();
    for (kind, mut parts) in tables() {
        parts.sort_by_key(|info| info.family);
        listed.extend(parts.into_iter().map(|info| Listed::new(kind, info)));
    }
    let papers: Vec<Listed> = PAPERS.iter().map(|paper| Listed::of_paper(paper, &listed)).collect();
    listed.extend(papers);
    listed
}

impl Listed {
    fn new(kind: &'static str, info: &'static MethodInfo) -> Self {
        Self {
            id: info.id,
            name: info.id,
            title: info.title,
            kind,
            family: serde_json::to_value(info.family).unwrap_or(Value::Null),
            paper: info.paper,
            about: info.about,
            cost: info.cost,
            parameters: info.params.iter().map(Parameter::new).collect(),
            example: example(kind, info),
        }
    }

    /// A paper; its parameters are those of the part of a suite it is reached by.
    fn of_paper(paper: &'static Paper, parts: &[Self]) -> Self {
        let part = parts.iter().find(|part| paper.parts.first() == Some(&part.id));
        Self {
            id: paper.id,
            name: paper.name,
            title: paper.title,
            kind: PAPER,
            family: PAPER.into(),
            paper: paper.paper,
            about: paper.about,
            cost: paper.cost,
            parameters: part.map(|part| part.parameters.clone()).unwrap_or_default(),
            example: format!("polytask reproduce {} --quick", paper.id),
        }
    }

    /// The family in words.
    fn family(&self) -> String {
        self.family.as_str().unwrap_or(self.kind).replace('-', " ")
    }
}

impl Parameter {
    fn new(info: &ParamInfo) -> Self {
        let default = serde_json::from_str(info.default).unwrap_or(Value::Null);
        Self { name: info.name, about: info.about, default, range: info.range.describe() }
    }

    fn short(&self) -> String {
        if self.default.is_null() { self.name.into() } else { format!("{} = {}", self.name, self.default) }
    }
}

/// The lines of a suite that choose a part.
fn example(kind: &str, info: &MethodInfo) -> String {
    let table = match kind {
        "loss" | "metric" | "head" | "objective" => "[[task]]",
        "sharing" | "tune" | "score" | "trees" => "[model]",
        _ => "[train]",
    };
    match kind {
        // A cut is a number.
        "metric" => return format!("{table}\nmetric = {:?}", info.id.replace("@k", "@10")),
        DISTIL => {
            return format!("[[task]]\nteacher = {{ model = \"runs/teacher\", loss = {:?} }}", info.id);
        }
        LEARNER => return format!("{table}\nbaselines = [{:?}]", info.id),
        "documents" => return format!("[[source]]\n{kind} = {{ name = {:?}, of = \"topics\" }}", info.id),
        MERGE => return format!("polytask merge MODEL MODEL --method {} --out DIR", info.id),
        _ => {}
    }
    let known = info.params.iter().filter(|param| param.default != "null");
    let given: Vec<String> = known.map(|param| format!(", {} = {}", param.name, param.default)).collect();
    if given.is_empty() {
        format!("{table}\n{kind} = {:?}", info.id)
    } else {
        format!("{table}\n{kind} = {{ name = {:?}{} }}", info.id, given.concat())
    }
}

/// The methods of this id; the error names the nearest.
fn named(listed: &[Listed], name: &str) -> Result<Vec<Listed>> {
    let found: Vec<Listed> =
        listed.iter().filter(|method| [method.id, method.name].contains(&name)).cloned().collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let ids: Vec<&str> = listed.iter().map(|method| method.id).collect();
    output::refuse(format!("there is no method `{name}`"), near::advice(name, &ids))
}

/// A table per family.
fn show_families(listed: &[Listed]) -> Result<()> {
    for (i, family) in listed.chunk_by(|a, b| a.family == b.family).enumerate() {
        let gap = if i > 0 { "\n" } else { "" };
        output::line(format!("{gap}{} (--kind {})", family[0].family(), family[0].kind))?;
        let layouts = LAYOUTS.iter().map(|columns| rows(family, columns));
        let lines = fitting(layouts, output::width()).unwrap_or_else(|| described(family, output::width()));
        lines.iter().try_for_each(output::line)?;
    }
    output::line("\n`polytask methods NAME` shows one in full.")
}

/// Columns of the table, widest layout first.
const LAYOUTS: [&[&str]; 5] = [
    &["id", "name", "title", "parameters", "cost", "paper"],
    &["id", "name", "parameters", "cost", "paper"],
    &["id", "name", "parameters", "cost"],
    &["id", "name", "parameters"],
    &["id", "name", "cost", "paper"],
];

/// Where there is no room for more: what each method does, broken into lines.
fn described(family: &[Listed], width: usize) -> Vec<String> {
    let rows = rows(family, &["id", "name", "about"]);
    let last = rows[0].len() - 1;
    let widest = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let before: usize = (0..last).map(|column| widest(column) + 2).sum();
    let broken = |row: &Vec<String>| {
        let lines = wrapped(&row[last], width.saturating_sub(before).max(20)).into_iter().enumerate();
        let cell = |column: usize, line: usize| if line == 0 { row[column].clone() } else { String::new() };
        let row = |(line, text)| (0..last).map(|column| cell(column, line)).chain([text]).collect();
        lines.map(row).collect::<Vec<Vec<String>>>()
    };
    aligned(&rows.iter().flat_map(broken).collect::<Vec<_>>())
}

/// The head and a row per method; a column that is empty for the whole family is left out.
fn rows(family: &[Listed], columns: &[&str]) -> Vec<Vec<String>> {
    let cell = |method: &Listed, column: &str| match column {
        "id" => method.id.to_owned(),
        "name" if method.name == method.id => String::new(),
        "name" => method.name.to_owned(),
        "title" => method.title.to_owned(),
        "parameters" => method.parameters.iter().map(Parameter::short).collect::<Vec<_>>().join(", "),
        "cost" => method.cost.to_owned(),
        "about" => method.about.to_owned(),
        _ => method.paper.to_owned(),
    };
    let said = |column: &&str| family.iter().any(|method| !cell(method, column).is_empty());
    let columns: Vec<&str> = columns.iter().copied().filter(said).collect();
    let head = columns.iter().map(ToString::to_string).collect();
    let row = |method: &Listed| columns.iter().map(|column| cell(method, column)).collect();
    std::iter::once(head).chain(family.iter().map(row)).collect()
}

/// Everything about one method.
fn show_one(method: &Listed) -> Result<()> {
    output::line(format!("{}: {} ({})", method.id, method.title, method.family()))?;
    for line in wrapped(method.about, output::width().saturating_sub(2)) {
        output::line(format!("  {line}"))?;
    }
    for (name, text) in [("paper", method.paper), ("cost", method.cost)] {
        let lines = wrapped(text, output::width().saturating_sub(9)).into_iter().enumerate();
        for (i, line) in lines.filter(|_| !text.is_empty()) {
            output::line(format!("  {:<6} {line}", if i == 0 { name } else { "" }))?;
        }
    }
    show_parameters(&method.parameters)?;
    output::line(match method.kind {
        PAPER => "\nto run its experiment",
        MERGE => "\non the command line",
        _ => "\nin a suite file",
    })?;
    method.example.lines().try_for_each(|line| output::line(format!("  {line}")))
}

fn show_parameters(parameters: &[Parameter]) -> Result<()> {
    if parameters.is_empty() {
        return output::line("\nno parameters");
    }
    output::line("")?;
    for parameter in parameters {
        let default = if parameter.default.is_null() { "–".into() } else { parameter.default.to_string() };
        output::line(format!("{}: {}, default {default}", parameter.name, parameter.range))?;
        for line in wrapped(parameter.about, output::width().saturating_sub(2)) {
            output::line(format!("  {line}"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use polytask_core::KindInfo;
    use polytask_core::kind::KINDS as KINDS_OF_TASKS;

    use super::*;

    #[test]
    fn every_part_of_every_table_is_listed_once_under_its_kind_and_every_kind_has_some() {
        let listed = all();
        for (kind, parts) in tables() {
            let mut ids: Vec<&str> = listed.iter().filter(|m| m.kind == kind).map(|m| m.id).collect();
            let mut known: Vec<&str> = parts.iter().map(|info| info.id).collect();
            ids.sort_unstable();
            known.sort_unstable();
            assert_eq!(ids, known, "{kind}");
        }
        assert!(KINDS.iter().all(|kind| listed.iter().any(|method| method.kind == *kind)));
    }

    #[test]
    fn the_example_of_every_part_is_right_in_a_suite() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("runs/teacher")).unwrap();
        std::fs::write(folder.path().join("rows.csv"), "text,label\nx,a\ny,b\n").unwrap();
        let known = polytask_train::catalogue();
        let stands_in_a_suite =
            |method: &&Listed| ![PAPER, MERGE].contains(&method.kind) && !method.id.contains('@');
        for method in all().iter().filter(stands_in_a_suite) {
            let (table, line) = method.example.split_once('\n').unwrap();
            let at = |header: &str| if table == header { line } else { "" };
            let (model, train, task) = (at("[model]"), at("[train]"), at("[[task]]"));
            let of_trees = ["trees", "objective"].contains(&method.kind);
            let model = if method.kind == "objective" { "trees = \"boost\"" } else { model };
            let encoder = if of_trees { "" } else { "encoder = \"tiny\"" };
            let takes = |kind: &KindInfo| match method.kind {
                "trees" | "objective" => kind.input.whole_row,
                "loss" => known.losses_of(kind).contains(&method.id),
                "metric" => known.has_metric(kind, method.id),
                _ => kind.name == "class",
            };
            let fits =
                |kind: &&&KindInfo| !kind.inputs.contains(&"image") && !kind.ranks_nodes() && takes(kind);
            // Some metrics are parts of others and no kind's own.
            let Some(kind) = KINDS_OF_TASKS.iter().find(fits) else { continue };
            let kind = kind.name;
            let text = format!(
                "name = \"x\"\n[model]\n{encoder}\n{model}\n[train]\n{train}\n\
                 [[task]]\nname = \"t\"\nkind = {kind:?}\ndata = \"rows.csv\"\n{task}\n"
            );
            let file = folder.path().join("suite.toml");
            let suite = polytask_core::suite::parse(&text, &file, &known, &[])
                .unwrap_or_else(|error| panic!("{}: {error}", method.id));
            let chosen = match method.kind {
                "weighting" => &suite.train.weighting.name,
                "sharing" => &suite.model.sharing.name,
                "tune" => &suite.model.tune.name,
                "score" => &suite.model.score.as_ref().unwrap().name,
                "trees" => &suite.model.trees.as_ref().unwrap().name,
                "objective" => &suite.tasks[0].objective.as_ref().unwrap().name,
                "regularizer" => &suite.train.regularizer.name,
                "loss" => &suite.tasks[0].loss.name,
                "head" => &suite.tasks[0].head.name,
                "metric" => &suite.tasks[0].metric,
                DISTIL => &suite.tasks[0].teacher.as_ref().unwrap().loss.name,
                LEARNER => &suite.train.baselines[0],
                _ => method.id,
            };
            assert_eq!(chosen, method.id);
        }
    }
}
