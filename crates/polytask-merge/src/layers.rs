//! Which layer a tensor belongs to, by its name.

/// Words before the number of a layer.
const WORDS: [&str; 5] = ["block", "blocks", "h", "layer", "layers"];

/// A tensor's name as what stands before its layer's number, the number, and what stands after it.
pub(crate) fn split(name: &str) -> Option<(&str, usize, &str)> {
    let mut from = 0;
    let mut last = "";
    for part in name.split('.') {
        let to = from + part.len();
        if let (true, Ok(number)) = (WORDS.contains(&last), part.parse()) {
            return Some((&name[..from], number, &name[to..]));
        }
        (from, last) = (to + 1, part);
    }
    None
}

/// What a tensor moves with: its layer, or what its name begins with.
pub fn group(name: &str) -> &str {
    match split(name) {
        Some((front, number, _)) => &name[..front.len() + number.to_string().len()],
        None => name.split('.').next().unwrap_or(name),
    }
}

/// Whether a tensor outside layers stands before them.
pub(crate) fn is_before(name: &str) -> bool {
    ["emb", "position", "shared"].iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_found_in_the_names_of_all_families() {
        let name = "encoder.layer.11.attention.self.query.weight";
        assert_eq!(split(name), Some(("encoder.layer.", 11, ".attention.self.query.weight")));
        assert_eq!(split("encoder.block.3.layer.0.wo.weight").unwrap().1, 3);
        assert_eq!(split("embeddings.LayerNorm.weight"), None);
        assert_eq!(group(name), "encoder.layer.11");
        assert_eq!(group("1.w"), "1");
        assert!(is_before("embeddings.LayerNorm.weight") && !is_before("pooler.dense.bias"));
    }
}
