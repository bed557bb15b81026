//! `polytask bench boost`: trees for several targets of a table, all of them known and some unknown.

use std::path::Path;

use anyhow::{Result, ensure};
use polytask_boost::{
    BoostParams, BoostTarget, Booster, ColumnSort, Growth, Leaves, LossSpec, NumericColumn, NumericTable,
    TrainingSet, TreeParams, fit,
};
use polytask_core::{Purpose, Rng, atomic};
use rayon::prelude::*;
use serde::Serialize;
use serde_json::json;

use super::against::{self, Answers, Comparison, Place, fields};
use super::measure::{Process, Times, measure};
use polytask_terminal::output::{self, Outcome};
use polytask_terminal::suites;

/// Share of the targets that are unknown in the second part.
const UNKNOWN: f64 = 0.3;
/// Standard deviation of the noise of a target whose own is about 1.
const NOISE: f64 = 0.5;
/// Largest difference of the errors of both sides, as a share of ours.
const LARGEST: f64 = 0.01;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask bench boost --rows 20000 --trees 50
  polytask bench boost --against lightgbm
  polytask bench boost --against xgboost --rows 20000 --trees 50

Columns are even draws from an interval, for where these have tails bins differ from library to library; targets are sums
of steps and products of some of them, with noise. Against lightgbm leaves
that gain most are split, 31 of them; against xgboost trees grow level by level to depth 5; both have trees for each
target, 255 bins, a rate of 0.1 and an L2 penalty of 1. Bins are part of the time. In the second part 30 % of the targets
are unknown: a peer, which knows no such thing, gets the rows of each target apart. Both sides must have errors on train
within 1 % of each other.")]
pub(super) struct Args {
    /// Rows
    #[arg(long, default_value_t = 100_000, value_parser = polytask_terminal::count)]
    rows: usize,
    /// Columns
    #[arg(long, default_value_t = 50, value_parser = polytask_terminal::count)]
    columns: usize,
    /// Targets
    #[arg(long, default_value_t = 4, value_parser = polytask_terminal::count)]
    targets: usize,
    /// Trees of each target
    #[arg(long, default_value_t = 100, value_parser = polytask_terminal::count)]
    trees: usize,
    /// How trees grow [default: as the peer's do, else by leaf]
    #[arg(long, value_enum)]
    growth: Option<By>,
    /// Trees for all targets together, or for each
    #[arg(long, value_enum, default_value = "apart", conflicts_with = "against")]
    leaves: Of,
    /// Passes measured (in each round, with --against)
    #[arg(long, default_value_t = 1, value_parser = polytask_terminal::count)]
    runs: usize,
    /// Worker threads; 0 means all cores
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Measure beside a peer
    #[arg(long, value_parser = ["lightgbm", "xgboost"])]
    against: Option<String>,
    #[command(flatten)]
    options: against::Options,
}

// Without comments on its values, which would stretch the help.
/// How trees grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum By {
    Leaf,
    Depth,
}

/// What a tree's leaves are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Of {
    Vector,
    Apart,
}

impl Args {
    fn growth(&self) -> By {
        let peers = if self.against.as_deref() == Some("xgboost") { By::Depth } else { By::Leaf };
        self.growth.unwrap_or(peers)
    }

    fn params(&self) -> BoostParams {
        let tree = match self.growth() {
            By::Leaf => TreeParams { max_depth: 0, num_leaves: 31, ..TreeParams::default() },
            By::Depth => {
                TreeParams { growth: Growth::Depth, max_depth: 5, num_leaves: 0, ..TreeParams::default() }
            }
        };
        let leaves = if self.leaves == Of::Vector { Leaves::Vector } else { Leaves::Apart };
        BoostParams { rounds: self.trees, tree, leaves, ..BoostParams::default() }
    }
}

#[derive(Serialize)]
struct Part {
    mix: &'static str,
    #[serde(flatten)]
    times: Times,
}

#[derive(Serialize)]
struct Figures {
    bench: &'static str,
    rows: usize,
    columns: usize,
    targets: usize,
    trees: usize,
    mixes: Vec<Part>,
    #[serde(flatten)]
    process: Process,
}

/// Columns with targets.
struct World {
    table: NumericTable,
    /// Targets, all known.
    known: Vec<BoostTarget>,
    /// The same, some unknown.
    gaps: Vec<BoostTarget>,
}

