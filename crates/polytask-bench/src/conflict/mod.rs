//! `polytask bench conflict`: what it costs to know who hurts whom.
//!
//! Every figure is that of whole optimiser steps of a real training: batch, forward, heads, task gradients, the
//! method, AdamW. They are held against the plain step (the sum of the losses) and against the arithmetic floor.
//!
//! | part | file |
//! | --- | --- |
//! | a suite of tasks on the same rows | [`suite`] |
//! | steps timed, one backward timed, answers to be compared | [`work`] |
//! | the table and its JSON | [`figures`] |
//! | peak memory over numbers of tasks | [`memory`] |

mod figures;
mod memory;
mod suite;
mod work;

use anyhow::Result;
use serde_json::json;

use self::figures::{Figures, Mix};
use self::work::Work;
use super::against::{self, Axis, Comparison, Place, fields, proof};
use super::measure::Process;
use polytask_terminal::output::{self, Outcome};
use polytask_terminal::suites;

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Examples:
  polytask bench conflict
  polytask bench conflict --trunk minilm --methods mgda,upgrad --rows-mb 0
  polytask bench conflict --against torchjd
  polytask bench conflict --memory

Every task has ten classes and a linear head, and every row has a label of every task. The trunk `mlp` reads 256
values through layers of 512, 512 and 512; `minilm` is all-MiniLM-L6-v2 on the demo's bank questions, all weights
trained. No dropout.

`x plain` is the time over that of the plain step, which sums the losses. `x floor` is the time over the least that
gradients kept apart can cost: the plain step and a backward per task (one less where the gradients themselves are
kept, which --rows-mb decides). Methods are timed in turn, in rounds; a ratio is the median of the
rounds' ratios. --memory runs a process per number of tasks (2, 8, 32) and holds their peaks against
that of 2 tasks. PyTorch with TorchJD gets fused AdamW, and the faster of its two engines for full gradients.")]
pub(super) struct Args {
    /// The shared network
    #[arg(long, default_value = "mlp", value_parser = ["mlp", "minilm"])]
    trunk: String,
    /// Tasks
    #[arg(long, default_value_t = 8, value_parser = polytask_terminal::count)]
    tasks: usize,
    /// Rows per step; 256 for `mlp`, 64 for `minilm` otherwise
    #[arg(long, value_parser = polytask_terminal::count)]
    batch: Option<usize>,
    /// The methods, separated by commas
    #[arg(long, value_delimiter = ',', default_values_t = names(), value_parser = known())]
    methods: Vec<String>,
    /// Which gradients the methods see
    #[arg(long, default_value = "both", value_parser = ["full", "representation", "both"])]
    gradients: String,
    /// Most memory for task gradients that are kept, in MiB; 0 keeps none
    #[arg(long, default_value_t = 1024)]
    rows_mb: usize,
    /// Steps measured of each method, in up to five rounds (in each round of --against)
    #[arg(long, default_value_t = 9, value_parser = polytask_terminal::count)]
    runs: usize,
    /// Measure peak memory at 2, 8 and 32 tasks instead
    #[arg(long, conflicts_with_all = ["against", "tasks", "gradients"])]
    memory: bool,
    #[command(flatten)]
    common: super::Common,
    /// Measure beside a peer
    #[arg(long, value_parser = ["torchjd"])]
    against: Option<String>,
    #[command(flatten)]
    options: against::Options,
}

/// A method of the bench.
struct Method {
    name: &'static str,
    /// The suite's `train.weighting`.
    weighting: &'static str,
}

/// The methods that are timed; all but the mean look at gradients.
const METHODS: [Method; 7] = [
    Method { name: "mean", weighting: "equal" },
    Method { name: "mgda", weighting: "mgda" },
    Method { name: "pcgrad", weighting: "pcgrad" },
    Method { name: "cagrad", weighting: "{name='cagrad', c=0.4}" },
    Method { name: "nash-mtl", weighting: "nash-mtl" },
    Method { name: "upgrad", weighting: "upgrad" },
    Method { name: "aligned-mtl", weighting: "aligned-mtl" },
];

/// Rounds in which everything is timed in turn, where there are runs enough: another moment of a busy machine is another
/// machine, so ratios are taken within a round.
const ROUNDS: usize = 5;

/// The one that looks at no gradient.
const MEAN: &str = "mean";

fn names() -> Vec<String> {
    METHODS.iter().map(|method| method.name.to_owned()).collect()
}

fn known() -> clap::builder::PossibleValuesParser {
    METHODS.iter().map(|method| method.name).collect::<Vec<_>>().into()
}

