//! One more group for a model with gates: its gate and its own trees, all else as it was.

use polytask_core::input::table::ColumnForm;
use polytask_core::{Problem, Result};

use super::model::{BoostModel, TreesOf};
use crate::robust::RobustParams;

impl BoostModel {
    /// The model with a further group, fitted on rows (a symbol per column) and their targets, which are numbers in the
    /// units of the file or numbers of labels; NaN = unknown.
    ///
    /// # Errors
    /// When the model has no groups or several targets, or knows the group, and when rows do not fit.
    pub fn extended(
        &self,
        group: &str,
        rows: &[Vec<u32>],
        targets: &[f64],
        params: &RobustParams,
    ) -> Result<Self> {
        let refuse = |what: String, remedy: &str| Err(Problem::new(what).try_this(remedy).into());
        let TreesOf::Groups(all) = &self.trees else {
            let remedy = "a run of `trees = \"rmtgb\"` with `group`";
            return refuse("the model has no groups that could be more".into(), remedy);
        };
        let ([one], [task]) = (all.as_slice(), self.tasks.as_slice()) else {
            return refuse(
                format!("the model has {} targets, expected one", all.len()),
                "a suite of one target",
            );
        };
        let viewed = self.view().rows(rows.iter().map(Vec::as_slice))?;
        let (shift, span) = task.info.scale.first().copied().unwrap_or((0.0, 1.0));
        let values: Vec<f64> = targets.iter().map(|target| (target - shift) / span).collect();
        let extended = one.extended(group, &viewed.table, &values, params)?;
        let mut model = self.clone();
        model.trees = TreesOf::Groups(vec![extended]);
        for column in &mut model.table.columns {
            if let (true, ColumnForm::Category { names }) =
                (Some(&column.name) == self.group.as_ref(), &mut column.form)
            {
                names.push(group.into());
            }
        }
        Ok(model)
    }
}
