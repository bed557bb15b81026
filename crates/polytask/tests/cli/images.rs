//! Image suites from data on disk to predictions.

use std::fmt::Write;

use crate::support::{Place, has};

/// The side of an image: the smallest that LeNet reads.
const SIDE: usize = 20;

/// An image of class `i % 2`: a bright left or right half, and a spot that makes it its own.
fn image(i: usize) -> Vec<u8> {
    let mut pixels: Vec<u8> = (0..SIDE * SIDE)
        .map(|p| if (p % SIDE < SIDE / 2) == i.is_multiple_of(2) { 220 } else { 20 })
        .collect();
    pixels[i * 7 % (SIDE * SIDE)] ^= 0x0f;
    pixels
}

fn idx(magic: u8, sizes: &[usize], bytes: &[u8]) -> Vec<u8> {
    let sizes = sizes.iter().flat_map(|&size| (size as u32).to_be_bytes());
    [0, 0, 8, magic].into_iter().chain(sizes).chain(bytes.iter().copied()).collect()
}

/// Sets in idx format: train and test.
fn write_idx(place: &Place) {
    for (stem, first, n) in [("train", 0, 60), ("t10k", 60, 20)] {
        let bytes: Vec<u8> = (first..first + n).flat_map(image).collect();
        place.write(&format!("digits/{stem}-images-idx3-ubyte"), idx(3, &[n, SIDE, SIDE], &bytes));
        let labels: Vec<u8> = (first..first + n).map(|i| (i % 2) as u8).collect();
        place.write(&format!("digits/{stem}-labels-idx1-ubyte"), idx(1, &[n], &labels));
    }
}

fn png(side: usize, pixels: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, side as u32, side as u32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header().unwrap().write_image_data(pixels).unwrap();
    out
}

const SUITE: &str = "name = \"sides\"\n[train]\nsteps = 40\nbatch_rows = 16\nlr = 3e-3\n";
const TASK: &str = "[[task]]\nname = \"side\"\nkind = \"image-class\"\ndata = \"digits\"\n";

#[test]
fn a_set_in_idx_format_trains_lenet_which_then_scores_and_predicts() {
    let place = Place::new();
    write_idx(&place);
    place.write("suite.toml", format!("{SUITE}{TASK}"));
    place.polytask(&["check", "suite.toml", "--data"]).done();
    place.polytask(&["train", "suite.toml", "--out", "run"]).done();
    let report = place.json("run/report.json");
    assert!(report["tasks"][0]["joint"][0]["value"].as_f64().unwrap_or(0.0) > 0.9, "{report}");
    assert_eq!(place.names("run/model"), ["config.json", "heads", "model.safetensors", "polytask.json"]);
    assert_eq!(place.json("run/model/config.json")["model_type"], "lenet");
    let scored = place.polytask(&["eval", "run/suite.toml", "--model", "run/model", "--json"]).object();
    assert_eq!(scored["tasks"][0]["joint"], report["tasks"][0]["joint"]);

    place.write("pictures/right.png", png(SIDE, &image(81)));
    let one = ["predict", "--model", "run/model", "--task", "side", "--image", "pictures/right.png"];
    assert_eq!(place.polytask(&one).object()["label"], "1");
    place.write("pictures/list.csv", "image\nright.png\n../digits/t10k-images-idx3-ubyte#0\n");
    let lines = ["predict", "--model", "run/model", "--task", "side", "--input", "pictures/list.csv"];
    let labels: Vec<_> = place.polytask(&lines).lines().iter().map(|line| line["label"].clone()).collect();
    assert_eq!(labels, ["1", "0"]);

    place.write("small.png", png(5, &[0; 25]));
    let small = ["predict", "--model", "run/model", "--image", "small.png"];
    has(&place.polytask(&small).refused(), &["small.png", "5 x 5", "20 x 20"]);
    let text = place.polytask(&["predict", "--model", "run/model", "--text", "hello"]).refused();
    has(&text, &["reads images", "--image"]);
    let embed =
        place.polytask_reading("{\"text\": \"a\"}\n", &["embed", "--model", "run/model", "--input", "-"]);
    has(&embed.refused(), &["reads images"]);
}

