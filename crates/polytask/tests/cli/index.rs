//! `index` and `search INDEX`: documents of a folder, found, changed, and what happens when something is wrong.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Place, has, trained};

/// A folder of documents below a name, and the arguments that build its index.
fn docs(name: &str) -> (&'static Place, String, String) {
    let place = trained();
    let (docs, index) = (format!("{name}/docs"), format!("{name}/docs.index"));
    place.write(
        &format!("{docs}/animals.md"),
        "# The cat\nThe cat sees a bird.\n## Horses\nThe horse leaves the dog.\n",
    );
    place.write(&format!("{docs}/tools.txt"), "The saw takes a drill. Who keeps the hammer?");
    place.write(
        &format!("{docs}/page.html"),
        "<title>Fish</title><p>The fish finds a knife.</p><script>no()</script>",
    );
    let rows = "{\"_id\":\"r1\",\"text\":\"the bird wants a file\",\"year\":2019}\n{\"_id\":\"r2\",\"text\":\"the dog moves a saw\",\"year\":2021}\n";
    place.write(&format!("{docs}/rows.jsonl"), rows);
    (place, docs, index)
}

fn build(place: &Place, docs: &str, index: &str, more: &[&str]) -> crate::support::Ran {
    place.polytask(&[&["index", "build", "run/model", docs, "--out", index], more].concat())
}

fn sources(answer: &Value) -> Vec<&str> {
    answer["hits"].as_array().unwrap().iter().map(|hit| hit["source"].as_str().unwrap()).collect()
}

#[test]
fn a_folder_becomes_an_index_that_answers_with_places_and_reasons() {
    let (place, docs, index) = docs("folder");
    let built = build(place, &docs, &index, &["--json"]).object();
    assert_eq!(
        (&built["added"]["documents"], &built["in_all"]["documents"]),
        (&5.into(), &5.into()),
        "{built}"
    );
    let found =
        place.polytask(&["search", &index, "horse leaves", "--json", "--explain", "--top", "3"]).object();
    let hit = &found["hits"][0];
    assert_eq!(hit["source"], "animals.md");
    assert_eq!(hit["titles"], serde_json::json!(["The cat", "Horses"]));
    let text: String = place.read(&format!("{docs}/animals.md"));
    let place_of = |key: &str| hit[key].as_u64().unwrap() as usize;
    let own: String =
        text.chars().skip(place_of("start")).take(place_of("end") - place_of("start")).collect();
    assert_eq!(hit["text"], own);
    let words: Vec<&Value> =
        hit["explained"]["words"].as_array().unwrap().iter().map(|of| &of["word"]).collect();
    assert!(words.contains(&&"horse".into()) && hit["explained"]["dense"][0].is_u64(), "{hit}");
    let shown = place.polytask(&["search", &index, "fish knife", "--explain", "--mode", "bm25"]).done();
    has(&shown, &["page.html 0..", "Fish", "words: ", "knife", "vectors: not among the first"]);
    assert!(!shown.contains("no()"), "{shown}");
}

#[test]
fn queries_of_a_file_conditions_and_documents_once_each() {
    let (place, docs, index) = docs("options");
    build(place, &docs, &index, &["--store", "int8", "--graph"]).done();
    let input = "{\"text\":\"the dog\"}\n{\"query\":\"a bird\"}\n";
    let lines =
        place.polytask_reading(input, &["search", &index, "-i", "-", "--where", "year>=2020"]).lines();
    assert_eq!(lines.iter().map(sources).collect::<Vec<_>>(), [["rows.jsonl:2"], ["rows.jsonl:2"]]);
    let once = place.polytask(&["search", &index, "cat", "--per-document", "--json", "--exact"]).object();
    let mut ids: Vec<&Value> = once["hits"].as_array().unwrap().iter().map(|hit| &hit["id"]).collect();
    let n = ids.len();
    ids.dedup();
    assert!(n == 5 && ids.len() == 5, "{once}");
    let reranked = place
        .polytask(&["search", &index, "the dog moves a saw", "--rerank", "run/model", "--json"])
        .object();
    assert_eq!(reranked["hits"][0]["id"], "r2");
    assert!(reranked["hits"][0]["before_reranking"]["rank"].is_u64(), "{reranked}");
    has(
        &place.polytask(&["search", &index, "x", "--where", "year"]).refused(),
        &["condition `year`", "--where"],
    );
    has(&place.polytask(&["search", &index]).refused(), &["no query"]);
    let both = place.polytask(&["search", &index, "x", "--corpus", "c.jsonl", "-m", "run/model"]);
    assert_eq!(both.code, 2, "{both:?}");
}

