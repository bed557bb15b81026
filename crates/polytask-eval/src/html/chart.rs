//! Line charts as coordinates; the template draws them.

use polytask_core::report::Point;
use serde::Serialize;

/// Size of the drawing in its own units; the page scales it.
const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 180.0;
/// Room for the axes' numbers: right, top, bottom, and the least on the left, where long numbers get more.
const ROOM: [f64; 4] = [10.0, 8.0, 22.0, 40.0];
/// Width of a digit of the axes' numbers.
const DIGIT: f64 = 6.6;
/// Most points a line is drawn with.
const POINTS: usize = 160;

/// A chart ready to be drawn.
#[derive(Debug, Serialize)]
pub(super) struct Chart {
    pub(super) title: String,
    /// What the chart shows, for readers who do not see it.
    label: String,
    /// Where the drawing begins, right of the numbers.
    left: String,
    x_ticks: Vec<Tick>,
    y_ticks: Vec<Tick>,
    lines: Vec<Line>,
    /// Where the step whose weights were kept lies.
    kept: Option<String>,
    /// Where zero lies, when values of both signs are drawn.
    zero: Option<String>,
}

#[derive(Debug, Serialize)]
struct Tick {
    at: String,
    text: String,
}

#[derive(Debug, Serialize)]
struct Line {
    class: &'static str,
    path: String,
    /// Positions of single points, when they are few enough to be told apart.
    dots: Vec<(String, String)>,
}

/// A linear axis from values to the drawing.
struct Axis {
    ticks: Vec<f64>,
    step: f64,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// An axis over [low, high] with about `n` round ticks.
    fn new((low, high): (f64, f64), n: f64, from: f64, to: f64) -> Self {
        let span = high - low;
        let rough = span / n;
        let power = 10_f64.powf(rough.log10().floor());
        let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|f| f * power >= rough * 0.999).unwrap_or(10.0);
        let step = factor * power;
        let first = (low / step).ceil();
        let ticks =
            (0..12).map(|i| (first + f64::from(i)) * step).filter(|t| *t <= low + span * 1.0001).collect();
        Self { ticks, step, low, high: low + span, from, to }
    }

    fn at(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    fn ticks(&self) -> Vec<Tick> {
        let digits = (-self.step.log10().floor()).clamp(0.0, 6.0) as usize;
        let tick = |&t: &f64| Tick { at: place(self.at(t)), text: crate::words::number(t, digits) };
        self.ticks.iter().map(tick).collect()
    }
}

fn place(x: f64) -> String {
    format!("{x:.1}")
}

