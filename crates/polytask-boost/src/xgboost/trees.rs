//! One tree of XGBoost: parallel arrays of its nodes.

use polytask_core::Result;
use serde_json::{Value, json};

use super::part::{Part, count, wrong};
use crate::tree::{Rule, Tree, TreeNode, TreeSplit};

/// What stands for no parent of the root.
const NO_PARENT: i64 = 2_147_483_647;

/// The arrays that every node has an entry in.
struct Nodes<'a> {
    left: &'a [Value],
    right: &'a [Value],
    column: &'a [Value],
    condition: &'a [Value],
    default_left: &'a [Value],
    gain: &'a [Value],
    cover: &'a [Value],
    sort: Option<&'a [Value]>,
}

/// Reads a tree; children are put behind their parents, which files do not promise.
pub(super) fn read_tree(part: Part<'_>, n_columns: usize) -> Result<Tree> {
    let (tree, at) = (part.value, part.at);
    let param = &tree["tree_param"];
    let n = count(param, "num_nodes")?;
    let width =
        if param["size_leaf_vector"].is_null() { 1 } else { count(param, "size_leaf_vector")?.max(1) };
    if n == 0 {
        return Err(wrong(format!("{at}: no nodes, expected at least one")));
    }
    let nodes = Nodes::of(tree, n, at)?;
    let order = order(&nodes, at)?;
    let mut place = vec![u32::MAX; n];
    order.iter().enumerate().for_each(|(new, &old)| place[old] = new as u32);
    let sets = sets(tree, at)?;
    let mut read = Tree { width, nodes: Vec::with_capacity(order.len()), values: Vec::new() };
    for &old in &order {
        let split =
            (index(nodes.left, old) != Some(-1)).then(|| nodes.split(old, &place, &sets, (at, n_columns)));
        let split = split.transpose()?;
        let cover = real(nodes.cover, old).unwrap_or(0.0);
        let values = if split.is_some() { vec![0.0; width] } else { leaf(tree, &nodes, (old, width), at)? };
        read.values.extend(values);
        read.nodes.push(TreeNode { split, cover });
    }
    Ok(read)
}

impl<'a> Nodes<'a> {
    fn of(tree: &'a Value, n: usize, at: &str) -> Result<Self> {
        let list = |key: &str| {
            let found = tree[key].as_array().ok_or_else(|| wrong(format!("{at}: no `{key}`")))?;
            if found.len() == n {
                return Ok(found.as_slice());
            }
            Err(wrong(format!("{at}: `{key}` has {} entries, expected {n}", found.len())))
        };
        Ok(Self {
            left: list("left_children")?,
            right: list("right_children")?,
            column: list("split_indices")?,
            condition: list("split_conditions")?,
            default_left: list("default_left")?,
            gain: list("loss_changes")?,
            cover: list("sum_hessian")?,
            sort: if tree["split_type"].is_null() { None } else { Some(list("split_type")?) },
        })
    }

    fn split(
        &self,
        node: usize,
        place: &[u32],
        sets: &[(usize, Vec<u32>)],
        (at, n_columns): (&str, usize),
    ) -> Result<TreeSplit> {
        let column = index(self.column, node).filter(|column| (0..n_columns as i64).contains(column));
        let column = column.ok_or_else(|| wrong(format!("{at}, node {node}: column beyond {n_columns}")))?;
        let child = |list: &[Value]| index(list, node).map_or(u32::MAX, |child| place[child as usize]);
        let is_category = self.sort.is_some_and(|sort| index(sort, node) == Some(1));
        let rule = if is_category {
            let set = sets.iter().find(|(of, _)| *of == node).map(|(_, set)| set.clone());
            Rule::In(set.ok_or_else(|| wrong(format!("{at}, node {node}: no set of categories")))?)
        } else {
            let cut = real(self.condition, node).map(|cut| cut as f32).filter(|cut| !cut.is_nan());
            Rule::Below(cut.ok_or_else(|| wrong(format!("{at}, node {node}: cut is no number")))?)
        };
        let default_left = match &self.default_left[node] {
            Value::Bool(is) => *is,
            other => other.as_i64() == Some(1),
        };
        let (left, right) = (child(self.left), child(self.right));
        Ok(TreeSplit {
            column: column as u32,
            rule,
            default_left,
            left,
            right,
            gain: real(self.gain, node).unwrap_or(0.0),
        })
    }
}