#[test]
fn documents_come_change_and_go() {
    let (place, docs, index) = docs("changes");
    build(place, &docs, &index, &[]).done();
    place.write(&format!("{docs}/tools.txt"), "The axe is new.");
    let added = place.polytask(&["index", "add", &index, &docs, "--json"]).object();
    let count = |name: &str| added["added"][name].as_u64().unwrap();
    assert_eq!((count("unchanged"), count("replaced"), count("documents"), count("embedded")), (4, 1, 0, 1));
    let removed =
        place.polytask(&["index", "remove", &index, "page.html", "--where", "year=2019", "--json"]).object();
    assert_eq!((&removed["removed"], &removed["left"]), (&2.into(), &3.into()));
    assert_eq!(place.polytask(&["index", "remove", &index, "page.html"]).code, 1);
    place.polytask(&["index", "compact", &index]).done();
    let info = place.polytask(&["index", "info", &index, "--verify", "--json"]).object();
    assert_eq!(
        (&info["documents"], &info["segments"], &info["verified"]),
        (&3.into(), &1.into(), &true.into())
    );
    has(
        &place.polytask(&["index", "info", &index]).done(),
        &["3 documents", "encoder", "MiB", "type (2)", "year (1)"],
    );
    has(&build(place, &docs, &index, &[]).refused(), &["exists already", "index add", "--overwrite"]);
    build(place, &docs, &index, &["--overwrite"]).done();
}

#[test]
fn what_cannot_be_read_is_listed_and_the_rest_indexed() {
    let (place, docs, index) = docs("bad");
    place.write(&format!("{docs}/empty.txt"), " \n");
    place.write(&format!("{docs}/one.txt"), "One sentence.");
    place.write(&format!("{docs}/binary.bin"), b"\x7fELF\0\0\0");
    place.write(&format!("{docs}/latin.txt"), b"gr\xfcn");
    place.write(&format!("{docs}/broken.pdf"), b"%PDF-1.7\nnothing");
    place.write(&format!("{docs}/half.jsonl"), "{\"text\":\"whole\"}\n{\"text\":\"ha\n");
    place.write(&format!("{docs}/qrels.tsv"), "query\tscore\na\t1\n");
    #[cfg(unix)]
    {
        let folder = place.path(&docs);
        std::os::unix::fs::symlink(&folder, folder.join("loop")).unwrap();
        std::os::unix::fs::symlink("gone.txt", folder.join("dangling.txt")).unwrap();
    }
    let ran = build(place, &docs, &index, &[]);
    let (err, out) = (ran.err.clone(), ran.done());
    let reasons =
        ["empty.txt: no text", "a binary file", "0xfc at 2", "PDF", "half.jsonl", "no column `text`"];
    has(&err, &reasons);
    #[cfg(unix)]
    has(&err, &["a link back to", "dangling.txt"]);
    has(&out, &["7 documents new"].map(|text| text.split_once(' ').unwrap().0));
    let found = place.polytask(&["search", &index, "one sentence", "--mode", "bm25", "--json"]).object();
    assert_eq!(sources(&found), ["one.txt"]);
    place.write("bad/none/binary.bin", b"\0\0");
    has(&build(place, "bad/none", "bad/none.index", &[]).refused(), &["no document"]);
    has(&build(place, "bad/nowhere", "bad/none.index", &[]).refused(), &["bad/nowhere does not exist"]);
    assert!(!place.path("bad/none.index").exists(), "what comes to nothing leaves nothing");
}

