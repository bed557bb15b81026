//! `polytask labels generate`: rows that a language model writes for labels, for `generated` in a suite.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use polytask_core::suite::{DescribedLabel, described};
use polytask_core::{atomic, near, plural};
use polytask_labels::{WritingPlan, WrittenRows, WrittenTexts};
use polytask_llm::{Cassette, CassetteMode, Endpoint, LlmBudget, LlmClient};
use polytask_train::observe::{Event, Observer};
use serde_json::json;

use crate::lines::for_pieces;
use polytask_terminal::output::{self, Outcome};
use polytask_terminal::progress::TerminalProgress;

/// Usual names of the columns of examples.
const TEXTS: [&str; 4] = ["text", "sentence", "utterance", "message"];
const LABELS: [&str; 4] = ["label", "intent", "category", "class"];

/// Have rows written for labels by a language model
#[derive(Debug, clap::Args)]
#[command(override_usage = "polytask labels generate LABELS --endpoint URL --llm-model NAME -o FILE")]
#[command(after_help = "\
Examples:
  polytask labels generate labels.toml --endpoint http://host:8000 --llm-model NAME -o gen.jsonl
  polytask labels generate l.toml --endpoint https://host/v1 --llm-model M -o g.jsonl --key-env KEY
  polytask labels generate l.toml --endpoint http://host/v1 --llm-model M -o g.jsonl --dry-run

The endpoint speaks the form of OpenAI (POST /v1/chat/completions). Every answer is written to the
cassette before the next request is sent: a run that was interrupted goes on where it was, and nothing
is paid twice. A suite uses the rows with `generated = { file = \"gen.jsonl\" }`, which filters them
and keeps them only where valid is better.

Exit codes: 0 done, 2 could not run.")]
pub(crate) struct Args {
    /// File of labels: lines name = \"description\"
    labels: PathBuf,
    /// Rows wanted of each label
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = polytask_terminal::count)]
    per_label: usize,
    /// Address of the endpoint, as `http://127.0.0.1:8000/v1`
    #[arg(long, value_name = "URL")]
    endpoint: String,
    /// Name of the language model at the endpoint
    #[arg(long, value_name = "NAME")]
    llm_model: String,
    /// Environment variable that holds the endpoint's key; none is sent without it
    #[arg(long, value_name = "VARIABLE")]
    key_env: Option<String>,
    /// The rows, as JSON lines
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    /// File of requests and answers [default: the output's name with .cassette]
    #[arg(long, value_name = "FILE")]
    cassette: Option<PathBuf>,
    /// What the cassette does: replay answers from it and asks the rest, record asks all anew, strict asks nothing
    #[arg(long, value_name = "MODE", default_value = "replay", value_parser = CassetteMode::NAMES)]
    mode: String,
    /// Rows that show what texts of the labels are like: columns text and label
    #[arg(long, value_name = "FILE")]
    examples: Option<String>,
    /// Examples that a request shows
    #[arg(long, value_name = "N", default_value_t = 4)]
    shown: usize,
    /// Rows asked for at once
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = polytask_terminal::count)]
    per_request: usize,
    /// Most tokens of an answer for each row asked for
    #[arg(long, value_name = "N", default_value_t = 100)]
    row_tokens: u64,
    /// How much is left to chance
    #[arg(long, value_name = "T", default_value_t = 1.0)]
    temperature: f64,
    /// Most requests, all runs with the cassette together
    #[arg(long, value_name = "N")]
    budget_requests: Option<u64>,
    /// Most tokens, all runs with the cassette together
    #[arg(long, value_name = "N")]
    budget_tokens: Option<u64>,
    /// Seed of which examples are shown
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Say what it may take, and ask nothing
    #[arg(long)]
    dry_run: bool,
    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
}

pub(crate) fn run(args: &Args) -> Result<Outcome> {
    if !(0.0..=10.0).contains(&args.temperature) {
        return output::refuse(format!("`--temperature` is {}, expected 0 to 10", args.temperature), "1.0");
    }
    let inputs = [Some(args.labels.as_path()), args.examples.as_deref().map(Path::new)];
    if let Some(input) = inputs.into_iter().flatten().find(|input| is_same(input, &args.out)) {
        return output::refuse(
            format!("`-o {}` is an input, too", input.display()),
            "another file for the rows",
        );
    }
    let labels = described(&args.labels)?;
    let examples = args.examples.as_deref().map(|file| examples(file, &labels)).transpose()?;
    let rows = rows(args, &labels, examples.as_ref());
    let mut client = client(args)?;
    let plan = rows.plan(&client);
    let planned = said(&plan, labels.len(), args.per_label);
    if args.dry_run {
        output::line(planned)?;
        return Ok(Outcome::Done);
    }
    output::note(planned);
    let mut progress = TerminalProgress::new(args.quiet);
    progress.event(Event::Phase { name: "labels", total: labels.len() as u64, done: 0 });
    let written = rows.write(&mut client, |done| {
        progress.event(Event::Step { done: done as u64, losses: &[], lr: 0.0, tokens: 0, observed: &[] });
    });
    progress.event(Event::Done);
    let written = written?;
    write(&args.out, &written)?;
    tell(args, &written, &client)?;
    Ok(Outcome::Done)
}

