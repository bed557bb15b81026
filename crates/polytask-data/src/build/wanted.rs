//! Columns that are looked for: what a file without them has instead, and where the suite names them.

use std::path::Path;

use polytask_core::suite::TaskSpec;
use polytask_core::{Place, Problem, near, plural};

use super::found::Found;
use crate::readers;

/// A column that tasks read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    /// What it is to the tasks.
    role: String,
    /// The names it may have; one where the suite names it.
    pub(super) names: Vec<String>,
    /// The tasks.
    tasks: Vec<String>,
    /// Line of the suite that names it, 0 for none; `None` where it has a usual name.
    line: Option<usize>,
}

impl Wanted {
    /// A column of a usual name.
    pub(super) fn usual(task: &TaskSpec, role: &str, names: &[&str]) -> Self {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Self { role: role.into(), names, tasks: vec![task.name.clone()], line: None }
    }

    /// A column that the suite names in a line.
    pub(super) fn named(task: &TaskSpec, role: &str, name: &str, line: usize) -> Self {
        Self { line: Some(line), ..Self::usual(task, role, &[name]) }
    }

    /// The same, read by all of these tasks.
    pub(super) fn read_by<'t>(self, tasks: impl Iterator<Item = &'t TaskSpec>) -> Self {
        Self { tasks: tasks.map(|task| task.name.clone()).collect(), ..self }
    }

    /// Puts it among others: what several tasks read is one.
    pub(super) fn join(self, all: &mut Vec<Self>) {
        let is_same = |other: &&mut Self| match (self.line, other.line) {
            (Some(_), Some(_)) => self.names == other.names && self.role == other.role,
            (None, None) => self.role == other.role,
            _ => false,
        };
        let Some(other) = all.iter_mut().find(is_same) else { return all.push(self) };
        for (known, more) in [(&mut other.tasks, self.tasks), (&mut other.names, self.names)] {
            let new: Vec<String> = more.into_iter().filter(|name| !known.contains(name)).collect();
            known.extend(new);
        }
    }

    /// Its absence as a mistake; `rows` where it was looked for in each of them.
    pub(super) fn problem(&self, suite: &Path, found: &Found<'_>, rows: Option<usize>) -> Problem {
        let several = if self.tasks.len() > 1 { "tasks" } else { "task" };
        let rows = rows.map_or_else(String::new, |n| format!(" in any of {}", plural(n, "row")));
        let line = self.line.filter(|line| *line > 0);
        let named = line.map_or_else(String::new, |line| format!(" (named in {}:{line})", suite.display()));
        let what = format!(
            "no column for `{}` of {several} {}{rows}: found {}, expected `{}`{named}",
            self.role,
            near::list(&self.tasks),
            readers::listed(&found.names),
            self.names.join("` or `")
        );
        Problem::at(found.top(), what).try_this(self.remedy(found))
    }

    fn remedy(&self, found: &Found<'_>) -> String {
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let role = &self.role;
        readers::other_separator(found.file, &found.names, &names)
            .or_else(|| Some(format!("the near name: columns = {{ {role} = {:?} }}", found.near(&names)?)))
            .unwrap_or_else(|| format!("name the column in the suite: columns = {{ {role} = \"...\" }}"))
    }
}

/// A column of train that another split lacks.
pub(super) fn as_in_train(name: &str, found: &Found<'_>) -> Problem {
    let what = format!("no column `{name}` as in train: found {}", readers::listed(&found.names));
    let remedy = readers::other_separator(found.file, &found.names, &[name])
        .or_else(|| Some(format!("rename the column `{}` to `{name}`", found.near(&[name])?)))
        .unwrap_or_else(|| "give all splits the same columns".into());
    Problem::at(found.top(), what).try_this(remedy)
}

impl Found<'_> {
    /// Where the columns are declared: the header, else the file.
    fn top(&self) -> Place {
        Place::line(self.file, usize::from(self.is_complete))
    }

    /// The column nearest to one of some names.
    fn near(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| near::nearest(name, &self.names))
    }
}
