//! `polytask demo`: the whole way on five real tasks.

use std::path::{Path, PathBuf};

use anyhow::Result;
use polytask_model::{Model, Question};

use crate::lines::for_pieces;
use crate::verbs::train::{self, RunArgs};
use polytask_terminal::output::{self, Outcome};

/// Train and judge one model on five real tasks, in minutes
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask demo
  polytask demo --quick --out /tmp/demo

Intents (Banking77), entailment (SNLI), similarity and relation (SICK) and search (O*NET job titles)
are trained together on all-MiniLM-L6-v2 and alone, and compared. `relation` has 200 labels: what it
gains, it learns from the others. The folder holds model/, report.html, report.json and CARD.md.

Exit codes: 0 done, whatever the verdict; 2 could not run.")]
pub(crate) struct Args {
    /// Fewer rows and steps: a first look in about a minute
    #[arg(long)]
    quick: bool,
    /// Folder of the run
    #[arg(long, short, default_value = "polytask-demo")]
    out: PathBuf,
    /// Folder of the demo's data (suite.toml and its folders); the source tree's otherwise
    #[arg(long)]
    data: Option<PathBuf>,
    #[command(flatten)]
    run: RunArgs,
}

/// What `--quick` changes: random heads learn little in 20 steps, so it starts from the probes.
const QUICK: &[&str] = &[
    "train.steps=20",
    "train.eval_every=10",
    "train.start=probe",
    "train.lr=1e-4",
    "train.head_lr_factor=1",
    "task.intent.limit=800",
    "task.entail.limit=400",
    "source.sick.limit=400",
    "task.jobs.limit=400",
];

/// The task of job search.
const JOBS: &str = "jobs";

/// Two examples: a customer's words, a pair of sentences, a job title.
const EXAMPLES: [(&str, [&str; 2], &str); 2] = [
    (
        "My new card still has not come in the mail.",
        ["A man is playing a guitar on stage.", "A musician performs."],
        "bicycle mechanic",
    ),
    (
        "Why was I charged a fee for taking out cash?",
        ["Two dogs run through the snow.", "The dogs are asleep."],
        "kindergarten teacher",
    ),
];

pub(crate) fn run(args: &Args) -> Result<Outcome> {
    let data = polytask_terminal::demo::find_data(args.data.as_deref())?;
    let suite = args.run.load(&data.join("suite.toml"), if args.quick { QUICK } else { &[] })?;
    let report = args.run.execute(suite, &args.out)?;
    train::show(&report, &args.out, args.run.json)?;
    if !args.run.json {
        show_examples(&args.out.join("model"), &data)?;
    }
    Ok(Outcome::Done)
}

/// Every task of the model on the examples.
fn show_examples(folder: &Path, data: &Path) -> Result<()> {
    let model = Model::load(folder)?;
    let corpus = Titles::read(&model, data)?;
    for (text, pair, job) in EXAMPLES {
        let intent = answer(&model, "intent", &[text])?;
        output::line(format!(
            "\n{text}\n  intent   {} ({:.2})",
            word(&intent["label"]),
            intent["score"].as_f64().unwrap_or(f64::NAN)
        ))?;
        let similar = answer(&model, "similar", &pair)?;
        output::line(format!("{} / {}", pair[0], pair[1]))?;
        for task in ["entail", "relation"] {
            let found = answer(&model, task, &pair)?;
            let score = found["score"].as_f64().unwrap_or(f64::NAN);
            output::line(format!("  {task:8} {} ({score:.2})", word(&found["label"])))?;
        }
        output::line(format!("  similar  {:.2} of 5", similar["score"].as_f64().unwrap_or(f64::NAN)))?;
        output::line(format!("{job}\n  jobs     {}", corpus.nearest(&model, job)?))?;
    }
    Ok(())
}

/// What a task says about one row.
fn answer(model: &Model, task: &str, inputs: &[&str]) -> Result<serde_json::Value> {
    let rows = vec![inputs.iter().map(|&input| input.into()).collect()];
    let mut predicted = model.predict(&[Question { task: model.task(task)?, rows }], None)?;
    Ok(predicted.answers.remove(0).remove(0))
}

fn word(value: &serde_json::Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The corpus of occupations with its vectors.
struct Titles {
    titles: Vec<String>,
    vectors: polytask_nn::States,
}

impl Titles {
    fn read(model: &Model, data: &Path) -> Result<Self> {
        let path = data.join("onet").join("corpus.jsonl");
        let path = if path.exists() { path } else { path.with_extension("jsonl.gz") };
        let (mut titles, mut texts) = (Vec::new(), Vec::new());
        for_pieces(&path.to_string_lossy(), |rows| {
            for row in rows {
                texts.push(format!("{} {}", row.text("title")?, row.text("text")?));
                titles.push(row.text("title")?);
            }
            Ok(())
        })?;
        Ok(Self { vectors: model.embed(&texts, Some(JOBS), None)?, titles })
    }

    fn nearest(&self, model: &Model, job: &str) -> Result<String> {
        let hits = polytask_model::search(model.embed(&[job], Some(JOBS), None)?, self.vectors.clone(), 3)?;
        let titles: Vec<&str> = hits[0].iter().map(|&(i, _)| self.titles[i as usize].as_str()).collect();
        Ok(titles.join(" · "))
    }
}
