//! The verbs: one file each, one line each in [`Verb`].

mod boost;
mod check;
mod compare;
mod conflict;
mod data;
mod demo;
mod distill;
mod embed;
mod eval;
mod index;
mod info;
mod init;
mod labels;
mod merge;
mod methods;
mod mine;
mod predict;
mod pull;
mod reproduce;
mod saliency;
mod search;
pub(crate) mod segment;
mod sharpness;
mod show;
mod train;

use anyhow::Result;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use polytask_core::{Error, Problem};

use polytask_bench as bench;

use crate::{help, models};
use polytask_terminal::output::Outcome;

/// One model for all your related tasks, and evidence of which task hurts which.
#[derive(Debug, Parser)]
#[command(name = "polytask", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "\
Examples:
  polytask demo                                  # the whole way on five real tasks
  polytask init > suite.toml                     # start a suite of your own
  polytask check suite.toml                      # all mistakes at once, with line and remedy
  polytask train suite.toml --out runs/first     # train, compare with single-task models, report
  polytask embed --model runs/first/model --input texts.jsonl --output vectors.npy

Exit codes: 0 done, 1 ran but a task regressed, 2 could not run.";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Train and judge one model on five real tasks, in minutes
    Demo(demo::Args),
    /// Write a commented suite file to start from
    Init(init::Args),
    /// Check a suite file: every mistake with its line, what was expected, what to try
    Check(check::Args),
    /// Print a suite with every default filled in
    Show(show::Args),
    /// Fetch an encoder into the cache
    Pull(pull::Args),
    /// Describe a suite's data: counts, labels, lengths, duplicates, leakage
    Data(data::Args),
    /// Train the tasks of a suite together and compare with single-task models
    Train(train::Args),
    /// Say which task hurts which, and which tasks to group, with the evidence
    Conflict(conflict::Args),
    /// Score a trained model on a suite's data
    Eval(eval::Args),
    /// Compare two runs: every metric's difference with its paired interval
    Compare(compare::Args),
    /// Look into boosted trees, add a group to them, exchange them with XGBoost
    Boost(boost::Args),
    /// Turn texts into vectors
    Embed(embed::Args),
    /// Predict a task's labels, tags or numbers
    Predict(predict::Args),
    /// Have rows written for labels by a language model
    Labels(labels::Args),
    /// Build an index of documents, change it, or say what is in it
    Index(index::Args),
    /// Find passages: in an index, or the nearest ones of a corpus
    Search(search::Args),
    /// Find where topics change in documents
    Segment(segment::Args),
    /// Find hard negatives for training a search
    Mine(mine::Args),
    /// Improve a sentence model by pairs of texts without labels
    Distill(distill::Args),
    /// Merge models that were trained from one base
    Merge(Box<merge::Args>),
    /// List the methods (weightings, losses, metrics, papers, …) or show one in full
    Methods(methods::Args),
    /// Run a paper's experiment: claim, arms, seeds, measured table, verdict
    Reproduce(reproduce::Args),
    /// Show which shared states each task's loss hangs on, and the spectra of the weights
    Saliency(saliency::Args),
    /// Measure how far each task's loss rises at the worst place near a trained model's weights
    Sharpness(sharpness::Args),
    /// Measure training and embedding speed on this machine
    Bench(bench::Args),
    /// Say what this build is and what it uses of this machine
    Info(info::Args),
}

