//! A suite of classification tasks that all read the same rows.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use polytask_core::{Purpose, Rng, atomic};
use polytask_data::readers::{self, Cell};
use polytask_methods::data::idx::Images;

use polytask_terminal::demo;
use polytask_terminal::output;

/// Classes of a task.
pub(super) const CLASSES: usize = 10;

/// Rows that are there to be evaluated.
const OTHER: usize = 20;

/// Side of an image: its 256 pixels are what the `mlp` reads.
const SIDE: usize = 16;

/// Writes data and suite of `n_tasks` tasks with `batch` train rows; gives the suite's path.
pub(super) fn write(folder: &Path, n_tasks: usize, batch: usize, encoder: Option<&Path>) -> Result<PathBuf> {
    let splits = [("train", batch), ("valid", OTHER), ("test", OTHER)];
    let inputs = match encoder {
        None => images(folder, &splits)?,
        Some(_) => texts(batch + 2 * OTHER)?,
    };
    let column = if encoder.is_some() { "text" } else { "image" };
    let mut inputs = inputs.into_iter();
    for (stream, (split, n)) in splits.into_iter().enumerate() {
        let rows = labelled(column, inputs.by_ref().take(n), n_tasks, stream as u64);
        atomic::write(&folder.join(format!("{split}.csv")), rows.as_bytes())?;
    }
    let path = folder.join("suite.toml");
    atomic::write(&path, suite(n_tasks, batch, encoder)?.as_bytes())?;
    Ok(path)
}

/// A table of inputs, each with a random label of every task.
fn labelled(column: &str, inputs: impl Iterator<Item = String>, n_tasks: usize, stream: u64) -> String {
    let mut rng = Rng::new(1, Purpose::Bench, &[stream]);
    let mut rows = column.to_owned();
    (0..n_tasks).for_each(|task| {
        let _ = write!(rows, ",label-{task}");
    });
    for (i, input) in inputs.enumerate() {
        let _ = write!(rows, "\n\"{}\"", input.replace('"', "\"\""));
        // The first rows have every class once, so that none is unknown.
        let mut label = || if i < CLASSES { i } else { rng.below(CLASSES) };
        (0..n_tasks).for_each(|_| {
            let _ = write!(rows, ",{}", label());
        });
    }
    rows.push('\n');
    rows
}

/// Random grey images in a file; what the table calls them.
fn images(folder: &Path, splits: &[(&str, usize)]) -> Result<Vec<String>> {
    let n: usize = splits.iter().map(|(_, n)| n).sum();
    let mut rng = Rng::new(2, Purpose::Bench, &[]);
    let pixels = (0..n * SIDE * SIDE).map(|_| rng.below(256) as u8).collect();
    Images { height: SIDE, width: SIDE, pixels }.write(&folder.join("images-idx3-ubyte"))?;
    Ok((0..n).map(|i| format!("images-idx3-ubyte#{i}")).collect())
}

/// Distinct questions of the demo.
fn texts(n: usize) -> Result<Vec<String>> {
    let path = demo::find_data(None)?.join("banking77/train.csv");
    let (mut seen, mut distinct) = (BTreeSet::new(), Vec::new());
    for record in readers::open(&path)? {
        let text = record?.get("text").and_then(Cell::to_text);
        let text = text.with_context(|| format!("{} has a row without `text`", path.display()))?;
        if distinct.len() < n && seen.insert(text.clone()) {
            distinct.push(text);
        }
    }
    if distinct.len() < n {
        let what = format!("--batch asks for {n} texts, the demo has {} different ones", distinct.len());
        return output::refuse(what, "a smaller batch");
    }
    Ok(distinct)
}

fn suite(n_tasks: usize, batch: usize, encoder: Option<&Path>) -> Result<String> {
    let kind = if encoder.is_some() { "class" } else { "image-class" };
    let column = if encoder.is_some() { "text" } else { "image" };
    let encoder = encoder.map_or_else(|| "mlp".to_owned(), super::super::argument);
    let encoder = serde_json::to_string(&encoder)?;
    let mut suite = format!(
        "name = \"conflict\"\nseed = 1\n\n[model]\nencoder = {encoder}\ndropout = 0.0\n\n[train]\nepochs = 1\n\
         batch_rows = {batch}\nlr = 1e-5\nhead_lr_factor = 1.0\nschedule = \"constant\"\nwarmup = 0.0\n\
         clip = 0.0\nkeep = \"last\"\neval_every = 1000000\nconflict_every = 0\nbaselines = false\n\n[[source]]\n\
         name = \"rows\"\nfiles = {{ train = \"train.csv\", valid = \"valid.csv\", test = \"test.csv\" }}\n\
         columns = {{ {column} = \"{column}\" }}\n"
    );
    for task in 0..n_tasks {
        let columns = format!("{{ label = \"label-{task}\" }}");
        let _ = write!(
            suite,
            "\n[[task]]\nname = \"task-{task}\"\nkind = \"{kind}\"\nfrom = \"rows\"\ncolumns = {columns}\n"
        );
    }
    Ok(suite)
}
