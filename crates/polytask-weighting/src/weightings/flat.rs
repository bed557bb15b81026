//! Task-based flat regions: every task's loss at its own worst case nearby, around any conflict method.
//!
//! - **What:** each task moves trunk and head towards its own worst case within a ball. Its gradient there, less its
//!   plain gradient, is what flatness asks for. Plain gradients and flatness gradients are each combined by the
//!   method named in `of`, and the two directions are added. One task is SAM.
//! - **Paper:** Phan, Tran, Tran, Le, Ho, Phung, Le: Beyond Losses Reweighting: Empowering Multi-Task Learning via the
//!   Generalization Perspective. ICCV 2025 (arXiv 2211.13723), algorithm 1; ASAM (Kwon et al., ICML 2021) for the
//!   adaptive form.
//! - **Rule:** gᵢ, hᵢ = ∇lᵢ(θ, φᵢ) of trunk and head; eᵢ = ρ gᵢ / ‖gᵢ‖, on the head `rho_heads` hᵢ / ‖hᵢ‖; adaptive:
//!   ρ θ² ∘ g / ‖|θ| ∘ g‖. sᵢ, pᵢ = the gradients at the displaced weights, fᵢ = sᵢ − gᵢ. Trunk: Agg(g) + Agg(f); heads
//!   step with pᵢ. With a Gramian weighting these are the weights of two Gramians: Σ aᵢ gᵢ + bᵢ fᵢ.
//! - **Variants:** `separate` is the paper's; `direct` Agg(s); `second` Agg({Agg(g), Agg(f)}); `each` Agg over tasks of
//!   Agg({gᵢ, fᵢ}). A loss weighting in `of` applies its weights to both kinds of row, and to the heads.
//! - **Norm:** `separate` measures the trunk's and the head's gradient each on its own (the released code of NYUv2,
//!   Cityscapes and CelebA); `joint` divides both by the norm of the two together (that of Multi-MNIST).
//! - **Departures:** no epsilon in divisions: a zero gradient moves nothing. Methods with a state (and draws) keep
//!   one for plain and one for flatness gradients. `every` = k displaces at each k-th step only, others being plain
//!   steps of the inner method. In `second` and `each` a row has no loss of its own and counts as 1. F-MGDA's released
//!   code for NYUv2 and Cityscapes adds unit rows and multiplies by their number: that is
//!   `flat(mgda(normalise=l2, combine=rows))`; that for Multi-MNIST is `flat(mgda)`.
//! - **One batch:** displaced passes see the step's batch with the same dropout masks, and change no statistics. A
//!   task that is not finite there is taken out of the step and named, as any other.
//! - **Cost:** per task one forward and one backward more; task gradients kept, plus four vectors of the trunk's size.

use polytask_core::method::{Choice, Range};
use polytask_core::{Family, MethodInfo, ParamInfo, Problem};

use crate::Result;
use crate::ball::{self, Ball};
use crate::inner::{Answer, Inner, Rows, join, split};
use crate::table::{Entry, Setup};
use crate::{
    At, Direction, Heads, Jacobian, Needs, Observation, Probe, Spaces, Update, WEIGHTINGS, Weighting, dot,
};

/// What the method says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "flat",
    title: "Task-based flat regions",
    paper: "Phan, Tran, Tran, Le, Ho, Phung, Le, ICCV 2025",
    family: Family::Aggregator,
    about: "combines each task's gradient, and what flatness adds to it, by another weighting",
    cost: "per task one forward and one backward more; task gradients kept",
    kinds: &[],
    params: &[
        ParamInfo {
            name: "of",
            about: "the weighting that combines gradients",
            default: "\"equal\"",
            range: Range::Part,
        },
        ball::RHO,
        ParamInfo {
            name: "rho_heads",
            about: "radius of the ball around a head's weights; that of the trunk unless given",
            default: "null",
            range: Range::Real { min: 0.0, max: f64::INFINITY },
        },
        ball::ADAPTIVE,
        ParamInfo {
            name: "norm",
            about: "whether trunk and head are measured each on its own or together",
            default: "\"separate\"",
            range: Range::OneOf(&["separate", "joint"]),
        },
        ParamInfo {
            name: "variant",
            about: "how plain gradients and those of flatness are combined",
            default: "\"separate\"",
            range: Range::OneOf(&["separate", "direct", "second", "each"]),
        },
        ParamInfo {
            name: "every",
            about: "steps from one displaced step to the next; the others are plain",
            default: "1",
            range: Range::Integer { min: 1 },
        },
        ball::SKIP_NORMS,
    ],
};

