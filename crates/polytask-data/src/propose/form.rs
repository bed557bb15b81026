//! What a column is: texts, labels, numbers, tags, an id; by its values first, by its name where they leave a choice.

use std::collections::{BTreeMap, BTreeSet};

use super::column::{Column, SEPARATORS, Sample};

/// Names of columns that hold the text of a row, the likeliest first.
pub(super) const TEXTS: [&str; 24] = [
    "text",
    "sentence",
    "utterance",
    "query",
    "question",
    "content",
    "body",
    "message",
    "review",
    "comment",
    "tweet",
    "post",
    "document",
    "passage",
    "description",
    "abstract",
    "summary",
    "prompt",
    "input",
    "title",
    "subject",
    "headline",
    "name",
    "transcript",
];
/// Names of columns that hold the words of a row.
pub(super) const TOKENS: [&str; 3] = ["tokens", "words", "token"];
/// Names of columns that are one of several labels, even where these are numbers.
pub(super) const LABELS: [&str; 17] = [
    "label",
    "labels",
    "class",
    "category",
    "intent",
    "topic",
    "sentiment",
    "emotion",
    "type",
    "gold_label",
    "entailment",
    "target_label",
    "tag",
    "polarity",
    "stance",
    "verdict",
    "answer_type",
];
/// Names of columns whose numbers are graded.
pub(super) const SCORES: [&str; 22] = [
    "urgency",
    "priority",
    "severity",
    "closeness",
    "difficulty",
    "importance",
    "quality",
    "toxicity",
    "score",
    "scores",
    "relatedness",
    "similarity",
    "rating",
    "stars",
    "value",
    "values",
    "target",
    "y",
    "grade",
    "points",
    "price",
    "similarity_score",
];
/// Names of columns that say where a row comes from.
const ORIGINS: [&str; 29] = [
    "source",
    "dataset",
    "genre",
    "year",
    "month",
    "day",
    "split",
    "subset",
    "part",
    "fold",
    "file",
    "filename",
    "lang",
    "language",
    "annotator",
    "worker",
    "user",
    "username",
    "author",
    "date",
    "time",
    "timestamp",
    "url",
    "version",
    "partition",
    "created_at",
    "seed",
    "run",
    "model",
];
/// Names of columns that are places in a text or in the file.
const PLACES: [&str; 16] = [
    "start", "end", "offset", "position", "begin", "length", "rank", "line", "row", "page", "span", "chars",
    "words", "n", "count", "num",
];
/// Names of ids.
const IDS: [&str; 14] =
    ["id", "_id", "idx", "index", "uid", "uuid", "guid", "qid", "pid", "sid", "key", "unnamed: 0", "", "no"];

/// Most words of a label on average, and at most.
const LABEL_WORDS: (f64, usize) = (4.0, 8);
/// Most different labels that are proposed.
const MOST_LABELS: usize = 1000;

