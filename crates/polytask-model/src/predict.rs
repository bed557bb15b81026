//! What the heads of some tasks say about some rows, from one encoding of each distinct input.

use std::collections::BTreeMap;

use polytask_core::Problem;
use polytask_data::NO_TOKEN;
use polytask_nn::objective;
use polytask_nn::scores::Ragged;
use serde_json::{Value, json};

use crate::input::{Content, Distinct, Input, Read};
use crate::pass::{Pass, for_passes};
use crate::question::Question;
use crate::task::ModelTask;
use crate::{Model, Result};

/// The answers to some questions.
#[derive(Debug)]
pub struct Predicted {
    /// Of each question, an answer per row.
    pub answers: Vec<Vec<Value>>,
    /// Sequences that went through the encoder.
    pub encoded: usize,
}

/// A question whose inputs are numbered.
struct Numbered<'a> {
    task: &'a ModelTask,
    view: usize,
    /// Of each input of the kind, the content of every row, `[inputs][rows]`.
    contents: Vec<Vec<usize>>,
    /// Where words are tagged: the rows of each sequence.
    rows_of: Vec<Vec<usize>>,
}

impl Model {
    /// What the heads of some tasks say about some rows. Each distinct input is encoded once, whichever and however
    /// many tasks read it; `prompt` names one of the folder's prompts in the place of those its tasks were trained with,
    /// or else its default.
    ///
    /// # Errors
    /// When a task ranks a corpus, a row has another number of inputs than its kind, or the model reads other inputs.
    pub fn predict(&self, questions: &[Question<'_>], prompt: Option<&str>) -> Result<Predicted> {
        let (numbered, read) = self.numbered(questions, prompt)?;
        let (outputs, encoded) = self.outputs(&numbered, &read)?;
        let answers =
            numbered.iter().zip(outputs).map(|(question, outputs)| question.answers(&outputs, &read));
        Ok(Predicted { answers: answers.collect(), encoded })
    }

    /// What a task's head gives for each row, `[rows][outputs]`, before it is put into words: logits of labels, numbers on
    /// the scale the head learnt.
    ///
    /// # Errors
    /// As [`Model::predict`], and for a task that tags words.
    pub fn head_outputs(&self, question: &Question<'_>) -> Result<Vec<Vec<f32>>> {
        if question.task.kind.tags_words() {
            let what =
                format!("task `{}` tags words: a row has no outputs of its own", question.task.info.name);
            return Err(Problem::new(what).try_this("a task that answers rows").into());
        }
        let (numbered, read) = self.numbered(std::slice::from_ref(question), None)?;
        Ok(self.outputs(&numbered, &read)?.0.pop().unwrap_or_default())
    }

    /// Questions with their inputs numbered, and these as symbols.
    fn numbered<'q>(
        &self,
        questions: &'q [Question<'q>],
        prompt: Option<&str>,
    ) -> Result<(Vec<Numbered<'q>>, Read<'q>)> {
        questions.iter().try_for_each(check)?;
        let mut contents = Distinct::new();
        let mut numbered: Vec<Numbered<'_>> = questions
            .iter()
            .map(|question| {
                let view = self.view(Some(&question.task.info.name))?;
                Ok(Numbered::new(question, view, prompt.is_none(), &mut contents))
            })
            .collect::<Result<_>>()?;
        let read = Read::new(&self.symbols, contents.into_items(), self.prompt(prompt)?)?;
        numbered
            .iter_mut()
            .filter(|question| question.tags_words())
            .for_each(|question| question.place(&read));
        Ok((numbered, read))
    }

    /// The outputs of each question's head, of each row for tasks of sentences, of each tagged word for others; and how
    /// many sequences were encoded.
    fn outputs(&self, questions: &[Numbered<'_>], read: &Read<'_>) -> Result<(Vec<Vec<Vec<f32>>>, usize)> {
        let mut views: Vec<usize> = questions.iter().map(|question| question.view).collect();
        views.sort_unstable();
        views.dedup();
        let mut kept = Kept::new(self, questions, read.sequences.len());
        let mut outputs: Vec<Vec<Vec<f32>>> =
            questions.iter().map(|question| vec![Vec::new(); question.n_tagged()]).collect();
        let encoded = for_passes(self, &read.sequences, &views, |pass| {
            kept.take(self, pass);
            let tagged = questions.iter().zip(&mut outputs).filter(|(question, _)| question.tags_words());
            tagged.into_iter().try_for_each(|(question, outputs)| question.tag(pass, read, outputs))
        })?;
        for (question, outputs) in questions.iter().zip(&mut outputs) {
            if question.task.head.reads_states() {
                *outputs = question.of_states(&kept.states[&question.view], read)?;
            } else if question.reads_vectors() {
                *outputs = question.of_sentences(&kept.pooled[&question.view], kept.width, read)?;
            }
        }
        Ok((outputs, encoded))
    }
}

