//! Pages of the papers, made from the header of each paper's file and from what was measured: `docs/methods/ID.md` and
//! their list; and the page of the defaults, from their comparison. `cargo xtask generate` writes them, `cargo xtask check`
//! finds those that are stale.

mod header;
mod results;

use std::process::ExitCode;

use anyhow::{Result, bail};
use polytask_core::atomic;

use crate::defaults;
use crate::root::{TextFile, root, walked_files};
use crate::tree::Tree;
use header::Header;

/// Where the papers' files, the results and the pages lie.
const PAPERS: &str = "crates/polytask-methods/src/methods/";
const RESULTS: &str = "results/";
const PAGES: &str = "docs/methods/";

/// Writes all pages.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    if let Some(argument) = arguments.first() {
        bail!("unknown option `{argument}`, expected none");
    }
    // Also files that are not committed yet, which is when pages are made.
    let files = walked_files(&root(), &[PAPERS, RESULTS])?;
    let (pages, problems) = pages(&files);
    if !problems.is_empty() {
        bail!("{}", problems.join("\n"));
    }
    atomic::create_dir(&root().join(PAGES))?;
    for page in &pages {
        atomic::write(&root().join(&page.path), page.text.as_bytes())?;
        println!("{}", page.path);
    }
    Ok(ExitCode::SUCCESS)
}

/// Headers that are not as they must be, and pages that are missing, stale or of no paper.
pub(crate) fn problems(tree: &Tree) -> Vec<String> {
    let (pages, mut found) = pages(&tree.files);
    let of_path = |path: &str| tree.files.iter().find(|file| file.path == path);
    for page in &pages {
        if of_path(&page.path).is_none_or(|file| file.text != page.text) {
            found.push(format!("{}: not what its sources say; run `cargo xtask generate`", page.path));
        }
    }
    let known = |file: &&TextFile| pages.iter().any(|page| page.path == file.path);
    let orphans = tree.files.iter().filter(|file| file.path.starts_with(PAGES) && !known(file));
    found.extend(orphans.map(|file| format!("{}: a page of no paper", file.path)));
    found
}

/// The pages, and what is wrong with their sources.
fn pages(files: &[TextFile]) -> (Vec<TextFile>, Vec<String>) {
    let is_paper = |file: &&TextFile| {
        file.path.starts_with(PAPERS) && file.extension() == "rs" && !file.path.ends_with("/mod.rs")
    };
    let (mut headers, mut problems) = (Vec::new(), Vec::new());
    for file in files.iter().filter(is_paper) {
        match Header::read(file) {
            Ok(header) => headers.push(header),
            Err(problem) => problems.push(format!("{}: {problem}", file.path)),
        }
    }
    headers.sort_by_key(Header::order);
    let mut pages = Vec::new();
    let mut list = String::from(LIST);
    for header in &headers {
        let path = format!("{RESULTS}{}.json", header.id);
        let measured = files.iter().find(|file| file.path == path).map(|file| results::read(&file.text));
        let measured = match measured.transpose() {
            Ok(measured) => measured,
            Err(problem) => {
                problems.push(format!("{path}: {problem}"));
                continue;
            }
        };
        list += &line(header, measured.as_ref());
        pages.push(page(header, measured.as_ref()));
    }
    if !headers.is_empty() {
        pages.push(TextFile { path: format!("{PAGES}README.md"), text: list });
    }
    if let Some(file) = files.iter().find(|file| file.path == defaults::RESULTS) {
        match defaults::page(&file.text) {
            Ok(text) => pages.push(TextFile { path: defaults::PAGE.into(), text }),
            Err(problem) => problems.push(format!("{}: {problem}", file.path)),
        }
    }
    (pages, problems)
}

const LIST: &str = "\
<!-- Made by `cargo xtask generate`; not to be edited. -->
# Papers

What `polytask reproduce ID` tries, and what was found. A verdict is about the claim; whether the method does what it
says it does, apart from whether that helps, stands beside it.

| id | paper | claim | mechanism |
| --- | --- | --- | --- |
";

fn line(header: &Header, measured: Option<&results::Results>) -> String {
    let words = |of: fn(&results::Results) -> &str| measured.map_or("not measured yet", of);
    let (verdict, mechanism) = (words(|r| &r.verdict), words(|r| &r.mechanism));
    format!("| {0} | [{1}]({0}.md) | {verdict} | {mechanism} |\n", header.id, header.title)
}

fn page(header: &Header, measured: Option<&results::Results>) -> TextFile {
    let mut text = format!(
        "<!-- Made by `cargo xtask generate` from the head of `{}` and `{RESULTS}{}.json`; not to be edited. -->\n{}\n\n",
        header.file,
        header.id,
        header.text.trim_end()
    );
    text += "## What was measured\n\n";
    match measured {
        Some(results) => text += &results.text,
        None => {
            text.extend(["Nothing yet: `polytask reproduce ", header.id.as_str(), "` measures it.\n"]);
        }
    }
    TextFile { path: format!("{PAGES}{}.md", header.id), text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> TextFile {
        TextFile { path: path.into(), text: text.into() }
    }

    fn paper() -> TextFile {
        let sections: Vec<String> =
            header::HEADINGS.iter().map(|name| format!("//!\n//! ## {name}\n//! Words.\n")).collect();
        file(&format!("{PAPERS}x.rs"), &format!("//! # 7: A name\n{}\nuse y;\n", sections.concat()))
    }

    #[test]
    fn a_page_is_fresh_until_its_sources_change() {
        let (mut files, problems_found) = pages(&[paper()]);
        assert_eq!((files.len(), problems_found.len()), (2, 0));
        assert!(files[0].text.contains("# 7: A name") && files[0].text.contains("Nothing yet"));
        assert!(files[1].text.contains("| 7 | [A name](7.md) | not measured yet |"));
        files.push(paper());
        assert_eq!(problems(&Tree { files: files.clone() }), Vec::<String>::new());
        files[2].text = files[2].text.replace("Words", "Other words");
        assert_eq!(problems(&Tree { files: files.clone() }).len(), 1);
        files.push(file("docs/methods/8.md", ""));
        assert_eq!(problems(&Tree { files }).len(), 2);
    }

    #[test]
    fn results_come_into_the_page_and_the_list() {
        let result = file(&format!("{RESULTS}7.json"), results::tests::RESULT);
        let (pages, problems) = pages(&[paper(), result]);
        assert!(problems.is_empty(), "{problems:?}");
        assert!(pages[0].text.contains("polytask reproduce 7 --quick"), "{}", pages[0].text);
        assert!(pages[1].text.contains("| does not hold | holds |"), "{}", pages[1].text);
    }

    #[test]
    fn a_header_without_a_heading_and_a_broken_result_are_named() {
        let mut broken = paper();
        broken.text = broken.text.replace("//! ## Cost\n", "");
        let (_, found) = pages(&[broken]);
        assert!(found[0].contains("x.rs") && found[0].contains("Cost"), "{found:?}");
        let (_, found) = pages(&[paper(), file(&format!("{RESULTS}7.json"), "{}")]);
        assert!(found[0].contains("results/7.json"), "{found:?}");
    }
}
