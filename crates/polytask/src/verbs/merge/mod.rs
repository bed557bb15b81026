//! `polytask merge`: models of one base become one.

mod inspect;
mod search;

use std::path::{Path, PathBuf};

use anyhow::Result;
use polytask_core::{Error, Problem, files};
use polytask_eval::table::aligned;
use polytask_merge::{Given, MergeConfig, MergeMethod, MergeOptions, MergeReport};
use polytask_train::observe::{Event, Observer};
use serde_json::json;

use crate::models;
use polytask_terminal::output::{self, Outcome};
use polytask_terminal::progress::TerminalProgress;

/// Merge models that were trained from one base
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "\
Examples:
  polytask merge a b c --base all-MiniLM-L6-v2 --method ties --density 0.2 --out merged
  polytask merge runs/a runs/b --base all-MiniLM-L6-v2 --weight 1,0.5 --out merged
  polytask merge merge.yaml --out merged
  polytask merge runs/a runs/b --method slerp --set t=0.3 --out merged
  polytask merge inspect runs/a runs/b --base all-MiniLM-L6-v2
  polytask merge search runs/a runs/b --base all-MiniLM-L6-v2 --probe suite.toml --out merged

The trunks are merged; each task keeps its head, so the result answers all tasks (`polytask predict`, `polytask
eval`) and is a folder that sentence-transformers loads. It has merge.json and CARD.md: method, settings, hashes of
the inputs. `polytask methods --kind merge` lists the methods and their parameters.

A .yaml file is read as mergekit does: merge_method, models or slices or modules, base_model, parameters (values,
gradients over layers, filters by tensor name), dtype, out_dtype. An unknown key is a mistake.

Models are read block by block, so the memory needed does not grow with them. Their tokenizers, architectures and
poolings must be equal; everything that is not is told at once, and nothing is written then.

Exit codes: 0 done, 2 could not run."
)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Folders of runs or models, or encoders by name; or one .yaml file
    #[arg(required = true)]
    models: Vec<String>,
    /// What the models were trained from: a folder, or an encoder's name
    #[arg(long)]
    base: Option<String>,
    /// The method [default: the sum of task vectors with a base, the mean without]
    #[arg(long, short = 'M')]
    method: Option<String>,
    /// Share of each model: one number, or one per model
    #[arg(long, value_name = "W[,W…]", value_delimiter = ',', allow_negative_numbers = true)]
    weight: Vec<f64>,
    /// Share of each task vector's entries that stay: one number, or one per model
    #[arg(long, value_name = "D[,D…]", value_delimiter = ',', allow_negative_numbers = true)]
    density: Vec<f64>,
    /// Factor of the merged task vector
    #[arg(long, allow_negative_numbers = true)]
    lambda: Option<f64>,
    /// Another parameter of the method: `--set t=0.3`, `--set gamma=0.01,0.02` for one value per model
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Whose head a task keeps where several models have one: `--head sts=runs/a`
    #[arg(long = "head", value_name = "TASK=MODEL")]
    heads: Vec<String>,
    /// Type of the merged weights: float32, float16, bfloat16 [default: that of the models]
    #[arg(long)]
    dtype: Option<String>,
    /// Folder of the result
    #[arg(long, short)]
    out: Option<PathBuf>,
    /// mergekit's form where ours differs (small energies of sce, density 1 where none is given, opposite vectors)
    #[arg(long)]
    compat: bool,
    /// Seed of what is drawn
    #[arg(long, default_value_t = 13)]
    seed: u64,
    /// Most size of a file of weights, in MB
    #[arg(long, value_name = "MB", default_value_t = 5000, value_parser = polytask_terminal::count)]
    shard_mb: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Say what models are to each other before they are merged
    Inspect(inspect::Args),
    /// Learn how much of each model a merge takes, on a suite's rows
    Search(Box<search::Args>),
}

pub(crate) fn run(args: &Args) -> Result<Outcome> {
    match &args.verb {
        Some(Verb::Inspect(args)) => return inspect::run(args),
        Some(Verb::Search(args)) => return search::run(args),
        None => {}
    }
    let Some(out) = &args.out else {
        return output::refuse("no place for the result", "`--out merged`");
    };
    let mut config = config(args)?;
    if let Some(name) = &args.dtype {
        config.set_out_dtype(name).map_err(Error::from)?;
    }
    let heads = args.heads.iter().map(|text| pair("--head", text)).collect::<Result<_>>()?;
    let options = MergeOptions {
        out: out.clone(),
        compat: args.compat,
        seed: args.seed,
        shard: args.shard_mb * 1_000_000,
        heads,
        learned: None,
    };
    let report =
        with_progress(args.json, |progress| polytask_merge::merge(&config, &folder_of, &options, progress))?;
    if args.json {
        output::json(&json!({"out": out, "merge": report}))?;
    } else {
        tell(&report, out)?;
    }
    Ok(Outcome::Done)
}

