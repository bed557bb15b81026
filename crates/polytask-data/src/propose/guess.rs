//! Inputs and tasks of a table, from what its columns are.

use polytask_core::input::text::TEXT;
use polytask_core::kind::KindInfo;
use polytask_core::target::Passages;

use super::column::{Column, Sample};
use super::drafted::{quote, reason, task};
use super::form::{self, Form, LABELS, SCORES, TEXTS, is_in};
use super::looked::{Guess, Looked};
use super::target::{is_tagged, tagging};

/// Pairs of names that two texts of a row have; also names that differ in one of [`TWINS`] alone.
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

/// Words of which each stands in the name of one of two texts: `Sent. One` and `Sent. Two`, `source` and `target`.
const TWINS: [(&str, &str); 13] = [
    ("1", "2"),
    ("a", "b"),
    ("i", "ii"),
    ("one", "two"),
    ("first", "second"),
    ("left", "right"),
    ("source", "target"),
    ("src", "tgt"),
    ("original", "paraphrase"),
    ("original", "rewrite"),
    ("text", "other"),
    ("sentence", "other"),
    ("this", "that"),
];
/// Words in the name of a column that says what two texts have to do with each other.
const OF_PAIRS: [&str; 16] = [
    "same",
    "alike",
    "similar",
    "similarity",
    "duplicate",
    "duplicates",
    "match",
    "matches",
    "equal",
    "equivalent",
    "paraphrase",
    "related",
    "relatedness",
    "closeness",
    "entailment",
    "entails",
];
/// How much longer one of two texts may be on average that could be a pair.
const ALIKE: f64 = 2.0;

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
        let found = table.with_inputs(&pair, &[]);
        if !found.tasks.is_empty() {
            return found;
        }
    }
    let text = || table.text().filter(|(_, text)| !table.has_names_alone(text));
    match (words(&tags).or_else(text), tags) {
        (Some(input), tags) => table.with_inputs(&[input], &tags),
        (None, _) => table.of_rows().unwrap_or_else(|| table.nothing()),
    }
}

