//! Text to token ids, exactly as sentence-transformers would.
//!
//! The folder's `tokenizer.json` is read by the ecosystem's own code. Its truncation and padding settings are
//! traces of how the file was made (often 128) and are overridden by the folder's length limit. Text is not
//! stripped first: surrounding whitespace is dropped by the normaliser and pre-tokenizer of every supported
//! family, and the current sentence-transformers does not strip either.

mod cut;
mod normalise;
mod pair;
mod prompts;
mod tiny;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use polytask_core::error::{Place, Problem};
use polytask_core::length::{self, TINY_LENGTH, read_json};
use polytask_core::{Error, Result, atomic, files};
use serde_json::Value;
use tokenizers::{Encoding, TruncationDirection, TruncationParams};

/// Number of tokens of [`Tokenizer::tiny`].
pub const TINY_VOCAB: usize = TINY_SPECIAL.len() + 68 + 36;

/// Marks a word without a token in [`Tokenizer::encode_words`]: cut off, or nothing left after cleaning.
pub const NO_TOKEN: u32 = u32::MAX;

/// Special tokens of [`Tokenizer::tiny`], in the order of their ids.
const TINY_SPECIAL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// Files that make up a tokenizer; the first is required.
const FILES: [&str; 8] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "added_tokens.json",
    "sentencepiece.bpe.model",
    "spiece.model",
    "unigram.json",
];

/// Texts encoded between two hand-overs, which bounds the memory of offsets and token strings not kept.
const BATCH: usize = 1024;

/// Ids of the special tokens; `None` where the tokenizer has none of the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SpecialIds {
    /// Padding.
    pub pad: Option<u32>,
    /// Unknown token.
    pub unk: Option<u32>,
    /// First token of every sequence.
    pub cls: Option<u32>,
    /// Last token of every sequence.
    pub sep: Option<u32>,
    /// Masked token.
    pub mask: Option<u32>,
}

/// Turns text into token ids with special tokens, cut to the length limit.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    max_length: usize,
    /// Whether the blank before a word is part of its first token.
    spaces_words: bool,
    /// How long texts are cut before they are tokenised.
    cut: cut::Cut,
    vocab_size: usize,
    special: SpecialIds,
    files: Vec<(String, Vec<u8>)>,
    /// Whether texts are lower-cased before the file's own steps.
    lowercase: bool,
    prompts: BTreeMap<String, String>,
    /// What stands before every text.
    prompt: String,
}

impl Tokenizer {
    /// The tokenizer of a model folder, cutting at `max_length` or else at the folder's own limit
    /// ([`length::length_limit`]), with the folder's default prompt before every text.
    ///
    /// # Errors
    /// When `tokenizer.json` is absent or broken, `max_length` lies above the folder's number of positions
    /// or leaves no room beside the special tokens, or the default prompt is none of the folder's.
    pub fn load(folder: &Path, max_length: Option<usize>) -> Result<Self> {
        let base = length::adapter_base(folder)?;
        let folder = base.as_deref().unwrap_or(folder);
        let (prompts, default) = prompts::read(folder)?;
        let folder = &length::transformer_folder(folder)?;
        let files = read_files(folder)?;
        let limit = match max_length {
            Some(wanted) => checked_length(folder, wanted)?,
            None => length::length_limit(folder)?,
        };
        let config = read_json(folder, "tokenizer_config.json")?.unwrap_or(Value::Null);
        let sentence = length::sentence_config(folder)?.map_or(Value::Null, |(_, config)| config);
        let lowercase = sentence.get("do_lower_case").and_then(Value::as_bool).unwrap_or(false);
        let path = folder.join(FILES[0]);
        let built = Self::build(files, limit, &config, lowercase)
            .map_err(|what| Problem::at(Place::file(&path), what).try_this("fetch the folder again"))?;
        Ok(Self { prompts, prompt: default, ..built })
    }

    /// A small tokenizer built in code, for tests and `encoder = "tiny"`: lower-cased ASCII, one token per
    /// character; anything else is unknown.
    pub fn tiny() -> Self {
        Self::build_tiny(TINY_LENGTH).expect("the built-in tokenizer is valid")
    }

