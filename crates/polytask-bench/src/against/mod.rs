//! A bench beside a peer: same answers first, then both in turn, then a table.
//!
//! | step | file |
//! | --- | --- |
//! | an environment with the peer's packages at pinned versions | [`environment`] |
//! | a process of one side, its time limit and its report | [`side`] |
//! | proof that both sides compute the same | [`proof`] |
//! | the peer's fastest settings | [`choose`] |
//! | rounds A B A B … and their medians | [`rounds`] |
//! | what is printed | [`table`], [`machine`] |
//!
//! What is compared stands in the bench's own file as a [`Comparison`].

mod choose;
mod environment;
mod machine;
pub(super) mod proof;
mod rounds;
mod side;
mod table;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

pub(super) use self::choose::{Axis, threads};
pub(super) use self::environment::Place;
use self::side::Side;
use super::argument;
use polytask_terminal::output::{self, Outcome};

/// How a comparison is made.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Options {
    /// Python whose packages are used as they are; otherwise a virtual environment is made in the cache
    #[arg(long, requires = "against")]
    python: Option<PathBuf>,
    /// Rounds in which both sides run in turn
    #[arg(long, requires = "against", default_value_t = 5, value_parser = polytask_terminal::count)]
    rounds: usize,
}

/// A job's or a setting's fields.
pub(super) type Fields = Map<String, Value>;

/// Compares the peer's answers with ours: named figures of how close they are, or an error.
pub(super) type Prove<'a> = Box<dyn Fn(&Answers) -> Result<Vec<(&'static str, f64)>> + 'a>;

/// What a peer answered when asked to prove.
pub(super) struct Answers {
    /// The values it wrote.
    pub(super) values: Vec<f32>,
    /// What it printed.
    pub(super) report: Value,
}

/// A bench and a peer that does the same work.
pub(super) struct Comparison<'a> {
    pub(super) bench: &'static str,
    /// What `--against` calls the peer.
    pub(super) peer: &'static str,
    /// The work in words.
    pub(super) what: String,
    /// The peer's script under `peers/`.
    pub(super) script: &'static str,
    /// Arguments of our own executable.
    pub(super) ours: Vec<String>,
    /// The peer's job, with `runs` and `warmup`.
    pub(super) job: Fields,
    /// The peer's settings to choose from.
    pub(super) axes: Vec<Axis>,
    /// What a trial of a setting changes of the job.
    pub(super) trial: Fields,
    /// A further form of the peer, timed beside it where it works.
    pub(super) variant: Option<Variant>,
    pub(super) prove: Prove<'a>,
}

/// A further form of a peer.
pub(super) struct Variant {
    pub(super) name: &'static str,
    /// What it changes of the job.
    pub(super) job: Fields,
    /// Longest time of one process.
    pub(super) limit: Duration,
}

