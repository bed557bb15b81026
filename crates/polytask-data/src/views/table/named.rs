//! What a suite says of the columns of tables, and what contradicts it.

use std::collections::BTreeSet;

use polytask_core::input::table::{ColumnForm, TableColumn, TableSpec};
use polytask_core::suite::{SourceSpec, TaskSpec};
use polytask_core::{Place, Problem, near};

use crate::readers::{listed, text_column};
use crate::views::SourceColumns;

/// The column of a file that `name` was meant to be: none that is read under its own name.
pub(super) fn renamed(name: &str, names: &[String], of: &SourceColumns<'_>) -> Option<String> {
    let is_other = |found: &&String| !names.contains(found) && !of.targets.contains(found);
    let others: Vec<&String> = of.names.iter().filter(is_other).collect();
    near::nearest(name, &others).map(|found| format!("rename the column `{found}` to `{name}`"))
}

/// What a suite says of the columns of a trained network otherwise than it was trained.
pub(super) fn otherwise(spec: &TableSpec, of: &SourceColumns<'_>, has_cells: bool) -> Vec<Problem> {
    let SourceSpec { features, ignore, categories, missing, .. } = of.source;
    let is_left_out = |column: &&TableColumn| {
        !features.is_empty() && !features.contains(&column.name) || ignore.contains(&column.name)
    };
    let is_number = |column: &&TableColumn| {
        categories.contains(&column.name) && matches!(column.form, ColumnForm::Number { .. })
    };
    let problem = |what: String, keys: &str| {
        Problem::at(Place::file(&of.suite.file), what)
            .try_this(format!("remove {keys}, or train from a fresh network"))
    };
    let left_out = spec.columns.iter().find(is_left_out).map(|column| {
        let what = format!("the network reads column `{}`, which the suite leaves out", column.name);
        problem(what, "`features` and `ignore`")
    });
    let numbers = spec.columns.iter().find(is_number).map(|column| {
        let what = format!("the network reads numbers of column `{}`, the suite categories", column.name);
        problem(what, "`categories`")
    });
    let word = missing.iter().find(|word| !spec.missing.contains(word)).map(|word| {
        problem(format!("`{word}` means unknown in the suite, and nothing to the network"), "`missing`")
    });
    let is_other = |(key, form): (&'static str, ColumnForm)| {
        let named = if form == ColumnForm::Image { &of.source.images } else { &of.source.texts };
        let is_read =
            |name: &String| spec.columns.iter().any(|column| column.name == *name && column.form == form);
        let name = named.iter().find(|name| has_cells && !is_read(name))?;
        Some(problem(
            format!("`{key}` names column `{name}`, which the network reads otherwise"),
            &format!("`{key}`"),
        ))
    };
    let encoded =
        [("texts", ColumnForm::Text), ("images", ColumnForm::Image)].into_iter().filter_map(is_other);
    left_out.into_iter().chain(numbers).chain(word).chain(encoded).collect()
}

/// A target of a task is no column to read it from.
pub(super) fn target_read(names: &[String], of: &SourceColumns<'_>) -> Option<Problem> {
    let others = targets_elsewhere(of);
    let is_target = |name: &&String| of.targets.contains(name) || others.contains(name.as_str());
    let name = names.iter().find(is_target)?;
    let what =
        format!("column `{name}` is the target, weight or id of a task, and is read as one of the inputs");
    let SourceSpec { texts, images, .. } = of.source;
    let key = [("texts", texts), ("images", images)].into_iter().find(|(_, names)| names.contains(name));
    let remedy = match key {
        Some((key, _)) => format!("`{key}` without it"),
        None => format!("ignore = [{name:?}], or `features` without it"),
    };
    Some(Problem::at(Place::file(&of.suite.file), what).try_this(remedy))
}

/// Columns that are targets of tasks of other sources: those that the suite names, else the usual ones.
pub(super) fn targets_elsewhere<'s>(of: &SourceColumns<'s>) -> BTreeSet<&'s str> {
    let others = of.suite.tasks.iter().filter(|task| task.from != of.source.name);
    let there = |name: &&str| of.names.iter().any(|known| known == name);
    let target = |task: &'s TaskSpec| {
        let usual = task.kind.synonyms_of(task.kind.target).iter().copied();
        let named = task.columns.get(task.kind.target).map(String::as_str);
        named.or_else(|| std::iter::once(task.kind.target).chain(usual).find(there))
    };
    others.filter_map(target).collect()
}

/// Names in the keys of a source that its files do not have, or that contradict each other.
pub(super) fn unknown_names(of: &SourceColumns<'_>) -> Vec<Problem> {
    let SourceSpec { features, ignore, categories, line, .. } = of.source;
    let place = || Place::line(&of.suite.file, *line);
    let group: Vec<String> = of.source.group.iter().cloned().collect();
    let (texts, images) = (&of.source.texts, &of.source.images);
    let lists = [
        ("features", features),
        ("ignore", ignore),
        ("categories", categories),
        ("texts", texts),
        ("images", images),
        ("group", &group),
    ];
    // The numbers of a text are none of the file's own.
    let own = |name: &&String| text_column(name, texts).is_none();
    let names: Vec<String> = of.names.iter().filter(own).cloned().collect();
    let named = lists.iter().flat_map(|(key, names)| names.iter().map(move |name| (*key, name)));
    let absent = named.filter(|(_, name)| of.is_complete && !of.names.contains(name)).map(|(key, name)| {
        let what = format!("no column `{name}`, which `{key}` names: found {}", listed(&names));
        Problem::at(place(), what).try_this(near::advice(name, &names))
    });
    let both = features.iter().find(|name| ignore.contains(name)).map(|name| {
        let what = format!("column `{name}` stands in `features` and in `ignore`, expected one of them");
        Problem::at(place(), what).try_this("remove it from one")
    });
    let is_twice = |name: &&String| ignore.contains(name) || categories.contains(name);
    let both_sorts = texts.iter().find(|name| images.contains(name));
    let text = texts.iter().chain(images).find(is_twice).or(both_sorts).map(|name| {
        let what = format!(
            "column `{name}` stands in two of `texts`, `images`, `ignore` and `categories`, expected one of them"
        );
        Problem::at(place(), what).try_this("remove it from one")
    });
    absent.chain(both).chain(text).collect()
}

/// What a further source says of its columns otherwise than the first.
pub(super) fn differing(first: &SourceSpec, of: &SourceColumns<'_>) -> Vec<Problem> {
    let own = of.source;
    let groups = [first, own].map(|source| source.group.iter().cloned().collect::<Vec<String>>());
    let keys = [
        ("group", &groups[0], &groups[1]),
        ("features", &first.features, &own.features),
        ("ignore", &first.ignore, &own.ignore),
        ("categories", &first.categories, &own.categories),
        ("texts", &first.texts, &own.texts),
        ("images", &first.images, &own.images),
        ("missing", &first.missing, &own.missing),
    ];
    let sorted = |names: &[String]| names.iter().cloned().collect::<BTreeSet<String>>();
    let differs = keys.iter().filter(|(_, a, b)| sorted(a) != sorted(b)).map(|(key, ..)| {
        let what = format!(
            "`{key}` of source `{}` is not that of source `{}`; one network reads the same columns of all",
            own.name, first.name
        );
        Problem::at(Place::line(&of.suite.file, own.line), what).try_this("the same in both")
    });
    differs.collect()
}
