//! The networks against their formulas in f64: values node by node, gradients by finite differences.

use polytask_core::image::ImageSize;
use polytask_core::input::table::{ColumnForm, MISSING, TableColumn, TableSpec, category_symbol};
use polytask_core::{PackedBatch, Purpose, Rng};

use super::graph::{Graph, Op, Shape};
use super::*;
use crate::trunk::{Blocks, sinks};

/// A network as its formulas say, pixel by pixel in f64: no patches, no products, no tiles.
struct Plain<'a> {
    graph: &'a Graph,
    params: &'a Params<f64>,
    mode: Mode,
}

impl Plain<'_> {
    /// The states of a batch.
    fn states(&self, pixels: &[f64], n: usize) -> Vec<f64> {
        let mut values = vec![pixels.to_vec()];
        for node in &self.graph.nodes {
            let out = self.node(node, &values, n);
            values.push(out);
        }
        values.pop().unwrap()
    }

    fn node(&self, node: &Node, values: &[Vec<f64>], n: usize) -> Vec<f64> {
        let x = &values[node.input];
        let block = &self.params.blocks[node.block];
        let tensor = |i: usize| block.tensor(node.tensor + i);
        let mut y = match node.op {
            Op::Conv { window, bias } => {
                let at = |s: usize, y: usize, x0: usize, o: usize| -> f64 {
                    let mut sum = if bias { tensor(1)[o] } else { 0.0 };
                    for ky in 0..window.height {
                        for kx in 0..window.width {
                            for c in 0..node.from.channels {
                                let (py, px) = (y * window.stride + ky, x0 * window.stride + kx);
                                let weight =
                                    ((o * window.height + ky) * window.width + kx) * node.from.channels + c;
                                sum +=
                                    tensor(0)[weight] * pixel(x, node.from, s, (py, px), window.padding, c);
                            }
                        }
                    }
                    sum
                };
                each(node.out, n, at)
            }
            Op::MaxPool => each(node.out, n, |s, y, x0, c| {
                let at = |ky: usize, kx: usize| pixel(x, node.from, s, (2 * y + ky, 2 * x0 + kx), 0, c);
                at(0, 0).max(at(0, 1)).max(at(1, 0)).max(at(1, 1))
            }),
            Op::LayerNorm => {
                let c = node.out.channels;
                let standardise = |row: &[f64]| {
                    let (mean, variance) = moments(row.iter().copied());
                    row.iter().map(|v| (v - mean) / (variance + 1e-5).sqrt()).collect::<Vec<_>>()
                };
                let hat: Vec<f64> = x.chunks(c).flat_map(standardise).collect();
                hat.iter().enumerate().map(|(i, h)| h * tensor(0)[i % c] + tensor(1)[i % c]).collect()
            }
            Op::BatchNorm { plus } => {
                let c = node.out.channels;
                let of = |channel: usize| {
                    let is_frozen = node.block < self.mode.lowest || self.mode.still.contains(node.block);
                    if self.mode.train && !is_frozen {
                        moments(x.iter().copied().skip(channel).step_by(c))
                    } else {
                        (tensor(2)[channel], tensor(3)[channel])
                    }
                };
                let all: Vec<(f64, f64)> = (0..c).map(of).collect();
                let norm = |(i, v): (usize, &f64)| {
                    let (mean, variance) = all[i % c];
                    let plus = plus.map_or(0.0, |value| values[value][i]);
                    (v - mean) / (variance + 1e-5).sqrt() * tensor(0)[i % c] + tensor(1)[i % c] + plus
                };
                x.iter().enumerate().map(norm).collect()
            }
        };
        if node.relu {
            y.iter_mut().for_each(|v| *v = v.max(0.0));
        }
        y
    }
}

fn each(out: Shape, n: usize, at: impl Fn(usize, usize, usize, usize) -> f64) -> Vec<f64> {
    let mut values = Vec::new();
    for s in 0..n {
        for y in 0..out.height {
            for x in 0..out.width {
                values.extend((0..out.channels).map(|c| at(s, y, x, c)));
            }
        }
    }
    values
}

/// A pixel, counted from the padding; 0 there.
fn pixel(values: &[f64], shape: Shape, s: usize, (y, x): (usize, usize), padding: usize, c: usize) -> f64 {
    let inside = |i: usize, size: usize| i.checked_sub(padding).filter(|&i| i < size);
    match (inside(y, shape.height), inside(x, shape.width)) {
        (Some(y), Some(x)) => values[((s * shape.height + y) * shape.width + x) * shape.channels + c],
        _ => 0.0,
    }
}

