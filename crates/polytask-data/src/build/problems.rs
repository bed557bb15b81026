//! Mistakes gathered until there are enough to show; equal ones of a file are one with their number, and of those that
//! differ in the value alone only the first few are shown.

use std::fmt::Write as _;

use polytask_core::{Error, Problem, Result, plural};

/// Most mistakes shown at once.
const MOST: usize = 20;

/// Most mistakes shown that differ in the value alone.
const MOST_ALIKE: usize = 3;

/// The mistakes found so far.
#[derive(Debug, Default)]
pub(super) struct Problems {
    list: Vec<Found>,
    found: usize,
}

/// A mistake that is shown.
#[derive(Debug)]
struct Found {
    problem: Problem,
    /// Further places where it stands.
    same: usize,
    /// Places of mistakes that differ in the value alone and are not shown.
    alike: usize,
}

/// Whether two mistakes are one but for the line.
fn is_same(a: &Problem, b: &Problem) -> bool {
    let file = |problem: &Problem| problem.place.as_ref().map(|place| place.file.clone());
    a.what == b.what && a.remedy == b.remedy && file(a) == file(b)
}

/// A mistake without its values: what stands in backticks after the column.
fn pattern(problem: &Problem) -> String {
    let (place, said) = problem.what.split_once(": ").unwrap_or(("", &problem.what));
    let fixed = said.split('`').step_by(2).collect::<Vec<_>>().join("`");
    format!("{place}: {fixed}")
}

/// Whether two mistakes of a file differ in the value alone.
fn is_alike(a: &Problem, b: &Problem) -> bool {
    let file = |problem: &Problem| problem.place.as_ref().map(|place| place.file.clone());
    a.remedy == b.remedy && file(a) == file(b) && pattern(a) == pattern(b)
}

impl Problems {
    /// Notes a mistake; an error with all of them once there are enough.
    pub(super) fn add(&mut self, problem: Problem) -> Result<()> {
        self.found += 1;
        if let Some(known) = self.list.iter_mut().find(|known| is_same(&known.problem, &problem)) {
            known.same += 1;
            return Ok(());
        }
        let mut alike = self.list.iter_mut().filter(|known| is_alike(&known.problem, &problem));
        if let Some(last) = alike.nth(MOST_ALIKE - 1) {
            last.alike += 1;
            return Ok(());
        }
        self.list.push(Found { problem, same: 0, alike: 0 });
        if self.list.len() < MOST { Ok(()) } else { self.check() }
    }

    /// Notes the mistakes an error stands for; any other error ends the reading.
    pub(super) fn add_error(&mut self, error: Error) -> Result<()> {
        match error {
            Error::Invalid(problems) => problems.into_iter().try_for_each(|problem| self.add(problem)),
            other => Err(other),
        }
    }

    /// Number of mistakes so far.
    pub(super) fn len(&self) -> usize {
        self.found
    }

    /// An error when there was any mistake.
    pub(super) fn check(&mut self) -> Result<()> {
        if self.list.is_empty() {
            return Ok(());
        }
        Err(Error::Invalid(std::mem::take(&mut self.list).into_iter().map(Found::told).collect()))
    }
}

impl Found {
    /// The mistake with the number of places that are not shown.
    fn told(self) -> Problem {
        let Found { mut problem, same, alike } = self;
        if same > 0 {
            let _ = write!(problem.what, " (and {} more)", plural(same, "row"));
        }
        if alike > 0 {
            let _ = write!(problem.what, " (and {} with other values)", plural(alike, "row"));
        }
        problem
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use polytask_core::Place;
    use std::path::Path;

    #[test]
    fn equal_mistakes_are_one_line_with_their_number_and_first_place() {
        let mut problems = Problems::default();
        for line in 2..5000 {
            let what = if line % 2 == 0 { "label `1` is unknown" } else { "label `2` is unknown" };
            problems.add(Problem::at(Place::line(Path::new("a.csv"), line), what)).unwrap();
        }
        problems.add(Problem::at(Place::line(Path::new("b.csv"), 9), "label `1` is unknown")).unwrap();
        assert_eq!(problems.len(), 4999);
        let shown = problems.check().unwrap_err().to_string();
        let expected = "a.csv:2: label `1` is unknown (and 2498 rows more)\n\
                        a.csv:3: label `2` is unknown (and 2498 rows more)\nb.csv:9: label `1` is unknown";
        assert_eq!(shown, expected);
        assert!(problems.check().is_ok());
    }

    #[test]
    fn of_mistakes_that_differ_in_the_value_the_first_three_are_shown() {
        let mut problems = Problems::default();
        for (line, column) in (2..200).flat_map(|line| [(line, "x"), (line, "y")]) {
            let what = format!("column `{column}`: label `{line}` is unknown");
            problems.add(Problem::at(Place::line(Path::new("a.csv"), line), &what)).unwrap();
        }
        let shown = problems.check().unwrap_err().to_string();
        assert_eq!(shown.lines().count(), 6, "{shown}");
        assert!(
            shown.contains("a.csv:4: column `y`: label `4` is unknown (and 195 rows with other values)"),
            "{shown}"
        );
    }
}
