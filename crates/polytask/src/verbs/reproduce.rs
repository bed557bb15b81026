//! `polytask reproduce`: a paper's acceptance experiment, and what it found.

use std::path::{Path, PathBuf};

use anyhow::Result;
use polytask_methods::{Findings, Options, Paper, registry, reproduce, show};

use polytask_terminal::output::{self, Outcome};
use polytask_terminal::progress::TerminalProgress;
use polytask_terminal::suites;

/// Run a paper's experiment: claim, arms, seeds, measured table, verdict
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask reproduce 31 --quick --data data
  polytask reproduce rep-mtl --seeds 5 --out runs/rep-mtl
  polytask reproduce 31 --arm EW --arm F-EW --data data
  polytask reproduce text-methods --json

Data are found in --data, else in POLYTASK_DATA, else in ./data. The output folder holds the data the
experiment makes and a suite per arm and seed, which `polytask train` runs alone; what has been trained
there is not trained again. `polytask methods --kind paper` lists the papers.

Exit codes: 0 the experiment ran, whatever its verdict; 2 could not run.")]
pub(crate) struct Args {
    /// Number or name of the paper: 4, rep-mtl, 31, text-methods; `polytask methods --kind paper` lists all
    id: String,
    /// Fewer arms, seeds and steps: minutes
    #[arg(long)]
    quick: bool,
    /// Folder of data sets, each in a folder of its name (mnist, sick, scifact, demo)
    #[arg(long, env = "POLYTASK_DATA", default_value = "data")]
    data: PathBuf,
    /// Only this arm, the single-task one and those it refers to; may be repeated
    #[arg(long = "arm", value_name = "NAME")]
    arms: Vec<String>,
    /// Seeds per arm, when not as many as the recipe says
    #[arg(long, value_parser = polytask_terminal::count)]
    seeds: Option<usize>,
    /// Folder of the experiment [default: runs/reproduce-NAME]
    #[arg(long, short)]
    out: Option<PathBuf>,
    /// Change a setting of every arm (train.epochs=5), or of the experiment (method.data.train=1000)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Worker threads; 0 means all cores
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
    /// Print the findings as one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<Outcome> {
    let paper = registry::find(&args.id)?;
    suites::set_threads(args.threads)?;
    let catalogue = polytask_train::catalogue();
    let options = Options {
        quick: args.quick,
        arms: args.arms.clone(),
        seeds: args.seeds,
        out: args.out(paper),
        bases: vec![args.data.clone()],
        set: args.set.clone(),
        catalogue: &catalogue,
        command: args.command(paper),
        commit: env!("POLYTASK_COMMIT").into(),
    };
    let findings = reproduce(paper, &options, &mut TerminalProgress::new(args.quiet))?;
    show(&findings, &options, args.json)
}

impl Args {
    fn out(&self, paper: &Paper) -> PathBuf {
        let form = if self.quick { "-quick" } else { "" };
        let usual = || Path::new("runs").join(format!("reproduce-{}{form}", paper.name));
        self.out.clone().unwrap_or_else(usual)
    }

    /// The command without the places of this machine.
    fn command(&self, paper: &Paper) -> String {
        let mut words = vec![format!("polytask reproduce {}", paper.id)];
        words.extend(self.quick.then(|| "--quick".to_owned()));
        words.push("--data DIR".into());
        words.extend(self.arms.iter().map(|arm| format!("--arm '{arm}'")));
        words.extend(self.seeds.map(|n| format!("--seeds {n}")));
        words.extend(self.set.iter().map(|set| format!("--set '{set}'")));
        words.join(" ")
    }
}

