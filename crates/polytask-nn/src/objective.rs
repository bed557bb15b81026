//! A task's objective: head and loss on the leaf rows `z`, its value and its gradients.
//!
//! The autodiff graph begins at `z` and at the head's parameters, so one backward gives both the head's
//! gradient and dL/dz, from which the trunk's cotangent is made. An unknown target contributes nothing: neither
//! to the sum nor to the weights it is divided by.

use std::borrow::Cow;

use candle_core::{Device, Tensor, Var};

use crate::heads::{Head, HeadRows, Pairing};
use crate::losses::LossFn;
use crate::params::{Block, Real};
use crate::scores::TokenRows;
pub use crate::target::{Relation, Target, UNKNOWN};
use crate::{Error, Result};

/// What a task reads in a step.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskInput<T = f32> {
    /// Leaf rows `[n, width]`: sentence vectors, or word states for tagging.
    pub z: Vec<T>,
    /// Values per leaf row.
    pub width: usize,
    /// First row of each text and the number of all rows, for a head that reads all states of a text; else empty.
    pub starts: Vec<u32>,
    /// For each input of the head (text; a and b; queries and passages) the rows of `z` it reads; texts where they have
    /// several.
    pub inputs: Vec<Vec<u32>>,
    /// What the outputs should be.
    pub target: Target,
    /// Weight of each row (each query for passages); empty means 1 for all; a row of weight 0 does not count.
    pub weights: Vec<f32>,
}

/// A task's loss and its gradients.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadGradient<T = f32> {
    /// The loss; 0 when nothing is known.
    pub loss: f64,
    /// dL/dz, `[n, width]`.
    pub d_z: Vec<T>,
    /// dL/d head parameters, laid out as the head's block.
    pub d_head: Vec<T>,
}

/// Loss and gradients with respect to `z` and the head's parameters: one forward, one backward.
pub fn gradient<T: Real>(
    head: &dyn Head,
    block: &Block<T>,
    loss: &dyn LossFn,
    input: &TaskInput<T>,
) -> Result<HeadGradient<T>> {
    check(head, block, input)?;
    backward(block, input, |weights, z| graph(head, weights, loss, z, input))
}

/// The gradients of `⟨dF/dz, direction⟩`, exact second derivatives: F is the loss, or `log(loss + ε)` where `log` is ε.
/// The number that comes as loss is the inner product itself.
///
/// The inner product is how F changes as `z` moves along `direction`; written out as a graph (forward mode), one
/// backward gives what a double backward would. What is cut at a kink stays cut.
///
/// # Shapes
/// `direction`: as `input.z`.
pub fn second_order<T: Real>(
    head: &dyn Head,
    block: &Block<T>,
    loss: &dyn LossFn,
    input: &TaskInput<T>,
    direction: &[T],
    log: Option<f64>,
) -> Result<HeadGradient<T>> {
    check(head, block, input)?;
    if direction.len() != input.z.len() {
        let found = format!("a direction of {} values", direction.len());
        return Err(shape("head", &found, &format!("{}, one per value of z", input.z.len())));
    }
    let direction = leaf(direction, input.width)?;
    backward(block, input, |weights, z| slope_graph(head, weights, loss, (z, &direction), input, log))
}

