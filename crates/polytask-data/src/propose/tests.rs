//! Folders as people have them, and what is proposed for them.

use super::*;

fn put(folder: &Path, file: &str, text: &str) {
    let path = folder.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// The proposal for one file: `name kind role=column`, with `?` for an unsure task; and the columns left out.
fn proposed(file: &str, text: &str) -> (Vec<String>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), file, text);
    let proposal = propose(folder.path(), Path::new(""));
    assert!(proposal.left_out.is_empty(), "{:?}", proposal.left_out);
    let [draft] = &proposal.drafts[..] else { panic!("{proposal:?}") };
    let tasks = draft.tasks.iter().map(|task| {
        let columns: Vec<String> =
            task.columns.iter().map(|(role, column)| format!("{role}={column}")).collect();
        format!("{}{} {}", task.kind.name, if task.is_sure { "" } else { "?" }, columns.join(" "))
    });
    let inputs = draft.columns.iter().map(|(role, column)| format!("{role}={column}"));
    (inputs.chain(tasks).collect(), draft.left_out.clone())
}

/// Rows of a file: a header and a line for each `i`.
fn rows(header: &str, row: impl Fn(usize) -> String) -> String {
    (0..60).fold(format!("{header}\n"), |text, i| text + &row(i) + "\n")
}

fn words(i: usize) -> String {
    const WORDS: [&str; 7] = ["the", "card", "is", "lost", "again", "and", "late"];
    let words: Vec<&str> = (0..4 + i % 5).map(|w| WORDS[(i * 3 + w * (1 + i % 3)) % 7]).collect();
    format!("{} {i}", words.join(" "))
}

#[test]
fn one_table_gives_a_task_for_each_column_that_can_be_one() {
    let text = rows("ticket_id,created,text,intent,urgency,tags,minutes,note", |i| {
        let (intent, tags) = (["refund", "login", ""][i % 3], ["a|b", "a", "b", "c|a", ""][i % 5]);
        format!(
            "T{i},2024-03-{:02},{},{intent},{},{tags},{}.5,{}",
            i % 28 + 1,
            words(i),
            i % 4,
            i * 7,
            words(i + 1)
        )
    });
    let (tasks, left_out) = proposed("tickets.csv", &text);
    let expected = [
        "class label=intent",
        "regression value=urgency",
        "multilabel labels=tags",
        "regression value=minutes",
    ];
    assert_eq!(tasks, expected);
    assert_eq!(left_out.len(), 3, "{left_out:?}");
    for (line, word) in left_out.iter().zip(["an id", "dates", "free text"]) {
        assert!(line.contains(word), "{line}");
    }
}

#[test]
fn the_kind_of_two_texts_follows_from_what_stands_beside_them() {
    let both = |i: usize| format!("{}\t{}", words(i), words(i + 1));
    let score = rows("sentence1\tsentence2\tscore", |i| format!("{}\t{}", both(i), i as f64 / 12.0));
    assert_eq!(proposed("sts.tsv", &score).0, ["similarity score=score"]);
    let label = rows("premise\thypothesis\tlabel", |i| format!("{}\t{}", both(i), ["yes", "no"][i % 2]));
    assert_eq!(proposed("nli.tsv", &label).0, ["pair-class label=label"]);
    let same = rows("question1\tquestion2\tis_duplicate\tqid1", |i| format!("{}\t{}\t{i}", both(i), i % 2));
    assert_eq!(proposed("q.tsv", &same).0, ["a=question1", "b=question2", "pair-class label=is_duplicate"]);
    let aside = rows("text_a\ttext_b\tgenre\tlabel", |i| format!("{}\tnews{}\t{}", both(i), i % 2, i % 3));
    assert_eq!(
        proposed("q.tsv", &aside).0,
        ["a=text_a", "b=text_b", "pair-class? label=genre", "pair-class label=label"]
    );
}

#[test]
fn words_with_tags_are_the_text_of_the_other_tasks_too() {
    let line = |i: usize| {
        let tokens: Vec<String> = words(i).split(' ').map(str::to_owned).collect();
        let tags: Vec<&str> = (0..tokens.len()).map(|w| ["O", "B-x", "O"][w % 3]).collect();
        let intent = ["a", "b"][i % 2];
        serde_json::json!({"id": i, "tokens": tokens, "ner": tags, "intent": intent}).to_string()
    };
    let lists: String = (0..60).map(|i| line(i) + "\n").collect();
    assert_eq!(proposed("ner.jsonl", &lists).0, ["tokens=tokens", "class label=intent", "tagging tags=ner"]);
    let joined = rows("intent\ttext\tslots", |i| {
        let text = words(i);
        let tags: Vec<&str> = text.split(' ').enumerate().map(|(w, _)| ["O", "B-x"][w % 2]).collect();
        format!("{}\t{text}\t{}", ["a", "b"][i % 2], tags.join(" "))
    });
    assert_eq!(proposed("snips.tsv", &joined).0, ["tokens=text", "class label=intent", "tagging tags=slots"]);
}