/// A chart of named lines, as high as their values; `None` when no line has a finite point.
pub(super) fn chart(
    title: String,
    label: String,
    lines: &[(&'static str, &[Point])],
    kept: Option<u64>,
) -> Option<Chart> {
    chart_in(None, title, label, lines, kept)
}

/// The same over given values, so that charts beside each other can be compared.
pub(super) fn chart_in(
    values: Option<(f64, f64)>,
    title: String,
    label: String,
    lines: &[(&'static str, &[Point])],
    kept: Option<u64>,
) -> Option<Chart> {
    let thinned: Vec<(&'static str, Vec<Point>)> =
        lines.iter().map(|(class, points)| (*class, thin(points))).collect();
    let finite = || thinned.iter().flat_map(|(_, points)| points).filter(|point| point.value.is_finite());
    let (low, high) = around(range(finite().map(|point| point.value))?);
    let (low, high) = values.unwrap_or((low, high));
    let (_, last) = range(finite().map(|point| point.step as f64))?;
    let [right, top, bottom, least] = ROOM;
    let air = (high - low) * 0.04;
    let y = Axis::new((low - air, high + air), 4.0, HEIGHT - bottom, top);
    let longest = y.ticks().iter().map(|tick| tick.text.chars().count()).max().unwrap_or(0);
    let left = (longest as f64 * DIGIT + 8.0).max(least);
    let x = Axis::new((0.0, last.max(1.0)), 4.0, left, WIDTH - right);
    Some(Chart {
        left: place(left),
        zero: (low < 0.0 && high > 0.0).then(|| place(y.at(0.0))),
        title,
        label,
        x_ticks: x.ticks(),
        y_ticks: y.ticks(),
        lines: thinned.iter().map(|(class, points)| line(class, points, &x, &y)).collect(),
        kept: kept.filter(|&step| step > 0 && step as f64 <= last).map(|step| place(x.at(step as f64))),
    })
}

/// A range that a line of one value lies in the middle of.
fn around((low, high): (f64, f64)) -> (f64, f64) {
    if high - low > 1e-9 * high.abs().max(1e-9) {
        return (low, high);
    }
    let half = if low == 0.0 { 1.0 } else { low.abs() * 0.1 };
    (low - half, high + half)
}

fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |range, v| match range {
        None => Some((v, v)),
        Some((low, high)) => Some((v.min(low), v.max(high))),
    })
}

/// The mean of each of [`POINTS`] runs of points, so that a long training is a line and not a cloud.
fn thin(points: &[Point]) -> Vec<Point> {
    if points.len() <= POINTS {
        return points.to_vec();
    }
    let mean = |run: &[Point]| {
        let finite: Vec<f64> = run.iter().map(|p| p.value).filter(|v| v.is_finite()).collect();
        Point { step: run[run.len() / 2].step, value: finite.iter().sum::<f64>() / finite.len() as f64 }
    };
    // Runs of nearly equal length: a short last one would end the line in noise.
    let start = |i: usize| i * points.len() / POINTS;
    (0..POINTS).map(|i| mean(&points[start(i)..start(i + 1)])).collect()
}

/// A line that is broken where a value is not finite.
fn line(class: &'static str, points: &[Point], x: &Axis, y: &Axis) -> Line {
    let (mut path, mut dots, mut pen_down) = (String::new(), Vec::new(), false);
    for point in points {
        if !point.value.is_finite() {
            pen_down = false;
            continue;
        }
        let (px, py) = (place(x.at(point.step as f64)), place(y.at(point.value)));
        path.extend([if pen_down { "L" } else { "M" }, &px, " ", &py]);
        dots.push((px, py));
        pen_down = true;
    }
    Line { class, path, dots: if dots.len() <= 30 { dots } else { Vec::new() } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let axis = Axis::new((0.213, 0.951), 4.0, 0.0, 100.0);
        assert_eq!(axis.ticks().iter().map(|t| t.text.as_str()).collect::<Vec<_>>(), ["0.4", "0.6", "0.8"]);
        assert!(axis.ticks.iter().all(|&t| (0.0..=100.0).contains(&axis.at(t))));
    }

    #[test]
    fn a_line_of_one_value_lies_in_the_middle() {
        for value in [0.0, 1.0, -2e-5] {
            let points = [1, 2].map(|step| Point { step, value });
            let drawn = chart("t".into(), String::new(), &[("joint", &points)], None).unwrap();
            assert!(drawn.lines[0].dots.iter().all(|(_, y)| y == "83.0"), "{value}: {drawn:?}");
            assert!(!drawn.y_ticks.is_empty());
        }
    }

    #[test]
    fn long_numbers_have_room_and_zero_a_line_where_signs_differ() {
        let points = [0.688_412, 0.688_901].into_iter().zip(1..).map(|(value, step)| Point { step, value });
        let points: Vec<Point> = points.collect();
        let drawn = chart("t".into(), String::new(), &[("joint", &points)], None).unwrap();
        let longest = drawn.y_ticks.iter().map(|tick| tick.text.len()).max().unwrap();
        assert!(drawn.left.parse::<f64>().unwrap() >= 6.0 * longest as f64 + 6.0, "{drawn:?}");
        assert_eq!(drawn.zero, None);
        let fixed =
            chart_in(Some((-1.0, 1.0)), "t".into(), String::new(), &[("joint", &points)], None).unwrap();
        assert_eq!(fixed.zero.as_deref(), Some("83.0"));
    }

    #[test]
    fn a_value_that_is_not_finite_breaks_the_line() {
        let points = [1.0, f64::NAN, 2.0, 3.0].iter().zip(1..).map(|(&value, step)| Point { step, value });
        let points: Vec<Point> = points.collect();
        let drawn = chart("t".into(), String::new(), &[("joint", &points)], Some(2)).unwrap();
        assert_eq!(drawn.lines[0].path.matches('M').count(), 2);
        assert!(!drawn.lines[0].path.contains("NaN") && drawn.kept.is_some());
        assert!(chart("t".into(), String::new(), &[("joint", &points[1..2])], None).is_none());
    }

    #[test]
    fn a_long_line_is_thinned_without_losing_its_ends() {
        let points: Vec<Point> = (1..=10_000).map(|step| Point { step, value: step as f64 }).collect();
        let thinned = thin(&points);
        assert!(thinned.len() <= POINTS && thinned[0].step < 60 && thinned.last().unwrap().step > 9_900);
    }
}
