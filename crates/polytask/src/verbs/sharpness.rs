//! `polytask sharpness`: how far each task's loss rises at the worst place near a trained model's weights.

use std::path::PathBuf;

use anyhow::Result;
use polytask_core::Split;
use polytask_core::sharpness::SharpnessReport;
use polytask_train::sharpness::{self, RHO, Reach, SharpnessOptions};

use polytask_terminal::output::{self, Outcome};
use polytask_terminal::progress::TerminalProgress;
use polytask_terminal::suites;

/// Measure how far each task's loss rises at the worst place near a trained model's weights
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask sharpness runs/first
  polytask sharpness runs/first/model --suite suite.toml --split valid
  polytask sharpness runs/first --rho 2 --adaptive --json

For each task, the shared weights climb a step of length rho up that task's gradient, to where its
loss is worst nearby (to first order); heads stay. The table has the loss here and there, and

  sharpness  the rise of the loss; ± is its 95 % interval over batches
  |g|        length of the gradient; a plain slope would rise rho × |g|
  |flat|     how much the gradient changes on the way: curvature
  cosine     of that change and the gradient: near 1 the slope only
             steepens, near 0 it turns, below 0 it passes a crest

Losses carry the suite's loss_weight. The same rows are drawn for every model of a suite and seed.
Compare two models at the same rho, split and form: of two with equal losses, the one with the lower
sharpness lies in a flatter place. The adaptive form moves each weight by its size and needs a rho of
about 2. Passes are as in prediction: no dropout, batch norms by their running statistics.

Paper: Improving Multi-task Learning via Seeking Task-based Flat Regions, arXiv 2211.13723; to train
for flatness, see `polytask methods flat`.

Exit codes: 0 done, 2 could not run.")]
pub(crate) struct Args {
    /// The folder of a run, or of its model
    #[arg(value_name = "MODEL_OR_RUN")]
    source: PathBuf,
    /// The suite whose data and freezes are used [default: the run's]
    #[arg(long, value_name = "FILE")]
    suite: Option<PathBuf>,
    /// Length of the step, above 0 (about 2 with --adaptive)
    #[arg(long, default_value_t = RHO, allow_negative_numbers = true)]
    rho: f64,
    /// Move each weight in proportion to its size
    #[arg(long)]
    adaptive: bool,
    /// Most batches
    #[arg(long, value_name = "N", default_value = "8", value_parser = polytask_terminal::count)]
    batches: usize,
    /// Most rows of each source in a batch
    #[arg(long, value_name = "N", default_value = "64", value_parser = polytask_terminal::count)]
    rows: usize,
    /// train or valid
    #[arg(long, default_value = "train", value_parser = ["train", "valid"])]
    split: String,
    /// Change a setting first
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<Outcome> {
    let report = report(args)?;
    if args.json {
        output::json(&report)?;
    } else {
        output::line(polytask_eval::sharpness::text(&report, output::width()).trim_end())?;
    }
    Ok(Outcome::Done)
}

fn report(args: &Args) -> Result<SharpnessReport> {
    if !(args.rho > 0.0 && args.rho.is_finite()) {
        return output::refuse(
            format!("`--rho {}`, expected a length above 0", args.rho),
            format!("`--rho {RHO}`"),
        );
    }
    let (suite, model) = suites::of_trained(&args.source, args.suite.as_deref())?;
    let suite = suites::load(&suite, &args.set)?;
    suites::set_threads(suite.train.threads)?;
    let wanted = SharpnessOptions {
        split: if args.split == "valid" { Split::Valid } else { Split::Train },
        batches: args.batches,
        rows: args.rows,
        reach: Reach { rho: args.rho, adaptive: args.adaptive },
    };
    Ok(sharpness::of_model(suite, &model, wanted, &mut TerminalProgress::new(args.json))?)
}