#[test]
fn lists_are_labels_marks_or_numbers() {
    let lines = |value: &dyn Fn(usize) -> serde_json::Value| -> String {
        (0..60).map(|i| serde_json::json!({"text": words(i), "y": value(i)}).to_string() + "\n").collect()
    };
    let labels = lines(&|i| ["a", "b", "c"][..i % 4].into());
    assert_eq!(proposed("l.jsonl", &labels).0, ["multilabel labels=y"]);
    let marks = lines(&|i| serde_json::json!([i % 2, i % 3 / 2, 1]));
    assert_eq!(proposed("l.jsonl", &marks).0, ["regression? value=y"]);
    let numbers = lines(&|i| serde_json::json!([i, 0.5]));
    assert_eq!(proposed("l.jsonl", &numbers).0, ["regression value=y"]);
}

#[test]
fn a_query_and_what_answers_it_are_retrieval_unless_the_pair_is_judged() {
    let line = |i: usize| serde_json::json!({"anchor": words(i), "positive": words(i + 1), "negative": words(i + 2)});
    let triples: String = (0..60).map(|i| line(i).to_string() + "\n").collect();
    assert_eq!(proposed("t.jsonl", &triples).0, ["retrieval positives=positive negatives=negative"]);
    let judged = rows("anchor\tpositive\tlabel", |i| format!("{}\t{}\t{}", words(i), words(i + 1), i % 2));
    assert_eq!(proposed("t.tsv", &judged).0, ["pair-class label=label"]);
}

#[test]
fn labels_that_only_valid_or_test_have_are_written_out_and_files_without_targets_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let table = |labels: [&str; 2]| rows("text,label", |i| format!("{},{}", words(i), labels[i % 2]));
    put(folder.path(), "s-train.csv", &table(["a", "b"]));
    put(folder.path(), "s-dev.csv", &table(["a", "c"]));
    put(folder.path(), "s-test.csv", &rows("text", words));
    let proposal = propose(folder.path(), Path::new("there"));
    let draft = &proposal.drafts[0];
    assert_eq!(draft.tasks[0].labels, ["a", "b", "c"]);
    let files: Vec<String> = draft.data.files.values().map(|file| file.display().to_string()).collect();
    assert_eq!(files, ["there/s-train.csv", "there/s-dev.csv"]);
    assert!(draft.left_out[0].contains("s-test.csv") && draft.left_out[0].contains("label"), "{draft:?}");
}

#[test]
fn what_cannot_be_used_is_said_and_never_stops_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "package.json", "{\n  \"name\": \"x\"\n}\n");
    put(folder.path(), "empty.csv", "");
    put(folder.path(), "broken.parquet", "no parquet");
    put(folder.path(), "numbers.csv", "a,b\n1,2\n3,4\n");
    put(folder.path(), "conll.tsv", "Postural\tO\ntremor\tB-x\nwas\tO\nfound\tO\n");
    put(folder.path(), "good.csv", &rows("text,label", |i| format!("{},{}", words(i), i % 2)));
    let proposal = propose(folder.path(), Path::new(""));
    assert_eq!(proposal.counts(), (1, 0));
    let left_out = proposal.left_out.join("\n");
    for file in ["empty.csv", "broken.parquet", "conll.tsv"] {
        assert!(left_out.contains(file), "{file}: {left_out}");
    }
    assert!(!left_out.contains("package.json"), "{left_out}");
    let numbers = proposal.drafts.iter().find(|draft| draft.name == "numbers").unwrap();
    assert!(numbers.left_out[0].contains("no column holds texts"), "{numbers:?}");
}

#[test]
fn a_long_file_is_sampled_and_the_evidence_says_so() {
    let text = (0..ROWS_OF_A_LONG_FILE)
        .fold("text,label\n".to_owned(), |text, i| text + &format!("the card {i},{}\n", i % 3));
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "long.csv", &text);
    let proposal = propose(folder.path(), Path::new(""));
    let evidence = &proposal.drafts[0].tasks[0].evidence[0];
    assert!(evidence.contains(&format!("the first {} rows", column::ROWS)), "{evidence}");
}

const ROWS_OF_A_LONG_FILE: usize = column::ROWS + 50;

#[test]
fn labels_of_a_cell_are_told_apart_by_the_sign_that_is_written_down() {
    let text = rows("text,tags", |i| format!("{},{}", words(i), ["a;b", "a", "b", "c;a", ""][i % 5]));
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "tickets.csv", &text);
    let proposal = propose(folder.path(), Path::new(""));
    let task = &proposal.drafts[0].tasks[0];
    assert_eq!((task.kind.name, task.separator, task.is_sure), ("multilabel", Some(";"), true));
}

