//! Links in Markdown lead somewhere: the file is committed, the heading exists. So do paths of the repository in code
//! spans. Web addresses are not fetched.

use super::Tree;
use crate::root::TextFile;

/// Links that lead nowhere.
pub(super) fn problems(tree: &Tree) -> Vec<String> {
    let pages = tree.files.iter().filter(|file| file.extension() == "md");
    pages.flat_map(|page| page_problems(tree, page)).collect()
}

fn page_problems(tree: &Tree, page: &TextFile) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in prose(&page.text) {
        let gone = spans(&line).filter(|span| is_path(span) && !exists(tree, span.trim_end_matches('/')));
        found.extend(gone.map(|span| format!("{}:{number}: `{span}` does not exist", page.path)));
        let line = without_code(&line);
        let broken = targets(&line).into_iter().filter(|target| !resolves(tree, page, target));
        found.extend(broken.map(|target| format!("{}:{number}: link to `{target}`", page.path)));
    }
    found
}

/// Lines outside fenced blocks with their numbers.
fn prose(text: &str) -> Vec<(usize, String)> {
    let (mut lines, mut fenced) = (Vec::new(), false);
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            lines.push((number + 1, line.to_owned()));
        }
    }
    lines
}

/// The code spans of a line.
fn spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("_")
}

/// Whether a code span is a path of the repository, not a pattern (`NAME` stands for any name).
fn is_path(span: &str) -> bool {
    let starts = ["crates/", "xtask/", "docs/", "demo/"].iter().any(|start| span.starts_with(start));
    starts && !span.contains([' ', '*', '<', '{']) && !span.contains("NAME")
}

/// Whether a file or folder of this path is committed.
fn exists(tree: &Tree, path: &str) -> bool {
    let folder = format!("{path}/");
    tree.files.iter().any(|file| file.path == path || file.path.starts_with(&folder))
}

/// Targets of `[text](target)` and `[name]: target`.
fn targets(line: &str) -> Vec<String> {
    let inline = line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    let named = line.starts_with('[').then(|| line.split_once("]: ")).flatten();
    inline.chain(named.map(|(_, target)| target.trim())).map(str::to_owned).collect()
}

fn resolves(tree: &Tree, page: &TextFile, target: &str) -> bool {
    if target.contains("://") || target.starts_with("mailto:") {
        return true;
    }
    let (path, heading) =
        target.split_once('#').map_or((target, None), |(path, heading)| (path, Some(heading)));
    let path = if path.is_empty() { page.path.clone() } else { join(&page.path, path) };
    match (tree.get(&path), heading) {
        (Some(file), Some(heading)) => headings(&file.text).contains(&heading.to_owned()),
        (Some(_), None) => true,
        (None, _) => path.is_empty() || exists(tree, &path),
    }
}

/// `target` seen from the folder of `page`, with `.` and `..` resolved.
fn join(page: &str, target: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// The anchors of a page's headings, as forges make them.
fn headings(text: &str) -> Vec<String> {
    let mut fenced = false;
    let outside = text.lines().filter(|line| {
        fenced ^= line.trim_start().starts_with("```");
        !fenced && line.starts_with('#')
    });
    outside.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
}

fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::tree;
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let other = "# The data's way\n```\n# not a heading\n```\n";
        problems(&tree(&[("docs/a.md", text), ("docs/b.md", other), ("demo/suite.toml", "")]))
    }

    #[test]
    fn links_to_files_folders_headings_and_the_web_resolve() {
        let text = "[b](b.md) [h](b.md#the-datas-way) [s](../demo/suite.toml) [d](../demo) [w](https://x.org)\n\
                    # Here\n[me](#here)\n[n]: b.md\n";
        assert_eq!(found(text), Vec::<String>::new());
    }

    #[test]
    fn links_to_nothing_are_found_with_their_line() {
        assert_eq!(found("x\n[c](c.md)"), ["docs/a.md:2: link to `c.md`"]);
        assert_eq!(found("[h](b.md#not-a-heading)").len(), 1);
        assert_eq!(found("[n]: ../c.md").len(), 1);
        assert_eq!(found("[me](#nowhere)").len(), 1);
    }

    #[test]
    fn paths_in_code_must_exist() {
        assert!(found("`demo/` `demo/suite.toml` `docs/NAME.md` `docs/*.md` `demo --quick`").is_empty());
        assert_eq!(found("x\nsee `docs/gone.md`"), ["docs/a.md:2: `docs/gone.md` does not exist"]);
    }

    #[test]
    fn code_is_not_prose() {
        assert!(found("`[c](c.md)`\n```\n[c](c.md)\n```\n").is_empty());
    }
}
