//! A model of boosted trees as its folder keeps it: the columns it reads, its tasks, its trees.

use std::path::Path;

use polytask_core::input::table::TableSpec;
use polytask_core::target::{Bounds, OutputMeaning};
use polytask_core::{Error, KindInfo, Place, Problem, Result, atomic, files, kind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::rows::{RowView, ViewedRows};
use crate::booster::Booster;
use crate::loss::LossSpec;
use crate::robust::{Robust, RobustParams};

/// The file of a model's folder.
const FILE: &str = "boost.json";
/// Version of the file.
const VERSION: u32 = 1;

/// What is known of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TreesTask {
    /// Its name.
    pub name: String,
    /// Name of its kind.
    pub kind: String,
    /// Metric that decides.
    pub metric: String,
    /// Labels in the order of outputs.
    pub labels: Vec<String>,
    /// (shift, span) of each number.
    pub scale: Vec<(f64, f64)>,
    /// Smallest and largest value of each number that is a grade.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bounds: Vec<Bounds>,
}

/// A task and its margins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskOutputs {
    /// What is known of it.
    pub info: TreesTask,
    /// The first of its margins.
    pub first: usize,
    /// Number of its margins.
    pub width: usize,
    /// Whether its margins are labels of which any number holds.
    pub is_set: bool,
    /// Loss of each of its targets.
    pub losses: Vec<LossSpec>,
}

/// The trees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TreesOf {
    /// Boosting of all targets.
    Boost(Booster),
    /// Tasks by group: a model per target.
    Groups(Vec<Robust>),
    /// Tasks of the suite as groups: one model of one loss.
    Tasks(Robust),
}

/// Columns of texts that a model reads as vectors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextColumns {
    /// Their names.
    pub columns: Vec<String>,
    /// The encoder that gives the vectors, as the suite names it; the model's folder holds it.
    pub encoder: String,
}

/// A model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BoostModel {
    pub(super) version: u32,
    /// The method as the suite names it.
    pub method: String,
    /// The columns.
    pub table: TableSpec,
    /// Column that names groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Columns whose categories are codes without names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) coded: Vec<String>,
    /// Columns of texts, whose numbers stand in the table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub texts: Option<TextColumns>,
    /// Settings of the blocks with gates, which a further group is learnt with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub robust: Option<RobustParams>,
    /// The tasks.
    pub tasks: Vec<TaskOutputs>,
    /// The trees.
    pub trees: TreesOf,
}

impl BoostModel {
    pub(super) fn new(
        method: &str,
        table: &TableSpec,
        group: Option<&String>,
        tasks: Vec<TaskOutputs>,
        trees: TreesOf,
    ) -> Self {
        let (method, table, group) = (method.to_owned(), table.clone(), group.cloned());
        Self {
            version: VERSION,
            method,
            table,
            group,
            coded: Vec::new(),
            texts: None,
            robust: None,
            tasks,
            trees,
        }
    }

