//! What is committed is finished: no marks of work left for later, no macro that stands for missing code.

use super::Tree;

/// Kinds of files that are written by us; data sets may say what they like.
const EXTENSIONS: &[&str] = &["rs", "toml", "md", "py", "sh", "html", "yml", "yaml"];

/// The marks, in two halves so that this file does not hold them.
const MARKS: &[(&str, &str)] = &[("TO", "DO"), ("FIX", "ME"), ("unimpl", "emented!"), ("to", "do!(")];

/// Marks of unfinished work.
pub(super) fn problems(tree: &Tree) -> Vec<String> {
    let marks: Vec<String> = MARKS.iter().map(|(first, second)| format!("{first}{second}")).collect();
    let mut found = Vec::new();
    for file in tree.files.iter().filter(|file| EXTENSIONS.contains(&file.extension())) {
        for (number, line) in file.text.lines().enumerate() {
            let hits = marks.iter().filter(|mark| line.contains(mark.as_str()));
            found.extend(hits.map(|mark| format!("{}:{}: `{mark}`", file.path, number + 1)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::tests::tree;
    use super::*;

    #[test]
    fn every_mark_is_found_with_its_line() {
        for (first, second) in MARKS {
            let text = format!("fine\n  // {first}{second} later\n");
            let found = problems(&tree(&[("crates/a/src/x.rs", &text)]));
            assert_eq!(found, [format!("crates/a/src/x.rs:2: `{first}{second}`")]);
        }
    }

    #[test]
    fn data_sets_are_left_alone() {
        let text = format!("{}{}", MARKS[0].0, MARKS[0].1);
        assert!(problems(&tree(&[("demo/snli/train.tsv", &text)])).is_empty());
    }
}
