use super::super::{Tokenizer, tiny};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A tokenizer of this file that keeps few tokens and reads little at once, so that every rule is at work.
fn small(json: &Value) -> Tokenizer {
    let files = vec![("tokenizer.json".to_owned(), json.to_string().into_bytes())];
    let mut tokenizer = Tokenizer::build(files, 9, &Value::Null, false).unwrap();
    tokenizer.cut.step = 48;
    tokenizer
}

fn word_piece(max_word: usize) -> Value {
    let mut json = tiny::json();
    json["model"]["max_input_chars_per_word"] = json!(max_word);
    json
}

/// Bytes, with a few merges; GPT-2's pieces.
fn bytes_bpe() -> Value {
    let space = '\u{120}';
    let printable = ('!'..='~').chain('\u{a1}'..='\u{ac}').chain('\u{ae}'..='\u{ff}');
    let bytes = printable.chain('\u{100}'..='\u{143}').map(String::from);
    let merges = [("x", "x"), ("xx", "xx"), ("a", "b"), ("ab", "a"), (&*space.to_string(), "a")]
        .map(|(a, b)| json!([a, b]));
    let made = ["xx", "xxxx", "ab", "aba"].map(str::to_owned).into_iter().chain([format!("{space}a")]);
    let vocab: serde_json::Map<String, Value> =
        bytes.chain(made).zip(0..).map(|(t, i)| (t, json!(i))).collect();
    json!({"version": "1.0", "added_tokens": [], "normalizer": null, "post_processor": null, "decoder": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "vocab": vocab, "merges": merges}})
}

/// Pieces with likelihoods, as sentencepiece has them; anything unknown is fused.
fn unigram() -> Value {
    let pieces = ["<unk>", "\u{2581}", "a", "b", "x", "ab", "xx", "\u{2581}a", "ba", "abx"];
    let vocab: Vec<Value> = pieces.iter().enumerate().map(|(i, p)| json!([p, -(i as f64)])).collect();
    json!({"version": "1.0", "added_tokens": [], "post_processor": null, "decoder": null,
        "normalizer": {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"},
            {"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always", "split": true}]},
        "model": {"type": "Unigram", "unk_id": 0, "vocab": vocab, "byte_fallback": false}})
}

fn uncut(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    tokenizer.inner.encode_fast(text, true).unwrap().get_ids().to_vec()
}

/// Texts of parts that are each repeated: words, ends of words, what normalisers drop, added tokens.
fn texts() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        "[a-c]{1,6}",
        "[ab ]{1,9}",
        Just("x".to_owned()),
        Just(" ".to_owned()),
        Just("\n\t ".to_owned()),
        Just("\u{0}\u{200b}".to_owned()),
        Just("\u{301}".to_owned()),
        Just("e\u{301}\u{323}".to_owned()),
        Just("\u{4e2d}\u{6587}".to_owned()),
        Just("\u{1f469}\u{200d}\u{1f467}".to_owned()),
        Just("[SEP]".to_owned()),
        Just("[SE".to_owned()),
        Just("P]".to_owned()),
        Just("\u{130}\u{1e9e}".to_owned()),
        Just("don't, 1.5".to_owned()),
        Just("\u{3a9}".to_owned()),
        "\\PC{1,4}",
    ];
    let times = prop_oneof![Just(1_usize), 1..9_usize, 20..400_usize];
    prop::collection::vec((part, times), 1..9)
        .prop_map(|parts| parts.into_iter().map(|(part, times)| part.repeat(times)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn a_cut_text_has_the_tokens_of_the_whole(text in texts()) {
        for json in [word_piece(100), word_piece(12), bytes_bpe(), unigram()] {
            let tokenizer = small(&json);
            prop_assert_eq!(tokenizer.encode(&text).unwrap(), uncut(&tokenizer, &text));
            let batch = tokenizer.encode_batch(&["a", &text, "b"]).unwrap();
            prop_assert_eq!(&batch[1], &uncut(&tokenizer, &text));
            let words: Vec<&str> = text.split(' ').collect();
            let spaced = |(i, word): (usize, &&str)| {
                let has_blank = tokenizer.spaces_words && i > 0 && !word.is_empty();
                if has_blank { format!(" {word}") } else { (*word).to_owned() }
            };
            let spaced: Vec<String> = words.iter().enumerate().map(spaced).collect();
            let expected = tokenizer.inner.encode(spaced, true).unwrap();
            let (ids, first) = tokenizer.encode_words(&words).unwrap();
            prop_assert_eq!(&ids, expected.get_ids());
            prop_assert_eq!(first.len(), words.len());
        }
    }
}

/// Bytes that were tokenised for a text, the last time included.
fn handed(tokenizer: &Tokenizer, text: &str) -> usize {
    let mut handed = 0;
    let kept = tokenizer.cut.text(&tokenizer.inner, text, &mut handed).unwrap();
    handed + kept.len()
}

#[test]
fn what_is_tokenised_does_not_grow_with_the_text() {
    let mixed = format!("{}\u{0} ", "x".repeat(500));
    let parts = ["x", "ab ", " ", "\u{200b}", "\u{e9}", "x\u{200b}\u{200b}", "\u{4e2d}", "a-", "\n", &mixed];
    for tokenizer in [Tokenizer::tiny(), small(&word_piece(100))] {
        for part in parts {
            let bytes = [1_usize << 20, 1 << 22].map(|n| handed(&tokenizer, &part.repeat(n / part.len())));
            let most = 4 * tokenizer.max_length() * (tokenizer.cut.step + mixed.len());
            assert!(
                bytes.iter().all(|&n| n <= most) && bytes[1] < bytes[0] + (1 << 16),
                "{part:?}: {bytes:?}"
            );
        }
    }
}

#[test]
fn the_word_behind_one_without_end_is_still_read() {
    let tokenizer = Tokenizer::tiny();
    for filler in ["x", "\u{e9}", "\u{200b}", " "] {
        let text = format!("ab {}\u{200b} cd", filler.repeat(300_000));
        assert_eq!(tokenizer.encode(&text).unwrap(), uncut(&tokenizer, &text));
        assert!(handed(&tokenizer, &text) < 64 * tokenizer.cut.step, "{filler:?}");
    }
}
