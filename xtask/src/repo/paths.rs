//! Nothing committed depends on one machine: no home or work folders, no private hosts.

use super::Tree;

/// Beginnings of absolute paths of somebody's machine, in two halves so that this file does not hold them.
const FOLDERS: &[(&str, &str)] =
    &[("/ro", "ot/"), ("/ho", "me/"), ("/Us", "ers/"), ("/wo", "rk/"), ("C:\\Us", "ers")];

/// The only package registry of the lock file.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Ends of host names that only resolve inside some network.
const PRIVATE_HOSTS: &[&str] = &["internal", "intranet", "corp", "lan", "local", "svc"];

/// Paths and hosts of a machine.
pub(super) fn problems(tree: &Tree) -> Vec<String> {
    let folders: Vec<String> = FOLDERS.iter().map(|(first, second)| format!("{first}{second}")).collect();
    let mut found = Vec::new();
    for file in tree.files.iter().filter(|file| !is_data(&file.path)) {
        for (number, line) in file.text.lines().enumerate() {
            let whys = line_problems(line, &folders);
            found.extend(whys.into_iter().map(|why| format!("{}:{}: {why}", file.path, number + 1)));
        }
    }
    found.extend(tree.get("Cargo.lock").map(|file| lock_problems(&file.text)).unwrap_or_default());
    found
}

fn is_data(path: &str) -> bool {
    [".csv", ".tsv", ".jsonl"].iter().any(|end| path.ends_with(end))
}

fn line_problems(line: &str, folders: &[String]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    found.extend(
        folders.iter().filter(|folder| holds_path(line, folder)).map(|folder| format!("path `{folder}`")),
    );
    found.extend(hosts(line).filter(|host| is_private(host)).map(|host| format!("private host `{host}`")));
    found
}

/// Whether an absolute path of this beginning stands in the line, not the middle of a longer path or address.
fn holds_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !(c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '/' | '}' | '~')))
    })
}

/// Hosts of the web addresses in a line, without port.
fn hosts(line: &str) -> impl Iterator<Item = &str> {
    line.split("://").skip(1).map(|rest| {
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-')));
        &rest[..end.unwrap_or(rest.len())]
    })
}

fn is_private(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_address = host.contains('.') && host.chars().all(|c| c.is_ascii_digit() || c == '.');
    let is_loopback = host.starts_with("127.") || host == "0.0.0.0";
    (is_address && !is_loopback) || (host.contains('.') && PRIVATE_HOSTS.contains(&last))
}

fn lock_problems(lock: &str) -> Vec<String> {
    let sources = lock.lines().filter_map(|line| line.strip_prefix("source = "));
    let foreign = sources.map(|source| source.trim_matches('"')).filter(|source| *source != REGISTRY);
    foreign.map(|source| format!("Cargo.lock: source `{source}`, expected `{REGISTRY}`")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::tree;
    use super::*;

    fn found(text: &str) -> Vec<String> {
        problems(&tree(&[("docs/x.md", text)]))
    }

    #[test]
    fn every_machine_folder_is_found() {
        for (first, second) in FOLDERS {
            assert_eq!(found(&format!("see `{first}{second}me/x`")).len(), 1, "{first}{second}");
        }
    }

    #[test]
    fn parts_of_longer_paths_and_addresses_are_not_machine_folders() {
        let (first, second) = FOLDERS[3];
        assert!(found(&format!("https://example.org{first}{second}x and target{first}{second}y")).is_empty());
    }

    #[test]
    fn private_hosts_fail_and_public_ones_pass() {
        assert_eq!(found(&format!("http{}//10.1.2.3:80/x", ":")).len(), 1);
        assert_eq!(found(&format!("https{}//mirror.build.{}/simple", ":", "internal")).len(), 1);
        assert!(found("https://huggingface.co/x http://127.0.0.1:80 http://localhost:8080/").is_empty());
    }

    #[test]
    fn a_lock_file_of_another_registry_fails() {
        let lock = "source = \"registry+https://example.org/index\"\n";
        assert_eq!(problems(&tree(&[("Cargo.lock", lock)])).len(), 1);
        let usual = format!("source = \"{REGISTRY}\"\n");
        assert!(problems(&tree(&[("Cargo.lock", &usual)])).is_empty());
    }
}