pub(super) fn run(args: &Args) -> Result<Outcome> {
    suites::set_threads(args.threads)?;
    if let Some(peer) = &args.against {
        return compare(args, peer);
    }
    let world = World::new(args)?;
    let mut booster = None;
    let known = measure(args.runs, 0, || {
        booster = Some(world.fit(&world.known, args)?);
        Ok(())
    })?;
    let gaps = measure(args.runs, 0, || world.fit(&world.gaps, args).map(drop))?;
    let asked = measure(args.runs, 0, || {
        let _ = booster.as_ref().map(|booster| booster.margins(&world.table));
        Ok(())
    })?;
    let part = |mix, times| Part { mix, times: Times::of(times) };
    let figures = Figures {
        bench: "boost",
        rows: args.rows,
        columns: args.columns,
        targets: args.targets,
        trees: args.trees,
        mixes: vec![part("fit", known), part("fit, 30 % unknown", gaps), part("predict", asked)],
        process: Process::now(),
    };
    if args.json {
        output::json(&figures)?;
        return Ok(Outcome::Done);
    }
    for Part { mix, times } in &figures.mixes {
        output::line(format!("{mix:<18} {times}"))?;
    }
    output::line(figures.process.to_string())?;
    Ok(Outcome::Done)
}

impl World {
    fn new(args: &Args) -> Result<Self> {
        let column = |at: usize| {
            let mut rng = Rng::new(8, Purpose::Bench, &[at as u64]);
            let values = (0..args.rows).map(|_| (4.0 * rng.uniform() - 2.0) as f32).collect();
            NumericColumn { name: format!("x{at}"), sort: ColumnSort::Number, values }
        };
        let table = NumericTable::new((0..args.columns).into_par_iter().map(column).collect())?;
        let known: Vec<BoostTarget> = (0..args.targets)
            .into_par_iter()
            .map(|target| {
                BoostTarget::new(&format!("y{target}"), LossSpec::named("squared"), values(&table, target))
            })
            .collect();
        let gap = |(at, target): (usize, &BoostTarget)| {
            let mut rng = Rng::new(9, Purpose::Bench, &[at as u64]);
            let values = target.values.iter();
            let values = values.map(|y| if rng.uniform() < UNKNOWN { f64::NAN } else { *y }).collect();
            BoostTarget { values, ..target.clone() }
        };
        let gaps = known.iter().enumerate().map(gap).collect();
        Ok(Self { table, known, gaps })
    }

    fn fit(&self, targets: &[BoostTarget], args: &Args) -> Result<Booster> {
        let set = TrainingSet { table: &self.table, targets, weights: &[] };
        Ok(fit(set, None, &args.params(), &mut |_| ())?)
    }
}

/// A target: steps and a product of columns of its own choice, with noise; held as the files hold it.
fn values(table: &NumericTable, target: usize) -> Vec<f64> {
    let mut rng = Rng::new(10, Purpose::Bench, &[target as u64]);
    let n = table.columns().len();
    let steps: Vec<(usize, f64, f64)> =
        (0..6).map(|_| (rng.below(n), 3.0 * rng.uniform() - 1.5, rng.normal())).collect();
    let (a, b) = (rng.below(n), rng.below(n));
    let at = |row: usize, column: usize| f64::from(table.at(row, column));
    let step = |row: usize, (column, place, height): &(usize, f64, f64)| {
        if at(row, *column) < *place { -height } else { *height }
    };
    (0..table.n_rows())
        .map(|row| {
            // Of factors above 0, whose parts can be found one by one: where no split gains, chance decides the trees.
            let product = (at(row, a) + 2.0) * (at(row, b) + 2.0) / 4.0;
            let clean = 0.4 * steps.iter().map(|of| step(row, of)).sum::<f64>() + product;
            f64::from((clean + NOISE * rng.normal()) as f32)
        })
        .collect()
}

/// Root mean square error of each target, `predicted` a list for each.
fn errors(truth: &[BoostTarget], predicted: impl Fn(usize, usize) -> f64) -> Vec<f64> {
    let of = |(at, target): (usize, &BoostTarget)| {
        let squares = target.values.iter().enumerate().map(|(row, y)| (predicted(at, row) - y).powi(2));
        (squares.sum::<f64>() / target.values.len() as f64).sqrt()
    };
    truth.iter().enumerate().map(of).collect()
}

