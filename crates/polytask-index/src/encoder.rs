//! The encoder of an index: texts to vectors of length 1, and which encoder that is.

use polytask_core::Problem;
use polytask_model::{Model, Result};
use polytask_nn::States;
use polytask_nn::topk;

use crate::change::EmbeddedTexts;
use crate::store::{EncoderStamp, TokenStamp};

/// A model that gives the vectors of an index.
pub struct IndexEncoder {
    /// The model.
    pub model: Model,
    stamp: EncoderStamp,
    /// Tokens that stand in every text: special ones, and the prompt.
    constant: usize,
}

impl IndexEncoder {
    /// The encoder that a model is, for a task and with a prompt before every passage where they are named; `source` is
    /// where it is found again. Of a model that compares the states of tokens these are kept beside its pooled vectors,
    /// which find what they then rank.
    ///
    /// # Errors
    /// When it reads no texts, or has no such task or prompt.
    pub fn new(model: Model, source: &str, task: Option<&str>, corpus_prompt: Option<&str>) -> Result<Self> {
        let tokenizer = model.symbols.text()?;
        let score = model.encoder.scoring()?.and(model.encoder.score.clone());
        model.view(task)?;
        let corpus_prompt = model.passage_prompt(corpus_prompt, task);
        let prompt = model.prompt(corpus_prompt.as_deref())?;
        let constant = tokenizer.encode_batch_after(prompt, &[""])?[0].len();
        let stamp = EncoderStamp {
            source: source.to_owned(),
            hash: model.fingerprint(prompt)?,
            width: model.encoder.d_embedding(),
            task: task.map(str::to_owned),
            corpus_prompt,
            tokens: score.map(|score| TokenStamp { score, width: model.encoder.trunk.d_hidden() }),
        };
        Ok(Self { model, stamp, constant })
    }

    /// Which encoder it is.
    pub fn stamp(&self) -> &EncoderStamp {
        &self.stamp
    }

    /// Most tokens of a passage.
    pub fn most_tokens(&self) -> usize {
        self.model.encoder.max_length.saturating_sub(self.constant).max(1)
    }

    /// How many tokens each text has, special ones not counted; none above [`IndexEncoder::most_tokens`] and one.
    ///
    /// # Errors
    /// When the tokenizer refuses a text.
    pub fn count(&self, texts: &[&str]) -> Result<Vec<usize>> {
        let tokenizer = self.model.symbols.text()?;
        let special = tokenizer.encode_batch_after("", &[""])?[0].len();
        let most = tokenizer.max_length().saturating_sub(special);
        let counted =
            tokenizer.encode_batch_after("", texts)?.into_iter().map(|ids| match ids.len() - special {
                // It was cut: there may be any number of them.
                n if n >= most => usize::MAX / 4,
                n => n,
            });
        Ok(counted.collect())
    }

    /// Vectors of passages, end to end.
    ///
    /// # Errors
    /// Those of the model.
    pub fn passages<S: AsRef<str>>(&self, texts: &[S]) -> Result<Vec<f32>> {
        self.vectors(texts, self.stamp.corpus_prompt.as_deref())
    }

    /// Vectors of queries, end to end; `prompt` is one of the model's, by name, in the place of the usual one.
    ///
    /// # Errors
    /// When the model has no such prompt.
    pub fn queries<S: AsRef<str>>(&self, texts: &[S], prompt: Option<&str>) -> Result<Vec<f32>> {
        let prompt = self.model.query_prompt(prompt, self.stamp.task.as_deref());
        self.vectors(texts, prompt.as_deref())
    }

    /// Vectors of passages and what else is kept of them.
    ///
    /// # Errors
    /// Those of the model.
    pub fn embedded_passages<S: AsRef<str>>(&self, texts: &[S]) -> Result<EmbeddedTexts> {
        self.embedded(texts, self.stamp.corpus_prompt.as_deref())
    }

    /// Vectors of queries and what else they are compared by.
    ///
    /// # Errors
    /// When the model has no such prompt.
    pub fn embedded_queries<S: AsRef<str>>(
        &self,
        texts: &[S],
        prompt: Option<&str>,
    ) -> Result<EmbeddedTexts> {
        let prompt = self.model.query_prompt(prompt, self.stamp.task.as_deref());
        self.embedded(texts, prompt.as_deref())
    }

    fn embedded<S: AsRef<str>>(&self, texts: &[S], prompt: Option<&str>) -> Result<EmbeddedTexts> {
        if self.stamp.tokens.is_none() {
            return Ok(self.vectors(texts, prompt)?.into());
        }
        let (states, tokens) = self.model.embed_with_states(texts, self.stamp.task.as_deref(), prompt)?;
        if let Some(at) = tokens.values.iter().position(|value| !value.is_finite()) {
            let token = at / tokens.width.max(1);
            let row = tokens.starts.partition_point(|start| *start as usize <= token) - 1;
            return Err(no_number(row));
        }
        Ok(EmbeddedTexts { vectors: unit(states)?, tokens: Some(tokens) })
    }

    fn vectors<S: AsRef<str>>(&self, texts: &[S], prompt: Option<&str>) -> Result<Vec<f32>> {
        unit(self.model.embed(texts, self.stamp.task.as_deref(), prompt)?)
    }
}

/// Vectors of length 1.
fn unit(states: States) -> Result<Vec<f32>> {
    let width = states.width;
    let vectors = topk::normalised(states.values, width);
    if vectors.iter().all(|v| v.is_finite()) {
        return Ok(vectors);
    }
    Err(no_number(vectors.iter().position(|v| !v.is_finite()).unwrap_or(0) / width.max(1)))
}

fn no_number(row: usize) -> polytask_model::Error {
    let what = format!("the model gave text {row} of a batch a vector that is not finite");
    Problem::new(what).try_this("`polytask embed` with this model shows it; train it again").into()
}