    /// How rows become what its trees read.
    pub fn view(&self) -> RowView<'_> {
        RowView::new(&self.table, self.group.as_deref()).coded(&self.coded)
    }

    /// Whether a folder holds one.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(FILE).is_file()
    }

    /// Writes it into a folder, which is made.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        atomic::create_dir(folder)?;
        atomic::write_with(&folder.join(FILE), |out| Ok(serde_json::to_writer(out, self)?))
    }

    /// Reads it from a folder.
    ///
    /// # Errors
    /// When the file is not there, damaged, or of another version.
    pub fn load(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let bytes = files::read(&path, files::LARGE).map_err(Error::io("read", &path))?;
        let wrong = |what: String| {
            Error::from(Problem::at(Place::file(&path), what).try_this("restore the file the run wrote"))
        };
        let model: Self = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        if model.version != VERSION {
            return Err(wrong(format!("version is {}, expected {VERSION}", model.version)));
        }
        model.check().map_err(|error| wrong(error.to_string()))?;
        Ok(model)
    }

    fn check(&self) -> Result<()> {
        let wrong = |what: String| Err(Problem::new(what).try_this("restore the file").into());
        if let Some(mistake) = self.table.mistake() {
            return wrong(mistake);
        }
        let n_columns = self.view().n_columns();
        let columns = match &self.trees {
            TreesOf::Boost(booster) => booster.check().map(|()| vec![booster.columns.len()])?,
            TreesOf::Groups(all) => {
                all.iter().map(|one| one.check().map(|()| one.columns.len())).collect::<Result<_>>()?
            }
            TreesOf::Tasks(one) => one.check().map(|()| vec![one.columns.len()])?,
        };
        if columns.iter().any(|&n| n != n_columns) {
            return wrong(format!("trees read {columns:?} columns, the table has {n_columns}"));
        }
        let n_margins = self.n_margins();
        match self.tasks.iter().find(|task| task.first + task.width > n_margins || task.losses.is_empty()) {
            Some(task) => wrong(format!("task `{}` reads margins beyond {n_margins}", task.info.name)),
            None => Ok(()),
        }
    }

    /// Margins of a row.
    pub fn n_margins(&self) -> usize {
        match &self.trees {
            TreesOf::Boost(booster) => booster.n_margins(),
            TreesOf::Groups(all) => all.iter().map(|one| one.width).sum(),
            TreesOf::Tasks(one) => one.width * self.tasks.len(),
        }
    }

    /// Names of the groups that a column names.
    pub fn groups(&self) -> Vec<&str> {
        match &self.trees {
            TreesOf::Groups(all) => {
                let groups = all.first().map_or(&[][..], |one| &one.groups);
                groups.iter().map(|group| group.name.as_str()).collect()
            }
            TreesOf::Boost(_) | TreesOf::Tasks(_) => Vec::new(),
        }
    }

    /// Margins of every row, `[rows, margins]`.
    pub fn margins(&self, rows: &ViewedRows) -> Vec<f64> {
        let n_rows = rows.table.n_rows();
        let parts: Vec<(usize, Vec<f64>)> = match &self.trees {
            TreesOf::Boost(booster) => return booster.margins(&rows.table),
            TreesOf::Groups(all) => {
                all.iter().map(|one| (one.width, one.margins(&rows.table, &rows.groups))).collect()
            }
            TreesOf::Tasks(one) => {
                let of_task = |task| (one.width, one.margins(&rows.table, &vec![Some(task); n_rows]));
                (0..self.tasks.len()).map(of_task).collect()
            }
        };
        let row =
            |row: usize| parts.iter().flat_map(move |(width, part)| &part[row * width..(row + 1) * width]);
        (0..n_rows).flat_map(row).copied().collect()
    }

    /// A task by its name.
    ///
    /// # Errors
    /// When there is none.
    pub fn task(&self, name: &str) -> Result<&TaskOutputs> {
        self.tasks.iter().find(|task| task.info.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.tasks.iter().map(|task| task.info.name.as_str()).collect();
            let what = format!("the model has no task `{name}`, found {}", names.join(", "));
            Problem::new(what).try_this(polytask_core::near::advice(name, &names)).into()
        })
    }
}

impl TaskOutputs {
    /// Its kind.
    ///
    /// # Errors
    /// When this version knows no such kind.
    pub fn kind(&self) -> Result<&'static KindInfo> {
        kind::find(&self.info.kind).ok_or_else(|| {
            let what = format!("task `{}` has the unknown kind `{}`", self.info.name, self.info.kind);
            Problem::new(what)
                .try_this("the version of polytask that wrote the folder, or a newer one")
                .into()
        })
    }

    /// What a row's margins say, in words and in the units of the targets.
    ///
    /// # Errors
    /// When this version does not know the task's kind.
    pub fn answer(&self, margins: &[f64]) -> Result<Value> {
        let TreesTask { labels, scale, bounds, .. } = &self.info;
        Ok(self.kind()?.form.answer(&self.read(margins), OutputMeaning { labels, scale, bounds }))
    }
}
