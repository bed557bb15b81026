//! What models are to each other before they are merged: what keeps them apart, how far and which way each moved, and
//! what that says.

mod text;

use polytask_core::{Error as CoreError, Problem};
use serde::Serialize;

use crate::model::{ModelInput, compare, is_real};
use crate::parts::{Rescale, Sparsify, SparsifySettings};
use crate::run::{Resolve, open_all};
use crate::tensor::{Block, Input, Tensor, dot};
use crate::{Error, Result};

pub use text::text;

/// Share of the entries whose energy is told.
const TOP: f64 = 0.2;
/// Cosines nearer to 0 than this are of vectors that hardly meet.
const HARDLY: f64 = 0.1;
/// Tensors told of.
const TENSORS: usize = 10;

/// What models are to each other.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Inspection {
    /// Names of the models, as written.
    pub models: Vec<InspectedModel>,
    /// Name of the base, where there is one.
    pub base: Option<String>,
    /// What keeps them from being merged.
    pub problems: Vec<String>,
    /// Cosines of what the models add to the base (of the models where there is none), over all merged tensors.
    pub cosines: Vec<Vec<f64>>,
    /// Share of entries that two models move in opposite directions, of those that both move.
    pub sign_conflicts: Vec<Vec<f64>>,
    /// What a merge leaves of each task vector along itself.
    pub left: Vec<Left>,
    /// The tensors in which models conflict most.
    pub tensors: Vec<TensorConflict>,
    /// What the numbers say.
    pub says: Vec<String>,
}

/// A model that was looked at.
#[derive(Debug, Clone, Default, Serialize)]
pub struct InspectedModel {
    /// As written.
    pub name: String,
    /// What its network is.
    pub architecture: String,
    /// What follows the network.
    pub modules: Vec<String>,
    /// Its tasks.
    pub tasks: Vec<String>,
    /// Values that can be merged.
    pub n_values: usize,
    /// Length of what it adds to the base; of its weights where there is none.
    pub length: f64,
    /// The same by that of the base's weights.
    pub relative: Option<f64>,
    /// Share of the squared length in the largest fifth of entries, tensor by tensor.
    pub energy_top: f64,
}

/// A merge, by what it leaves of each model along its own task vector: 1 is all of it.
#[derive(Debug, Clone, Serialize)]
pub struct Left {
    /// The merge.
    pub merge: String,
    /// Per model.
    pub shares: Vec<f64>,
    /// Per model: how far the others move it, by the length of its own task vector.
    pub moved: Vec<f64>,
}

/// A tensor and its lowest cosine of two models.
#[derive(Debug, Clone, Serialize)]
pub struct TensorConflict {
    /// Its name.
    pub name: String,
    /// The lowest cosine.
    pub cosine: f64,
    /// The models.
    pub models: (String, String),
    /// Its share of the two models' squared lengths.
    pub energy: f64,
}

/// Sums over tensors.
struct Sums {
    gram: Vec<Vec<f64>>,
    base: f64,
    /// Entries that two models both move, and of these those they move apart.
    both: Vec<f64>,
    apart: Vec<f64>,
    top: Vec<f64>,
    tensors: Vec<(String, Vec<Vec<f64>>)>,
}

/// Looks at models; what keeps them apart is part of the answer.
///
/// # Errors
/// Folders that are no models at all; files that cannot be read.
pub fn inspect(
    names: &[String],
    base: Option<&str>,
    resolve: &Resolve<'_>,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Inspection> {
    let mut all = names.to_vec();
    all.extend(base.map(str::to_owned));
    let models = open_all(&all, resolve)?;
    let problems = compare(&models, base.map(|_| names.len()), false);
    let mut inspection = Inspection {
        models: models[..names.len()].iter().map(described).collect(),
        base: base.map(str::to_owned),
        problems: problems.iter().map(ToString::to_string).collect(),
        ..Inspection::default()
    };
    if !problems.is_empty() {
        inspection.says.push("these cannot be merged as they are".into());
        return Ok(inspection);
    }
    let sums = sums(&models, base.is_some(), progress)?;
    fill(&mut inspection, &sums);
    Ok(inspection)
}

fn described(model: &ModelInput) -> InspectedModel {
    let reals = model.weights.weights().entries().filter(|entry| is_real(entry));
    InspectedModel {
        name: model.name.clone(),
        architecture: model.facts.architecture.clone(),
        modules: model.facts.modules.clone(),
        tasks: model.tasks.iter().map(|task| task.name.clone()).collect(),
        n_values: reals.map(polytask_nn::weights::TensorEntry::len).sum(),
        ..InspectedModel::default()
    }
}

