//! Tables: columns of numbers and categories, as training and a trained network read them.

use polytask_core::input::InputSpec;
use polytask_core::input::table::{ColumnForm, MISSING, TableSpec, category_symbol as of};

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

/// The note that has all of these words.
fn has_note(dataset: &Dataset, words: &[&str]) {
    let found = dataset.warnings.iter().any(|note| words.iter().all(|word| note.contains(word)));
    assert!(found, "{words:?} is in none of {:#?}", dataset.warnings);
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
        [
            [bits(40.0), of("clerk"), yes],
            [bits(20.0), MISSING, no],
            [MISSING, of("nurse"), no],
            [bits(60.0), of("clerk"), MISSING]
        ]
    );
    // Columns are found by name, in any order.
    assert_eq!(rows(&dataset, Split::Valid), [[bits(30.0), of("pilot"), yes], [MISSING, of("nurse"), no]]);
    has_note(&dataset, &["column `job`", "1 of 2 rows of valid", "does not know"]);
    // A trained network reads its own columns, whatever stands in the rows it is judged on.
    folder.write("t/train.csv", &TRAIN.replace("clerk", "pilot"));
    let again = build(&suite, &Symbols::Table(spec.clone())).unwrap();
    assert_eq!(rows(&again, Split::Train)[0], [bits(40.0), of("pilot"), yes]);
    assert_eq!(again.input, InputSpec::Table(spec.clone()));
}

#[test]
fn rows_are_the_same_whatever_is_read_of_them_and_in_whatever_order_they_come() {
    let folder = Folder::new();
    let lines: Vec<String> = (0..40).map(|i| format!("n{},{},{}\n", i % 3, i % 7, i % 2)).collect();
    let table = |lines: &[String]| format!("kind,size,label\n{}", lines.concat());
    let read_with = |lines: &[String], ignore: &[&str]| {
        folder.write("t/train.csv", &table(lines));
        let mut suite = folder.suite(&[("t", "table-class")], &[]);
        suite.sources[0].files.remove(&Split::Valid);
        suite.sources[0].ignore = ignore.iter().map(|&name| name.to_owned()).collect();
        let dataset = read(&suite);
        let mut keys = dataset.sources[0].splits[&Split::Valid].keys.clone();
        keys.sort_unstable();
        keys
    };
    let valid = read_with(&lines, &[]);
    assert!(!valid.is_empty() && valid.len() < 20);
    assert_eq!(read_with(&lines, &["kind"]), valid);
    let turned: Vec<String> = lines.into_iter().rev().collect();
    assert_eq!(read_with(&turned, &[]), valid);
}

#[test]
fn equal_rows_of_few_categories_lie_in_both_splits() {
    let folder = Folder::new();
    let rows: String = (0..1200)
        .map(|i| format!("{},{},{}\n", ["a", "b"][i % 2], ["x", "y"][i / 2 % 2], i / 4 % 2))
        .collect();
    folder.write("t/train.csv", &format!("kind,form,label\n{rows}"));
    let mut suite = folder.suite(&[("t", "table-class")], &[]);
    suite.sources[0].files.remove(&Split::Valid);
    let dataset = read(&suite);
    let splits = &dataset.sources[0].splits;
    assert!((80..160).contains(&splits[&Split::Valid].len()), "{}", splits[&Split::Valid].len());
    let distinct =
        |split: Split| splits[&split].texts.iter().collect::<std::collections::BTreeSet<_>>().len();
    assert_eq!((distinct(Split::Train), distinct(Split::Valid)), (4, 4));
}

#[test]
fn a_category_is_one_in_every_format() {
    let folder = Folder::new();
    folder.write("t/train.csv", "code,on,label\n1.0,True,yes\n2.0,False,no\n1.0,True,yes\n");
    folder.write("t/valid.jsonl", "{\"code\": 1, \"on\": true, \"label\": \"yes\"}\n{\"code\": \"2\", \"on\": \"false\", \"label\": \"no\"}\n");
    let mut suite = folder.suite(&[("t", "table-class")], &[]);
    suite.sources[0].files.insert(Split::Valid, "t/valid.jsonl".into());
    suite.sources[0].categories = vec!["code".into(), "on".into()];
    let dataset = read(&suite);
    assert_eq!(rows(&dataset, Split::Valid), [[of("1"), of("true")], [of("2"), of("false")]]);
    assert_eq!(rows(&dataset, Split::Train)[..2], rows(&dataset, Split::Valid)[..]);
}

