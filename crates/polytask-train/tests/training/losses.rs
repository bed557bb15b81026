//! Settings of losses and rows reach the loss.

use polytask_core::Split;
use polytask_train::engine::Weights;

use crate::common::{Data, NOTES, Rig};

const TONE: &str = "[[task]]\nname = \"tone\"\nkind = \"class\"\ndata = \"notes\"\n";

fn loss(rig: &Rig, rows: &[u32], step: u64) -> f64 {
    let blocks = rig.blocks();
    let weights = Weights { trunk: &rig.prepared.encoder.params, heads: &blocks };
    let batch = rig.batch(0, rows);
    let evaluation = rig.engine().evaluate(weights, &batch, step).unwrap();
    assert_eq!(rig.engine().losses(weights, &batch, step).unwrap()[0], evaluation.parts[0].loss);
    evaluation.parts[0].loss
}

#[test]
fn row_weights_make_a_weighted_mean() {
    let data = Data::new();
    let plain = data.rig(TONE, &["model.dropout=0"]);
    let (a, b) = (loss(&plain, &[0], 1), loss(&plain, &[1], 1));
    data.weigh("notes", "sure", |i| if i == 0 { 2.0 } else { 0.5 });
    let weighted = data.rig(&format!("{TONE}columns = {{ weight = \"sure\" }}\n"), &["model.dropout=0"]);
    let expected = (2.0 * a + 0.5 * b) / 2.5;
    assert!((loss(&weighted, &[0, 1], 1) - expected).abs() < 1e-6);
    assert!((a - b).abs() > 1e-4);
}

#[test]
fn label_smoothing_class_weights_and_loss_weight_reach_the_loss() {
    let data = Data::new();
    let with = |extra: &str| data.rig(&format!("{TONE}{extra}\n"), &["model.dropout=0"]);
    let (plain, rows) = (with(""), [0, 1, 2]);
    let (warm, cold, all) = (loss(&plain, &[0, 2], 1), loss(&plain, &[1], 1), loss(&plain, &rows, 1));
    assert!((all - (2.0 * warm + cold) / 3.0).abs() < 1e-6);
    let smoothed = with("loss = { name = \"cross-entropy\", label_smoothing = 0.4 }");
    assert!((loss(&smoothed, &rows, 1) - all).abs() > 1e-4);
    let classes = with("loss = { name = \"cross-entropy\", class_weights = { warm = 3.0, cold = 1.0 } }");
    let expected = (2.0 * 3.0 * warm + cold) / 7.0;
    assert!((loss(&classes, &rows, 1) - expected).abs() < 1e-6, "{} {expected}", loss(&classes, &rows, 1));
    let factor = with("loss_weight = 2.5");
    assert!((loss(&factor, &rows, 1) - 2.5 * all).abs() < 1e-6);
}

#[test]
fn a_task_s_own_row_weights_go_before_those_of_its_source() {
    let data = Data::new();
    data.weigh("notes", "sure", |i| if i % 2 == 0 { 1.0 } else { 0.0 });
    let own = NOTES.replacen(
        "kind = \"class\"\nfrom = \"notes\"",
        "kind = \"class\"\nfrom = \"notes\"\ncolumns = { weight = \"sure\" }",
        1,
    );
    let (plain, own) = (data.rig(NOTES, &["model.dropout=0"]), data.rig(&own, &["model.dropout=0"]));
    assert!((loss(&own, &[0, 1, 2], 1) - loss(&plain, &[0, 2], 1)).abs() < 1e-6);
}

#[test]
fn dropout_masks_follow_the_step_and_none_means_none() {
    let data = Data::new();
    let (wet, dry) = (data.rig(TONE, &["model.dropout=0.3"]), data.rig(TONE, &["model.dropout=0"]));
    let rows = [0, 1, 2, 3];
    assert_eq!(loss(&wet, &rows, 1), loss(&wet, &rows, 1));
    assert_ne!(loss(&wet, &rows, 1), loss(&wet, &rows, 2));
    assert_ne!(loss(&wet, &rows, 1), loss(&dry, &rows, 1));
    assert_eq!(loss(&dry, &rows, 1), loss(&dry, &rows, 2));
}

#[test]
fn a_head_s_own_rate_moves_it_faster_and_the_trunk_alike() {
    let data = Data::new();
    let faster = format!("{TONE}lr_factor = 3.0\n");
    // Without decay and clipping, AdamW's first step is the rate in every direction.
    let set = [
        "train.steps=1",
        "train.weight_decay=0",
        "train.clip=0",
        "train.warmup=0",
        "train.schedule=\"constant\"",
    ];
    let (slow, fast) = (data.rig(TONE, &set), data.rig(&faster, &set));
    let change = |rig: &Rig| {
        let (before, after) = (rig.blocks(), rig.trained());
        let change: f32 =
            after.heads[0].values.iter().zip(&before[0].values).map(|(a, b)| (a - b).abs()).sum();
        (change, after.trunk)
    };
    let (slow, fast) = (change(&slow), change(&fast));
    assert!((fast.0 / slow.0 - 3.0).abs() < 1e-3, "{} {}", fast.0, slow.0);
    assert!(fast.1 == slow.1);
    assert_eq!(data.rows("notes", Split::Train).len(), 24);
}