#[test]
fn another_encoder_a_moved_one_and_a_damaged_file_are_told() {
    let (place, docs, index) = docs("damage");
    build(place, &docs, &index, &[]).done();
    place.polytask(&["index", "build", "tiny", &docs, "--out", "damage/tiny.index"]);
    let manifest = place.read(&format!("{index}/index.json"));
    let other = manifest.replacen("\"hash\": \"", "\"hash\": \"0", 1);
    place.write(&format!("{index}/index.json"), &other);
    has(&place.polytask(&["search", &index, "cat"]).refused(), &["has vectors of encoder", "--model"]);
    has(&place.polytask(&["index", "add", &index, &docs]).refused(), &["has vectors of encoder"]);
    place.polytask(&["search", &index, "cat", "--mode", "bm25"]).done();
    let moved = manifest.replace("run/model", "run/elsewhere");
    place.write(&format!("{index}/index.json"), &moved);
    has(&place.polytask(&["search", &index, "cat"]).refused(), &["is not there", "--model FOLDER"]);
    place.polytask(&["search", &index, "cat", "--model", "run/model"]).done();
    place.write(&format!("{index}/index.json"), &manifest);
    let vectors = place.path(&format!("{index}/segment-000001/vectors.f32"));
    let bytes = fs::read(&vectors).unwrap();
    fs::write(&vectors, &bytes[..bytes.len() - 4]).unwrap();
    has(&place.polytask(&["search", &index, "cat"]).refused(), &["vectors.f32", "damaged", "index build"]);
    has(&place.polytask(&["search", "run/model", "cat"]).refused(), &["is no index", "index build"]);
    has(&place.polytask(&["index", "info", "damage/nowhere"]).refused(), &["does not exist"]);
}

#[test]
fn settings_that_cannot_be_are_refused_before_anything_is_written() {
    let (place, docs, index) = docs("settings");
    has(&build(place, &docs, &index, &["--tokens", "100000"]).refused(), &["--tokens 100000", "or fewer"]);
    has(&build(place, &docs, &index, &["--tokens", "8", "--overlap", "8"]).refused(), &["--overlap 8"]);
    has(&build(place, &docs, "run", &[]).refused(), &["something else than an index"]);
    for folder in ["settings/own/segment-1", "settings/own/partial-000"] {
        place.write(&format!("{folder}/mine.txt"), "not of an index");
        has(&build(place, &docs, "settings/own", &[]).refused(), &["something else than an index"]);
        assert_eq!(place.read(&format!("{folder}/mine.txt")), "not of an index");
        fs::remove_dir_all(place.path(folder)).unwrap();
    }
    place.write("settings/other.jsonl", "{\"id\":\"1\",\"text\":\"red shoes\"}\n");
    place.write("settings/first.jsonl", "{\"id\":\"1\",\"text\":\"blue hats\",\"year\":2019}\n");
    build(place, "settings/first.jsonl", "settings/two.index", &[]).done();
    let added = place.polytask(&["index", "add", "settings/two.index", "settings/other.jsonl"]);
    has(&added.err, &["is in the index: remove that first"]);
    let remove = |condition: &str| {
        place.polytask(&["index", "remove", "settings/two.index", "--where", condition]).refused()
    };
    has(&remove("yeer!=2010"), &["no document has the field `yeer`", "`year`"]);
    has(&remove("id~"), &["condition `id~`"]);
    let damaged = place.path("settings/two.index/segment-000001/vectors.f32");
    let bytes = vec![0; fs::metadata(&damaged).unwrap().len() as usize];
    fs::write(&damaged, bytes).unwrap();
    has(&place.polytask(&["index", "compact", "settings/two.index"]).refused(), &["vectors.f32", "damaged"]);
    let corpus =
        ["search", "-m", "run/model", "--corpus", "settings/first.jsonl", "-q", "hats", "--mode", "bm25"];
    has(&place.polytask(&corpus).refused(), &["`--mode` needs an index", "index build"]);
    place.write("settings/rows.jsonl", "{\"title\":\"no text\"}\n{\"title\":\"b\",\"text\":\"a text\"}\n");
    let rows = build(place, "settings/rows.jsonl", "settings/rows.index", &[]);
    has(&rows.err, &["no text in this row"]);
    let found = place.polytask(&[
        "search",
        "settings/rows.index",
        "text",
        "--mode",
        "dense",
        "--top",
        "1000000000",
        "--json",
    ]);
    assert_eq!(found.object()["hits"].as_array().unwrap().len(), 1);
    assert!(!place.path(&index).exists());
}