#[test]
fn the_suite_says_which_columns_are_read_and_which_numbers_are_categories() {
    let folder = Folder::new();
    folder.write("t/train.csv", "zip,age,x,label\n10,1,a,yes\n20,2,b,no\n10,3,c,no\n");
    folder.write("t/valid.csv", "zip,age,x,label\n10,1,a,yes\n20,2,b,no\n");
    let mut suite = suite(&folder);
    suite.sources[0].ignore = vec!["x".into()];
    suite.sources[0].categories = vec!["zip".into()];
    let (ten, twenty) = (of("10"), of("20"));
    assert_eq!(rows(&read(&suite), Split::Train), [[ten, bits(1.0)], [twenty, bits(2.0)], [ten, bits(3.0)]]);
    suite.sources[0].features = vec!["age".into()];
    suite.sources[0].categories = vec![];
    assert_eq!(rows(&read(&suite), Split::Valid), [[bits(1.0)], [bits(2.0)]]);
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
    let has = |error: &str, parts: &[&str]| {
        parts.iter().for_each(|part| assert!(error.contains(part), "{part} is not in {error}"));
    };
    has(
        &told("age,label\n1,yes\nold,no\n2,no\n", &[], &[]),
        &["train.csv:3", "column `age`", "`old`", "categories = [\"age\"]"],
    );
    has(&told("age,label\n1,yes\n1e99,no\n", &[], &[]), &["train.csv:3", "finite"]);
    has(
        &told("age,label\nold,yes\n1,no\n2,no\n3,yes\n", &[], &[]),
        &["column `age`", "3 of 4", "`old` is none", "missing = [\"old\"]", "categories = [\"age\"]"],
    );
    has(
        &told("plz,age,label\n10115,1,yes\n01067,2,no\n1067,3,yes\n", &[], &[]),
        &["train.csv", "column `plz`", "`01067` begins with 0", "categories = [\"plz\"]"],
    );
    has(&told("age,label\n\"1,5\",yes\n\"2,5\",no\n", &[], &[]), &["column `age`", "1,5", "point"]);
    let good = "age,size,label\n1,2,yes\n2,3,no\n";
    has(&told(good, &["agee"], &[]), &["no column `agee`", "`features`", "`age`"]);
    has(&told(good, &[], &["agee"]), &["no column `agee`", "`ignore`"]);
    has(&told(good, &["age"], &["age"]), &["`features` and in `ignore`"]);
    has(&told(good, &["age", "label"], &[]), &["column `label` is the target"]);
    has(&told(good, &[], &["age", "size"]), &["no column left to read"]);
    has(&told("age,label\n1,yes\n1,no\n", &[], &[]), &["one value in train"]);
}

#[test]
fn sources_of_one_network_say_the_same_of_their_columns() {
    let folder = Folder::new();
    for name in ["a", "b"] {
        folder.write(&format!("{name}/train.csv"), "x,z,y\n1,5,3\n2,6,4\n3,7,9\n");
        folder.write(&format!("{name}/valid.csv"), "x,z,y\n1,5,3\n2,6,4\n");
    }
    let mut suite = folder.suite(&[("a", "table-regression"), ("b", "table-regression")], &[]);
    suite.tasks[0].columns.insert("value".into(), "y".into());
    suite.tasks[1].columns.insert("value".into(), "z".into());
    // What one task has to learn is no column of the other.
    let dataset = read(&suite);
    assert_eq!(spec(&dataset).columns.len(), 1);
    suite.sources[1].categories = vec!["x".into()];
    let error = build(&suite, &NoTexts(suite.input())).unwrap_err().to_string();
    assert!(error.contains("`categories` of source `b`") && error.contains("source `a`"), "{error}");
    // A trained network that reads a target says so.
    let columns = vec![polytask_core::input::table::TableColumn {
        name: "z".into(),
        form: ColumnForm::Number { mean: 0.0, std: 1.0, has_missing: false },
    }];
    suite.sources[1].categories = vec![];
    let known = Symbols::Table(TableSpec { columns, ..TableSpec::default() });
    let error = build(&suite, &known).unwrap_err().to_string();
    assert!(error.contains("column `z` is the target"), "{error}");
}

#[test]
fn what_train_says_nothing_about_is_not_read() {
    let folder = Folder::new();
    folder.write("t/train.csv", "e,c,k,age,label\n,7,a,1,yes\n,7,a,2,no\n,7,a,3,yes\n");
    folder.write("t/valid.csv", "e,c,k,age,label\n1,8,b,1,yes\n2,9,a,2,no\n");
    let dataset = read(&suite(&folder));
    let silent: Vec<&str> = spec(&dataset)
        .columns
        .iter()
        .filter(|column| column.form == ColumnForm::Silent)
        .map(|column| column.name.as_str())
        .collect();
    assert_eq!((silent, spec(&dataset).n_values()), (vec!["e", "c", "k"], 1));
    has_note(&dataset, &["column `e`", "no value in train"]);
    has_note(&dataset, &["column `c`", "one value in train"]);
}