fn rows<'a>(
    args: &'a Args,
    labels: &'a [DescribedLabel],
    examples: Option<&'a BTreeMap<String, Vec<String>>>,
) -> WrittenRows<'a> {
    static NONE: BTreeMap<String, Vec<String>> = BTreeMap::new();
    WrittenRows {
        labels,
        examples: examples.unwrap_or(&NONE),
        per_label: args.per_label,
        per_request: args.per_request,
        shown: args.shown,
        model: &args.llm_model,
        temperature: args.temperature,
        row_tokens: args.row_tokens.max(1),
        seed: args.seed,
    }
}

/// Whether two paths are one file.
fn is_same(a: &Path, b: &Path) -> bool {
    let full = |path: &Path| path.canonicalize();
    a == b || full(a).is_ok_and(|a| full(b).is_ok_and(|b| a == b))
}

/// The client; a dry run makes no cassette where there is none.
fn client(args: &Args) -> Result<LlmClient> {
    let endpoint = Endpoint::new(&args.endpoint, args.key_env.as_deref())?;
    let path = args.cassette.clone().unwrap_or_else(|| {
        let name = args.out.file_name().map(|name| name.to_string_lossy().into_owned());
        args.out.with_file_name(name.unwrap_or_default() + ".cassette")
    });
    let mode = CassetteMode::named(&args.mode).unwrap_or(CassetteMode::Replay);
    // A dry run writes nothing.
    let mode = if args.dry_run { CassetteMode::Strict } else { mode };
    let budget = LlmBudget { requests: args.budget_requests, tokens: args.budget_tokens };
    if args.dry_run && !path.is_file() {
        return Ok(LlmClient::new(endpoint, None, budget));
    }
    let cassette = Cassette::open(&path, mode)?;
    cassette.notes().iter().for_each(output::note);
    Ok(LlmClient::new(endpoint, Some(cassette), budget))
}

/// Texts of labels in a file.
fn examples(file: &str, labels: &[DescribedLabel]) -> Result<BTreeMap<String, Vec<String>>> {
    let names: Vec<&str> = labels.iter().map(|label| label.name.as_str()).collect();
    let mut found = BTreeMap::<String, Vec<String>>::new();
    let mut line = 1;
    for_pieces(file, |rows| {
        for row in rows {
            let (text, label) = (row.text_of(&TEXTS)?, row.text_of(&LABELS)?);
            let label = label.trim();
            line += 1;
            if !names.contains(&label) {
                let what = format!("{file}: row {}: label `{label}` is none of the file of labels", line - 1);
                return output::refuse(what, near::advice(label, &names));
            }
            found.entry(label.to_owned()).or_default().push(text);
        }
        Ok(())
    })?;
    Ok(found)
}

/// What it may take, in words.
fn said(plan: &WritingPlan, n_labels: usize, per_label: usize) -> String {
    let asked = plan.requests - plan.known;
    let known =
        if plan.known > 0 { format!(", {} more are in the cassette", plan.known) } else { String::new() };
    format!(
        "{} of each of {}: {}{known}; at most {} where texts repeat each other, and at most {} tokens",
        plural(per_label, "row"),
        plural(n_labels, "label"),
        plural(asked as usize, "request"),
        plan.most_requests - plan.known,
        plan.most_tokens
    )
}

fn write(path: &Path, written: &[WrittenTexts]) -> Result<()> {
    let lines = written.iter().flat_map(|of| of.texts.iter().map(|text| (text, &of.label)));
    let lines: String =
        lines.map(|(text, label)| json!({ "text": text, "label": label }).to_string() + "\n").collect();
    Ok(atomic::write(path, lines.as_bytes())?)
}

fn tell(args: &Args, written: &[WrittenTexts], client: &LlmClient) -> Result<()> {
    let few: Vec<String> = written
        .iter()
        .filter(|of| of.texts.len() < args.per_label)
        .map(|of| format!("`{}` ({})", of.label, of.texts.len()))
        .collect();
    if !few.is_empty() {
        let labels = few.join(", ");
        output::note(format!("fewer rows than wanted, since the model repeats itself: {labels}"));
    }
    let (n, left_out) = written.iter().fold((0, 0), |(n, out), of| (n + of.texts.len(), out + of.left_out));
    let spent = client.spent();
    output::line(format!(
        "{}  {}, {left_out} repeated or too short; {} and {} tokens so far\nsuite     generated = {{ file = {:?} }}",
        args.out.display(),
        plural(n, "row"),
        plural(spent.requests as usize, "request"),
        spent.tokens,
        args.out.file_name().unwrap_or_default().to_string_lossy()
    ))
}