/// What a column is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Form {
    /// No value in any row.
    Empty,
    /// The same value in every row.
    Constant,
    /// Another value in every row, and no text.
    Id,
    /// Running text.
    Text,
    /// Lists of words.
    Words,
    /// One of several values.
    Label,
    /// Several of some values: how cells are written (a separator, or `None` for lists).
    Labels(Option<&'static str>),
    /// Numbers.
    Numbers,
    /// Lists of numbers, all of one length.
    Vectors,
    /// Too many values for labels, too short for texts.
    Names,
    /// Dates, addresses, objects: no kind reads them.
    Other(&'static str),
}

/// Letters of a last word that says what a column is: `human rating`, `gold_label`.
const TELLING_WORD: usize = 4;

/// Whether a name, its part before a number, or its last word is in a list; letters in any case.
pub(super) fn is_in(list: &[&str], name: &str) -> bool {
    let name = name.trim().to_lowercase();
    let plain = name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches(['_', '-']);
    let last = plain.rsplit(|c: char| !c.is_alphanumeric()).find(|word| !word.is_empty());
    list.contains(&name.as_str())
        || (!plain.is_empty() && list.contains(&plain))
        || last.is_some_and(|last| last.len() >= TELLING_WORD && list.contains(&last))
}

/// Whether a name says from where to where its numbers go: `Urgency (1-5)`, `match 0..10`.
pub(super) fn names_a_range(name: &str) -> bool {
    let digits = |c: char| c.is_ascii_digit();
    let numbers: Vec<i64> =
        name.split(|c: char| !digits(c)).filter_map(|number| number.parse().ok()).collect();
    let mut between =
        name.split(digits).filter(|part| !part.is_empty()).skip(usize::from(!name.starts_with(digits)));
    matches!(numbers[..], [low, high] if low < high && high <= 100)
        && ["-", "–", "to", "..", "bis"].contains(&between.next().unwrap_or_default().trim())
}

pub(super) fn is_origin(name: &str) -> bool {
    is_in(&ORIGINS, name)
}

pub(super) fn is_place(name: &str) -> bool {
    is_in(&PLACES, name)
        || PLACES.iter().any(|place| name.to_lowercase().ends_with(&format!("_{place}")))
        || ["n_", "num_"].iter().any(|front| name.to_lowercase().starts_with(front))
}

pub(super) fn is_id_name(name: &str) -> bool {
    let lower = name.trim().to_lowercase();
    is_in(&IDS, name)
        || lower.ends_with("_id")
        || lower.ends_with("-id")
        || name.ends_with("Id")
        || name.ends_with("ID")
}

/// What a column is by its values and its name.
pub(super) fn of(column: &Column, sample: &Sample) -> Form {
    let known = column.known;
    if known == 0 {
        return Form::Empty;
    }
    let most = |n: usize| n * 10 >= known * 9;
    if most(column.objects + column.lists()) {
        let are_lists = column.lists() > column.objects;
        return if are_lists {
            of_lists(column, sample)
        } else {
            Form::Other("JSON objects, which no kind reads")
        };
    }
    let distinct = column.distinct();
    let is_target = is_in(&LABELS, &column.name) || is_in(&SCORES, &column.name);
    if distinct == 1 && known > 1 {
        return Form::Constant;
    }
    let is_unique = distinct == known && known > 2;
    if is_id_name(&column.name) && (column.numbers == known || column.most_words <= 1) {
        return Form::Id;
    }
    if column.commas > 0 && column.commas + column.numbers == known {
        return Form::Other(
            "numbers with decimal commas, which no kind reads: write points (2.5); labels joined by commas need `separator`",
        );
    }
    if column.numbers + column.marked() == known && column.numbers > 0 {
        let is_id = is_unique && column.wholes == known && known > 20 && !is_target;
        return if is_id { Form::Id } else { Form::Numbers };
    }
    of_texts(column, is_unique)
}

fn of_texts(column: &Column, is_unique: bool) -> Form {
    let known = column.known;
    // Called with values only: a column of lists has none.
    let all = |is: fn(&str) -> bool| {
        column.values.iter().filter(|(value, _)| is(value)).count() * 10 >= column.distinct() * 9
    };
    if all(is_date) {
        return Form::Other("dates, which no kind reads");
    }
    if all(|value| value.starts_with("http://") || value.starts_with("https://")) {
        return Form::Other("addresses, which no kind reads");
    }
    if let Some(separator) = separator(column) {
        return Form::Labels(Some(separator));
    }
    let is_short = column.mean_words() <= LABEL_WORDS.0 && column.most_words <= LABEL_WORDS.1;
    let repeats = column.distinct() * 2 <= known || (known < 10 && column.distinct() < known);
    let is_text_name = is_in(&TEXTS, &column.name) && !is_in(&LABELS, &column.name);
    if is_short && repeats && column.distinct() <= MOST_LABELS && !is_text_name {
        Form::Label
    } else if is_text_name || column.mean_words() >= 3.0 {
        Form::Text
    } else if is_unique && column.most_words <= 1 {
        Form::Id
    } else {
        Form::Names
    }
}

fn of_lists(column: &Column, sample: &Sample) -> Form {
    let lengths: Vec<u32> = column.lengths.iter().flatten().copied().collect();
    let is_even =
        lengths.windows(2).all(|pair| pair[0] == pair[1]) && lengths.first().is_some_and(|n| *n > 0);
    if column.number_lists > column.text_lists {
        return if is_even {
            Form::Vectors
        } else {
            Form::Other("lists of numbers of several lengths, which no kind reads")
        };
    }
    let n_items: usize = column.items.values().sum();
    if column.most_words > LABEL_WORDS.1 {
        return Form::Other("lists of texts");
    }
    // Words come in many kinds, and rows of labels have few of them.
    let is_words = column.mean_length() >= 3.0 && column.items.len() * 20 > n_items.min(sample.rows * 2);
    if is_in(&TOKENS, &column.name) || is_words { Form::Words } else { Form::Labels(None) }
}

/// The separator of a column whose cells hold several of a few values.
fn separator(column: &Column) -> Option<&'static str> {
    let fits = |at: &usize| {
        let parts = &column.parts[*at];
        let n_parts: usize = parts.values().sum();
        let is_short = parts.keys().all(|part| part.split_whitespace().count() <= 4);
        column.separated[*at] * 20 >= column.known
            && column.separated[*at] > 1
            && is_short
            && parts.len() * 3 <= n_parts
            && are_shared(column, SEPARATORS[*at])
    };
    (0..SEPARATORS.len()).find(fits).map(|at| SEPARATORS[at])
}