fn sums(models: &[ModelInput], has_base: bool, progress: &mut dyn FnMut(usize, usize)) -> Result<Sums> {
    let n = models.len() - usize::from(has_base);
    let square = || vec![vec![0.0; n]; n];
    let mut sums = Sums {
        gram: square(),
        base: 0.0,
        both: vec![0.0; n * n],
        apart: vec![0.0; n * n],
        top: vec![0.0; n],
        tensors: Vec::new(),
    };
    let everywhere = |name: &String| models.iter().all(|m| m.entry(name).is_some_and(is_real));
    let names: Vec<String> = models[0].names().into_iter().filter(everywhere).collect();
    for (i, name) in names.iter().enumerate() {
        sums.add(name, models, n)?;
        progress(i + 1, names.len());
    }
    Ok(sums)
}

impl Sums {
    fn add(&mut self, name: &str, models: &[ModelInput], n: usize) -> Result<()> {
        let entries: Vec<_> = models.iter().filter_map(|model| model.entry(name)).collect();
        let inputs: Vec<Input<'_>> = models
            .iter()
            .zip(&entries)
            .map(|(model, entry)| Input { weights: &model.weights, name: &entry.name })
            .collect();
        let tensor = Tensor::open(name, &entries[0].shape, inputs.get(n).copied(), &inputs[..n])?;
        let found = tensor.sums(3 * n * n + 1, |block| pairs(block, n))?;
        if found.iter().any(|sum| !sum.is_finite()) {
            let what = format!("tensor `{name}` has NaN or infinity in one of the models");
            let problem = Problem::new(what).try_this("checkpoints from before a training diverged");
            return Err(Error::Core(CoreError::from(problem)));
        }
        let gram: Vec<Vec<f64>> = (0..n).map(|i| found[i * n..(i + 1) * n].to_vec()).collect();
        for (sum, part) in self.gram.iter_mut().flatten().zip(&found[..n * n]) {
            *sum += part;
        }
        (0..n * n).for_each(|i| self.both[i] += found[n * n + i]);
        (0..n * n).for_each(|i| self.apart[i] += found[2 * n * n + i]);
        self.base += found[3 * n * n];
        self.add_top(&tensor)?;
        self.tensors.push((name.to_owned(), gram));
        Ok(())
    }

    fn add_top(&mut self, tensor: &Tensor<'_>) -> Result<()> {
        let n = tensor.n_models();
        let settings = vec![SparsifySettings { density: TOP, gamma: 0.0, epsilon: 0.0 }; n];
        let thinned = Sparsify::Magnitude.thin(tensor, &settings, Rescale::Off, 0)?;
        let top = tensor.sums(n, |block| thinned.apply(block).iter().map(|d| dot(d, d)).collect())?;
        self.top.iter_mut().zip(top).for_each(|(sum, top)| *sum += top);
        Ok(())
    }
}

/// Inner products, entries that two models move, those they move apart, and the base's squared length.
fn pairs(block: &Block<'_>, n: usize) -> Vec<f64> {
    let deltas = block.deltas();
    let mut out = vec![0.0; 3 * n * n + 1];
    for i in 0..n {
        for j in i..n {
            let (a, b) = (&deltas[i], &deltas[j]);
            let moved = a.iter().zip(b).filter(|(a, b)| **a != 0.0 && **b != 0.0).count();
            let apart =
                a.iter().zip(b).filter(|(a, b)| **a > 0.0 && **b < 0.0 || **a < 0.0 && **b > 0.0).count();
            let values = [dot(a, b), moved as f64, apart as f64];
            for (k, value) in values.into_iter().enumerate() {
                out[k * n * n + i * n + j] = value;
                out[k * n * n + j * n + i] = value;
            }
        }
    }
    out[3 * n * n] = block.base.as_ref().map_or(0.0, |base| dot(base, base));
    out
}

fn cosine(g: &[Vec<f64>], i: usize, j: usize) -> f64 {
    let lengths = (g[i][i] * g[j][j]).sqrt();
    if lengths > 0.0 { (g[i][j] / lengths).clamp(-1.0, 1.0) } else { 0.0 }
}