#[test]
fn only_rows_that_are_trained_on_say_what_there_is() {
    let folder = Folder::new();
    let all: String = (0..200).map(|i| format!("n{i},{},{}\n", i % 9, i % 2)).collect();
    folder.write("t/train.csv", &format!("kind,size,label\n{all}"));
    folder.write("t/valid.csv", "kind,size,label\nn1,2,1\nn2,3,0\n");
    let mut suite = suite(&folder);
    suite.sources[0].limit = 50;
    let dataset = read(&suite);
    let ColumnForm::Category { names } = &spec(&dataset).columns[0].form else { panic!() };
    assert_eq!(names.len(), 50);
}

#[test]
fn what_is_odd_about_columns_is_said() {
    let folder = Folder::new();
    let label = |i: usize| if i.is_multiple_of(2) { "yes" } else { "no" };
    let read_rows = |header: &str, row: &dyn Fn(usize) -> String, n: usize| {
        let rows: String = (0..n).map(|i| format!("{},{}\n", row(i), label(i))).collect();
        folder.write("t/train.csv", &format!("{header},label\n{rows}"));
        folder.write("t/valid.csv", &format!("{header},label\n{},yes\n{},no\n", row(1), row(2)));
        read(&suite(&folder))
    };
    let dataset = read_rows("who,age", &|i| format!("n{i},{}", i % 7), 1100);
    has_note(&dataset, &["`who`", "1100 categories", "1000 most frequent", "ignore"]);
    let dataset = read_rows("who,age", &|i| format!("n{i},{}", i % 7), 60);
    has_note(&dataset, &["`who`", "60 different texts in 60 rows"]);
    let dataset = read_rows("nr,age", &|i| format!("{},{}", 3 * (i / 2) + i, i % 7), 60);
    assert!(!dataset.warnings.iter().any(|note| note.contains("`nr`")), "{:?}", dataset.warnings);
    let dataset = read_rows("nr,age", &|i| format!("{},{}", 100 + i, i % 7), 60);
    has_note(&dataset, &["`nr`", "rise from row to row"]);
    let dataset = read_rows("day,age", &|i| format!("2026-01-{:02},{}", i % 28 + 1, i % 7), 60);
    has_note(&dataset, &["`day`", "dates", "ignore"]);
    let dataset = read_rows("day,age", &|i| format!("{:02}.01.2026,{}", i % 28 + 1, i % 7), 60);
    has_note(&dataset, &["`day`", "dates"]);
    let dataset = read_rows("time,age", &|i| format!("{},{}", 1_764_000_000 + i * 7000 % 60_000, i % 7), 60);
    has_note(&dataset, &["`time`", "differences below", "lost"]);
    let dataset = read_rows("time,age", &|i| format!("{},{}", 1_764_000_000 + i % 60, i % 7), 60);
    has_note(&dataset, &["`time`", "less than f32 can tell"]);
    let dataset = read_rows("zip,age", &|i| format!("0{},{}", 1000 + i % 3, i % 7), 60);
    assert!(matches!(&spec(&dataset).columns[0].form, ColumnForm::Category { names } if names.len() == 3));
    // Columns of row numbers that programs write without a name are left out.
    let dataset = read_rows(",age", &|i| format!("{i},{}", i % 7), 60);
    assert_eq!(spec(&dataset).columns.len(), 1);
}

#[test]
fn a_column_that_later_rows_lack_or_bring_is_said() {
    let folder = Folder::new();
    folder.write("t/train.csv", "age,size,label\n1,5,yes\n2,6,no\n3,5,yes\n");
    folder.write("t/valid.csv", "age,label\n1,yes\n2,no\n");
    let dataset = read(&suite(&folder));
    has_note(&dataset, &["column `size` is not in valid", "unknown"]);
    assert_eq!(rows(&dataset, Split::Valid)[0], [bits(1.0), MISSING]);
    let late = |i: usize| if i < 150 { String::new() } else { ", \"late\": 4".into() };
    let lines: String =
        (0..200).map(|i| format!("{{\"age\": {}, \"label\": {}{}}}\n", i % 9, i % 2, late(i))).collect();
    folder.write("t/train.jsonl", &lines);
    folder.write("t/valid.jsonl", "{\"age\": 1, \"label\": 1}\n{\"age\": 2, \"label\": 0}\n");
    let mut suite = suite(&folder);
    suite.sources[0].files =
        [(Split::Train, "t/train.jsonl".into()), (Split::Valid, "t/valid.jsonl".into())].into();
    has_note(&read(&suite), &["1 key of later rows", "`late`", "features"]);
}