/// What heads read of all sequences, by view.
struct Kept {
    /// Vectors, `[sequences, width]`.
    pooled: BTreeMap<usize, Vec<f32>>,
    width: usize,
    /// States of all tokens of each sequence.
    states: BTreeMap<usize, Vec<Vec<f32>>>,
}

impl Kept {
    fn new(model: &Model, questions: &[Numbered<'_>], n_sequences: usize) -> Self {
        let width = model.encoder.pooling.width(&*model.encoder.trunk);
        let vectors = questions.iter().filter(|of| of.reads_vectors());
        let states = questions.iter().filter(|of| of.task.head.reads_states());
        Self {
            pooled: vectors.map(|of| (of.view, vec![0.0; n_sequences * width])).collect(),
            width,
            states: states.map(|of| (of.view, vec![Vec::new(); n_sequences])).collect(),
        }
    }

    fn take(&mut self, model: &Model, pass: &Pass<'_>) {
        let width = self.width;
        if !self.pooled.is_empty() {
            let vectors = model.encoder.pooling.forward(&pass.states, &pass.layout);
            for (&view, kept) in &mut self.pooled {
                for (i, &sequence) in pass.sequences.iter().enumerate() {
                    kept[sequence * width..][..width].copy_from_slice(vectors.row(pass.place(view, i)));
                }
            }
        }
        for (&view, kept) in &mut self.states {
            for (i, &sequence) in pass.sequences.iter().enumerate() {
                kept[sequence] = pass.states_of(view, i).to_vec();
            }
        }
    }
}

/// Refuses what no head can answer.
fn check(question: &Question<'_>) -> Result<()> {
    let Question { task, rows } = question;
    if !task.kind.answers_rows() {
        let what = format!("task `{}` ranks a corpus and has no prediction of its own", task.info.name);
        return Err(Problem::new(what).try_this("use `polytask search` for a retrieval task").into());
    }
    let n_inputs = task.kind.inputs.len();
    let Some(row) = rows.iter().find(|row| row.len() != n_inputs) else { return Ok(()) };
    let expected = task.kind.inputs.join(", ");
    let what = format!("task `{}` reads {n_inputs} inputs ({expected}), found {}", task.info.name, row.len());
    Err(Problem::new(what).try_this("the kind's inputs in order").into())
}

impl<'a> Numbered<'a> {
    fn new(
        question: &'a Question<'a>,
        view: usize,
        own_prompts: bool,
        contents: &mut Distinct<Content<'a>>,
    ) -> Self {
        let (task, rows) = (question.task, &question.rows);
        if task.kind.joins_texts() {
            let prompts = [0, 1].map(|i| task.prompt(task.kind.inputs[i]).filter(|_| own_prompts));
            let content = |row: &'a Vec<Input>| Content::joined([&row[0], &row[1]], prompts);
            let contents = vec![rows.iter().map(|row| contents.number(content(row))).collect()];
            return Self { task, view, contents, rows_of: Vec::new() };
        }
        let mut number = |input: usize| {
            let prompt = task.prompt(task.kind.inputs[input]).filter(|_| own_prompts);
            let content = |row: &'a Vec<Input>| Content::of(&row[input], task.reads_words()).after(prompt);
            rows.iter().map(|row| contents.number(content(row))).collect()
        };
        let contents = (0..task.kind.inputs.len()).map(&mut number).collect();
        Self { task, view, contents, rows_of: Vec::new() }
    }

    fn tags_words(&self) -> bool {
        self.task.kind.tags_words()
    }

    /// Whether its head reads a vector of each text.
    fn reads_vectors(&self) -> bool {
        !self.tags_words() && !self.task.head.reads_states()
    }

