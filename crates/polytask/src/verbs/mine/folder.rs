//! `--beir`: the files of a folder.

use std::path::Path;

use anyhow::Result;
use polytask_core::Split;
use polytask_core::suite::BeirFolder;

use super::Args;
use polytask_terminal::output;

/// The arguments with the files of the folder that they name.
pub(super) fn named(args: &Args) -> Result<Args> {
    let Some(folder) = &args.beir else { return Ok(args.clone()) };
    let Some(files) = BeirFolder::find(folder) else {
        let what = format!("{} is no BEIR folder: {}", folder.display(), lacking(folder));
        return output::refuse(what, "`--queries`, `--corpus` and `--qrels` for files of other names");
    };
    let Some(qrels) = files.qrels(Split::Train) else {
        let what = format!("{} has no qrels/train.tsv", folder.display());
        return output::refuse(
            what,
            "`--queries`, `--corpus` and `--qrels`: negatives are mined for training",
        );
    };
    let path = |name: &str| Some(folder.join(name).display().to_string());
    Ok(Args {
        corpus: path(&files.corpus),
        queries: path(&files.queries),
        qrels: Some(folder.join(qrels)),
        ..args.clone()
    })
}

/// What a folder lacks to be one of BEIR's.
fn lacking(folder: &Path) -> &'static str {
    if folder.is_dir() {
        "expected corpus.jsonl, queries.jsonl and qrels/"
    } else {
        "there is no such folder"
    }
}