#[test]
fn two_texts_are_a_pair_by_the_names_people_give_them() {
    for (a, b) in [
        ("Sent. One", "Sent. Two"),
        ("source", "target"),
        ("firstText", "secondText"),
        ("Question 1", "Question 2"),
        ("text_a", "text_b"),
    ] {
        let text = rows(&format!("{a},{b},Score,Verdict"), |i| {
            format!("{},{},{}.5,{}", words(i), words(i + 3), i % 5, ["same", "related", ""][i % 3])
        });
        let (found, _) = proposed("pairs.csv", &text);
        assert_eq!(
            found[found.len() - 2..],
            ["similarity score=Score", "pair-class label=Verdict"],
            "{found:?}"
        );
    }
}

#[test]
fn two_texts_of_other_names_are_said_to_be_perhaps_a_pair() {
    let text = rows("complaint,reply,verdict", |i| {
        format!("{},{},{}", words(i), words(i + 3), ["good", "bad"][i % 2])
    });
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "pairs.csv", &text);
    let proposal = propose(folder.path(), Path::new(""));
    let evidence = proposal.drafts[0].evidence.join("\n");
    assert!(evidence.contains("a = ") && evidence.contains("pair-class"), "{evidence}");
    assert!(evidence.contains("texts = [") && evidence.contains("table-class"), "{evidence}");
}

#[test]
fn labels_called_source_and_target_are_no_pair() {
    let text = rows("message,source,target", |i| {
        format!("{},{},{}", words(i), ["mail", "chat"][i % 2], ["yes", "no", "later"][i % 3])
    });
    let (found, _) = proposed("tickets.csv", &text);
    assert!(found.iter().all(|task| !task.contains("pair-class")), "{found:?}");
}

#[test]
fn two_texts_of_like_length_whose_names_share_a_word_are_a_pair() {
    for [a, b, score] in [
        ["new_question", "faq_question", "closeness"],
        ["question", "matched_question", "rating"],
        ["sent1", "sent2", "sim"],
    ] {
        let grade = |i: usize| (i * 7 % 41) as f64 / 4.0;
        let text = rows(&format!("pair_no,{a},{b},{score}"), |i| {
            format!("{i},{},{} x,{}", words(i), words(i + 7), grade(i))
        });
        let (found, left) = proposed("train.csv", &text);
        let task = format!("similarity score={score}");
        assert!(found.contains(&task), "{a} {b}: {found:?} {left:?}");
    }
    let review =
        rows("pros,cons,rating", |i| format!("{},{},{}", words(i), words(i + 7), (i * 7 % 41) as f64 / 4.0));
    let (found, _) = proposed("train.csv", &review);
    assert!(found.iter().all(|task| !task.starts_with("similarity")), "two sides of one thing: {found:?}");
    let label = |i: usize| ["refund", "order"][i % 2];
    let (found, _) = proposed(
        "train.csv",
        &rows("our_text,their_text,closeness,team", |i| {
            format!("{},{},{},{}", words(i), words(i + 7), (i * 7 % 41) as f64 / 4.0, label(i))
        }),
    );
    let expected = ["a=our_text", "b=their_text", "similarity score=closeness", "pair-class label=team"];
    assert_eq!(found, expected);
    let same = rows("complaint,older complaint,same issue?", |i| {
        format!("{},{},{}", words(i), words(i + 7), ["yes", "no"][i % 2])
    });
    let (found, _) = proposed("train.csv", &same);
    assert!(found.contains(&"pair-class label=same issue?".to_owned()), "{found:?}");
    for [score, kind] in [["how alike", "similarity score=how alike"], ["same?", "pair-class label=same?"]] {
        let value =
            |i: usize| if score == "same?" { ["yes", "no"][i % 2].into() } else { (i % 11).to_string() };
        let unlike = rows(&format!("incoming,from archive,{score}"), |i| {
            format!("{},{},{}", words(i), words(i + 7), value(i))
        });
        assert!(proposed("train.csv", &unlike).0.contains(&kind.to_owned()), "{score}");
    }
    let twice = rows("text,clean_text,mood", |i| format!("{},{},{}", words(i), words(i), ["a", "b"][i % 2]));
    assert_eq!(proposed("train.csv", &twice).0, ["class label=mood"], "one text twice");
}

#[test]
fn a_sign_within_names_joins_no_labels() {
    let names = ["Rent & billing", "Keys & access", "Cleaning", "Noise/neighbours", "Rent & billing"];
    let (found, _) =
        proposed("train.csv", &rows("text,Category", |i| format!("{},{}", words(i), names[i % 5])));
    assert_eq!(found, ["class label=Category"]);
}