#[test]
fn a_folder_of_classes_and_a_table_of_files_give_the_same_network_the_same_images() {
    let place = Place::new();
    let mut table = String::from("image,label,value\n");
    for i in 0..40 {
        let name = format!("train/{}/{i:02}.png", ["left", "right"][i % 2]);
        place.write(&format!("classes/{name}"), png(SIDE, &image(i)));
        writeln!(table, "{name},{},{}", i % 2, i % 2).unwrap();
    }
    place.write("classes/all.csv", table);
    let task = |name: &str, kind: &str, data: &str| {
        format!(
            "[[task]]\nname = \"{name}\"\nkind = \"{kind}\"\ndata = \"{data}\"\nhead = {{ name = \"mlp\", hidden = 8 }}\n"
        )
    };
    let tasks =
        task("class", "image-class", "classes") + &task("number", "image-regression", "classes/all.csv");
    let model = "[model]\nencoder = \"resnet18\"\nwidths = [4, 4, 8, 8]\nimage_size = [10, 10]\nfreeze = [\"layer.0\"]\n";
    place.write(
        "suite.toml",
        format!("{SUITE}baselines = false\nsteps = 6\n{model}{tasks}").replace("steps = 40\n", ""),
    );
    place.polytask(&["train", "suite.toml", "--out", "run"]).done();
    let report = place.json("run/report.json");
    assert_eq!(report["tasks"].as_array().map(Vec::len), Some(2));
    // Every image once, though two sources name it.
    assert_eq!(report["data"]["texts"], 40);
    let shown =
        place.polytask(&["predict", "--model", "run/model", "--image", "classes/train/left/00.png"]).object();
    assert!(shown["class"]["label"].is_string() && shown["number"]["value"].is_f64(), "{shown}");
    let again = place.polytask(&["train", "suite.toml", "--out", "again"]);
    again.done();
    assert_eq!(
        std::fs::read(place.path("run/model/model.safetensors")).unwrap(),
        std::fs::read(place.path("again/model/model.safetensors")).unwrap()
    );
}

#[test]
fn texts_beside_images_and_encoders_of_the_other_kind_are_refused_with_their_line() {
    let place = Place::new();
    write_idx(&place);
    place.write("texts.csv", "text,label\na,b\nc,d\n");
    let text = "[[task]]\nname = \"topic\"\nkind = \"class\"\ndata = \"texts.csv\"\n";
    let refused = |suite: String| {
        place.write("suite.toml", suite);
        place.polytask(&["check", "suite.toml"]).refused()
    };
    let mixed = refused(format!("{TASK}{text}"));
    has(&mixed, &["suite.toml:7", "reads texts", "reads images", "suite of its own"]);
    has(&refused(format!("[model]\nencoder = \"lenet\"\n{text}")), &["image network `lenet`"]);
    has(&refused(format!("[model]\nencoder = \"tiny\"\n{TASK}")), &["reads texts", "resnet18"]);
    has(&refused(format!("[model]\npooling = \"flatten\"\n{text}")), &["flatten"]);
    has(&refused(format!("[model]\nchannels = 2\n{TASK}")), &["neither 1 nor 3"]);
    has(&refused(format!("{text}head = \"deep\"\n")), &["unknown head `deep`", "mlp"]);
}

#[test]
fn damaged_and_odd_images_end_a_run_before_it_starts() {
    let place = Place::new();
    write_idx(&place);
    place.write("suite.toml", format!("{SUITE}{TASK}"));
    let refused = || place.polytask(&["train", "suite.toml", "--out", "run"]).refused();
    place.write("digits/train-labels-idx1-ubyte", idx(1, &[59], &[0; 59]));
    has(&refused(), &["59 labels", "60"]);
    place.write("digits/train-images-idx3-ubyte", idx(3, &[60, SIDE, SIDE], &[0; 99]));
    has(&refused(), &["train-images-idx3-ubyte", "the file has 99"]);
    place.write("odd/all.csv", "image,label\na.png,0\nb.png,1\nc.png,1\n");
    place.write("odd/a.png", png(SIDE, &image(0)));
    place.write("odd/b.png", png(5, &[0; 25]));
    place.write("suite.toml", format!("{SUITE}{}", TASK.replace("\"digits\"", "\"odd/all.csv\"")));
    has(&refused(), &["b.png", "5 x 5", "image_size", "c.png"]);
    assert!(!place.path("run/report.json").exists());
}

#[test]
fn a_step_of_an_image_network_has_its_figures() {
    let place = Place::new();
    let args =
        ["bench", "conv-step", "--net", "lenet", "--batch", "2", "--side", "20", "--runs", "2", "--json"];
    let figures = place.polytask(&args).object();
    assert_eq!((&figures["net"], &figures["side"]), (&"lenet".into(), &20.into()));
    assert!(figures["median_ms"].as_f64().unwrap() > 0.0, "{figures}");
    let small = ["bench", "conv-step", "--net", "lenet", "--side", "5"];
    has(&place.polytask(&small).refused(), &["too small"]);
}

#[test]
fn a_first_suite_is_made_of_a_folder_of_idx_files() {
    let place = Place::new();
    write_idx(&place);
    let suite = place.polytask(&["init", "--data", "digits"]).done();
    has(&suite, &["kind = \"image-class\""]);
}