fn fill(inspection: &mut Inspection, sums: &Sums) {
    let (g, n) = (&sums.gram, sums.gram.len());
    let square = |of: &dyn Fn(usize, usize) -> f64| {
        (0..n).map(|i| (0..n).map(|j| of(i, j)).collect()).collect::<Vec<Vec<f64>>>()
    };
    for (i, model) in inspection.models.iter_mut().enumerate() {
        model.length = g[i][i].sqrt();
        model.relative = (sums.base > 0.0).then(|| (g[i][i] / sums.base).sqrt());
        model.energy_top = if g[i][i] > 0.0 { sums.top[i] / g[i][i] } else { 0.0 };
    }
    inspection.cosines = square(&|i, j| cosine(g, i, j));
    inspection.sign_conflicts = square(&|i, j| sums.apart[i * n + j] / sums.both[i * n + j].max(1.0));
    if inspection.base.is_none() {
        inspection
            .says
            .push("without a base nothing is known of what each model learnt: name it with --base".into());
        return;
    }
    let left = |merge: &str, factor: f64| {
        let (shares, moved) = (0..n).map(|i| left_of(g, i, factor)).unzip();
        Left { merge: merge.into(), shares, moved }
    };
    inspection.left = vec![left("task_arithmetic (the sum)", 1.0), left("linear (the mean)", 1.0 / n as f64)];
    inspection.tensors = conflicts(&inspection.models, sums);
    inspection.says = says(inspection);
}

/// What a merge leaves of a model along its own task vector, and how far it is moved by what the others add.
fn left_of(g: &[Vec<f64>], i: usize, factor: f64) -> (f64, f64) {
    let own = g[i][i].max(f64::MIN_POSITIVE);
    let others = |j: &usize| *j != i;
    let foreign: f64 =
        (0..g.len()).filter(others).flat_map(|j| (0..g.len()).filter(others).map(move |k| g[j][k])).sum();
    (factor * g[i].iter().sum::<f64>() / own, factor * (foreign.max(0.0) / own).sqrt())
}

/// The tensors with the lowest cosines that matter.
fn conflicts(models: &[InspectedModel], sums: &Sums) -> Vec<TensorConflict> {
    let (total, n) = (&sums.gram, models.len());
    let mut found: Vec<TensorConflict> = Vec::new();
    for (name, g) in &sums.tensors {
        for (i, j) in (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j))) {
            let energy = (g[i][i] + g[j][j]) / (total[i][i] + total[j][j]).max(f64::MIN_POSITIVE);
            let models = (models[i].name.clone(), models[j].name.clone());
            found.push(TensorConflict { name: name.clone(), cosine: cosine(g, i, j), models, energy });
        }
    }
    found.retain(|tensor| tensor.cosine < 0.0);
    found.sort_by(|a, b| {
        (a.cosine * a.energy).total_cmp(&(b.cosine * b.energy)).then_with(|| a.name.cmp(&b.name))
    });
    found.truncate(TENSORS);
    found
}

/// What the numbers say, in words. These are expectations from geometry; what a merge costs is measured by `eval`.
fn says(inspection: &Inspection) -> Vec<String> {
    let (models, n) = (&inspection.models, inspection.models.len());
    let mut said = Vec::new();
    for model in models.iter().filter(|model| model.length == 0.0) {
        said.push(format!("`{}` adds nothing: its weights are those of the base", model.name));
    }
    let pairs: Vec<(usize, usize)> = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j))).collect();
    let cosines: Vec<f64> = pairs.iter().map(|&(i, j)| inspection.cosines[i][j]).collect();
    for (&(i, j), cosine) in pairs.iter().zip(&cosines) {
        let (a, b) = (&models[i].name, &models[j].name);
        if *cosine > 0.999 {
            said.push(format!(
                "`{a}` and `{b}` are nearly one model (cosine {cosine:.4}): one of them says all"
            ));
        } else if *cosine < -HARDLY {
            said.push(format!("`{a}` and `{b}` pull apart (cosine {cosine:.2}): a merge takes from both; try `ties`, which drops what has the minority's sign"));
        }
    }
    let all_moved = models.iter().all(|model| model.length > 0.0);
    if n > 1 && all_moved && cosines.iter().all(|c| c.abs() < HARDLY) {
        said.push(format!(
            "the task vectors hardly meet (cosines within ±{HARDLY}): the sum leaves each whole and moves it by all the others add, \
             the mean leaves 1/{n} of both; heads that bear little movement want the mean: try `linear`, `ties` with density \
             0.2 and `task_arithmetic`"
        ));
    } else if n > 1 && all_moved && cosines.iter().all(|c| *c >= HARDLY) {
        said.push("the task vectors share a direction, which the sum counts several times: try `linear`, or `task_arithmetic` with lambda below 1".into());
    }
    let (short, long) =
        models.iter().fold((f64::INFINITY, 0.0_f64), |(s, l), m| (s.min(m.length), l.max(m.length)));
    if short > 0.0 && long > 3.0 * short {
        said.push(format!("the longest task vector is {:.1} times the shortest, and has the say where they meet: weights per model even that out", long / short));
    }
    said.push("these are expectations; what a merge costs each task is measured by `polytask eval`".into());
    said
}
