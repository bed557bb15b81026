//! From a checked suite to all a run works on: encoder, symbols, data.

use polytask_core::input::text::TEXT;
use polytask_core::suite::ModelSpec;
use polytask_core::{Problem, Suite};
use polytask_data::{Dataset, NoTexts, Symbols, Tokenize, Tokenizer};
use polytask_nn::Block;
use polytask_nn::encoder::Encoder;
use polytask_nn::trunk::NetConfig;

use crate::Result;
use crate::cache::FrozenStates;
use crate::columns;
use crate::defaults::{self, Chosen};
use crate::kept_heads;
pub use crate::load::load_encoder;
use crate::load::{TINY, tiny_tokenizer};
pub use crate::locate::locate;
use crate::observe::{Event, Observer};
use crate::pace::pace;
use crate::prepared::{Prepared, is_fresh};
use crate::regularizer;
use crate::scored;
use crate::share;
use crate::teacher;
use crate::towers;
use polytask_model::symbols_of;

/// Gets the encoder (from the network only when it is nowhere here) and reads all data.
pub fn prepare(mut suite: Suite, observer: &mut dyn Observer) -> Result<Prepared> {
    regularizer::table::check(&suite)?;
    refuse_trees(&suite)?;
    let kept_heads = kept_heads::take(&mut suite, observer)?;
    let (encoder, symbols, mut dataset) = if columns::are_encoded(&suite) {
        with_towers(&suite, observer)?
    } else if is_fresh(&suite) {
        fresh(&suite, observer)?
    } else {
        loaded(&suite, observer)?
    };
    for warning in &dataset.warnings {
        observer.event(Event::Note(warning));
    }
    teacher::teach(&suite, &mut dataset, observer)?;
    let chosen = defaults::choose(&mut suite, &dataset, &encoder)?;
    tell(&chosen, observer);
    let card = polytask_data::card(&suite, &dataset);
    encoder.pooling.check(&*encoder.trunk)?;
    let (bare, frozen) = (encoder.without_adapters()?, FrozenStates::default());
    let encoder = scored::set(&suite, &dataset, encoder, bare.as_ref())?;
    let mut prepared = Prepared { suite, dataset, encoder, bare, kept_heads, symbols, card, frozen };
    if let Some(seconds) = prepared.suite.train.seconds.take() {
        let pace = pace(&prepared)?;
        let plans_evaluations = chosen.iter().any(|chosen| chosen.key == "eval_every");
        let Prepared { suite, dataset, .. } = &mut prepared;
        tell(&defaults::plan_time(suite, dataset, (seconds, pace), plans_evaluations), observer);
    }
    Ok(prepared)
}

/// Refuses to make a network of a suite that chooses trees.
fn refuse_trees(suite: &Suite) -> Result<()> {
    if suite.matches_labels() {
        let what = "heads that match texts with descriptions leave the encoder as it is, but this trains it";
        return Err(Problem::new(what).try_this("`polytask train`, or head = \"linear\"").into());
    }
    if suite.model.trees.is_none() {
        return Ok(());
    }
    let what = "`trees` in [model] names boosted trees, but this needs the gradients of a network";
    Err(Problem::new(what).try_this("`polytask train`, or the suite without `trees`").into())
}

fn tell(chosen: &[Chosen], observer: &mut dyn Observer) {
    for Chosen { key, value, why } in chosen {
        observer.event(Event::Note(&format!("train.{key} = {value} ({why})")));
    }
}

fn loaded(suite: &Suite, observer: &mut dyn Observer) -> Result<(Encoder, Symbols, Dataset)> {
    let (encoder, symbols) = load_encoder(suite, observer)?;
    check_reads(suite, &encoder)?;
    check_prompts(suite, &encoder, &symbols)?;
    refuse_dense(suite, &encoder)?;
    refuse_shared(suite, &encoder)?;
    refuse_adapted(suite, &encoder)?;
    let encoder = tuned(suite, encoder)?;
    check_length(suite, &encoder, &symbols)?;
    tell_adapters(suite, &encoder, observer)?;
    share::check(suite, &encoder)?;
    observer.event(Event::Note("reading and tokenising the data"));
    let dataset = polytask_data::build(suite, &symbols)?;
    Ok((encoder, symbols, dataset))
}

/// The encoders of columns, the data, and what is trained above all columns.
fn with_towers(suite: &Suite, observer: &mut dyn Observer) -> Result<(Encoder, Symbols, Dataset)> {
    let (encoder, symbols, dataset) = towers::load(suite, observer)?;
    let encoder = tuned(suite, encoder)?;
    share::check(suite, &encoder)?;
    Ok((encoder, symbols, dataset))
}

/// The encoder with what the suite trains of it.
fn tuned(suite: &Suite, encoder: Encoder) -> Result<Encoder> {
    let ModelSpec { tune, encoder: name, .. } = &suite.model;
    Ok(polytask_nn::tune::apply(tune, encoder, (name, suite.seed))?)
}

/// Says how much of an encoder with adapters is trained.
fn tell_adapters(suite: &Suite, encoder: &Encoder, observer: &mut dyn Observer) -> Result<()> {
    if !encoder.is_adapted() {
        return Ok(());
    }
    let blocks = encoder.params.blocks.iter().zip(encoder.frozen(&suite.model.freeze)?);
    let of = |(block, is_frozen): (&Block, bool)| (block.values.len(), is_frozen);
    let sizes: Vec<(usize, bool)> = blocks.map(of).collect();
    let all: usize = sizes.iter().map(|(n, _)| n).sum();
    let trained: usize = sizes.iter().filter(|(_, is_frozen)| !is_frozen).map(|(n, _)| n).sum();
    let (name, share) = (&suite.model.tune.name, 100.0 * trained as f64 / all as f64);
    observer.event(Event::Note(&format!(
        "{name}: {trained} of the encoder's {all} weights are trained ({share:.1} %)"
    )));
    Ok(())
}

