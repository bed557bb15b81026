//! Tables: columns of numbers and categories, as training and a trained network read them.

use polytask_core::input::InputSpec;
use polytask_core::input::table::{ColumnForm, MISSING, OTHER, TableSpec};

use super::*;
use crate::{NoTexts, Symbols};

const TRAIN: &str =
    "id,age,job,vip,label\n1,40,clerk,true,yes\n2,20,?,false,no\n3,,nurse,false,yes\n4,60,clerk,,no\n";
const TEST: &str = "id,job,age,vip,label\n9,pilot,30,true,no\n10,nurse,?,false,yes\n";

fn suite(folder: &Folder) -> Suite {
    let mut suite = folder.suite(&[("t", "table-class")], &[]);
    suite.sources[0].missing = vec!["?".into()];
    suite
}

fn read(suite: &Suite) -> Dataset {
    build(suite, &NoTexts(suite.input())).unwrap()
}

fn spec(dataset: &Dataset) -> &TableSpec {
    let InputSpec::Table(spec) = &dataset.input else { panic!("{:?}", dataset.input) };
    spec
}

/// The symbols of each row of a split.
fn rows(dataset: &Dataset, split: Split) -> Vec<Vec<u32>> {
    let rows = &dataset.sources[0].splits[&split];
    assert_eq!(rows.n_inputs, 1);
    rows.texts.iter().map(|&row| dataset.texts.tokens(row).to_vec()).collect()
}

fn bits(number: f32) -> u32 {
    number.to_bits()
}

#[test]
fn a_row_is_a_symbol_per_column_and_categories_are_those_of_train() {
    let folder = Folder::new();
    folder.write("t/train.csv", TRAIN);
    folder.write("t/valid.csv", TEST);
    let suite = suite(&folder);
    let dataset = read(&suite);
    let spec = spec(&dataset);
    let names: Vec<&str> = spec.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["age", "job", "vip"], "neither the id nor the target is read");
    let names = vec!["clerk".to_owned(), "nurse".into()];
    assert_eq!(spec.columns[1].form, ColumnForm::Category { names });
    let ColumnForm::Number { mean, std, has_missing } = spec.columns[0].form else { panic!() };
    assert!((mean - 40.0).abs() < 1e-12 && (std - (800.0_f64 / 3.0).sqrt()).abs() < 1e-12 && has_missing);
    let (yes, no) = (bits(1.0), bits(0.0));
    assert_eq!(
        rows(&dataset, Split::Train),
        [[bits(40.0), 1, yes], [bits(20.0), MISSING, no], [MISSING, 2, no], [bits(60.0), 1, MISSING]]
    );
    // Columns are found by name, in any order.
    assert_eq!(rows(&dataset, Split::Valid), [[bits(30.0), OTHER, yes], [MISSING, 2, no]]);
    // A trained network reads its own columns and categories, whatever stands in the rows it is judged on.
    folder.write("t/train.csv", &TRAIN.replace("clerk", "pilot"));
    let again = build(&suite, &Symbols::Table(spec.clone())).unwrap();
    assert_eq!(rows(&again, Split::Train)[0], [bits(40.0), OTHER, yes]);
}

#[test]
fn the_suite_says_which_columns_are_read_and_which_numbers_are_categories() {
    let folder = Folder::new();
    folder.write("t/train.csv", "zip,age,x,label\n10,1,a,yes\n20,2,b,no\n10,3,c,no\n");
    folder.write("t/valid.csv", "zip,age,x,label\n10,1,a,yes\n20,2,b,no\n");
    let mut suite = suite(&folder);
    suite.sources[0].ignore = vec!["x".into()];
    suite.sources[0].categories = vec!["zip".into()];
    assert_eq!(rows(&read(&suite), Split::Train), [[1, bits(1.0)], [2, bits(2.0)], [1, bits(3.0)]]);
    suite.sources[0].features = vec!["age".into()];
    assert_eq!(
        rows(&build(&suite, &NoTexts(suite.input())).unwrap(), Split::Valid),
        [[bits(1.0)], [bits(2.0)]]
    );
}

#[test]
fn what_cannot_be_read_of_a_table_is_told_with_its_remedy() {
    let folder = Folder::new();
    let told = |train: &str, features: &[&str], ignore: &[&str]| {
        folder.write("t/train.csv", train);
        folder.write("t/valid.csv", train);
        let mut suite = suite(&folder);
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        (suite.sources[0].features, suite.sources[0].ignore) = (names(features), names(ignore));
        build(&suite, &NoTexts(suite.input())).unwrap_err().to_string()
    };
    let error = told("age,label\n1,yes\nold,no\n2,no\n", &[], &[]);
    for part in ["train.csv:3", "column `age`", "`old`", "categories = [\"age\"]"] {
        assert!(error.contains(part), "{part} is not in {error}");
    }
    let error = told("age,label\n1,yes\n1e99,no\n", &[], &[]);
    assert!(error.contains("train.csv:3") && error.contains("finite"), "{error}");
    let error = told("age,label\nold,yes\n1,no\n2,no\n3,yes\n", &[], &[]);
    for part in ["column `age`", "3 of 4", "`old` is none", "missing = [\"old\"]", "categories = [\"age\"]"] {
        assert!(error.contains(part), "{part} is not in {error}");
    }
    let (good, absent) = ("age,label\n1,yes\n2,no\n", told("age,label\n1,yes\n2,no\n", &["agee"], &[]));
    assert!(absent.contains("no column `agee`") && absent.contains("`age`"), "{absent}");
    let error = told(good, &[], &["age"]);
    assert!(error.contains("no column left to read"), "{error}");
}

#[test]
fn names_and_too_many_categories_are_said() {
    let folder = Folder::new();
    let rows: String =
        (0..1100).map(|i| format!("n{i},{},{}\n", i % 7, if i % 2 == 0 { "yes" } else { "no" })).collect();
    folder.write("t/train.csv", &format!("who,age,label\n{rows}"));
    folder.write("t/valid.csv", "who,age,label\nn1,2,yes\nn2,3,no\n");
    let warned = read(&suite(&folder)).warnings;
    assert!(
        warned.iter().any(|w| w.contains("`who`") && w.contains("100 cells") && w.contains("ignore")),
        "{warned:?}"
    );
    let rows: String =
        (0..60).map(|i| format!("n{i},{},{}\n", i % 7, if i % 2 == 0 { "yes" } else { "no" })).collect();
    folder.write("t/train.csv", &format!("who,age,label\n{rows}"));
    let warned = read(&suite(&folder)).warnings;
    assert!(warned.iter().any(|w| w.contains("60 different texts in 60 rows")), "{warned:?}");
}