/// The value of a graph on the head's parameters and `z`, and its gradients; all 0 where there is no graph.
fn backward<T: Real>(
    block: &Block<T>,
    input: &TaskInput<T>,
    graph: impl FnOnce(&[Tensor], &Tensor) -> Result<Option<Tensor>>,
) -> Result<HeadGradient<T>> {
    let z = Var::from_tensor(&leaf(&input.z, input.width)?)?;
    let tensors = tensors(block)?.iter().map(Var::from_tensor).collect::<Result<Vec<_>, _>>()?;
    let weights: Vec<Tensor> = tensors.iter().map(|var| var.as_tensor().clone()).collect();
    let zeros = |n: usize| vec![T::ZERO; n];
    let Some(value) = graph(&weights, z.as_tensor())? else {
        return Ok(HeadGradient { loss: 0.0, d_z: zeros(input.z.len()), d_head: zeros(block.values.len()) });
    };
    let store = value.backward()?;
    let take = |var: &Var| -> Result<Vec<T>> {
        match store.get(var.as_tensor()) {
            Some(grad) => Ok(grad.flatten_all()?.to_vec1()?),
            None => Ok(zeros(var.elem_count())),
        }
    };
    let mut d_head = zeros(block.values.len());
    for (spec, var) in block.tensors.iter().zip(&tensors) {
        d_head[spec.range()].copy_from_slice(&take(var)?);
    }
    Ok(HeadGradient { loss: scalar::<T>(&value)?, d_z: take(&z)?, d_head })
}

/// The loss alone; the same number as [`gradient`] gives.
pub fn value<T: Real>(
    head: &dyn Head,
    block: &Block<T>,
    loss: &dyn LossFn,
    input: &TaskInput<T>,
) -> Result<f64> {
    check(head, block, input)?;
    let z = leaf(&input.z, input.width)?;
    graph(head, &tensors(block)?, loss, &z, input)?.map_or(Ok(0.0), |value| scalar::<T>(&value))
}

/// The head's outputs, row with row.
///
/// # Shapes
/// `z`: `[n, width]`; each of `inputs` names rows of `z` → `[rows, n_outputs]` (cosine head: `[rows, 1]`).
pub fn output<T: Real>(
    head: &dyn Head,
    block: &Block<T>,
    z: &[T],
    width: usize,
    inputs: &[Vec<u32>],
) -> Result<Vec<T>> {
    output_of(head, block, (z, width, &[]), inputs)
}

/// As [`output`], of a head that reads all states of texts: `inputs` name texts.
pub fn text_output<T: Real>(
    head: &dyn Head,
    block: &Block<T>,
    texts: &TokenRows<'_, T>,
    inputs: &[Vec<u32>],
) -> Result<Vec<T>> {
    output_of(head, block, (&texts.values, texts.width, &texts.starts), inputs)
}

fn output_of<T: Real>(
    head: &dyn Head,
    block: &Block<T>,
    (z, width, starts): (&[T], usize, &[u32]),
    inputs: &[Vec<u32>],
) -> Result<Vec<T>> {
    check_inputs(head, z.len(), (width, starts), inputs)?;
    check_block(head, block)?;
    let n_rows = inputs[0].len();
    if inputs.iter().any(|rows| rows.len() != n_rows) {
        return Err(shape("head", &format!("inputs of {}", lengths(inputs)), "as many rows in each"));
    }
    if n_rows == 0 {
        return Ok(Vec::new());
    }
    let inputs = select(&leaf(z, width)?, starts, inputs)?;
    Ok(head.output(&tensors(block)?, &inputs, Pairing::Rows)?.flatten_all()?.to_vec1()?)
}

/// Outputs an uninformed model is tried with: one of them is near the best constant of every loss.
const CONSTANTS: [f64; 8] = [0.0, -4.0, -2.0, -1.0, 0.25, 0.5, 0.75, 1.0];

/// The least loss of outputs that are all the same number: what a task's loss is before anything is learnt.
///
/// # Shapes
/// `width` outputs per row of the first of `inputs`; for passages one per row of the second.
pub fn uninformed(
    loss: &dyn LossFn,
    target: &Target,
    weights: &[f32],
    (inputs, width): (&[Vec<u32>], usize),
) -> Result<f64> {
    let n_rows = target.n_rows();
    let shape = match target.pairing() {
        Pairing::Rows => (n_rows, width),
        Pairing::Cross => (n_rows, inputs.last().map_or(0, Vec::len)),
    };
    let weights = if weights.is_empty() { Cow::Owned(vec![1.0; n_rows]) } else { Cow::Borrowed(weights) };
    let mut least = f64::INFINITY;
    for constant in CONSTANTS {
        let output = Tensor::full(constant, shape, &Device::Cpu)?;
        if let Some(value) = loss.loss(&output, target, &weights)? {
            least = least.min(value.to_scalar::<f64>()?);
        }
    }
    Ok(least)
}

