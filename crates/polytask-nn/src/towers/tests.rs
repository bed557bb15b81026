//! Networks of towers: states made of their parts, gradients by finite differences, tasks apart and together, caches, folders.

use polytask_core::image::ImageSize;
use polytask_core::input::table::{ColumnForm, MISSING, TableColumn, TableSpec, category_symbol};
use polytask_core::{PackedBatch, Purpose, Rng};

use super::*;
use crate::encoder::Encoder;
use crate::trunk::{ImageConfig, NetConfig, sinks};

const SIZE: ImageSize = ImageSize { channels: 1, height: 3, width: 4 };

fn table() -> TableSpec {
    let names = ["a", "b"].map(str::to_owned).to_vec();
    let forms = [
        ColumnForm::Number { mean: 1.0, std: 2.0, has_missing: true },
        ColumnForm::Category { names },
        ColumnForm::Text,
        ColumnForm::Text,
        ColumnForm::Image,
    ];
    let columns = forms.into_iter().enumerate();
    let columns = columns.map(|(i, form)| TableColumn { name: format!("c{i}"), form }).collect();
    TableSpec { columns, missing: vec![], image: Some(SIZE) }
}

fn image() -> Encoder {
    let mut config = ImageConfig::new("mlp", SIZE);
    config.widths = vec![6, 5];
    Encoder::net(NetConfig::Image(config), 3).unwrap()
}

fn encoder() -> Encoder {
    let config = TowersConfig::new(&table(), Some(&[9, 7]));
    let mut encoder =
        Encoder::towers(config, (Some(Encoder::tiny(50, 1).unwrap()), Some(image())), 4).unwrap();
    // Weights large enough that differences of f32 show.
    let mut rng = Rng::new(5, Purpose::Bench, &[]);
    for block in &mut encoder.params.blocks {
        block.values.iter_mut().for_each(|value| *value += 0.05 * rng.normal() as f32);
    }
    encoder
}

/// A cell of so many symbols.
fn cell(symbols: &[u32]) -> Vec<u32> {
    [&[symbols.len() as u32], symbols].concat()
}

/// Rows with all cells, and rows that lack some.
fn rows() -> PackedBatch {
    let pixels: Vec<u32> = (0..12).map(|i| i * 20).collect();
    let turned: Vec<u32> = pixels.iter().rev().copied().collect();
    let row = |number: u32, name: &str, cells: [&[u32]; 3]| {
        let plain = vec![number, category_symbol(name)];
        [plain, cell(cells[0]), cell(cells[1]), cell(cells[2])].concat()
    };
    PackedBatch::pack([
        row(2.5_f32.to_bits(), "a", [&[7, 3, 9], &[4], &pixels]),
        row(MISSING, "b", [&[], &[8, 8, 2, 5], &turned]),
        row(0.5_f32.to_bits(), "other", [&[6, 1], &[], &[]]),
        row(3.0_f32.to_bits(), "a", [&[], &[], &[]]),
    ])
}

fn training(lowest: usize) -> Mode {
    Mode { save: true, train: true, lowest, ..Mode::EVAL }
}

fn cotangent(encoder: &Encoder, (task, sequences): (usize, &[u32]), lowest: usize) -> Cotangent {
    let mut rng = Rng::new(6, Purpose::Bench, &[task as u64]);
    let n = sequences.len() * encoder.trunk.d_hidden();
    let values: Vec<f32> = (0..n).map(|_| rng.normal() as f32).collect();
    Cotangent { task, sequences: sequences.to_vec(), values: values.into(), lowest }
}

/// The gradients of some tasks, task by task.
fn gradients(encoder: &Encoder, mode: Mode, cotangents: &[Cotangent]) -> Vec<f32> {
    let (trunk, params) = (&encoder.trunk, &encoder.params);
    let (_, saved) = trunk.forward(params, &rows(), mode).unwrap();
    jacobian(encoder, &saved, cotangents)
}

fn jacobian(encoder: &Encoder, saved: &SavedForward, cotangents: &[Cotangent]) -> Vec<f32> {
    let mut sink = sinks::RowsSink::new(&encoder.params, 3, 0);
    encoder.trunk.vjp(&encoder.params, saved, cotangents, &mut sink).unwrap();
    sink.values().to_vec()
}

fn close(a: &[f32], b: &[f32]) {
    assert_eq!(a.len(), b.len());
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() <= 1e-5 * a.abs().max(1.0), "{i}: {a} {b}");
    }
}

