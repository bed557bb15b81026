//! Rows that a language model writes for labels: asked label by label, without repetitions, as many as wanted or as come.

mod prompt;
mod texts;

use std::collections::{BTreeMap, BTreeSet};

use polytask_core::Result;
use polytask_core::suite::DescribedLabel;
use polytask_llm::{ChatCall, LlmClient, LlmRequest};

/// Requests for a label beyond those that would do if no text came twice.
const SPARE: u64 = 2;
/// Words below which a text says too little.
pub(crate) const FEWEST_WORDS: usize = 3;

/// What is to be written.
#[derive(Debug, Clone)]
pub struct WrittenRows<'a> {
    /// The labels.
    pub labels: &'a [DescribedLabel],
    /// Label → texts that are known to be its own; shown as examples, and not to be repeated.
    pub examples: &'a BTreeMap<String, Vec<String>>,
    /// Rows wanted of each label.
    pub per_label: usize,
    /// Rows asked for at once.
    pub per_request: usize,
    /// Examples in a prompt.
    pub shown: usize,
    /// Name of the language model.
    pub model: &'a str,
    /// How much is left to chance.
    pub temperature: f64,
    /// Most tokens of an answer for each row asked for.
    pub row_tokens: u64,
    /// Seed of which examples are shown.
    pub seed: u64,
}

/// What writing may take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WritingPlan {
    /// Requests, if no text comes twice.
    pub requests: u64,
    /// Those of them that were answered before.
    pub known: u64,
    /// Requests at most.
    pub most_requests: u64,
    /// Tokens at most, of those that were not answered before.
    pub most_tokens: u64,
}

/// What was written for a label.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WrittenTexts {
    /// The label.
    pub label: String,
    /// Its texts.
    pub texts: Vec<String>,
    /// Texts that repeat another one or an example, or are too short.
    pub left_out: usize,
}

impl WrittenRows<'_> {
    /// What it may take, without asking anything.
    pub fn plan(&self, client: &LlmClient) -> WritingPlan {
        let mut plan = WritingPlan::default();
        for place in 0..self.labels.len() {
            for turn in 0..self.turns() + SPARE {
                // The method in its place holds for one lifetime only.
                #[allow(clippy::redundant_closure_for_method_calls)]
                let request = self.with_call(place, turn, |call| call.request());
                let is_known = client.knows(&request);
                plan.most_requests += 1;
                plan.requests += u64::from(turn < self.turns());
                plan.known += u64::from(is_known && turn < self.turns());
                let most = if is_known { 0 } else { request.most_tokens };
                plan.most_tokens = plan.most_tokens.saturating_add(most);
            }
        }
        plan
    }

    /// Asks for the rows; `observe` hears of each label that is done.
    ///
    /// # Errors
    /// When the endpoint does not answer or says nothing that is a text, or the budget is used up. What was answered is in
    /// the cassette.
    pub fn write(&self, client: &mut LlmClient, mut observe: impl FnMut(usize)) -> Result<Vec<WrittenTexts>> {
        let mut all = Vec::new();
        for place in 0..self.labels.len() {
            all.push(self.of_label(client, place)?);
            observe(place + 1);
        }
        Ok(all)
    }

    fn of_label(&self, client: &mut LlmClient, place: usize) -> Result<WrittenTexts> {
        let label = &self.labels[place].name;
        let mut written = WrittenTexts { label: label.clone(), ..WrittenTexts::default() };
        let known = self.examples.get(label).map_or(&[][..], Vec::as_slice);
        let mut seen: BTreeSet<String> = known.iter().map(|text| folded(text)).collect();
        for turn in 0..self.turns() + SPARE {
            let found = self.with_call(place, turn, |call| ask(client, &call.request()))?;
            for text in found {
                let is_long = text.split_whitespace().count() >= FEWEST_WORDS;
                if is_long && seen.insert(folded(&text)) {
                    written.texts.push(text);
                } else {
                    written.left_out += 1;
                }
            }
            if written.texts.len() >= self.per_label {
                break;
            }
        }
        written.texts.truncate(self.per_label);
        Ok(written)
    }

    /// Requests that would do for a label.
    fn turns(&self) -> u64 {
        self.per_label.div_ceil(self.per_request) as u64
    }

    fn with_call<T>(&self, place: usize, turn: u64, work: impl FnOnce(&ChatCall<'_>) -> T) -> T {
        let label = &self.labels[place].name;
        let examples = self.examples.get(label).map_or(&[][..], Vec::as_slice);
        let examples = prompt::drawn(examples, self.shown, (label, turn), self.seed);
        // The last of those that would do asks for what is left.
        let left = self.per_label - self.per_request * (turn as usize).min(self.turns() as usize - 1);
        let n = if turn < self.turns() { left.min(self.per_request) } else { self.per_request };
        let messages = prompt::messages(self.labels, place, &examples, (n, turn), self.seed);
        work(&ChatCall {
            model: self.model,
            messages: &messages,
            most_answer: self.row_tokens.saturating_mul(n as u64),
            temperature: self.temperature,
            turn,
            about: format!("{} of label `{label}`", polytask_core::plural(n, "text")),
        })
    }
}

