//! Every family of encoders trains end to end from a folder as people have it, whole and beside adapters.

use std::fs;
use std::path::{Path, PathBuf};

use polytask_core::InputInfo;
use polytask_core::image::IMAGE;
use polytask_core::input::text::TEXT;
use polytask_data::Tokenizer;
use polytask_model::{Model, Question};
use polytask_nn::trunk::families::FAMILIES;
use polytask_train::observe::Silent;
use polytask_train::prepare::prepare;
use polytask_train::run::{RunOptions, run};
use serde_json::Value;

use crate::common::{Data, TWO};
use crate::statistics;

/// Ids that the models of the tests know.
const VOCAB: u64 = 50;

/// Folders of tiny models with random weights.
fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../polytask-nn/tests/data/families")
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A copy of a model's folder with a tokenizer of single characters.
fn encoder(data: &Data, name: &str) -> PathBuf {
    let folder = data.out(&format!("encoder-{name}"));
    fs::create_dir_all(&folder).unwrap();
    Tokenizer::tiny().save_to(&folder).unwrap();
    let file = folder.join("tokenizer.json");
    let mut tokenizer = json(&file);
    let vocab = tokenizer["model"]["vocab"].as_object_mut().unwrap();
    vocab.retain(|_, id| id.as_u64().unwrap() < VOCAB);
    fs::write(&file, tokenizer.to_string()).unwrap();
    copy(name, &["config.json", "model.safetensors"], &folder);
    folder
}

/// A copy of the folder of an encoder of images.
fn image_encoder(data: &Data, name: &str) -> PathBuf {
    let folder = data.out(&format!("encoder-{name}"));
    fs::create_dir_all(&folder).unwrap();
    copy(name, &["config.json", "model.safetensors", "preprocessor_config.json"], &folder);
    folder
}

fn copy(name: &str, files: &[&str], folder: &Path) {
    for file in files {
        fs::copy(models().join(name).join(file), folder.join(file)).unwrap();
    }
}

/// One model of each family that reads texts, or of each that reads images.
fn one_of_each(input: &'static InputInfo) -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().filter(move |family| family.input == input).map(|family| {
        match family.types().next().unwrap() {
            "roberta" => "xlm-roberta",
            name => name,
        }
    })
}

#[test]
fn a_suite_trains_on_every_family_and_its_model_folder_is_read_again() {
    let data = Data::new();
    for name in one_of_each(&TEXT) {
        let folder = encoder(&data, name);
        let encoder = format!("model.encoder={:?}", folder.to_str().unwrap());
        for tune in ["full", "lora", "bottleneck", "prompt"] {
            let tune_key = match tune {
                "prompt" => "model.tune={ name = \"prompt\", rows = 4 }".to_owned(),
                _ => format!("model.tune={tune:?}"),
            };
            let train = ["train.steps=3", "train.lr=1e-3", "train.keep=last", "model.max_length=30"];
            let prepared = data.prepare(TWO, &[&[encoder.as_str(), &tune_key], &train[..]].concat());
            let out = data.out(&format!("{name}-{tune}"));
            run(&prepared, &RunOptions { out: out.clone(), resume: false, baselines: None }, &mut Silent)
                .unwrap();
            let model =
                Model::load(&out.join("model")).unwrap_or_else(|error| panic!("{name} {tune}: {error}"));
            let moved =
                |block: usize| model.encoder.params.blocks[block] != prepared.encoder.params.blocks[block];
            assert_eq!(moved(0), tune == "full", "{name} {tune}: words");
            let top = model.encoder.params.blocks.len() - 1;
            assert!((1..=top).any(moved), "{name} {tune}: nothing was trained");
            let rows = vec![vec!["a b c".into()], vec!["d".into()]];
            let question = Question { task: model.task("tone").unwrap(), rows };
            assert_eq!(model.predict(&[question], None).unwrap().answers[0].len(), 2, "{name} {tune}");
            let types = |folder: &Path| json(&folder.join("config.json"))["model_type"].clone();
            assert_eq!(types(&out.join("model")), types(&folder), "{name} {tune}");
        }
    }
}

#[test]
fn images_train_on_every_family_that_reads_them() {
    let data = statistics::images();
    for name in one_of_each(&IMAGE) {
        let folder = image_encoder(&data, name);
        let encoder = format!("model.encoder={:?}", folder.to_str().unwrap());
        for tune in ["full", "lora"] {
            let tune_key = format!("model.tune={tune:?}");
            let set = [encoder.as_str(), &tune_key, "train.steps=3", "train.lr=1e-3", "train.keep=last"];
            let prepared = data.prepare(statistics::IMAGES, &set);
            let out = data.out(&format!("{name}-{tune}"));
            run(&prepared, &RunOptions { out: out.clone(), resume: false, baselines: None }, &mut Silent)
                .unwrap();
            let model = Model::load(&out.join("model")).unwrap();
            let moved =
                |block: usize| model.encoder.params.blocks[block] != prepared.encoder.params.blocks[block];
            assert_eq!(moved(0), tune == "full", "{name} {tune}: patches");
            assert!(moved(2), "{name} {tune}: nothing was trained");
            let files = ["config.json", "preprocessor_config.json"];
            let kept = files.map(|file| json(&out.join("model").join(file)) == json(&folder.join(file)));
            assert_eq!(kept, [true; 2], "{name} {tune}");
        }
    }
    fs::remove_file(data.out("encoder-vit").join("preprocessor_config.json")).unwrap();
    let suite = data.suite(statistics::IMAGES, &[&format!("model.encoder={:?}", data.out("encoder-vit"))]);
    let error = prepare(suite, &mut Silent).err().unwrap().to_string();
    assert!(error.contains("preprocessor_config.json") && error.contains("how images become"), "{error}");
}

#[test]
fn a_prompt_without_room_beside_the_texts_is_refused() {
    let data = Data::new();
    let folder = encoder(&data, "bert");
    let suite = data.suite(TWO, &[&format!("model.encoder={folder:?}"), "model.tune=prompt"]);
    let error = prepare(suite, &mut Silent).err().unwrap().to_string();
    assert!(error.contains("up to 40 tokens") && error.contains("`max_length = 20`"), "{error}");
}

#[test]
fn sharing_that_cuts_an_encoder_is_refused_where_it_cannot_be_cut() {
    let data = Data::new();
    let folder = encoder(&data, "mpnet");
    let suite = data.suite(TWO, &[&format!("model.encoder={folder:?}"), "model.sharing=mmoe"]);
    let error = prepare(suite, &mut Silent).err().unwrap().to_string();
    assert!(error.contains("can be cut") && error.contains("hard"), "{error}");
    let suite = data.suite(TWO, &["model.tune=lora", "model.sharing=mmoe"]);
    let error = prepare(suite, &mut Silent).err().unwrap().to_string();
    assert!(error.contains("can be cut"), "{error}");
}