/// Its line in the table. What holds for its directions is what holds for the inner method's.
pub(crate) const ENTRY: Entry = Entry { info: &INFO, claims: &[], make };

/// How plain and flatness gradients are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variant {
    Separate,
    Direct,
    Second,
    Each,
}

struct Flat {
    /// Combines plain gradients, or the only rows there are.
    plain: Inner,
    /// Combines flatness gradients.
    flatness: Inner,
    /// Combines a plain row with a flatness row: one for `second`, one per task for `each`.
    pairs: Vec<Inner>,
    ball: Ball,
    variant: Variant,
    every: u64,
    seen: Vec<Observation>,
}

/// The tasks of a step whose loss and gradient are finite.
struct Clean {
    rows: Jacobian,
    heads: Vec<Vec<f32>>,
    tasks: Vec<usize>,
    losses: Vec<f64>,
    /// Place of each among the step's tasks.
    places: Vec<usize>,
    /// Number of tasks of the step.
    n: usize,
}

fn make(choice: &Choice, setup: &Setup) -> Result<Box<dyn Weighting>> {
    Ok(Box::new(Flat::new(choice, setup)?))
}

impl Flat {
    fn new(choice: &Choice, setup: &Setup) -> Result<Self> {
        let word = |name| choice.param(&INFO, name).as_str().unwrap_or_default().to_owned();
        let of = choice.param(&INFO, "of");
        let variant = match word("variant").as_str() {
            "direct" => Variant::Direct,
            "second" => Variant::Second,
            "each" => Variant::Each,
            _ => Variant::Separate,
        };
        let n_pairs = match variant {
            Variant::Second => 1,
            Variant::Each => setup.tasks.len(),
            Variant::Separate | Variant::Direct => 0,
        };
        if n_pairs > 0 {
            refuse_losses(&of)?;
        }
        let two = Setup { tasks: vec!["plain".into(), "flatness".into()], lr: setup.lr };
        let pair = |k: usize| Inner::new(INFO.id, &of, &two, 2 + k as u64);
        let mut ball = Ball { joint: word("norm") == "joint", ..Ball::new(choice, &INFO) };
        ball.rho_heads = choice.param(&INFO, "rho_heads").as_f64().unwrap_or(ball.rho);
        Ok(Self {
            plain: Inner::new(INFO.id, &of, setup, 0)?,
            flatness: Inner::new(INFO.id, &of, setup, 1)?,
            pairs: (0..n_pairs).map(pair).collect::<Result<_>>()?,
            ball,
            variant,
            every: choice.param(&INFO, "every").as_u64().unwrap_or(1).max(1),
            seen: Vec::new(),
        })
    }

    /// Whether weights are displaced at this step, from 1.
    fn is_due(&self, step: u64) -> bool {
        (step - 1).is_multiple_of(self.every)
    }

    /// Whether plain rows and flatness rows are combined apart.
    fn has_two_parts(&self) -> bool {
        matches!(self.variant, Variant::Separate | Variant::Second)
    }

    fn inner(&self) -> impl Iterator<Item = &Inner> {
        [&self.plain, &self.flatness].into_iter().chain(&self.pairs)
    }

    fn inner_mut(&mut self) -> impl Iterator<Item = &mut Inner> {
        [&mut self.plain, &mut self.flatness].into_iter().chain(&mut self.pairs)
    }

    /// Puts each task's row of flatness (or at the displaced weights) in the place of its plain one; gives the
    /// heads' gradients there, zeros for tasks left out.
    fn displace(&mut self, probe: &mut dyn Probe, clean: &mut Clean) -> Result<Vec<Vec<f32>>> {
        let center = self.ball.center(probe);
        let plain_heads = std::mem::take(&mut clean.heads);
        let mut heads: Vec<Vec<f32>> = plain_heads.iter().map(|head| vec![0.0; head.len()]).collect();
        for k in 0..clean.places.len() {
            let (place, task) = (clean.places[k], clean.tasks[k]);
            let head = &*plain_heads[place];
            let (trunk, own) = self.ball.ascend(probe, &center, clean.rows.row(k), &[(place, head)]);
            let mut displaced = vec![Vec::new(); plain_heads.len()];
            displaced[place] = own.into_iter().next().unwrap_or_default();
            let at = At { displacement: Some(&trunk), heads: Some(&displaced), ..At::default() };
            let there = probe.task(at, place)?;
            self.see("sharpness", task, there.loss - clean.losses[k]);
            if there.is_finite() {
                let norm = self.replace(probe, clean, k, there.row)?;
                self.see("flatness", task, norm);
                heads[place] = there.head;
            } else {
                // The loop names the task and asks again without it; nobody else's answer may suffer until then.
                let row = clean.rows.row(k).to_vec();
                self.replace(probe, clean, k, row)?;
                heads[place].copy_from_slice(head);
            }
        }
        Ok(heads)
    }

