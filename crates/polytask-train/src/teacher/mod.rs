//! Teachers: what other models say of the rows of train, in the terms of the student's outputs.
//!
//! A teacher reads the texts as they are in the files, by its own tokenizer, once: its outputs are kept in the cache by its
//! weights and by the row (`store`), so that another run, more rows or a killed run ask for what is missing only.

mod folds;
mod store;
mod translate;

use std::path::Path;

use polytask_core::suite::{TaskSpec, TeacherSpec};
use polytask_core::{Problem, Split, Suite, hash, length, near};
use polytask_data::{Dataset, TeacherOutputs};
use polytask_model::{Input, Model, ModelTask, Question};

use crate::Result;
use crate::observe::{Event, Observer};
pub use folds::{folds_of, hide_fold};
use store::Store;
use translate::{Student, fits};

/// Rows a teacher is asked about at a time; what it says is on the disk then.
const ROWS: usize = 512;

/// Asks the teachers of all tasks about the rows of train.
pub(crate) fn teach(suite: &Suite, dataset: &mut Dataset, observer: &mut dyn Observer) -> Result<()> {
    for (t, task) in suite.tasks.iter().enumerate() {
        if let Some(teacher) = &task.teacher {
            let taught = taught(suite, dataset, (t, task, teacher), observer)?;
            dataset.tasks[t].taught = Some(taught);
        }
    }
    // The texts are needed no more.
    for source in &mut dataset.sources {
        source.splits.values_mut().for_each(|rows| rows.raw = Vec::new());
    }
    Ok(())
}

/// The mean of what all teachers of a task say; of those by folds, of each row what the one says that has not seen it.
fn taught(
    suite: &Suite,
    dataset: &mut Dataset,
    (t, task, teacher): (usize, &TaskSpec, &TeacherSpec),
    observer: &mut dyn Observer,
) -> Result<TeacherOutputs> {
    let mut sum: Option<TeacherOutputs> = None;
    let folds = teacher.out_of_fold.then(|| folds_of(dataset, t, teacher.model.len()));
    for (k, named) in teacher.model.iter().enumerate() {
        let folder = folder_of(&suite.path(named));
        let weights = weights_of(&folder)?;
        dataset.files.insert(named.display().to_string(), weights.clone());
        let is_asked = |row: usize| folds.as_ref().is_none_or(|folds| folds[row] == k);
        let own = one(dataset, (t, task, teacher), (&folder, &weights), &is_asked, observer)?;
        match &mut sum {
            None => sum = Some(own),
            Some(all) => add(all, &own, folds.as_ref().map(|_| &is_asked as &dyn Fn(usize) -> bool)),
        }
    }
    let mut mean = sum.unwrap_or_default();
    let n = if teacher.out_of_fold { 1 } else { teacher.model.len() };
    mean.values.iter_mut().for_each(|value| *value /= n as f32);
    Ok(mean)
}

/// Adds what one more teacher says of all rows; of its fold's rows, which nobody else has answered, it is taken over.
fn add(all: &mut TeacherOutputs, own: &TeacherOutputs, fold: Option<&dyn Fn(usize) -> bool>) {
    let width = all.width.max(1);
    let rows = all.values.chunks_mut(width).zip(own.values.chunks(width)).enumerate();
    for (row, (sum, own)) in rows {
        match fold {
            None => sum.iter_mut().zip(own).for_each(|(sum, own)| *sum += own),
            Some(is_its) if is_its(row) => sum.copy_from_slice(own),
            Some(_) => {}
        }
    }
}