fn moments(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let n = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / n;
    (mean, values.map(|v| (v - mean).powi(2)).sum::<f64>() / n)
}

/// A network with random parameters, biases and statistics included.
struct Case {
    trunk: NetTrunk,
    params: Params,
    batch: PackedBatch,
}

impl Case {
    fn new(net: &str, (channels, height, width): (usize, usize, usize), widths: &[usize], n: usize) -> Self {
        let size = ImageSize { channels, height, width };
        let mut config = ImageConfig::new(net, size);
        config.widths = widths.to_vec();
        (config.mean, config.std) = (vec![0.4; channels], vec![0.3; channels]);
        Self::with(NetConfig::Image(config), n, |rng, _| rng.below(256) as u32)
    }

    /// Rows of a number that is missing now and then, three categories and another number.
    fn table(widths: &[usize], n: usize) -> Self {
        let number = |has_missing| ColumnForm::Number { mean: 1.0, std: 2.0, has_missing };
        let names = ["a", "b", "c"].map(str::to_owned).to_vec();
        let forms = [number(true), ColumnForm::Category { names }, number(false)];
        let columns = forms.into_iter().map(|form| TableColumn { name: "c".into(), form }).collect();
        let mut config = TableConfig::new("table-mlp", &TableSpec { columns, ..TableSpec::default() });
        config.widths = widths.to_vec();
        Self::with(NetConfig::Table(config), n, |rng, column| match (column, rng.below(4)) {
            (1, category) => category_symbol(["a", "b", "c", "other"][category]),
            (0, 0) => MISSING,
            _ => (rng.normal() as f32).to_bits(),
        })
    }

    fn with(config: NetConfig, n: usize, mut symbol: impl FnMut(&mut Rng, usize) -> u32) -> Self {
        let n_symbols = config.n_symbols();
        let trunk = NetTrunk::new(config).unwrap();
        let mut params = trunk.init(5);
        let mut rng = Rng::new(7, Purpose::Bench, &[]);
        for block in &mut params.blocks {
            for spec in block.tensors.clone().iter().filter(|spec| spec.shape.len() == 1) {
                let values = &mut block.values[spec.range()];
                values.iter_mut().for_each(|v| *v += 0.2 * rng.uniform() as f32);
            }
        }
        let mut input = || (0..n_symbols).map(|i| symbol(&mut rng, i)).collect::<Vec<_>>();
        let batch = PackedBatch::pack((0..n).map(|_| input()));
        Self { trunk, params, batch }
    }

    fn all() -> Vec<Self> {
        vec![
            Self::new("lenet", (1, 24, 21), &[3, 4, 5], 3),
            Self::new("lenet-maps", (3, 20, 26), &[2, 5], 2),
            Self::new("mlp", (1, 5, 3), &[7, 6], 4),
            Self::new("convnet", (3, 9, 7), &[4, 33], 2),
            Self::new("resnet18", (1, 9, 6), &[3, 4, 5, 6], 3),
            // One image, one pixel; channels enough for panels.
            Self::new("mlp", (1, 1, 1), &[40], 1),
            Self::new("resnet18", (3, 8, 8), &[33, 34, 35, 36], 1),
            Self::table(&[7, 5], 6),
        ]
    }

    fn pixels(&self) -> Vec<f64> {
        self.trunk.values(&self.batch, 0..self.batch.n_sequences()).iter().map(|&v| f64::from(v)).collect()
    }

    fn plain(&self, params: &Params<f64>, mode: Mode) -> Vec<f64> {
        let plain = Plain { graph: &self.trunk.graph, params, mode };
        plain.states(&self.pixels(), self.batch.n_sequences())
    }

    fn name(&self) -> String {
        format!("{} of {}", self.trunk.config.name(), self.trunk.config.describe())
    }

    /// Cotangents of two tasks: one on the first image, one on all.
    fn cotangents(&self, lowest: [usize; 2]) -> Vec<Cotangent> {
        let size = self.trunk.graph.states().len();
        let mut rng = Rng::new(9, Purpose::Bench, &[]);
        let mut cotangent = |task: usize, sequences: Vec<u32>, lowest| {
            let values: Vec<f32> = (0..sequences.len() * size).map(|_| rng.normal() as f32).collect();
            Cotangent { task, sequences, values: values.into(), lowest }
        };
        let n = self.batch.n_sequences() as u32;
        vec![cotangent(0, vec![n - 1], lowest[0]), cotangent(1, (0..n).collect(), lowest[1])]
    }
}