/// The texts that a request brings.
fn ask(client: &mut LlmClient, request: &LlmRequest) -> Result<Vec<String>> {
    client.ask(request, |answer| {
        let (said, _) = polytask_llm::message(answer)?;
        let found = texts::texts(&said);
        if found.is_empty() { Err("its message holds no text".into()) } else { Ok(found) }
    })
}

/// A text without what does not tell it from another one.
fn folded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

#[cfg(test)]
mod tests {
    use polytask_llm::testing::{LocalServer, chat_reply};
    use polytask_llm::{Cassette, CassetteMode, Endpoint, LlmBudget};
    use serde_json::json;

    use super::*;

    fn labels() -> Vec<DescribedLabel> {
        ["card", "fee"]
            .map(|name| DescribedLabel {
                name: name.into(),
                description: format!("about a {name}"),
                is_described: true,
            })
            .to_vec()
    }

    fn rows<'a>(
        labels: &'a [DescribedLabel],
        examples: &'a BTreeMap<String, Vec<String>>,
    ) -> WrittenRows<'a> {
        WrittenRows {
            labels,
            examples,
            per_label: 5,
            per_request: 3,
            shown: 2,
            model: "m",
            temperature: 1.0,
            row_tokens: 20,
            seed: 1,
        }
    }

    #[test]
    fn as_many_texts_as_wanted_are_asked_for_and_repetitions_are_left_out() {
        let server = LocalServer::start(|i, _| {
            let texts = [
                format!("text number {i}"),
                format!("Text  number {i}"),
                "too short".into(),
                format!("another one {i}"),
            ];
            chat_reply(&json!(texts).to_string(), 30)
        });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.jsonl");
        let client = || {
            let cassette = Cassette::open(&path, CassetteMode::Replay).unwrap();
            LlmClient::new(
                Endpoint::new(&server.address, None).unwrap(),
                Some(cassette),
                LlmBudget::default(),
            )
        };
        let (labels, examples) =
            (labels(), BTreeMap::from([("card".to_owned(), vec!["Text number 0".to_owned()])]));
        let rows = rows(&labels, &examples);
        let plan = rows.plan(&client());
        assert_eq!((plan.requests, plan.known, plan.most_requests), (4, 0, 8));
        assert!(plan.most_tokens > 8 * 40, "{plan:?}");
        let written = rows.write(&mut client(), |_| ()).unwrap();
        // The first text of the first answer is the example.
        assert_eq!(
            written[0].texts,
            ["another one 0", "text number 1", "another one 1", "text number 2", "another one 2"]
        );
        assert_eq!((written[0].left_out, written[1].texts.len()), (7, 5));
        let asked = server.heard().len();
        assert_eq!(rows.write(&mut client(), |_| ()).unwrap(), written);
        assert_eq!(server.heard().len(), asked, "nothing is paid twice");
        assert_eq!(rows.plan(&client()).known, 4);
    }

    #[test]
    fn an_endpoint_that_repeats_itself_is_left_after_a_few_requests_and_one_without_texts_at_once() {
        let server = LocalServer::start(|_, _| chat_reply("- the very same text", 9));
        let client = |server: &LocalServer| {
            LlmClient::new(Endpoint::new(&server.address, None).unwrap(), None, LlmBudget::default())
        };
        let (labels, examples) = (labels(), BTreeMap::new());
        let rows = rows(&labels, &examples);
        let written = rows.write(&mut client(&server), |_| ()).unwrap();
        assert_eq!((written[0].texts.len(), written[0].left_out, server.heard().len()), (1, 3, 8));
        let server = LocalServer::start(|_, _| chat_reply("Sorry:", 9));
        let told = rows.write(&mut client(&server), |_| ()).unwrap_err().to_string();
        assert!(told.contains("3 texts of label `card`") && told.contains("no text"), "{told}");
    }
}