/// What one teacher says.
fn one(
    dataset: &Dataset,
    (t, task, teacher): (usize, &TaskSpec, &TeacherSpec),
    (folder, weights): (&Path, &str),
    is_asked: &dyn Fn(usize) -> bool,
    observer: &mut dyn Observer,
) -> Result<TeacherOutputs> {
    let model = Model::load(folder)?;
    let student = Student { kind: task.kind, data: &dataset.tasks[t] };
    let asked = chosen(&model, task, teacher, folder)?;
    student.check(asked, &task.name)?;
    let rows = rows_of(dataset, (t, task));
    let mut store = Store::open(weights, &asked.info.name, asked.info.n_outputs)?;
    let mut missing = store.missing(&rows);
    missing.retain(|&row| is_asked(row));
    let n_asked = (0..rows.len()).filter(|&row| is_asked(row)).count();
    tell(task, folder, (n_asked, missing.len()), observer);
    for (done, part) in missing.chunks(ROWS).enumerate() {
        let inputs = part.iter().map(|&i| rows[i].iter().map(|text| Input::from(*text)).collect()).collect();
        let outputs = model.head_outputs(&Question { task: asked, rows: inputs })?;
        store.append(part.iter().map(|&i| &rows[i]).zip(&outputs))?;
        let done = ((done + 1) * ROWS).min(missing.len()) as u64;
        observer.event(Event::Step { done, losses: &[], lr: 0.0, tokens: 0, observed: &[] });
    }
    if !missing.is_empty() {
        observer.event(Event::Done);
    }
    let answer = |(i, row): (usize, &Vec<&str>)| is_asked(i).then(|| store.get(row)).flatten();
    Ok(student.outputs(asked, rows.iter().enumerate().map(answer)))
}

fn tell(task: &TaskSpec, folder: &Path, (all, missing): (usize, usize), observer: &mut dyn Observer) {
    let kept = all - missing;
    observer.event(Event::Note(&format!(
        "task {}: the teacher {} answers {all} rows of train ({kept} of them are in the cache)",
        task.name,
        folder.display()
    )));
    if missing > 0 {
        observer.event(Event::Phase { name: "teacher", total: missing as u64, done: 0 });
    }
}

/// The texts of each row of train.
fn rows_of<'a>(dataset: &'a Dataset, (t, task): (usize, &TaskSpec)) -> Vec<Vec<&'a str>> {
    let n = task.kind.inputs.len();
    let rows = dataset.rows(t, Split::Train);
    rows.map_or(&[][..], |rows| &rows.raw)
        .chunks(n)
        .map(|row| row.iter().map(String::as_str).collect())
        .collect()
}

/// The model of a run, or the folder itself.
fn folder_of(named: &Path) -> std::path::PathBuf {
    let inside = named.join("model");
    if !length::is_encoder_folder(named) && inside.is_dir() { inside } else { named.to_path_buf() }
}

/// SHA-256 of all that decides what a model says: the files of its folder.
fn weights_of(folder: &Path) -> Result<String> {
    let mut sums = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for name in polytask_core::suite::names_in(&folder) {
            let path = folder.join(&name);
            if path.is_dir() {
                folders.push(path);
            } else if Path::new(&name).extension().is_none_or(|ext| ext != "md") {
                sums.push(format!("{} {}", path.display(), hash::sha256_file(&path)?));
            }
        }
    }
    let of_content = |sum: &String| sum.rsplit(' ').next().unwrap_or_default().to_owned();
    sums.sort_unstable();
    Ok(hash::sha256(sums.iter().map(of_content).collect::<Vec<_>>().join(" ").as_bytes()))
}

/// The task of a teacher that a task learns from.
fn chosen<'m>(
    model: &'m Model,
    task: &TaskSpec,
    teacher: &TeacherSpec,
    folder: &Path,
) -> Result<&'m ModelTask> {
    let name = teacher.task.as_ref().unwrap_or(&task.name);
    if let Some(found) = model.tasks.iter().find(|of| of.info.name == *name) {
        return Ok(found);
    }
    let fitting: Vec<&ModelTask> = model.tasks.iter().filter(|of| fits(of, task.kind)).collect();
    if let ([only], None) = (&fitting[..], &teacher.task) {
        return Ok(only);
    }
    let known: Vec<&str> = model.tasks.iter().map(|of| of.info.name.as_str()).collect();
    let what = format!(
        "the teacher {} of task `{}` has no task `{name}`, it has {}",
        folder.display(),
        task.name,
        if known.is_empty() { "none".into() } else { near::list(&known) }
    );
    Err(Problem::new(what).try_this("teacher = { model = ..., task = \"...\" }").into())
}