#[test]
fn a_state_is_what_stands_in_the_row_and_what_follows_from_it() {
    let encoder = encoder();
    let (states, _) = encoder.trunk.forward(&encoder.params, &rows(), Mode::EVAL).unwrap();
    let d_text = Encoder::tiny(50, 1).unwrap().d_embedding();
    assert_eq!(states.width, 4 + 2 * d_text + 5 + 7);
    let text = {
        let mut tiny = Encoder::tiny(50, 1).unwrap();
        tiny.normalize = false;
        for (own, block) in tiny.params.blocks.iter_mut().zip(&encoder.params.blocks) {
            own.values.clone_from(&block.values);
        }
        tiny
    };
    let vectors = text.embed(&PackedBatch::pack([&[7, 3, 9][..], &[4]])).unwrap();
    let first = states.row(0);
    assert_eq!(first[..4], [0.75, 0.0, 1.0, 0.0]);
    close(&first[4..4 + d_text], vectors.row(0));
    close(&first[4 + d_text..4 + 2 * d_text], vectors.row(1));
    // Missing cells are zeros, and the layers above still say something.
    assert!(states.row(3)[4..4 + 2 * d_text + 5].iter().all(|value| *value == 0.0));
    assert!(states.row(3)[4 + 2 * d_text + 5..].iter().any(|value| *value > 0.0));
}

#[test]
fn laid_out_weights_give_the_same_states() {
    let encoder = encoder();
    let (states, _) = encoder.trunk.forward(&encoder.params, &rows(), Mode::EVAL).unwrap();
    let laid_out = encoder.trunk.lay_out(&encoder.params).unwrap();
    close(&encoder.trunk.infer(&encoder.params, &laid_out, &rows()).unwrap().values, &states.values);
}

#[test]
fn gradients_of_every_block_equal_finite_differences() {
    let mut encoder = encoder();
    let cotangent = cotangent(&encoder, (0, &[0, 1, 2, 3]), 0);
    let all = gradients(&encoder, training(0), std::slice::from_ref(&cotangent));
    let mut start = 0;
    for block in 0..encoder.params.blocks.len() {
        let n = encoder.params.blocks[block].values.len();
        let gradient = all[start..start + n].to_vec();
        start += n;
        let square: f64 = gradient.iter().map(|g| f64::from(*g).powi(2)).sum();
        assert!(square > 0.0, "{} has no gradient", encoder.params.blocks[block].name);
        let step = 2e-3 / square.sqrt();
        let mut value = |factor: f64| {
            let values = &mut encoder.params.blocks[block].values;
            let before = values.clone();
            values.iter_mut().zip(&gradient).for_each(|(v, g)| *v += (factor * step) as f32 * g);
            let (states, _) = encoder.trunk.forward(&encoder.params, &rows(), Mode::EVAL).unwrap();
            encoder.params.blocks[block].values = before;
            states
                .values
                .iter()
                .zip(&*cotangent.values)
                .map(|(a, b)| f64::from(*a) * f64::from(*b))
                .sum::<f64>()
        };
        let slope = (value(1.0) - value(-1.0)) / (2.0 * step);
        let name = &encoder.params.blocks[block].name;
        assert!((slope / square - 1.0).abs() < 0.02, "{name}: {slope} {square}");
    }
}

#[test]
fn tasks_together_get_the_gradients_they_get_alone() {
    let encoder = encoder();
    let blocks = encoder.params.blocks.len();
    let asked: [(usize, &[u32], usize); 3] =
        [(0, &[0, 2], 0), (1, &[1, 3], 2), (2, &[0, 1, 2, 3], blocks - 1)];
    let cotangents: Vec<Cotangent> =
        asked.iter().map(|&(task, rows, lowest)| cotangent(&encoder, (task, rows), lowest)).collect();
    let together = gradients(&encoder, training(0), &cotangents);
    let n = together.len() / 3;
    for (task, cotangent) in cotangents.iter().enumerate() {
        let alone = gradients(&encoder, training(0), std::slice::from_ref(cotangent));
        close(&together[task * n..(task + 1) * n], &alone[task * n..(task + 1) * n]);
    }
    // The last task reaches the topmost layer alone.
    let top = encoder.params.blocks[blocks - 1].values.len();
    assert!(together[2 * n..3 * n - top].iter().all(|g| *g == 0.0));
}

#[test]
fn cached_states_of_frozen_blocks_go_on_to_the_same_states_and_gradients() {
    let encoder = encoder();
    let (trunk, params) = (&encoder.trunk, &encoder.params);
    let n_text = params.blocks.iter().filter(|block| block.name.starts_with("text.")).count();
    for lowest in [1, n_text, n_text + 1, params.blocks.len() - 1] {
        let below = trunk.forward_below(params, &rows(), lowest).unwrap();
        let (layout, width) = trunk.layout_below(&rows(), lowest);
        assert_eq!(below.values.len(), layout.n_rows() * width);
        let mode = training(lowest);
        let (states, saved) = trunk.forward_from(params, &rows(), &below, mode).unwrap();
        let (whole, kept) = trunk.forward(params, &rows(), mode).unwrap();
        close(&states.values, &whole.values);
        let cotangents = [cotangent(&encoder, (1, &[0, 1, 2]), lowest)];
        close(&jacobian(&encoder, &saved, &cotangents), &jacobian(&encoder, &kept, &cotangents));
    }
}

