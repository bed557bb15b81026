//! The task that a column is, with what was seen of it, or why it is none.

use std::collections::{BTreeMap, BTreeSet};

use polytask_core::input::text::TEXT;
use polytask_core::kind::{self, KindInfo};
use polytask_core::suite::DraftTask;
use polytask_core::target::{Closeness, ManyLabels, Numbers, OneLabel, Tags, TargetForm, real};
use polytask_core::{near, plural};

use super::column::Column;
use super::drafted::{quote, reason, task};
use super::form::{self, Form, LABELS, SCORES, is_in};
use super::looked::Looked;
use super::order;

/// Names of columns of tags.
const TAGS: [&str; 9] = ["tags", "tag", "slots", "ner_tags", "pos_tags", "ner", "pos", "bio", "labels"];
/// Most different whole numbers that may be labels.
const MOST_GRADES: usize = 20;
/// Numbers from which on a few words beside them are taken for slips.
const FEWEST_NUMBERS: usize = 20;
/// Different numbers beside two texts from which on they are grades.
const FINE: usize = 6;
/// Most different labels that are learned without asking.
const MOST_SURE: usize = 300;
/// Most different tags.
const MOST_TAGS: usize = 300;

impl Looked<'_> {
    pub(super) fn about_input(&self, input: &Column) -> String {
        let words = if input.lists() > 0 { input.mean_length() } else { input.mean_words() };
        let what = if input.lists() > 0 { "lists of words" } else { "texts" };
        format!("column {}: {what}, {words:.0} words on average, in {}", quote(&input.name), self.rows(input))
    }

    /// The task a column is, or why it is none.
    pub(super) fn target(&self, column: &Column, form: Form, is_pair: bool) -> Result<DraftTask, String> {
        let of = |form: &dyn TargetForm| KindInfo::of(form, &TEXT, if is_pair { 2 } else { 1 });
        let number = if is_pair { of(&Closeness) } else { of(&Numbers) };
        let many = KindInfo::of(&ManyLabels, &TEXT, 1);
        let (Some(class), Some(number), Some(many)) = (of(&OneLabel), number, many) else {
            return Err(reason(column, "no kind fits"));
        };
        match form {
            Form::Label => Ok(self.label(column, class)),
            Form::Numbers => Ok(self.numbers(column, class, number)),
            Form::Vectors if !is_pair => Ok(self.vector(column, number)),
            Form::Labels(separator) if !is_pair => Ok(self.labels(column, separator, many, class)),
            Form::Labels(_) => Err(reason(column, "several labels per row, which no kind of two texts has")),
            Form::Empty => Err(reason(column, "no value in any row")),
            Form::Constant => Err(reason(column, "the same value in every row")),
            Form::Id => Err(reason(column, "looks like an id")),
            Form::Text => Err(reason(
                column,
                &format!(
                    "free text ({:.1} words on average), and no kind predicts text",
                    column.mean_words()
                ),
            )),
            Form::Words => Err(reason(column, "lists of words, and not one tag per word")),
            Form::Vectors => Err(reason(column, "lists of numbers, which no kind of two texts has")),
            Form::Names => Err(reason(
                column,
                &format!(
                    "{} different values, too many for labels and too short for texts",
                    column.distinct()
                ),
            )),
            Form::Other(what) => Err(reason(column, what)),
        }
    }

    pub(super) fn label(&self, column: &Column, class: &'static KindInfo) -> DraftTask {
        let distinct = column.distinct();
        let is_few = column.known < distinct * 4 && column.known > 50;
        let is_much = distinct > MOST_SURE;
        let odd = odd_words(column);
        let is_sure = !form::is_origin(&column.name)
            && !form::is_place(&column.name)
            && !is_few
            && !is_much
            && odd.is_none();
        let mut evidence = format!("column {}: {}: {}", quote(&column.name), self.counts(column), class.name);
        if form::is_origin(&column.name) {
            evidence += "? The name says where a row comes from; uncomment the lines to learn it";
        } else if is_much {
            evidence += "? So many values may be better searched for (kind retrieval); uncomment the lines to learn them";
        } else if let Some(odd) = odd {
            evidence += &odd;
        } else if !is_sure {
            evidence += "? Few rows per value; uncomment the lines to learn it";
        }
        let task = task(column, class, evidence, is_sure);
        let ordered =
            if class.input == &TEXT && class.inputs.len() == 1 { order::choice(column) } else { None };
        DraftTask { choices: task.choices.into_iter().chain(ordered).collect(), ..task }
    }

    pub(super) fn numbers(
        &self,
        column: &Column,
        class: &'static KindInfo,
        number: &'static KindInfo,
    ) -> DraftTask {
        let marks = column.marks();
        let (distinct, is_whole) = (column.distinct() - marks.len(), column.wholes == column.numbers);
        let is_label_name = is_in(&LABELS, &column.name);
        let is_pair = class.inputs.len() == 2;
        // How alike two texts are is graded more finely than any relation of theirs has names.
        let is_fine = is_pair && distinct >= FINE && !is_in(&LABELS, &column.name);
        let is_score_name = is_in(&SCORES, &column.name) || form::names_a_range(&column.name) || is_fine;
        let are_grades = is_whole && distinct <= MOST_GRADES && column.known >= distinct * 2;
        let is_class = are_grades && (distinct == 2 || !is_score_name);
        let is_only = self.only_target().is_some_and(|only| only.name == column.name);
        let is_named = is_label_name || is_score_name || is_only;
        let is_aside =
            form::is_origin(&column.name) || form::is_place(&column.name) || form::is_id_name(&column.name);
        // Two texts usually have one number, and it is named so; others are about the texts.
        let is_sure = !is_aside && (!is_pair || is_named || distinct == 2 && is_class);
        let (chosen, other) = if is_class { (class, number) } else { (number, class) };
        let seen = if is_class {
            self.counts(column)
        } else {
            format!(
                "numbers from {} to {}, {distinct} different, in {}",
                column.low,
                column.high,
                self.rows(column)
            )
        };
        let mut evidence = format!("column {}: {seen}: {}", quote(&column.name), chosen.name);
        if !is_sure {
            evidence += "? The name does not say what is to be learned; uncomment the lines to learn it";
        }
        let mut task = task(column, chosen, evidence, is_sure);
        task.missing = marks;
        if are_grades && distinct > 2 {
            let when = if is_class { "if their order counts" } else { "if they are names without an order" };
            task.choices.push(format!(
                "{when}: kind = \"{}\" and, on a line of its own, columns = {{ {} = {} }}",
                other.name,
                other.target,
                quote(&column.name)
            ));
        }
        task
    }

    pub(super) fn vector(&self, column: &Column, number: &'static KindInfo) -> DraftTask {
        let width = column.lengths.iter().flatten().next().copied().unwrap_or(0);
        let is_binary = column.items.keys().all(|item| ["0", "1", "true", "false"].contains(&item.as_str()));
        let what = if is_binary {
            format!(
                ", 0 or 1 all: marks of labels? Name them for the kind multilabel, `labels = [...]` in the order of the list, or remove the # for {} of {width} numbers",
                number.name
            )
        } else {
            format!(": {}", number.name)
        };
        let (name, rows) = (quote(&column.name), self.rows(column));
        let evidence = format!("column {name}: lists of {width} numbers in {rows}{what}");
        task(column, number, evidence, !is_binary)
    }

    pub(super) fn labels(
        &self,
        column: &Column,
        separator: Option<&'static str>,
        many: &'static KindInfo,
        class: &'static KindInfo,
    ) -> DraftTask {
        let labels = labels_of(column, separator);
        let n: usize = labels.values().sum();
        let each = n as f64 / column.known.max(1) as f64;
        let how = separator
            .map_or_else(|| "lists of labels".into(), |by| format!("labels joined by {}", quote(by)));
        let evidence = format!(
            "column {}: {how}, {} different, {each:.1} per row, in {}: multilabel",
            quote(&column.name),
            labels.len(),
            self.rows(column)
        );
        let is_many = labels.len() * 3 > n || labels.len() > MOST_SURE;
        let mut task = task(column, many, evidence, !is_many);
        // Blanks around a label are none of it.
        task.separator = separator.map(str::trim).filter(|by| *by != "|");
        if is_many {
            task.evidence.push("many labels, or few rows for each; uncomment the lines to learn them".into());
        }
        if separator.is_some() && column.distinct() <= MOST_GRADES {
            task.choices.push(format!(
                "if each whole cell is one label: kind = \"{}\" and, on a line of its own, columns = {{ label = {} }}",
                class.name,
                quote(&column.name)
            ));
        }
        task
    }

    /// `64 different values in 8954 rows, each 20 to 900 times`.
    pub(super) fn counts(&self, column: &Column) -> String {
        let (low, high) = (
            column.values.values().min().copied().unwrap_or(0),
            column.values.values().max().copied().unwrap_or(0),
        );
        let times = if low == high { format!("{low} times") } else { format!("{low} to {high} times") };
        format!("{} different values in {}, each {times}", column.distinct(), self.rows(column))
    }

    /// `8954 rows`, `8700 of 8954 rows`, `the first 10000 rows`.
    pub(super) fn rows(&self, column: &Column) -> String {
        let all = self.sample.rows;
        let all = if self.sample.is_whole {
            polytask_core::plural(all, "row")
        } else {
            format!("the first {all} rows")
        };
        if column.missing > 0 { format!("{} of {all}", column.known) } else { all }
    }
}