fn compare(args: &Args, peer: &str) -> Result<Outcome> {
    let place = Place::new(&args.options)?;
    let world = World::new(args)?;
    let numbers = [
        ("--rows", args.rows),
        ("--columns", args.columns),
        ("--targets", args.targets),
        ("--trees", args.trees),
        ("--runs", args.runs),
        ("--threads", args.threads),
    ];
    let mut ours: Vec<String> =
        numbers.iter().flat_map(|(name, n)| [(*name).to_owned(), n.to_string()]).collect();
    let by = if args.growth() == By::Leaf { "leaf" } else { "depth" };
    ours.extend(["--growth".to_owned(), by.to_owned()]);
    let mut job = fields([
        ("peer", json!(peer)),
        ("columns", json!(args.columns)),
        ("rounds", json!(args.trees)),
        ("growth", json!(by)),
        ("runs", json!(args.runs)),
    ]);
    job.extend(world.files(place.work())?);
    let comparison = Comparison {
        bench: "boost",
        peer: if peer == "xgboost" { "xgboost" } else { "lightgbm" },
        what: format!(
            "boosted trees, {} rows of {} columns, {} targets, {} trees of each, by {by}",
            args.rows, args.columns, args.targets, args.trees
        ),
        script: "boost.py",
        ours,
        job,
        axes: vec![against::threads(args.threads)],
        trial: fields([("rounds", json!(args.trees.min(10)))]),
        variant: None,
        prove: world.proof(args)?,
    };
    against::run(&comparison, &place, &args.options, args.json)
}

impl World {
    /// The columns and both kinds of targets as files.
    fn files(&self, work: &Path) -> Result<against::Fields> {
        let columns = self.table.columns().iter().flat_map(|column| column.values.iter().copied()).collect();
        let targets = |targets: &[BoostTarget]| -> Vec<f32> {
            targets.iter().flat_map(|target| target.values.iter().map(|y| *y as f32)).collect()
        };
        let mut files = against::Fields::new();
        let all: [(&str, Vec<f32>); 3] =
            [("table", columns), ("known", targets(&self.known)), ("gaps", targets(&self.gaps))];
        for (name, values) in all {
            let path = work.join(format!("{name}.f32"));
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            atomic::write(&path, &bytes)?;
            files.insert(name.to_owned(), json!(super::argument(&path)));
        }
        Ok(files)
    }

    /// The proof that both sides learn as much.
    fn proof<'a>(self, args: &Args) -> Result<against::Prove<'a>> {
        let predicted = self.fit(&self.known, args)?.margins(&self.table);
        let (n, width) = (self.table.n_rows(), self.known.len());
        let ours = errors(&self.known, |target, row| predicted[row * width + target]);
        Ok(Box::new(move |theirs: &Answers| {
            let values = &theirs.values;
            ensure!(
                values.len() == n * width,
                "the peer gave {} values, expected {}",
                values.len(),
                n * width
            );
            let theirs = errors(&self.known, |target, row| f64::from(values[target * n + row]));
            let mut largest = 0.0_f64;
            for (target, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
                let difference = (ours - theirs).abs() / ours;
                // Written so that a difference that is not a number fails too.
                let is_close = difference <= LARGEST;
                ensure!(is_close, "target {target}: error {ours:.4}, the peer's {theirs:.4}");
                largest = largest.max(difference);
            }
            Ok(vec![("largest relative difference of a target's error", largest)])
        }))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn trees_of_this_world_learn_its_targets_and_gaps_are_a_share_of_them() {
        let small = ["bench", "--rows", "2000", "--columns", "8", "--targets", "2", "--trees", "40"];
        let args = Command::parse_from(small).args;
        let world = World::new(&args).unwrap();
        let (mean, n) = (world.known[0].values.iter().sum::<f64>() / 2000.0, 2000);
        let plain = errors(&world.known[..1], |_, _| mean)[0];
        let predicted = world.fit(&world.known, &args).unwrap().margins(&world.table);
        let fitted = errors(&world.known, |target, row| predicted[row * 2 + target]);
        assert!(fitted[0] < 0.75 * plain, "{fitted:?} {plain}");
        let gaps = world.gaps[0].values.iter().filter(|y| y.is_nan()).count() as f64 / f64::from(n);
        assert!((gaps - UNKNOWN).abs() < 0.05, "{gaps}");
        let same = world.proof(&args).unwrap();
        let values = (0..2).flat_map(|target| (0..2000).map(move |row| (row, target)));
        let values = values.map(|(row, target)| predicted[row * 2 + target] as f32).collect();
        let mut answers = Answers { values, report: json!({}) };
        assert!(same(&answers).unwrap()[0].1 < 1e-6);
        answers.values.iter_mut().for_each(|value| *value *= 0.5);
        assert!(same(&answers).unwrap_err().to_string().contains("target 0: error"));
    }
}
