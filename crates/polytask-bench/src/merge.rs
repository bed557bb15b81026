//! `polytask bench merge`: three checkpoints of one base become one, from files to files.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use polytask_core::{Purpose, Rng, atomic, files};
use polytask_data::pull::{self, PullOptions};
use polytask_merge::{MergeConfig, MergeOptions, merge};
use polytask_nn::weights::{TensorPlan, WeightFiles, WeightsOut};
use serde::Serialize;
use serde_json::json;

use super::against::{self, Answers, Comparison, Place, fields};
use super::measure::{Process, Times, measure};
use super::{argument, leftovers};
use polytask_terminal::output::{self, Outcome};
use polytask_terminal::suites;

/// The base and what is merged, in the folder of inputs.
const BASE: &str = "base";
const MODELS: [&str; 3] = ["a", "b", "c"];
/// The methods, and what each is given.
const METHODS: [(&str, &str); 3] =
    [("linear", "weight: 1.0"), ("task_arithmetic", "weight: 0.5"), ("ties", "weight: 0.5, density: 0.2")];
/// The method of which whole processes are timed.
const WHOLE: &str = "ties";
/// Deviation of what is added to a model's values.
const STRAY: f64 = 1e-3;
/// Every how many-th value is compared.
const EVERY: usize = 101;
/// Differences of values that count as equal, and the largest share of others: of equal entries at the cut of a density
/// either may stay.
const CLOSE: f32 = 1e-6;
const OTHERS: f64 = 1e-4;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask bench merge
  polytask bench merge --against mergekit
  polytask bench merge --model encoders/mpnet-base --against mergekit --rounds 3

Three checkpoints are made of the model by adding noise to every value; they are merged by their mean, by the sum of task
vectors, and by ties of density 0.2, from files to files. `whole process` is the last with the start of the program, and
the memory is that of this process. Against mergekit its entry for checkpoints is used (mergekit-pytorch), since the one
for folders does not read encoders of this kind; every hundredth value of both results must be the same.")]
pub(super) struct Args {
    #[command(flatten)]
    common: super::Common,
    /// Folder with the inputs of an earlier run: base, a, b, c [default: made and removed]
    #[arg(long, hide = true)]
    inputs: Option<PathBuf>,
    /// Passes measured (in each round, with --against)
    #[arg(long, default_value_t = 1, value_parser = polytask_terminal::count)]
    runs: usize,
    /// Measure beside a peer
    #[arg(long, value_parser = ["mergekit"])]
    against: Option<String>,
    #[command(flatten)]
    options: against::Options,
}

#[derive(Serialize)]
struct Part {
    mix: String,
    #[serde(flatten)]
    times: Times,
}

#[derive(Serialize)]
struct Figures {
    bench: &'static str,
    mixes: Vec<Part>,
    #[serde(flatten)]
    process: Process,
}

pub(super) fn run(args: &Args) -> Result<Outcome> {
    suites::set_threads(args.common.threads)?;
    leftovers::sweep(&std::env::temp_dir(), |name| name.starts_with(leftovers::PREFIX));
    if args.against.is_some() {
        return compare(args);
    }
    let work = tempfile::Builder::new().prefix(leftovers::PREFIX).tempdir();
    let work = work.context("cannot create a temporary folder")?;
    let inputs = match &args.inputs {
        Some(folder) => folder.clone(),
        None => make_inputs(args, work.path())?,
    };
    let mut mixes = Vec::new();
    for (method, _) in METHODS {
        let times = measure(args.runs, 0, || merged(&inputs, method, &work.path().join("out")).map(drop))?;
        mixes.push(Part { mix: method.into(), times: Times::of(times) });
    }
    let times = measure(args.runs, 0, || whole(&inputs, &work.path().join("out")))?;
    mixes.push(Part { mix: format!("{WHOLE}, whole process"), times: Times::of(times) });
    let figures = Figures { bench: "merge", mixes, process: Process::children() };
    if args.common.json {
        output::json(&figures)?;
        return Ok(Outcome::Done);
    }
    for Part { mix, times } in &figures.mixes {
        output::line(format!("{mix:<20} {times}"))?;
    }
    output::line(figures.process.to_string())?;
    Ok(Outcome::Done)
}

