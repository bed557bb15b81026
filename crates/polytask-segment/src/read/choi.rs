//! `.ref` files of Choi (2000): a sentence per line, a line of equals signs before, between and after the segments.

use polytask_core::Problem;

use crate::SegmentedDocument;

/// The document of such a file.
///
/// # Errors
/// When no line divides it.
pub fn read_choi(id: &str, text: &str) -> Result<SegmentedDocument, Problem> {
    let is_rule = |line: &str| line.len() >= 4 && line.bytes().all(|byte| byte == b'=');
    let (mut section, mut rules) = (0, 0);
    let (mut sentences, mut sections) = (Vec::new(), Vec::new());
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if is_rule(line) {
            rules += 1;
            section += usize::from(sections.last() == Some(&section));
        } else {
            sentences.push(line.to_owned());
            sections.push(section);
        }
    }
    if rules == 0 {
        let what = format!("document `{id}`: no line `==========`, expected one between two segments");
        return Err(Problem::new(what).try_this("name it .txt where its segments are not known"));
    }
    Ok(SegmentedDocument { id: id.to_owned(), sentences, sections: Some(sections), classes: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_sentences_and_rules_are_boundaries() {
        let text = "==========\nOne .\nTwo .\n==========\n==========\r\nThree .\r\n==========\n";
        let document = read_choi("0.ref", text).unwrap();
        assert_eq!(document.sentences, ["One .", "Two .", "Three ."]);
        assert_eq!(document.boundaries().unwrap().places(), [1]);
        assert!(read_choi("0.ref", "One .\n").unwrap_err().what.contains("`0.ref`"));
    }
}