#[test]
fn a_written_model_is_read_again_with_each_tower_as_a_folder_of_its_own() {
    let (encoder, folder) = (encoder(), tempfile::tempdir().unwrap());
    let mut params = encoder.params.clone();
    params.blocks.iter_mut().for_each(|block| block.values.iter_mut().for_each(|value| *value *= 1.5));
    encoder.save(&params, folder.path(), &[]).unwrap();
    let again = Encoder::load(folder.path()).unwrap();
    assert!(again.params == params, "weights differ");
    let config = |encoder: &Encoder| match &encoder.network {
        crate::Network::Towers(net) => net.config.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(config(&again), config(&encoder));
    let text = Encoder::load(&crate::folder::tower_folder(folder.path(), "text")).unwrap();
    assert_eq!(text.params.blocks[0].values, params.blocks[0].values);
    assert_eq!(text.params.blocks[0].name, "words");
}

#[test]
fn in_pieces_the_same_blocks_are_new() {
    let encoder = encoder();
    let pieces = crate::trunk::InPieces::new(encoder.trunk.clone(), 8).unwrap();
    let new =
        |trunk: &dyn Trunk| (0..trunk.n_blocks()).map(|block| trunk.is_fresh(block)).collect::<Vec<_>>();
    assert_eq!(new(&pieces), new(&*encoder.trunk));
    assert!(new(&pieces).contains(&true) && new(&pieces).contains(&false));
}

#[test]
fn an_encoder_without_columns_is_no_part_of_the_model() {
    let mut table = table();
    table.columns.truncate(3);
    let both = (Some(Encoder::tiny(50, 1).unwrap()), Some(image()));
    let encoder = Encoder::towers(TowersConfig::new(&table, None), both, 0).unwrap();
    let folder = tempfile::tempdir().unwrap();
    encoder.save(&encoder.params, folder.path(), &[]).unwrap();
    assert!(!crate::folder::tower_folder(folder.path(), "image").exists());
    assert!(Encoder::load(folder.path()).unwrap().params == encoder.params);
}

#[test]
fn broken_rows_and_towers_that_do_not_fit_are_refused() {
    let encoder = encoder();
    let short = PackedBatch::pack([vec![1, 2, 3, 4]]);
    assert!(encoder.trunk.forward(&encoder.params, &short, Mode::EVAL).is_err());
    let config = || TowersConfig::new(&table(), None);
    let lacking = Encoder::towers(config(), (None, Some(image())), 0).unwrap_err().to_string();
    assert!(lacking.contains("columns of texts, but no encoder of texts"), "{lacking}");
    let other = ImageSize { height: 5, ..SIZE };
    let resized = TableSpec { image: Some(other), ..table() };
    let both = (Some(Encoder::tiny(50, 1).unwrap()), Some(image()));
    let told = Encoder::towers(TowersConfig::new(&resized, None), both, 0).unwrap_err().to_string();
    assert!(told.contains("images of 5 x 4 pixels"), "{told}");
    let mut flat = Encoder::tiny(50, 1).unwrap();
    flat.pooling = "flatten".parse().unwrap();
    assert!(
        Encoder::towers(config(), (Some(flat), Some(image())), 0)
            .unwrap_err()
            .to_string()
            .contains("flatten")
    );
    let mut wrong = config();
    wrong.widths = vec![0];
    assert!(Encoder::towers(wrong, (None, None), 0).unwrap_err().to_string().contains("widths [0]"));
}

#[test]
fn a_tower_is_frozen_by_its_name_and_by_its_layers() {
    let encoder = encoder();
    let frozen = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let flags = encoder.frozen(&names).unwrap();
        let blocks = encoder.params.blocks.iter().zip(flags).filter(|(_, is_frozen)| *is_frozen);
        blocks.map(|(block, _)| block.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(frozen(&["image"]), ["image.layer.0", "image.layer.1"]);
    assert_eq!(frozen(&["text.layer.0-1"]), ["text.layer.0", "text.layer.1"]);
    assert_eq!(frozen(&["text"]), ["text.words", "text.embeddings", "text.layer.0", "text.layer.1"]);
    assert!(encoder.frozen(&["sound".to_owned()]).is_err());
}