#[test]
fn dates_as_people_write_them_are_no_targets() {
    for date in
        ["DAY/08/2024", "DAY.8.24", "2024-8-DAY", "DAY Aug 2024", "August DAY, 2024", "2024/08/DAY 12:30"]
    {
        let received = |i: usize| format!("\"{}\"", date.replace("DAY", &(i % 28 + 1).to_string()));
        let text =
            rows("text,Received,mood", |i| format!("{},{},{}", words(i), received(i), ["a", "b"][i % 2]));
        let (found, left) = proposed("train.csv", &text);
        assert_eq!((found.len(), left.len()), (1, 1), "{date}: {found:?} {left:?}");
        assert!(left[0].contains("dates"), "{left:?}");
    }
}

#[test]
fn numbers_as_people_write_them_are_numbers_or_said_to_be_none() {
    let of = |name: &str, value: &dyn Fn(usize) -> String| {
        proposed("train.csv", &rows(&format!("text,{name}"), |i| format!("{},{}", words(i), value(i))))
    };
    assert_eq!(of("share", &|i| format!("{}%", i * 3 % 41)).0, ["regression value=share"]);
    let (found, left) = of("hours", &|i| format!("\"{},{}\"", i % 9, i % 10));
    assert!(found.is_empty() && left[0].contains("decimal commas"), "{found:?} {left:?}");
    for name in ["Urgency (1-5)", "mark 0 to 9", "10-50 points", "priority", "how bad (1..5)"] {
        assert_eq!(of(name, &|i| (i % 5 + 1).to_string()).0, [format!("regression value={name}")]);
    }
    for name in ["topic", "Flat 2-4-6", "code"] {
        assert_eq!(of(name, &|i| (i % 5 + 1).to_string()).0, [format!("class label={name}")]);
    }
    for decile in ["Decile", "Marketing", "Junior"] {
        assert_eq!(of("group", &|i| format!("{decile} {}", i % 5)).0, ["class label=group"]);
    }
    let marked = of("urgency", &|i| if i % 9 == 0 { "n/a".into() } else { (i % 5 + 1).to_string() });
    assert_eq!(marked.0, ["regression value=urgency"]);
}

#[test]
fn labels_of_a_cell_may_be_joined_by_a_slash_a_plus_or_an_ampersand() {
    for sign in [" / ", "/", "+", " & "] {
        let topics = |i: usize| match i % 4 {
            0 => "billing".to_owned(),
            1 => ["billing", "delivery"].join(sign),
            2 => ["app", "delivery"].join(sign),
            _ => ["app", "billing", "delivery"].join(sign),
        };
        let (found, left) =
            proposed("train.csv", &rows("text,topics", |i| format!("{},{}", words(i), topics(i))));
        assert!(found.iter().any(|task| task.starts_with("multilabel")), "{sign}: {found:?} {left:?}");
    }
}

#[test]
fn signs_for_nothing_known_are_written_as_missing_and_words_are_a_choice() {
    let folder = tempfile::tempdir().unwrap();
    let stance = |i: usize| ["FAVOR", "AGAINST", "NONE", "?"][i % 4];
    put(folder.path(), "train.csv", &rows("text,stance", |i| format!("{},{}", words(i), stance(i))));
    put(
        folder.path(),
        "test.csv",
        &rows("text,stance", |i| format!("{},{}", words(i), ["FAVOR", "n/a"][i % 2])),
    );
    let proposal = propose(folder.path(), Path::new(""));
    let task = &proposal.drafts[0].tasks[0];
    assert_eq!(task.missing, ["?", "n/a"]);
    assert!(!task.labels.contains(&"n/a".to_owned()), "{:?}", task.labels);
    assert!(task.choices.iter().any(|choice| choice.contains("missing = [\"NONE\"]")), "{:?}", task.choices);
    let topics = |i: usize| ["a/b", "b/c", "a", "n/a", "c/a"][i % 5];
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "train.csv", &rows("text,topics", |i| format!("{},{}", words(i), topics(i))));
    let proposal = propose(folder.path(), Path::new(""));
    let task = &proposal.drafts[0].tasks[0];
    assert_eq!((task.kind.name, &task.missing[..]), ("multilabel", &["n/a".to_owned()][..]));
}

#[test]
fn labels_whose_names_have_an_order_may_be_read_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let level = |i: usize| ["High", "low", "medium"][i % 3];
    put(folder.path(), "train.csv", &rows("text,urgency", |i| format!("{},{}", words(i), level(i))));
    let task = &propose(folder.path(), Path::new("")).drafts[0].tasks[0];
    assert_eq!(task.kind.name, "class");
    let choice = &task.choices[0];
    assert!(
        choice.contains("kind = \"ordinal\"") && choice.contains("columns = { level = \"urgency\" }"),
        "{choice}"
    );
    assert!(choice.contains("labels = [\"low\", \"medium\", \"High\"]"), "{choice}");
}
