mod encodings;
mod tables;

use super::*;
use crate::testing::{Characters, Folder};
use crate::{Relevance, Targets};
use polytask_core::Error;
use std::path::PathBuf;

fn errors(folder: &Folder, suite: &Suite) -> Vec<String> {
    let error = folder.build(suite).unwrap_err();
    let Error::Invalid(problems) = error else { panic!("{error}") };
    let prefix = format!("{}/", folder.path().display());
    problems.iter().map(|problem| problem.to_string().replace(&prefix, "")).collect()
}

fn text(dataset: &Dataset, id: u32) -> String {
    let tokens = dataset.texts.tokens(id);
    tokens[1..tokens.len() - 1].iter().map(|&c| char::from_u32(c).unwrap()).collect()
}

fn inputs(dataset: &Dataset, source: usize, split: Split) -> Vec<String> {
    dataset.sources[source].splits[&split].texts.iter().map(|&id| text(dataset, id)).collect()
}

#[test]
fn tasks_of_one_source_share_rows_and_missing_targets_are_unknown_in_each() {
    let folder = Folder::new();
    folder.write(
        "sts/train.tsv",
        "sentence1\tsentence2\tscore\tentailment\na\tb\t4.5\tyes\nc\ta\t\tno\n\tb\t1\t\n",
    );
    folder.write("sts/valid.tsv", "sentence1\tsentence2\tscore\tentailment\na\td\tNaN\tno\ne\ta\t3\tyes\n");
    let suite = folder.suite(&[("sts", "similarity")], &[("entail", "pair-class", "sts")]);
    let dataset = folder.build(&suite).unwrap();
    assert_eq!(dataset.sources.len(), 1);
    assert_eq!(inputs(&dataset, 0, Split::Train), ["a", "b", "c", "a", "", "b"]);
    assert_eq!(dataset.texts.len(), 6, "equal texts have one id");
    let Targets::Numbers { values, .. } = &dataset.tasks[0].targets[&Split::Train] else { panic!() };
    assert!(values[0] == 4.5 && values[1].is_nan() && values[2] == 1.0);
    assert_eq!(dataset.tasks[0].scale, [(1.0, 3.5)]);
    assert_eq!(dataset.tasks[1].labels, ["no", "yes"]);
    assert_eq!(dataset.tasks[1].targets[&Split::Train], Targets::Label(vec![Some(1), Some(0), None]));
    assert_eq!(dataset.report_split(0), Split::Valid);
    assert!(dataset.warnings.iter().any(|w| w.contains("no test split")), "{:?}", dataset.warnings);
    assert_eq!(dataset.files.len(), 2);
}

#[test]
fn all_mistakes_of_all_sources_are_reported_with_their_lines() {
    let folder = Folder::new();
    folder.write("a/train.csv", "text,label\none,x\ntwo,y\n");
    folder.write("a/valid.csv", "text,label\nthree,z\nfour\nfive,x\n");
    folder.write(
        "b/train.jsonl",
        "{\"text\":\"t\",\"value\":\"high\"}\n{\"text\":null,\"value\":1}\n{\"value\":1}\n{\n",
    );
    folder.write("b/valid.jsonl", "{\"text\":\"t\",\"value\":1}\n");
    let suite = folder.suite(&[("a", "class"), ("b", "regression")], &[]);
    let errors = errors(&folder, &suite);
    let starts = [
        "a/valid.csv:2: column `label`: label `z` is unknown, expected one of the labels of train (2: x, y)",
        "a/valid.csv:3: row has 1 cell, expected 2",
        "b/train.jsonl:1: column `value`: value is `high`, expected a finite number",
        "b/train.jsonl:2: column `text`: null, expected a text",
        "b/train.jsonl:3: column `text`: absent, expected a text",
        "b/train.jsonl:4: broken JSON",
    ];
    assert_eq!(errors.len(), starts.len(), "{errors:#?}");
    for (error, start) in errors.iter().zip(starts) {
        assert!(error.starts_with(start) && error.contains("try: "), "{error}\n{start}");
    }
}

#[test]
fn twenty_mistakes_are_shown_and_none_of_another_source_is_hidden_by_them() {
    let folder = Folder::new();
    // Rows that differ in their number of cells are mistakes of their own.
    let row = |i: usize| format!("t{}\n", ",1".repeat(i + 2));
    let rows: String = (0..100).map(row).collect();
    folder.write("a/train.csv", &format!("text,value\n{rows}"));
    let suite = folder.suite(&[("a", "regression")], &[]);
    assert_eq!(errors(&folder, &suite).len(), 20);
    folder.write("b/train.csv", "text,label\none,x\n");
    folder.write("b/valid.csv", "text,label\n\"t\n");
    folder.write("c/train.csv", "body,label\none,x\n");
    let suite = folder.suite(&[("a", "regression"), ("b", "class"), ("c", "class")], &[]);
    let all = errors(&folder, &suite);
    let of = |name: &str| all.iter().filter(|error| error.starts_with(name)).count();
    assert_eq!((of("a/"), of("b/"), of("c/")), (18, 1, 1), "{all:#?}");
}

