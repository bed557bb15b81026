//! What a conflict bench found, as a table and as JSON.

use serde_json::{Value, json};

use super::super::measure::{Process, Times};
use super::MEAN;

/// A method and where it looks.
#[derive(Debug, Clone)]
pub(super) struct Mix {
    method: &'static str,
    weighting: &'static str,
    gradients: &'static str,
}

impl Mix {
    pub(super) fn new(method: &'static str, weighting: &'static str, gradients: &'static str) -> Self {
        Self { method, weighting, gradients }
    }

    /// The sum of the losses.
    pub(super) fn plain() -> Self {
        Self::new("plain", "equal", "full")
    }

    pub(super) fn is_plain(&self) -> bool {
        self.method == "plain"
    }

    /// Whether it keeps the gradients of the trunk apart.
    fn is_full(&self) -> bool {
        !self.is_plain() && self.method != MEAN && self.gradients == "full"
    }

    pub(super) fn name(&self) -> String {
        if self.is_plain() { self.method.to_owned() } else { format!("{}, {}", self.method, self.gradients) }
    }

    /// As the suite says it.
    pub(super) fn settings(&self) -> [String; 2] {
        [format!("train.weighting={}", self.quoted()), format!("train.gradients={}", self.gradients)]
    }

    fn quoted(&self) -> String {
        if self.weighting.starts_with('{') {
            self.weighting.to_owned()
        } else {
            format!("\"{}\"", self.weighting)
        }
    }

    /// As the peer reads it.
    pub(super) fn job(&self) -> Value {
        json!({ "mix": self.name(), "method": self.method, "gradients": self.gradients })
    }
}

/// What was timed in turn, in milliseconds.
#[derive(Debug, Clone, Default)]
pub(super) struct Round {
    /// The steps of each mix.
    pub(super) times: Vec<Vec<f64>>,
    /// One backward of all tasks together.
    pub(super) backward: Option<f64>,
}

impl Round {
    /// The median step of a mix.
    fn step(&self, mix: usize) -> f64 {
        median(self.times[mix].clone())
    }
}

fn median(values: Vec<f64>) -> f64 {
    Times::of(values).median_ms
}

/// All that was measured in this process.
pub(super) struct Figures {
    pub(super) size: String,
    pub(super) n_tasks: usize,
    pub(super) parameters: usize,
    pub(super) keeps_rows: bool,
    /// What was timed, the plain step first.
    pub(super) mixes: Vec<Mix>,
    /// At least one.
    pub(super) rounds: Vec<Round>,
    pub(super) process: Process,
}

impl Figures {
    /// The median over rounds of what each says.
    fn over_rounds(&self, of: impl Fn(&Round) -> Option<f64>) -> Option<f64> {
        let values: Option<Vec<f64>> = self.rounds.iter().map(of).collect();
        values.map(median)
    }

    /// All steps of a mix.
    fn times(&self, mix: usize) -> Times {
        Times::of(self.rounds.iter().flat_map(|round| round.times[mix].clone()).collect())
    }

    fn backward(&self) -> Option<f64> {
        self.over_rounds(|round| round.backward)
    }

    /// The least that gradients kept apart can cost in a round: the plain step and a backward per task; kept gradients
    /// are combined without the last backward.
    fn floor_of(&self, round: &Round) -> Option<f64> {
        let backwards = self.n_tasks - usize::from(self.keeps_rows);
        Some(round.step(0) + backwards as f64 * round.backward?)
    }

    fn floor(&self) -> Option<f64> {
        self.over_rounds(|round| self.floor_of(round))
    }

    /// A mix's time over the plain step's and, where it keeps gradients apart, over the floor, within rounds.
    fn ratios(&self, mix: usize) -> (Option<f64>, Option<f64>) {
        let floor = || self.over_rounds(|round| Some(round.step(mix) / self.floor_of(round)?));
        let plain = self.over_rounds(|round| Some(round.step(mix) / round.step(0)));
        (plain, self.mixes[mix].is_full().then(floor).flatten())
    }

    pub(super) fn json(&self) -> Value {
        let mix = |(i, mix): (usize, &Mix)| {
            let (plain, floor) = self.ratios(i);
            let mut value = json!(self.times(i));
            value["mix"] = json!(mix.name());
            value["ratio_to_plain"] = json!(plain);
            value["ratio_to_floor"] = json!(floor);
            value
        };
        let mut value = json!(self.process);
        value["bench"] = json!("conflict");
        value["tasks"] = json!(self.n_tasks);
        value["parameters"] = json!(self.parameters);
        value["keeps_rows"] = json!(self.keeps_rows);
        value["rounds"] = json!(self.rounds.len());
        value["backward_ms"] = json!(self.backward());
        value["floor_ms"] = json!(self.floor());
        value["mixes"] = self.mixes.iter().enumerate().map(mix).collect();
        value
    }

    pub(super) fn text(&self) -> String {
        let millions = self.parameters as f64 / 1e6;
        let mut lines =
            vec![format!("conflict: {}, {millions:.2} M shared weights", self.size), String::new()];
        lines.push(format!("{:<28}{:>8}  {:>8}  step", "", "x plain", "x floor"));
        for (i, mix) in self.mixes.iter().enumerate() {
            let ((plain, floor), times) = (self.ratios(i), self.times(i));
            let shown = |ratio: Option<f64>| ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
            lines.push(format!("{:<28}{:>8}  {:>8}  {times}", mix.name(), shown(plain), shown(floor)));
        }
        lines.push(String::new());
        lines.extend(self.backward().zip(self.floor()).map(|(backward, floor)| {
            let kept = if self.keeps_rows { "are kept" } else { "are not kept" };
            format!("one backward {backward:.2} ms; floor {floor:.2} ms (gradients {kept})")
        }));
        lines.push(self.process.to_string());
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(keeps_rows: bool) -> Figures {
        let mixes = [Mix::plain(), Mix::new("upgrad", "upgrad", "full"), Mix::new(MEAN, "equal", "full")];
        // The second round fell on a moment that was twice as slow, or more.
        let round = |factor: f64| Round {
            times: [10.0, 45.0, 11.0].map(|ms| vec![factor * ms]).to_vec(),
            backward: Some(5.0 * factor),
        };
        Figures {
            size: "four tasks".into(),
            n_tasks: 4,
            parameters: 100,
            keeps_rows,
            mixes: mixes.to_vec(),
            rounds: vec![round(1.0), round(3.0), round(1.0)],
            process: Process::now(),
        }
    }

    #[test]
    fn the_floor_has_a_backward_per_task_and_one_less_where_gradients_are_kept() {
        assert_eq!(figures(false).floor(), Some(30.0));
        assert_eq!(figures(true).floor(), Some(25.0));
        let json = figures(false).json();
        assert_eq!(json["mixes"][1]["ratio_to_floor"], 1.5);
        assert_eq!(json["mixes"][1]["ratio_to_plain"], 4.5);
    }

    #[test]
    fn only_what_keeps_gradients_apart_is_held_against_the_floor() {
        let json = figures(false).json();
        assert!(json["mixes"][0]["ratio_to_floor"].is_null() && json["mixes"][2]["ratio_to_floor"].is_null());
        assert!(figures(true).text().contains("are kept"));
    }
}
