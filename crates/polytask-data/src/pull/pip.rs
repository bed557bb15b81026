//! The settings of pip that decide where packages come from: environment first, then its configuration files.

use std::path::{Path, PathBuf};

/// Sections of a configuration file that count, later ones first.
const SECTIONS: [&str; 2] = ["install", "global"];

/// What pip would use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    /// Simple-API addresses.
    pub(super) indices: Vec<String>,
    /// Folders, pages or files that list wheels.
    pub(super) find_links: Vec<String>,
    /// PEM file.
    pub(super) certificate: Option<String>,
    /// Address of a proxy.
    pub(super) proxy: Option<String>,
}

/// Reads a variable of the environment.
type Var<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Settings {
    /// From variables and files, read through `var` and `file`.
    pub(super) fn read(var: Var<'_>, file: &dyn Fn(&Path) -> Option<String>) -> Self {
        let files: Vec<Vec<Entry>> =
            files(var).iter().filter_map(|path| file(path)).map(|text| parse(&text)).collect();
        let get = |key: &str| {
            let name = format!("PIP_{}", key.to_ascii_uppercase().replace('-', "_"));
            var(&name).or_else(|| files.iter().rev().find_map(|entries| find(entries, key)))
        };
        let words =
            |key: &str| get(key).map_or_else(Vec::new, |v| v.split_whitespace().map(str::to_owned).collect());
        let no_index = get("no-index")
            .is_some_and(|v| matches!(v.to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on"));
        let main = get("index-url").unwrap_or_else(|| "https://pypi.org/simple".into());
        let mut indices = vec![main];
        indices.extend(words("extra-index-url"));
        if no_index {
            indices.clear();
        }
        Self { indices, find_links: words("find-links"), certificate: get("cert"), proxy: get("proxy") }
    }
}

/// One setting: section, key, value.
type Entry = (String, String, String);

fn find(entries: &[Entry], key: &str) -> Option<String> {
    let in_section = |section: &str| {
        entries
            .iter()
            .rev()
            .find(|(s, k, v)| s == section && k == key && !v.is_empty())
            .map(|(_, _, v)| v.clone())
    };
    SECTIONS.iter().find_map(|section| in_section(section))
}

/// pip's files, the weakest first.
fn files(var: Var<'_>) -> Vec<PathBuf> {
    let explicit = var("PIP_CONFIG_FILE");
    if explicit.as_deref() == Some("/dev/null") {
        return Vec::new();
    }
    let mut all = vec![PathBuf::from("/etc/pip.conf")];
    if let Some(home) = var("HOME").map(PathBuf::from) {
        all.push(home.join(".pip/pip.conf"));
        let config = var("XDG_CONFIG_HOME").map_or_else(|| home.join(".config"), PathBuf::from);
        all.push(config.join("pip/pip.conf"));
    }
    all.extend(var("VIRTUAL_ENV").map(|folder| Path::new(&folder).join("pip.conf")));
    all.extend(explicit.map(PathBuf::from));
    all
}

/// The settings of an INI file; indented lines continue the value above.
fn parse(text: &str) -> Vec<Entry> {
    let (mut section, mut entries) = (String::new(), Vec::<Entry>::new());
    for line in text.lines() {
        let word = line.trim();
        if word.is_empty() || word.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = word.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.trim().clone_into(&mut section);
        } else if let (true, Some(last)) = (line.starts_with([' ', '\t']), entries.last_mut()) {
            let joined = format!("{} {word}", last.2);
            joined.trim().clone_into(&mut last.2);
        } else if let Some((key, value)) = word.split_once(['=', ':']) {
            let key = key.trim().to_ascii_lowercase().replace('_', "-");
            entries.push((section.clone(), key, value.trim().to_owned()));
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)], files: &[(&str, &str)]) -> Settings {
        let pick = |list: &[(&str, &str)], key: &str| {
            list.iter().find(|(k, _)| *k == key).map(|(_, v)| (*v).to_owned())
        };
        Settings::read(&|key| pick(vars, key), &|path| pick(files, path.to_str().unwrap()))
    }

    #[test]
    fn without_any_setting_the_public_index_is_used() {
        let settings = read(&[], &[]);
        assert_eq!(settings.indices, ["https://pypi.org/simple"]);
        assert!(settings.find_links.is_empty() && settings.certificate.is_none() && settings.proxy.is_none());
    }

    #[test]
    fn the_environment_wins_over_files_and_the_users_file_over_the_machines() {
        let machine = "[global]\nindex-url = http://machine/simple\ncert = /machine.pem\nproxy: http://p:1\n";
        let user =
            "# mine\n[global]\ncert=/user.pem\nextra-index-url =\n    http://a/simple\n    http://b/simple\n";
        let files = [("/etc/pip.conf", machine), ("/h/.config/pip/pip.conf", user)];
        let home = ("HOME", "/h");
        let settings = read(&[home], &files);
        assert_eq!(settings.indices, ["http://machine/simple", "http://a/simple", "http://b/simple"]);
        assert_eq!(
            (settings.certificate.as_deref(), settings.proxy.as_deref()),
            (Some("/user.pem"), Some("http://p:1"))
        );
        let settings = read(&[home, ("PIP_INDEX_URL", "http://env"), ("PIP_FIND_LINKS", "/w /v")], &files);
        assert_eq!(settings.indices[0], "http://env");
        assert_eq!(settings.find_links, ["/w", "/v"]);
        assert_eq!(read(&[home, ("PIP_CONFIG_FILE", "/dev/null")], &files), read(&[], &[]));
        assert!(read(&[("PIP_NO_INDEX", "true")], &[]).indices.is_empty());
    }

    #[test]
    fn the_install_section_wins_over_the_global_one() {
        let text =
            "[install]\nindex_url = http://i\n[global]\nindex-url = http://g\n[list]\nindex-url = http://l\n";
        assert_eq!(read(&[("PIP_CONFIG_FILE", "/c")], &[("/c", text)]).indices, ["http://i"]);
    }
}