#[test]
fn columns_that_three_sources_lack_and_cells_of_their_other_tasks_are_told_in_one_round() {
    let folder = Folder::new();
    folder.write("a/train.csv", "text,topic\none,x\n");
    folder.write("b/train.csv", "text,topic,value\none,x,high\ntwo,y,2\n");
    folder.write("c/train.csv", "body,label\none,x\n");
    folder.write("d/train.csv", "text,label,value\none,x,1\ntwo,y,2\n");
    folder.write("d/valid.csv", "text,label,value\none,z,?\n");
    let own = [("a", "class"), ("b", "class"), ("c", "class"), ("d", "class")];
    let suite = folder.suite(&own, &[("b2", "regression", "b"), ("d2", "regression", "d")]);
    let starts = [
        "a/train.csv:1: no column for `label`",
        "b/train.csv:1: no column for `label`",
        "b/train.csv:2: column `value`: value is `high`",
        "c/train.csv:1: no column for `text`",
        "d/valid.csv:2: column `label`: label `z`",
        "d/valid.csv:2: column `value`: value is `?`",
    ];
    let errors = errors(&folder, &suite);
    assert_eq!(errors.len(), starts.len(), "{errors:#?}");
    for (error, start) in errors.iter().zip(starts) {
        assert!(error.starts_with(start), "{error}\n{start}");
    }
}

#[test]
fn what_a_whole_task_lacks_is_told_beside_the_mistakes_of_another_source() {
    let folder = Folder::new();
    folder.write("a/train.csv", "text,value\none,high\ntwo,2\n");
    folder.write("b/train.csv", "text,label\none,x\ntwo,y\n");
    folder.write("b/valid.csv", "text,label\nthree,x\nfour,x\n");
    let errors = errors(&folder, &folder.suite(&[("a", "regression"), ("b", "class")], &[]));
    assert_eq!(errors.len(), 2, "{errors:#?}");
    assert!(errors[1].starts_with("b/valid.csv: all 2 rows of valid of task `b`"), "{errors:?}");
}

#[test]
fn a_label_outside_the_declared_set_is_refused_even_in_train() {
    let folder = Folder::new();
    folder.write("a/train.csv", "text,label\none,x\ntwo,y\n");
    let mut suite = folder.suite(&[("a", "class")], &[]);
    suite.tasks[0].labels = Some(vec!["x".into(), "w".into()]);
    let errors = errors(&folder, &suite);
    assert!(errors[0].starts_with("a/train.csv:3: column `label`: label `y` is unknown"), "{errors:?}");
    assert!(errors[0].contains("the task's `labels` (2: x, w)"), "{errors:?}");
}

#[test]
fn a_missing_column_lists_those_found_and_the_names_expected() {
    let folder = Folder::new();
    folder.write("a/train.csv", "body,topic\none,x\n");
    let mut suite = folder.suite(&[("a", "class")], &[]);
    let both = errors(&folder, &suite);
    assert_eq!(both.len(), 2);
    assert!(both[0].contains("no column for `text` of task `a`: found `body`, `topic`, expected `text` or"));
    suite.sources[0].columns.insert("text".into(), "body".into());
    suite.tasks[0].columns.insert("label".into(), "topix".into());
    let one = errors(&folder, &suite);
    assert!(one.len() == 1 && one[0].contains("expected `topix`"), "{one:?}");
}

#[test]
fn a_column_that_is_not_there_is_told_with_the_near_name_and_the_line_of_the_suite() {
    let folder = Folder::new();
    folder.write("a/train.csv", "text,Dept.\none,x\n");
    let mut suite = folder.suite(&[("a", "class")], &[]);
    suite.tasks[0].columns.insert("label".into(), "dept.".into());
    suite.tasks[0].column_lines.insert("label".into(), 7);
    let expected = "a/train.csv:1: no column for `label` of task `a`: found `text`, `Dept.`, expected `dept.` (named \
                    in suite.toml:7)\n    try: the near name: columns = { label = \"Dept.\" }";
    assert_eq!(errors(&folder, &suite), [expected]);
}

#[test]
fn a_text_column_that_three_tasks_read_is_told_once_whatever_the_format() {
    let folder = Folder::new();
    folder.write("a/train.csv", "body,label,value,labels\none,x,1,y\n");
    let shared = [("b", "regression", "a"), ("c", "multilabel", "a")];
    let suite = folder.suite(&[("a", "class")], &shared);
    let found = errors(&folder, &suite);
    let start = "a/train.csv:1: no column for `text` of tasks `a`, `b`, `c`: found `body`, ";
    assert!(found.len() == 1 && found[0].starts_with(start), "{found:?}");
    let rows = |key: &str| {
        let row = |i| {
            format!("{{\"{key}\":[\"t{i}\"],\"label\":\"x\",\"value\":1,\"labels\":[],\"tags\":[\"O\"]}}\n")
        };
        (0..200).map(row).collect::<String>()
    };
    let folder = Folder::new();
    folder.write("a/train.jsonl", &rows("Tokens_"));
    folder.write("a/test.jsonl", &rows("Tokens_"));
    let mut suite = folder.suite(&[("a", "tagging")], &[shared[0], shared[1], ("d", "class", "a")]);
    suite.sources[0].columns.insert("tokens".into(), "tokens".into());
    let found = errors(&folder, &suite);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(
        found[0].starts_with("a/train.jsonl: no column for `tokens` of tasks `a`, `b`, `c`, `d` in any"),
        "{found:?}"
    );
    assert!(found[0].contains("of 200 rows: found `Tokens_`, `label`"), "{found:?}");
    assert!(found[0].ends_with("columns = { tokens = \"Tokens_\" }"), "{found:?}");
    suite.sources[0].columns.clear();
    let usual = errors(&folder, &suite);
    let start =
        "a/train.jsonl: no column for `tokens` of tasks `a`, `b`, `c`, `d` in any of 200 rows: found ";
    assert!(usual.len() == 1 && usual[0].starts_with(start), "{usual:?}");
    assert!(usual[0].contains("expected `tokens` or `text` or `words` or `sentence`"), "{usual:?}");
}

