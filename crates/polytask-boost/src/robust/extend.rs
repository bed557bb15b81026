//! A task that comes later: its gate by Newton's method, its own ensemble; all else stays as it is.

use polytask_core::{Problem, Result};

use super::blocks::Blocks;
use super::{FARTHEST_THETA, GroupModel, Robust, RobustParams, RobustSet, sigmoid};
use crate::bins::Bins;
use crate::table::NumericTable;
use crate::tree::Tree;
use crate::tree::grow::Grower;

/// Steps of Newton's method at most; one is enough for squares.
const STEPS: usize = 20;

impl Robust {
    /// The model with one more task, fitted on its rows; what it says of rows of other tasks is the same to the bit.
    ///
    /// # Errors
    /// When the task is known already, or its rows do not fit the model.
    pub fn extended(
        &self,
        name: &str,
        table: &NumericTable,
        values: &[f64],
        params: &RobustParams,
    ) -> Result<Self> {
        if self.group(name).is_some() {
            let what = format!("the model has a task `{name}` already, expected a new one");
            return Err(Problem::new(what).try_this("another name, or training anew").into());
        }
        if table.names() != self.columns {
            let what = format!(
                "columns {} differ from the model's, {}",
                table.names().join(", "),
                self.columns.join(", ")
            );
            return Err(Problem::new(what)
                .try_this("the columns the model was trained on, in their order")
                .into());
        }
        let (names, groups) = ([name.to_owned()], vec![Some(0); table.n_rows()]);
        let set = RobustSet { table, names: &names, groups: &groups, loss: &self.loss, values, weights: &[] };
        let theta = self.newton(&set)?;
        let own = self.own_block(set, theta, params)?;
        let rows = values.iter().filter(|value| !value.is_nan()).count();
        let mut extended = self.clone();
        extended.groups.push(GroupModel { name: name.into(), theta, rows, own });
        Ok(extended)
    }

    /// The gate that fits some rows best, the ensembles being what they are.
    fn newton(&self, set: &RobustSet<'_>) -> Result<f64> {
        let loss = self.loss.make()?;
        let base = self.at_gate(set.table, 0.0);
        let apart: Vec<f64> = self.at_gate(set.table, 1.0).iter().zip(&base).map(|(o, n)| o - n).collect();
        let mut gate = self.fallback;
        let mut slopes = vec![0.0_f32; 2 * self.width];
        let edge = sigmoid(FARTHEST_THETA);
        for _ in 0..STEPS {
            let (mut slope, mut curvature) = (0.0, 0.0);
            for (row, &target) in set.values.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
                let at = row * self.width..(row + 1) * self.width;
                let margins: Vec<f64> =
                    base[at.clone()].iter().zip(&apart[at.clone()]).map(|(n, d)| n + gate * d).collect();
                loss.slopes(&margins, target, &mut slopes);
                for (d, s) in apart[at].iter().zip(slopes.chunks_exact(2)) {
                    slope += f64::from(s[0]) * d;
                    curvature += f64::from(s[1]) * d * d;
                }
            }
            if curvature <= 0.0 {
                break;
            }
            let next = (gate - slope / curvature).clamp(1.0 - edge, edge);
            let is_still = (next - gate).abs() < 1e-9;
            gate = next;
            if is_still {
                break;
            }
        }
        Ok((gate / (1.0 - gate)).ln())
    }

    /// Margins of the shared blocks at one gate.
    fn at_gate(&self, table: &NumericTable, gate: f64) -> Vec<f64> {
        let shared = Self { groups: vec![], fallback: gate, ..self.clone() };
        shared.margins(table, &vec![None; table.n_rows()])
    }

    fn own_block(&self, set: RobustSet<'_>, theta: f64, params: &RobustParams) -> Result<Vec<Tree>> {
        let params = RobustParams { shared: 0, gated: 0, own: params.own, ..params.clone() };
        let mut blocks = Blocks::new(set, &params, Some(&[theta]))?;
        blocks.set_shared(self.at_gate(set.table, sigmoid(theta)));
        let (bins, tree) = (Bins::new(set.table, &[], params.max_bin, params.seed), params.tree());
        let mut grower = Grower::new(&bins, &tree);
        let mut own = Vec::new();
        for _ in 0..params.own {
            blocks.fill_residuals();
            own.extend(blocks.own_tree(&mut grower, 0));
        }
        Ok(own)
    }
}