/// Longest time of one process of a peer.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// What was found, before it is printed.
struct Findings {
    proof: Vec<(&'static str, f64)>,
    setting: Fields,
    trials: Vec<choose::Trial>,
    /// Ours, the peer, and its variant if that finished a round.
    timed: Vec<rounds::Timed>,
    /// Rounds in which ours and the peer ran.
    rounds: usize,
    /// Why the variant was not timed in every round.
    variant_failed: Option<String>,
}

/// Proves, chooses, times, prints.
pub(super) fn run(
    comparison: &Comparison,
    place: &Place,
    options: &Options,
    is_json: bool,
) -> Result<Outcome> {
    let findings = find(comparison, place, options.rounds)?;
    if is_json {
        output::json(&table::json(comparison, &findings))?;
    } else {
        output::line(table::text(comparison, &findings))?;
    }
    Ok(Outcome::Done)
}

fn find(comparison: &Comparison, place: &Place, rounds: usize) -> Result<Findings> {
    let peer = Peer { comparison, place };
    output::note("proving that both sides answer the same, and choosing the peer's fastest settings");
    let prove = |setting: &Fields| peer.prove(setting, LIMIT);
    let time = |setting: &Fields, limit| peer.trial(setting, limit);
    let choose::Chosen { setting, proof, trials } = choose::choose(&comparison.axes, prove, time)?;
    let (variant, unproven) = peer.variant(&setting);
    let sides = [ours(comparison)?, peer.timed(comparison.peer, &setting, LIMIT)?];
    let (timed, dropped) = rounds::interleave(&sides, variant.as_ref(), rounds, |round| {
        output::note(format!("round {round} of {rounds}"));
    })?;
    Ok(Findings { proof, setting, trials, timed, rounds, variant_failed: unproven.or(dropped) })
}

/// Our own executable, as the user would run it.
fn ours(comparison: &Comparison) -> Result<Side> {
    let program = std::env::current_exe().context("cannot find the path of this program")?;
    let arguments =
        [&["bench".into(), comparison.bench.into(), "--json".into()], &comparison.ours[..]].concat();
    Ok(Side {
        name: "polytask".into(),
        program,
        arguments,
        variables: Vec::new(),
        limit: LIMIT,
        remedy: None,
    })
}

/// The peer of a comparison.
struct Peer<'a> {
    comparison: &'a Comparison<'a>,
    place: &'a Place,
}

impl Peer<'_> {
    /// Writes a job and gives the process that does it.
    fn side(&self, name: &str, changes: &[&Fields], limit: Duration) -> Result<Side> {
        let mut job = self.comparison.job.clone();
        job.insert("bench".into(), json!(self.comparison.bench));
        changes.iter().for_each(|fields| job.extend((*fields).clone()));
        self.place.side(name, self.comparison.script, &job, limit)
    }

    /// The process to be timed.
    fn timed(&self, name: &str, setting: &Fields, limit: Duration) -> Result<Side> {
        self.side(name, &[setting], limit)
    }

    /// Milliseconds of a short run; `None` when its process took longer than `limit`.
    fn trial(&self, setting: &Fields, limit: Option<Duration>) -> Result<Option<f64>> {
        let side = self.side("trial", &[setting, &self.comparison.trial], limit.unwrap_or(LIMIT))?;
        let Some(report) = side.report_in_time()? else { return Ok(None) };
        rounds::least(&report).map(Some)
    }

    /// Asks the peer for its answers and holds them against ours.
    fn prove(&self, setting: &Fields, limit: Duration) -> Result<Vec<(&'static str, f64)>> {
        let path = self.place.work().join("answers.f32");
        // Answers of an earlier proof prove nothing.
        let _ = std::fs::remove_file(&path);
        let extra = fields([("prove", json!(argument(&path)))]);
        let report = self.side("proof", &[setting, &extra], limit)?.report()?;
        let answers = Answers { values: read_values(&path)?, report };
        (self.comparison.prove)(&answers).with_context(|| {
            let peer = self.comparison.peer;
            format!("polytask and {peer} do not answer the same, so their times are not compared")
        })
    }

    /// The variant's process when it works and answers the same; else why not.
    fn variant(&self, setting: &Fields) -> (Option<Side>, Option<String>) {
        let Some(variant) = &self.comparison.variant else { return (None, None) };
        output::note(format!("trying {}", variant.name));
        let mut setting = setting.clone();
        setting.extend(variant.job.clone());
        let proven = self.prove(&setting, variant.limit);
        match proven.and_then(|_| self.timed(variant.name, &setting, variant.limit)) {
            Ok(side) => (Some(side), None),
            Err(error) => (None, Some(format!("{error:#}"))),
        }
    }
}

/// Fields from pairs.
pub(super) fn fields<const N: usize>(pairs: [(&str, Value); N]) -> Fields {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn read_values(path: &Path) -> Result<Vec<f32>> {
    let bytes =
        std::fs::read(path).with_context(|| format!("the peer wrote no answers to {}", path.display()))?;
    Ok(bytes.as_chunks().0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect())
}

#[cfg(test)]
mod tests;