    /// [`Tokenizer::tiny`] cutting at `max_length`.
    ///
    /// # Errors
    /// When `max_length` lies above [`TINY_LENGTH`] or leaves no room beside the special tokens.
    pub fn tiny_cut(max_length: usize) -> Result<Self> {
        within(max_length, TINY_LENGTH as u64)?;
        Self::build_tiny(max_length)
            .map_err(|what| Problem::new(what).try_this("a larger `max_length`").into())
    }

    fn build_tiny(max_length: usize) -> Result<Self, String> {
        let bytes = serde_json::to_vec_pretty(&tiny::json()).expect("a JSON value can be written");
        let config = tiny::config();
        let config_bytes = serde_json::to_vec_pretty(&config).expect("a JSON value can be written");
        let files = vec![(FILES[0].to_owned(), bytes), (FILES[1].to_owned(), config_bytes)];
        Self::build(files, max_length, &config, false)
    }

    fn build(
        files: Vec<(String, Vec<u8>)>,
        max_length: usize,
        config: &Value,
        lowercase: bool,
    ) -> Result<Self, String> {
        let broken = |error| format!("not a tokenizer this version can read: {error}");
        let mut inner = tokenizers::Tokenizer::from_bytes(&files[0].1).map_err(broken)?;
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|error| error.to_string())?;
        normalise::as_configured(&mut inner, config)?;
        if lowercase {
            normalise::lowercase_first(&mut inner)?;
        }
        let special = special_ids(&inner, config)?;
        truncate_to(&mut inner, max_length, config)?;
        let vocab_size = inner.get_vocab(true).into_values().max().map_or(0, |id| id as usize + 1);
        probe(&inner)?;
        let (prompts, prompt) = (BTreeMap::new(), String::new());
        let (cut, spaces_words) = (cut::Cut::new(&inner, max_length), normalise::keeps_spaces(&inner));
        Ok(Self {
            inner,
            max_length,
            spaces_words,
            cut,
            vocab_size,
            special,
            files,
            lowercase,
            prompts,
            prompt,
        })
    }

    /// Token ids of one text, with special tokens, at most [`Tokenizer::max_length`].
    ///
    /// # Errors
    /// When the tokenizer's own rules refuse the text (a pattern too costly to match, for one).
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.encode_after(&self.prompt, text)
    }

    /// The same with another prompt before the text than the folder's own.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_after(&self, prompt: &str, text: &str) -> Result<Vec<u32>> {
        self.encode_cut(&prompts::before(prompt, text))
    }

    /// The text, or a shorter one with the same tokens.
    fn cut<'t>(&self, text: &'t str) -> Result<Cow<'t, str>> {
        self.cut.text(&self.inner, text, &mut 0)
    }

    /// Token ids of many texts, in their order; the same as one by one, on all threads.
    pub fn encode_batch<S: AsRef<str>>(&self, texts: &[S]) -> Result<Vec<Vec<u32>>> {
        self.encode_batch_after(&self.prompt, texts)
    }

    /// The same with another prompt before every text than the folder's own.
    pub fn encode_batch_after<S: AsRef<str>>(&self, prompt: &str, texts: &[S]) -> Result<Vec<Vec<u32>>> {
        let mut all = Vec::with_capacity(texts.len());
        for chunk in texts.chunks(BATCH) {
            let texts: Vec<_> = chunk.iter().map(|text| prompts::before(prompt, text.as_ref())).collect();
            all.extend(self.encode_chunk(&texts)?);
        }
        Ok(all)
    }

    /// Short texts by the tokenizer's own batches, long ones one by one on all threads.
    fn encode_chunk(&self, texts: &[Cow<'_, str>]) -> Result<Vec<Vec<u32>>> {
        let (long, short): (Vec<usize>, Vec<usize>) =
            (0..texts.len()).partition(|&i| self.cut.is_long(&texts[i]));
        let short_texts: Vec<&str> = short.iter().map(|&i| &*texts[i]).collect();
        let encoded = self.inner.encode_batch_fast(short_texts, true);
        let encoded = encoded.map_err(|error| refused(error.as_ref()))?;
        let long_texts: Vec<&str> = long.iter().map(|&i| &*texts[i]).collect();
        let mut all = vec![Vec::new(); texts.len()];
        short.iter().zip(&encoded).for_each(|(&i, encoding)| all[i] = ids(encoding));
        long.iter().zip(self.encode_long(&long_texts)?).for_each(|(&i, ids)| all[i] = ids);
        Ok(all)
    }

    fn encode_long(&self, texts: &[&str]) -> Result<Vec<Vec<u32>>> {
        let n_threads = std::thread::available_parallelism().map_or(1, usize::from);
        let parts = texts.chunks(texts.len().div_ceil(n_threads).max(1));
        let part = |part: &[&str]| part.iter().map(|text| self.encode_cut(text)).collect::<Result<Vec<_>>>();
        let encoded: Vec<Result<Vec<Vec<u32>>>> = std::thread::scope(|scope| {
            let threads: Vec<_> = parts.map(|texts| scope.spawn(move || part(texts))).collect();
            let panicked = || Error::Bug("a thread of the tokenizer panicked".into());
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(panicked()))).collect()
        });
        Ok(encoded.into_iter().collect::<Result<Vec<_>>>()?.concat())
    }

    fn encode_cut(&self, text: &str) -> Result<Vec<u32>> {
        let encoded = self.inner.encode_fast(&*self.cut(text)?, true);
        encoded.map(|encoding| ids(&encoding)).map_err(|error| refused(error.as_ref()))
    }

    /// Token ids of a text already split into words, and the position of each word's first token, `[words]`;
    /// without any prompt.
    ///
    /// A word that was cut off or gives no token has position [`NO_TOKEN`].
    pub fn encode_words<S: AsRef<str>>(&self, words: &[S]) -> Result<(Vec<u32>, Vec<u32>)> {
        let encoding = self.first_words(words)?;
        let mut first = vec![NO_TOKEN; words.len()];
        for (position, word) in encoding.get_word_ids().iter().enumerate().rev() {
            if let Some(word) = word {
                first[*word as usize] = position as u32;
            }
        }
        Ok((ids(&encoding), first))
    }

    /// The tokens of as many words as fill the length limit; each word has its tokens whatever stands beside it.
    fn first_words<S: AsRef<str>>(&self, words: &[S]) -> Result<Encoding> {
        let mut n = if self.cut.is_from_left() { words.len() } else { self.max_length.min(words.len()) };
        loop {
            let texts = words[..n].iter().enumerate().map(|(i, word)| {
                let text = self.cut(word.as_ref())?;
                // As the word stands in a text.
                Ok(if i > 0 && self.spaces_words && !text.is_empty() {
                    format!(" {text}").into()
                } else {
                    text
                })
            });
            let texts: Vec<Cow<'_, str>> = texts.collect::<Result<_>>()?;
            // The fast variant keeps no word numbers.
            let encoding = self.inner.encode(texts, true).map_err(|error| refused(error.as_ref()))?;
            if n == words.len() || !encoding.get_overflowing().is_empty() {
                return Ok(encoding);
            }
            n = (2 * n).min(words.len());
        }
    }

    /// Longest sequence it gives, in tokens including special ones.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// Every id lies below this: the highest id and one.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// Ids of the special tokens.
    pub fn special(&self) -> SpecialIds {
        self.special
    }

    /// Whether texts are lower-cased before the file's own steps (`do_lower_case` of the sentence config).
    pub fn lowercase(&self) -> bool {
        self.lowercase
    }

    /// Whether both give the same ids for every text: files, length limit, prompt and lower-casing agree.
    pub fn same_ids(&self, other: &Self) -> bool {
        let shaping = |t: &Self| (t.max_length, t.lowercase);
        shaping(self) == shaping(other) && self.prompt == other.prompt && self.files == other.files
    }

    /// The files it was read from, as (name, content): what [`Tokenizer::save_to`] writes.
    pub fn files(&self) -> &[(String, Vec<u8>)] {
        &self.files
    }

    /// Writes the files it was read from into `folder`, unchanged.
    pub fn save_to(&self, folder: &Path) -> Result<()> {
        atomic::create_dir(folder)?;
        self.files.iter().try_for_each(|(name, bytes)| atomic::write(&folder.join(name), bytes))
    }
}

