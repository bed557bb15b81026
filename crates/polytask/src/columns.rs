//! Which field of an input plays which role: what the command line says, what the model was trained on, the role's own
//! name, a usual synonym.

use std::collections::BTreeMap;

use anyhow::Result;
use polytask_core::near;
use polytask_model::ModelTask;

use polytask_terminal::output;

/// Roles of a row's text and of its words, which make a text as well.
const TEXT: &str = "text";
const WORDS: &str = "tokens";
/// Usual names of the column of a passage, beside `text`.
const PASSAGES: [&str; 4] = ["description", "passage", "contents", "body"];
/// Usual names of columns of words.
const WORD_COLUMNS: [&str; 2] = [WORDS, "words"];

/// Names of columns, as a suite's `columns` gives them: role first.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Columns {
    /// The column of a role, as in a suite's `columns`: text=message (several by commas, or repeated)
    #[arg(long, value_name = "ROLE=COLUMN", value_delimiter = ',', value_parser = pair)]
    columns: Vec<(String, String)>,
}

/// Reads `role=column`.
fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=').map(|(role, column)| (role.trim(), column)) {
        Some((role, column)) if !role.is_empty() && !column.is_empty() => Ok((role.into(), column.into())),
        _ => Err("expected ROLE=COLUMN, as text=message".into()),
    }
}

impl Columns {
    /// Refuses a role that is none of `roles`.
    pub(crate) fn check(&self, roles: &[&str]) -> Result<()> {
        let is_known = |role: &str| {
            roles.contains(&role)
                || (role == WORDS && roles.contains(&TEXT))
                || (role == TEXT && roles.contains(&WORDS))
        };
        let Some((role, column)) = self.columns.iter().find(|(role, _)| !is_known(role)) else {
            return Ok(());
        };
        let what = format!("--columns: unknown role `{role}`, expected one of: {}", roles.join(", "));
        let remedy = if roles.contains(&column.as_str()) {
            format!("`--columns {column}={role}`: the role comes first")
        } else {
            let role = near::nearest(role, roles).or(roles.first().copied()).unwrap_or(TEXT);
            format!("`--columns {role}={column}`")
        };
        output::refuse(what, remedy)
    }

    /// The column given for a role; the words of a row are its text, too.
    pub(crate) fn given(&self, role: &str) -> Option<&str> {
        // The last one counts, as with other arguments.
        let last = |role: &str| self.columns.iter().rev().find(|(of, _)| of == role);
        let found = last(role)
            .or_else(|| last(WORDS).filter(|_| role == TEXT))
            .or_else(|| last(TEXT).filter(|_| role == WORDS));
        found.map(|(_, column)| column.as_str())
    }

    /// All pairs of role and column.
    pub(crate) fn pairs(&self) -> &[(String, String)] {
        &self.columns
    }

    /// The columns a role may have, best first: the given one alone, else the stored one, the role's name, synonyms.
    pub(crate) fn of<'a>(
        &'a self,
        role: &'a str,
        stored: &'a BTreeMap<String, String>,
        synonyms: &[&'a str],
    ) -> Vec<&'a str> {
        if let Some(column) = self.given(role) {
            return vec![column];
        }
        let stored = stored.get(role).map(String::as_str);
        let words: &[&str] = if role == TEXT { &WORD_COLUMNS } else { &[] };
        stored
            .into_iter()
            .chain([role])
            .chain(synonyms.iter().copied())
            .chain(words.iter().copied())
            .collect()
    }

    /// The columns each input of a task may have.
    pub(crate) fn of_task<'a>(&'a self, task: &'a ModelTask) -> Vec<Vec<&'a str>> {
        let one = |role: &&'static str| self.of(role, &task.info.columns, task.kind.synonyms_of(role));
        task.kind.inputs.iter().map(one).collect()
    }

    /// The columns a passage may have: never the one of the queries, which its own title may share the name with.
    pub(crate) fn of_passage<'a>(&'a self, tasks: &'a [ModelTask]) -> Vec<&'a str> {
        if let Some(column) = self.given(TEXT) {
            return vec![column];
        }
        // What a search asks is no passage.
        let asks = |of: &ModelTask| of.kind.inputs.contains(&"query") || of.kind.ranks_nodes();
        let is_text = |of: &&ModelTask| of.kind.inputs.len() == 1 && !asks(of);
        let stored = tasks.iter().filter(is_text).flat_map(|of| of.info.columns.values().map(String::as_str));
        [TEXT].into_iter().chain(stored).chain(WORD_COLUMNS).chain(PASSAGES).collect()
    }

    /// The columns a text may have that is embedded for `task`, or for no task in particular: `text` comes first then,
    /// before columns that tasks of a single text were trained on.
    pub(crate) fn of_text<'a>(&'a self, tasks: &'a [ModelTask], task: Option<&str>) -> Vec<&'a str> {
        if let Some(column) = self.given(TEXT) {
            return vec![column];
        }
        let wanted = |of: &&ModelTask| task.is_none_or(|name| of.info.name == name);
        let stored = tasks.iter().filter(wanted).filter(|of| of.kind.inputs.len() == 1);
        let stored = stored.flat_map(|of| of.info.columns.values().map(String::as_str));
        let mut names: Vec<&str> = stored.collect();
        names.insert(if task.is_some() { names.len() } else { 0 }, TEXT);
        names.extend(WORD_COLUMNS);
        names
    }
}
