//! From a checked suite to all a run works on: encoder, tokenizer, data.

use polytask_core::report::Lineage;
use polytask_core::{Problem, Suite, hash, suite};
use polytask_data::pull::{self, PullOptions};
use polytask_data::{Dataset, Tokenizer};
use polytask_nn::encoder::Encoder;

use crate::Result;
use crate::model::check_vocabulary;
use crate::observe::{Event, Observer};
use crate::run::Prepared;

/// Name of the small random encoder for tests and first tries.
const TINY: &str = "tiny";

/// Gets the encoder (from the network only when it is nowhere here) and reads all data.
pub fn prepare(suite: Suite, observer: &mut dyn Observer) -> Result<Prepared> {
    let (encoder, tokenizer) = load_encoder(&suite, observer)?;
    observer.event(Event::Note("reading and tokenising the data"));
    let dataset = polytask_data::build(&suite, &tokenizer)?;
    for warning in &dataset.warnings {
        observer.event(Event::Note(warning));
    }
    let card = polytask_data::card(&suite, &dataset);
    refuse_dense(&suite, &encoder)?;
    Ok(Prepared { suite, dataset, encoder, tokenizer, card })
}

/// Refuses to train an encoder with a Dense module: heads would read other vectors than the folder gives.
fn refuse_dense(suite: &Suite, encoder: &Encoder) -> Result<()> {
    if encoder.dense.is_empty() {
        return Ok(());
    }
    let what = format!("encoder `{}` has a Dense module after pooling, expected none", suite.model.encoder);
    Err(Problem::new(what).try_this("an encoder that ends in pooling; embed and search take this one").into())
}

/// The suite's encoder with the suite's own pooling and length limit.
pub fn load_encoder(suite: &Suite, observer: &mut dyn Observer) -> Result<(Encoder, Tokenizer)> {
    let model = &suite.model;
    let (mut encoder, tokenizer) = if model.encoder == TINY {
        (Encoder::tiny(polytask_data::TINY_VOCAB, suite.seed)?, tiny_tokenizer(suite)?)
    } else {
        let folder = locate(suite, observer)?;
        let (encoder, tokenizer) = (Encoder::load(&folder)?, Tokenizer::load(&folder, model.max_length)?);
        check_vocabulary(&folder, &tokenizer, &encoder)?;
        (encoder, tokenizer)
    };
    // The folder that is written must cut where training did.
    encoder.max_length = tokenizer.max_length();
    if let Some(pooling) = &model.pooling {
        encoder.pooling = pooling.parse()?;
    }
    Ok((encoder, tokenizer))
}

fn tiny_tokenizer(suite: &Suite) -> Result<Tokenizer> {
    Ok(suite.model.max_length.map_or_else(|| Ok(Tokenizer::tiny()), Tokenizer::tiny_cut)?)
}

/// Where a run comes from.
pub(crate) fn lineage(prepared: &Prepared) -> Lineage {
    let Prepared { suite, encoder, dataset, .. } = prepared;
    Lineage {
        version: env!("CARGO_PKG_VERSION").into(),
        suite: suite::hash(suite),
        data: data_hash(dataset),
        encoder: encoder.weights_hash(),
        seed: suite.seed,
        threads: rayon::current_num_threads(),
        machine: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
    }
}

/// One hash over the hashes of all files read.
fn data_hash(dataset: &Dataset) -> String {
    let lines: Vec<String> = dataset.files.iter().map(|(file, hash)| format!("{hash} {file}")).collect();
    hash::sha256(lines.join("\n").as_bytes())
}

/// One hash over what shapes a training in the encoder's folder beside its weights: tokenizer and settings.
pub(crate) fn encoder_settings(prepared: &Prepared) -> String {
    let Prepared { encoder, tokenizer, .. } = prepared;
    let files = tokenizer.files().iter().map(|(name, bytes)| format!("{name} {}", hash::sha256(bytes)));
    let dropout = encoder.config.hidden_dropout_prob;
    let (length, lowercase, prompt) = (tokenizer.max_length(), tokenizer.lowercase(), tokenizer.prompt());
    let settings = format!("{} {length} {lowercase} {dropout} {prompt}", encoder.pooling);
    hash::sha256(files.chain([settings]).collect::<Vec<_>>().join("\n").as_bytes())
}

/// The encoder's folder: beside the suite, or wherever `pull` finds it.
fn locate(suite: &Suite, observer: &mut dyn Observer) -> Result<std::path::PathBuf> {
    let beside = suite.folder.join(&suite.model.encoder);
    if beside.join("config.json").exists() || beside.join("modules.json").exists() {
        return Ok(beside);
    }
    let pulled = pull::pull(&suite.model.encoder, &PullOptions::from_environment())?;
    observer.event(Event::Note(&format!("encoder {} in {}", suite.model.encoder, pulled.folder.display())));
    Ok(pulled.folder)
}

/// The suite's tokenizer alone, for looking at data.
pub fn tokenizer_only(suite: &Suite, observer: &mut dyn Observer) -> Result<Tokenizer> {
    if suite.model.encoder == TINY {
        return tiny_tokenizer(suite);
    }
    Ok(Tokenizer::load(&locate(suite, observer)?, suite.model.max_length)?)
}