const TRAIN: Mode = Mode { save: true, train: true, ..Mode::EVAL };

/// A pass of training in which one block is frozen, others below it are not.
fn still(block: usize) -> Mode {
    let trainable: Vec<bool> = (0..9).map(|b| b != block).collect();
    Mode { still: Blocks::frozen(&trainable), ..TRAIN }
}

#[test]
fn states_are_those_of_the_formulas() {
    for case in Case::all() {
        for mode in [TRAIN, Mode::EVAL, Mode { lowest: 1, ..TRAIN }, still(2)] {
            let expected = case.plain(&case.params.cast(), mode);
            let (states, _) = case.trunk.forward(&case.params, &case.batch, mode).unwrap();
            assert_eq!(states.values.len(), expected.len());
            assert_eq!(states.n_rows(), case.trunk.layout(&case.batch).n_rows());
            let scale = expected.iter().fold(1.0_f64, |m, v| m.max(v.abs()));
            for (found, expected) in states.values.iter().zip(&expected) {
                let error = (f64::from(*found) - expected).abs();
                assert!(error < 2e-4 * scale, "{} {mode:?}: {found} {expected}", case.name());
            }
        }
    }
}

/// Σ cotangent · states of one task.
fn objective(case: &Case, params: &Params<f64>, cotangent: &Cotangent, mode: Mode) -> f64 {
    let states = case.plain(params, mode);
    let size = case.trunk.graph.states().len();
    let of = |(i, &s): (usize, &u32)| -> f64 {
        let states = &states[s as usize * size..][..size];
        states.iter().zip(&cotangent.values[i * size..]).map(|(a, b)| a * f64::from(*b)).sum()
    };
    cotangent.sequences.iter().enumerate().map(of).sum()
}

#[test]
fn gradients_are_the_slopes_of_the_formulas() {
    let frozen = Case::new("resnet18", (1, 9, 6), &[3, 4, 5, 6], 3);
    let cases = Case::all().into_iter().map(|case| (case, TRAIN)).chain([(frozen, still(2))]);
    for (case, mode) in cases {
        let saved = case.trunk.forward(&case.params, &case.batch, mode).unwrap().1;
        let cotangents = case.cotangents([0, 0]);
        let mut rows = sinks::RowsSink::new(&case.params, 2, 0);
        case.trunk.vjp(&case.params, &saved, &cotangents, &mut rows).unwrap();
        let mut rng = Rng::new(11, Purpose::Bench, &[]);
        let mut params = case.params.cast::<f64>();
        for (task, cotangent) in cotangents.iter().enumerate() {
            for block in 0..params.blocks.len() {
                let gradient = &rows.row(task)[rows.range(block).unwrap()];
                let scale = gradient.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
                assert!(scale > 0.0 || case.batch.n_sequences() == 1, "{}: block {block}", case.name());
                let n = params.blocks[block].values.len();
                // A running statistic in use has a slope; it is no parameter.
                let is_running = |i: &usize| {
                    let mut running = case.params.blocks[block].tensors.iter();
                    running.any(|spec| spec.name.contains(".running_") && spec.range().contains(i))
                };
                for i in (0..6).map(|_| rng.below(n)).filter(|i| !is_running(i)) {
                    // Steps so small that hardly a ReLU or a maximum flips on the way.
                    let h = 1e-6;
                    let old = params.blocks[block].values[i];
                    let mut at = |value: f64| {
                        params.blocks[block].values[i] = value;
                        objective(&case, &params, cotangent, mode)
                    };
                    let slope = (at(old + h) - at(old - h)) / (2.0 * h);
                    at(old);
                    let found = f64::from(gradient[i]);
                    let bound = 2e-3 * f64::from(scale).max(1e-2);
                    assert!(
                        (found - slope).abs() < bound,
                        "{}: block {block} value {i}: {found} {slope}",
                        case.name()
                    );
                }
            }
        }
    }
}