#[test]
fn tasks_on_one_file_have_the_same_rows_in_each_split() {
    let folder = Folder::new();
    let rows: String = (0..200).map(|i| format!("{},{},{}\n", i % 2, i % 3, i % 5)).collect();
    folder.write("t/train.csv", &format!("x,y,z\n{rows}"));
    let mut suite = folder.suite(&[("a", "table-regression"), ("b", "table-regression")], &[]);
    for (source, (task, target)) in [(0, (0, "y")), (1, (1, "z"))] {
        suite.sources[source].files = [(Split::Train, "t/train.csv".into())].into();
        suite.tasks[task].columns.insert("value".into(), target.into());
    }
    let dataset = read(&suite);
    let valid = |source: usize| &dataset.sources[source].splits[&Split::Valid];
    assert!(valid(0).len() > 5);
    assert_eq!(valid(0), valid(1));
}

#[test]
fn copies_are_counted_by_what_is_read_and_rows_of_one_id_stay_together() {
    let folder = Folder::new();
    let row = |i: usize, id: usize| format!("{id},{},{},{}\n", i % 50, i % 7, i % 2);
    let train: String = (0..150).map(|i| row(i, i)).collect();
    let test: String = (0..50).map(|i| row(i, 900 + i)).collect();
    folder.write("t/train.csv", &format!("id,age,size,label\n{train}"));
    folder.write("t/test.csv", &format!("id,age,size,label\n{test}"));
    let mut suite = folder.suite(&[("t", "table-class")], &[]);
    suite.sources[0].files =
        [(Split::Train, "t/train.csv".into()), (Split::Test, "t/test.csv".into())].into();
    let card = crate::card(&suite, &read(&suite));
    assert!(card.tasks[0].leaked["test"] > 10, "{:?}", card.tasks[0].leaked);
    let keys = |dataset: &Dataset| dataset.sources[0].splits[&Split::Valid].keys.clone();
    let valid = keys(&read(&suite));
    // A further column moves no row where rows have ids.
    let wider: String = (0..150).map(|i| format!("{},{}", i * 3, row(i, i))).collect();
    folder.write("t/train.csv", &format!("more,id,age,size,label\n{wider}"));
    suite.sources[0].ignore = vec!["more".into()];
    assert_eq!(keys(&read(&suite)), valid);
    let twice: String = (0..150).map(|i| row(i, i / 2)).collect();
    folder.write("t/train.csv", &format!("id,age,size,label\n{twice}"));
    suite.sources[0].ignore = vec![];
    let dataset = read(&suite);
    let splits = &dataset.sources[0].splits;
    assert!(splits[&Split::Valid].keys.iter().all(|key| !splits[&Split::Train].keys.contains(key)));
}

#[test]
fn columns_of_another_name_and_files_without_any_are_refused() {
    let folder = Folder::new();
    let told = |valid: &str, name: &str| {
        folder.write("t/train.csv", "age,job,label\n1,a,yes\n2,b,no\n3,a,yes\n");
        folder.write(name, valid);
        let mut suite = folder.suite(&[("t", "table-class")], &[]);
        suite.sources[0].files.insert(Split::Valid, name.into());
        build(&suite, &NoTexts(suite.input())).unwrap_err().to_string()
    };
    let error = told("Age,job,label\n1,a,yes\n2,b,no\n", "t/valid.csv");
    assert!(error.contains("no column `age`") && error.contains("rename the column `Age`"), "{error}");
    let error = told("years,work,label\n1,a,yes\n2,b,no\n", "t/valid.csv");
    assert!(error.contains("no column `age`") && error.contains("no column `job`"), "{error}");
    let error =
        told("{\"years\": 1, \"label\": \"yes\"}\n{\"years\": 2, \"label\": \"no\"}\n", "t/valid.jsonl");
    assert!(error.contains("no column `age`"), "{error}");
}

