//! Folders survive a round trip, what does not fit is refused.

use std::fs;
use std::path::Path;

use polytask_core::PackedBatch;

use super::*;
use crate::folder;
use crate::weights::{self, RawTensor, TensorOut, Values};

fn batch() -> PackedBatch {
    PackedBatch::pack([&[2, 7, 9, 3][..], &[2, 3], &[2, 11, 3]])
}

fn saved(encoder: &Encoder) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    encoder.save(&encoder.params, folder.path(), &[("tokenizer.json".into(), b"{}".to_vec())]).unwrap();
    folder
}

/// Every file below a folder with its content.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            all.extend(contents(&path).into_iter().map(|(file, bytes)| (format!("{name}/{file}"), bytes)));
            all.push((name, Vec::new()));
        } else {
            all.push((name, fs::read(path).unwrap()));
        }
    }
    all.sort();
    all
}

#[test]
fn an_encoder_survives_saving_and_the_same_bytes_are_written_again() {
    let mut encoder = Encoder::tiny(20, 5).unwrap();
    encoder.pooling = "cls+mean".parse().unwrap();
    let activation = folder::DenseActivation::Tanh;
    let weight = (0..3 * 64).map(|i| (i as f32 * 0.37).sin()).collect();
    encoder.dense = vec![Dense { d_in: 64, d_out: 3, weight, bias: Some(vec![0.1; 3]), activation }];
    encoder.max_length = 77;
    let kept = RawTensor {
        name: "embeddings.position_ids".into(),
        dtype: safetensors::Dtype::I64,
        shape: vec![1, 1],
        bytes: vec![0; 8],
    };
    encoder.kept = vec![kept];
    let first = saved(&encoder);
    let loaded = Encoder::load(first.path()).unwrap();
    assert_eq!(loaded.params, encoder.params);
    assert_eq!((&loaded.dense, &loaded.kept), (&encoder.dense, &encoder.kept));
    assert_eq!((loaded.max_length, loaded.normalize, loaded.d_embedding()), (77, true, 3));
    assert_eq!(loaded.weights_hash(), encoder.weights_hash());
    assert_eq!(loaded.embed(&batch()).unwrap(), encoder.embed(&batch()).unwrap());
    assert_eq!(contents(first.path()), contents(saved(&loaded).path()));
}

#[test]
fn vectors_have_length_one_and_do_not_depend_on_their_neighbours() {
    let encoder = Encoder::tiny(20, 5).unwrap();
    let (batch, together) = (batch(), encoder.embed(&batch()).unwrap());
    for s in 0..batch.n_sequences() {
        let alone = encoder.embed(&PackedBatch::pack([&batch.ids[batch.rows(s)]])).unwrap();
        let norm: f32 = alone.values.iter().map(|v| v * v).sum();
        assert!((norm - 1.0).abs() < 1e-5);
        assert!(alone.values.iter().zip(together.row(s)).all(|(a, b)| (a - b).abs() < 1e-5));
    }
}

#[test]
fn prefixed_and_old_names_are_accepted_and_foreign_tensors_left_out() {
    let encoder = Encoder::tiny(20, 5).unwrap();
    let folder = saved(&encoder);
    let old = |name: &str| {
        let name = format!("bert.{name}");
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
    };
    let tensors = weights::tensors_of(&encoder.params);
    let names: Vec<String> = tensors.iter().map(|tensor| old(tensor.name)).collect();
    let mut renamed: Vec<_> =
        tensors.iter().zip(&names).map(|(tensor, name)| TensorOut { name, ..*tensor }).collect();
    let head = |name| TensorOut { name, shape: &[2], values: Values::F32(&[1.0, 2.0]) };
    renamed.extend([head("cls.predictions.bias"), head("bert.pooler.dense.bias")]);
    weights::write(&folder.path().join(weights::FILE), &renamed, &[]).unwrap();
    let loaded = Encoder::load(folder.path()).unwrap();
    assert_eq!(loaded.params, encoder.params);
    let kept: Vec<&str> = loaded.kept.iter().map(|raw| raw.name.as_str()).collect();
    assert_eq!(kept, ["pooler.dense.bias"]);
}

#[test]
fn weights_of_another_network_are_refused_before_and_after_reading() {
    let folder = saved(&Encoder::tiny(20, 5).unwrap());
    let config = folder.path().join("config.json");
    let text = fs::read_to_string(&config).unwrap();
    let with = |from: &str, to: &str| {
        fs::write(&config, text.replace(from, to)).unwrap();
        Encoder::load(folder.path()).unwrap_err().to_string()
    };
    let huge = with("\"vocab_size\": 20", "\"vocab_size\": 16000000");
    assert!(huge.contains("describes a network"), "{huge}");
    let other = with("\"vocab_size\": 20", "\"vocab_size\": 19");
    assert!(other.contains("word_embeddings") && other.contains("[20, 32], expected [19, 32]"), "{other}");
}

#[test]
fn truncated_weights_are_refused() {
    let folder = saved(&Encoder::tiny(20, 5).unwrap());
    let path = folder.path().join(weights::FILE);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
    let message = Encoder::load(folder.path()).unwrap_err().to_string();
    assert!(message.contains("truncated"), "{message}");
}

