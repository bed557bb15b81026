//! `init`: from files as people have them to a suite that passes `check --data`, trains and predicts.

use std::fmt::Write as _;

use crate::support::{Place, has};

/// The table of `docs/your-data.md`: three targets, each with gaps.
fn tickets() -> String {
    let mut text = String::from("ticket_id,text,intent,urgency,tags\n");
    let (intents, tags) = (["card", "refund", "login"], ["app|vip", "app", "", "vip|web", "web", ""]);
    for i in 0..90 {
        let intent = if i % 5 == 4 { "" } else { intents[i % 3] };
        let urgency = if i % 6 == 5 { String::new() } else { (1 + i % 5).to_string() };
        let _ = writeln!(
            text,
            "T{i:03},my {} is {i} days late,{intent},{urgency},{}",
            intents[i % 3],
            tags[i % 6]
        );
    }
    text
}

/// The commands in the shell blocks of a page.
fn commands(page: &str) -> Vec<Vec<String>> {
    let blocks = page.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let lines = blocks.flat_map(str::lines).filter_map(|line| line.strip_prefix("polytask "));
    let words = |line: &str| {
        let mut parts = line.split('\'');
        let front = parts.next().unwrap_or_default().split_whitespace().map(str::to_owned);
        front.chain(parts.next().map(str::to_owned)).collect()
    };
    lines.map(words).collect()
}

/// Replaces the encoder by the one that needs no network, and trains for a moment only.
fn make_small(place: &Place) {
    let text = std::fs::read_to_string(place.path("suite.toml")).unwrap();
    let line = |line: &str| match line.split_once(" = ") {
        Some(("encoder", _)) => "encoder = \"tiny\"".to_owned(),
        _ if line == "[train]" => "[train]\nsteps = 4".to_owned(),
        _ if line == "[[task]]" => "[[task]]\nmargin = 100".to_owned(),
        _ => line.to_owned(),
    };
    place.write("suite.toml", text.lines().map(line).collect::<Vec<_>>().join("\n"));
}

#[test]
fn the_commands_of_the_page_on_your_data_run() {
    let page = include_str!("../../../../docs/your-data.md");
    let place = Place::new();
    place.write("data/tickets.csv", tickets());
    let commands = commands(page);
    assert_eq!(commands.len(), 4, "{commands:?}");
    for command in commands {
        let args: Vec<&str> = command.iter().map(String::as_str).collect();
        let out = place.polytask(&args).done();
        match args[0] {
            "init" => make_small(&place),
            "check" => has(&out, &["right; 3 tasks: intent, urgency, tags"]),
            "predict" => has(&out, &["label"]),
            _ => {}
        }
    }
}

#[test]
fn the_suite_on_the_page_is_what_init_writes() {
    let page = include_str!("../../../../docs/your-data.md");
    let place = Place::new();
    place.write("data/tickets.csv", tickets());
    let written = place.polytask(&["init", "--data", "data/"]).done();
    let shown = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    // Numbers of words and rows are those of the example; everything else is as written.
    let kept = |text: &str| -> Vec<String> {
        text.lines()
            .filter(|line| !line.starts_with("# column"))
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let start = written.find("# column").unwrap();
    let absolute = place.path("data").canonicalize().unwrap().display().to_string();
    let written = written[start..].replace(&absolute, "data");
    assert_eq!(kept(&written), kept(shown), "{written}");
}

#[test]
fn a_source_of_words_trains_and_predicts_its_sentence_task_and_its_tags() {
    let place = Place::new();
    for (split, n) in [("train", 40), ("validation", 12)] {
        let mut text = String::new();
        for i in 0..n {
            let thing = ["lamp", "song", "table"][i % 3];
            let words = [&["book", "the", thing][..], &["now"; 2][..i % 3]].concat();
            let tags: Vec<&str> =
                words.iter().map(|word| if *word == thing { "B-thing" } else { "O" }).collect();
            let intent = ["light", "music"][i % 2];
            let row = serde_json::json!({"words": words, "slots": tags, "intent": intent});
            let _ = writeln!(text, "{row}");
        }
        place.write(&format!("requests/{split}.jsonl"), text);
    }
    place.polytask(&["init", "--data", ".", "--out", "suite.toml"]).done();
    let suite = std::fs::read_to_string(place.path("suite.toml")).unwrap();
    has(&suite, &["columns = { tokens = \"words\" }", "kind = \"tagging\"", "kind = \"class\""]);
    make_small(&place);
    place.polytask(&["check", "suite.toml", "--data"]).done();
    place.polytask(&["train", "suite.toml", "--out", "run"]).done();
    let both = place.polytask(&["predict", "--model", "run/model", "--text", "book the lamp"]).object();
    assert_eq!(both["slots"]["tags"].as_array().unwrap().len(), 3, "{both}");
    assert!(both["intent"]["label"].is_string(), "{both}");
}

#[test]
fn a_word_and_its_tag_on_each_line_are_a_tagging_task() {
    let place = Place::new();
    let names = ["Ada", "Bruno", "Chen", "Dalia"];
    let sentence = |i: usize| format!("{} B-PER\nleft O\nroom O\n{i} O\n\n", names[i % 4]);
    let all: String = (0..60).map(sentence).collect();
    place.write("names/train.conll", &all);
    place.write("names/test.conll", (60..80).map(sentence).collect::<String>());
    place.polytask(&["init", "--data", ".", "--out", "suite.toml"]).done();
    has(&place.read("suite.toml"), &["kind = \"tagging\"", "as many tags as words in 60 of 60 rows"]);
    make_small(&place);
    place.polytask(&["check", "suite.toml", "--data"]).done();
    place.polytask(&["train", "suite.toml", "--out", "run"]).done();
    let tagged = place.polytask(&["predict", "-m", "run", "-t", "names", "-i", "names/test.conll"]).lines();
    assert_eq!((tagged.len(), tagged[0]["words"][0].as_str()), (20, Some("Ada")));
    let tabs = Place::new();
    tabs.write("train.tsv", all.replace(' ', "\t"));
    tabs.polytask(&["init", "--data", ".", "--out", "suite.toml"]).done();
    has(&tabs.read("suite.toml"), &["train.tsv", "CoNLL", ".conll"]);
}

#[test]
fn what_is_unsure_is_a_comment_and_the_message_counts_it() {
    let place = Place::new();
    let rows = |row: &dyn Fn(usize) -> String| (0..60).map(|i| row(i) + "\n").collect::<String>();
    let pairs = rows(&|i| format!("a cat sits {i}\ta dog runs {i}\tnews{}\t{}", i % 2, i as f64 / 12.0));
    place.write("sts-train.tsv", format!("sentence1\tsentence2\tgenre\tscore\n{pairs}"));
    let ran = place.polytask(&["init", "--data", ".", "--out", "suite.toml"]);
    has(&ran.err, &["with 1 task and 1 unsure one as comments", "polytask check suite.toml --data"]);
    let out = place.polytask(&["check", "suite.toml", "--data"]).done();
    has(&out, &["1 task: score"]);
    let none = Place::new();
    let said = none.polytask(&["init", "--data", ".", "--out", "s.toml"]).err;
    has(&said, &["no data files in .", "s.toml is an example", ".csv", ".conll", ".gz"]);
    let empty = Place::new();
    empty.write("numbers.csv", "a,b\n1,2\n");
    has(&empty.polytask(&["init", "--data", ".", "--out", "s.toml"]).err, &["without a task"]);
    has(&std::fs::read_to_string(empty.path("s.toml")).unwrap(), &["no column holds texts"]);
}