#[test]
fn a_column_that_valid_lacks_is_one_mistake_with_its_near_name() {
    let folder = Folder::new();
    folder.write("a/train.jsonl", "{\"text\":\"a\",\"label\":\"x\"}\n{\"text\":\"b\",\"label\":\"y\"}\n");
    folder.write("a/valid.jsonl", &"{\"Text\":\"c\",\"label\":\"x\"}\n".repeat(30));
    let expected = "a/valid.jsonl: no column `text` as in train: found `Text`, `label`\n    try: rename the column \
                    `Text` to `text`";
    assert_eq!(errors(&folder, &folder.suite(&[("a", "class")], &[])), [expected]);
}

#[test]
fn a_column_of_another_kind_is_one_mistake_that_names_the_kind() {
    let folder = Folder::new();
    folder.write("a/train.csv", &format!("text,value\n{}t,3\n", "t,good\nu,bad\n".repeat(20)));
    folder.write("b/train.csv", "a,b,score\nt,u,yes\nv,w,no\n");
    folder.write("b/valid.csv", "a,b,score\nx,u,yes\ny,w,no\n");
    let row = "{\"text\":\"one two\",\"label\":[\"O\",\"B-x\"]}\n";
    folder.write("c/train.jsonl", &row.repeat(3));
    let suite = folder.suite(&[("a", "regression"), ("b", "similarity"), ("c", "class")], &[]);
    let expected = [
        "a/train.csv: column `value`: 40 of 41 values are texts, such as `good`, `bad`, expected numbers\n    try: \
         kind = \"class\", with columns = { label = \"value\" }",
        "b/train.csv: column `score`: 2 of 2 values are texts, such as `yes`, `no`, expected numbers\n    try: kind = \
         \"pair-class\", with columns = { label = \"score\" }",
        "c/train.jsonl: column `label`: 3 of 3 values are lists as long as the words of their text, expected one \
         label\n    try: kind = \"tagging\", with columns = { tags = \"label\" }",
    ];
    assert_eq!(errors(&folder, &suite), expected);
    folder.write("a/train.csv", "text,value\na,\"3,5\"\nb,\"1,25\"\nc,2\n");
    folder.write("b/train.csv", "a,b,score\nt,u,\"3,5\"\nv,w,\"1,25\"\n");
    folder.write("b/valid.csv", "a,b,score\nt,u,\"4,5\"\n");
    folder.write("c/train.jsonl", "{\"text\":\"one two three\",\"label\":[\"O\",\"B-x\"]}\n");
    let found =
        errors(&folder, &folder.suite(&[("a", "regression"), ("c", "class"), ("b", "similarity")], &[]));
    assert_eq!(found.len(), 4, "{found:#?}");
    assert!(found[0].ends_with("a point: `3.5`") && found[1].ends_with("a point: `1.25`"), "{found:?}");
    assert!(found[2].contains("use kind `multilabel`"), "{found:?}");
    let expected = "b/train.csv: column `score`: 2 of 2 values are numbers with commas, such as `3,5`, `1,25`, expected \
                    none\n    try: write a point: `3.5`";
    assert_eq!(found[3], expected);
}

#[test]
fn a_column_of_ids_is_told_once_and_not_label_by_label() {
    let folder = Folder::new();
    let rows = |from: usize, to: usize| (from..to).map(|i| format!("t{i},id{i}\n")).collect::<String>();
    folder.write("a/train.csv", &format!("text,label\n{}", rows(0, 270)));
    let suite = folder.suite(&[("a", "class")], &[]);
    let warnings = folder.build(&suite).unwrap().warnings;
    let told = "column `label`: 270 labels in 270 rows of train: an id? expected labels that rows share";
    assert!(warnings.contains(&format!("task `a`: {told}")), "{warnings:?}");
    folder.write("a/valid.csv", &format!("text,label\n{}", rows(300, 330)));
    folder.write("a/test.csv", &format!("text,label\n{}", rows(400, 430)));
    let expected =
        format!("a/train.csv: {told}\n    try: the column of the labels: columns = {{ label = \"...\" }}");
    assert_eq!(errors(&folder, &folder.suite(&[("a", "class")], &[])), [expected]);
}

#[test]
fn a_train_split_without_a_known_target_is_all_that_is_told_of_a_task() {
    let folder = Folder::new();
    folder.write("a/train.csv", "text,label\none,\ntwo,\n");
    folder.write("a/valid.csv", "text,label\nthree,x\n");
    folder.write("a/test.csv", "text,label\nfour,x\nfive,y\n");
    folder.write("b/train.jsonl", "{\"text\":\"a b\",\"tags\":null}\n{\"text\":\"a\"}\n");
    folder.write("b/test.jsonl", "{\"text\":\"a b\",\"tags\":[\"O\",\"O\"]}\n");
    let found = errors(&folder, &folder.suite(&[("a", "class"), ("b", "tagging")], &[]));
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(
        found[0].starts_with("a/train.csv: task `a` has no row with a known target in train"),
        "{found:?}"
    );
    assert!(
        found[1].starts_with("b/train.jsonl: task `b` has no row with a known target in train"),
        "{found:?}"
    );
}

