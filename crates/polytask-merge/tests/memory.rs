//! Memory of a merge: bounded, whatever the models' size. Alone in its process, whose memory is measured.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use polytask_core::{Purpose, Rng};
use polytask_merge::{Given, MergeConfig, MergeMethod, MergeOptions, merge};
use polytask_nn::Encoder;
use polytask_nn::weights::{self, Dtype, TensorPlan, WeightFiles, WeightsOut};
use serde_json::json;

/// Rows and columns of the large tensor: 64 MB.
const SIDE: usize = 4000;
const LARGE: &str = "pooler.dense.weight";

/// An encoder's folder with a large tensor beside its own.
fn large(folder: &Path, seed: u64) {
    let encoder = Encoder::tiny(40, seed).unwrap();
    encoder.save(&encoder.params, folder, &[]).unwrap();
    let old = WeightFiles::open_folder(folder).unwrap();
    let plan = |name: &str, shape: &[usize]| TensorPlan {
        name: name.into(),
        dtype: Dtype::F32,
        shape: shape.to_vec(),
    };
    let mut plans: Vec<TensorPlan> = old.entries().map(|e| plan(&e.name, &e.shape)).collect();
    plans.push(plan(LARGE, &[SIDE, SIDE]));
    let values: Vec<_> = old.entries().map(|e| (e.name.clone(), old.f32(&e.name).unwrap())).collect();
    fs::remove_file(folder.join(weights::FILE)).unwrap();
    let out = WeightsOut::create(folder, &plans, 1 << 30).unwrap();
    values.iter().for_each(|(name, values)| out.write(name, 0, values).unwrap());
    let mut rng = Rng::new(seed, Purpose::Bench, &[]);
    for row in 0..SIDE {
        let values: Vec<f32> = (0..SIDE).map(|_| rng.uniform() as f32).collect();
        out.write(LARGE, row * SIDE, &values).unwrap();
    }
    out.finish().unwrap();
}

/// Bytes of this process in memory.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/statm").unwrap();
    status.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
fn memory_does_not_grow_with_the_models() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    for (seed, name) in ["m0", "a", "b", "c"].into_iter().enumerate() {
        large(&path(name), seed as u64);
    }
    let models: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
    let given = [Given { name: "density".into(), values: vec![json!(0.2)] }];
    let method = MergeMethod::find("ties").unwrap();
    let config = MergeConfig::of_models(method, &models, Some("m0"), &given).unwrap();
    let options = MergeOptions {
        out: path("d"),
        compat: false,
        seed: 1,
        shard: 1 << 30,
        heads: Vec::new(),
        learned: None,
    };
    let resolve = |name: &str| -> polytask_merge::Result<PathBuf> { Ok(path(name)) };
    let (before, peak, done) = (resident(), AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                peak.fetch_max(resident(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        let merged = merge(&config, &resolve, &options, &mut |_, _| {});
        done.store(true, Ordering::Relaxed);
        merged.unwrap();
    });
    let grown = peak.into_inner().saturating_sub(before) >> 20;
    assert!(grown < 60, "{grown} MB for 256 MB of inputs");
}
