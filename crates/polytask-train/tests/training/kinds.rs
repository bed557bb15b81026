//! Every kind in one suite: it learns, is scored, saved, loaded and predicts the same.

use polytask_core::Split;
use polytask_eval::Predictions;
use polytask_model::{Input, Model, Question};
use polytask_train::engine::Weights;
use polytask_train::evaluate;
use polytask_train::judge::judge;
use polytask_train::observe::Silent;
use polytask_train::run::{RunOptions, run};
use serde_json::Value;

use crate::common::{ALL, Data};

/// The inputs of a row, as `predict` takes them.
fn inputs(row: &Value, roles: &[&str]) -> Vec<Input> {
    let input = |role: &&str| match &row[role] {
        Value::Array(words) => Input::Words(words.iter().map(|w| w.as_str().unwrap().to_owned()).collect()),
        text => text.as_str().unwrap().into(),
    };
    roles.iter().map(input).collect()
}

fn close(a: &Value, b: f64) -> bool {
    (a.as_f64().unwrap() - b).abs() < 1e-5 * b.abs().max(1.0)
}

/// Whether what `predict` answered for row `i` is what the run computed.
fn agrees(answer: &Value, predictions: &Predictions, i: usize, labels: &[String]) -> bool {
    match predictions {
        Predictions::Labels { predicted, .. } => answer["label"] == labels[predicted[i] as usize],
        Predictions::LabelSets { n_labels, scores, .. } => {
            (0..*n_labels).all(|l| close(&answer["scores"][&labels[l]], scores[i * n_labels + l].into()))
        }
        Predictions::Numbers { predicted, .. } => {
            let key = if answer.get("value").is_some() { "value" } else { "score" };
            close(&answer[key], predicted[i])
        }
        Predictions::Tags { labels, predicted, .. } => {
            let tags: Vec<&String> = predicted[i].iter().map(|&t| &labels[t as usize]).collect();
            answer["tags"] == serde_json::json!(tags)
        }
        Predictions::Rankings { .. } => true,
    }
}

#[test]
fn every_kind_learns_is_scored_saved_and_predicts_as_in_the_run() {
    let data = Data::new();
    let set = ["train.epochs=12", "train.baselines=true", "model.dropout=0", "train.keep=\"last\""];
    let prepared = data.prepare(ALL, &set);
    let options = RunOptions { out: data.out("run"), resume: false, baselines: None };
    let report = run(&prepared, &options, &mut Silent).unwrap();
    assert_eq!(report.tasks.len(), 7);
    for task in &report.tasks {
        let curve = &report.losses[&task.task];
        let mean =
            |points: &[polytask_core::report::Point]| points.iter().map(|p| p.value).sum::<f64>() / 3.0;
        let (first, last) = (mean(&curve[..3]), mean(&curve[curve.len() - 3..]));
        assert!(last < first, "{} {first} {last}", task.task);
        assert_eq!((task.split.as_str(), task.joint.len()), ("test", task.single.len()));
        for score in task.joint.iter().chain(&task.single) {
            assert!(score.interval.value.is_finite(), "{} {}", task.task, score.metric);
        }
        for learner in ["probe", "prior"] {
            if (learner, &*task.kind) == ("prior", "similarity") {
                assert!(task.other(learner).is_none(), "a constant has no correlation");
                continue;
            }
            let other = task.other(learner).unwrap_or_else(|| panic!("{} has no {learner}", task.task));
            assert_eq!(other.scores.len(), task.joint.len());
            assert!(other.over.is_some_and(|over| over.value.is_finite()), "{} {learner}", task.task);
        }
    }
    let model = Model::load(&data.out("run").join("model")).unwrap();
    let rig = data.rig(ALL, &set);
    let blocks: Vec<_> = model.tasks.iter().map(|task| task.block.clone()).collect();
    let weights = Weights { trunk: &model.encoder.params, heads: &blocks };
    let tasks: Vec<usize> = (0..7).collect();
    let in_run = evaluate::predict(&rig.engine(), weights, &tasks, Split::Test).unwrap();
    let folders = ["notes", "notes", "notes", "pairs", "pairs", "finds", "tags"];
    for (t, task) in model.tasks.iter().enumerate() {
        let rows = data.rows(folders[t], Split::Test);
        let rows: Vec<_> = rows.iter().map(|row| inputs(row, task.kind.inputs)).collect();
        if task.info.kind == "retrieval" {
            let error = model.predict(&[Question { task, rows }], None).unwrap_err().to_string();
            assert!(error.contains("polytask search"), "{error}");
            continue;
        }
        let n = rows.len();
        let answers = model.predict(&[Question { task, rows }], None).unwrap().answers.remove(0);
        assert_eq!(answers.len(), n);
        for (i, answer) in answers.iter().enumerate() {
            assert!(agrees(answer, &in_run[&t], i, &task.info.labels), "{} {i} {answer}", task.info.name);
        }
    }
    let folder = data.out("run").join("model");
    let side = polytask_train::judge::Side { name: "run", folder: &folder };
    let judged = judge(prepared.suite.clone(), side, None, Some(Split::Test), &mut Silent).unwrap().report;
    for (judged, reported) in judged.tasks.iter().zip(&report.tasks) {
        for (judged, reported) in judged.joint.iter().zip(&reported.joint) {
            let apart = (judged.interval.value - reported.interval.value).abs();
            assert!(apart < 1e-9 * reported.interval.value.abs().max(1.0), "{} {apart}", reported.metric);
        }
    }
}

