//! A label and a sentence per line, with a tab between; an empty line ends a document, `###id` names the next one.

use polytask_core::Problem;

use crate::{Boundaries, SegmentedDocument};

/// The documents of such a file, those without a name by `name` and their number; a segment ends where the label
/// changes.
///
/// # Errors
/// When a line has no tab or no sentence, with the line's number.
pub fn read_labelled(name: &str, text: &str) -> Result<Vec<SegmentedDocument>, (usize, Problem)> {
    let mut documents = Vec::new();
    let mut now = Lines::default();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim_end();
        if line.is_empty() {
            documents.extend(std::mem::take(&mut now).finish(name, documents.len()));
        } else if let Some(id) = line.strip_prefix("###") {
            documents.extend(std::mem::take(&mut now).finish(name, documents.len()));
            now.id = Some(id.trim().to_owned());
        } else {
            now.push(line).map_err(|problem| (at + 1, problem))?;
        }
    }
    documents.extend(now.finish(name, documents.len()));
    Ok(documents)
}

/// The lines of one document.
#[derive(Default)]
struct Lines {
    id: Option<String>,
    labels: Vec<String>,
    sentences: Vec<String>,
}

impl Lines {
    fn push(&mut self, line: &str) -> Result<(), Problem> {
        let (label, sentence) = line.split_once('\t').unwrap_or((line, ""));
        let (label, sentence) = (label.trim(), sentence.trim());
        if label.is_empty() || sentence.is_empty() {
            let found = polytask_core::cell::shorten(line);
            let what = format!("found `{found}`, expected a label, a tab and a sentence");
            return Err(Problem::new(what).try_this("an empty line between documents"));
        }
        self.labels.push(label.to_owned());
        self.sentences.push(sentence.to_owned());
        Ok(())
    }

    fn finish(self, name: &str, number: usize) -> Option<SegmentedDocument> {
        (!self.sentences.is_empty()).then(|| SegmentedDocument {
            id: self.id.unwrap_or_else(|| format!("{name}:{}", number + 1)),
            sections: Some(Boundaries::of_sections(&self.labels).sections()),
            classes: Some(self.labels.into_iter().map(Some).collect()),
            sentences: self.sentences,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_lines_end_documents_and_labels_are_classes_and_segments() {
        let text = "###77\nAIM\tWe ask.\nRESULT\tWe find.\nRESULT\tMore.\n\n\nAIM\tAgain.\n";
        let documents = read_labelled("dev.txt", text).unwrap();
        assert_eq!((&*documents[0].id, &*documents[1].id), ("77", "dev.txt:2"));
        assert_eq!(documents[0].boundaries().unwrap().places(), [0]);
        assert_eq!(documents[0].classes.as_ref().unwrap()[2].as_deref(), Some("RESULT"));
        let (line, problem) = read_labelled("dev.txt", "AIM\tx\nno tab").unwrap_err();
        assert!(line == 2 && problem.what.contains("a tab"), "{problem}");
    }
}
