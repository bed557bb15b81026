//! Every method against values of an independent implementation (xtask/parity/merging.py).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::arithmetic::Arithmetic;
use super::{Combine, Prepared, Rules, Setting};
use crate::parts::{Kept, Rescale, Thinned};
use crate::table::MergeMethod;
use crate::tensor::Tensor;

struct Golden {
    json: Value,
}

impl Golden {
    fn read() -> Self {
        Self { json: serde_json::from_str(include_str!("../golden.json")).unwrap() }
    }

    fn base(&self) -> Vec<f32> {
        reals(&self.json["base"])
    }

    fn models(&self) -> Vec<Vec<f32>> {
        self.json["models"].as_array().unwrap().iter().map(reals).collect()
    }
}

fn reals(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
}

/// Settings of a method with defaults, `given` above them; a list is a value per model.
pub(super) fn setting(method: &MergeMethod, given: &Map<String, Value>, n: usize) -> Setting {
    let (mut shared, mut models) = (BTreeMap::new(), vec![BTreeMap::new(); n]);
    for param in method.info.params {
        let default: Value = serde_json::from_str(param.default).unwrap();
        let value = given.get(param.name).cloned().unwrap_or(default);
        let of = |m: usize| value.as_array().map_or_else(|| value.clone(), |list| list[m].clone());
        if method.is_per_model(param.name) {
            models.iter_mut().enumerate().for_each(|(m, map)| drop(map.insert(param.name.into(), of(m))));
        } else {
            shared.insert(param.name.to_owned(), value);
        }
    }
    Setting { shared, models, lengths: Vec::new() }
}

pub(super) fn all(tensor: &Tensor<'_>, prepared: &dyn Prepared) -> Vec<f32> {
    let mut out = Vec::new();
    let map = |block: &crate::tensor::Block<'_>| prepared.apply(block);
    tensor
        .fold(prepared.unit(), map, |part| {
            out.extend(part);
            Ok(())
        })
        .unwrap();
    out
}

fn method_of(case: &str) -> &'static MergeMethod {
    let mut methods = crate::METHODS.to_vec();
    methods.sort_by_key(|method| std::cmp::Reverse(method.info.id.len()));
    methods.into_iter().find(|method| case.starts_with(method.info.id)).unwrap()
}

#[test]
fn every_method_equals_the_independent_implementation() {
    let golden = Golden::read();
    let (base, models) = (golden.base(), golden.models());
    let results = golden.json["results"].as_object().unwrap();
    assert_eq!(results.len(), 26);
    for (case, result) in results {
        let method = method_of(case);
        let config = result["config"].as_object().unwrap();
        let n = config["models"].as_u64().unwrap() as usize;
        let given: Vec<&[f32]> = models[..n].iter().map(Vec::as_slice).collect();
        let tensor = Tensor::held(&[4, 6], config.contains_key("base").then_some(&base[..]), &given);
        let setting = setting(method, config, n);
        let prepared: Box<dyn Prepared> = if config.contains_key("masks") {
            let Combine::Arithmetic { consensus, .. } = method.combine else { panic!("{case}") };
            let masks = golden.json["injected_masks"].as_array().unwrap();
            let kept = masks.iter().map(|m| Kept::Given(reals(m).iter().map(|v| *v > 0.0).collect()));
            let thinned = Thinned::new(&tensor, kept.collect(), Rescale::L1).unwrap();
            Box::new(Arithmetic::new(thinned, &setting, consensus))
        } else {
            method.combine.prepare(&tensor, &setting, Rules::default()).unwrap()
        };
        let found = all(&tensor, &*prepared);
        for (i, (found, expected)) in found.iter().zip(reals(&result["out"])).enumerate() {
            assert!((found - expected).abs() < 1e-6, "{case} at {i}: {found}, expected {expected}");
        }
        assert_eq!(found.len(), 24);
    }
}

