//! Names of categories in XGBoost's files: whole numbers, or texts whose bytes lie end to end.

use polytask_core::Result;
use serde_json::{Value, json};

use super::part::wrong;

/// The type of whole numbers in the file.
const WHOLE: u64 = 15;

/// Names of the categories of each column, by code.
pub(super) fn read_categories(cats: &Value, n_columns: usize) -> Result<Vec<Vec<String>>> {
    let columns = cats["enc"].as_array().map_or(&[][..], Vec::as_slice);
    if columns.is_empty() {
        return Ok(vec![Vec::new(); n_columns]);
    }
    if columns.len() != n_columns {
        return Err(wrong(format!("`cats.enc` has {} columns, expected {n_columns}", columns.len())));
    }
    columns.iter().enumerate().map(|(at, column)| names(column, at)).collect()
}

fn names(column: &Value, at: usize) -> Result<Vec<String>> {
    let bad = || wrong(format!("`cats.enc`, column {at}: neither whole numbers nor texts"));
    let values = column["values"].as_array().ok_or_else(bad)?;
    let Some(offsets) = column["offsets"].as_array() else {
        return values
            .iter()
            .map(|value| value.as_i64().map(|value| value.to_string()).ok_or_else(bad))
            .collect();
    };
    let bytes = values.iter().map(|value| value.as_u64().and_then(|byte| u8::try_from(byte).ok()));
    let bytes = bytes.collect::<Option<Vec<u8>>>().ok_or_else(bad)?;
    let ends = offsets.iter().map(|offset| offset.as_u64().map(|offset| offset as usize));
    let ends = ends.collect::<Option<Vec<usize>>>().ok_or_else(bad)?;
    let text = |pair: &[usize]| {
        let own = bytes.get(pair[0]..pair[1]).ok_or_else(bad)?;
        String::from_utf8(own.to_vec()).map_err(|_| bad())
    };
    ends.windows(2).map(text).collect()
}

/// The names as the file has them; columns of numbers have none.
pub(super) fn write_categories(categories: &[Vec<String>]) -> Value {
    if categories.iter().all(Vec::is_empty) {
        return json!({ "enc": [], "feature_segments": [], "sorted_idx": [] });
    }
    let mut segments = vec![0];
    let mut sorted = Vec::new();
    for names in categories {
        segments.push(segments.last().unwrap_or(&0) + names.len());
        let mut order: Vec<usize> = (0..names.len()).collect();
        match whole(names) {
            Some(numbers) => order.sort_by_key(|&code| numbers[code]),
            None => order.sort_by_key(|&code| &names[code]),
        }
        sorted.extend(order);
    }
    json!({ "enc": categories.iter().map(|names| written(names)).collect::<Vec<_>>(),
            "feature_segments": segments, "sorted_idx": sorted })
}

fn whole(names: &[String]) -> Option<Vec<i32>> {
    names.iter().map(|name| name.parse().ok()).collect()
}

fn written(names: &[String]) -> Value {
    if let Some(numbers) = whole(names).filter(|numbers| !numbers.is_empty()) {
        return json!({ "type": WHOLE, "values": numbers });
    }
    let mut offsets: Vec<usize> = Vec::new();
    let mut bytes: Vec<u8> = Vec::new();
    for name in names {
        if offsets.is_empty() {
            offsets.push(0);
        }
        bytes.extend(name.as_bytes());
        offsets.push(bytes.len());
    }
    json!({ "offsets": offsets, "values": bytes })
}
