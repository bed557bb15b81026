//! What a target cell says.

use polytask_core::{TargetType, plural};

use super::labels::LabelTable;
use crate::readers::Cell;
use crate::readers::printed::is_shortened;

/// A target as read: labels as indices of the table, passages still as ids or texts.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Raw {
    /// Nothing is known.
    Unknown,
    /// One label.
    Label(u32),
    /// Labels, in any order.
    Labels(Vec<u32>),
    /// Numbers, NaN where unknown.
    Numbers(Vec<f64>),
    /// A tag per word.
    Tags(Vec<u32>),
    /// What answers a query.
    Passages {
        /// Ids or texts with grades.
        positives: Vec<(String, f32)>,
        /// Ids or texts.
        negatives: Vec<String>,
        /// Id of the query, where judgements name it.
        query: Option<String>,
    },
}

/// What is the matter with a cell; many of one sort may be a mistake of the column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sort {
    /// A text in the place of a number.
    Text,
    /// A number with commas.
    Commas,
    /// A list in the place of a label; it is this sort where it is as long as the words of its row.
    Tags,
    /// A label that is not in the set.
    Unknown,
    /// Anything else.
    Other,
}

/// Why a cell is no target.
#[derive(Debug, PartialEq)]
pub(super) struct Wrong {
    /// What was found, and what was expected.
    pub(super) what: String,
    /// What to try.
    pub(super) remedy: String,
    /// Of what sort it is.
    pub(super) sort: Sort,
}

impl Wrong {
    pub(super) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into(), sort: Sort::Other }
    }

    /// The same of a sort.
    pub(super) fn of(self, sort: Sort) -> Self {
        Self { sort, ..self }
    }
}

/// Reads a target cell; `n_words` is the number of words of the row's text, where it could be read.
pub(super) fn parse(
    target: TargetType,
    cell: Option<&Cell>,
    labels: &mut LabelTable,
    n_words: Option<usize>,
) -> Result<Raw, Wrong> {
    let Some(cell) = cell.filter(|cell| !labels.is_missing(cell)) else { return Ok(Raw::Unknown) };
    if labels.knows_nothing() && !matches!(target, TargetType::Numbers | TargetType::Passages) {
        // That train has no label is the mistake, not that this one is unknown.
        return Ok(Raw::Unknown);
    }
    if target != TargetType::Passages
        && let Some(shortened) = shortened(cell)
    {
        return Err(shortened);
    }
    match target {
        TargetType::Label => label(cell, labels).map(Raw::Label),
        TargetType::Labels => many_labels(cell, labels).map(Raw::Labels),
        TargetType::Numbers => numbers(cell).map(Raw::Numbers),
        TargetType::Tags => tags(cell, labels, n_words).map(Raw::Tags),
        TargetType::Passages => Ok(Raw::Unknown),
    }
}

/// A list whose values were left out when it was printed holds less than the data it came from.
fn shortened(cell: &Cell) -> Option<Wrong> {
    let Cell::Text(text) = cell else { return None };
    (is_shortened(text) && cell.to_items().is_none()).then(|| {
        let what = format!("list {} was shortened when it was printed, expected all of it", cell.describe());
        Wrong::new(
            what,
            "write the column as JSON lists, or set numpy.set_printoptions(threshold=sys.maxsize)",
        )
    })
}

fn known(text: &str, labels: &mut LabelTable) -> Result<u32, Wrong> {
    let text = text.trim();
    labels.index_of(text).ok_or_else(|| {
        let found = crate::readers::shorten(text);
        let what = format!("label `{found}` is unknown, expected {}", labels.describe());
        Wrong::new(what, "correct the cell, or list every label in `labels` of the task").of(Sort::Unknown)
    })
}

fn label(cell: &Cell, labels: &mut LabelTable) -> Result<u32, Wrong> {
    match cell {
        Cell::List(_) => {
            let what = format!("label is {}, expected one label", cell.describe());
            Err(Wrong::new(what, "use kind `multilabel` for several labels per row").of(Sort::Tags))
        }
        _ => known(&cell.to_text().unwrap_or_default(), labels),
    }
}

