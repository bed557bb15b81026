//! One column in the ways people write it: the same targets, or a mistake that says what cannot be told.

use super::*;

/// The rows of three tagged sentences, words and tags of each in one way of writing lists.
fn tagged(list: impl Fn(&[&str]) -> String) -> String {
    let rows: [(&[&str], &[&str]); 3] = [
        (&["Bruno", "isn't", "in", "York,", "PA"], &["B-PER", "O", "O", "B-LOC", "I-LOC"]),
        (&["say", "\"hi\""], &["O", "O"]),
        (&["10\u{a0}000", "left"], &["O", "O"]),
    ];
    let quoted = |cell: String| format!("\"{}\"", cell.replace('"', "\"\""));
    let line =
        |(words, tags): &(&[&str], &[&str])| format!("{},{}\n", quoted(list(words)), quoted(list(tags)));
    format!("tokens,tags\n{}", rows.iter().map(line).collect::<String>())
}

/// A word as Python prints it.
fn python(word: &str) -> String {
    if word.contains('\'') { format!("\"{word}\"") } else { format!("'{}'", word.replace('\u{a0}', "\\xa0")) }
}

#[test]
fn words_and_tags_are_the_same_in_every_way_of_printing_lists() {
    let joined = |by: &'static str| {
        move |words: &[&str]| format!("[{}]", words.iter().map(|w| python(w)).collect::<Vec<_>>().join(by))
    };
    let read = |text: &str| {
        let folder = Folder::new();
        folder.write("a/train.csv", text);
        folder.write("a/valid.csv", text);
        let dataset = folder.build(&folder.suite(&[("a", "tagging")], &[])).unwrap();
        (
            dataset.tasks[0].labels.clone(),
            dataset.tasks[0].targets[&Split::Train].clone(),
            inputs(&dataset, 0, Split::Train),
        )
    };
    let json = read(&tagged(|words| serde_json::to_string(words).unwrap()));
    assert_eq!(json.0, ["B-LOC", "B-PER", "I-LOC", "O"]);
    assert_eq!(read(&tagged(joined(", "))), json, "Python");
    assert_eq!(read(&tagged(joined(" "))), json, "numpy");
    assert_eq!(read(&tagged(joined("\n "))), json, "numpy, over several lines");
}

#[test]
fn sets_of_labels_are_the_same_in_every_way_of_printing_lists() {
    let ways: [fn(&[&str]) -> String; 5] = [
        |labels| serde_json::to_string(labels).unwrap(),
        |labels| labels.join("|"),
        |labels| format!("[{}]", labels.iter().map(|label| python(label)).collect::<Vec<_>>().join(", ")),
        |labels| format!("[{}]", labels.iter().map(|label| python(label)).collect::<Vec<_>>().join(" ")),
        |labels| format!("{{{}}}", labels.iter().map(|label| python(label)).collect::<Vec<_>>().join(", ")),
    ];
    let read = |way: fn(&[&str]) -> String| {
        let rows: [&[&str]; 4] =
            [&["app"], &["billing", "app"], &["delivery", "billing"], &["app", "delivery"]];
        let row = |(i, labels): (usize, &&[&str])| format!("t{i}\t{}\n", way(labels));
        let text = format!("text\tlabels\n{}", rows.iter().enumerate().map(row).collect::<String>());
        let folder = Folder::new();
        folder.write("a/train.tsv", &text);
        folder.write("a/valid.tsv", &text);
        let dataset = folder.build(&folder.suite(&[("a", "multilabel")], &[])).unwrap();
        (dataset.tasks[0].labels.clone(), dataset.tasks[0].targets[&Split::Train].clone())
    };
    let expected = read(ways[0]);
    assert_eq!(expected.0, ["app", "billing", "delivery"]);
    for way in ways {
        assert_eq!(read(way), expected, "{}", way(&["app", "billing"]));
    }
}

#[test]
fn a_list_that_numpy_shortened_is_a_mistake() {
    let folder = Folder::new();
    folder.write("a/train.tsv", "text\tlabels\none\t['a' 'b' ... 'z']\ntwo\t['a' 'b']\n");
    folder.write("a/valid.tsv", "text\tlabels\nthree\t['a' 'b']\n");
    let found = errors(&folder, &folder.suite(&[("a", "multilabel")], &[]));
    let expected = "a/train.tsv:2: column `labels`: list `['a' 'b' ... 'z']` was shortened when it was printed, expected all of it";
    assert!(found.len() == 1 && found[0].starts_with(expected), "{found:?}");
}

/// A suite of one task on a file of train, which is valid and test, too.
fn one(kind: &str, text: &str) -> (Folder, Suite) {
    let folder = Folder::new();
    for split in Split::ALL {
        folder.write(&format!("a/{}.tsv", split.name()), text);
    }
    let suite = folder.suite(&[("a", kind)], &[]);
    (folder, suite)
}