#[test]
fn labels_that_differ_in_case_and_a_train_split_of_one_label_are_warned_of_once() {
    let folder = Folder::new();
    let train = "text,label\na,Billing\nb,billing\nc,Refund\nd,new  tag\ne,New tag\nf,\" Refund \"\n";
    folder.write("a/train.csv", train);
    folder.write("a/valid.csv", "text,label\ng,billing\nh,Refund\n");
    folder.write("b/train.csv", "text,label\na,x\nb,x\nc,x\n");
    folder.write("b/valid.csv", "text,label\nd,x\ne,x\n");
    folder.write("b/test.csv", "text,label\nf,x\ng,x\n");
    folder.write("c/train.tsv", "text\ttags\na b\tO O\nb c\tO O\n");
    folder.write("c/valid.tsv", "text\ttags\na d\tO O\n");
    let suite = folder.suite(&[("a", "class"), ("b", "class"), ("c", "tagging")], &[]);
    let mut warnings = folder.build(&suite).unwrap().warnings;
    warnings.retain(|warning| !warning.contains("no test split"));
    let expected = [
        "task `a`: labels differ only in case, blanks or the form of letters: `Billing`, `billing`; `New tag`, `new  tag`; write each label \
         in one way",
        "task `b` has one label only in train, `x`: there is nothing to tell apart",
        "task `c` has one label only in train, `O`: there is nothing to tell apart",
    ];
    assert_eq!(warnings, expected);
}

#[test]
fn a_target_that_is_not_there_is_never_read_from_a_column_without_a_name() {
    let folder = Folder::new();
    folder.write("a/train.csv", ",text,value\n0,one,1\n1,two,2\n");
    folder.write("a/valid.csv", ",text,value\n7,three,1\n");
    let found = errors(&folder, &folder.suite(&[("a", "regression")], &[("b", "class", "a")]));
    assert!(found.len() == 1 && found[0].contains("no column for `label` of task `b`"), "{found:?}");
}

#[test]
fn a_target_key_that_no_json_row_has_is_a_mistake_but_some_rows_may_lack_it() {
    let folder = Folder::new();
    let rows: String = (0..150).map(|i| format!("{{\"text\":\"t{i}\"}}\n")).collect();
    folder.write("a/train.jsonl", &rows);
    let suite = folder.suite(&[("a", "class")], &[]);
    let errors = errors(&folder, &suite);
    let start = "a/train.jsonl: no column for `label` of task `a` in any of 150 rows: found `text`, expected `label` or";
    assert!(errors.len() == 1 && errors[0].starts_with(start), "{errors:?}");
    folder.write(
        "a/train.jsonl",
        &format!("{rows}{{\"text\":\"u\",\"label\":3}}\n{{\"text\":\"v\",\"label\":true}}\n"),
    );
    folder.write("a/valid.jsonl", "{\"text\":\"u\",\"label\":\"3\"}\n{\"text\":\"x\"}\n");
    let suite = folder.suite(&[("a", "class")], &[]);
    let dataset = folder.build(&suite).unwrap();
    assert_eq!(dataset.sources[0].splits[&Split::Train].len(), 152, "rows without a target stay");
    assert_eq!(dataset.tasks[0].labels, ["3", "true"]);
    assert_eq!(dataset.tasks[0].targets[&Split::Valid], Targets::Label(vec![Some(0), None]));
}

/// `n` rows of distinct texts.
fn many(n: usize, order: impl Fn(usize) -> usize) -> String {
    let rows: String = (0..n).map(|i| format!("t{},{}\n", order(i), order(i) % 3)).collect();
    format!("text,label\n{rows}")
}

#[test]
fn valid_is_cut_from_train_by_hash_whatever_the_order_of_rows() {
    let folder = Folder::new();
    folder.write("a/train.csv", &many(1000, |i| i));
    let suite = folder.suite(&[("a", "class")], &[]);
    let valid = |folder: &Folder| {
        let dataset = folder.build(&suite).unwrap();
        let (train, valid) = (inputs(&dataset, 0, Split::Train), inputs(&dataset, 0, Split::Valid));
        assert_eq!(train.len() + valid.len(), 1000);
        assert!(valid.iter().all(|text| !train.contains(text)));
        valid.into_iter().collect::<std::collections::BTreeSet<_>>()
    };
    let first = valid(&folder);
    assert!((70..130).contains(&first.len()), "{}", first.len());
    folder.write("a/train.csv", &many(1000, |i| 999 - i));
    assert_eq!(valid(&folder), first);
}

#[test]
fn a_limit_takes_rows_by_hash_and_leaves_the_share_of_valid_as_it_is() {
    let folder = Folder::new();
    folder.write("a/train.csv", &many(9000, |i| i));
    let mut suite = folder.suite(&[("a", "class")], &[]);
    suite.sources[0].limit = 400;
    let dataset = folder.build(&suite).unwrap();
    let (train, valid) = (inputs(&dataset, 0, Split::Train), inputs(&dataset, 0, Split::Valid));
    assert_eq!(train.len() + valid.len(), 400);
    assert!((20..65).contains(&valid.len()), "{}", valid.len());
    assert_eq!(dataset.texts.len(), 400, "texts beyond the limit are not tokenised");
    folder.write("a/train.csv", &many(9000, |i| 8999 - i));
    let reversed = folder.build(&suite).unwrap();
    let set = |texts: Vec<String>| texts.into_iter().collect::<std::collections::BTreeSet<_>>();
    assert_eq!(set(inputs(&reversed, 0, Split::Train)), set(train));
}