impl Cli {
    /// Reads the command line; ends the process with help or what is wrong where there is nothing to run.
    pub(crate) fn read() -> Self {
        let matches = help::flowing(Self::command()).get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    /// Runs the verb.
    pub(crate) fn run(self) -> Result<Outcome> {
        if let Some(wanted) = std::env::var("POLYTASK_SIMD").ok().filter(|wanted| !wanted.is_empty()) {
            polytask_nn::trunk::simd::choose(&wanted).map_err(|error| {
                let what = format!("POLYTASK_SIMD: {error}");
                Error::from(Problem::new(what).try_this("unset it to use the widest there are"))
            })?;
        }
        match self.verb {
            Verb::Demo(args) => demo::run(&args),
            Verb::Init(args) => init::run(&args),
            Verb::Check(args) => check::run(&args),
            Verb::Show(args) => show::run(&args),
            Verb::Pull(args) => pull::run(&args),
            Verb::Data(args) => data::run(&args),
            Verb::Train(args) => train::run(&args),
            Verb::Conflict(args) => conflict::run(&args),
            Verb::Eval(args) => eval::run(&args),
            Verb::Compare(args) => compare::run(&args),
            Verb::Boost(args) => boost::run(&args),
            Verb::Embed(args) => embed::run(&args),
            Verb::Predict(args) => match (models::trees(args.model()), models::labels(args.model())) {
                (Some(folder), _) => boost::predict::run(&args, &folder),
                (None, Some(folder)) => labels::predict::run(&args, &folder),
                (None, None) => predict::run(&args),
            },
            Verb::Labels(args) => labels::run(&args),
            Verb::Index(args) => index::run(&args),
            Verb::Search(args) => search::run(&args),
            Verb::Segment(args) => segment::run(&args),
            Verb::Mine(args) => mine::run(&args),
            Verb::Distill(args) => distill::run(&args),
            Verb::Merge(args) => merge::run(&args),
            Verb::Methods(args) => methods::run(&args),
            Verb::Reproduce(args) => reproduce::run(&args),
            Verb::Saliency(args) => saliency::run(&args),
            Verb::Sharpness(args) => sharpness::run(&args),
            Verb::Bench(args) => bench::run(&args),
            Verb::Info(args) => info::run(&args),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words of a command line: quotes keep spaces, a comment, a pipe or a redirection ends it.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
        for c in line.chars() {
            match (quote, c) {
                (Some(open), _) if open == c => quote = None,
                (None, '\'' | '"') => {
                    quote = Some(c);
                    word.get_or_insert_default();
                }
                (None, '#' | '|' | '>') if word.is_none() => return words,
                (None, ' ') => words.extend(word.take()),
                _ => word.get_or_insert_default().push(c),
            }
        }
        words.extend(word);
        words
    }

    /// Command lines that name this program in a text: as a line, after a pipe, or run by cargo.
    fn commands(text: &str) -> Vec<Vec<String>> {
        let line = |line: &str| {
            let line = line.trim_start_matches([' ', '$']).replace("cargo run --release -- ", "polytask ");
            let at = if line.starts_with("polytask ") { 0 } else { line.find("| polytask ")? + 2 };
            Some(words(&line[at..]))
        };
        text.lines().filter_map(line).collect()
    }

    /// The fenced code of a page, and a line for each command with flags in its prose; `…` stands for what is left out.
    fn code(page: &str) -> String {
        let fenced = page.split("```").skip(1).step_by(2).map(str::to_owned);
        let prose = page.split("```").step_by(2).flat_map(|text| text.split('`').skip(1).step_by(2));
        let spans = prose.filter(|span| span.contains(" --") && !span.contains('…'));
        let spans = spans.map(|span| span.replace('\n', " ") + "\n");
        fenced.chain(spans).collect()
    }

    /// The commands in the help of a verb and of the verbs below it.
    fn commands_of_help(command: &mut clap::Command) -> Vec<Vec<String>> {
        let mut all = commands(&command.render_long_help().to_string());
        for below in command.get_subcommands_mut().filter(|below| below.get_name() != "help") {
            all.extend(commands_of_help(below));
        }
        all
    }

    #[test]
    fn every_command_of_the_pages_and_of_the_help_is_understood() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let folders = ["docs", "docs/methods"].map(|name| std::fs::read_dir(root.join(name)).unwrap());
        let docs = folders.into_iter().flatten().map(|entry| entry.unwrap().path());
        let pages =
            docs.chain(["README.md", "CONTRIBUTING.md", "demo/README.md"].map(|name| root.join(name)));
        let pages = pages.filter(|page| page.extension().is_some_and(|ending| ending == "md"));
        let mut all: Vec<_> = pages
            .filter_map(|page| std::fs::read_to_string(page).ok())
            .flat_map(|p| commands(&code(&p)))
            .collect();
        let mut command = Cli::command();
        all.extend(commands(&command.render_long_help().to_string()));
        for verb in command.get_subcommands_mut().filter(|verb| verb.get_name() != "help") {
            let help = commands_of_help(verb);
            assert!(!help.is_empty(), "{} has no example", verb.get_name());
            all.extend(help);
        }
        for command in all {
            if let Err(error) = Cli::try_parse_from(&command) {
                panic!("{command:?}: {error}");
            }
        }
    }

    #[test]
    fn a_command_line_is_cut_into_words_as_a_shell_does() {
        let line = "echo '{\"a\": 1}' | polytask predict --text 'where is \"it\"?' -i - > out  # why";
        assert_eq!(commands(line), [["polytask", "predict", "--text", "where is \"it\"?", "-i", "-"]]);
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