/// The loss as a graph; `None` when no target is known.
fn graph<T: Real>(
    head: &dyn Head,
    weights: &[Tensor],
    loss: &dyn LossFn,
    z: &Tensor,
    input: &TaskInput<T>,
) -> Result<Option<Tensor>> {
    if input.inputs.iter().any(Vec::is_empty) {
        return Ok(None);
    }
    let (inputs, pairing) = (select(z, &input.starts, &input.inputs)?, input.target.pairing());
    let output = head.output(weights, &inputs, pairing)?;
    let rows = row_weights(input);
    if !(head.is_directed() && loss.looks_back() && pairing == Pairing::Cross) {
        return loss.loss(&output, &input.target, &rows);
    }
    let swapped: Vec<HeadRows> = inputs.into_iter().rev().collect();
    loss.loss_both(&output, &head.output(weights, &swapped, pairing)?, &input.target, &rows)
}

/// How the objective of [`second_order`] changes as `z` moves along a direction, as a graph; `None` when no target is
/// known.
fn slope_graph<T: Real>(
    head: &dyn Head,
    weights: &[Tensor],
    loss: &dyn LossFn,
    (z, direction): (&Tensor, &Tensor),
    input: &TaskInput<T>,
    log: Option<f64>,
) -> Result<Option<Tensor>> {
    if input.inputs.iter().any(Vec::is_empty) {
        return Ok(None);
    }
    let (target, rows) = (&input.target, row_weights(input));
    let (inputs, pairing) = (select(z, &input.starts, &input.inputs)?, target.pairing());
    let directions = select(direction, &input.starts, &input.inputs)?;
    let d_output = head.jvp(weights, &inputs, &directions, pairing)?;
    let output = head.output(weights, &inputs, pairing)?;
    let Some(slope) = loss.jvp(&output, &d_output, target, &rows)? else { return Ok(None) };
    let Some(eps) = log else { return Ok(Some(slope)) };
    let value = loss.loss(&output, target, &rows)?;
    value.map(|value| Ok((slope / (value + eps)?)?)).transpose()
}

fn row_weights<T>(input: &TaskInput<T>) -> Cow<'_, [f32]> {
    if input.weights.is_empty() {
        Cow::Owned(vec![1.0; input.target.n_rows()])
    } else {
        Cow::Borrowed(&input.weights)
    }
}

/// The rows of `z` each input reads; no copy where an input reads all of them in order.
fn select(z: &Tensor, starts: &[u32], inputs: &[Vec<u32>]) -> Result<Vec<HeadRows>> {
    let pick = |places: &Vec<u32>| {
        if starts.is_empty() {
            return Ok(HeadRows::single(rows_of(z, places)?));
        }
        let spans = || places.iter().map(|&text| starts[text as usize]..starts[text as usize + 1]);
        let rows: Vec<u32> = spans().flatten().collect();
        let mut own = vec![0];
        own.extend(spans().scan(0, |n, span| {
            *n += span.len() as u32;
            Some(*n)
        }));
        Ok(HeadRows::of_texts(rows_of(z, &rows)?, own))
    };
    inputs.iter().map(pick).collect()
}

fn rows_of(z: &Tensor, rows: &[u32]) -> Result<Tensor> {
    if rows.len() == z.dim(0)? && rows.iter().enumerate().all(|(i, &row)| i == row as usize) {
        return Ok(z.clone());
    }
    Ok(z.index_select(&Tensor::from_slice(rows, rows.len(), z.device())?, 0)?)
}

fn leaf<T: Real>(z: &[T], width: usize) -> Result<Tensor> {
    Ok(Tensor::from_slice(z, (z.len() / width.max(1), width), &Device::Cpu)?)
}