#[test]
fn thread_count_changes_nothing() {
    let folder = Folder::new();
    folder.write("a/train.csv", &many(20_000, |i| i));
    let mut suite = folder.suite(&[("a", "class")], &[]);
    let one = folder.build(&suite).unwrap();
    suite.train.threads = 3;
    assert_eq!(folder.build(&suite).unwrap(), one);
}

#[test]
fn empty_splits_and_one_sided_valid_files_are_mistakes() {
    let folder = Folder::new();
    folder.write("a/train.csv", "text,label\none,x\ntwo,y\n");
    folder.write("a/valid.csv", "text,label\n");
    let suite = folder.suite(&[("a", "class")], &[]);
    let found = errors(&folder, &suite);
    assert!(found[0].starts_with("a/valid.csv: valid split of source `a` has no rows"), "{found:?}");
    folder.write("a/valid.csv", "text,label\nthree,x\nfour,x\n");
    let found = errors(&folder, &suite);
    assert!(found[0].starts_with("a/valid.csv: all 2 rows of valid of task `a` have label `x`"), "{found:?}");
    folder.write("a/train.csv", "text,label\none,\ntwo,\n");
    folder.write("a/valid.csv", "text,label\nthree,\n");
    let found = errors(&folder, &suite);
    assert!(found[0].contains("task `a` has no row with a known target in train"), "{found:?}");
    folder.write("a/train.csv", "");
    assert!(errors(&folder, &suite)[0].starts_with("a/train.csv: file is empty"));
}

#[test]
fn several_numbers_keep_their_gaps_and_are_scaled_one_by_one() {
    let folder = Folder::new();
    folder.write("a/train.jsonl", "{\"text\":\"a\",\"value\":[1,null]}\n{\"text\":\"b\",\"value\":[3,10]}\n{\"text\":\"c\",\"value\":null}\n");
    folder.write("a/valid.jsonl", "{\"text\":\"d\",\"value\":[1,2]}\n");
    let suite = folder.suite(&[("a", "regression")], &[]);
    let dataset = folder.build(&suite).unwrap();
    let targets = &dataset.tasks[0].targets[&Split::Train];
    let Targets::Numbers { width: 2, values } = targets else { panic!("{targets:?}") };
    assert!(values[1].is_nan() && values[4].is_nan() && values[5].is_nan() && values[3] == 10.0);
    assert!(targets.is_known(0) && !targets.is_known(2));
    assert_eq!(dataset.tasks[0].scale, [(2.0, 1.0), (10.0, 1.0)]);
    assert!(dataset.warnings.iter().any(|w| w.contains("number 1 is 10 in all rows")));
    folder.write("a/valid.jsonl", "{\"text\":\"d\",\"value\":[1]}\n");
    assert!(
        errors(&folder, &suite)[0].contains("a/valid.jsonl:1: column `value`: row has 1 number, expected 2")
    );
}

#[test]
fn words_carry_tags_and_share_their_rows_with_a_class_task() {
    let folder = Folder::new();
    folder.write("s/train.tsv", "intent\ttext\tslots\nplay\tadd x now\tO B-t O\nstop\thalt\t\n");
    folder.write("s/valid.tsv", "intent\ttext\tslots\nplay\tx\tB-t\nstop\ty\tO\n");
    let suite = folder.suite(&[("s", "tagging")], &[("intent", "class", "s")]);
    let dataset = folder.build(&suite).unwrap();
    assert_eq!(dataset.tasks[0].labels, ["B-t", "O"]);
    assert_eq!(dataset.tasks[0].targets[&Split::Train], Targets::Tags(vec![Some(vec![1, 0, 1]), None]));
    let first = dataset.sources[0].splits[&Split::Train].inputs(0)[0];
    assert_eq!(dataset.texts.word_starts(first).unwrap(), [1, 4, 5]);
    assert_eq!(dataset.tasks[1].targets[&Split::Train], Targets::Label(vec![Some(0), Some(1)]));
    folder.write("s/valid.tsv", "intent\ttext\tslots\nplay\tx y\tB-t\n");
    let found = errors(&folder, &suite);
    assert!(found[0].starts_with("s/valid.tsv:2: column `slots`: row has 1 tag, expected 2"), "{found:?}");
}

#[test]
fn several_labels_are_ascending_and_known_when_empty() {
    let folder = Folder::new();
    folder.write(
        "m/train.jsonl",
        "{\"text\":\"a\",\"labels\":[\"z\",\"b\"]}\n{\"text\":\"b\",\"labels\":[]}\n{\"text\":\"c\"}\n",
    );
    folder.write("m/valid.jsonl", "{\"text\":\"d\",\"labels\":\"z|b\"}\n");
    let dataset = folder.build(&folder.suite(&[("m", "multilabel")], &[])).unwrap();
    let train = Targets::Labels(vec![Some(vec![0, 1]), Some(vec![]), None]);
    assert_eq!(dataset.tasks[0].targets[&Split::Train], train);
    assert_eq!(dataset.tasks[0].targets[&Split::Valid], Targets::Labels(vec![Some(vec![0, 1])]));
}

