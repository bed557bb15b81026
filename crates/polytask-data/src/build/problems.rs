//! Mistakes gathered until there are enough to show; equal ones of a file are one with their number.

use polytask_core::{Error, Problem, Result, plural};

/// Most mistakes shown at once.
const MOST: usize = 20;

/// The mistakes found so far.
#[derive(Debug, Default)]
pub(super) struct Problems {
    /// Each with the number of further places where it stands.
    list: Vec<(Problem, usize)>,
    found: usize,
}

/// Whether two mistakes are one but for the line.
fn is_same(a: &Problem, b: &Problem) -> bool {
    let file = |problem: &Problem| problem.place.as_ref().map(|place| place.file.clone());
    a.what == b.what && a.remedy == b.remedy && file(a) == file(b)
}

impl Problems {
    /// Notes a mistake; an error with all of them once there are enough.
    pub(super) fn add(&mut self, problem: Problem) -> Result<()> {
        self.found += 1;
        if let Some((_, more)) = self.list.iter_mut().find(|(known, _)| is_same(known, &problem)) {
            *more += 1;
            return Ok(());
        }
        self.list.push((problem, 0));
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
        let counted = |(problem, more): (Problem, usize)| match more {
            0 => problem,
            more => {
                Problem { what: format!("{} (and {} more)", problem.what, plural(more, "row")), ..problem }
            }
        };
        Err(Error::Invalid(std::mem::take(&mut self.list).into_iter().map(counted).collect()))
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
}