#[test]
fn a_process_that_is_killed_leaves_the_old_index_and_the_next_goes_on() {
    let (place, docs, index) = docs("killed");
    build(place, &docs, &index, &[]).done();
    let lines: String =
        (0..20_000).map(|i| format!("{{\"_id\":\"n{i}\",\"text\":\"number {i} sees a bird\"}}\n")).collect();
    place.write(&format!("{docs}/many.jsonl"), &lines);
    for wait in [40, 120, 300, 700] {
        let mut command =
            place.command(env!("CARGO_BIN_EXE_polytask"), &["index", "add", &index, &docs, "--quiet"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(wait));
        // SIGKILL: nothing is cleaned up.
        child.kill().unwrap();
        child.wait().unwrap();
        let info = place.polytask(&["index", "info", &index, "--verify", "--json"]).object();
        let n = info["documents"].as_u64().unwrap();
        assert!(n == 5 || n == 20_005, "{info}");
    }
    place.polytask(&["index", "add", &index, &docs, "--quiet"]).done();
    let info = place.polytask(&["index", "info", &index, "--verify", "--json"]).object();
    assert_eq!(info["documents"], 20_005);
    let left = place.names(&index);
    assert!(left.iter().all(|name| !name.starts_with("partial-")), "{left:?}");
}

#[test]
fn a_disk_that_is_full_leaves_the_old_index_and_nothing_half_written() {
    let (place, docs, index) = docs("full");
    build(place, &docs, &index, &[]).done();
    place.write("full/docs/big.txt", "A sentence about the bird. ".repeat(40_000));
    let script =
        format!("ulimit -f 64; exec '{}' index add {index} {docs} --quiet", env!("CARGO_BIN_EXE_polytask"));
    let ran = place.command("bash", &["-c", &script]).stderr(Stdio::piped()).output().unwrap();
    let error = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(2), "{error}");
    has(&error, &["error: cannot write"]);
    assert_eq!(place.names(&index), [".lock", "index.json", "segment-000001"]);
    let info = place.polytask(&["index", "info", &index, "--verify", "--json"]).object();
    assert_eq!(info["documents"], 5);
}

#[test]
fn rows_are_read_as_before_and_answers_name_their_queries() {
    let (place, _, index) = docs("again");
    for (name, text) in [("faq", "the horse leaves the dog"), ("more", "the saw takes a drill")] {
        place.write(
            &format!("again/{name}.csv"),
            format!("question,answer\\n{name},{text}\\n").replace("\\n", "\n"),
        );
    }
    build(place, "again/faq.csv", &index, &["--columns", "text=answer,title=question"]).done();
    let added = place.polytask(&["index", "add", &index, "again/more.csv", "--json"]).object();
    assert_eq!(added["in_all"]["documents"], 2, "the columns of the build hold: {added}");
    has(
        &place.polytask(&["index", "add", &index, "again/nowhere.csv"]).refused(),
        &["nowhere.csv does not exist"],
    );
    let input = "{\"_id\":\"q7\",\"text\":\"drill\"}\n{\"text\":\"dog\"}\n";
    let lines = place.polytask_reading(input, &["search", &index, "--input", "-"]).lines();
    assert_eq!((&lines[0]["id"], &lines[1]["id"]), (&"q7".into(), &Value::Null));
    let corpus =
        ["search", "-m", "run/model", "--corpus", "again/more.csv", "--columns", "text=answer", "-i", "-"];
    assert_eq!(place.polytask_reading(input, &corpus).lines()[0]["id"], "q7");
    let reranked = ["search", &index, "drill", "--rerank", "run/model", "--rerank-top", "1", "--json"];
    let hits = place.polytask(&reranked).object()["hits"].clone();
    let ranked_anew = |hit: &Value| hit.get("before_reranking").is_some();
    assert_eq!(hits.as_array().unwrap().iter().map(ranked_anew).collect::<Vec<_>>(), [true, false], "{hits}");
}