#[test]
fn weights_come_from_the_source_or_the_task_and_must_not_be_negative() {
    let folder = Folder::new();
    folder.write("a/train.csv", "text,label,w,v\none,x,0.5,2\ntwo,y,2,3\n");
    folder.write("a/valid.csv", "text,label,w,v\nthree,x,1,1\nfour,y,1,1\n");
    let mut suite = folder.suite(&[("a", "class")], &[("b", "class", "a")]);
    suite.sources[0].columns.insert("weight".into(), "w".into());
    suite.tasks[1].columns.insert("weight".into(), "v".into());
    let dataset = folder.build(&suite).unwrap();
    assert_eq!(dataset.weights(0, Split::Train), [0.5, 2.0]);
    assert_eq!(dataset.weights(1, Split::Train), [2.0, 3.0]);
    folder.write("a/train.csv", "text,label,w,v\none,x,-0.5,2\ntwo,y,NaN,3\nthree,y,1,1\n");
    let found = errors(&folder, &suite);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].starts_with("a/train.csv:2: column `w`: weight is `-0.5`, expected a number of at least 0")
    );
}

#[test]
fn inline_passages_make_the_corpus_each_text_once() {
    let folder = Folder::new();
    folder.write(
        "r/train.jsonl",
        "{\"query\":\"q1\",\"pos\":[\"p1\",\"p2\"],\"neg\":[\"p3\"]}\n{\"query\":\"q2\",\"pos\":\"p1\",\"neg\":[]}\n{\"query\":\"q3\",\"pos\":null}\n",
    );
    folder.write("r/valid.jsonl", "{\"query\":\"q4\",\"pos\":[\"p4\"]}\n");
    let dataset = folder.build(&folder.suite(&[("r", "retrieval")], &[])).unwrap();
    let task = &dataset.tasks[0];
    let corpus: Vec<String> = task.corpus.iter().map(|&id| text(&dataset, id)).collect();
    assert_eq!(corpus, ["p1", "p2", "p3", "p4"]);
    let Targets::Passages(rows) = &task.targets[&Split::Train] else { panic!() };
    assert_eq!(
        rows[0],
        Relevance { positives: vec![(0, 1.0), (1, 1.0)], negatives: vec![2], ..Relevance::default() }
    );
    assert_eq!(rows[1].positives, [(0, 1.0)]);
    assert!(!task.targets[&Split::Train].is_known(2));
}

/// A BEIR folder whose suite names corpus, queries and judgements.
fn beir(folder: &Folder) -> Suite {
    folder.write(
        "r/corpus.jsonl",
        "{\"_id\":\"d1\",\"title\":\"T\",\"text\":\"x\"}\n{\"_id\":\"d2\",\"title\":\"\",\"text\":\"y\"}\n",
    );
    folder.write(
        "r/queries.jsonl",
        "{\"_id\":\"1\",\"text\":\"q1\"}\n{\"_id\":\"2\",\"text\":\"q2\"}\n{\"_id\":\"3\",\"text\":\"q3\"}\n",
    );
    folder.write("r/qrels/train.tsv", "query-id\tcorpus-id\tscore\n2\td2\t2\n2\td1\t0\n1\td1\t1\n");
    folder.write("r/qrels/test.tsv", "3 0 d2 1\n");
    let mut suite = folder.suite(&[("r", "retrieval")], &[]);
    let source = &mut suite.sources[0];
    source.corpus = Some("r/corpus.jsonl".into());
    source.queries = Some("r/queries.jsonl".into());
    source.qrels.insert(Split::Train, PathBuf::from("r/qrels/train.tsv"));
    source.qrels.insert(Split::Test, PathBuf::from("r/qrels/test.tsv"));
    source.valid = 0.5;
    suite
}

#[test]
fn a_beir_folder_gives_judged_queries_per_split_with_grades() {
    let folder = Folder::new();
    let suite = beir(&folder);
    let dataset = folder.build(&suite).unwrap();
    let task = &dataset.tasks[0];
    assert_eq!(task.corpus.iter().map(|&id| text(&dataset, id)).collect::<Vec<_>>(), ["T x", "y"]);
    assert_eq!(task.corpus_ids, ["d1", "d2"]);
    assert_eq!(inputs(&dataset, 0, Split::Test), ["q3"]);
    let mut train = [inputs(&dataset, 0, Split::Train), inputs(&dataset, 0, Split::Valid)].concat();
    train.sort_unstable();
    assert_eq!(train, ["q1", "q2"]);
    let all: Vec<Relevance> = [Split::Train, Split::Valid]
        .into_iter()
        .flat_map(
            |split| if let Targets::Passages(rows) = &task.targets[&split] { rows.clone() } else { vec![] },
        )
        .collect();
    assert!(
        all.contains(&Relevance {
            positives: vec![(1, 2.0)],
            negatives: vec![0],
            own: None,
            query: Some("2".into())
        }),
        "{all:?}"
    );
    assert_eq!(dataset.files.len(), 4);
}

#[test]
fn queries_of_the_corpus_are_known_by_their_id_and_queries_without_an_answer_are_counted() {
    let folder = Folder::new();
    let suite = beir(&folder);
    folder.write(
        "r/queries.jsonl",
        "{\"_id\":\"1\",\"text\":\"q1\"}\n{\"_id\":\"2\",\"text\":\"q2\"}\n{\"_id\":\"d1\",\"text\":\"x\"}\n{\"_id\":\"4\",\"text\":\"q4\"}\n",
    );
    folder.write("r/qrels/test.tsv", "d1 0 d2 1\n4 0 d1 0\n");
    let dataset = folder.build(&suite).unwrap();
    let Targets::Passages(rows) = &dataset.tasks[0].targets[&Split::Test] else { panic!() };
    assert_eq!(rows.iter().map(|row| row.own).collect::<Vec<_>>(), [Some(0), None]);
    let expected = "no passage is graded above 0 for 1 of 2 judged queries in test: they are left out";
    assert!(dataset.warnings.iter().any(|said| said.contains(expected)), "{:?}", dataset.warnings);
}