fn ids(encoding: &Encoding) -> Vec<u32> {
    encoding.get_ids().to_vec()
}

/// Texts never go into messages, so only the reason does.
fn refused(error: &(dyn std::error::Error + Send + Sync)) -> Error {
    Problem::new(format!("the tokenizer refused a text: {error}")).try_this("another encoder").into()
}

fn read_files(folder: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    for name in FILES {
        let path = folder.join(name);
        match files::read(&path, files::LARGE) {
            Ok(bytes) => files.push((name.to_owned(), bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && name != FILES[0] => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(no_tokenizer(folder)),
            Err(error) => return Err(Error::io("read", &path)(error)),
        }
    }
    Ok(files)
}

fn no_tokenizer(folder: &Path) -> Error {
    let what = format!("no tokenizer.json in {}", folder.display());
    let remedy = "an encoder with a fast tokenizer (save it once with `AutoTokenizer.save_pretrained`)";
    Problem::new(what).try_this(remedy).into()
}

/// A length the user asked for, refused above the folder's number of positions.
fn checked_length(folder: &Path, wanted: usize) -> Result<usize> {
    match length::positions(folder)? {
        Some(positions) => within(wanted, positions as u64),
        None => Ok(wanted),
    }
}

fn within(wanted: usize, positions: u64) -> Result<usize> {
    if wanted as u64 <= positions {
        return Ok(wanted);
    }
    let what = format!("`max_length` is {wanted}, but the encoder has {positions} positions");
    Err(Problem::new(what).try_this(format!("`max_length = {positions}` or less")).into())
}

fn truncate_to(inner: &mut tokenizers::Tokenizer, max_length: usize, config: &Value) -> Result<(), String> {
    let n_special = inner.encode_fast("", true).map_err(|error| error.to_string())?.len();
    if max_length <= n_special {
        return Err(format!(
            "`max_length` is {max_length}, but the special tokens alone are {n_special}; expected more"
        ));
    }
    let left = config.get("truncation_side").and_then(Value::as_str) == Some("left");
    let direction = if left { TruncationDirection::Left } else { TruncationDirection::Right };
    let truncation = TruncationParams { max_length, direction, ..TruncationParams::default() };
    inner.with_truncation(Some(truncation)).map_err(|error| error.to_string())?;
    Ok(())
}

/// Special tokens by the names of `tokenizer_config.json`, BERT's names where it is silent; what stands around
/// an empty text is what really opens and closes a sequence.
fn special_ids(inner: &tokenizers::Tokenizer, config: &Value) -> Result<SpecialIds, String> {
    let named = |key: &str, default: &str| {
        let entry = config.get(key);
        let name = entry.and_then(|e| e.as_str().or_else(|| e.get("content")?.as_str()));
        inner.token_to_id(name.unwrap_or(default))
    };
    let empty =
        inner.encode_fast("", true).map(|encoding| ids(&encoding)).map_err(|error| error.to_string())?;
    Ok(SpecialIds {
        pad: named("pad_token", "[PAD]"),
        unk: named("unk_token", "[UNK]"),
        cls: empty.first().copied().or_else(|| named("cls_token", "[CLS]")),
        sep: empty.last().copied().or_else(|| named("sep_token", "[SEP]")),
        mask: named("mask_token", "[MASK]"),
    })
}

/// Encodes a character no vocabulary holds, so that a tokenizer without an unknown token fails at once and not
/// on some later text.
fn probe(inner: &tokenizers::Tokenizer) -> Result<(), String> {
    inner.encode_fast("a \u{10_FFFD}\u{1_F9FF} b", true).map(|_| ()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_tiny_tokenizer_cuts_where_it_is_told_and_refuses_what_cannot_be() {
        let cut = Tokenizer::tiny_cut(5).unwrap();
        assert_eq!((cut.max_length(), cut.encode("abcdefgh").unwrap().len()), (5, 5));
        let error = Tokenizer::tiny_cut(TINY_LENGTH + 1).unwrap_err().to_string();
        assert!(error.contains("try: `max_length = 128` or less"), "{error}");
        assert!(Tokenizer::tiny_cut(2).unwrap_err().to_string().contains("special tokens alone are 2"));
    }

    #[test]
    fn the_folder_s_default_prompt_stands_before_every_text_and_another_one_on_request() {
        let folder = saved_tiny(|_| ());
        let config =
            r#"{"prompts": {"query": "ask: ", "none": "", "null": null}, "default_prompt_name": "query"}"#;
        std::fs::write(folder.path().join("config_sentence_transformers.json"), config).unwrap();
        let (plain, prompted) = (Tokenizer::tiny(), Tokenizer::load(folder.path(), None).unwrap());
        assert_eq!(prompted.prompt(), "ask: ");
        assert_eq!(prompted.encode("why").unwrap(), plain.encode("ask: why").unwrap());
        assert_eq!(prompted.encode_batch(&["why", ""]).unwrap()[1], plain.encode("ask: ").unwrap());
        assert_eq!(prompted.encode_words(&["why"]).unwrap(), plain.encode_words(&["why"]).unwrap());
        for empty in ["none", "null"] {
            let prompt = prompted.prompt_named(empty).unwrap();
            assert_eq!(
                prompted.encode_batch_after(prompt, &["why"]).unwrap()[0],
                plain.encode("why").unwrap()
            );
        }
        let error = prompted.prompt_named("qury").unwrap_err().to_string();
        assert!(error.contains("`qury`") && error.contains("none, null, query"), "{error}");
        let error = plain.prompt_named("query").unwrap_err().to_string();
        assert!(error.contains("no prompt `query`") && error.contains("it has none"), "{error}");
    }

    #[test]
    fn a_default_prompt_that_is_not_there_is_refused_when_the_folder_is_read() {
        let folder = saved_tiny(|_| ());
        let config = r#"{"prompts": {"query": "ask: "}, "default_prompt_name": "document"}"#;
        std::fs::write(folder.path().join("config_sentence_transformers.json"), config).unwrap();
        let error = Tokenizer::load(folder.path(), None).unwrap_err().to_string();
        assert!(
            error.contains("config_sentence_transformers.json: the model has no prompt `document`"),
            "{error}"
        );
        std::fs::write(folder.path().join("config_sentence_transformers.json"), r#"{"prompts": {"q": 3}}"#)
            .unwrap();
        let error = Tokenizer::load(folder.path(), None).unwrap_err().to_string();
        assert!(error.contains("`q`") && error.contains("expected a text"), "{error}");
    }

    fn saved_tiny(change: impl FnOnce(&mut Value)) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let mut json = tiny::json();
        change(&mut json);
        std::fs::write(folder.path().join("tokenizer.json"), json.to_string()).unwrap();
        let config = r#"{"max_position_embeddings": 32}"#;
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        folder
    }

    #[test]
    fn the_configuration_wins_over_the_normalizer_of_the_tokenizer_s_own_file() {
        let tokens = |lowercase: bool, accents: Value, config: &str| {
            let folder = saved_tiny(|json| {
                json["normalizer"]["lowercase"] = lowercase.into();
                json["normalizer"]["strip_accents"] = accents;
            });
            std::fs::write(folder.path().join("tokenizer_config.json"), config).unwrap();
            Tokenizer::load(folder.path(), None).unwrap().encode("A é").unwrap()
        };
        let lowered = tokens(true, Value::Null, r#"{"tokenizer_class": "BertTokenizer"}"#);
        let kept = tokens(false, Value::Null, "{}");
        assert_ne!(lowered, kept);
        for (lowercase, accents, config, expected) in [
            // Whatever the file says, the configuration or its default counts.
            (false, Value::Null, r#"{"tokenizer_class": "BertTokenizer"}"#, &lowered),
            (
                false,
                false.into(),
                r#"{"tokenizer_class": "BertTokenizerFast", "do_lower_case": true}"#,
                &lowered,
            ),
            (true, Value::Null, r#"{"tokenizer_class": "BertTokenizer", "do_lower_case": false}"#, &kept),
            (true, true.into(), r#"{"tokenizer_class": "ElectraTokenizer", "do_lower_case": false}"#, &kept),
            // Without a class that does so the file alone counts.
            (false, Value::Null, r#"{"do_lower_case": true}"#, &kept),
            (
                false,
                Value::Null,
                r#"{"tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": true}"#,
                &kept,
            ),
        ] {
            assert_eq!(
                &tokens(lowercase, accents.clone(), config),
                expected,
                "{lowercase} {accents} {config}"
            );
        }
    }

    #[test]
    fn the_tiny_tokenizer_gives_one_token_per_ascii_character() {
        let tiny = Tokenizer::tiny();
        assert_eq!(tiny.vocab_size(), TINY_VOCAB);
        let special = tiny.special();
        assert_eq!((special.pad, special.unk, special.cls), (Some(0), Some(1), Some(2)));
        assert_eq!((special.sep, special.mask), (Some(3), Some(4)));
        assert_eq!(tiny.encode("Ab, c").unwrap().len(), 2 + 4);
        assert_eq!(tiny.encode("AB").unwrap(), tiny.encode(" ab\u{1c}\t").unwrap());
        let ascii: String = (' '..='~').collect();
        assert!(!tiny.encode(&ascii).unwrap().contains(&1));
        assert!(tiny.encode("Ω").unwrap().contains(&1));
    }

    #[test]
    fn an_empty_text_is_the_special_tokens_alone() {
        let tiny = Tokenizer::tiny();
        for text in ["", " ", "\n\t", "\u{0}\u{200b}"] {
            assert_eq!(tiny.encode(text).unwrap(), [2, 3], "{text:?}");
        }
    }

    #[test]
    fn a_long_text_is_cut_and_keeps_its_last_special_token() {
        let tiny = Tokenizer::tiny();
        let ids = tiny.encode(&"a ".repeat(10_000)).unwrap();
        assert_eq!((ids.len(), ids.last()), (TINY_LENGTH, Some(&3)));
    }

    #[test]
    fn a_batch_equals_its_texts_one_by_one() {
        let tiny = Tokenizer::tiny();
        let texts: Vec<String> = (0..2500).map(|i| format!("text {i} {}", "x".repeat(i % 40))).collect();
        let batch = tiny.encode_batch(&texts).unwrap();
        let single: Vec<_> = texts.iter().map(|text| tiny.encode(text).unwrap()).collect();
        assert_eq!(batch, single);
    }

    #[test]
    fn words_point_at_their_first_token() {
        let tiny = Tokenizer::tiny();
        let (ids, first) = tiny.encode_words(&["ab", "\u{200b}", "c-d", ""]).unwrap();
        assert_eq!(ids.len(), 2 + 2 + 3);
        assert_eq!(first, [1, NO_TOKEN, 3, NO_TOKEN]);
        let long = vec!["abcd"; 40];
        let (ids, first) = tiny.encode_words(&long).unwrap();
        assert_eq!(ids.len(), TINY_LENGTH);
        assert_eq!((first[31], first[32]), (125, NO_TOKEN));
        assert_eq!(tiny.encode_words::<&str>(&[]).unwrap(), (vec![2, 3], vec![]));
    }

    #[test]
    fn words_of_a_byte_level_tokenizer_have_the_tokens_they_have_in_a_text() {
        let folder = saved_tiny(|json| {
            let tokens = ["<s>", "a", "b", "\u{120}a", "\u{120}b", "\u{120}", "c"];
            let vocab: serde_json::Map<String, Value> =
                tokens.iter().zip(0..).map(|(t, id)| ((*t).into(), json!(id))).collect();
            *json = json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
                "normalizer": null, "post_processor": null, "decoder": null,
                "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
                "model": {"type": "BPE", "dropout": null, "unk_token": "<s>", "continuing_subword_prefix": null,
                    "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": true,
                    "vocab": vocab, "merges": [["\u{120}", "a"], ["\u{120}", "b"]]}});
        });
        let tokenizer = Tokenizer::load(folder.path(), Some(16)).unwrap();
        assert_eq!(tokenizer.encode("a b a").unwrap(), [1, 4, 3]);
        assert_eq!(
            tokenizer.encode_words(&["a", "b", "", "a"]).unwrap(),
            (vec![1, 4, 3], vec![0, 1, NO_TOKEN, 2])
        );
    }

    #[test]
    fn two_tokenizers_are_the_same_only_when_all_that_shapes_ids_is() {
        let folder = saved_tiny(|json| json["normalizer"] = Value::Null);
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let load = |length| Tokenizer::load(folder.path(), length).unwrap();
        let plain = load(None);
        assert!(plain.same_ids(&load(None)) && plain.same_ids(&load(Some(32))));
        let config = r#"{"prompts": {"query": "ask: "}}"#;
        write("config_sentence_transformers.json", config);
        assert!(plain.same_ids(&load(None)), "a prompt that is not used shapes nothing");
        write(
            "config_sentence_transformers.json",
            &config.replace("\"prompts", "\"default_prompt_name\": \"query\", \"prompts"),
        );
        let asking = load(None);
        write("config_sentence_transformers.json", config);
        let mut others = vec![Tokenizer::tiny(), load(Some(31)), asking];
        write("sentence_bert_config.json", r#"{"do_lower_case": true}"#);
        others.push(load(None));
        for other in others {
            let ids = |t: &Tokenizer| t.encode(&"Ab ".repeat(40)).unwrap();
            assert!(!plain.same_ids(&other) && !other.same_ids(&plain));
            assert_ne!(ids(&plain), ids(&other));
        }
    }

    #[test]
    fn the_files_own_truncation_and_padding_are_ignored() {
        let folder = saved_tiny(|json| {
            json["truncation"] =
                json!({"max_length": 5, "strategy": "LongestFirst", "stride": 0, "direction": "Right"});
            json["padding"] = json!({"strategy": {"Fixed": 9}, "direction": "Right", "pad_id": 0,
                "pad_type_id": 0, "pad_token": "[PAD]", "pad_to_multiple_of": null});
        });
        let tokenizer = Tokenizer::load(folder.path(), None).unwrap();
        assert_eq!(tokenizer.encode("abcdefghijkl").unwrap().len(), 14);
        assert_eq!(tokenizer.encode("a").unwrap().len(), 3);
        assert_eq!(tokenizer.encode(&"a".repeat(99)).unwrap().len(), 32);
    }

    #[test]
    fn a_saved_tokenizer_gives_the_same_ids() {
        let folder = tempfile::tempdir().unwrap();
        let tiny = Tokenizer::tiny();
        tiny.save_to(folder.path()).unwrap();
        let again = Tokenizer::load(folder.path(), Some(TINY_LENGTH)).unwrap();
        assert_eq!(again.encode("Hello, world").unwrap(), tiny.encode("Hello, world").unwrap());
        assert_eq!(again.files(), tiny.files());
    }

    #[test]
    fn broken_tokenizers_and_lengths_are_refused_with_the_reason() {
        let folder = saved_tiny(|_| ());
        let error = |length| Tokenizer::load(folder.path(), length).unwrap_err().to_string();
        assert!(error(Some(33)).contains("32 positions"));
        assert!(error(Some(2)).contains("special tokens alone are 2"));
        assert!(error(Some(0)).contains("special tokens alone are 2"));
        let without = saved_tiny(|json| {
            json["model"]["unk_token"] = json!("[NONE]");
        });
        let message = Tokenizer::load(without.path(), None).unwrap_err().to_string();
        assert!(message.contains("tokenizer.json"), "{message}");
        std::fs::write(folder.path().join("tokenizer.json"), b"{\"version\":").unwrap();
        assert!(error(None).contains("not a tokenizer"));
        std::fs::remove_file(folder.path().join("tokenizer.json")).unwrap();
        assert!(error(None).contains("no tokenizer.json"));
    }

    #[test]
    fn do_lower_case_of_the_sentence_config_is_applied() {
        let folder = saved_tiny(|json| json["normalizer"] = Value::Null);
        let plain = Tokenizer::load(folder.path(), None).unwrap();
        assert!(plain.encode("AB").unwrap().contains(&1));
        std::fs::write(folder.path().join("sentence_bert_config.json"), r#"{"do_lower_case": true}"#)
            .unwrap();
        let lowered = Tokenizer::load(folder.path(), None).unwrap();
        assert_eq!(lowered.encode("AB").unwrap(), plain.encode("ab").unwrap());
    }
}
