//! `polytask merge search`: how much of each model a merge takes, learned on a suite's rows.

use std::path::{Path, PathBuf};

use anyhow::Result;
use polytask_core::Split;
use polytask_eval::table::aligned;
use polytask_merge::MergeOptions;
use polytask_train::merging::{
    BLOCKS, FORMS, LearnOptions, LearnedMerge, MergeInputs, SearchWords, merge_searched,
};
use serde_json::json;

use super::{folder_of, pair};
use polytask_terminal::output::{self, Outcome};
use polytask_terminal::progress::TerminalProgress;
use polytask_terminal::suites;

/// Learn how much of each model a merge takes, on a suite's rows
#[derive(Debug, clap::Args)]
#[command(override_usage = "polytask merge search [OPTIONS]\n       \
                           --base <BASE> --probe <SUITE> --out <OUT> <MODELS>...")]
#[command(after_help = "\
Examples:
  polytask merge search runs/a runs/b --base all-MiniLM-L6-v2 --probe suite.toml --out merged
  polytask merge search a b --base all-MiniLM-L6-v2 --probe all.toml --form atlas --out merged
  polytask merge search a b --base all-MiniLM-L6-v2 --probe all.toml --share sts=2 --out merged

The suite has a task for each head; its valid rows are the probe, test stays unread. The loss is that of the merged
model with the heads as they are; what is learned is

  slerp    a relative weight per model on the sphere of task vectors, and a length (Self Positioning, 2410.15035)
  average  a relative weight per model of their mean, and a length
  free     a positive number per model
  atlas    a number per model and block of parameters, from 0 (aTLAS, 2407.02880)

A step costs about a training step. The result is a folder as `polytask merge` writes it; merge.json has the
coefficients, the inner products of the task vectors and the curve of the loss.

Fine-tuning on the same rows is the honest rival: `polytask train suite.toml` from the merged folder.

Exit codes: 0 done, 2 could not run.")]
pub(crate) struct Args {
    /// Folders of runs or models
    #[arg(required = true)]
    models: Vec<String>,
    /// What the models were trained from: a folder, or an encoder's name
    #[arg(long)]
    base: String,
    /// Suite with the rows the coefficients are learned on
    #[arg(long, value_name = "SUITE")]
    probe: PathBuf,
    /// What is learned
    #[arg(long, default_value = "slerp", value_parser = FORMS)]
    form: String,
    /// With --form atlas: what has a number of its own
    #[arg(long, default_value = "tensor", value_parser = BLOCKS)]
    blocks: String,
    /// valid or train
    #[arg(long, default_value = "valid", value_parser = ["valid", "train"])]
    split: String,
    /// Steps
    #[arg(long, default_value_t = 200, value_parser = polytask_terminal::count)]
    steps: usize,
    /// Rows of each source in a step
    #[arg(long, default_value_t = 16, value_parser = polytask_terminal::count)]
    rows: usize,
    /// Learning rate [default: 0.05; 0.01 with --form atlas]
    #[arg(long)]
    lr: Option<f64>,
    /// Price of length in the loss: below 0.05 guards against fitting the probe by length alone
    #[arg(long, default_value_t = 0.0)]
    mu: f64,
    /// With --form atlas: price of the coefficients' absolute values
    #[arg(long, default_value_t = 0.0)]
    l1: f64,
    /// Share of a task in the loss: `--share sts=2` [default: 1 each]
    #[arg(long = "share", value_name = "TASK=SHARE")]
    shares: Vec<String>,
    /// Whose head a task keeps where several models have one
    #[arg(long = "head", value_name = "TASK=MODEL")]
    heads: Vec<String>,
    /// Change a setting of the suite first
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Folder of the result
    #[arg(long, short)]
    out: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<Outcome> {
    let options = learn_options(args)?;
    polytask_merge::check_free(&args.out)?;
    let heads = args.heads.iter().map(|text| pair("--head", text)).collect::<Result<_>>()?;
    let learned = json!({"form": args.form, "blocks": args.blocks, "probe": args.probe, "split": args.split,
        "steps": args.steps, "rows": args.rows, "mu": args.mu, "l1": args.l1, "shares": options.shares});
    let merge = MergeOptions {
        out: args.out.clone(),
        compat: false,
        seed: 13,
        shard: 5_000_000_000,
        heads,
        learned: Some(learned),
    };
    let suite = suites::load_to_judge(&args.probe, &args.set)?;
    suites::set_threads(suite.train.threads)?;
    let inputs = MergeInputs { models: &args.models, base: &args.base, resolve: &folder_of };
    let mut observer = TerminalProgress::new(args.json);
    let (learnt, report) = merge_searched(suite, inputs, (&options, merge), &mut observer, &mut |_, _| {})?;
    if args.json {
        output::json(&json!({"out": args.out, "merge": report}))?;
        return Ok(Outcome::Done);
    }
    tell(args, &learnt)?;
    super::tell(&report, &args.out)?;
    Ok(Outcome::Done)
}

fn learn_options(args: &Args) -> Result<LearnOptions> {
    let words = SearchWords { form: &args.form, blocks: &args.blocks, lr: args.lr, mu: args.mu, l1: args.l1 };
    let lr = words.rate();
    if !(lr > 0.0 && lr.is_finite() && args.mu >= 0.0 && args.l1 >= 0.0) {
        let what = format!(
            "--lr {lr}, --mu {}, --l1 {}: expected a rate above 0 and prices of at least 0",
            args.mu, args.l1
        );
        return output::refuse(what, "`--lr 0.05 --mu 0.01`");
    }
    let share = |text: &String| {
        let (task, share) = pair("--share", text)?;
        match share.parse::<f64>() {
            Ok(share) if share.is_finite() => Ok((task, share)),
            _ => output::refuse(
                format!("`--share {text}`, expected TASK=NUMBER"),
                format!("`--share {task}=1`"),
            ),
        }
    };
    Ok(LearnOptions {
        split: if args.split == "valid" { Split::Valid } else { Split::Train },
        rows: args.rows,
        steps: args.steps,
        shares: args.shares.iter().map(share).collect::<Result<_>>()?,
        learned: words.learned(),
    })
}

fn tell(args: &Args, learnt: &LearnedMerge) -> Result<()> {
    let mut rows = vec![["model", "relative weight", "factor", "|task vector|"].map(str::to_owned).to_vec()];
    for (i, model) in args.models.iter().enumerate() {
        let factors: Vec<f64> = learnt.factors[i].iter().map(|(_, factor)| *factor).collect();
        let mean = factors.iter().sum::<f64>() / factors.len().max(1) as f64;
        let weight =
            learnt.weights.as_ref().map_or_else(|| "–".to_owned(), |weights| format!("{:.3}", weights[i]));
        let factor = if factors.len() > 1 {
            let (low, high) = factors.iter().fold((f64::MAX, f64::MIN), |(l, h), f| (l.min(*f), h.max(*f)));
            format!("{mean:.3} in the mean ({low:.3} to {high:.3} over {} tensors)", factors.len())
        } else {
            format!("{mean:.3}")
        };
        rows.push(vec![name(model), weight, factor, format!("{:.4}", learnt.gram[i][i].sqrt())]);
    }
    aligned(&rows).iter().try_for_each(output::line)?;
    let (first, last) = (learnt.losses.first(), learnt.losses.last());
    if let (Some(first), Some(last)) = (first, last) {
        let n = learnt.losses.len();
        output::line(format!("loss {first:.4} in step 1, {last:.4} in step {n}\n"))?;
    }
    Ok(())
}

fn name(model: &str) -> String {
    Path::new(model).display().to_string()
}
