//! Addresses as pages name them.

/// `target` seen from the page at `base` (RFC 3986, the cases that index pages use).
pub(super) fn join(base: &str, target: &str) -> String {
    if target.contains("://") {
        return target.to_owned();
    }
    let (scheme, rest) = base.split_once("://").unwrap_or(("file", base));
    if let Some(target) = target.strip_prefix("//") {
        return format!("{scheme}://{target}");
    }
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if target.starts_with('/') {
        return format!("{scheme}://{host}{target}");
    }
    let path = path.split(['?', '#']).next().unwrap_or("");
    let mut parts: Vec<&str> = path.split('/').skip(1).collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("{scheme}://{host}/{}", parts.join("/"))
}