/// The base and three checkpoints near it, as folders; memory holds a tensor at a time.
fn make_inputs(args: &Args, work: &Path) -> Result<PathBuf> {
    let model = match &args.common.model {
        Some(folder) => folder.clone(),
        None => pull::pull("all-MiniLM-L6-v2", &PullOptions::from_environment())?.folder,
    };
    let weights = WeightFiles::open_folder(&model)?;
    let is_real = |dtype: &str| matches!(dtype, "F32" | "F16" | "BF16");
    let plans: Vec<TensorPlan> = weights
        .entries()
        .filter(|entry| is_real(&format!("{:?}", entry.dtype)))
        .map(|entry| TensorPlan { name: entry.name.clone(), dtype: entry.dtype, shape: entry.shape.clone() })
        .collect();
    let inputs = work.join("inputs");
    for (number, name) in std::iter::once(BASE).chain(MODELS).enumerate() {
        let folder = inputs.join(name);
        copy_small_files(&model, &folder)?;
        let out = WeightsOut::create(&folder, &plans, usize::MAX)?;
        for (at, plan) in plans.iter().enumerate() {
            let mut values = weights.f32(&plan.name)?;
            let mut rng = Rng::new(11, Purpose::Bench, &[number as u64, at as u64]);
            if number > 0 {
                values.iter_mut().for_each(|value| *value += (STRAY * (2.0 * rng.uniform() - 1.0)) as f32);
            }
            out.write(&plan.name, 0, &values)?;
        }
        out.finish()?;
    }
    for (method, given) in METHODS {
        atomic::write(&inputs.join(format!("{method}.yaml")), yaml(&inputs, method, given, "").as_bytes())?;
        let theirs = yaml(&inputs, method, given, "/model.safetensors");
        atomic::write(&inputs.join(format!("{method}-of-files.yaml")), theirs.as_bytes())?;
    }
    Ok(inputs)
}

/// Everything of a model's folder but its weights.
fn copy_small_files(model: &Path, folder: &Path) -> Result<()> {
    atomic::create_dir(folder)?;
    for entry in std::fs::read_dir(model).with_context(|| format!("cannot read {}", model.display()))? {
        let entry = entry?;
        let (name, path) = (entry.file_name(), entry.path());
        if path.is_dir() {
            copy_small_files(&path, &folder.join(name))?;
        } else if path.extension().is_none_or(|ending| ending != "safetensors" && ending != "bin") {
            atomic::write(&folder.join(name), &files::read(&path, files::LARGE)?)?;
        }
    }
    Ok(())
}

/// The settings of a merge, in mergekit's form.
fn yaml(inputs: &Path, method: &str, given: &str, file: &str) -> String {
    let place = |name: &str| format!("{}{file}", inputs.join(name).display());
    let base = if method == "linear" { String::new() } else { format!("base_model: {}\n", place(BASE)) };
    let model = |name: &str| format!("  - {{model: {}, parameters: {{{given}}}}}\n", place(name));
    format!("merge_method: {method}\n{base}models:\n{}", MODELS.map(model).concat())
}

/// Merges within this process.
fn merged(inputs: &Path, method: &str, out: &Path) -> Result<PathBuf> {
    let _ = std::fs::remove_dir_all(out);
    let file = inputs.join(format!("{method}.yaml"));
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let config = MergeConfig::read(&text, &file).map_err(polytask_core::Error::Invalid)?;
    let options = MergeOptions {
        out: out.to_path_buf(),
        compat: true,
        seed: 1,
        shard: usize::MAX,
        heads: Vec::new(),
        learned: None,
    };
    merge(&config, &|name| Ok(PathBuf::from(name)), &options, &mut |_, _| {})?;
    Ok(out.to_path_buf())
}

/// Merges in a process of its own.
fn whole(inputs: &Path, out: &Path) -> Result<()> {
    let _ = std::fs::remove_dir_all(out);
    let program = std::env::current_exe().context("cannot find the path of this program")?;
    let said = Command::new(program)
        .arg("merge")
        .arg(inputs.join(format!("{WHOLE}.yaml")))
        .args(["--out".as_ref(), out])
        .args(["--compat", "--json"])
        .env("RAYON_NUM_THREADS", rayon::current_num_threads().to_string())
        .stdin(Stdio::null())
        .output()
        .context("cannot start this program again")?;
    ensure!(said.status.success(), "merge failed: {}", String::from_utf8_lossy(&said.stderr).trim());
    Ok(())
}