#[test]
fn freeze_names_cover_blocks_and_unknown_ones_are_all_named() {
    let params = Encoder::tiny(20, 5).unwrap().params;
    let blocks = |names: &[&str]| {
        freeze_blocks(&params, &names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(blocks(&[]).unwrap(), [false; 4]);
    assert_eq!(blocks(&["embeddings"]).unwrap(), [true, true, false, false]);
    assert_eq!(blocks(&["words", "layer.1"]).unwrap(), [true, false, false, true]);
    assert_eq!(blocks(&["layer.0-1"]).unwrap(), [false, false, true, true]);
    let message =
        blocks(&["layer.2", "layer.1-0", "layer.0-9", "pooler", "layer.x-y"]).unwrap_err().to_string();
    for name in ["`layer.2`", "`layer.1-0`", "`layer.0-9`", "`pooler`", "`layer.x-y`"] {
        assert!(message.contains(name), "{message}");
    }
}

#[test]
fn embeddings_are_all_blocks_below_the_first_layer_and_unknown_names_are_told_what_there_is() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/families/vit");
    let params = Encoder::load(&folder).unwrap().params;
    let frozen = freeze_blocks(&params, &["embeddings".into()]).unwrap();
    let names: Vec<&str> =
        (0..frozen.len()).filter(|&i| frozen[i]).map(|i| params.blocks[i].name.as_str()).collect();
    let first_layer = params.blocks.iter().position(|block| block.name == "layer.0").unwrap();
    assert_eq!(names, params.blocks[..first_layer].iter().map(|block| &block.name).collect::<Vec<_>>());
    let message = freeze_blocks(&params, &["words".into()]).unwrap_err().to_string();
    assert!(message.contains("expected `patches`, `embeddings`, `layer.0`"), "{message}");
    let net = Params { blocks: params.blocks[first_layer..].to_vec() };
    let message = freeze_blocks(&net, &["embeddings".into()]).unwrap_err().to_string();
    assert!(message.contains("freeze names `embeddings`"), "{message}");
}

/// A copy of a model of the tests, with some of its tensors and more.
fn copied(name: &str, change: impl Fn(&mut Vec<(String, Vec<usize>, Vec<f32>)>)) -> tempfile::TempDir {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/families").join(name);
    let file = weights::WeightFiles::open_folder(&source).unwrap();
    let mut tensors: Vec<_> =
        file.entries().map(|e| (e.name.clone(), e.shape.clone(), file.f32(&e.name).unwrap())).collect();
    change(&mut tensors);
    let folder = tempfile::tempdir().unwrap();
    fs::copy(source.join("config.json"), folder.path().join("config.json")).unwrap();
    let out: Vec<TensorOut> = tensors
        .iter()
        .map(|(name, shape, values)| TensorOut { name, shape, values: Values::F32(values) })
        .collect();
    weights::write(&folder.path().join(weights::FILE), &out, &[]).unwrap();
    folder
}

#[test]
fn a_tied_table_is_read_under_either_name_and_must_agree_with_itself() {
    let tie = "encoder.embed_tokens.weight";
    let find = |tensors: &[(String, Vec<usize>, Vec<f32>)]| {
        tensors.iter().position(|t| t.0 == "shared.weight").unwrap()
    };
    let plain = Encoder::load(copied("t5", |_| {}).path()).unwrap();
    let renamed = copied("t5", |tensors| {
        let at = find(tensors);
        tensors[at].0 = tie.into();
    });
    assert_eq!(Encoder::load(renamed.path()).unwrap().params, plain.params);
    let twice = |by: f32| {
        copied("t5", move |tensors| {
            let mut other = tensors[find(tensors)].clone();
            other.0 = tie.into();
            other.2[0] += by;
            tensors.push(other);
        })
    };
    let both = Encoder::load(twice(0.0).path()).unwrap();
    assert_eq!((&both.params, both.kept.len()), (&plain.params, 0));
    let message = Encoder::load(twice(1.0).path()).unwrap_err().to_string();
    assert!(message.contains("different values") && message.contains(tie), "{message}");
}

#[test]
fn more_layers_than_the_configuration_says_are_refused() {
    let more = copied("llama", |tensors| {
        let mut other = tensors.iter().find(|t| t.0 == "layers.1.mlp.up_proj.weight").unwrap().clone();
        other.0 = "model.layers.2.mlp.up_proj.weight".into();
        tensors.push(other);
    });
    let message = Encoder::load(more.path()).unwrap_err().to_string();
    assert!(message.contains("layers.2.mlp.up_proj") && message.contains("does not describe"), "{message}");
    let bias = copied("llama", |tensors| {
        tensors.push(("layers.0.self_attn.q_proj.bias".into(), vec![1], vec![0.0]));
    });
    assert!(Encoder::load(bias.path()).unwrap_err().to_string().contains("q_proj.bias"));
    let computed = copied("llama", |tensors| {
        tensors.push(("layers.0.self_attn.rotary_emb.inv_freq".into(), vec![1], vec![0.0]));
        tensors.push(("lm_head.weight".into(), vec![1], vec![0.0]));
    });
    Encoder::load(computed.path()).unwrap();
}