/// The folder of a model as written.
fn folder_of(name: &str) -> polytask_merge::Result<PathBuf> {
    let found = models::folder_or_pulled(Path::new(name));
    found.map_err(|error| match error.downcast::<Error>() {
        Ok(error) => error.into(),
        Err(error) => Error::from(Problem::new(format!("{error:#}"))).into(),
    })
}

/// Shows how many tensors are done.
fn with_progress<T>(
    quiet: bool,
    work: impl FnOnce(&mut dyn FnMut(usize, usize)) -> polytask_merge::Result<T>,
) -> Result<T> {
    let (mut progress, mut begun) = (TerminalProgress::new(quiet), false);
    let mut told = |done: usize, all: usize| {
        if !begun {
            progress.event(Event::Phase { name: "tensors", total: all as u64, done: 0 });
            begun = true;
        }
        progress.event(Event::Step { done: done as u64, losses: &[], lr: 0.0, tokens: 0, observed: &[] });
    };
    let result = work(&mut told);
    if begun {
        progress.event(Event::Done);
    }
    Ok(result?)
}

fn config(args: &Args) -> Result<MergeConfig> {
    let yaml = |name: &&String| Path::new(name).extension().is_some_and(|end| end == "yaml" || end == "yml");
    if let Some(file) = args.models.iter().find(yaml) {
        return from_file(args, Path::new(file));
    }
    let name =
        args.method.as_deref().unwrap_or(if args.base.is_some() { "task_arithmetic" } else { "linear" });
    let method = MergeMethod::find(name).map_err(|advice| {
        // Learned ones need rows.
        let learned = ["atlas", "search", "self_positioning"].contains(&name);
        let advice =
            if learned { "`polytask merge search`, which learns coefficients".into() } else { advice };
        Error::from(Problem::new(format!("unknown method `{name}`")).try_this(advice))
    })?;
    let base = args.base.as_deref();
    Ok(MergeConfig::of_models(method, &args.models, base, &given(args)?).map_err(Error::Invalid)?)
}

/// A file says everything itself.
fn from_file(args: &Args, file: &Path) -> Result<MergeConfig> {
    let beside =
        args.models.len() > 1 || args.base.is_some() || args.method.is_some() || !given(args)?.is_empty();
    if beside {
        let what = format!("{} says what is merged and how, found settings beside it", file.display());
        return output::refuse(what, "put them into the file");
    }
    let text = files::read_text(file, 1 << 20).map_err(Error::io("read", file))?;
    Ok(MergeConfig::read(&text, file).map_err(Error::Invalid)?)
}

/// The parameters that flags give.
fn given(args: &Args) -> Result<Vec<Given>> {
    let numbers = |name: &str, values: &[f64]| {
        let values = values.iter().map(|value| json!(value)).collect::<Vec<_>>();
        (!values.is_empty()).then(|| Given { name: name.to_owned(), values })
    };
    let flags = [
        numbers("weight", &args.weight),
        numbers("density", &args.density),
        numbers("lambda", args.lambda.as_slice()),
    ];
    let mut given: Vec<Given> = flags.into_iter().flatten().collect();
    for text in &args.set {
        let Some(parsed) = Given::parse(text) else {
            return output::refuse(format!("`--set {text}`, expected KEY=VALUE"), "`--set KEY=VALUE`");
        };
        given.push(parsed);
    }
    Ok(given)
}

/// The two sides of a sign of equality.
fn pair(flag: &str, text: &str) -> Result<(String, String)> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() && !value.is_empty() => Ok((key.into(), value.into())),
        _ => output::refuse(format!("`{flag} {text}`, expected KEY=VALUE"), format!("`{flag} KEY=VALUE`")),
    }
}

fn tell(report: &MergeReport, out: &Path) -> Result<()> {
    let mut rows = vec![["model", "is", "|added|", "heads", "sha256"].map(str::to_owned).to_vec()];
    for model in &report.models {
        rows.push(vec![
            model.name.clone(),
            if model.is_base { "base" } else { "merged" }.to_owned(),
            model.length.map_or_else(|| "–".to_owned(), |length| format!("{length:.4}")),
            if model.tasks.is_empty() { "–".to_owned() } else { model.tasks.join(", ") },
            model.sha256.iter().map(|hash| &hash[..12]).collect::<Vec<_>>().join(" "),
        ]);
    }
    aligned(&rows).iter().try_for_each(output::line)?;
    let (merged, copied) = (report.n_merged, report.n_copied);
    let values = report.n_values as f64 / 1e6;
    output::line(format!(
        "\n{}: {merged} tensors with {values:.1} M values merged, {copied} copied → {}",
        report.method,
        out.display()
    ))?;
    match report.tasks().as_slice() {
        [] => output::line(format!("next: polytask embed --model {} --input texts.jsonl", out.display())),
        [task, ..] => output::line(format!(
            "next: polytask eval SUITE --model {0}, polytask predict --model {0} --task {task}",
            out.display()
        )),
    }
}
