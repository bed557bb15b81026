//! Vectors of texts.

use polytask_core::Result;
use serde_json::{Value, json};

use crate::budget::most_tokens;
use crate::client::{LlmClient, LlmRequest};

/// Characters of a text that an error shows.
const SHOWN: usize = 40;

/// Texts whose vectors are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmbeddingsCall<'a> {
    /// Name of the model.
    pub model: &'a str,
    /// The texts.
    pub texts: &'a [&'a str],
    /// Values per vector, where that is known.
    pub width: Option<usize>,
}

impl EmbeddingsCall<'_> {
    /// As a request.
    pub fn request(&self) -> LlmRequest {
        let first: String = self.texts.first().unwrap_or(&"").chars().take(SHOWN).collect();
        LlmRequest {
            path: "/embeddings",
            body: json!({ "model": self.model, "input": self.texts, "encoding_format": "float" }),
            turn: 0,
            most_tokens: most_tokens(self.texts),
            about: format!(
                "the vectors of {}, the first of them `{first}`",
                polytask_core::plural(self.texts.len(), "text")
            ),
        }
    }
}

impl LlmClient {
    /// The vectors of texts, in their order, all of one width.
    ///
    /// # Errors
    /// When no answer comes, or one of other texts or widths, or with values that are no numbers.
    pub fn embeddings(&mut self, call: &EmbeddingsCall<'_>) -> Result<Vec<Vec<f32>>> {
        let kept = self.kept_vectors(call.model, call.texts)?;
        let (mut all, mut width) = (Vec::with_capacity(kept.len()), call.width);
        for (place, one) in kept.iter().enumerate() {
            let values = one.as_ref().map(|one| checked(one, place, &mut width)).transpose();
            all.push(values.map_err(|what| {
                let request = call.request();
                self.nonsense(&request, &request.key(), &what)
            })?);
        }
        let missing: Vec<&str> =
            call.texts.iter().zip(&all).filter(|(_, found)| found.is_none()).map(|(text, _)| *text).collect();
        if missing.is_empty() {
            return Ok(all.into_iter().flatten().collect());
        }
        let asked = EmbeddingsCall { texts: &missing, width, ..*call };
        let mut found = self.ask(&asked.request(), |answer| vectors(answer, &asked))?.into_iter();
        // As many as are missing came.
        Ok(all.into_iter().filter_map(|one| one.or_else(|| found.next())).collect())
    }
}

fn vectors(answer: &Value, call: &EmbeddingsCall<'_>) -> std::result::Result<Vec<Vec<f32>>, String> {
    let data = answer.get("data").and_then(Value::as_array).ok_or("it has no list `data`")?;
    let n = call.texts.len();
    if data.len() != n {
        return Err(format!(
            "it has {}, expected {n}, one per text",
            polytask_core::plural(data.len(), "vector")
        ));
    }
    let mut all: Vec<Option<Vec<f32>>> = vec![None; n];
    let mut width = call.width;
    for (place, one) in data.iter().enumerate() {
        let index = one.get("index").map_or(Some(place as u64), Value::as_u64);
        let slot = index.and_then(|index| all.get_mut(index as usize)).filter(|slot| slot.is_none());
        let slot = slot.ok_or_else(|| format!("its indices are not 0 to {}, each once", n - 1))?;
        *slot = Some(checked(one, place, &mut width)?);
    }
    all.into_iter().map(|one| one.ok_or_else(|| "a vector is missing".to_owned())).collect()
}

/// A vector of the width of those before it.
fn checked(one: &Value, place: usize, width: &mut Option<usize>) -> std::result::Result<Vec<f32>, String> {
    let values = vector(one, place)?;
    let expected = *width.get_or_insert(values.len());
    if values.len() != expected {
        return Err(format!("vector {place} has {} values, expected {expected}", values.len()));
    }
    Ok(values)
}

fn vector(one: &Value, place: usize) -> std::result::Result<Vec<f32>, String> {
    let values = one.get("embedding").ok_or_else(|| format!("vector {place} has no `embedding`"))?;
    let list = values.as_array().ok_or_else(|| format!("vector {place} is no list of numbers"))?;
    if list.is_empty() {
        return Err(format!("vector {place} is empty"));
    }
    let number = |(i, value): (usize, &Value)| {
        let number = value.as_f64().map(|value| value as f32).filter(|value| value.is_finite());
        number.ok_or_else(|| format!("value {i} of vector {place} is {value}, expected a number"))
    };
    list.iter().enumerate().map(number).collect()
}
