//! A missing target is unknown: training with it equals training without the row.

use polytask_core::Split;
use polytask_train::engine::Weights;
use serde_json::{Value, json};

use crate::common::{Data, NOTES, Rig, apart, heads, size, trunk};

const TONE: &str = "[[task]]\nname = \"tone\"\nkind = \"class\"\ndata = \"gaps\"\n";
const SIZE: &str =
    "[[task]]\nname = \"tone\"\nkind = \"regression\"\ncolumns = { value = \"size\" }\ndata = \"gaps\"\n";
const TOPICS: &str =
    "[[task]]\nname = \"tone\"\nkind = \"multilabel\"\ncolumns = { labels = \"topics\" }\ndata = \"gaps\"\n";
const TAGS: &str = "[[task]]\nname = \"tone\"\nkind = \"tagging\"\ndata = \"gaps\"\n";
const ALIKE: &str = "[[task]]\nname = \"tone\"\nkind = \"similarity\"\ndata = \"gaps\"\n";
const FIND: &str = "[[task]]\nname = \"tone\"\nkind = \"retrieval\"\ndata = \"gaps\"\n";

fn keep(i: usize) -> bool {
    i % 3 != 1
}

#[test]
fn a_training_with_gaps_equals_the_training_on_the_rows_without_gaps() {
    let data = Data::new();
    let kinds = [
        (TONE, "notes", "label"),
        (SIZE, "notes", "size"),
        (TOPICS, "notes", "topics"),
        (TAGS, "tags", "tags"),
        (ALIKE, "pairs", "score"),
        (FIND, "finds", "positives"),
    ];
    for (task, from, target) in kinds {
        data.change(from, "gaps", |i, row| {
            if !keep(i) {
                row[target] = Value::Null;
            }
        });
        let with_gaps = data.rig(task, &[]).trained();
        let rows = data.rows(from, Split::Train);
        data.write(
            "gaps",
            Split::Train,
            rows.into_iter().enumerate().filter(|(i, _)| keep(*i)).map(|(_, r)| r),
        );
        let filtered = data.rig(task, &[]).trained();
        assert!(with_gaps.step > 2);
        assert!(with_gaps == filtered, "{target}");
    }
}

#[test]
fn tasks_with_gaps_on_one_source_train_as_on_filtered_sources_of_their_own() {
    let data = Data::new();
    data.change("notes", "gaps", |i, row| {
        if !keep(i) {
            row["size"] = Value::Null;
        }
    });
    let rows = data.rows("notes", Split::Train);
    data.change("notes", "filtered", |_, _| ());
    data.write(
        "filtered",
        Split::Train,
        rows.into_iter().enumerate().filter(|(i, _)| keep(*i)).map(|(_, r)| r),
    );
    // A step sees all rows. With this epsilon the optimiser does not blow rounding up to the size of a step.
    let set = ["train.steps=6", "train.eps=1e-2", "model.dropout=0"];
    let gaps = NOTES.replace("data = \"notes\"", "data = \"gaps\"\nbatch_rows = 24");
    let gaps = gaps.split("[[task]]\nname = \"topics\"").next().unwrap();
    let own = "[[task]]\nname = \"tone\"\nkind = \"class\"\ndata = \"notes\"\nbatch_rows = 24\n\
        [[task]]\nname = \"size\"\nkind = \"regression\"\ndata = \"filtered\"\nbatch_rows = 16\n\
        columns = { value = \"size\" }\n";
    let (shared, own) = (data.rig(gaps, &set), data.rig(own, &set));
    let before = trunk(&shared.state());
    let (shared, own) = (shared.trained(), own.trained());
    assert_eq!(shared.step, own.step);
    assert!(apart(&before, &trunk(&shared)) > 1e-4, "nothing was learned");
    let (trunks, heads) = (apart(&trunk(&shared), &trunk(&own)), apart(&heads(&shared), &heads(&own)));
    assert!(trunks < 1e-6 && heads < 1e-6, "{trunks} {heads}");
}