/// The data first: they say how large images are or which columns there are, and so what the network is.
fn fresh(suite: &Suite, observer: &mut dyn Observer) -> Result<(Encoder, Symbols, Dataset)> {
    observer.event(Event::Note(&format!("reading the {}", suite.input().plural)));
    let dataset = polytask_data::build(suite, &NoTexts(suite.input()))?;
    let encoder = Encoder::net(NetConfig::new(&suite.model, &dataset.input)?, suite.seed)?;
    let encoder = tuned(suite, encoder)?;
    share::check(suite, &encoder)?;
    let symbols = symbols_of(&suite.folder, &encoder, None)?;
    Ok((encoder, symbols, dataset))
}

/// Refuses an encoder that reads something else than the tasks do.
fn check_reads(suite: &Suite, encoder: &Encoder) -> Result<()> {
    let (found, expected) = (encoder.network.input(), suite.input());
    if found == expected {
        return Ok(());
    }
    let (found, expected) = (found.plural, expected.plural);
    let what = format!("encoder `{}` reads {found}, but the tasks read {expected}", suite.model.encoder);
    Err(Problem::new(what).try_this(format!("an encoder that reads {expected}")).into())
}

/// Refuses to train an encoder with a Dense module: heads would read other vectors than the folder gives.
fn refuse_dense(suite: &Suite, encoder: &Encoder) -> Result<()> {
    if encoder.dense.is_empty() {
        return Ok(());
    }
    let what = format!("encoder `{}` has a Dense module after pooling, expected none", suite.model.encoder);
    Err(Problem::new(what).try_this("an encoder that ends in pooling; embed and search take this one").into())
}

/// Refuses to train an encoder whose tasks have versions of it: which one would go on is not said.
fn refuse_shared(suite: &Suite, encoder: &Encoder) -> Result<()> {
    let Some(by) = &encoder.sharing else { return Ok(()) };
    let (name, sharing) = (&suite.model.encoder, &by.choice.name);
    let what =
        format!("encoder `{name}` is a model whose tasks share it by `{sharing}`, expected a plain encoder");
    Err(Problem::new(what)
        .try_this("the encoder that model was trained from, or a model with `sharing = \"hard\"`")
        .into())
}

/// Refuses to train an encoder whose adapters cannot be added to its weights: which weights would be trained is not said.
fn refuse_adapted(suite: &Suite, encoder: &Encoder) -> Result<()> {
    if !encoder.is_adapted() {
        return Ok(());
    }
    let what =
        format!("encoder `{}` has adapters within its layers, expected a plain encoder", suite.model.encoder);
    Err(Problem::new(what).try_this("the encoder that model was trained from").into())
}

/// Refuses prompts of a suite where the encoder leaves prompts out of pooling: that would need their length beside every
/// text.
pub(crate) fn check_prompts(suite: &Suite, encoder: &Encoder, symbols: &Symbols) -> Result<()> {
    check_room(suite, symbols)?;
    let Some(source) = suite.sources.iter().find(|source| !source.prompts.is_empty()) else { return Ok(()) };
    if encoder.includes_prompt() {
        return Ok(());
    }
    let what = format!(
        "source `{}` has prompts, but encoder `{}` leaves prompts out of pooling (`include_prompt` is false)",
        source.name, suite.model.encoder
    );
    Err(Problem::new(what).try_this("remove `prompts`").into())
}

/// Refuses prompts that leave no room for the text after them.
fn check_room(suite: &Suite, symbols: &Symbols) -> Result<()> {
    for source in &suite.sources {
        for (role, prompt) in &source.prompts {
            let tokenizer = symbols.text()?;
            if tokenizer.encode_after(prompt, "")?.len() >= tokenizer.max_length() {
                let what = format!(
                    "the prompt of `{role}` in source `{}` fills all {} tokens that are read of a text",
                    source.name,
                    tokenizer.max_length()
                );
                return Err(Problem::new(what).try_this("a shorter one, or a larger `max_length`").into());
            }
        }
    }
    Ok(())
}

/// Refuses texts so long that no room is left for the rows of a prompt.
fn check_length(suite: &Suite, encoder: &Encoder, symbols: &Symbols) -> Result<()> {
    let (most, stated) = (encoder.max_length, symbols.max_length());
    if *symbols.input() != TEXT || stated <= most {
        return Ok(());
    }
    let tune = &suite.model.tune.name;
    let what =
        format!("texts have up to {stated} tokens, but beside `tune = \"{tune}\"` there is room for {most}");
    Err(Problem::new(what).try_this(format!("`max_length = {most}` in [model]")).into())
}

/// What turns the suite's inputs into symbols, for looking at data.
pub fn symbols_only(suite: &Suite, observer: &mut dyn Observer) -> Result<Box<dyn Tokenize>> {
    if columns::are_encoded(suite) {
        return Ok(Box::new(towers::reader(suite, observer)?));
    }
    if is_fresh(suite) {
        return Ok(Box::new(NoTexts(suite.input())));
    }
    if *suite.input() != TEXT {
        return Ok(Box::new(load_encoder(suite, observer)?.1));
    }
    if suite.model.encoder == TINY {
        return Ok(Box::new(tiny_tokenizer(suite)?));
    }
    Ok(Box::new(Tokenizer::load(&locate(suite, observer)?, suite.model.max_length)?))
}
