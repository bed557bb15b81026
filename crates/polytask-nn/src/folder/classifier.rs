//! Published classifiers and cross-encoders: an encoder, a layer with tanh on its first state, a linear map.
//!
//! These are the `…ForSequenceClassification` folders of transformers, which sentence-transformers calls cross-encoders.

use std::path::Path;

use polytask_core::atomic::{self, create_dir, write_json};
use polytask_core::{Problem, length};
use serde_json::{Value, json};

use crate::encoder::{Encoder, Network};
use crate::params::Params;
use crate::trunk::families::{Classifier, EncoderFamily};
use crate::weights::{self, TensorOut, Values, WeightFiles};
use crate::{Block, Error, Result};

/// What `architectures` of such a folder ends in.
const CLASS: &str = "ForSequenceClassification";

/// The head of a published classifier.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishedHead {
    /// Labels in the order of outputs; one output alone has none.
    pub labels: Vec<String>,
    /// Number of outputs.
    pub n_outputs: usize,
    /// The tensors of a pooler head: weight and bias of the layer with tanh, then of the linear map.
    pub tensors: [Vec<f32>; 4],
}

/// Reads the head of a published classifier; `None` where the folder is another's.
///
/// # Errors
/// A head that is not a layer with tanh and a linear map, or one whose tensors are not there.
pub fn read_classifier(folder: &Path) -> Result<Option<PublishedHead>> {
    let Some(config) = length::read_json(folder, "config.json")? else { return Ok(None) };
    let class = config.pointer("/architectures/0").and_then(Value::as_str).unwrap_or_default();
    let model_type = config.get("model_type").and_then(Value::as_str).unwrap_or_default();
    if !class.ends_with(CLASS) || length::read_json(folder, "modules.json")?.is_some() {
        return Ok(None);
    }
    let family = EncoderFamily::of(model_type);
    let Some((family, names)) = family.and_then(|family| Some((family, family.classifier?))) else {
        let what = format!(
            "{}: the head of `{class}` is not one that is read, expected that of BERT, RoBERTa, XLM-R or MPNet",
            folder.display()
        );
        return Err(Error::Core(Problem::new(what).try_this("the encoder without its head").into()));
    };
    let weights = WeightFiles::open_folder(folder)?;
    let tensor = |name: String| {
        let found = weights.entries().find(|entry| family.canonical(&entry.name) == name);
        let entry = found.ok_or_else(|| missing(&weights, &name))?;
        weights.f32(&entry.name)
    };
    let both =
        |name: &str| Ok::<_, Error>([tensor(format!("{name}.weight"))?, tensor(format!("{name}.bias"))?]);
    let ([first, first_bias], [last, last_bias]) = (both(names.dense)?, both(names.output)?);
    let n_outputs = last_bias.len();
    let d = first_bias.len();
    if first.len() != d * d || last.len() != n_outputs * d || n_outputs == 0 {
        let what = format!(
            "`{}` and `{}` have {} and {} values, expected {} and {}",
            names.dense,
            names.output,
            first.len(),
            last.len(),
            d * d,
            n_outputs * d
        );
        return Err(Error::Weights { path: weights.path().to_path_buf(), what });
    }
    let tensors = [first, first_bias, last, last_bias];
    Ok(Some(PublishedHead { labels: labels(&config, n_outputs), n_outputs, tensors }))
}

fn missing(weights: &WeightFiles, name: &str) -> Error {
    let what = format!("no tensor `{name}`, which a classifier has; try: the files as they were published");
    Error::Weights { path: weights.path().to_path_buf(), what }
}

/// The labels that `id2label` names; numbers where it names too few.
fn labels(config: &Value, n: usize) -> Vec<String> {
    if n == 1 {
        return Vec::new();
    }
    let label = |i: usize| config.get("id2label")?.get(i.to_string())?.as_str().map(str::to_owned);
    (0..n).map(|i| label(i).unwrap_or_else(|| i.to_string())).collect()
}

/// Whether an encoder with a pooler head can be written as a published classifier.
pub fn is_publishable(encoder: &Encoder) -> bool {
    let Network::Published { family, .. } = &encoder.network else { return false };
    let is_plain = encoder.sharing.is_none() && !encoder.is_adapted() && encoder.score.is_none();
    is_plain && family.classifier.is_some() && encoder.pooling == crate::pooling::PoolMode::Cls.into()
}

/// Writes an encoder and a pooler head as a published classifier, weights last; one label fewer than two means a score.
///
/// # Errors
/// When it cannot be written, or the encoder is none of those ([`is_publishable`]).
pub fn write_classifier(
    (encoder, params): (&Encoder, &Params),
    (head, labels): (&Block, &[String]),
    folder: &Path,
    tokenizer: &[(String, Vec<u8>)],
) -> Result<()> {
    let Network::Published { family, .. } = &encoder.network else { return Err(no_classifier()) };
    let Some(Classifier { dense, output }) = family.classifier else { return Err(no_classifier()) };
    create_dir(folder)?;
    for (name, bytes) in tokenizer {
        atomic::write(&folder.join(name), bytes)?;
    }
    write_json(
        &folder.join("config.json"),
        &config(family, &encoder.notes.config, labels, encoder.max_length),
    )?;
    let prefix = family.prefixes.first().copied().unwrap_or_default();
    // The pooler is part of the encoder, a classifier's own layer stands beside it.
    let place =
        |name: &str| if name.starts_with("pooler") { format!("{prefix}{name}") } else { name.to_owned() };
    let own: Vec<String> = [dense, output]
        .iter()
        .flat_map(|name| [format!("{}.weight", place(name)), format!("{}.bias", place(name))])
        .collect();
    let of_encoder = weights::tensors_of(params);
    let names: Vec<String> = of_encoder.iter().map(|tensor| format!("{prefix}{}", tensor.name)).collect();
    let mut tensors: Vec<TensorOut<'_>> =
        names.iter().zip(of_encoder).map(|(name, tensor)| TensorOut { name, ..tensor }).collect();
    tensors.extend(own.iter().zip(&head.tensors).enumerate().map(|(i, (name, spec))| TensorOut {
        name,
        shape: &spec.shape,
        values: Values::F32(head.tensor(i)),
    }));
    weights::write(&folder.join(weights::FILE), &tensors, &[("format", "pt")])
}

fn no_classifier() -> Error {
    let what = "the encoder has no published classifier";
    Error::Core(Problem::new(what).try_this("BERT, RoBERTa, XLM-R or MPNet").into())
}

fn config(family: &EncoderFamily, original: &Value, labels: &[String], max_length: usize) -> Value {
    let mut config = original.clone();
    let model_type = config.get("model_type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let class = family.architecture(&model_type).trim_end_matches("Model").to_owned() + CLASS;
    config["architectures"] = json!([class]);
    let labels = if labels.len() < 2 { vec!["LABEL_0".to_owned()] } else { labels.to_vec() };
    let by_id: serde_json::Map<String, Value> =
        labels.iter().enumerate().map(|(i, label)| (i.to_string(), label.as_str().into())).collect();
    let by_label: serde_json::Map<String, Value> =
        labels.iter().enumerate().map(|(i, label)| (label.clone(), i.into())).collect();
    config["id2label"] = by_id.into();
    config["label2id"] = by_label.into();
    // Dropout before the linear map is training's.
    config["model_max_length"] = max_length.into();
    for key in ["torch_dtype", "dtype"] {
        if config.get(key).is_some() {
            config[key] = "float32".into();
        }
    }
    config
}