fn many_labels(cell: &Cell, labels: &mut LabelTable) -> Result<Vec<u32>, Wrong> {
    let items = cell.to_items();
    if items.as_deref().is_some_and(Flags::has_gaps) {
        let what = format!("{} is a vector with gaps, expected 0 or 1 for every label", cell.describe());
        return Err(Wrong::new(what, "write the names of the labels that hold, or leave the cell empty"));
    }
    if let Some(flags) = items.as_deref().and_then(Flags::of) {
        match flags.chosen(labels) {
            Some(Ok(places)) => return Ok(places),
            Some(Err(wrong)) => return Err(wrong),
            // Labels that are called 0 and 1.
            None => {}
        }
    }
    let names: Vec<String> = match items {
        Some(items) => items.iter().filter_map(Cell::to_text).collect(),
        None => labels.split(&cell.to_text().unwrap_or_default()),
    };
    let given = names.iter().filter(|name| !name.trim().is_empty());
    given.map(|name| known(name, labels)).collect()
}

/// A list that says of every label whether it holds.
struct Flags {
    holds: Vec<bool>,
    /// Whether it can be nothing else: true and false, or one of two numbers twice.
    is_certain: bool,
}

impl Flags {
    /// The list as flags, where all its items are true, false, 0 or 1.
    fn of(items: &[Cell]) -> Option<Self> {
        let flag = |item: &Cell| match item {
            Cell::Bool(holds) => Some(*holds),
            Cell::Number(real) if *real == 0.0 || *real == 1.0 => Some(*real == 1.0),
            Cell::Text(text) => match text.trim() {
                "0" | "0.0" => Some(false),
                "1" | "1.0" => Some(true),
                _ => None,
            },
            _ => None,
        };
        let holds: Vec<bool> = items.iter().map(flag).collect::<Option<_>>()?;
        let is_certain =
            holds.len() > 2 || matches!(items, [Cell::Bool(_), ..]) || matches!(holds[..], [a, b] if a == b);
        (holds.len() > 1).then_some(Self { holds, is_certain })
    }

    /// Whether some items are flags and the others missing: which labels hold is half known, which no target can be.
    fn has_gaps(items: &[Cell]) -> bool {
        let known: Vec<Cell> = items.iter().filter(|item| !item.is_missing()).cloned().collect();
        known.len() < items.len() && Self::of(&known).is_some()
    }

    /// The places of the declared labels that hold; none where the list names labels instead.
    fn chosen(&self, labels: &LabelTable) -> Option<Result<Vec<u32>, Wrong>> {
        let n = self.holds.len();
        if labels.n_declared() == Some(n) && !labels.declares("1") {
            let places = (0..n).filter(|&i| self.holds[i]).map(|i| i as u32);
            return Some(Ok(places.collect()));
        }
        let is_named = labels.declares("0") || labels.declares("1") || labels.declares("true");
        if is_named || !self.is_certain {
            return None;
        }
        let expected = labels
            .n_declared()
            .map_or_else(|| "names of labels".to_owned(), |k| format!("{k} of them, one per label"));
        let what = format!("a list of {n} zeros and ones (or true and false), expected {expected}");
        let remedy = format!("labels = [\"...\"] with the {n} names in the order of the list");
        Some(Err(Wrong::new(what, remedy)))
    }
}

fn numbers(cell: &Cell) -> Result<Vec<f64>, Wrong> {
    match cell.to_items() {
        Some(items) if items.is_empty() => {
            Err(Wrong::new("value is an empty list, expected numbers", "write null for an unknown number"))
        }
        Some(items) => items.iter().map(|item| number(item).map_err(|wrong| wrong.of(Sort::Other))).collect(),
        None => Ok(vec![number(cell)?]),
    }
}

/// A number that f32 can hold too, in full precision; NaN where it is missing.
fn number(cell: &Cell) -> Result<f64, Wrong> {
    if cell.is_missing() {
        return Ok(f64::NAN);
    }
    let value = match cell {
        Cell::Number(real) => Some(*real),
        Cell::Text(text) => real(text.trim()),
        _ => None,
    };
    value.filter(|real| (*real as f32).is_finite()).ok_or_else(|| {
        let what = format!("value is {}, expected a finite number", cell.describe());
        match cell {
            Cell::Text(text) => match with_point(text.trim()) {
                Some(remedy) => Wrong::new(what, remedy).of(Sort::Commas),
                None if text.trim().parse::<f64>().is_ok() => Wrong::new(what, UNKNOWN),
                None => Wrong::new(what, UNKNOWN).of(Sort::Text),
            },
            _ => Wrong::new(what, UNKNOWN),
        }
    })
}

/// The number that a text is; one with a per cent sign is the number before it.
pub(crate) fn real(text: &str) -> Option<f64> {
    text.parse().ok().or_else(|| text.strip_suffix('%')?.trim_end().parse().ok())
}