#[test]
fn a_task_absent_from_a_step_keeps_its_head_and_its_moments() {
    let data = Data::new();
    let rig = data.rig(crate::common::TWO, &["train.mixing=\"alternate\"", "train.steps=1"]);
    let tasks = data.rig(
        "[[task]]\nname = \"tone\"\nkind = \"class\"\ndata = \"notes\"\n[[task]]\nname = \"same\"\nkind = \"pair-class\"\ndata = \"pairs\"\n",
        &["train.mixing=\"alternate\"", "train.steps=1"],
    );
    for rig in [rig, tasks] {
        let state = rig.trained();
        let stepped: Vec<u64> = state.slots.heads.iter().map(|slot| slot.count).collect();
        let fresh = rig.blocks();
        let moved = |t: usize| state.heads[t].values != fresh[t].values;
        for (t, &count) in stepped.iter().enumerate() {
            assert_eq!(moved(t), count > 0);
            assert_eq!(state.slots.heads[t].moments.m.is_empty(), count == 0);
        }
        assert!(stepped.iter().sum::<u64>() <= 1, "{stepped:?}");
    }
}

#[test]
fn a_row_that_no_task_knows_changes_nothing_and_unknown_numbers_of_a_row_get_no_gradient() {
    let data = Data::new();
    let kind =
        "[[task]]\nname = \"two\"\nkind = \"regression\"\ndata = \"two\"\ncolumns = { value = \"two\" }\n";
    // The second number of rows 0 to 7 is unknown, of row 8 all numbers.
    data.change("notes", "two", |i, row| {
        row["two"] = match i {
            0..8 => json!([i, null]),
            8 => json!([null, null]),
            _ => json!([i, i * i]),
        };
    });
    for split in [Split::Valid, Split::Test] {
        let rows = data.rows("two", split).into_iter().enumerate();
        data.write(
            "two",
            split,
            rows.map(|(i, mut row)| {
                row["two"] = json!([i, if i % 2 == 0 { Value::Null } else { json!(3 * i) }]);
                row
            }),
        );
    }
    let rig = data.rig(kind, &["model.dropout=0"]);
    let gradient = |rows: &[u32]| {
        let (params, blocks) = (&rig.prepared.encoder.params, rig.blocks());
        let weights = Weights { trunk: params, heads: &blocks };
        rig.engine().evaluate(weights, &rig.batch(0, rows), 1).unwrap().parts.remove(0)
    };
    let first = gradient(&[0, 1, 2]);
    let bias = first.d_head.len() - 2;
    let weight_of_second: Vec<f32> = first.d_head[..bias].chunks(2).map(|pair| pair[1]).collect();
    let rows_of_second = &first.d_head[bias / 2..bias];
    // The head's matrix is [outputs, inputs] or its transpose; in either, the second output's part is zero.
    assert!(size(&weight_of_second) == 0.0 || size(rows_of_second) == 0.0);
    assert!(first.d_head[bias + 1] == 0.0 && first.d_head[bias] != 0.0);
    let with_unknown = gradient(&[0, 1, 8, 2]);
    assert_eq!((first.loss, &first.d_head), (with_unknown.loss, &with_unknown.d_head));
    let state = rig.trained();
    assert!(trunk(&state).iter().chain(&heads(&state)).all(|v| v.is_finite()));
    let history = &state.history;
    assert!(history.valid[&0].iter().all(|point| point.value.is_finite()), "{:?}", history.valid);
}

#[test]
fn rows_of_weight_zero_are_as_if_absent() {
    let data = Data::new();
    data.change("notes", "gaps", |_, _| ());
    data.weigh("gaps", "sure", |i| if keep(i) { 1.0 } else { 0.0 });
    let rig = data.rig(&format!("{TONE}columns = {{ weight = \"sure\" }}\n"), &["model.dropout=0"]);
    let loss = |rig: &Rig, rows: &[u32]| {
        let (params, blocks) = (&rig.prepared.encoder.params, rig.blocks());
        let weights = Weights { trunk: params, heads: &blocks };
        rig.engine().evaluate(weights, &rig.batch(0, rows), 1).unwrap().parts.remove(0)
    };
    let (all, some) = (loss(&rig, &[0, 1, 2, 3, 4]), loss(&rig, &[0, 2, 3]));
    assert!((all.loss - some.loss).abs() < 1e-6 && apart(&all.d_head, &some.d_head) < 1e-6);
    let nothing = loss(&rig, &[1, 4, 7]);
    assert!(nothing.loss == 0.0 && size(&nothing.d_head) == 0.0, "{}", nothing.loss);
}