impl Args {
    fn batch(&self) -> usize {
        self.batch.unwrap_or(if self.trunk == "mlp" { 256 } else { 64 })
    }

    /// What is timed: the plain step, then every method on full gradients and at the representation.
    fn mixes(&self) -> Vec<Mix> {
        let chosen = || METHODS.iter().filter(|method| self.methods.iter().any(|name| name == method.name));
        let full = chosen().map(|method| Mix::new(method.name, method.weighting, "full"));
        let looking = chosen().filter(|method| method.name != MEAN);
        let below = looking.map(|method| Mix::new(method.name, method.weighting, "representation"));
        let (full, below) = match self.gradients.as_str() {
            "full" => (full.collect(), Vec::new()),
            "representation" => (Vec::new(), below.collect()),
            _ => (full.collect(), below.collect()),
        };
        [vec![Mix::plain()], full, below].concat()
    }

    /// The work in words.
    fn size(&self) -> String {
        format!("{} tasks on trunk `{}`, {} rows per step", self.tasks, self.trunk, self.batch())
    }

    /// The arguments of a process that does the same work and prints JSON.
    fn again(&self, tasks: usize) -> Vec<String> {
        let numbers = [
            ("--tasks", tasks),
            ("--batch", self.batch()),
            ("--rows-mb", self.rows_mb),
            ("--runs", self.runs),
            ("--threads", self.common.threads),
        ];
        let texts = [
            ("--trunk", self.trunk.clone()),
            ("--methods", self.methods.join(",")),
            ("--gradients", self.gradients.clone()),
        ];
        let model = self.common.model.iter().map(|folder| ("--model", super::argument(folder)));
        let numbers = numbers.into_iter().map(|(name, value)| (name, value.to_string()));
        let pairs = texts.into_iter().chain(model).chain(numbers);
        pairs.flat_map(|(name, value)| [name.to_owned(), value]).collect()
    }
}

pub(super) fn run(args: &Args) -> Result<Outcome> {
    if args.batch() < suite::CLASSES {
        let what =
            format!("--batch is {}, expected at least {}: a row per class", args.batch(), suite::CLASSES);
        return output::refuse(what, "a larger batch");
    }
    if args.memory {
        return memory::run(args);
    }
    suites::set_threads(args.common.threads)?;
    if args.against.is_some() { compare(args) } else { alone(args) }
}

fn alone(args: &Args) -> Result<Outcome> {
    let work = Work::new(args)?;
    let mixes = args.mixes();
    let n_rounds = (args.runs / 2).clamp(1, ROUNDS);
    let round = |_| work.round(&mixes, args.runs.div_ceil(n_rounds));
    let rounds = (0..n_rounds).map(round).collect::<Result<_>>()?;
    let figures = Figures {
        size: args.size(),
        n_tasks: args.tasks,
        parameters: work.parameters(),
        keeps_rows: work.keeps_rows(args.rows_mb),
        mixes,
        rounds,
        process: Process::now(),
    };
    if args.common.json {
        output::json(&figures.json())?;
    } else {
        output::line(figures.text())?;
    }
    Ok(Outcome::Done)
}

fn compare(args: &Args) -> Result<Outcome> {
    let place = Place::new(&args.options)?;
    let work = Work::new(args)?;
    let answers = work.answers(place.work())?;
    let mixes: Vec<_> = args.mixes().iter().map(Mix::job).collect();
    let mut job = answers.job;
    job.extend(fields([
        ("trunk", json!(args.trunk)),
        ("tasks", json!(args.tasks)),
        ("mixes", json!(mixes)),
        ("runs", json!(args.runs)),
        ("warmup", json!(2)),
    ]));
    let (states, gramian, norms) = (answers.pooled, answers.gramian, answers.norms);
    let comparison = Comparison {
        bench: "conflict",
        peer: "torchjd",
        what: args.size(),
        script: "torchjd_conflict.py",
        ours: args.again(args.tasks),
        job,
        axes: vec![Axis::names("engine", &["autojac", "autogram"]), against::threads(args.common.threads)],
        trial: fields([("runs", json!(2)), ("warmup", json!(1))]),
        variant: None,
        prove: Box::new(move |theirs| {
            let cosine = proof::cosines(&states, theirs)?;
            let product = proof::products(&gramian, theirs)?;
            let norm = proof::norms(&norms, theirs)?;
            Ok(vec![
                ("lowest cosine of a vector", cosine),
                ("largest difference of an inner product", product),
                ("largest difference of a norm of UPGrad's update", norm),
            ])
        }),
    };
    against::run(&comparison, &place, &args.options, args.common.json)
}
