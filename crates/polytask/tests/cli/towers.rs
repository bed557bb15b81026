//! Tables with texts and images beside numbers, from files on disk to predictions.

use std::fmt::Write;

use crate::support::{Place, has};

/// The side of an image.
const SIDE: usize = 12;

/// An image whose left or right half is bright, and a spot that makes it its own.
fn image(i: usize) -> Vec<u8> {
    let half = |p: usize| if (p % SIDE < SIDE / 2) == i.is_multiple_of(2) { 220 } else { 20 };
    let mut pixels: Vec<u8> = (0..SIDE * SIDE).map(half).collect();
    pixels[i * 7 % (SIDE * SIDE)] ^= 0x0f;
    pixels
}

/// Which side is bright stands in the photo alone, what is paid in the note and the price; some cells are empty.
fn rows(first: usize, n: usize) -> String {
    let mut text = String::from("note,photo,price,side,paid\n");
    for i in first..first + n {
        let (word, factor) = [("half", 0.5), ("whole", 1.0), ("twice", 2.0)][i % 3];
        let price = (i * 13 % 20) as f64;
        let photo = if i % 10 == 9 { String::new() } else { format!("photos-images-idx3-ubyte#{i}") };
        let side = if i % 10 == 9 { "" } else { ["left", "right"][i % 2] };
        let note = if i % 7 == 6 { String::new() } else { format!("{word} please") };
        let paid = if note.is_empty() { String::new() } else { (factor * price).to_string() };
        let _ = writeln!(text, "{note},{photo},{price},{side},{paid}");
    }
    text
}

const SOURCE: &str = "name = \"orders\"\n[[source]]\nname = \"orders\"\ndata = \"orders\"\ntexts = [\"note\"]\n\
    images = [\"photo\"]\n[[task]]\nname = \"side\"\nkind = \"table-class\"\nfrom = \"orders\"\n\
    columns = { label = \"side\" }\n[[task]]\nname = \"paid\"\nkind = \"table-regression\"\nfrom = \"orders\"\n\
    columns = { value = \"paid\" }\n";
const TRAIN: &str = "[train]\nsteps = 150\nbatch_rows = 32\nlr = 3e-3\n";

fn orders() -> Place {
    let place = Place::new();
    let pixels: Vec<u8> = (0..300).flat_map(image).collect();
    let sizes = [300, SIDE, SIDE].into_iter().flat_map(|size| (size as u32).to_be_bytes());
    let bytes: Vec<u8> = [0, 0, 8, 3].into_iter().chain(sizes).chain(pixels).collect();
    place.write("orders/photos-images-idx3-ubyte", bytes);
    place.write("orders/train.csv", rows(0, 240));
    place.write("orders/test.csv", rows(240, 60));
    place.write("suite.toml", format!("{SOURCE}[model]\nencoder = \"tiny\"\n{TRAIN}"));
    place
}

#[test]
fn rows_with_texts_and_images_train_one_network_which_then_scores_and_predicts() {
    let place = orders();
    place.polytask(&["check", "suite.toml", "--data"]).done();
    let told = place.polytask(&["data", "suite.toml"]).done();
    has(&told, &["price", "numbers", "note", "texts", "photo", "images"]);
    place.polytask(&["train", "suite.toml", "--out", "run"]).done();
    let report = place.json("run/report.json");
    for (task, least) in [(0, 0.9), (1, 0.6)] {
        let value = report["tasks"][task]["joint"][0]["value"].as_f64().unwrap_or(0.0);
        assert!(value > least, "task {task}: {value}\n{report}");
    }
    assert_eq!(place.json("run/model/config.json")["model_type"], "towers");
    assert_eq!(place.names("run/model/towers"), ["image", "text"]);
    let scored = place.polytask(&["eval", "run/suite.toml", "--model", "run", "--json"]).object();
    for task in 0..2 {
        assert_eq!(scored["tasks"][task]["joint"], report["tasks"][task]["joint"]);
    }
    // A file that a row names is looked for beside the rows; what is not there is unknown.
    place.write("orders/new.jsonl", "{\"photo\": \"photos-images-idx3-ubyte#241\", \"price\": 10, \"note\": \"twice please\"}\n{\"price\": 3}\n");
    let answers = place.polytask(&["predict", "--model", "run", "--input", "orders/new.jsonl"]).lines();
    assert_eq!((answers.len(), &answers[0]["side"]["label"]), (2, &"right".into()));
    assert!(answers[1]["paid"]["value"].is_number());
    place.write("new.csv", "note,photo,price\nhalf please,absent.png,4\n");
    has(
        &place.polytask(&["predict", "--model", "run", "--input", "new.csv"]).refused(),
        &["new.csv:2", "absent.png"],
    );
    // Each encoder is a folder of its own.
    place.write("texts.jsonl", "{\"text\": \"twice\"}\n");
    let embed = ["embed", "--model", "run/model/towers/text", "--input", "texts.jsonl", "--output", "v.npy"];
    place.polytask(&embed).done();
}

