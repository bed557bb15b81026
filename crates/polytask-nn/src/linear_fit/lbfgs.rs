//! Limited-memory BFGS (Liu & Nocedal 1989) with a backtracking line search, for smooth convex functions.

use std::collections::VecDeque;

/// Pairs of steps and gradient changes kept.
const MEMORY: usize = 10;
/// Most iterations; a fit of frozen vectors takes a few dozen.
const ITERATIONS: usize = 200;
/// The search ends when the gradient's largest entry is below this share of the first one: products are in f32, and below
/// it their rounding would steer.
const TOLERANCE: f64 = 1e-4;
/// Share of the promised fall a step must bring (Armijo).
const FALL: f64 = 1e-4;
/// Most halvings of a step.
const HALVINGS: usize = 20;

/// A step and what it changed of the gradient.
struct Pair {
    step: Vec<f64>,
    change: Vec<f64>,
    /// 1 / ⟨step, change⟩.
    rho: f64,
}

/// The minimum of a function that gives its value and gradient, searched from `at`.
pub(super) fn minimise(mut at: Vec<f64>, function: impl Fn(&[f64]) -> (f64, Vec<f64>)) -> Vec<f64> {
    let (mut value, mut gradient) = function(&at);
    // From zeros, so that a start near the minimum does not have to become exacter than one far away.
    let target = TOLERANCE * largest(&function(&vec![0.0; at.len()]).1).max(f64::MIN_POSITIVE);
    let mut pairs: VecDeque<Pair> = VecDeque::new();
    for _ in 0..ITERATIONS {
        if largest(&gradient) <= target {
            break;
        }
        let mut direction = downhill(&gradient, &pairs);
        if dot(&direction, &gradient) >= 0.0 {
            pairs.clear();
            direction = downhill(&gradient, &pairs);
        }
        let Some(next) = search(&at, value, &gradient, &direction, &function) else { break };
        let step: Vec<f64> = next.at.iter().zip(&at).map(|(new, old)| new - old).collect();
        let change: Vec<f64> = next.gradient.iter().zip(&gradient).map(|(new, old)| new - old).collect();
        let curvature = dot(&step, &change);
        if curvature > 1e-12 * dot(&change, &change) {
            if pairs.len() == MEMORY {
                pairs.pop_front();
            }
            pairs.push_back(Pair { step, change, rho: 1.0 / curvature });
        }
        (at, value, gradient) = (next.at, next.value, next.gradient);
    }
    at
}

/// Where a line search ended.
struct Found {
    at: Vec<f64>,
    value: f64,
    gradient: Vec<f64>,
}

/// The first of ever shorter steps that falls enough; none where no step falls.
fn search(
    at: &[f64],
    value: f64,
    gradient: &[f64],
    direction: &[f64],
    function: &impl Fn(&[f64]) -> (f64, Vec<f64>),
) -> Option<Found> {
    let slope = dot(direction, gradient);
    let mut length = 1.0;
    for _ in 0..HALVINGS {
        let next: Vec<f64> = at.iter().zip(direction).map(|(x, d)| x + length * d).collect();
        let (new, new_gradient) = function(&next);
        if new <= value + FALL * length * slope && new.is_finite() {
            return Some(Found { at: next, value: new, gradient: new_gradient });
        }
        length *= 0.5;
    }
    None
}

/// Minus the gradient times the inverse Hessian as the pairs tell it (two-loop recursion).
fn downhill(gradient: &[f64], pairs: &VecDeque<Pair>) -> Vec<f64> {
    let mut q: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut shares = Vec::with_capacity(pairs.len());
    for pair in pairs.iter().rev() {
        let share = pair.rho * dot(&pair.step, &q);
        add(&mut q, -share, &pair.change);
        shares.push(share);
    }
    // Without a pair a step of length 1 at most: the curvature is not known yet.
    let scale = pairs.back().map_or_else(
        || 1.0 / dot(gradient, gradient).sqrt().max(1.0),
        |pair| 1.0 / (pair.rho * dot(&pair.change, &pair.change)),
    );
    q.iter_mut().for_each(|x| *x *= scale);
    for (pair, share) in pairs.iter().zip(shares.iter().rev()) {
        let back = pair.rho * dot(&pair.change, &q);
        add(&mut q, share - back, &pair.step);
    }
    q
}

fn add(to: &mut [f64], factor: f64, from: &[f64]) {
    to.iter_mut().zip(from).for_each(|(t, f)| *t += factor * f);
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most, v| v.abs().max(most))
}
