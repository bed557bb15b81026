//! Inputs and tasks of a table, from what its columns are.

use polytask_core::kind::{self, KindInfo};
use polytask_core::suite::DraftTask;

use super::column::{Column, Sample};
use super::form::{self, Form, LABELS, SCORES, TEXTS, is_in};

/// Pairs of names that two texts of a row have; also names that differ in a last 1/2 or a/b alone.
const PAIRS: [(&str, &str); 12] = [
    ("premise", "hypothesis"),
    ("question", "passage"),
    ("question", "context"),
    ("question", "sentence"),
    ("question", "answer"),
    ("anchor", "positive"),
    ("query", "passage"),
    ("query", "document"),
    ("query", "product_title"),
    ("claim", "evidence"),
    ("text", "text_pair"),
    ("left", "right"),
];
/// Names of columns of tags.
const TAGS: [&str; 9] = ["tags", "tag", "slots", "ner_tags", "pos_tags", "ner", "pos", "bio", "labels"];
/// Most different whole numbers that may be labels.
const MOST_GRADES: usize = 20;
/// Most different labels that are learned without asking.
const MOST_SURE: usize = 300;
/// Most different tags.
const MOST_TAGS: usize = 300;

/// What a table can be used for.
#[derive(Debug, Default)]
pub(super) struct Guess {
    /// Role and column of the inputs; only those that must be named.
    pub(super) columns: Vec<(String, String)>,
    pub(super) evidence: Vec<String>,
    pub(super) tasks: Vec<DraftTask>,
    pub(super) left_out: Vec<String>,
}

/// The columns that are read as inputs, by role.
type Inputs<'a> = Vec<(&'static str, &'a Column)>;

/// The tasks of a table.
pub(super) fn guess(sample: &Sample) -> Guess {
    let forms: Vec<(&Column, Form)> =
        sample.columns.iter().map(|column| (column, form::of(column, sample))).collect();
    let table = Looked { sample, forms };
    if let Some(found) = table.retrieval() {
        return found;
    }
    let tags = table.tags();
    if let Some(pair) = table.pair().filter(|_| tags.is_empty()) {
        let found = table.with_inputs(pair, &[]);
        if !found.tasks.is_empty() {
            return found;
        }
    }
    match (table.words(&tags).or_else(|| table.text()), tags) {
        (Some(input), tags) => table.with_inputs(vec![input], &tags),
        (None, _) => table.nothing(),
    }
}

struct Looked<'a> {
    sample: &'a Sample,
    forms: Vec<(&'a Column, Form)>,
}

