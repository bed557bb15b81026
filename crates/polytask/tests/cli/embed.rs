//! `embed`: texts of a file or of standard input to vectors in a file.

use std::fs;

use serde_json::Value;

use crate::support::{Place, copied_model, has, trained};

const TEXTS: [&str; 6] = ["the cat sees a bird", "", "🙂", "saw", "قلم", "the cat sees a bird"];

/// Embeds in the folder of the shared run; each test has file names of its own.
fn input(name: &str) -> (&'static Place, String) {
    let place = trained();
    let lines: String =
        TEXTS.iter().map(|text| serde_json::json!({ "text": text }).to_string() + "\n").collect();
    place.write(&format!("{name}.jsonl"), &lines);
    (place, lines)
}

fn embed(place: &Place, input: &str, output: &str) -> crate::support::Ran {
    place.polytask(&["embed", "--model", "run/model", "--input", input, "--output", output])
}

/// Shape and rows of a `.npy` file of little-endian f32, read by the format's own rules.
fn read_npy(bytes: &[u8]) -> (String, Vec<f32>) {
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    assert_eq!((10 + length) % 64, 0, "data are aligned");
    let header = String::from_utf8(bytes[10..10 + length].to_vec()).unwrap();
    assert!(
        header.ends_with('\n')
            && header.contains("'descr': '<f4'")
            && header.contains("'fortran_order': False")
    );
    let values = bytes[10 + length..].chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
    (header, values.collect())
}

fn vectors(lines: &str) -> Vec<Vec<f32>> {
    let vector = |line: &str| serde_json::from_str::<Value>(line).unwrap()["embedding"].clone();
    lines.lines().map(|line| serde_json::from_value(vector(line)).unwrap()).collect()
}

#[test]
fn npy_jsonl_and_standard_output_hold_the_same_vectors_in_order() {
    let (place, lines) = input("same");
    embed(place, "same.jsonl", "same.npy").done();
    embed(place, "same.jsonl", "same-out.jsonl").done();
    let (header, values) = read_npy(&fs::read(place.path("same.npy")).unwrap());
    let rows = vectors(&place.read("same-out.jsonl"));
    let width = rows[0].len();
    assert!(header.contains(&format!("'shape': ({}, {width})", TEXTS.len())), "{header}");
    assert_eq!(rows.concat(), values, "both formats hold the very same numbers");
    let stdin = ["embed", "--model", "run/model", "--input", "-"];
    assert_eq!(vectors(&place.polytask_reading(&lines, &stdin).done()), rows);
    assert_eq!(rows[0], rows[5], "equal texts have equal vectors");
    assert_ne!(rows[0], rows[3]);
    for row in &rows {
        assert!((row.iter().map(|v| v * v).sum::<f32>() - 1.0).abs() < 1e-5, "normalised");
    }
    for (i, text) in TEXTS.iter().enumerate() {
        let alone = serde_json::json!({ "text": text }).to_string();
        let alone = vectors(&place.polytask_reading(&alone, &stdin).done());
        assert!(alone[0].iter().zip(&rows[i]).all(|(a, b)| (a - b).abs() < 1e-5), "row {i} is out of order");
    }
}

#[test]
fn another_field_and_other_formats_are_read() {
    let place = trained();
    place.write("field.csv", "id,title\n1,the cat\n2,\n");
    let out = place.polytask(&["embed", "-m", "run/model", "-i", "field.csv", "--field", "title"]).done();
    assert_eq!(out.lines().count(), 2);
    let done =
        ["embed", "-m", "run/model", "-i", "field.csv", "--field", "title", "-o", "field.npy", "--json"];
    assert_eq!(place.polytask(&done).object()["rows"], 2);
    let columns = ["embed", "-m", "run", "-i", "field.csv", "--columns", "text=title"];
    assert_eq!(place.polytask(&columns).done(), out, "the same by its role, of a run's folder");
    place.write("none.jsonl", "");
    embed(place, "none.jsonl", "none.npy").done();
    let (header, values) = read_npy(&fs::read(place.path("none.npy")).unwrap());
    assert!(header.contains("'shape': (0, ") && values.is_empty());
}