/// Labels and targets of train.
fn labelled(folder: &Folder, suite: &Suite) -> (Vec<String>, Targets) {
    let dataset = folder.build(suite).unwrap();
    (dataset.tasks[0].labels.clone(), dataset.tasks[0].targets[&Split::Train].clone())
}

fn names(labels: &[&str]) -> Vec<String> {
    labels.iter().map(|&label| label.to_owned()).collect()
}

#[test]
fn zeros_and_ones_are_read_with_declared_labels_and_else_refused() {
    for [first, second] in [
        ["[1, 0, 1]", "[0, 1, 0]"],
        ["[1.0, 0.0, 1.0]", "[0.0, 1.0, 0.0]"],
        ["[1 0 1]", "[0 1 0]"],
        ["[1. 0. 1.]", "[0. 1. 0.]"],
        ["[true, false, true]", "[false, true, false]"],
        ["[True, False, True]", "[False, True, False]"],
    ] {
        let (folder, mut suite) = one("multilabel", &format!("text\tlabels\nt\t{first}\nu\t{second}\n"));
        let found = errors(&folder, &suite);
        let expected = "a/train.tsv:2: column `labels`: a list of 3 zeros and ones (or true and false), expected names of labels";
        assert!(found[0].starts_with(expected) && found[0].contains("labels = ["), "{found:?}");
        suite.tasks[0].labels = Some(names(&["app", "billing", "delivery"]));
        let expected = Targets::Labels(vec![Some(vec![0, 2]), Some(vec![1])]);
        assert_eq!(labelled(&folder, &suite).1, expected, "{first}");
        let (gapped, mut with_gap) = one("multilabel", "text\tlabels\nt\t[1, null, 0]\n");
        with_gap.tasks[0].labels = Some(names(&["app", "billing", "delivery"]));
        assert!(errors(&gapped, &with_gap)[0].contains("a vector with gaps"));
        suite.tasks[0].labels = Some(names(&["app", "billing"]));
        assert!(errors(&folder, &suite)[0].contains("expected 2 of them, one per label"));
    }
}

#[test]
fn numbers_are_places_of_declared_labels() {
    let (folder, mut suite) = one("tagging", "tokens\ttags\na b c\t0 1 2\nd e f\t0 0 1\n");
    let found = errors(&folder, &suite);
    let expected = "suite.toml: `entity_f1` of task `a` finds entities by tags such as B-PER and I-PER, found none among 3 \
                    tags (`0`, `1`, `2`)";
    assert!(found.len() == 1 && found[0].replace(":0:", ":").starts_with(expected), "{found:?}");
    assert!(found[0].contains("try: labels = [\"O\", \"B-...\", ...]"), "{found:?}");
    suite.tasks[0].labels = Some(names(&["O", "B-PER", "I-PER"]));
    assert!(
        errors(&folder, &suite)[0].contains("label `0` is unknown"),
        "labels of a model are no order anybody named"
    );
    suite.tasks[0].counts_labels = true;
    let said = folder.build(&suite).unwrap().warnings.join("\n");
    assert!(said.contains("labels by number: 0 is `O`, and so on"), "{said}");
    let expected = Targets::Tags(vec![Some(vec![0, 1, 2]), Some(vec![0, 0, 1])]);
    assert_eq!(labelled(&folder, &suite).1, expected);
    let (folder, mut suite) = one("tagging", "tokens\ttags\na b\tDT NN\nc d\tDT VB\n");
    assert!(errors(&folder, &suite)[0].contains("try: metric = \"accuracy\""));
    suite.tasks[0].metric = "accuracy".into();
    assert_eq!(labelled(&folder, &suite).0, ["DT", "NN", "VB"]);
    let (folder, suite) = one("tagging", "tokens\ttags\na b\tB I\nc d\tO B\n");
    assert_eq!(labelled(&folder, &suite).0, ["B", "I", "O"], "one type of entity needs no name");
}

#[test]
fn labels_joined_by_another_sign_are_refused_with_the_choice() {
    for sign in [",", ", ", ";", " "] {
        let rows =
            [&["app"][..], &["billing"], &["app", "billing"], &["delivery", "app"], &["billing", "delivery"]];
        let rows: String = rows.iter().map(|labels| format!("t\t{}\n", labels.join(sign))).collect();
        let (folder, mut suite) = one("multilabel", &format!("text\tlabels\n{rows}"));
        let found = errors(&folder, &suite);
        let sign = if sign == " " { " " } else { sign.trim() };
        let expected = format!(
            "a/train.tsv: column `labels`: `{sign}` stands in 3 of 5 different values and `|` in none"
        );
        assert!(found[0].starts_with(&expected), "{found:?}");
        let remedy =
            format!("try: separator = {sign:?} in the task (3 labels: `app`, `billing`, `delivery`)");
        assert!(found[0].contains(&remedy), "{found:?}");
        suite.tasks[0].separator = Some(sign.into());
        assert_eq!(labelled(&folder, &suite).0, ["app", "billing", "delivery"]);
        suite.tasks[0].separator = Some("|".into());
        assert_eq!(labelled(&folder, &suite).0.len(), 5, "whole values, as asked for");
    }
}