impl<'a> Looked<'a> {
    fn with(&self, wanted: impl Fn(&Column, Form) -> bool) -> impl Iterator<Item = &'a Column> {
        self.forms.iter().filter(move |(column, form)| wanted(column, *form)).map(|(column, _)| *column)
    }

    fn named(&self, name: &str) -> Option<(&'a Column, Form)> {
        self.forms.iter().find(|(column, _)| column.name.eq_ignore_ascii_case(name)).copied()
    }

    /// Whether a column may be one of two texts: its name says so, so that repeated or short texts are texts too.
    fn is_textual(&self, form: Form) -> bool {
        matches!(form, Form::Text | Form::Names | Form::Label)
    }

    /// Two texts in a row.
    fn pair(&self) -> Option<Inputs<'a>> {
        let text = |name: &str| {
            self.named(name).filter(|(_, form)| self.is_textual(*form)).map(|(column, _)| column)
        };
        let known = PAIRS.iter().find_map(|(a, b)| Some((text(a)?, text(b)?)));
        let twin = |(column, form): &(&'a Column, Form)| {
            let other = text(&twin(&column.name)?)?;
            self.is_textual(*form).then_some((*column, other))
        };
        let (a, b) = known.or_else(|| self.forms.iter().find_map(twin))?;
        Some(vec![("a", a), ("b", b)])
    }

    /// Words that carry tags: lists of words, or texts, with the tags as columns as long as they are in every row.
    fn tags(&self) -> Vec<(&'a Column, &'a Column)> {
        let words: Vec<&Column> = self
            .with(|column, form| {
                form == Form::Words || (matches!(form, Form::Text | Form::Names) && column.lists() == 0)
            })
            .collect();
        // Lists of words before texts: these are what tags were made for.
        let best = |tags: &'a Column| {
            let fits = |words: &&&'a Column| is_tagged(words, tags);
            let of_lists = words.iter().filter(|column| column.lists() > 0).find(fits);
            of_lists.or_else(|| words.iter().find(fits)).map(|words| (*words, tags))
        };
        let found: Vec<_> = self.forms.iter().filter_map(|(column, _)| best(column)).collect();
        let first = found.first().map(|(words, _)| words.name.clone());
        found.into_iter().filter(|(words, _)| Some(&words.name) == first.as_ref()).collect()
    }

    /// The words of a row as its one input.
    fn words(&self, tags: &[(&'a Column, &'a Column)]) -> Option<(&'static str, &'a Column)> {
        tags.first().map(|(words, _)| ("tokens", *words))
    }

    /// The text of a row: by name, else the longest.
    fn text(&self) -> Option<(&'static str, &'a Column)> {
        let texts: Vec<&Column> = self.with(|_, form| form == Form::Text).collect();
        let rank = |column: &Column| TEXTS.iter().position(|name| column.name.eq_ignore_ascii_case(name));
        let named = texts.iter().filter(|column| rank(column).is_some()).min_by_key(|column| rank(column));
        let long = texts.iter().max_by(|a, b| a.mean_words().total_cmp(&b.mean_words()));
        // A title is a text only where there is none that is several times as long.
        let found = match (named, long) {
            (Some(named), Some(long)) if named.mean_words() * 4.0 < long.mean_words() => Some(long),
            (named, long) => named.or(long),
        };
        found.map(|column| ("text", *column))
    }

    /// A question and what answers it, in a table without labels.
    fn retrieval(&self) -> Option<Guess> {
        let kind = kind::find("retrieval")?;
        let role = |role: &str| {
            let of_role = kind.synonyms.iter().filter(|(of, _)| *of == role).flat_map(|(_, names)| *names);
            let names: Vec<&str> = kind
                .inputs
                .iter()
                .chain([&kind.target, &"negatives"])
                .copied()
                .filter(|name| *name == role)
                .chain(of_role.copied())
                .collect();
            names.into_iter().find_map(|name| self.named(name))
        };
        let (query, _) = role("query").filter(|(_, form)| self.is_textual(*form))?;
        let (positive, of_positive) = role("positives")?;
        let is_passage = self.is_textual(of_positive)
            || matches!(of_positive, Form::Words | Form::Labels(None) | Form::Other("lists of texts"));
        let is_judged = self
            .with(|column, form| {
                (is_in(&LABELS, &column.name) || is_in(&SCORES, &column.name))
                    && matches!(form, Form::Label | Form::Numbers)
            })
            .next()
            .is_some();
        if is_judged || !is_passage {
            return None;
        }
        let negative = role("negatives").map(|(column, _)| column);
        let mut columns = vec![("positives".to_owned(), positive.name.clone())];
        columns.extend(negative.map(|column| ("negatives".to_owned(), column.name.clone())));
        let shown: Vec<String> = columns.iter().map(|(_, name)| quote(name)).collect();
        let evidence = format!(
            "columns {} and {}: a query and the texts that answer it (or do not), in {}: retrieval",
            quote(&query.name),
            shown.join(", "),
            self.rows(query)
        );
        let used = |column: &Column| {
            [Some(query), Some(positive), negative].into_iter().flatten().any(|used| used.name == column.name)
        };
        let unused = self.forms.iter().filter(|(column, _)| !used(column));
        let mut task = task(&self.sample.columns[0], kind, evidence, true);
        (task.name, task.columns) = ("search".into(), columns);
        Some(Guess {
            columns: named_input("query", query, kind),
            left_out: unused.map(|(column, _)| self.reason(column, "no role in retrieval")).collect(),
            tasks: vec![task],
            evidence: Vec::new(),
        })
    }

    /// The tasks of all other columns on these inputs.
    fn with_inputs(&self, inputs: Inputs<'a>, tags: &[(&'a Column, &'a Column)]) -> Guess {
        let mut found = Guess::default();
        let is_input = |column: &Column| inputs.iter().any(|(_, input)| input.name == column.name);
        let is_pair = inputs.len() == 2;
        for (column, form) in self.forms.iter().filter(|(column, _)| !is_input(column)) {
            if let Some((words, _)) = tags.iter().find(|(_, tags)| tags.name == column.name) {
                found.tasks.push(self.tagging(words, column));
                continue;
            }
            match self.target(column, *form, is_pair) {
                Ok(task) => found.tasks.push(task),
                Err(reason) => found.left_out.push(reason),
            }
        }
        found.evidence = inputs.iter().map(|(_, input)| self.about_input(input)).collect();
        for (_, input) in inputs.iter().filter(|(_, input)| input.nulls > 0) {
            let rows = polytask_core::plural(input.nulls, "row");
            found.evidence.push(format!(
                "{rows} of column {} are null, which is no text: fill them or write \"\", then uncomment the lines",
                quote(&input.name)
            ));
            found.tasks.iter_mut().for_each(|task| task.is_sure = false);
        }
        let kinds: Vec<&KindInfo> = found.tasks.iter().map(|task| task.kind).collect();
        for (role, column) in &inputs {
            if kinds.iter().any(|kind| !reads_by_itself(kind, role, &column.name))
                || tags.is_empty() && self.is_hidden(role, column, &kinds)
            {
                found.columns.push(((*role).to_owned(), column.name.clone()));
            }
        }
        found
    }

    /// Whether another column has a name that the reader would take first.
    fn is_hidden(&self, role: &str, column: &Column, kinds: &[&KindInfo]) -> bool {
        let names = |kind: &&KindInfo| names_of(kind, role);
        let first = kinds.iter().flat_map(names).find(|name| self.sample.column(name).is_some());
        first.is_some_and(|name| name != column.name)
    }

    fn about_input(&self, input: &Column) -> String {
        let words = if input.lists() > 0 { input.mean_length() } else { input.mean_words() };
        let what = if input.lists() > 0 { "lists of words" } else { "texts" };
        format!("column {}: {what}, {words:.0} words on average, in {}", quote(&input.name), self.rows(input))
    }

    fn tagging(&self, words: &Column, tags: &Column) -> DraftTask {
        let (both, equal) = words.agrees(tags);
        let kinds = tags_of(tags);
        let mut evidence = format!(
            "columns {} and {}: as many tags as words in {equal} of {both} rows, {} different tags: tagging",
            quote(&words.name),
            quote(&tags.name),
            kinds.len()
        );
        let is_numbered = kinds.iter().all(|tag| tag.parse::<i64>().is_ok());
        let is_chunk = |tag: &&&str| tag.starts_with("B-") || tag.starts_with("I-") || **tag == "O";
        let chunks = kinds.iter().filter(is_chunk).count();
        if is_numbered {
            evidence += "; they are numbers, and `labels` may name them in their order";
        }
        let Some(kind) = kind::find("tagging") else { return task(tags, kind::KINDS[0], evidence, false) };
        let mut task = task(tags, kind, evidence, both > 0 && equal == both);
        if chunks == 0 {
            // Entities are B-x and I-x; other tags are judged word by word.
            task.metric = Some("accuracy");
        }
        task
    }

    /// The task a column is, or why it is none.
    fn target(&self, column: &Column, form: Form, is_pair: bool) -> Result<DraftTask, String> {
        let find = |single: &str, pair: &str| kind::find(if is_pair { pair } else { single });
        let (class, number) = (find("class", "pair-class"), find("regression", "similarity"));
        let (Some(class), Some(number), Some(many)) = (class, number, kind::find("multilabel")) else {
            return Err(self.reason(column, "no kind fits"));
        };
        match form {
            Form::Label => Ok(self.label(column, class)),
            Form::Numbers => Ok(self.numbers(column, class, number)),
            Form::Vectors if !is_pair => Ok(self.vector(column, number)),
            Form::Labels(separator) if !is_pair => Ok(self.labels(column, separator, many, class)),
            Form::Labels(_) => {
                Err(self.reason(column, "several labels per row, which no kind of two texts has"))
            }
            Form::Empty => Err(self.reason(column, "no value in any row")),
            Form::Constant => Err(self.reason(column, "the same value in every row")),
            Form::Id => Err(self.reason(column, "looks like an id")),
            Form::Text => Err(self.reason(
                column,
                &format!(
                    "free text ({:.1} words on average), and no kind predicts text",
                    column.mean_words()
                ),
            )),
            Form::Words => Err(self.reason(column, "lists of words, and not one tag per word")),
            Form::Vectors => Err(self.reason(column, "lists of numbers, which no kind of two texts has")),
            Form::Names => Err(self.reason(
                column,
                &format!(
                    "{} different values, too many for labels and too short for texts",
                    column.distinct()
                ),
            )),
            Form::Other(what) => Err(self.reason(column, what)),
        }
    }

    fn label(&self, column: &Column, class: &'static KindInfo) -> DraftTask {
        let distinct = column.distinct();
        let mut evidence = format!("column {}: {}", quote(&column.name), self.counts(column));
        let is_few = column.known < distinct * 4 && column.known > 50;
        let is_much = distinct > MOST_SURE;
        let is_sure = !form::is_origin(&column.name) && !form::is_place(&column.name) && !is_few && !is_much;
        evidence += &format!(": {}", class.name);
        if form::is_origin(&column.name) {
            evidence += "? The name says where a row comes from; uncomment the lines to learn it";
        } else if is_much {
            evidence += "? So many values may be better searched for (kind retrieval); uncomment the lines to learn them";
        } else if !is_sure {
            evidence += "? Few rows per value; uncomment the lines to learn it";
        }
        task(column, class, evidence, is_sure)
    }

    fn numbers(&self, column: &Column, class: &'static KindInfo, number: &'static KindInfo) -> DraftTask {
        let (distinct, is_whole) = (column.distinct(), column.wholes == column.known);
        let is_label_name = is_in(&LABELS, &column.name);
        let is_score_name = is_in(&SCORES, &column.name);
        let are_grades = is_whole && distinct <= MOST_GRADES && column.known >= distinct * 2;
        let is_class = are_grades && (distinct == 2 || !is_score_name);
        let is_pair = class.inputs.len() == 2;
        let is_named = is_label_name || is_score_name;
        let is_aside =
            form::is_origin(&column.name) || form::is_place(&column.name) || form::is_id_name(&column.name);
        // Two texts usually have one number, and it is named so; others are about the texts.
        let is_sure = !is_aside && (!is_pair || is_named || distinct == 2 && is_class);
        let (chosen, other) = if is_class { (class, number) } else { (number, class) };
        let mut evidence = format!("column {}: ", quote(&column.name));
        evidence += &if is_class {
            self.counts(column)
        } else {
            format!(
                "numbers from {} to {}, {distinct} different, in {}",
                column.low,
                column.high,
                self.rows(column)
            )
        };
        evidence += &format!(": {}", chosen.name);
        if !is_sure {
            evidence += "? The name does not say what is to be learned; uncomment the lines to learn it";
        }
        let mut task = task(column, chosen, evidence, is_sure);
        if are_grades && distinct > 2 {
            let when = if is_class { "if their order counts" } else { "if they are names without an order" };
            task.choices.push(format!(
                "{when}: kind = \"{}\", columns = {{ {} = {} }}",
                other.name,
                other.target,
                quote(&column.name)
            ));
        }
        task
    }

    fn vector(&self, column: &Column, number: &'static KindInfo) -> DraftTask {
        let width = column.lengths.iter().flatten().next().copied().unwrap_or(0);
        let is_binary = column.items.keys().all(|item| ["0", "1", "true", "false"].contains(&item.as_str()));
        let mut evidence =
            format!("column {}: lists of {width} numbers in {}", quote(&column.name), self.rows(column));
        evidence += &if is_binary {
            format!(
                ", 0 or 1 all: marks of labels? Write the labels' names instead for the kind multilabel, or remove the # for {} of {width} numbers",
                number.name
            )
        } else {
            format!(": {}", number.name)
        };
        task(column, number, evidence, !is_binary)
    }

    fn labels(
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
        let is_read = separator.is_none_or(super::is_separator_read);
        let is_many = labels.len() * 3 > n || labels.len() > MOST_SURE;
        let mut task = task(column, many, evidence, is_read && !is_many);
        if is_many {
            task.evidence.push("many labels, or few rows for each; uncomment the lines to learn them".into());
        }
        if !is_read {
            task.evidence.push("such cells are not cut: write the labels as JSON lists or join them by | first, then remove the #".into());
        }
        if separator.is_some() && column.distinct() <= MOST_GRADES {
            task.choices.push(format!(
                "if each whole cell is one label: kind = \"{}\", columns = {{ label = {} }}",
                class.name,
                quote(&column.name)
            ));
        }
        task
    }

    /// `64 different values in 8954 rows, each 20 to 900 times`.
    fn counts(&self, column: &Column) -> String {
        let (low, high) = (
            column.values.values().min().copied().unwrap_or(0),
            column.values.values().max().copied().unwrap_or(0),
        );
        let times = if low == high { format!("{low} times") } else { format!("{low} to {high} times") };
        format!("{} different values in {}, each {times}", column.distinct(), self.rows(column))
    }

    /// `8954 rows`, `8700 of 8954 rows`, `the first 10000 rows`.
    fn rows(&self, column: &Column) -> String {
        let all = self.sample.rows;
        let all = if self.sample.is_whole {
            polytask_core::plural(all, "row")
        } else {
            format!("the first {all} rows")
        };
        if column.missing > 0 { format!("{} of {all}", column.known) } else { all }
    }

    fn reason(&self, column: &Column, why: &str) -> String {
        format!("left out: column {}: {why}", quote(&column.name))
    }

    /// A table without texts.
    fn nothing(&self) -> Guess {
        let names: Vec<String> = self.forms.iter().take(12).map(|(column, _)| quote(&column.name)).collect();
        let more = if self.forms.len() > 12 { ", …" } else { "" };
        let why = format!("no column holds texts; columns: {}{more}", names.join(", "));
        Guess { left_out: vec![why], ..Guess::default() }
    }
}