#[test]
fn texts_are_read_with_the_prompt_of_their_side_and_stay_equal_without_it() {
    let folder = Folder::new();
    let mut suite = beir(&folder);
    let queries = [("1", "q1"), ("2", "q2"), ("3", "y")];
    let line = |(id, text): (&str, &str)| format!("{{\"_id\":\"{id}\",\"text\":\"{text}\"}}\n");
    folder.write("r/queries.jsonl", &queries.map(line).concat());
    let plain = folder.build(&suite).unwrap();
    suite.sources[0].prompts = [("query", "q:"), ("passage", "p:")].map(|(r, p)| (r.into(), p.into())).into();
    let dataset = folder.build(&suite).unwrap();
    let query = |of: &crate::Dataset| of.rows(0, Split::Test).unwrap().inputs(0)[0];
    assert_eq!(text(&dataset, query(&dataset)), "q:y");
    let corpus = &dataset.tasks[0].corpus;
    assert_eq!(corpus.iter().map(|&id| text(&dataset, id)).collect::<Vec<_>>(), ["p:T x", "p:y"]);
    for data in [&plain, &dataset] {
        let is_text = [0, 1].map(|passage| data.tasks[0].is_text_of(passage, query(data)));
        assert_eq!(is_text, [false, true], "the second passage has the query's text");
    }
    let splits =
        |of: &crate::Dataset| of.sources[0].splits.values().map(crate::Rows::len).collect::<Vec<_>>();
    assert_eq!(splits(&dataset), splits(&plain));
}

#[test]
fn unknown_passages_unknown_queries_and_doubled_ids_are_mistakes() {
    let folder = Folder::new();
    let suite = beir(&folder);
    folder.write("r/qrels/test.tsv", "3\td9\t1\n7\td1\t1\n");
    let found = errors(&folder, &suite);
    assert!(found[0].starts_with("r/qrels/test.tsv:1: passage `d9` is not in the corpus"), "{found:?}");
    assert!(
        found[1].starts_with("r/qrels/test.tsv:2: judged query `7` is not among the queries"),
        "{found:?}"
    );
    folder.write(
        "r/corpus.jsonl",
        "{\"_id\":\"d1\",\"text\":\"x\"}\n{\"_id\":\"d1\",\"text\":\"y\"}\n{\"text\":\"z\"}\n",
    );
    let found = errors(&folder, &suite);
    assert!(found[0].starts_with("r/corpus.jsonl:2: two passages have the id `d1`"), "{found:?}");
    assert!(found[1].starts_with("r/corpus.jsonl:3: passage has no id"), "{found:?}");
}

#[test]
fn rows_may_name_passages_of_a_corpus_file_by_id() {
    let folder = Folder::new();
    folder.write("occupations.tsv", "code\ttitle\tdescription\n1.0\tChef\tcooks\n2.0\tNurse\tcares\n");
    folder.write("r/train.tsv", "title\tcodes\ncook\t1.0\nmedic\t2.0|1.0\n");
    folder.write("r/valid.tsv", "title\tcodes\ncarer\t2.0\n");
    let mut suite = folder.suite(&[("r", "retrieval")], &[]);
    suite.sources[0].corpus = Some("occupations.tsv".into());
    suite.sources[0].columns.insert("query".into(), "title".into());
    suite.tasks[0].columns.insert("positives".into(), "codes".into());
    let dataset = folder.build(&suite).unwrap();
    assert_eq!(text(&dataset, dataset.tasks[0].corpus[0]), "Chef cooks");
    let Targets::Passages(rows) = &dataset.tasks[0].targets[&Split::Train] else { panic!() };
    assert_eq!(rows[1].positives, [(0, 1.0), (1, 1.0)]);
}

#[test]
fn tasks_of_one_source_with_other_texts_are_refused() {
    let folder = Folder::new();
    folder.write("a/train.csv", "sentence1,sentence2,text,label,score\na,b,c,x,1\n");
    let suite = folder.suite(&[("a", "similarity")], &[("c", "class", "a")]);
    let found = errors(&folder, &suite);
    assert!(found[0].contains("task `c` reads `text`, but the rows of source `a`"), "{found:?}");
    folder.write("a/valid.csv", "sentence1,sentence2,text,label,score\na,b,c,x,1\n");
    let mut suite = folder.suite(&[("a", "similarity")], &[("c", "class", "a")]);
    suite.tasks[1].columns.insert("text".into(), "sentence1".into());
    assert_eq!(folder.build(&suite).unwrap().sources[0].splits[&Split::Train].n_inputs, 2);
}

#[test]
fn cut_texts_are_counted_and_progress_is_told() {
    let folder = Folder::new();
    folder.write("a/train.csv", "text,label\na text beyond the limit,x\nb,y\n");
    folder.write("a/valid.csv", "text,label\nc,x\nd,y\n");
    let suite = folder.suite(&[("a", "class")], &[]);
    let mut rows = 0;
    let dataset = build_with(&suite, &Characters, &mut |progress| rows = progress.rows.max(rows)).unwrap();
    assert_eq!((dataset.truncated.len(), rows), (1, 2));
    assert_eq!(dataset.folded.len(), dataset.texts.len());
}

