//! Rotary frequencies as Llama's configurations state them, in the old spelling and the new one.

use std::f64::consts::TAU;

use super::fields::Fields;
use crate::trunk::layers::RotaryTable;

/// Frequencies of heads of `d_head` values; `positions` is the longest text.
pub(super) fn table(fields: &mut Fields, d_head: usize, positions: usize) -> RotaryTable {
    let theta = fields.number(&["rope_parameters.rope_theta", "rope_theta"], 10_000.0);
    let scaling = ["rope_parameters", "rope_scaling"].into_iter().find(|key| fields.get(key).is_some());
    let Some(scaling) = scaling else { return RotaryTable::new(theta, d_head) };
    let kind = ["rope_type", "type"].map(|key| format!("{scaling}.{key}"));
    let kind = kind.iter().find(|key| fields.get(key).is_some()).cloned().unwrap_or_default();
    fields.expect(&kind, &["default", "linear", "llama3"]);
    let (key, said) = (format!("{scaling}.factor"), fields.get(&kind).and_then(|value| value.as_str()));
    if matches!(said, Some("linear" | "llama3")) && fields.get(&key).is_none() {
        fields.wrong(&key, "a number, as this scaling needs");
    }
    let factor = fields.number(&[&key], 1.0);
    let plain = RotaryTable::new(theta, d_head);
    match fields.get(&kind).and_then(|value| value.as_str()) {
        Some("linear") => RotaryTable::of(plain.frequencies().iter().map(|f| f / factor).collect()),
        Some("llama3") => {
            let low = fields.number(&[&format!("{scaling}.low_freq_factor")], 1.0);
            let high = fields.number(&[&format!("{scaling}.high_freq_factor")], 4.0);
            let key = format!("{scaling}.original_max_position_embeddings");
            let original = fields.number(&[&key], positions as f64);
            let scaled = plain.frequencies().iter().map(|f| llama3(*f, factor, (low, high), original));
            RotaryTable::of(scaled.collect())
        }
        _ => plain,
    }
}

/// Llama 3's frequencies (Grattafiori et al. 2024, <https://arxiv.org/abs/2407.21783>): waves longer than the texts it
/// was first trained on are stretched, short ones stay, and those between are blended.
fn llama3(frequency: f64, factor: f64, (low, high): (f64, f64), original: f64) -> f64 {
    let wave = TAU / frequency;
    if wave < original / high {
        return frequency;
    }
    if wave > original / low {
        return frequency / factor;
    }
    let share = (original / wave - low) / (high - low);
    (1.0 - share) * frequency / factor + share * frequency
}
