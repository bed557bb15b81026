//! The texts both sides embed: drawn from common words, the same on every machine.

use std::path::Path;

use anyhow::Result;
use polytask_core::{Purpose, Rng, atomic};
use serde::Serialize;

/// Texts of one mix of lengths.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Mix {
    pub(super) mix: &'static str,
    pub(super) texts: Vec<String>,
}

/// Words per text: shortest and longest of each mix.
const MIXES: [(&str, usize, usize); 3] = [("short", 3, 12), ("long", 60, 100), ("mixed", 3, 100)];

/// Words of the one text of the latency bench.
const SHORT: usize = 8;

/// Common words, so that a word is about a token.
const WORDS: &[&str] = &[
    "the", "card", "has", "not", "arrived", "yet", "please", "tell", "me", "how", "to", "find", "a", "good",
    "engineer", "for", "water", "systems", "in", "city", "people", "play", "music", "near", "river", "while",
    "children", "run", "across", "green", "field", "under", "bright", "sun", "and", "watch", "small",
    "boats", "move", "slowly",
];

/// The three mixes with `n` texts each.
pub(super) fn mixes(n: usize) -> Vec<Mix> {
    let mix = |&(mix, shortest, longest): &_| Mix { mix, texts: texts(n, shortest, longest) };
    MIXES.iter().map(mix).collect()
}

/// One text of about eight words, as a mix of its own.
pub(super) fn short() -> Mix {
    Mix { mix: "one", texts: texts(1, SHORT, SHORT) }
}

/// Writes mixes as the peers read them.
pub(super) fn write(path: &Path, mixes: &[Mix]) -> Result<()> {
    Ok(atomic::write_json(path, &mixes)?)
}

fn texts(n: usize, shortest: usize, longest: usize) -> Vec<String> {
    let mut rng = Rng::new(2, Purpose::Bench, &[shortest as u64, longest as u64]);
    let mut text = || {
        let words = shortest + rng.below(longest - shortest + 1);
        (0..words).map(|_| WORDS[rng.below(WORDS.len())]).collect::<Vec<_>>().join(" ")
    };
    (0..n).map(|_| text()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixes_keep_their_lengths_and_are_the_same_every_time() {
        let all = mixes(50);
        assert_eq!(all, mixes(50));
        for (mix, (name, shortest, longest)) in all.iter().zip(MIXES) {
            assert_eq!((mix.mix, mix.texts.len()), (name, 50));
            let fits = |text: &String| (shortest..=longest).contains(&text.split_whitespace().count());
            assert!(mix.texts.iter().all(fits), "{name}");
        }
        assert_eq!(short().texts[0].split_whitespace().count(), SHORT);
    }
}