fn index(list: &[Value], node: usize) -> Option<i64> {
    list[node].as_i64()
}

/// A number; XGBoost writes infinite ones as `Infinity`, which is no JSON, so they are absent or huge.
fn real(list: &[Value], node: usize) -> Option<f64> {
    list[node].as_f64()
}

/// The nodes from the root on, parents first; refuses children out of range, and two ways to one node.
fn order(nodes: &Nodes<'_>, at: &str) -> Result<Vec<usize>> {
    let n = nodes.left.len();
    let (mut order, mut is_met) = (vec![0], vec![false; n]);
    is_met[0] = true;
    let mut next = 0;
    while let Some(&node) = order.get(next) {
        next += 1;
        if index(nodes.left, node) == Some(-1) {
            continue;
        }
        for child in [index(nodes.left, node), index(nodes.right, node)] {
            let known = child.filter(|child| (0..n as i64).contains(child)).map(|child| child as usize);
            let Some(child) = known else {
                return Err(wrong(format!("{at}, node {node}: child {child:?}, expected one of {n}")));
            };
            if is_met[child] {
                return Err(wrong(format!(
                    "{at}, node {node}: child {child} is reached twice, expected a tree"
                )));
            }
            is_met[child] = true;
            order.push(child);
        }
    }
    Ok(order)
}

/// Sets of categories by node.
fn sets(tree: &Value, at: &str) -> Result<Vec<(usize, Vec<u32>)>> {
    let list = |key: &str| tree[key].as_array().map_or(&[][..], Vec::as_slice);
    let (all, nodes) = (list("categories"), list("categories_nodes"));
    let (segments, sizes) = (list("categories_segments"), list("categories_sizes"));
    if nodes.len() != segments.len() || nodes.len() != sizes.len() {
        return Err(wrong(format!(
            "{at}: {} sets of categories with {} places",
            nodes.len(),
            segments.len()
        )));
    }
    let set = |(node, (first, n)): (&Value, (&Value, &Value))| {
        let (node, first, n) = (node.as_u64()? as usize, first.as_u64()? as usize, n.as_u64()? as usize);
        let own = all.get(first..first.checked_add(n)?)?;
        let mut set = own
            .iter()
            .map(|code| code.as_u64().and_then(|code| u32::try_from(code).ok()))
            .collect::<Option<Vec<u32>>>()?;
        set.sort_unstable();
        Some((node, set))
    };
    let all_sets = nodes.iter().zip(segments.iter().zip(sizes)).map(set).collect::<Option<Vec<_>>>();
    all_sets.ok_or_else(|| {
        wrong(format!("{at}: a set of categories reaches beyond the {} that are there", all.len()))
    })
}

/// What a leaf adds: its condition, or its numbers among the tree's where it has several.
fn leaf(tree: &Value, nodes: &Nodes<'_>, (node, width): (usize, usize), at: &str) -> Result<Vec<f64>> {
    let bad = || wrong(format!("{at}, node {node}: a leaf without {width} finite numbers"));
    if width == 1 {
        return Ok(vec![real(nodes.condition, node).filter(|value| value.is_finite()).ok_or_else(bad)?]);
    }
    let (list, first) = match tree["leaf_weights"].as_array() {
        Some(list) => (list, index(nodes.right, node).filter(|leaf| *leaf >= 0).ok_or_else(bad)? as usize),
        // Before 3.0 leaves stood among the weights of all nodes.
        None => (tree["base_weights"].as_array().ok_or_else(bad)?, node),
    };
    let own = first.checked_mul(width).and_then(|first| list.get(first..first + width)).ok_or_else(bad)?;
    own.iter().map(|value| value.as_f64().filter(|value| value.is_finite()).ok_or_else(bad)).collect()
}