#[test]
fn a_sweep_of_two_tasks_gives_what_two_sweeps_give_and_stops_where_each_says() {
    for case in Case::all() {
        let top = case.trunk.n_blocks() - 1;
        let saved = case.trunk.forward(&case.params, &case.batch, TRAIN).unwrap().1;
        let cotangents = case.cotangents([top, 0]);
        let sweep = |cotangents: &[Cotangent]| {
            let mut rows = sinks::RowsSink::new(&case.params, 2, 0);
            case.trunk.vjp(&case.params, &saved, cotangents, &mut rows).unwrap();
            [rows.row(0).to_vec(), rows.row(1).to_vec()]
        };
        let together = sweep(&cotangents);
        let alone = [sweep(&cotangents[..1]), sweep(&cotangents[1..])];
        for task in 0..2 {
            let scale = alone[task][task].iter().fold(1e-3_f32, |m, v| m.max(v.abs()));
            for (a, b) in together[task].iter().zip(&alone[task][task]) {
                assert!((a - b).abs() <= 1e-5 * scale, "{} task {task}: {a} {b}", case.name());
            }
        }
        let first: usize = case.params.blocks[..top].iter().map(|block| block.values.len()).sum();
        assert!(together[0][..first].iter().all(|&g| g == 0.0), "{}", case.name());
    }
}

#[test]
fn more_tasks_than_go_down_whole_get_what_each_gets_alone() {
    // Square maps and one that is not, below and above; more images in all than a share has.
    for widths in [vec![40, 40, 20], vec![20, 33, 33]] {
        let case = Case::new("mlp", (1, 5, 4), &widths, 60);
        let saved = case.trunk.forward(&case.params, &case.batch, TRAIN).unwrap().1;
        let size = case.trunk.graph.states().len();
        let mut rng = Rng::new(13, Purpose::Bench, &[]);
        let cotangent = |task: usize| {
            let sequences: Vec<u32> = (0..60).filter(|s| !task.is_multiple_of(3) || s % 2 == 0).collect();
            let values: Vec<f32> = (0..sequences.len() * size).map(|_| rng.normal() as f32).collect();
            Cotangent { task, sequences, values: values.into(), lowest: usize::from(task == 4) }
        };
        let cotangents: Vec<Cotangent> = (0..12).map(cotangent).collect();
        let sweep = |cotangents: &[Cotangent]| {
            let mut rows = sinks::RowsSink::new(&case.params, 12, 0);
            case.trunk.vjp(&case.params, &saved, cotangents, &mut rows).unwrap();
            rows
        };
        let together = sweep(&cotangents);
        for (task, own) in cotangents.iter().enumerate() {
            let alone = sweep(std::slice::from_ref(own));
            let scale = alone.row(task).iter().fold(0.0_f32, |m, v| m.max(v.abs()));
            assert!(scale > 0.0 && alone.row(task).len() == together.row(task).len());
            for (a, b) in together.row(task).iter().zip(alone.row(task)) {
                assert!((a - b).abs() <= 1e-5 * scale, "task {task}: {a} {b}");
            }
        }
    }
}

#[test]
fn states_of_frozen_blocks_are_a_place_to_start_from() {
    for case in Case::all().into_iter().filter(|case| case.trunk.n_blocks() > 1) {
        let mode = Mode { lowest: 1, ..TRAIN };
        let below = case.trunk.forward_below(&case.params, &case.batch, 1).unwrap();
        let (layout, width) = case.trunk.layout_below(&case.batch, 1);
        assert_eq!((below.width, below.n_rows()), (width, layout.n_rows()));
        let (whole, saved) = case.trunk.forward(&case.params, &case.batch, mode).unwrap();
        let (from, saved_from) = case.trunk.forward_from(&case.params, &case.batch, &below, mode).unwrap();
        assert_eq!(whole, from, "{}", case.name());
        let gradient = |saved: &SavedForward| {
            let mut sum = sinks::Sum::new(&case.params, &[1.0, 1.0]);
            case.trunk.vjp(&case.params, saved, &case.cotangents([0, 0]), &mut sum).unwrap();
            assert!(sum.gradient(0).is_none());
            sum.gradient(case.trunk.n_blocks() - 1).unwrap().to_vec()
        };
        assert_eq!(gradient(&saved), gradient(&saved_from));
    }
}