#[test]
fn a_missing_file_says_which() {
    let folder = Folder::new();
    let mut suite = folder.suite(&[("a", "class")], &[]);
    assert!(folder.build(&suite).unwrap_err().to_string().contains("source `a` has no train file"));
    suite.sources[0].files.insert(Split::Train, "a/none.csv".into());
    assert!(folder.build(&suite).unwrap_err().to_string().contains("a/none.csv"));
}

#[test]
fn a_task_is_reported_on_test_where_it_has_a_known_target_there_else_on_valid() {
    let folder = Folder::new();
    folder.write("a/train.csv", "text,value,other\none,1,1\ntwo,2,2\n");
    folder.write("a/valid.csv", "text,value,other\nthree,1,1\nfour,2,\n");
    folder.write("a/test.csv", "text,value,other\nfive,,\nsix,,3\n");
    let mut suite = folder.suite(&[("a", "regression")], &[("b", "regression", "a")]);
    suite.tasks[1].columns.insert("value".into(), "other".into());
    let dataset = folder.build(&suite).unwrap();
    assert_eq!([dataset.report_split(0), dataset.report_split(1)], [Split::Valid, Split::Test]);
}

#[test]
fn a_task_that_nothing_can_judge_is_a_mistake_and_one_known_target_is_enough() {
    let folder = Folder::new();
    folder.write("a/train.csv", "text,value\none,1\ntwo,2\n");
    folder.write("a/valid.csv", "text,value\nthree,\n");
    folder.write("a/test.csv", "text,value\nfour,\nfive,NaN\n");
    let suite = folder.suite(&[("a", "regression")], &[]);
    let errors = errors(&folder, &suite);
    let start = "a/valid.csv: task `a` has no known target to be judged by: none in 1 row of valid and 2 rows of \
                 test, expected at least one";
    assert!(errors.len() == 1 && errors[0].starts_with(start), "{errors:?}");
    assert!(errors[0].contains("try: fill the target's column"), "{errors:?}");
    folder.write("a/test.csv", "text,value\nfour,\nfive,3\n");
    assert!(folder.build(&suite).is_ok());
}

#[test]
fn a_file_of_the_suite_that_is_gone_is_told_with_where_relative_paths_start() {
    let folder = Folder::new();
    folder.write("a/train.csv", "text,value\none,1\ntwo,2\n");
    let suite = folder.suite(&[("a", "regression")], &[]);
    std::fs::remove_file(folder.path().join("a/train.csv")).unwrap();
    let error = folder.build(&suite).unwrap_err().to_string();
    assert!(error.contains("suite.toml: file `a/train.csv` does not exist"), "{error}");
    assert!(error.contains("relative paths start at the suite file's folder"), "{error}");
}

#[test]
fn labels_of_a_cell_are_cut_at_the_separator_of_the_task() {
    let folder = Folder::new();
    folder.write("m/train.csv", "text,labels\none,b; a\ntwo,a|b\n");
    let mut suite = folder.suite(&[("m", "multilabel")], &[]);
    suite.tasks[0].separator = Some(";".into());
    assert_eq!(folder.build(&suite).unwrap().tasks[0].labels, ["a", "a|b", "b"]);
}

#[test]
fn two_texts_of_a_cross_task_are_one_sequence_and_a_pair_in_either_order_is_the_same_leak() {
    let folder = Folder::new();
    folder.write("a/train.tsv", "a\tb\tlabel\nx\ty\tyes\ny\tx\tno\nx\ty\tno\n");
    folder.write("a/valid.tsv", "a\tb\tlabel\nX\tz\tyes\n");
    let dataset = folder.build(&folder.suite(&[("a", "cross-class")], &[])).unwrap();
    let train = &dataset.sources[0].splits[&Split::Train];
    assert_eq!((train.n_inputs, train.texts.clone(), train.raw.len()), (1, vec![0, 1, 0], 0));
    let marked = polytask_core::SECOND_TEXT;
    assert_eq!(dataset.texts.tokens(0), [1, u32::from('x'), 2, u32::from('y') | marked, 2 | marked]);
    assert_eq!((dataset.folded[0], dataset.folded[0] == dataset.folded[2]), (dataset.folded[1], false));
}

#[test]
fn texts_are_kept_where_a_teacher_will_read_them() {
    let folder = Folder::new();
    let rows: String = (0..40).map(|i| format!("a {i}\tb {i}\tyes\n")).collect();
    folder.write("a/train.tsv", &format!("a\tb\tlabel\n{rows}"));
    let mut suite = folder.suite(&[("a", "pair-class")], &[]);
    let teacher = polytask_core::suite::TeacherSpec {
        out_of_fold: false,
        model: vec!["x".into()],
        task: None,
        loss: polytask_core::method::Choice::named("logit-mse"),
        alpha: 0.5,
    };
    suite.tasks[0].teacher = Some(teacher);
    let dataset = folder.build(&suite).unwrap();
    let train = &dataset.sources[0].splits[&Split::Train];
    assert!(train.len() > 20 && train.len() < 40, "part of the rows became valid");
    for (i, raw) in train.raw.chunks(2).enumerate() {
        assert_eq!([text(&dataset, train.inputs(i)[0]), text(&dataset, train.inputs(i)[1])], raw[..2]);
    }
    assert_eq!(train.raw.len(), 2 * train.len());
    assert!(dataset.sources[0].splits[&Split::Valid].raw.is_empty());
}