pub(crate) fn tensors<T: Real>(block: &Block<T>) -> Result<Vec<Tensor>> {
    let tensor = |(i, spec): (usize, &crate::TensorSpec)| {
        Ok(Tensor::from_slice(block.tensor(i), spec.shape.as_slice(), &Device::Cpu)?)
    };
    block.tensors.iter().enumerate().map(tensor).collect()
}

fn scalar<T: Real>(value: &Tensor) -> Result<f64> {
    Ok(crate::params::num_like::Float::f64(value.to_scalar::<T>()?))
}

/// Refuses inputs whose shapes do not fit together.
fn check<T: Real>(head: &dyn Head, block: &Block<T>, input: &TaskInput<T>) -> Result<()> {
    check_inputs(head, input.z.len(), (input.width, &input.starts), &input.inputs)?;
    check_block(head, block)?;
    let n_rows = input.target.n_rows();
    let n_weights = input.weights.len();
    if n_weights != 0 && n_weights != n_rows {
        return Err(shape("loss", &format!("{n_weights} row weights"), &format!("{n_rows}, one per row")));
    }
    let own = if let Target::Taught { own, .. } = &input.target { own } else { &input.target };
    let fits = match own {
        Target::Passages { positive, relations } => {
            input.inputs.len() == 2
                && input.inputs[0].len() == positive.len()
                && relations.len() == positive.len() * input.inputs[1].len()
        }
        Target::Labels { n_labels: width, values } | Target::Numbers { width, values } => {
            *width > 0
                && values.len().is_multiple_of(*width)
                && input.inputs.iter().all(|rows| rows.len() == n_rows)
        }
        Target::Label(_) => input.inputs.iter().all(|rows| rows.len() == n_rows),
        Target::Taught { .. } => false,
    };
    let found = || format!("inputs of {} rows", lengths(&input.inputs));
    if fits { Ok(()) } else { Err(shape("loss", &found(), &format!("rows to fit {n_rows} targets"))) }
}

fn check_inputs(
    head: &dyn Head,
    n_values: usize,
    (width, starts): (usize, &[u32]),
    inputs: &[Vec<u32>],
) -> Result<()> {
    if width != head.d_in() || width == 0 || !n_values.is_multiple_of(width) {
        let found = format!("{n_values} values in rows of {width}");
        return Err(shape("head", &found, &format!("[rows, {}]", head.d_in())));
    }
    if inputs.len() != head.n_inputs() {
        return Err(shape("head", &format!("{} inputs", inputs.len()), &head.n_inputs().to_string()));
    }
    let n_rows = match starts {
        [] => n_values / width,
        [.., last] if *last as usize == n_values / width && starts.is_sorted() => starts.len() - 1,
        _ => return Err(shape("head", "texts that do not cover the rows", "the first row of each text")),
    };
    match inputs.iter().flatten().find(|&&row| row as usize >= n_rows) {
        Some(row) => Err(shape("head", &format!("row {row}"), &format!("rows below {n_rows}"))),
        None => Ok(()),
    }
}

fn check_block<T: Real>(head: &dyn Head, block: &Block<T>) -> Result<()> {
    let expected = head.shapes();
    let found: Vec<_> = block.tensors.iter().map(|spec| spec.shape.clone()).collect();
    let fits =
        found == expected && block.tensors.last().map_or(0, |spec| spec.range().end) == block.values.len();
    if fits {
        return Ok(());
    }
    Err(shape(&format!("block `{}`", block.name), &format!("{found:?}"), &format!("{expected:?}")))
}

fn lengths(inputs: &[Vec<u32>]) -> String {
    inputs.iter().map(|rows| rows.len().to_string()).collect::<Vec<_>>().join(" and ")
}

fn shape(part: &str, found: &str, expected: &str) -> Error {
    Error::Shape { part: part.into(), found: found.into(), expected: expected.into() }
}