    /// The row the variant works on, from the plain one and the displaced one; gives the norm of their difference.
    fn replace(
        &mut self,
        probe: &mut dyn Probe,
        clean: &mut Clean,
        k: usize,
        mut there: Vec<f32>,
    ) -> Result<f64> {
        let plain = clean.rows.row(k);
        if self.variant == Variant::Direct {
            let square: f64 = there.iter().zip(plain).map(|(s, g)| f64::from(s - g).powi(2)).sum();
            clean.rows.row_mut(k).copy_from_slice(&there);
            return Ok(square.sqrt());
        }
        there.iter_mut().zip(plain).for_each(|(s, g)| *s -= g);
        let norm = dot(&there, &there).sqrt();
        if self.variant == Variant::Each {
            let two = Jacobian { n: 2, width: there.len(), values: [plain, &*there].concat() };
            there = pair(&mut self.pairs[clean.tasks[k]], probe, &two, clean.places[k])?;
        }
        clean.rows.row_mut(k).copy_from_slice(&there);
        Ok(norm)
    }

    /// From the two answers to the trunk's direction.
    fn combine(&mut self, probe: &mut dyn Probe, plain: Answer, flat: Answer) -> Result<Direction> {
        if self.variant == Variant::Second {
            let width = plain.vector.len();
            let two = Jacobian { n: 2, width, values: [plain.vector, flat.vector].concat() };
            return Ok(Direction::Vector(pair(&mut self.pairs[0], probe, &two, 0)?));
        }
        if flat.vector.iter().all(|v| *v == 0.0) {
            return Ok(plain.direction);
        }
        let sum = plain.vector.iter().zip(&flat.vector).map(|(a, b)| a + b);
        Ok(Direction::Vector(sum.collect()))
    }

    fn see(&mut self, name: &'static str, task: usize, value: f64) {
        self.seen.push(Observation { name, task: Some(task), value });
    }
}

impl Weighting for Flat {
    fn needs(&self) -> Needs {
        Needs {
            rows: true,
            spaces: Spaces::Parameters,
            displaced: true,
            after_step: self.plain.has_after_step(),
            ..Needs::NONE
        }
    }

    fn update(&mut self, probe: &mut dyn Probe) -> Result<Update> {
        self.seen.clear();
        if !self.is_due(probe.step()) {
            return self.plain.plain(probe);
        }
        let mut clean = Clean::new(probe)?;
        let conflict = clean.rows.gramian(0..clean.rows.width).conflicting();
        self.seen.extend(conflict.map(|value| Observation { name: "conflict", task: None, value }));
        let plain = self.has_two_parts().then(|| self.plain.ask(probe, &clean.rows())).transpose()?;
        let mut heads = self.displace(probe, &mut clean)?;
        let last = if self.has_two_parts() { &mut self.flatness } else { &mut self.plain };
        let answer = last.ask(probe, &clean.rows())?;
        let Some(plain) = plain else {
            answer.scale_heads(&clean.places, &mut heads);
            self.seen.extend(answer.weights("weight", &clean.tasks));
            return Ok(Update { trunk: Direction::Vector(answer.vector), heads: Heads::Gradients(heads) });
        };
        plain.scale_heads(&clean.places, &mut heads);
        self.seen.extend(answer.weights("flat-weight", &clean.tasks));
        let weights = plain.weights("weight", &clean.tasks);
        let trunk = clean.spread(self.combine(probe, plain, answer)?);
        if trunk.weights().is_none() {
            self.seen.extend(weights);
        }
        Ok(Update { trunk, heads: Heads::Gradients(heads) })
    }

    fn after_step(&mut self, probe: &mut dyn Probe) -> Result<()> {
        self.plain.after_step(probe)?;
        let asked = self.has_two_parts() && self.is_due(probe.step());
        if asked { self.flatness.after_step(probe) } else { Ok(()) }
    }

    fn observations(&self) -> Vec<Observation> {
        self.seen.clone()
    }

    fn state(&self) -> Vec<f64> {
        join(self.inner().map(Inner::state))
    }