#[test]
fn gradient_cosines_of_a_run_are_reported_for_all_pairs() {
    let data = Data::new();
    let prepared = data.prepare(ALL, &["train.conflict_every=1", "train.steps=3"]);
    let options = RunOptions { out: data.out("run"), resume: false, baselines: None };
    let conflict = run(&prepared, &options, &mut Silent).unwrap().conflict;
    assert_eq!((conflict.n, conflict.tasks.len()), (3, 7));
    for i in 0..7 {
        assert!((conflict.cosine[i][i].unwrap() - 1.0).abs() < 1e-9);
        for j in 0..7 {
            let cosine = conflict.cosine[i][j].unwrap();
            assert!(cosine.abs() <= 1.0 && conflict.cosine[j][i] == Some(cosine));
        }
    }
}

#[test]
fn a_query_that_stands_in_several_rows_is_judged_once_with_all_its_answers() {
    let data = Data::new();
    let row = |query: &str, answer: &str| serde_json::json!({ "query": query, "positives": [answer] });
    let rows =
        [row("which is red", "the cup"), row("which is blue", "the boat"), row("which is red", "the lamp")];
    data.write("finds", Split::Test, rows);
    let find = "[[task]]\nname = \"find\"\nkind = \"retrieval\"\ndata = \"finds\"\n";
    let rig = data.rig(find, &[]);
    let heads = rig.blocks();
    let weights = Weights { trunk: &rig.prepared.encoder.params, heads: &heads };
    let predictions = evaluate::predict(&rig.engine(), weights, &[0], Split::Test).unwrap();
    let Predictions::Rankings { rankings, .. } = &predictions[&0] else { panic!("a retrieval task ranks") };
    assert_eq!(rankings.iter().map(|ranking| ranking.relevant.len()).collect::<Vec<_>>(), [2, 1]);
}

#[test]
fn equal_queries_are_told_apart_only_in_splits_that_are_judged_by_id() {
    let data = Data::new();
    let folder = data.path().join("search");
    std::fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    let passage = |id: &str, text: &str| format!("{{\"_id\":\"{id}\",\"text\":\"{text}\"}}\n");
    write("corpus.jsonl", &(passage("c", "the cup") + &passage("l", "the lamp")));
    let query = |id: &str, text: &str| {
        format!("{{\"id\":\"{id}\",\"query\":\"which is {text}\",\"positives\":[\"c\"]}}\n")
    };
    let rows = query("a", "red") + &query("b", "red") + &query("d", "blue");
    for split in Split::ALL {
        write(&format!("{}.jsonl", split.name()), &rows);
    }
    write("judged.tsv", "a\tc\t1\nb\tl\t1\nd\tl\t1\n");
    let find = |files: &[&str], judged: &str| {
        let files: Vec<String> = files.iter().map(|s| format!("{s} = \"search/{s}.jsonl\"")).collect();
        format!(
            "[[task]]\nname = \"find\"\nkind = \"retrieval\"\ncorpus = \"search/corpus.jsonl\"\n\
             files = {{ {} }}\nqrels = {{ {judged} = \"search/judged.tsv\" }}\n",
            files.join(", ")
        )
    };
    let rig = data.rig(&find(&["train", "valid", "test"], "test"), &[]);
    let heads = rig.blocks();
    let weights = Weights { trunk: &rig.prepared.encoder.params, heads: &heads };
    let queries = |split| match &evaluate::predict(&rig.engine(), weights, &[0], split).unwrap()[&0] {
        Predictions::Rankings { rankings, .. } => rankings.len(),
        other => panic!("a retrieval task ranks, found {other:?}"),
    };
    assert_eq!([Split::Valid, Split::Test].map(queries), [2, 3]);
    // A valid split cut from judged train is judged as well.
    let rig = data.rig(&find(&["train", "test"], "train"), &[]);
    assert_eq!(rig.heads[0].told_apart, [Split::Train, Split::Valid]);
}

#[test]
fn a_query_that_is_a_passage_too_does_not_find_itself() {
    let data = Data::new();
    let pair = [("red cup", "blue door"), ("blue door", "red cup")];
    for split in Split::ALL {
        let row = |(query, answer)| serde_json::json!({ "query": query, "positives": [answer] });
        data.write("finds", split, pair.map(row));
    }
    let task = "[[task]]\nname = \"find\"\nkind = \"retrieval\"\ndata = \"finds\"\n";
    let prepared = data.prepare(task, &["train.steps=1"]);
    let options = RunOptions { out: data.out("run"), resume: false, baselines: None };
    let report = run(&prepared, &options, &mut Silent).unwrap();
    // Its own text has cosine 1 under any weights: found first, it would leave the answer at 1 / log2(3).
    let ndcg = report.tasks[0].joint[0].interval.value;
    assert!((ndcg - 1.0).abs() < 1e-9, "{ndcg}");
}