/// The name of the other one of two: `sentence1` → `sentence2`, `text_a` → `text_b`.
fn twin(name: &str) -> Option<String> {
    let (at, last) = name.char_indices().next_back()?;
    let other = match last {
        '1' => '2',
        'a' if at == 0 || name[..at].ends_with(['_', '-', ' ']) => 'b',
        'A' => 'B',
        _ => return None,
    };
    Some(format!("{}{other}", &name[..at]))
}

/// Whether a column holds one tag for each of the words in another.
fn is_tagged(words: &Column, tags: &Column) -> bool {
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
fn tags_of(tags: &Column) -> Vec<&str> {
    if tags.lists() > 0 {
        return tags.items.keys().map(String::as_str).collect();
    }
    let words = tags.values.keys().flat_map(|value| value.split_whitespace());
    words.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}

fn labels_of(column: &Column, separator: Option<&str>) -> std::collections::BTreeMap<String, usize> {
    let at = separator.and_then(|by| super::column::SEPARATORS.iter().position(|known| *known == by));
    at.map_or_else(|| column.items.clone(), |at| column.parts[at].clone())
}

/// The names under which the reader looks for a role, in their order.
fn names_of(kind: &KindInfo, role: &str) -> Vec<&'static str> {
    let own = kind.inputs.iter().chain([&kind.target]).copied().filter(|name| *name == role);
    let synonyms = kind.synonyms.iter().filter(|(of, _)| *of == role).flat_map(|(_, names)| *names);
    own.chain(synonyms.copied()).collect()
}

/// Whether the reader finds an input without being told.
fn reads_by_itself(kind: &KindInfo, role: &str, column: &str) -> bool {
    names_of(kind, role).contains(&column)
}

fn named_input(role: &str, column: &Column, kind: &KindInfo) -> Vec<(String, String)> {
    if reads_by_itself(kind, role, &column.name) {
        Vec::new()
    } else {
        vec![(role.to_owned(), column.name.clone())]
    }
}

fn task(column: &Column, kind: &'static KindInfo, evidence: String, is_sure: bool) -> DraftTask {
    DraftTask {
        name: column.name.clone(),
        kind,
        columns: vec![(kind.target.to_owned(), column.name.clone())],
        metric: None,
        labels: Vec::new(),
        evidence: vec![evidence],
        choices: Vec::new(),
        is_sure,
    }
}

/// A name from a file, in quotes, so that no control character of it can end a comment.
pub(super) fn quote(name: &str) -> String {
    format!("{name:?}")
}
