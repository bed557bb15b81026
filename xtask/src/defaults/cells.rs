//! The cells of the comparison: which sets at how many rows make a suite.

use super::sets::{Role, SETS};

/// Rows of "all": what a run of minutes can read.
pub(super) const ALL: usize = 4000;

/// A task of a cell.
pub(super) struct Part {
    /// Name in the table of sets.
    pub(super) set: &'static str,
    /// Labelled rows, valid among them.
    pub(super) rows: usize,
}

/// A suite of the comparison.
pub(super) struct Cell {
    pub(super) name: String,
    pub(super) parts: Vec<Part>,
}

/// Sets that are also tried with all rows (at most [`ALL`]).
const LARGE: &[&str] = &["banking77", "clinc150", "stsb", "restaurant-slots", "snli"];

/// Suites of several tasks: related and unrelated ones, equal and unequal amounts.
const JOINT: &[(&str, &[(&str, usize)])] = &[
    ("four kinds", &[("csabstruct", 500), ("snli", 500), ("stsb", 500), ("ncbi-disease", 500)]),
    (
        "one text, three questions",
        &[("restaurant-slots", 500), ("restaurant-asked", 500), ("clinc-domain", 500)],
    ),
    (
        "much and little",
        &[("clinc150", 2000), ("clinc-domain", 50), ("sick-entailment", 500), ("sick-relatedness", 50)],
    ),
    ("three held out", &[("financial-phrases", 300), ("bc5cdr", 500), ("sts15", 500)]),
];

/// All cells; those of held-out sets after the others of their size.
pub(super) fn all() -> Vec<Cell> {
    let alone = |rows: usize| {
        let named = SETS.iter().filter(move |set| rows < ALL || LARGE.contains(&set.name));
        named.map(move |set| {
            (
                set.role,
                Cell { name: format!("{} {rows}", set.name), parts: vec![Part { set: set.name, rows }] },
            )
        })
    };
    let joint = JOINT.iter().map(|(name, parts)| {
        let parts: Vec<Part> = parts.iter().map(|&(set, rows)| Part { set, rows }).collect();
        (role(&parts), Cell { name: format!("joint: {name}"), parts })
    });
    let mut cells: Vec<(Role, Cell)> = alone(50).chain(alone(500)).chain(joint).collect();
    cells.sort_by_key(|(role, _)| *role == Role::HeldOut);
    cells.into_iter().chain(alone(ALL)).map(|(_, cell)| cell).collect()
}

/// A suite with a held-out set is held out, one of development sets alone is development.
fn role(parts: &[Part]) -> Role {
    let has = |role: Role| parts.iter().any(|part| super::sets::find(part.set).role == role);
    match (has(Role::HeldOut), has(Role::Unseen)) {
        (true, _) => Role::HeldOut,
        (false, true) => Role::Unseen,
        (false, false) => Role::Development,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_sets_exist() {
        let cells = all();
        let names: BTreeSet<&String> = cells.iter().map(|cell| &cell.name).collect();
        assert_eq!(names.len(), cells.len());
        let mut parts = cells.iter().flat_map(|cell| &cell.parts);
        assert!(parts.all(|part| SETS.iter().any(|set| set.name == part.set)));
    }

    #[test]
    fn held_out_cells_come_after_the_others_of_their_size() {
        let small = all().into_iter().filter(|cell| cell.parts.iter().all(|part| part.rows < ALL));
        let held: Vec<bool> = small.map(|cell| role(&cell.parts) == Role::HeldOut).collect();
        assert!(held.is_sorted() && held.contains(&true));
    }
}