pub(super) fn tagging(words: &Column, tags: &Column) -> DraftTask {
    let (both, equal) = words.agrees(tags);
    let kinds = tags_of(tags);
    let mut evidence = format!(
        "columns {} and {}: as many tags as words in {equal} of {both} rows, {} different tags: tagging",
        quote(&words.name),
        quote(&tags.name),
        kinds.len()
    );
    let is_numbered = kinds.iter().all(|tag| tag.parse::<i64>().is_ok());
    let chunks = kinds.iter().filter(|tag| crate::build::is_of_entity(tag)).count();
    if is_numbered {
        evidence += "; they are numbers, and `labels` may name them in their order";
    }
    let Some(kind) = KindInfo::of(&Tags, &TEXT, 1) else {
        return task(tags, kind::KINDS[0], evidence, false);
    };
    let mut task = task(tags, kind, evidence, both > 0 && equal == both);
    if chunks == 0 {
        // Entities are B-x and I-x; other tags are judged word by word.
        task.metric = Some("accuracy");
    }
    task
}

/// Says that nearly all values of a column of labels are numbers.
fn odd_words(column: &Column) -> Option<String> {
    let is_number = |text: &&String| real(text).is_some();
    let mut words: Vec<&String> = column.values.keys().filter(|text| !is_number(text)).collect();
    words.sort_unstable();
    let n: usize = words.iter().map(|word| column.values[*word]).sum();
    let is_odd = column.numbers >= FEWEST_NUMBERS && n > 0 && n * 10 <= column.known;
    is_odd.then(|| {
        format!(
            "? All but {} are numbers, and {} {} none: correct them, or uncomment the lines where they are labels",
            plural(n, "row"),
            near::list(&words[..words.len().min(3)]),
            if words.len() == 1 { "is" } else { "are" }
        )
    })
}

