//! How texts are scored against each other: what a suite says, in the unit of the encoder that training starts from.

use polytask_core::method::Choice;
use polytask_core::suite::NO_REGULARIZER;
use polytask_core::{PackedBatch, Problem, Suite};
use polytask_data::{Dataset, TextId};
use polytask_model::Model;
use polytask_nn::Mode;
use polytask_nn::encoder::Encoder;
use polytask_nn::scores::{POOLED, ScoredBy, resolved};

use crate::Result;

/// Texts by whose states an encoder's are measured.
const TEXTS: usize = 256;

/// The encoder with its score; `bare` is the encoder as it was loaded, where it has got adapters since.
///
/// # Errors
/// A score that fits no task of the suite, or not its regularizer.
pub(crate) fn set(
    suite: &Suite,
    dataset: &Dataset,
    mut encoder: Encoder,
    bare: Option<&Encoder>,
) -> Result<Encoder> {
    if let Some(choice) = &suite.model.score {
        encoder.score = match choice.name.as_str() {
            POOLED => None,
            name => {
                check_tasks(suite, name)?;
                check_dense(&encoder, name)?;
                let square = mean_square(dataset, bare.unwrap_or(&encoder))?;
                Some(ScoredBy { choice: resolved(choice)?, square })
            }
        };
    }
    encoder.scoring()?;
    check_regularizer(suite, &encoder)?;
    Ok(encoder)
}

/// Gives a plain encoder the score that a suite judges it by.
///
/// # Errors
/// A model that was trained by another score.
pub(crate) fn adopt(suite: &Suite, dataset: &Dataset, model: &mut Model) -> Result<()> {
    let Some(choice) = &suite.model.score else { return Ok(()) };
    let own = model.encoder.score.as_ref().map(|score| &score.choice);
    if own.is_none() && model.tasks.is_empty() {
        let encoder = set(suite, dataset, model.encoder.clone(), None)?;
        *model = Model::new(encoder, model.symbols.clone(), Vec::new());
        return Ok(());
    }
    let own = own.map_or_else(|| Ok(Choice::named(POOLED)), resolved)?;
    if own == resolved(choice)? {
        return Ok(());
    }
    let what =
        format!("the suite scores texts by `{}`, but the model was trained by `{}`", choice.name, own.name);
    Err(Problem::new(what).try_this("remove `score` from [model]: a model keeps its own").into())
}

fn check_tasks(suite: &Suite, name: &str) -> Result<()> {
    if suite.tasks.iter().any(|task| task.kind.compares_texts()) {
        return Ok(());
    }
    let what =
        format!("`score` is `{name}`, but no task compares texts, expected similarity, retrieval or ranking");
    Err(Problem::new(what).try_this("remove `score` from [model]").into())
}

fn check_dense(encoder: &Encoder, name: &str) -> Result<()> {
    if encoder.dense.is_empty() {
        return Ok(());
    }
    let what =
        format!("score `{name}` reads states of tokens, but the encoder has a Dense module after pooling");
    Err(Problem::new(what).try_this("`score = \"pooled\"`").into())
}

fn check_regularizer(suite: &Suite, encoder: &Encoder) -> Result<()> {
    let regularizer = &suite.train.regularizer.name;
    let is_scored = suite.tasks.iter().any(|task| task.kind.compares_texts()) && encoder.scoring()?.is_some();
    let is_regular = *regularizer == NO_REGULARIZER.id;
    let Some(score) = encoder.score.as_ref().filter(|_| is_scored && !is_regular) else { return Ok(()) };
    let what = format!(
        "regularizer `{regularizer}` needs second derivatives, which score `{}` does not have",
        score.choice.name
    );
    Err(Problem::new(what)
        .try_this(format!("`score = \"{POOLED}\"`, or `train.regularizer = \"none\"`"))
        .into())
}

/// Mean squared length of an encoder's token states on the first texts.
fn mean_square(dataset: &Dataset, encoder: &Encoder) -> Result<f64> {
    let (mut sum, mut n) = (0.0, 0_usize);
    let texts: Vec<TextId> = (0..dataset.texts.len().min(TEXTS) as TextId).collect();
    let lengths = |i: usize| dataset.texts.tokens(texts[i]).len();
    for now in polytask_model::by_length(texts.len(), encoder.trunk.symbols_per_pass(), lengths) {
        let packed = PackedBatch::pack(now.iter().map(|&i| dataset.texts.tokens(texts[i])));
        let (states, _) = encoder.trunk.forward(&encoder.params, &packed, Mode::EVAL)?;
        sum += states.values.iter().map(|v| f64::from(v * v)).sum::<f64>();
        n += states.values.len() / states.width.max(1);
    }
    Ok(sum / n.max(1) as f64)
}
