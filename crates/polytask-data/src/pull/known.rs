//! Names of encoders that are often meant, to find a slip without the network.

use std::path::Path;

use polytask_core::{Problem, near};

use super::{INDEX_PREFIX, PullOptions, find_here};

/// Short names of the organisation that short names belong to.
const SHORT: [&str; 18] = [
    "all-MiniLM-L6-v2",
    "all-MiniLM-L12-v2",
    "all-distilroberta-v1",
    "all-mpnet-base-v2",
    "all-roberta-large-v1",
    "distiluse-base-multilingual-cased-v1",
    "distiluse-base-multilingual-cased-v2",
    "multi-qa-MiniLM-L6-cos-v1",
    "multi-qa-distilbert-cos-v1",
    "multi-qa-mpnet-base-cos-v1",
    "multi-qa-mpnet-base-dot-v1",
    "paraphrase-MiniLM-L3-v2",
    "paraphrase-MiniLM-L6-v2",
    "paraphrase-albert-small-v2",
    "paraphrase-mpnet-base-v2",
    "paraphrase-multilingual-MiniLM-L12-v2",
    "paraphrase-multilingual-mpnet-base-v2",
    "LaBSE",
];

/// What is wrong with an encoder's name as far as this disk can tell: it is neither here, nor a usual name, nor of a
/// form (OWNER/NAME, pypi:NAME) that only the network knows.
pub fn doubt(name: &str, options: &PullOptions) -> Option<Problem> {
    let is_network_form = name.contains('/') || name.starts_with(INDEX_PREFIX);
    let is_usual = name == "tiny" || SHORT.contains(&name) || polytask_core::input::is_net(name);
    if is_network_form
        || is_usual
        || Path::new(name).is_dir()
        || find_here(name, options, &mut Vec::new()).is_some()
    {
        return None;
    }
    let known: Vec<&str> = ["tiny"].into_iter().chain(SHORT).chain(polytask_core::input::nets()).collect();
    let remedy = near::nearest(name, &known).map_or_else(
        || "OWNER/NAME for an encoder of the hub, pypi:NAME, or the path of a folder".into(),
        |near| format!("`{near}`"),
    );
    let what = format!(
        "`encoder` in [model] is `{name}`, which is neither a folder, nor in the cache, nor a known name"
    );
    Some(Problem::new(what).try_this(remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_a_known_name_is_found_and_what_only_the_network_knows_is_left_alone() {
        let cache = tempfile::tempdir().unwrap();
        let options = PullOptions {
            cache: cache.path().into(),
            hub_caches: Vec::new(),
            ..PullOptions::from_environment()
        };
        let remedy = |name: &str| doubt(name, &options).map(|problem| problem.remedy.unwrap());
        assert_eq!(remedy("all-MiniLM-L6-v3").as_deref(), Some("`all-MiniLM-L6-v2`"));
        assert_eq!(remedy("tinny").as_deref(), Some("`tiny`"));
        assert!(remedy("bert").unwrap().contains("OWNER/NAME"));
        for fine in ["tiny", "LaBSE", "lenet", "someone/something", "pypi:some-wheel"] {
            assert_eq!(remedy(fine), None, "{fine}");
        }
    }
}
