//! Labels whose names say that they have an order: low, medium, high.

use polytask_core::KindInfo;
use polytask_core::kind::KINDS;

use super::column::Column;
use super::drafted::quote;

/// Names of levels as people write them, each list from low to high.
const ORDERS: &[&[&str]] = &[
    &[
        "none",
        "lowest",
        "very low",
        "low",
        "normal",
        "medium",
        "moderate",
        "high",
        "very high",
        "highest",
        "urgent",
        "critical",
    ],
    &["info", "trivial", "minor", "major", "severe", "critical", "blocker"],
    &["terrible", "bad", "poor", "fair", "okay", "good", "very good", "great", "excellent"],
    &["never", "rarely", "sometimes", "often", "always"],
    &["very easy", "easy", "medium", "hard", "very hard"],
    &["beginner", "elementary", "intermediate", "advanced", "expert"],
    &["xs", "small", "medium", "large", "xl"],
    &["strongly disagree", "disagree", "neutral", "agree", "strongly agree"],
    &["very negative", "negative", "neutral", "positive", "very positive"],
];
/// Labels below which an order says nothing that two classes would not.
const FEWEST: usize = 3;

/// What to write in a suite where the order of a column's labels matters; none where their names have no known order.
pub(super) fn choice(column: &Column) -> Option<String> {
    let labels: Vec<&String> = ordered(&column.values.keys().collect::<Vec<_>>())?;
    let kind = KINDS.iter().find(|kind| kind.form.orders_labels() && kind.inputs.len() == 1)?;
    let KindInfo { name, target, .. } = kind;
    let shown: Vec<String> = labels.into_iter().map(|label| quote(label)).collect();
    Some(format!(
        "if their order matters: kind = {name:?} and, on lines of their own, labels = [{}] and columns = {{ {target} = {} }}",
        shown.join(", "),
        quote(&column.name)
    ))
}

/// Labels from low to high, where one list has all of them.
fn ordered<'c>(labels: &[&'c String]) -> Option<Vec<&'c String>> {
    let place = |order: &[&str], label: &str| {
        let plain = label.trim().to_lowercase().replace(['_', '-'], " ");
        order.iter().position(|name| *name == plain)
    };
    if labels.len() < FEWEST {
        return None;
    }
    ORDERS.iter().find_map(|order| {
        let places: Option<Vec<(usize, &String)>> =
            labels.iter().map(|label| Some((place(order, label)?, *label))).collect();
        let mut places = places?;
        places.sort_unstable();
        Some(places.into_iter().map(|(_, label)| label).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_put_in_their_order_and_other_names_are_left() {
        let of = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            ordered(&names.iter().collect::<Vec<_>>())
                .map(|labels| labels.into_iter().cloned().collect::<Vec<_>>())
        };
        assert_eq!(of(&["High", "low", "Medium"]).unwrap(), ["low", "Medium", "High"]);
        assert_eq!(
            of(&["strongly_agree", "neutral", "Disagree"]).unwrap(),
            ["Disagree", "neutral", "strongly_agree"]
        );
        for other in [&["low", "high"][..], &["red", "green", "blue"], &["low", "medium", "high", "n/a"]] {
            assert_eq!(of(other), None, "{other:?}");
        }
    }

    #[test]
    fn lists_of_levels_have_no_name_twice() {
        for order in ORDERS {
            let distinct: std::collections::BTreeSet<&&str> = order.iter().collect();
            assert_eq!(distinct.len(), order.len());
        }
    }
}