    /// Notes the rows of each sequence.
    fn place(&mut self, read: &Read<'_>) {
        self.rows_of = vec![Vec::new(); read.sequences.len()];
        for (row, &content) in self.contents[0].iter().enumerate() {
            self.rows_of[read.sequence_of[content]].push(row);
        }
    }

    /// Rows whose words are tagged.
    fn n_tagged(&self) -> usize {
        if self.tags_words() { self.contents[0].len() } else { 0 }
    }

    /// Outputs for each word of the rows whose sequences are in a pass.
    fn tag(&self, pass: &Pass<'_>, read: &Read<'_>, outputs: &mut [Vec<f32>]) -> Result<()> {
        let (mut z, mut tagged, width) = (Vec::new(), Vec::new(), pass.states.width);
        for (i, &sequence) in pass.sequences.iter().enumerate() {
            let first = pass.layout.rows(pass.place(self.view, i)).start;
            for &row in &self.rows_of[sequence] {
                let starts = read.encoded[self.contents[0][row]].starts.iter();
                let n = z.len();
                starts
                    .filter(|start| **start != NO_TOKEN)
                    .for_each(|&start| z.extend_from_slice(pass.states.row(first + start as usize)));
                tagged.push((row, (z.len() - n) / width.max(1)));
            }
        }
        let inputs = [(0..(z.len() / width.max(1)) as u32).collect()];
        let output = objective::output(&*self.task.head, &self.task.block, &z, width, &inputs)?;
        let mut rest = &output[..];
        for (row, n_words) in tagged {
            let (own, later) = rest.split_at(n_words * self.task.info.n_outputs);
            outputs[row] = own.to_vec();
            rest = later;
        }
        Ok(())
    }

    /// Outputs of each row from pooled vectors, `[sequences, width]`.
    fn of_sentences(&self, vectors: &[f32], width: usize, read: &Read<'_>) -> Result<Vec<Vec<f32>>> {
        let inputs = self.sequences(read);
        Ok(self.rows(&objective::output(&*self.task.head, &self.task.block, vectors, width, &inputs)?))
    }

    /// Outputs of each row from the states of all tokens of each sequence.
    fn of_states(&self, states: &[Vec<f32>], read: &Read<'_>) -> Result<Vec<Vec<f32>>> {
        let mut texts = Ragged::new(self.task.head.d_in());
        states.iter().for_each(|text| texts.push(text));
        let inputs = self.sequences(read);
        Ok(self.rows(&objective::text_output(&*self.task.head, &self.task.block, &texts.rows(), &inputs)?))
    }

    /// The sequence that each input of each row is, `[inputs][rows]`.
    fn sequences(&self, read: &Read<'_>) -> Vec<Vec<u32>> {
        let of_input =
            |rows: &Vec<usize>| rows.iter().map(|&content| read.sequence_of[content] as u32).collect();
        self.contents.iter().map(of_input).collect()
    }

    fn rows(&self, output: &[f32]) -> Vec<Vec<f32>> {
        output.chunks(self.task.info.n_outputs.max(1)).map(<[f32]>::to_vec).collect()
    }

    /// The outputs in words and in the units of the targets.
    fn answers(&self, outputs: &[Vec<f32>], read: &Read<'_>) -> Vec<Value> {
        if !self.tags_words() {
            return outputs.iter().map(|scores| self.task.read(scores)).collect();
        }
        let rows = self.contents[0].iter().zip(outputs);
        rows.map(|(&content, scores)| {
            self.tags(&read.contents[content], &read.encoded[content].starts, scores)
        })
        .collect()
    }

    /// A tag per word; words beyond the length limit get none.
    fn tags(&self, content: &Content<'_>, starts: &[u32], scores: &[f32]) -> Value {
        let mut scores = scores.chunks(self.task.info.n_outputs.max(1));
        let mut tag = |start: &u32| match *start {
            NO_TOKEN => Value::Null,
            _ => scores.next().map_or(Value::Null, |scores| self.task.read(scores)),
        };
        let tags: Vec<Value> = starts.iter().map(&mut tag).collect();
        let words: &[&str] = if let Content::Words(words) = content { words } else { &[] };
        json!({ "words": words, "tags": tags })
    }
}