#[test]
fn delta_fusion_equals_the_independent_implementation_at_each_granularity() {
    let golden: Value = serde_json::from_str(include_str!("../delta_golden.json")).unwrap();
    let method = MergeMethod::find("delta").unwrap();
    let flat = |value: &Value| -> Vec<f32> {
        value
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|v| if v.is_array() { reals(v) } else { vec![v.as_f64().unwrap() as f32] })
            .collect()
    };
    for (case, result) in golden.as_object().unwrap().iter().filter(|(_, v)| v.get("merged").is_some()) {
        let (granularity, power) = case.rsplit_once("_g").unwrap();
        let granularity = if granularity == "soup" { "model" } else { granularity };
        for name in ["0.w", "0.b", "1.w"] {
            let group: Vec<&str> = match granularity {
                "model" => vec!["0.w", "0.b", "1.w"],
                "layer" => ["0.w", "0.b", "1.w"].into_iter().filter(|n| n[..1] == name[..1]).collect(),
                _ => vec![name],
            };
            let length = |model: &str| {
                let of = |name: &&str| {
                    flat(&golden[model][*name])
                        .iter()
                        .zip(flat(&golden["base"][*name]))
                        .map(|(a, b)| f64::from(a - b).powi(2))
                        .sum::<f64>()
                };
                group.iter().map(of).sum::<f64>().sqrt()
            };
            let given = json!({"granularity": granularity, "gamma": power.parse::<f64>().unwrap()});
            let mut setting = setting(method, given.as_object().unwrap(), 2);
            setting.lengths = vec![length("a"), length("b")];
            let (base, a, b) =
                (flat(&golden["base"][name]), flat(&golden["a"][name]), flat(&golden["b"][name]));
            let shape = [base.len()];
            let tensor = Tensor::held(&shape, Some(&base), &[&a, &b]);
            let prepared = method.combine.prepare(&tensor, &setting, Rules::default()).unwrap();
            for (found, expected) in all(&tensor, &*prepared).iter().zip(flat(&result["merged"][name])) {
                assert!((found - expected).abs() < 2e-6, "{case} {name}: {found}, expected {expected}");
            }
        }
    }
}

fn one(
    method: &str,
    given: &Value,
    base: Option<&[f32]>,
    models: &[&[f32]],
    rules: Rules,
) -> crate::Result<Vec<f32>> {
    let method = MergeMethod::find(method).unwrap();
    let shape = [models[0].len()];
    let base = base.filter(|_| method.base != crate::BaseUse::Ignored);
    let tensor = Tensor::held(&shape, base, models);
    let mut setting = setting(method, given.as_object().unwrap(), models.len());
    let length = |m: &&[f32]| {
        m.iter().zip(base.unwrap_or(m)).map(|(m, b)| f64::from(m - b).powi(2)).sum::<f64>().sqrt()
    };
    setting.lengths = models.iter().map(length).collect();
    Ok(all(&tensor, &*method.combine.prepare(&tensor, &setting, rules)?))
}

#[test]
fn what_has_no_result_is_refused_by_the_name_of_the_tensor() {
    let (a, b) = ([1.0, 2.0], [-1.0, -2.0]);
    let told = |r: crate::Result<Vec<f32>>| r.unwrap_err().to_string();
    let weights = json!({"weight": [1.0, -1.0]});
    let error = told(one("linear", &weights, None, &[&a, &b], Rules::default()));
    assert!(error.contains("tensor `w`") && error.contains("sum to 0"), "{error}");
    let error = told(one("slerp", &json!({}), Some(&a), &[&b], Rules::default()));
    assert!(error.contains("opposite") && error.contains("--compat"), "{error}");
    let compat = Rules { compat: true, seed: 0 };
    assert_eq!(one("slerp", &json!({"t": 0.25}), Some(&a), &[&b], compat).unwrap(), [0.5, 1.0]);
    let error = told(one("nuslerp", &json!({}), None, &[&a, &b], Rules::default()));
    assert!(error.contains("opposite"), "{error}");
    let c = [0.0, 0.0];
    let error = told(one("multislerp", &json!({}), None, &[&a, &b, &c], Rules::default()));
    assert!(error.contains("cancel"), "{error}");
}

#[test]
fn small_energies_weigh_here_and_not_in_mergekit() {
    let (base, a, b) = ([0.0; 2], [1e-4, 1e-4], [3e-4, 3e-4]);
    let ours = one("sce", &json!({}), Some(&base), &[&a, &b], Rules::default()).unwrap();
    assert!((ours[0] - 2.8e-4).abs() < 1e-9, "{ours:?}");
    let theirs = one("sce", &json!({}), Some(&base), &[&a, &b], Rules { compat: true, seed: 0 }).unwrap();
    assert!((theirs[0] - 4e-4 / 2.0 / 1.0).abs() < 1e-9, "{theirs:?}");
}

#[test]
fn equal_models_merge_to_themselves_and_unmoved_tensors_stay() {
    let (base, m) = ([0.5, -1.0, 2.0], [0.25, -1.5, 2.0]);
    for method in crate::METHODS {
        let name = method.info.id;
        // These add what the models add.
        if [
            "task_arithmetic",
            "dare_linear",
            "dare_ties",
            "breadcrumbs",
            "breadcrumbs_ties",
            "della_linear",
            "arcee_fusion",
            "nearswap",
            "slerp",
            "passthrough",
        ]
        .contains(&name)
        {
            continue;
        }
        let found = one(name, &json!({}), Some(&base), &[&m, &m], Rules::default()).unwrap();
        assert!(found.iter().zip(&m).all(|(a, b)| (a - b).abs() < 1e-6), "{name}: {found:?}");
        let found = one(name, &json!({}), Some(&base), &[&base, &base], Rules::default()).unwrap();
        assert!(found.iter().zip(&base).all(|(a, b)| (a - b).abs() < 1e-6), "{name}: {found:?}");
    }
}