/// A tree as the file has it; `id` is its place.
pub(super) fn write_tree(tree: &Tree, id: usize, n_columns: usize) -> Value {
    let splits = || tree.nodes.iter().map(|node| node.split.as_ref());
    let left = splits().map(|split| split.map_or(-1, |split| i64::from(split.left)));
    let gains = splits().map(|split| split.map_or(0.0, |split| split.gain as f32));
    let goes_left = splits().map(|split| u8::from(split.is_some_and(|split| split.default_left)));
    let columns = splits().map(|split| split.map_or(0, |split| split.column));
    let is_set = |split: &TreeSplit| matches!(split.rule, Rule::In(_));
    let sorts = splits().map(|split| u8::from(split.is_some_and(is_set)));
    let sizes = json!({ "num_deleted": "0", "num_feature": n_columns.to_string(),
                        "num_nodes": tree.nodes.len().to_string(), "size_leaf_vector": tree.width.to_string() });
    let mut written = json!({
        "base_weights": tree.values.iter().map(|value| *value as f32).collect::<Vec<f32>>(),
        "default_left": goes_left.collect::<Vec<_>>(),
        "id": id,
        "left_children": left.collect::<Vec<_>>(),
        "loss_changes": gains.collect::<Vec<_>>(),
        "parents": parents(tree),
        "right_children": right_children(tree),
        "split_conditions": conditions(tree),
        "split_indices": columns.collect::<Vec<_>>(),
        "split_type": sorts.collect::<Vec<_>>(),
        "sum_hessian": tree.nodes.iter().map(|node| node.cover as f32).collect::<Vec<_>>(),
        "tree_param": sizes,
    });
    write_categories(tree, &mut written);
    if tree.width > 1 {
        written["leaf_weights"] = json!(leaf_weights(tree));
    }
    written
}

/// The node above each; the root has a mark of its own.
fn parents(tree: &Tree) -> Vec<i64> {
    let root = if tree.width > 1 { -1 } else { NO_PARENT };
    let mut parents = vec![root; tree.nodes.len()];
    for (at, node) in tree.nodes.iter().enumerate() {
        for child in node.split.iter().flat_map(|split| [split.left, split.right]) {
            parents[child as usize] = at as i64;
        }
    }
    parents
}

/// The right child of each node; of a leaf of several values its number among the leaves.
fn right_children(tree: &Tree) -> Vec<i64> {
    let mut leaves = 0..;
    let right = |split: &Option<TreeSplit>| match split {
        Some(split) => i64::from(split.right),
        None if tree.width > 1 => leaves.next().unwrap_or_default(),
        None => -1,
    };
    tree.nodes.iter().map(|node| &node.split).map(right).collect()
}

/// The cut of each node; of a leaf of one value that value.
fn conditions(tree: &Tree) -> Vec<f32> {
    let condition = |(at, split): (usize, Option<&TreeSplit>)| match split.map(|split| &split.rule) {
        Some(Rule::Below(cut)) => *cut,
        Some(Rule::In(_)) => 0.0,
        None if tree.width > 1 => f32::from_bits(1),
        None => tree.value(at)[0] as f32,
    };
    tree.nodes.iter().map(|node| node.split.as_ref()).enumerate().map(condition).collect()
}

/// The sets of categories end to end, with where each begins.
fn write_categories(tree: &Tree, written: &mut Value) {
    let set = |(at, node): (usize, &TreeNode)| match &node.split.as_ref()?.rule {
        Rule::In(set) => Some((at, set.clone())),
        Rule::Below(_) => None,
    };
    let (nodes, sets): (Vec<usize>, Vec<Vec<u32>>) = tree.nodes.iter().enumerate().filter_map(set).unzip();
    let firsts = sets.iter().scan(0, |next, set| Some(std::mem::replace(next, *next + set.len())));
    written["categories_segments"] = json!(firsts.collect::<Vec<_>>());
    written["categories_sizes"] = json!(sets.iter().map(Vec::len).collect::<Vec<_>>());
    written["categories_nodes"] = json!(nodes);
    written["categories"] = json!(sets.concat());
}

/// The values of all leaves, end to end.
fn leaf_weights(tree: &Tree) -> Vec<f32> {
    let leaves = tree.nodes.iter().enumerate().filter(|(_, node)| node.split.is_none());
    leaves.flat_map(|(at, _)| tree.value(at)).map(|value| *value as f32).collect()
}