#[test]
fn a_bad_line_is_named_and_no_output_is_left() {
    let place = trained();
    let cases: [(&str, &str, &[&str]); 4] = [
        ("{\"text\":\"a\"}\n{\"text\":\n", "bad-1.jsonl:2", &["JSON"]),
        ("{\"text\":\"a\"}\n{\"line\":\"b\"}\n", "bad-1.jsonl:2", &["`text`", "{\"text\": \"…\"}"]),
        ("{\"text\":\"a\"}\n{\"text\":7}\n", "bad-1.jsonl:2", &["`text`", "7"]),
        ("[\"a\"]\n", "bad-1.jsonl:1", &["object"]),
    ];
    for (content, line, words) in cases {
        place.write("bad-1.jsonl", content);
        let error = embed(place, "bad-1.jsonl", "bad-1.npy").refused();
        has(&error, &[line]);
        has(&error, words);
        let stdin = ["embed", "--model", "run/model", "--input", "-", "--output", "bad-1.npy"];
        let error = place.polytask_reading(content, &stdin).refused();
        has(&error, &[&line.replace("bad-1.jsonl", "standard input")]);
        let left: Vec<String> =
            place.names(".").into_iter().filter(|name| name.contains("bad-1.npy")).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn an_output_that_cannot_be_is_refused() {
    let (place, _) = input("refused");
    has(&embed(place, "refused.jsonl", "vectors.txt").refused(), &["vectors.txt", ".npy", ".jsonl"]);
    has(&embed(place, "refused.jsonl", "vectors").refused(), &["vectors", ".npy", ".jsonl"]);
    has(&embed(place, "refused.jsonl", "nowhere/v.npy").refused(), &["nowhere/v.npy"]);
    has(&embed(place, "nothing.jsonl", "nothing.npy").refused(), &["nothing.jsonl"]);
    assert!(!place.path("nothing.npy").exists());
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let place = trained();
    let lines = "{\"text\":\"the cat\"}\n".repeat(3000);
    place.write("many.jsonl", lines);
    let script = format!("'{}' embed -m run/model -i many.jsonl | head -n 1", env!("CARGO_BIN_EXE_polytask"));
    let output = place.command("sh", &["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.stdout.iter().filter(|b| **b == b'\n').count(), 1);
}

#[test]
fn an_empty_line_between_rows_is_named_and_empty_lines_at_the_end_are_none() {
    let place = trained();
    let stdin = ["embed", "--model", "run/model", "--input", "-", "--output", "gap.npy"];
    for (content, line) in [("{\"text\":\"a\"}\n\n{\"text\":\"b\"}\n", 2), (" \n{\"text\":\"b\"}\n", 1)] {
        place.write("gap.jsonl", content);
        let error = embed(place, "gap.jsonl", "gap.npy").refused();
        has(&error, &[&format!("gap.jsonl:{line}: line is empty"), "{\"text\": \"\"}"]);
        has(
            &place.polytask_reading(content, &stdin).refused(),
            &[&format!("standard input:{line}: line is empty")],
        );
    }
    place.write("end.jsonl", "{\"text\":\"a\"}\n{\"text\":\"b\"}\n\n\n");
    embed(place, "end.jsonl", "end-out.jsonl").done();
    assert_eq!(place.read("end-out.jsonl").lines().count(), 2);
    place.write("quoted.csv", "text\n\"a\nb\"\nc\n");
    embed(place, "quoted.csv", "quoted-out.jsonl").done();
    assert_eq!(place.read("quoted-out.jsonl").lines().count(), 2, "a text of a table may hold line ends");
}

#[test]
fn prompts_of_the_folder_stand_before_every_text() {
    let place = copied_model();
    place.write("plain.jsonl", "{\"text\":\"the cat\"}\n");
    place.write("asked.jsonl", "{\"text\":\"find: the cat\"}\n");
    let run = |input: &str, more: &[&str]| {
        let args = [&["embed", "--model", "model", "--input", input][..], more].concat();
        place.polytask(&args)
    };
    let (plain, asked) = (run("plain.jsonl", &[]).done(), run("asked.jsonl", &[]).done());
    assert_ne!(plain, asked);
    let mut config = place.json("model/config_sentence_transformers.json");
    config["prompts"] = serde_json::json!({ "query": "find: ", "document": "" });
    place.write("model/config_sentence_transformers.json", config.to_string());
    assert_eq!(run("plain.jsonl", &[]).done(), plain, "no default prompt");
    assert_eq!(run("plain.jsonl", &["--prompt", "query"]).done(), asked);
    has(&run("plain.jsonl", &["--prompt", "quer"]).refused(), &["`quer`", "document, query"]);
    config["default_prompt_name"] = "query".into();
    place.write("model/config_sentence_transformers.json", config.to_string());
    assert_eq!(run("plain.jsonl", &[]).done(), asked, "the default prompt");
    assert_eq!(run("plain.jsonl", &["--prompt", "document"]).done(), plain);
    let search = |more: &[&str]| {
        let args = ["search", "--model", "model", "--corpus", "asked.jsonl", "--query", "the cat", "--json"];
        place.polytask(&[&args[..], more].concat())
    };
    let score = |more: &[&str]| search(more).object()["hits"][0]["score"].as_f64().unwrap();
    assert!(
        (score(&["--corpus-prompt", "document"]) - 1.0).abs() < 1e-5,
        "query and passage are the same text"
    );
    assert!(score(&["--corpus-prompt", "document", "--prompt", "document"]) < 0.999);
    has(&search(&["--corpus-prompt", "passage"]).refused(), &["`passage`", "document, query"]);
}