#[test]
fn named_markers_are_unknown_and_others_are_said() {
    let (folder, mut suite) = one("class", "text\tlabel\na\tyes\nb\t-\nc\tno\nd\tN/A\ne\tNULL\nf\tnan\n");
    let dataset = folder.build(&suite).unwrap();
    assert_eq!(dataset.tasks[0].labels, ["-", "N/A", "no", "yes"]);
    let said = dataset.warnings.join("\n");
    assert!(said.contains("`missing = [\"-\", \"N/A\"]` reads them so"), "{said}");
    assert!(said.contains("6 targets such as `NULL` mean unknown"), "{said}");
    suite.tasks[0].missing = vec!["-".into()];
    suite.sources[0].missing = vec!["N/A".into()];
    let expected = Targets::Label(vec![Some(1), None, Some(0), None, None, None]);
    assert_eq!(labelled(&folder, &suite), (vec!["no".into(), "yes".into()], expected));
    suite.tasks[0].labels = Some(names(&["no", "yes", "nan", "-"]));
    let expected = Targets::Label(vec![Some(1), Some(3), Some(0), None, None, Some(2)]);
    assert_eq!(labelled(&folder, &suite).1, expected, "declared labels are labels");
}

#[test]
fn a_lone_minus_one_among_scores_is_said() {
    let (folder, mut suite) = one("similarity", "a\tb\tscore\na\tb\t-1\nc\td\t4\ne\tf\t2.5\n");
    let said = folder.build(&suite).unwrap().warnings.join("\n");
    assert!(said.contains("1 target of train is -1, all others are 0 or more"), "{said}");
    suite.tasks[0].missing = vec!["-1".into()];
    let dataset = folder.build(&suite).unwrap();
    assert_eq!(dataset.tasks[0].scale, [(2.5, 1.5)]);
}

#[test]
fn hidden_targets_of_test_are_noticed() {
    let folder = Folder::new();
    for split in ["train", "valid"] {
        folder.write(&format!("a/{split}.tsv"), "a\tb\tscore\na\tb\t1\nc\td\t4\n");
        folder.write(&format!("b/{split}.tsv"), "text\tlabel\na\t0\nb\t1\n");
    }
    folder.write("a/test.tsv", "a\tb\tscore\na\tb\t-1\nc\td\t-1\n");
    let suite = folder.suite(&[("a", "similarity")], &[]);
    let dataset = folder.build(&suite).unwrap();
    assert_eq!(dataset.report_split(0), Split::Valid);
    assert!(
        dataset.warnings.iter().any(|said| said.contains("all 2 targets of test are -1")),
        "{:?}",
        dataset.warnings
    );
    folder.write("b/test.tsv", "text\tlabel\nc\t-1\nd\t-1\n");
    let mut suite = folder.suite(&[("b", "class")], &[]);
    let found = errors(&folder, &suite);
    let expected =
        "b/test.tsv: column `label`: all 2 labels are `-1`, which is none of train's: hidden targets?";
    assert!(found.len() == 1 && found[0].starts_with(expected), "{found:?}");
    suite.tasks[0].missing = vec!["-1".into()];
    assert_eq!(folder.build(&suite).unwrap().report_split(0), Split::Valid);
}

#[test]
fn spellings_of_one_label_are_said_or_one() {
    let read = |labels: [&str; 3]| {
        let rows: String = labels.iter().map(|label| format!("t\t{label}\n")).collect();
        let (folder, suite) = one("class", &format!("text\tlabel\n{rows}u\tother\n"));
        let dataset = folder.build(&suite).unwrap();
        (
            dataset.tasks[0].labels.len(),
            dataset.warnings.iter().any(|said| said.contains("labels differ only in")),
        )
    };
    for labels in [
        ["True", "true", "TRUE"],
        ["caf\u{e9}", "cafe\u{301}", "CAF\u{c9}"],
        ["a\u{200b}b", "ab", "a\u{ad}b"],
        ["a  b", "a b", "a\u{a0}b"],
    ] {
        assert_eq!(read(labels), (4, true), "{labels:?}");
    }
    assert_eq!(read(["1", "1.0", "1.00"]), (2, false), "one number");
    assert_eq!(read(["007", "7", "07"]), (4, false), "leading zeros may be meant");
}