/// Whether half of the parts of joined cells also stand in other cells, as labels do. The parts of a name, `Rent` and
/// `billing`, stand in it alone.
fn are_shared(column: &Column, separator: &str) -> bool {
    let mut cells: BTreeMap<&str, usize> = BTreeMap::new();
    let mut joined: BTreeSet<&str> = BTreeSet::new();
    for value in column.values.keys() {
        let parts: BTreeSet<&str> =
            value.split(separator).map(str::trim).filter(|part| !part.is_empty()).collect();
        parts.iter().for_each(|part| *cells.entry(part).or_default() += 1);
        if parts.len() > 1 {
            joined.extend(parts);
        }
    }
    let shared = joined.iter().filter(|part| cells[**part] > 1).count();
    !joined.is_empty() && 2 * shared >= joined.len()
}

/// Names of months, also known by their first three letters.
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// Whether a text is a date, with or without a time behind it: 2024-03-09, 9/3/2024, 09.03.24, 9 March 2024.
fn is_date(text: &str) -> bool {
    let first = text.split([' ', 'T', ',']).next().unwrap_or_default();
    let by = first.chars().find(|c| "-/.".contains(*c));
    let fields: Vec<&str> = by.map_or_else(Vec::new, |by| first.split(by).collect());
    let lengths: Vec<usize> = fields.iter().map(|field| field.len()).collect();
    let is_number = |field: &&str| !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_digit());
    let is_numeric = matches!(lengths[..], [4, 1..=2, 1..=2] | [1..=2, 1..=2, 2 | 4]);
    if is_numeric && fields.iter().all(is_number) {
        return true;
    }
    let words: Vec<String> = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    let is_month = |word: &String| MONTHS.iter().any(|month| word == month || word == &month[..3]);
    let is_day_or_year = |word: &String| word.bytes().next().is_some_and(|byte| byte.is_ascii_digit());
    let n_months = words.iter().filter(|word| is_month(word)).count();
    n_months == 1
        && words.len() >= 2
        && words.iter().filter(|word| is_day_or_year(word)).count() + 1 == words.len()
}