    fn restore(&mut self, state: &[f64]) -> Result<()> {
        split(state, self.inner_mut(), |method, state| method.restore(state))
    }

    fn mark(&self) -> Vec<f64> {
        join(self.inner().map(Inner::mark))
    }

    fn rewind(&mut self, mark: &[f64]) -> Result<()> {
        split(mark, self.inner_mut(), |method, mark| method.rewind(mark))
    }
}

impl Clean {
    fn new(probe: &mut dyn Probe) -> Result<Self> {
        let (rows, losses) = (probe.rows(At::default())?, probe.losses(At::default())?);
        let squares = rows.squares();
        let places: Vec<usize> =
            (0..rows.n).filter(|&i| losses[i].is_finite() && squares[i].is_finite()).collect();
        let rows = if places.len() == rows.n { rows } else { rows.select(&places) };
        Ok(Self {
            rows,
            heads: probe.heads(At::default())?,
            tasks: places.iter().map(|&i| probe.tasks()[i]).collect(),
            losses: places.iter().map(|&i| losses[i]).collect(),
            n: probe.tasks().len(),
            places,
        })
    }

    fn rows(&self) -> Rows<'_> {
        Rows { jacobian: &self.rows, tasks: &self.tasks, losses: &self.losses, places: &self.places }
    }

    /// Weights of these tasks as weights of all tasks of the step.
    fn spread(&self, direction: Direction) -> Direction {
        let over_all = |weights: Vec<f64>| {
            let mut all = vec![0.0; self.n];
            self.places.iter().zip(weights).for_each(|(&place, w)| all[place] = w);
            all
        };
        match direction {
            Direction::Weights(weights) => Direction::Weights(over_all(weights)),
            Direction::BlockWeights(all) => Direction::BlockWeights(all.into_iter().map(over_all).collect()),
            other => other,
        }
    }
}

/// The combination of a plain row with a flatness row.
fn pair(inner: &mut Inner, probe: &mut dyn Probe, two: &Jacobian, place: usize) -> Result<Vec<f32>> {
    let rows = Rows { jacobian: two, tasks: &[0, 1], losses: &[1.0, 1.0], places: &[place, place] };
    Ok(inner.ask(probe, &rows)?.vector)
}

