//! Tests of how cells are read, over all forms.

use super::*;
use crate::cell::Cell;

fn text(text: &str) -> Cell {
    Cell::Text(text.into())
}

fn row(cell: &Cell) -> TargetRow<'_> {
    TargetRow { cell: Some(cell), n_words: Some(2), ..TargetRow::default() }
}

fn read(form: &dyn TargetForm, cell: &Cell) -> Result<TargetCell, CellMistake> {
    form.read(&row(cell), &mut LabelTable::open())
}

const OF_CELLS: [&dyn TargetForm; 5] = [&OneLabel, &ManyLabels, &Numbers, &Closeness, &Tags];

#[test]
fn missing_cells_are_unknown_for_every_target() {
    for form in OF_CELLS {
        for cell in [Cell::Null, text(""), text("NaN"), Cell::Number(f64::NAN)] {
            assert_eq!(read(form, &cell), Ok(TargetCell::Unknown));
        }
        assert_eq!(form.read(&TargetRow::default(), &mut LabelTable::open()), Ok(TargetCell::Unknown));
    }
}

#[test]
fn labels_may_be_words_numbers_or_booleans() {
    let mut table = LabelTable::open();
    for cell in [Cell::Bool(true), Cell::Number(3.0), text(" x ")] {
        OneLabel.read(&row(&cell), &mut table).unwrap();
    }
    assert_eq!(table.names(), ["true", "3", "x"]);
    assert!(read(&OneLabel, &Cell::List(vec![text("a")])).is_err());
}

#[test]
fn several_labels_come_as_list_or_joined_and_an_empty_list_is_known() {
    let list = Cell::List(vec![text("a"), text("b")]);
    for cell in [list, text("a|b"), text("[\"a\",\"b\"]")] {
        assert_eq!(read(&ManyLabels, &cell), Ok(TargetCell::Labels(vec![0, 1])));
    }
    assert_eq!(read(&ManyLabels, &Cell::List(vec![])), Ok(TargetCell::Labels(vec![])));
}

#[test]
fn nulls_inside_a_list_of_numbers_are_unknown_and_infinity_is_refused() {
    let Ok(TargetCell::Numbers(values)) = read(&Numbers, &text("[1, null, 2.5]")) else { panic!() };
    assert!(values[0] == 1.0 && values[1].is_nan() && values[2] == 2.5);
    assert_eq!(read(&Numbers, &text("70 %")), Ok(TargetCell::Numbers(vec![70.0])));
    for wrong in [
        text("high"),
        text("%"),
        text("7%%"),
        text("inf"),
        Cell::Number(1e300),
        Cell::List(vec![]),
        Cell::Bool(true),
    ] {
        assert!(read(&Numbers, &wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn numbers_with_commas_are_told_how_they_are_written() {
    let remedy = |cell: &str| read(&Numbers, &text(cell)).unwrap_err().remedy;
    assert_eq!(remedy(" 3,5"), "write a point: `3.5`");
    assert_eq!(remedy("1.234,5"), "write a point: `1234.5`");
    assert_eq!(remedy("1,234,567"), "write `1234567`, without commas");
    assert_eq!(remedy("1,234.5"), "write `1234.5`, without commas");
    assert_eq!(remedy("1,234"), "write `1.234` or `1234`, without a comma");
    assert!(["high, low", ",", "a,5"].iter().all(|cell| remedy(cell) == numbers::UNKNOWN));
}

#[test]
fn no_label_is_unknown_where_train_has_none() {
    let mut table = LabelTable::open();
    table.close();
    for form in OF_CELLS.iter().filter(|form| form.least_labels().is_some()) {
        assert_eq!(form.read(&row(&text("x")), &mut table), Ok(TargetCell::Unknown));
    }
}

#[test]
fn tags_are_as_many_as_words() {
    assert_eq!(read(&Tags, &text("O B-x")), Ok(TargetCell::Tags(vec![0, 1])));
    assert_eq!(read(&Tags, &text("O")).unwrap_err().what, "row has 1 tag, expected 2, one per word");
}

#[test]
fn ids_may_be_joined_but_passages_keep_their_bars() {
    let named = |cell: &Cell, are_ids: bool| {
        let row = TargetRow { are_ids, ..row(cell) };
        match Passages.read(&row, &mut LabelTable::open()) {
            Ok(TargetCell::Passages { positives, .. }) => {
                positives.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(named(&text("d1|d2"), true), ["d1", "d2"]);
    assert_eq!(named(&text("a | b"), false), ["a | b"]);
    assert_eq!(named(&text("(3, 4)"), false), ["(3, 4)"]);
    assert_eq!(named(&Cell::List(vec![text("x"), Cell::Null]), false), ["x"]);
    assert_eq!(named(&Cell::Number(31_715_818.0), true), ["31715818"]);
    assert!(named(&text(""), true).is_empty());
}

#[test]
fn grades_have_bounds_and_other_numbers_have_none() {
    assert_eq!(Numbers.bounds(&[1.0, 5.0, 2.0, 4.0]), Some((1.0, 5.0)));
    assert_eq!(Numbers.bounds(&[0.0, 1.0]), Some((0.0, 1.0)));
    for other in
        [&[1.0, 2.5][..], &[0.0, 11.0], &[0.0, 10.0, 1.0], &[3.0, 3.0], &[1e300, 5.0], &[2015.0, 2016.0]]
    {
        assert_eq!(Numbers.bounds(other), None, "{other:?}");
    }
    assert_eq!(Closeness.bounds(&[1.0, 2.0]), None);
    assert_eq!(in_units(3.0, (3.0, 1.0), Some((1.0, 5.0))), 5.0);
    assert_eq!(in_units(3.0, (3.0, 1.0), None), 6.0);
    assert!(in_units(f32::NAN, (3.0, 1.0), Some((1.0, 5.0))).is_nan());
}

#[test]
fn answers_are_words_and_numbers_in_the_units_of_the_targets() {
    let labels = ["a".to_owned(), "b".to_owned()];
    let meaning = OutputMeaning { labels: &labels, scale: &[(1.0, 4.0)], bounds: &[Some((1.0, 5.0))] };
    let said = |form: &dyn TargetForm, outputs: &[f32]| form.answer(outputs, meaning);
    assert_eq!(said(&OneLabel, &[0.0, 9.0])["label"], "b");
    assert_eq!(said(&ManyLabels, &[-9.0, 9.0])["labels"], serde_json::json!(["b"]));
    assert_eq!(said(&Numbers, &[2.0]), serde_json::json!({ "value": 5.0 }));
    assert_eq!(said(&Numbers, &[0.5, 0.5]), serde_json::json!({ "values": [3.0, 0.5] }));
    assert_eq!(said(&Closeness, &[0.5]), serde_json::json!({ "cosine": 0.5, "score": 3.0 }));
    assert_eq!(said(&Tags, &[9.0, 0.0]), "a");
}

#[test]
fn names_of_forms_are_unique() {
    let mut named = std::collections::BTreeMap::new();
    for kind in crate::kind::KINDS {
        // A form is a struct of its own without fields: what it prints is its type's name.
        let form = format!("{:?}", kind.form);
        assert_eq!(*named.entry(kind.form.name()).or_insert(form.clone()), form);
    }
    let forms: std::collections::BTreeSet<&String> = named.values().collect();
    assert_eq!(forms.len(), named.len());
}