#[test]
fn a_suite_says_nothing_else_of_a_trained_networks_columns() {
    let folder = Folder::new();
    folder.write("t/train.csv", TRAIN);
    folder.write("t/valid.csv", TEST);
    let mut suite = suite(&folder);
    let known = Symbols::Table(spec(&read(&suite)).clone());
    let told = |change: &dyn Fn(&mut polytask_core::suite::SourceSpec)| {
        let mut suite = suite.clone();
        change(&mut suite.sources[0]);
        build(&suite, &known).unwrap_err().to_string()
    };
    for (error, parts) in [
        (told(&|source| source.ignore = vec!["age".into()]), ["column `age`", "leaves out"]),
        (told(&|source| source.categories = vec!["age".into()]), ["numbers of column `age`", "categories"]),
        (told(&|source| source.missing.push("clerk".into())), ["`clerk` means unknown", "missing"]),
    ] {
        parts.iter().for_each(|part| assert!(error.contains(part), "{part} is not in {error}"));
    }
    // Columns may be given by the names that files have for them.
    folder.write("t/train.csv", &TRAIN.replace("age", "years"));
    folder.write("t/valid.csv", &TEST.replace("age", "years"));
    suite.sources[0].columns.insert("age".into(), "years".into());
    let renamed = build(&suite, &known).unwrap();
    assert_eq!(rows(&renamed, Split::Train)[0][0], bits(40.0));
}

#[test]
fn a_column_that_one_source_leaves_empty_is_read_as_the_other_shows_it() {
    let folder = Folder::new();
    folder.write(
        "a/train.jsonl",
        "{\"x\": 1, \"late\": null, \"y\": 3}\n{\"x\": 2, \"late\": null, \"y\": 4}\n",
    );
    folder.write("a/valid.jsonl", "{\"x\": 1, \"late\": 7.5, \"y\": 3}\n{\"x\": 2, \"late\": 8, \"y\": 4}\n");
    folder.write("b/train.csv", "x,late,y\n1,2,3\n2,3,4\n");
    folder.write("b/valid.csv", "x,late,y\n1,2,3\n2,3,4\n");
    let mut suite = folder.suite(&[("a", "table-regression"), ("b", "table-regression")], &[]);
    suite.sources[0].files =
        [(Split::Train, "a/train.jsonl".into()), (Split::Valid, "a/valid.jsonl".into())].into();
    for task in &mut suite.tasks {
        task.columns.insert("value".into(), "y".into());
    }
    let dataset = read(&suite);
    let again = build(&suite, &Symbols::Table(spec(&dataset).clone())).unwrap();
    assert!(rows(&dataset, Split::Valid)[0].contains(&bits(7.5)));
    assert_eq!(rows(&dataset, Split::Valid), rows(&again, Split::Valid));
}

#[test]
fn texts_and_images_come_after_the_plain_columns_and_a_trained_network_reads_them_alike() {
    use crate::views::CellSymbols;
    use crate::{EncodedTable, Tokenizer};

    let folder = Folder::new();
    let idx = [&[0, 0, 8, 3][..], &[0, 0, 0, 2], &[0, 0, 0, 1], &[0, 0, 0, 2], &[5, 6, 7, 8]].concat();
    std::fs::write(folder.path().join("p-images-idx3-ubyte"), idx).unwrap();
    folder.write("t/train.csv", "photo,note,age,label\n../p-images-idx3-ubyte#1,ab,4,yes\n,,6,no\n");
    folder.write("t/valid.csv", "photo,note,age,label\n../p-images-idx3-ubyte#0,b,,no\n");
    let mut suite = suite(&folder);
    (suite.sources[0].texts, suite.sources[0].images) = (vec!["note".into()], vec!["photo".into()]);
    let tokenizer = Tokenizer::tiny();
    let cells = CellSymbols { tokenizer: Some(tokenizer.clone().into()), ..CellSymbols::default() };
    let dataset = build(&suite, &EncodedTable(cells.clone())).unwrap();
    let spec = spec(&dataset).clone();
    let forms: Vec<&ColumnForm> = spec.columns.iter().map(|column| &column.form).collect();
    assert!(
        matches!(forms[..], [ColumnForm::Number { .. }, ColumnForm::Text, ColumnForm::Image]),
        "{forms:?}"
    );
    assert_eq!(spec.image.map(polytask_core::image::ImageSize::len), Some(2));
    let text = |text: &str| {
        let tokens = tokenizer.encode(text).unwrap();
        [vec![tokens.len() as u32], tokens].concat()
    };
    let whole = [vec![bits(4.0)], text("ab"), vec![2, 7, 8]].concat();
    assert_eq!(rows(&dataset, Split::Train), [whole, vec![bits(6.0), 0, 0]]);
    let valid = rows(&dataset, Split::Valid);
    assert_eq!(valid, [[vec![MISSING], text("b"), vec![2, 5, 6]].concat()]);
    let again = build(&suite, &Symbols::Towers(spec, cells)).unwrap();
    assert_eq!(rows(&again, Split::Valid), valid);
}