/// Refuses a loss weighting where plain rows are combined with rows that have no loss.
fn refuse_losses(of: &serde_json::Value) -> Result<()> {
    let name = Choice::from_json(of).map_or_else(String::new, |choice| choice.name);
    let is_of_losses = |entry: &Entry| entry.info.id == name && entry.info.family == Family::LossWeighting;
    if name == "equal" || !WEIGHTINGS.iter().any(is_of_losses) {
        return Ok(());
    }
    let what = format!(
        "parameter `variant` of weighting `flat` combines rows that have no loss, and `{name}` weighs losses; \
         expected `separate` or `direct`"
    );
    Err(Problem::new(what).try_this("`variant = \"separate\"`").into())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::FakeProbe;
    use crate::toy::{Close, Toy, golden, vector_of};

    fn with(params: &[(&str, Value)], setup: &Setup) -> Result<Flat> {
        let params = params.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Flat::new(&Choice { name: "flat".into(), params }, setup)
    }

    #[test]
    fn steps_of_every_form_equal_the_published_algorithm() {
        let golden = golden();
        let mut checked = 0;
        for case in golden.flat.iter().filter(|case| case.is_made()) {
            let mut toy = Toy::of(&golden.models[case.model]);
            let mut flat = Flat::new(&case.choice("flat"), &toy.setup()).unwrap();
            let update = flat.update(&mut toy).unwrap();
            case.check(&update, &vector_of(&update, &mut toy), case.tolerance());
            let sharpness = flat.observations().into_iter().filter(|seen| seen.name == "sharpness");
            let sharpness: Vec<f32> = sharpness.map(|seen| seen.value as f32).collect();
            sharpness.close(&case.sharpness, 1e-5, "sharpness");
            checked += 1;
        }
        assert!(checked >= 160, "{checked}");
    }

    #[test]
    fn with_a_radius_of_zero_a_step_is_the_inner_methods_bit_for_bit() {
        let golden = golden();
        for model in &golden.models {
            for of in ["equal", "mgda", "pcgrad", "uw"] {
                let mut toy = Toy::of(model);
                let setup = toy.setup();
                let mut flat = with(&[("of", of.into())], &setup).unwrap();
                (flat.ball.rho, flat.ball.rho_heads) = (0.0, 0.0);
                let mut base = crate::table::make(&Choice::named(of), &setup).unwrap();
                for _ in 0..3 {
                    let (found, expected) = (flat.update(&mut toy).unwrap(), base.update(&mut toy).unwrap());
                    assert_eq!(found.trunk, expected.trunk, "{of}");
                    let (Heads::Gradients(found), Heads::Factors(factors)) = (found.heads, expected.heads)
                    else {
                        panic!("expected gradients and factors")
                    };
                    let scaled = toy.heads(At::default()).unwrap().into_iter().zip(factors);
                    let scale = |(head, f): (Vec<f32>, f64)| -> Vec<f32> {
                        head.iter().map(|g| (f64::from(*g) * f) as f32).collect()
                    };
                    assert_eq!(found, scaled.map(scale).collect::<Vec<_>>(), "{of}");
                }
            }
        }
    }

    #[test]
    fn a_larger_ball_goes_further_and_sees_more() {
        let golden = golden();
        let sharpness = |rho: f64| {
            let mut toy = Toy::of(&golden.models[2]);
            let mut flat = with(&[("rho", rho.into()), ("of", "mgda".into())], &toy.setup()).unwrap();
            flat.update(&mut toy).unwrap();
            let of = |name| flat.seen.iter().filter(move |seen| seen.name == name).map(|seen| seen.value);
            assert_eq!((of("flatness").count(), of("conflict").count(), of("weight").count()), (3, 1, 3));
            of("sharpness").sum::<f64>()
        };
        assert!(0.0 < sharpness(0.01) && sharpness(0.01) < sharpness(0.1) && sharpness(0.1) < sharpness(0.5));
    }

    #[test]
    fn steps_between_displaced_ones_are_the_inner_methods() {
        let setup = Setup::of(&["a", "b", "c"]);
        let mut flat = with(&[("of", "pcgrad".into()), ("every", 3.into())], &setup).unwrap();
        for step in 1..=7 {
            let update = flat.update(&mut FakeProbe::random(step, 3, 8).at_step(step)).unwrap();
            assert_eq!(matches!(update.heads, Heads::Gradients(_)), step % 3 == 1, "{step}");
        }
    }

    #[test]
    fn a_task_that_falls_off_a_cliff_harms_nobody_else() {
        let golden = golden();
        for variant in ["separate", "direct", "second", "each"] {
            let mut toy = Toy::of(&golden.models[2]);
            let mut flat = with(&[("of", "mgda".into()), ("variant", variant.into())], &toy.setup()).unwrap();
            toy.cliff = Some(1);
            let update = flat.update(&mut toy).unwrap();
            assert!(vector_of(&update, &mut toy).iter().all(|v| v.is_finite()), "{variant}");
            let Heads::Gradients(heads) = update.heads else { panic!("expected gradients") };
            assert_eq!(heads[1], toy.heads(At::default()).unwrap()[1], "{variant}");
        }
    }

    #[test]
    fn a_method_that_looks_elsewhere_is_no_inner_method() {
        let setup = Setup::of(&["a", "b"]);
        for (of, part) in [
            (json!("flat"), "`flat` inside `flat` looks beyond"),
            (json!("modo"), "`modo` inside `flat` looks beyond"),
            (json!("mgdaa"), "unknown weighting `mgdaa`"),
            (json!({"name": "mgda", "tolerance": 5}), "parameter `tolerance` of weighting `mgda` is 5"),
        ] {
            let error = with(&[("of", of)], &setup).err().unwrap().to_string();
            assert!(error.contains(part), "{error}");
        }
        for variant in ["second", "each"] {
            let error = with(&[("of", "uw".into()), ("variant", variant.into())], &setup).err().unwrap();
            assert!(error.to_string().contains("`uw` weighs losses"), "{error}");
        }
    }

    #[test]
    fn states_of_all_inner_methods_survive_a_restart() {
        let setup = Setup::of(&["a", "b", "c"]);
        let made = || with(&[("of", "moco".into()), ("variant", "each".into())], &setup).unwrap();
        let mut whole = made();
        for step in 1..=3 {
            whole.update(&mut FakeProbe::random(step, 3, 6).at_step(step)).unwrap();
        }
        let mut resumed = made();
        resumed.restore(&whole.state()).unwrap();
        let mut probe = FakeProbe::random(9, 3, 6).at_step(4);
        assert_eq!(resumed.update(&mut probe).unwrap(), whole.update(&mut probe).unwrap());
    }
}
