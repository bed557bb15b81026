//! What a language model is asked: texts of one label, by its description and some examples.

use std::fmt::Write;

use polytask_core::suite::DescribedLabel;
use polytask_core::{Purpose, Rng, hash};
use polytask_llm::ChatMessage;

/// Other labels that a prompt names.
const OTHERS: usize = 20;
/// Characters of an example that a prompt shows.
const LONGEST: usize = 600;

const TASK: &str = "You write texts from which a text classifier learns.";

/// The messages that ask for `n` texts of a label; other turns show other examples.
pub(super) fn messages(
    labels: &[DescribedLabel],
    place: usize,
    examples: &[String],
    (n, turn): (usize, u64),
    seed: u64,
) -> Vec<ChatMessage> {
    let label = &labels[place];
    let mut asked = format!("Label: {}\nWhat it means: {}\n", label.name, label.description);
    let others = labels.iter().enumerate().filter(|(other, _)| *other != place);
    let others: Vec<&str> = others.map(|(_, other)| other.name.as_str()).collect();
    if !others.is_empty() {
        let mut rng = Rng::new(seed, Purpose::Pick, &[hash::text64(&label.name), turn, 1]);
        let shown: Vec<&str> = some(others, OTHERS, &mut rng);
        let _ = writeln!(asked, "Labels they must not fit: {}", shown.join("; "));
    }
    if !examples.is_empty() {
        asked.push_str("Examples of this label:\n");
    }
    for example in examples {
        let line = example.split_whitespace().collect::<Vec<_>>().join(" ");
        let _ = writeln!(asked, "- {}", line.chars().take(LONGEST).collect::<String>());
    }
    let _ = write!(
        asked,
        "Write {n} new texts that a person may have written and that fit this label and no other. Vary words, length and \
         situation, and repeat no example. Answer with a JSON list of {n} strings and nothing else."
    );
    let say = |role, content| ChatMessage { role, content };
    vec![say("system", TASK.to_owned()), say("user", asked)]
}

/// Some examples of a label, others in each turn.
pub(super) fn drawn(examples: &[String], n: usize, (label, turn): (&str, u64), seed: u64) -> Vec<String> {
    let mut rng = Rng::new(seed, Purpose::Pick, &[hash::text64(label), turn, 2]);
    some(examples.to_vec(), n, &mut rng)
}

fn some<T>(mut all: Vec<T>, n: usize, rng: &mut Rng) -> Vec<T> {
    if all.len() > n {
        rng.shuffle(&mut all);
        all.truncate(n);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_names_the_label_what_it_means_its_examples_and_the_others() {
        let label = |name: &str| DescribedLabel {
            name: name.into(),
            description: format!("about {name}"),
            is_described: true,
        };
        let labels: Vec<DescribedLabel> = (0..30).map(|i| label(&format!("l{i}"))).collect();
        let asked = |turn| messages(&labels, 3, &["an\nexample".into()], (5, turn), 1)[1].content.clone();
        let text = asked(0);
        for part in ["Label: l3\nWhat it means: about l3\n", "- an example\n", "JSON list of 5 strings"] {
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(text.matches("; ").count(), OTHERS - 1);
        assert!(asked(0) == text && asked(1) != text);
        let examples: Vec<String> = (0..9).map(|i| i.to_string()).collect();
        let turn = |turn| drawn(&examples, 3, ("a", turn), 1);
        assert!(turn(0).len() == 3 && turn(0) == turn(0) && (1..5).any(|t| turn(t) != turn(0)));
        assert_eq!(drawn(&examples[..2], 3, ("a", 0), 1), examples[..2]);
    }
}