/// Whether a column holds one tag for each of the words in another.
pub(super) fn is_tagged(words: &Column, tags: &Column) -> bool {
    if words.name == tags.name || tags.known == 0 || tags.objects > 0 {
        return false;
    }
    let (both, equal) = words.agrees(tags);
    let is_varied = words.mean_length() > 1.5;
    let kinds = tags_of(tags);
    let is_few =
        kinds.len() <= MOST_TAGS && kinds.len() * 2 <= tags.lengths.iter().flatten().sum::<u32>() as usize;
    // Lists may be tags by their lengths; texts of as many words may be so by chance, and must look like tags.
    let looks_so = tags.lists() > 0 || is_in(&TAGS, &tags.name) || kinds.contains(&"O");
    is_varied && both > 1 && equal * 20 >= both * 19 && is_few && looks_so && tags.mean_length() > 1.5
}

/// The different tags of a column.
pub(super) fn tags_of(tags: &Column) -> Vec<&str> {
    if tags.lists() > 0 {
        return tags.items.keys().map(String::as_str).collect();
    }
    let words = tags.values.keys().flat_map(|value| value.split_whitespace());
    words.collect::<BTreeSet<_>>().into_iter().collect()
}

pub(super) fn labels_of(column: &Column, separator: Option<&str>) -> BTreeMap<String, usize> {
    let at = separator.and_then(|by| super::column::SEPARATORS.iter().position(|known| *known == by));
    at.map_or_else(|| column.items.clone(), |at| column.parts[at].clone())
}
