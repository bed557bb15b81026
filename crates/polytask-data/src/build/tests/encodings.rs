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