fn show(findings: &Findings, options: &Options, json: bool) -> Result<Outcome> {
    if json {
        output::json(findings)?;
    } else {
        output::line(show::table(findings, output::width()).trim_end())?;
        output::line(format!("\nfindings  {}", options.findings().display()))?;
        if let Some(arm) = findings.arms.iter().find(|arm| !arm.suite.is_empty()) {
            output::line(format!("an arm    polytask train {}", options.out.join(&arm.suite).display()))?;
        }
    }
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use polytask_core::image::{IMAGE, ImageSize};
    use polytask_core::input::InputSpec;
    use polytask_core::suite::Suite;
    use polytask_methods::data::idx::Images;
    use polytask_methods::paper::{OracleRequest, Request};
    use polytask_methods::recipe::{ArmSpec, Recipe, Setting};
    use polytask_nn::Encoder;
    use polytask_nn::sharing;
    use polytask_nn::trunk::NetConfig;
    use polytask_train::regularizer;
    use polytask_weighting::table::{self, Setup};

    use super::*;

    /// A folder with an MNIST of few blank digits.
    fn digits() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (stem, n) in [("train", 40), ("t8k", 20)] {
            let images = Images { height: 28, width: 28, pixels: vec![9; n * 28 * 28] };
            images.write(&folder.path().join(format!("{stem}-images-idx3-ubyte"))).unwrap();
            let labels = [&[0, 0, 8, 1, 0, 0, 0, n as u8][..], &vec![3; n]].concat();
            fs::write(folder.path().join(format!("{stem}-labels-idx1-ubyte")), labels).unwrap();
        }
        work(folder.path());
        tables(folder.path());
        folder
    }

    /// Tables of ten groups, a few rows each.
    fn tables(folder: &Path) {
        fs::create_dir_all(folder.join("tabular_mtl")).unwrap();
        let rows: String = (0..100).map(|row| format!("{},{},{}\n", row % 7, row % 10, row % 2)).collect();
        for file in ["school", "landmine", "parkinson"] {
            fs::write(folder.join(format!("tabular_mtl/{file}.csv")), format!("x,task,target\n{rows}"))
                .unwrap();
        }
    }

    /// The files of the world of work, a few lines each.
    fn work(folder: &Path) {
        let write = |file: &str, text: &str| {
            let path = folder.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let codes: Vec<String> = (10..30).map(|i| format!("{i}-1")).collect();
        let table = |head: &str, line: &dyn Fn(&String) -> String| {
            head.to_owned() + &codes.iter().map(line).collect::<String>()
        };
        let rows = table("code\ttitle\tdescription\n", &|code| format!("{code}\tjob {code}\tdoes {code}\n"));
        write("onet_work/occupations.tsv", &rows);
        for file in ["titles_train", "titles_dev", "titles_test"] {
            let rows = table("title\tcodes\n", &|code| format!("{file} {code}\t{code}\n"));
            write(&format!("onet_work/{file}.tsv"), &rows);
        }
        for file in ["tasks_train", "tasks_test"] {
            let rows = table("code\ttask\n", &|code| format!("{code}\t{file} {code}\n"));
            write(&format!("onet_work/{file}.tsv"), &rows);
        }
        let rows =
            table("code\texample\tcategory\n", &|code| format!("{code}\tx\tkind of {}\n", &code[1..2]));
        write("onet_work/technology_skills.tsv", &rows);
        for (file, score) in [("sick/train", 4.6), ("sick/dev", 5.0), ("sick/test", 1.0), ("stsb/test", 2.5)]
        {
            let head = "sentence1\tsentence2\trelatedness\tscore\n";
            let rows = table(head, &|code| format!("a {code}\tb {code}\t{score}\t{score}\n"));
            write(&format!("{file}.tsv"), &rows);
        }
        few_labels(&write);
        for split in ["train", "dev", "test"] {
            write(&format!("mrpc/{split}.tsv"), "label\tsentence1\tsentence2\n1\ta b\tb a\n0\tc\td\n");
        }
        for folder in ["csabstruct", "wikiseg_synth", "qmsum_topics"] {
            let units = if folder == "qmsum_topics" { "turns" } else { "sentences" };
            let rows = format!("{{\"{units}\":[\"a b\",\"c d\"],\"labels\":[\"x\",\"y\"]}}\n");
            for split in ["train", "dev", "test"] {
                write(&format!("{folder}/{split}.jsonl"), &rows);
            }
        }
        write("skill_extraction/esco_skills.txt", "cook\nfly\nbuild\n");
        for file in ["tech_test", "house_test"] {
            let rows = "sentence,label\nmust cook,cook\nmust do,LABEL NOT PRESENT\nmust cook,fly\n";
            write(&format!("skill_extraction/{file}.csv"), rows);
        }
    }

    /// Texts of a few labels, under the columns of the four sets.
    fn few_labels(write: &dyn Fn(&str, &str)) {
        let lines = |line: &dyn Fn(usize) -> String| (0..12).map(line).collect::<String>();
        let label = |i: usize| ["World", "Sports", "Business", "Sci/Tech"][i % 4];
        let drawn = |split: &str| {
            let seeds = ["13", "21", "42", "87", "100"];
            let row = |i| seeds.map(|seed| format!("{seed}\t{split}\t{}\tnews {i}\n", label(i))).concat();
            lines(&row)
        };
        let draws = format!("seed\tsplit\tlabel\ttext\n{}{}", drawn("train"), drawn("dev"));
        write("ag_news_sample/fewshot16.tsv", &draws);
        for file in [
            "ag_news_sample/train.tsv",
            "ag_news_sample/test.tsv",
            "dbpedia14_sample/train.tsv",
            "dbpedia14_sample/test.tsv",
        ] {
            write(file, &format!("text\tlabel\n{}", lines(&|i| format!("{file} {i}\t{}\n", label(i)))));
        }
        for split in ["train", "test"] {
            write(
                &format!("snips/{split}.tsv"),
                &format!("intent\ttext\n{}", lines(&|i| format!("{}\tplay {i}\n", label(i)))),
            );
        }
        for (set, column) in [("banking77", "category"), ("clinc150", "intent")] {
            for split in ["train", "test"] {
                let rows = lines(&|i| format!("{split} {i},{}\n", label(i)));
                write(&format!("{set}/{split}.csv"), &format!("text,{column}\n{rows}"));
            }
        }
    }

    /// The changes of an arm, one list for each candidate.
    fn changes(arm: &ArmSpec) -> Vec<Vec<String>> {
        if arm.choose.is_empty() {
            return vec![arm.set.clone()];
        }
        arm.choose.iter().map(|candidate| [&arm.set[..], &candidate.set].concat()).collect()
    }

    /// The network of a suite, whose data have not been read; a small one in place of a text encoder's folder.
    fn network(suite: &Suite) -> Encoder {
        let input = InputSpec::Images(ImageSize { channels: 1, height: 36, width: 36 });
        match NetConfig::new(&suite.model, &input).ok().filter(|_| *suite.input() == IMAGE) {
            Some(config) => Encoder::net(config, 1).unwrap(),
            None => Encoder::tiny(50, 1).unwrap(),
        }
    }

    /// Makes what a suite names beside its networks.
    fn make(suite: &Suite) -> polytask_train::Result<()> {
        if suite.model.trees.is_some() {
            return Ok(polytask_boost::suite::check(suite)?);
        }
        let tasks: Vec<String> = suite.tasks.iter().map(|task| task.name.clone()).collect();
        let (train, encoder) = (&suite.train, network(suite));
        let setup = Setup { tasks: tasks.clone(), lr: train.lr };
        let made = table::make_in(&train.weighting, &setup, train.gradients, encoder.params.blocks.len())?;
        table::check_space(&train.weighting.name, made.needs(), train.gradients)?;
        table::check_views(&train.weighting.name, made.needs(), train.gradients, &*encoder.trunk)?;
        regularizer::table::check(suite)?;
        let setup = sharing::SharingSetup { tasks: &tasks, seed: 1, steps: 1, epochs: 1.0 };
        Ok(sharing::check(&suite.model.sharing, &*encoder.trunk, &encoder.params, &setup)?)
    }

    /// Every candidate of every arm of a setting is a suite of which everything can be made.
    fn check(paper: &Paper, recipe: &Recipe, setting: &Setting, mnist: &Path) {
        let folder = tempfile::tempdir().unwrap();
        let numbers = BTreeMap::from(
            ["train", "valid", "test", "steps", "degree", "top"].map(|name| (name.to_owned(), 1.0)),
        );
        let (bases, folder) = ([mnist.to_path_buf()], folder.path());
        let data = (paper.data)(&Request { bases: &bases, folder, numbers: &numbers, seed: 1 }).unwrap();
        if setting.oracle {
            let few = [("steps".to_owned(), 3.0)];
            let numbers = recipe.numbers(setting).into_iter().chain(few).collect();
            let ask = |arm| (paper.oracle.unwrap())(&OracleRequest { arm, numbers: &numbers, seed: 1 });
            return recipe.arms(setting).for_each(|arm| drop(ask(&arm.name).unwrap()));
        }
        let catalogue = polytask_train::catalogue();
        // Models that other arms learn from.
        for arm in recipe.arms(setting).filter(|arm| arm.keeps) {
            fs::create_dir(folder.join(format!("{}.model", arm.name))).unwrap();
        }
        for arm in recipe.arms(setting) {
            for changes in changes(arm) {
                let part = (setting, arm);
                recipe.suite_of_unseen(part, &data.folder, &changes, &catalogue).unwrap();
                let suite = recipe.suite(part, &data.folder, &changes, &catalogue);
                let suite = suite.unwrap_or_else(|e| panic!("{} {}: {e}", paper.id, arm.name));
                make(&suite).unwrap_or_else(|e| panic!("{} {}: {e}", paper.id, arm.name));
            }
        }
    }

    #[test]
    fn what_an_arm_cannot_have_is_noticed() {
        let paper = registry::find("13").unwrap();
        for bad in [
            "train.weighting=\"mgda-ub\"",
            "train.regularizer={name='rep-mtl', tsr=0.1, csa=0.1}\ntrain.weighting=\"pcgrad\"",
            "model.sharing=\"mmoe\"",
        ] {
            let recipe = Recipe::read(paper.recipe, &[]).unwrap();
            let changes: Vec<String> = bad.lines().map(str::to_owned).collect();
            let folder = tempfile::tempdir().unwrap();
            for split in ["train", "valid", "test"] {
                fs::write(folder.path().join(format!("{split}.csv")), "image,left,right,ink\n").unwrap();
            }
            let setting = &recipe.spec.setting[0];
            let part = (setting, &recipe.spec.arm[0]);
            let suite = recipe.suite(part, folder.path(), &changes, &polytask_train::catalogue()).unwrap();
            assert!(make(&suite).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_arm_of_every_recipe_is_a_right_suite_of_which_everything_can_be_made() {
        let mnist = digits();
        for paper in registry::PAPERS {
            let whole = Recipe::read(paper.recipe, &[]).unwrap();
            for recipe in [whole.clone(), whole.shortened()] {
                for setting in &recipe.spec.setting {
                    check(paper, &recipe, setting, mnist.path());
                }
            }
        }
    }
}