impl<'a> Looked<'a> {
    /// Two texts in a row.
    fn pair(&self) -> Option<Inputs<'a>> {
        let text =
            |name: &str| self.named(name).filter(|(_, form)| is_textual(*form)).map(|(column, _)| column);
        let known = PAIRS.iter().find_map(|(a, b)| Some((text(a)?, text(b)?)));
        let twin = |(column, form): &(&'a Column, Form)| {
            let is_twin = |(other, of_other): &&(&'a Column, Form)| {
                // Two columns of labels may be called source and target, too.
                let is_text = [*form, *of_other].contains(&Form::Text) || is_counted(&column.name);
                is_text && is_textual(*of_other) && are_twins(&column.name, &other.name)
            };
            let other = self.forms.iter().find(is_twin)?.0;
            is_textual(*form).then_some((*column, other))
        };
        let by_name = known.or_else(|| self.forms.iter().find_map(twin));
        let (a, b) = by_name.or_else(|| self.pair_by_shape())?;
        Some(vec![("a", a), ("b", b)])
    }

    /// The only two texts of a table, of like length, whose names share a word.
    fn pair_by_shape(&self) -> Option<(&'a Column, &'a Column)> {
        let texts: Vec<&Column> = self.with(|_, form| form == Form::Text).collect();
        let [first, second] = texts[..] else { return None };
        // `new_question` and `faq_question` are two of a kind; pros and cons are two sides of one thing.
        let share_a_word = parts(&first.name).iter().any(|word| parts(&second.name).contains(word));
        // `text` and `clean_text` are more often one text twice, unless a number says how alike they are.
        let is_number =
            |column: &Column| self.named(&column.name).is_some_and(|(_, form)| form == Form::Numbers);
        let says_so = |(column, form): &(&Column, Form)| {
            matches!(form, Form::Label | Form::Numbers)
                && parts(&column.name).iter().any(|word| OF_PAIRS.contains(&word.as_str()))
        };
        let is_told = self.forms.iter().any(says_so);
        if is_told && are_alike(first, second) {
            return Some((first, second));
        }
        let is_told = self.only_target().is_some_and(is_number);
        let is_usual = [first, second].iter().any(|text| TEXTS.contains(&text.name.to_lowercase().as_str()));
        (share_a_word && are_alike(first, second) && (is_told || !is_usual)).then_some((first, second))
    }

    /// The one column that can be learned, where there is only one.
    pub(super) fn only_target(&self) -> Option<&'a Column> {
        let is_aside = |name: &str| form::is_origin(name) || form::is_place(name) || form::is_id_name(name);
        let mut targets = self.with(|column, form| {
            matches!(form, Form::Label | Form::Numbers | Form::Labels(_)) && !is_aside(&column.name)
        });
        targets.next().filter(|_| targets.next().is_none())
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
        let kind = KindInfo::of(&Passages, &TEXT, 1)?;
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
        let (query, _) = role("query").filter(|(_, form)| is_textual(*form))?;
        let (positive, of_positive) = role("positives")?;
        let is_passage = is_textual(of_positive)
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
            left_out: unused.map(|(column, _)| reason(column, "no role in retrieval")).collect(),
            tasks: vec![task],
            ..Guess::default()
        })
    }

    /// The tasks of all other columns on these inputs.
    fn with_inputs(&self, inputs: &[(&'static str, &'a Column)], tags: &[(&'a Column, &'a Column)]) -> Guess {
        let mut found = Guess::default();
        let is_input = |column: &Column| inputs.iter().any(|(_, input)| input.name == column.name);
        let is_pair = inputs.len() == 2;
        for (column, form) in self.forms.iter().filter(|(column, _)| !is_input(column)) {
            if let Some((words, _)) = tags.iter().find(|(_, tags)| tags.name == column.name) {
                found.tasks.push(tagging(words, column));
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
        found.evidence.extend(self.perhaps_pair(inputs));
        found.evidence.extend(self.perhaps_together(inputs));
        if let [("a", a), ("b", b)] = inputs
            && self.pair_by_shape().is_some_and(|(first, _)| [&a.name, &b.name].contains(&&first.name))
        {
            let [a, b] = [quote(&a.name), quote(&b.name)];
            found.evidence.push(format!(
                "columns {a} and {b}: two texts of like length, a pair by the names of the columns. If the targets are \
                 about one of them: columns = {{ text = {a} }}, and kind = \"class\" or \"regression\""
            ));
        }
        let kinds: Vec<&KindInfo> = found.tasks.iter().map(|task| task.kind).collect();
        for (role, column) in inputs {
            if kinds.iter().any(|kind| !reads_by_itself(kind, role, &column.name))
                || tags.is_empty() && self.is_hidden(role, column, &kinds)
            {
                found.columns.push(((*role).to_owned(), column.name.clone()));
            }
        }
        found
    }

    /// Another text as long as the one that is read: perhaps the two are a pair.
    fn perhaps_pair(&self, inputs: &[(&'static str, &'a Column)]) -> Option<String> {
        let [("text", text)] = inputs else { return None };
        let mut others = self.with(|column, form| form == Form::Text && column.name != text.name);
        let other = others.find(|other| are_alike(text, other))?;
        let [a, b] = [quote(&text.name), quote(&other.name)];
        Some(format!(
            "columns {a} and {b} are texts of like length. If the targets are about both of them: columns = {{ a = {a}, b = {b} }}, \
             and kind = \"pair-class\" for labels (their column is `label = ...`), \"similarity\" for scores (`score = ...`)"
        ))
    }

    /// Texts beside the one that is read: a network on all columns may read them together.
    fn perhaps_together(&self, inputs: &[(&'static str, &'a Column)]) -> Option<String> {
        let [("text", text)] = inputs else { return None };
        let others = self.with(|column, form| form == Form::Text && column.name != text.name);
        let all: Vec<String> =
            std::iter::once(*text).chain(others).map(|column| quote(&column.name)).collect();
        (all.len() > 1).then(|| {
            format!(
                "one text is read of a row. To read several, and numbers and categories beside them: texts = [{}] in the \
                 source, and kind = \"table-class\" or \"table-regression\"",
                all.join(", ")
            )
        })
    }

    /// Whether another column has a name that the reader would take first.
    fn is_hidden(&self, role: &str, column: &Column, kinds: &[&KindInfo]) -> bool {
        let names = |kind: &&KindInfo| names_of(kind, role);
        let first = kinds.iter().flat_map(names).find(|name| self.sample.column(name).is_some());
        first.is_some_and(|name| name != column.name)
    }

    /// A table without texts.
    fn nothing(&self) -> Guess {
        let names: Vec<String> = self.forms.iter().take(12).map(|(column, _)| quote(&column.name)).collect();
        let more = if self.forms.len() > 12 { ", …" } else { "" };
        let why = format!("no column holds texts; columns: {}{more}", names.join(", "));
        Guess { left_out: vec![why], ..Guess::default() }
    }
}

/// Whether two texts are about as long as each other.
fn are_alike(first: &Column, second: &Column) -> bool {
    (1.0 / ALIKE..=ALIKE).contains(&(second.mean_words() / first.mean_words()))
}

/// Whether two names are those of the first and the second of two texts: `sentence1` and `sentence2`, `Text A` and `Text B`.
fn are_twins(first: &str, second: &str) -> bool {
    let ([first, second], mut differing) = ([first, second].map(parts), Vec::new());
    differing.extend(first.iter().zip(&second).filter(|(a, b)| a != b));
    let [(a, b)] = differing[..] else { return false };
    first.len() == second.len() && TWINS.contains(&(a, b))
}

/// Whether a name ends in the sign of the first of two: `sentence1`, `text_a`.
fn is_counted(name: &str) -> bool {
    parts(name).last().is_some_and(|last| last == "1" || last == "a")
}

/// The words and numbers of a name, in small letters.
fn parts(name: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut last = ' ';
    for letter in name.chars() {
        let is_start = last.is_ascii_digit() != letter.is_ascii_digit() || !last.is_alphanumeric();
        // `sentA`: a capital after a small letter begins a word.
        let is_hump = last.is_lowercase() && letter.is_uppercase();
        match parts.last_mut() {
            _ if !letter.is_alphanumeric() => {}
            Some(part) if !is_start && !is_hump => part.extend(letter.to_lowercase()),
            _ => parts.push(letter.to_lowercase().collect()),
        }
        last = letter;
    }
    parts
}

/// The names under which the reader looks for a role, in their order.
fn names_of(kind: &KindInfo, role: &str) -> Vec<&'static str> {
    let own = kind.inputs.iter().chain([&kind.target]).copied().filter(|name| *name == role);
    let synonyms = kind.synonyms.iter().filter(|(of, _)| *of == role).flat_map(|(_, names)| *names);
    own.chain(synonyms.copied()).collect()
}

/// Whether a column may be one of two texts: its name says so, so that repeated or short texts are texts too.
fn is_textual(form: Form) -> bool {
    matches!(form, Form::Text | Form::Names | Form::Label)
}

/// The words of a row as its one input.
fn words<'a>(tags: &[(&'a Column, &'a Column)]) -> Option<(&'static str, &'a Column)> {
    tags.first().map(|(words, _)| ("tokens", *words))
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
