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

/// All that was measured in this process.
pub(super) struct Figures {
    pub(super) size: String,
    pub(super) n_tasks: usize,
    pub(super) parameters: usize,
    pub(super) keeps_rows: bool,
    pub(super) mixes: Vec<(Mix, Times)>,
    /// Milliseconds of one backward.
    pub(super) backward: Option<f64>,
    pub(super) process: Process,
}

impl Figures {
    /// Milliseconds of the plain step.
    fn plain(&self) -> Option<f64> {
        self.mixes.iter().find(|(mix, _)| mix.is_plain()).map(|(_, times)| times.median_ms)
    }

    /// The least that gradients kept apart can cost: the plain step and a backward per task; kept gradients are
    /// combined without the last backward.
    fn floor(&self) -> Option<f64> {
        let backwards = self.n_tasks - usize::from(self.keeps_rows);
        Some(self.plain()? + backwards as f64 * self.backward?)
    }

    /// A mix's time over the plain step's and, where it keeps gradients apart, over the floor.
    fn ratios(&self, mix: &Mix, times: &Times) -> (Option<f64>, Option<f64>) {
        let over = |base: Option<f64>| base.map(|base| times.median_ms / base);
        (over(self.plain()), over(self.floor().filter(|_| mix.is_full())))
    }

    pub(super) fn json(&self) -> Value {
        let mix = |(mix, times): &(Mix, Times)| {
            let (plain, floor) = self.ratios(mix, times);
            let mut value = json!(times);
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
        value["backward_ms"] = json!(self.backward);
        value["floor_ms"] = json!(self.floor());
        value["mixes"] = self.mixes.iter().map(mix).collect();
        value
    }

    pub(super) fn text(&self) -> String {
        let millions = self.parameters as f64 / 1e6;
        let mut lines =
            vec![format!("conflict: {}, {millions:.2} M shared weights", self.size), String::new()];
        lines.push(format!("{:<28}{:>8}  {:>8}  step", "", "x plain", "x floor"));
        for (mix, times) in &self.mixes {
            let (plain, floor) = self.ratios(mix, times);
            let shown = |ratio: Option<f64>| ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
            lines.push(format!("{:<28}{:>8}  {:>8}  {times}", mix.name(), shown(plain), shown(floor)));
        }
        lines.push(String::new());
        lines.extend(self.backward.zip(self.floor()).map(|(backward, floor)| {
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
        let times = [10.0, 45.0, 11.0].map(|ms| Times::of(vec![ms]));
        Figures {
            size: "four tasks".into(),
            n_tasks: 4,
            parameters: 100,
            keeps_rows,
            mixes: mixes.into_iter().zip(times).collect(),
            backward: Some(5.0),
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
