//! Mistakes gathered over all sources, of each until there are enough to show; equal ones of a file are one with their
//! number, and of those that differ in the value alone only the first few are shown.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::path::PathBuf;

use polytask_core::{Error, Problem, Result, plural};

/// Most mistakes shown at once, and most of one source.
const MOST: usize = 20;

/// Most mistakes shown that differ in the value alone.
const MOST_ALIKE: usize = 3;

/// The mistakes found so far.
#[derive(Debug, Default)]
pub(super) struct Problems {
    list: Vec<Found>,
    found: usize,
    /// The source that is looked at.
    source: usize,
    /// The sources with mistakes.
    touched: BTreeSet<usize>,
}

/// A mistake that is shown.
#[derive(Debug)]
struct Found {
    problem: Problem,
    /// It without its values.
    pattern: String,
    /// Its source.
    source: usize,
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

/// A mistake without its values: its file, what stands outside of backticks after the column, and in the remedy.
fn pattern(problem: &Problem) -> String {
    let file = problem.place.as_ref().map(|place| place.file.display());
    let file = file.map_or_else(String::new, |file| file.to_string());
    let (place, said) = problem.what.split_once(": ").unwrap_or(("", &problem.what));
    let fixed = |text: &str| text.split('`').step_by(2).collect::<Vec<_>>().join("`");
    format!("{file}: {place}: {}: {}", fixed(said), fixed(problem.remedy.as_deref().unwrap_or_default()))
}

/// What ends the reading of a source when its mistakes are noted already.
pub(super) fn enough() -> Error {
    Error::Invalid(Vec::new())
}

impl Problems {
    /// Mistakes noted from now on are of this source.
    pub(super) fn begin(&mut self, source: usize) {
        self.source = source;
    }

    /// Notes a mistake; an error once the source has enough of them.
    pub(super) fn add(&mut self, problem: Problem) -> Result<()> {
        self.note(problem);
        if self.n_shown() < MOST { Ok(()) } else { Err(enough()) }
    }

    /// Mistakes of the source that are not merged into others.
    fn n_shown(&self) -> usize {
        self.list.iter().filter(|known| known.source == self.source).count()
    }

    /// Notes a mistake.
    pub(super) fn note(&mut self, problem: Problem) {
        self.found += 1;
        self.touched.insert(self.source);
        if let Some(known) = self.list.iter_mut().find(|known| is_same(&known.problem, &problem)) {
            // Two sources may read the same file: its mistakes are no more for that.
            known.same += usize::from(known.source == self.source);
            return;
        }
        let pattern = pattern(&problem);
        let mut alike =
            self.list.iter_mut().filter(|known| known.pattern == pattern && known.source == self.source);
        if let Some(last) = alike.nth(MOST_ALIKE - 1) {
            last.alike += 1;
            return;
        }
        if self.n_shown() < MOST {
            self.list.push(Found { problem, pattern, source: self.source, same: 0, alike: 0 });
        }
    }

    /// Notes a mistake that several tasks may have, which is told once.
    pub(super) fn note_once(&mut self, problem: Problem) {
        if !self.list.iter().any(|known| is_same(&known.problem, &problem)) {
            self.note(problem);
        }
    }

    /// Takes in mistakes that were held back; what several tasks have is told once.
    pub(super) fn absorb(&mut self, held: Self) {
        for mut found in held.list {
            self.found += 1 + found.same + found.alike;
            self.touched.insert(self.source);
            if !self.list.iter().any(|known| is_same(&known.problem, &found.problem)) {
                found.source = self.source;
                self.list.push(found);
            }
        }
    }

    /// Where the mistakes begin that are noted from now on.
    pub(super) fn mark(&self) -> usize {
        self.list.len()
    }

    /// Puts the mistakes since a mark in the order of their lines, file by file; an error when the source has enough.
    pub(super) fn settle(&mut self, mark: usize) -> Result<()> {
        let place = |found: &Found| found.problem.place.clone().map(|place| (place.file, place.line)).unzip();
        let files: Vec<Option<PathBuf>> = self.list[mark..].iter().map(|found| place(found).0).collect();
        self.list[mark..].sort_by_cached_key(|found| {
            let (file, line) = place(found);
            (files.iter().position(|known| *known == file), line)
        });
        if self.n_shown() < MOST { Ok(()) } else { Err(enough()) }
    }

    /// Notes what ended the reading of a source, so that the next one can be read; an error that is none of the data's.
    pub(super) fn end(&mut self, error: Error) -> Result<()> {
        match error {
            Error::Invalid(problems) => problems.into_iter().for_each(|problem| self.note(problem)),
            Error::Io { .. } => self.note(Problem::new(error.to_string())),
            other => return Err(other),
        }
        Ok(())
    }

    /// Whether a source has mistakes.
    pub(super) fn touches(&self, source: usize) -> bool {
        self.touched.contains(&source)
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
        let shown = shared_out(std::mem::take(&mut self.list));
        Err(Error::Invalid(shown.into_iter().map(Found::told).collect()))
    }
}

/// As many mistakes as are shown, by source: the first ones of each where there are more.
fn shared_out(mut list: Vec<Found>) -> Vec<Found> {
    list.sort_by_key(|found| found.source);
    let mut met = HashMap::<usize, usize>::new();
    let mut ranked: Vec<(usize, usize, Found)> = Vec::new();
    for (at, found) in list.into_iter().enumerate() {
        let rank = met.entry(found.source).or_default();
        *rank += 1;
        ranked.push((*rank, at, found));
    }
    ranked.sort_by_key(|(rank, at, _)| (*rank, *at));
    ranked.truncate(MOST);
    ranked.sort_by_key(|(_, at, _)| *at);
    ranked.into_iter().map(|(_, _, found)| found).collect()
}

impl Found {
    /// The mistake with the number of places that are not shown.
    fn told(self) -> Problem {
        let Found { mut problem, same, alike, .. } = self;
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
    fn each_source_has_its_share_of_the_mistakes_that_are_shown() {
        let mut problems = Problems::default();
        for (source, n) in [(0, 25), (1, 3), (2, 25)] {
            problems.begin(source);
            for i in 0..n {
                let what = format!("mistake {i} of {source}");
                let added = problems.add(Problem::at(Place::line(Path::new("a.csv"), i + 1), what));
                assert_eq!(added.is_err(), i >= MOST - 1);
            }
        }
        assert!(problems.touches(1) && !problems.touches(3));
        let Error::Invalid(shown) = problems.check().unwrap_err() else { panic!() };
        let of = |source: &str| shown.iter().filter(|problem| problem.what.ends_with(source)).count();
        assert_eq!([of(" 0"), of(" 1"), of(" 2")], [9, 3, 8]);
        assert!(shown.is_sorted_by_key(|problem| problem.what.split(' ').next_back().unwrap().to_owned()));
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
