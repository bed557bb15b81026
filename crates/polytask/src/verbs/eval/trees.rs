//! `polytask eval` of boosted trees.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use polytask_boost::suite::{BoostModel, JudgedTrees, TreesSide, judge_trees};
use polytask_core::{Split, Suite};

use super::{Args, name_columns};
use crate::models;
use crate::verbs::boost::texts::{self, Encoded};
use polytask_terminal::output;

/// Trees, and the encoder of their texts.
struct Trees {
    model: BoostModel,
    encoded: Option<Arc<Encoded>>,
}

impl Trees {
    fn load(folder: &Path) -> Result<Self> {
        let model = BoostModel::load(folder)?;
        let encoded = Encoded::of_model(&model, folder)?.map(Arc::new);
        Ok(Self { model, encoded })
    }

    fn side<'s>(&'s self, name: &'s str) -> TreesSide<'s> {
        TreesSide { name, model: &self.model }
    }
}

/// Scores of the trees in a folder.
pub(crate) fn judged(args: &Args, folder: &Path, mut suite: Suite) -> Result<JudgedTrees> {
    if args.geometry || args.trec.is_some() {
        let what = "`--geometry` and `--trec` look at vectors of texts, which trees do not give";
        return output::refuse(what, "leave them out");
    }
    let ours = Trees::load(folder)?;
    let columns: Vec<String> = ours.model.table.columns.iter().map(|column| column.name.clone()).collect();
    let shown = ours.model.texts.as_ref().map_or(columns.clone(), |own| texts::shown(&columns, &own.columns));
    name_columns(&mut suite, &args.columns, &shown)?;
    let against = args.against.as_deref().map(other).transpose()?;
    let names = match (&args.against, &against) {
        (Some(given), Some(other)) => models::side_names(&args.names, (&args.model, folder), (given, other))?,
        _ => [models::name(folder), String::new()],
    };
    let theirs = against.as_deref().map(Trees::load).transpose()?;
    let split = args.split.as_deref().map(|name| if name == "valid" { Split::Valid } else { Split::Test });
    let read = |suite: &Suite, model: &BoostModel| {
        let mut both = [Some(&ours), theirs.as_ref()].into_iter().flatten();
        let encoded = both.find(|trees| std::ptr::eq(&raw const trees.model, model));
        let symbols = texts::symbols(suite, Some(model), encoded.and_then(|trees| trees.encoded.as_ref()));
        polytask_data::build(suite, &*symbols)
    };
    let against = theirs.as_ref().map(|theirs| theirs.side(&names[1]));
    Ok(judge_trees(&suite, ours.side(&names[0]), against, split, &read)?)
}

/// The folder of the other trees.
fn other(source: &Path) -> Result<PathBuf> {
    if let Some(folder) = models::trees(source) {
        return Ok(folder);
    }
    let what =
        format!("folder {} holds no boosted trees, which are compared with trees here", source.display());
    output::refuse(what, "`--predictions DIR` for each, and `polytask compare`")
}