/// Whether a text is a number whose decimal point is a comma.
pub(crate) fn has_decimal_comma(text: &str) -> bool {
    text.parse::<f64>().is_err() && with_point(text).is_some_and(|remedy| remedy.starts_with("write a point"))
}

const UNKNOWN: &str = "leave the cell empty (or write null) when the value is unknown";

/// How a number with commas is to be written; `None` for a text that is none.
fn with_point(text: &str) -> Option<String> {
    let (whole, rest) = text.rsplit_once(',')?;
    let is_number = |text: &str| text.parse::<f64>().is_ok_and(f64::is_finite);
    let without = text.replace(',', "");
    let point = format!("{}.{rest}", whole.replace('.', ""));
    if whole.contains(',') || rest.contains('.') {
        return Some(if has_thousands(text) && is_number(&without) {
            format!("write `{without}`, without commas")
        } else if text.split(',').all(|part| is_number(part.trim())) {
            format!("write several numbers as a list: [{text}]")
        } else {
            return None;
        });
    }
    if !is_number(&point) {
        return None;
    }
    let is_either = rest.len() == 3 && !whole.contains('.');
    Some(if is_either {
        format!("write `{point}` or `{without}`, without a comma")
    } else {
        format!("write a point: `{point}`")
    })
}

/// Whether commas stand before groups of three digits alone: `1,234,567.8`.
fn has_thousands(text: &str) -> bool {
    let whole = text.split('.').next().unwrap_or_default();
    let mut groups = whole.trim_start_matches(['-', '+']).split(',');
    let is_first = groups.next().is_some_and(|first| (1..=3).contains(&first.len()));
    is_first && groups.all(|group| group.len() == 3)
}

fn tags(cell: &Cell, labels: &mut LabelTable, n_words: Option<usize>) -> Result<Vec<u32>, Wrong> {
    let names: Vec<String> = match cell.to_items() {
        Some(items) => items.iter().map(|item| item.to_text().unwrap_or_default()).collect(),
        None => cell.to_text().unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
    };
    if let Some(n_words) = n_words.filter(|n| *n != names.len()) {
        let what = format!("row has {}, expected {n_words}, one per word", plural(names.len(), "tag"));
        return Err(Wrong::new(
            what,
            "separate words by single spaces, or give words and tags as JSON lists",
        ));
    }
    names.iter().map(|name| known(name, labels)).collect()
}

/// The passages a cell names: a list, or one text; ids may also be joined by `|`.
pub(super) fn passages(cell: Option<&Cell>, are_ids: bool) -> Vec<String> {
    let Some(cell) = cell.filter(|cell| !cell.is_missing()) else { return Vec::new() };
    // A passage may be `(3, 4)`.
    let items = cell.to_items().filter(|_| match cell {
        Cell::Text(text) => are_ids || text.trim_start().starts_with('['),
        _ => true,
    });
    let texts: Vec<String> = match (items, cell) {
        (Some(items), _) => items.iter().filter(|i| !i.is_missing()).filter_map(Cell::to_text).collect(),
        (None, Cell::Text(ids)) if are_ids => ids.split('|').map(|id| id.trim().to_owned()).collect(),
        (None, cell) => cell.to_text().into_iter().collect(),
    };
    texts.into_iter().filter(|text| !text.is_empty()).collect()
}