/// Every so many-th value of a merged model's tensors, by their names.
fn sample(folder: &Path) -> Result<Vec<f32>> {
    let weights = WeightFiles::open_folder(folder)?;
    let mut names: Vec<&str> = weights.entries().map(|entry| entry.name.as_str()).collect();
    names.sort_unstable();
    let of = |name: &str| Ok(weights.f32(name)?.into_iter().step_by(EVERY).collect::<Vec<f32>>());
    Ok(names.into_iter().map(of).collect::<Result<Vec<_>>>()?.concat())
}

fn compare(args: &Args) -> Result<Outcome> {
    let place = Place::new(&args.options)?;
    let inputs = make_inputs(args, place.work())?;
    let mut ours = Vec::new();
    for (method, _) in METHODS {
        ours.extend(sample(&merged(&inputs, method, &place.work().join("ours"))?)?);
    }
    let methods = METHODS.map(|(method, _)| method);
    let threads = args.common.threads;
    let comparison = Comparison {
        bench: "merge",
        peer: "mergekit",
        what: format!("three checkpoints of {} values merged into one", sample_size(&inputs)?),
        script: "merge.py",
        ours: [
            "--inputs",
            &argument(&inputs),
            "--runs",
            &args.runs.to_string(),
            "--threads",
            &threads.to_string(),
        ]
        .map(str::to_owned)
        .to_vec(),
        job: fields([
            ("inputs", json!(argument(&inputs))),
            ("out", json!(argument(&place.work().join("theirs")))),
            ("methods", json!(methods)),
            ("whole", json!(WHOLE)),
            ("every", json!(EVERY)),
            ("runs", json!(args.runs)),
        ]),
        axes: vec![against::threads(threads)],
        trial: fields([("methods", json!(["linear"])), ("whole", json!(null)), ("runs", json!(1))]),
        variant: None,
        prove: Box::new(move |theirs: &Answers| same(&ours, &theirs.values)),
    };
    against::run(&comparison, &place, &args.options, args.common.json)
}

/// Values of the base.
fn sample_size(inputs: &Path) -> Result<usize> {
    let weights = WeightFiles::open_folder(&inputs.join(BASE))?;
    Ok(weights.entries().map(polytask_nn::weights::TensorEntry::len).sum())
}

/// That both results are the same: but for a few values at a cut, each to the last digits.
fn same(ours: &[f32], theirs: &[f32]) -> Result<Vec<(&'static str, f64)>> {
    let (n, found) = (ours.len(), theirs.len());
    ensure!(n == found && n > 0, "the peer gave {found} values, expected {n}");
    // A difference that is not a number is not among the close ones.
    let close = ours.iter().zip(theirs).filter(|(a, b)| (*a - *b).abs() <= CLOSE).count();
    let others = n - close;
    let share = others as f64 / n as f64;
    ensure!(share <= OTHERS, "{others} of {n} values differ by more than {CLOSE}");
    Ok(vec![("share of values that differ by more than 1e-6", share)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_right_in_both_forms() {
        let inputs = Path::new("/x");
        let text = yaml(inputs, "ties", "weight: 0.5, density: 0.2", "/model.safetensors");
        assert!(text.contains("base_model: /x/base/model.safetensors\n"), "{text}");
        for (method, given) in METHODS {
            let config = MergeConfig::read(&yaml(inputs, method, given, ""), Path::new("m.yaml")).unwrap();
            assert!(config.models().contains(&"/x/c".to_owned()), "{method}");
        }
    }

    #[test]
    fn a_few_other_values_are_let_pass_and_many_are_not() {
        let ours = vec![1.0_f32; 20_000];
        let mut theirs = ours.clone();
        theirs[5] = 2.0;
        assert_eq!(same(&ours, &theirs).unwrap()[0].1, 5e-5);
        theirs[..5].fill(f32::NAN);
        assert!(same(&ours, &theirs).unwrap_err().to_string().contains("6 of 20000"));
        assert!(same(&ours, &theirs[1..]).is_err());
    }
}
