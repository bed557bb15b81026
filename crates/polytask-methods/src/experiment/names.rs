//! Names of arms and settings as parts of paths.

/// A name as part of a path: letters and digits in lower case, joined by hyphens; a dot stays between digits.
pub(super) fn slug(name: &str) -> String {
    let keep = |c: char| if c.is_alphanumeric() || c == '.' { c } else { ' ' };
    let words: String = name.to_lowercase().chars().map(keep).collect();
    words.split_whitespace().map(|word| word.trim_matches('.')).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_parts_of_paths() {
        assert_eq!(slug("F-CAGrad, rho = 0.05 (adaptive)"), "f-cagrad-rho-0.05-adaptive");
        assert_eq!(slug("20% random labels"), "20-random-labels");
    }
}