/// A row weight: a finite number of at least 0.
pub(super) fn weight(cell: Option<&Cell>) -> Result<f32, Wrong> {
    let cell = cell.unwrap_or(&Cell::Null);
    // A share in per cent is no weight that anybody meant.
    let is_percent = matches!(cell, Cell::Text(text) if text.trim_end().ends_with('%'));
    number(cell)
        .ok()
        .filter(|_| !is_percent)
        .map(|weight| weight as f32)
        .filter(|weight| *weight >= 0.0)
        .ok_or_else(|| {
            let what = format!("weight is {}, expected a number of at least 0", cell.describe());
            Wrong::new(what, "write 1 for an ordinary row and 0 to leave a row out")
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn text(text: &str) -> Cell {
        Cell::Text(text.into())
    }

    fn open() -> LabelTable {
        LabelTable::new(&testing::task("t", "multilabel", "s"), &testing::source("s", &[]))
    }

    fn read(target: TargetType, cell: &Cell) -> Result<Raw, Wrong> {
        parse(target, Some(cell), &mut open(), Some(2))
    }

    #[test]
    fn missing_cells_are_unknown_for_every_target() {
        for target in [TargetType::Label, TargetType::Labels, TargetType::Numbers, TargetType::Tags] {
            for cell in [Cell::Null, text(""), text("NaN"), Cell::Number(f64::NAN)] {
                assert_eq!(read(target, &cell), Ok(Raw::Unknown));
            }
            assert_eq!(parse(target, None, &mut open(), Some(2)), Ok(Raw::Unknown));
        }
    }

    #[test]
    fn labels_may_be_words_numbers_or_booleans() {
        let mut table = open();
        for cell in [Cell::Bool(true), Cell::Number(3.0), text(" x ")] {
            parse(TargetType::Label, Some(&cell), &mut table, None).unwrap();
        }
        assert_eq!(table.names(), ["true", "3", "x"]);
        assert!(read(TargetType::Label, &Cell::List(vec![text("a")])).is_err());
    }

    #[test]
    fn several_labels_come_as_list_or_joined_and_an_empty_list_is_known() {
        let list = Cell::List(vec![text("a"), text("b")]);
        for cell in [list, text("a|b"), text("[\"a\",\"b\"]")] {
            assert_eq!(read(TargetType::Labels, &cell), Ok(Raw::Labels(vec![0, 1])));
        }
        assert_eq!(read(TargetType::Labels, &Cell::List(vec![])), Ok(Raw::Labels(vec![])));
    }

    #[test]
    fn nulls_inside_a_list_of_numbers_are_unknown_and_infinity_is_refused() {
        let Ok(Raw::Numbers(values)) = read(TargetType::Numbers, &text("[1, null, 2.5]")) else { panic!() };
        assert!(values[0] == 1.0 && values[1].is_nan() && values[2] == 2.5);
        assert_eq!(read(TargetType::Numbers, &text("70 %")), Ok(Raw::Numbers(vec![70.0])));
        for wrong in [
            text("high"),
            text("%"),
            text("7%%"),
            text("inf"),
            Cell::Number(1e300),
            Cell::List(vec![]),
            Cell::Bool(true),
        ] {
            assert!(read(TargetType::Numbers, &wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn numbers_with_commas_are_told_how_they_are_written() {
        let remedy = |cell: &str| read(TargetType::Numbers, &text(cell)).unwrap_err().remedy;
        assert_eq!(remedy(" 3,5"), "write a point: `3.5`");
        assert_eq!(remedy("1.234,5"), "write a point: `1234.5`");
        assert_eq!(remedy("1,234,567"), "write `1234567`, without commas");
        assert_eq!(remedy("1,234.5"), "write `1234.5`, without commas");
        assert_eq!(remedy("1,234"), "write `1.234` or `1234`, without a comma");
        assert!(["high, low", ",", "a,5"].iter().all(|cell| remedy(cell) == UNKNOWN));
    }

    #[test]
    fn no_label_is_unknown_where_train_has_none() {
        let mut table = open();
        table.close();
        for target in [TargetType::Label, TargetType::Labels, TargetType::Tags] {
            assert_eq!(parse(target, Some(&text("x")), &mut table, Some(2)), Ok(Raw::Unknown));
        }
    }

    #[test]
    fn tags_are_as_many_as_words() {
        assert_eq!(read(TargetType::Tags, &text("O B-x")), Ok(Raw::Tags(vec![0, 1])));
        assert_eq!(
            read(TargetType::Tags, &text("O")).unwrap_err().what,
            "row has 1 tag, expected 2, one per word"
        );
    }

    #[test]
    fn ids_may_be_joined_but_passages_keep_their_bars() {
        assert_eq!(passages(Some(&text("d1|d2")), true), ["d1", "d2"]);
        assert_eq!(passages(Some(&text("a | b")), false), ["a | b"]);
        assert_eq!(passages(Some(&text("(3, 4)")), false), ["(3, 4)"]);
        assert_eq!(passages(Some(&Cell::List(vec![text("x"), Cell::Null])), false), ["x"]);
        assert_eq!(passages(Some(&Cell::Number(31_715_818.0)), true), ["31715818"]);
        assert!(passages(Some(&text("")), true).is_empty());
    }

    #[test]
    fn weights_are_numbers_of_at_least_zero() {
        assert_eq!(weight(Some(&text("0.5"))), Ok(0.5));
        let percent = text("50%");
        let wrong = [
            None,
            Some(&Cell::Number(-1.0)),
            Some(&Cell::Number(f64::NAN)),
            Some(&Cell::Null),
            Some(&percent),
        ];
        for wrong in wrong {
            assert!(weight(wrong).is_err());
        }
    }
}