#[test]
fn running_statistics_follow_the_batch_when_told_and_only_then() {
    let case = Case::new("resnet18", (1, 9, 6), &[3, 4, 5, 6], 3);
    let (mut params, before) = (case.params.clone(), case.params.clone());
    let (_, saved) = case.trunk.forward(&params, &case.batch, TRAIN).unwrap();
    assert_eq!(params, before);
    case.trunk.update_statistics(&mut params, &saved);
    // The stem's norm stands on its convolution.
    let graph = &case.trunk.graph;
    let plain = Plain { graph, params: &case.params.cast(), mode: TRAIN };
    let x = plain.node(&graph.nodes[0], &[case.pixels()], 3);
    let (mean, variance) = moments(x.iter().copied().step_by(3));
    let n = (x.len() / 3) as f64;
    let (old, new) = (&before.blocks[0], &params.blocks[0]);
    let expected = |old: f32, new: f64| 0.9 * f64::from(old) + 0.1 * new;
    assert!((f64::from(new.tensor(3)[0]) - expected(old.tensor(3)[0], mean)).abs() < 1e-5);
    let unbiased = variance * n / (n - 1.0);
    assert!((f64::from(new.tensor(4)[0]) - expected(old.tensor(4)[0], unbiased)).abs() < 1e-5);
    assert_eq!(new.tensor(0), old.tensor(0));
    let (_, saved) = case.trunk.forward(&params, &case.batch, Mode { save: true, ..Mode::EVAL }).unwrap();
    let again = params.clone();
    case.trunk.update_statistics(&mut params, &saved);
    assert_eq!(params, again);
}

#[test]
fn frozen_blocks_keep_their_statistics_also_above_trained_ones() {
    let case = Case::new("resnet18", (1, 9, 6), &[3, 4, 5, 6], 3);
    let mut params = case.params.clone();
    let (_, saved) = case.trunk.forward(&params, &case.batch, still(2)).unwrap();
    case.trunk.update_statistics(&mut params, &saved);
    for (i, (old, new)) in case.params.blocks.iter().zip(&params.blocks).enumerate() {
        assert_eq!(old.values == new.values, i == 2, "{}", old.name);
    }
}

#[test]
fn networks_with_batch_norms_have_no_more_blocks_than_a_pass_can_tell_frozen() {
    for case in Case::all() {
        assert!(!case.trunk.is_coupled() || case.trunk.n_blocks() <= Blocks::MOST, "{}", case.name());
        assert_eq!(case.trunk.is_coupled(), case.trunk.config.name() == "resnet18");
        assert!(!case.trunk.can_be_cut(), "{}", case.name());
    }
    let last = Blocks::frozen(&[vec![true; Blocks::MOST - 1], vec![false; 2]].concat());
    assert!(last.contains(Blocks::MOST - 1) && !last.contains(Blocks::MOST) && !last.contains(0));
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let cases = [
        Case::new("lenet", (1, 24, 21), &[3, 4, 5], 30),
        Case::new("resnet18", (1, 9, 6), &[3, 4, 5, 33], 20),
    ];
    for case in cases {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let (states, saved) = case.trunk.forward(&case.params, &case.batch, TRAIN).unwrap();
                let mut rows = sinks::RowsSink::new(&case.params, 2, 0);
                case.trunk.vjp(&case.params, &saved, &case.cotangents([0, 0]), &mut rows).unwrap();
                (states, rows.row(0).to_vec(), rows.row(1).to_vec())
            })
        };
        assert!(run(1) == run(3), "{}", case.name());
    }
}

#[test]
fn images_of_another_size_and_networks_that_do_not_fit_are_refused() {
    let case = Case::new("mlp", (1, 5, 3), &[7], 1);
    let batch = PackedBatch::pack([vec![0_u32; 14]]);
    let error = case.trunk.forward(&case.params, &batch, Mode::EVAL).unwrap_err().to_string();
    assert!(error.contains("14 symbols") && error.contains("5 x 3 pixels"), "{error}");
    let batch = PackedBatch::pack([vec![256_u32; 15]]);
    assert!(
        case.trunk.forward(&case.params, &batch, Mode::EVAL).unwrap_err().to_string().contains("symbol 256")
    );
    let small = ImageSize { channels: 1, height: 10, width: 10 };
    let error = NetConfig::Image(ImageConfig::new("lenet", small)).checked().unwrap_err().to_string();
    assert!(error.contains("too small") && error.contains("`mlp`"), "{error}");
    // Weights that no memory holds are refused before it is taken.
    let config = ImageConfig { widths: vec![16_384; 64], ..ImageConfig::new("mlp", small) };
    assert!(NetConfig::Image(config).checked().unwrap_err().to_string().contains("too much memory"));
    let config = ImageConfig { widths: vec![0], ..ImageConfig::new("mlp", small) };
    assert!(NetConfig::Image(config).checked().unwrap_err().to_string().contains("widths [0]"));
}