#[test]
fn the_encoder_of_texts_stays_as_it_is_where_it_is_frozen() {
    let place = orders();
    place.write(
        "suite.toml",
        format!("{SOURCE}[model]\nencoder = \"tiny\"\nfreeze = [\"text\"]\n{TRAIN}baselines = []\n"),
    );
    let set = ["--set", "train.steps=12"];
    place.polytask(&[&["train", "suite.toml", "--out", "cached"], &set[..]].concat()).done();
    // The same weights with its vectors cached and computed in every step.
    place
        .polytask(
            &[&["train", "suite.toml", "--out", "plain", "--set", "train.cache_mb=0"], &set[..]].concat(),
        )
        .done();
    let values = |run: &str, task: usize| {
        place.json(&format!("{run}/report.json"))["tasks"][task]["joint"][0]["value"].as_f64().unwrap()
    };
    for task in 0..2 {
        assert!((values("cached", task) - values("plain", task)).abs() < 1e-3);
    }
    let weights =
        |run: &str| std::fs::read(place.path(&format!("{run}/model/towers/text/model.safetensors"))).unwrap();
    assert!(weights("cached") == weights("plain"), "frozen weights have changed");
}

#[test]
fn what_cannot_read_texts_and_images_is_told_with_its_remedy() {
    let place = orders();
    let check = |settings: &str, words: &[&str]| {
        place.write("other.toml", format!("{SOURCE}{settings}"));
        has(&place.polytask(&["check", "other.toml", "--data"]).refused(), words);
    };
    check("[model]\ntrees = \"boost\"\n", &["`images` names columns that are images", "boosted trees"]);
    check("[model]\nencoder = \"lenet\"\n", &["`lenet`, which reads images", "columns that are texts"]);
    let two = "[model]\nencoder = \"tiny\"\nimage_encoder = \"a/vit\"\nchannels = 3\n";
    check(two, &["`channels` in [model]", "`a/vit` says itself"]);
    place.write("plain.toml", SOURCE.replace("images = [\"photo\"]\n", "image_encoder = \"lenet\"\n"));
    has(&place.polytask(&["check", "plain.toml"]).refused(), &["image_encoder"]);
    place.write(
        "both.toml",
        SOURCE.replace("texts = [\"note\"]", "texts = [\"note\", \"photo\"]")
            + "[model]\nencoder = \"tiny\"\n",
    );
    has(&place.polytask(&["check", "both.toml", "--data"]).refused(), &["`photo` stands in two of"]);
    place.write(
        "unknown.toml",
        SOURCE.replace("texts = [\"note\"]", "texts = [\"notes\"]") + "[model]\nencoder = \"tiny\"\n",
    );
    has(
        &place.polytask(&["check", "unknown.toml", "--data"]).refused(),
        &["no column `notes`", "`texts`", "`note`"],
    );
    let empty = rows(0, 30).replace("photos-images-idx3-ubyte", "absent-images-idx3-ubyte");
    place.write("orders/train.csv", empty);
    check(
        "[model]\nencoder = \"tiny\"\n",
        &["absent-images-idx3-ubyte", "paths start at the table's folder"],
    );
    place.write("orders/train.csv", rows(0, 240));
    // Layers of encoders are named, and adapters and shared blocks are for encoders alone.
    place.write("frozen.toml", format!("{SOURCE}[model]\nencoder = \"tiny\"\nfreeze = [\"layer.77\"]\n"));
    let frozen = place.polytask(&["train", "frozen.toml", "--out", "no"]).refused();
    has(&frozen, &["freeze", "`layer.77`", "`image`", "`text.layer.0`"]);
    place.write("shared.toml", format!("{SOURCE}[model]\nencoder = \"tiny\"\nsharing = \"mmoe\"\n"));
    has(&place.polytask(&["train", "shared.toml", "--out", "no-shared"]).refused(), &["sharing"]);
    place.write("tuned.toml", format!("{SOURCE}[model]\nencoder = \"tiny\"\ntune = \"lora\"\n"));
    has(&place.polytask(&["train", "tuned.toml", "--out", "no-tuned"]).refused(), &["tune"]);
}
