//! Sentence vectors of a model.

use polytask_core::image::IMAGE;
use polytask_nn::States;
use polytask_nn::scores::Ragged;

use crate::input::{Content, Distinct, Read};
use crate::pass::for_passes;
use crate::{Model, Result};

impl Model {
    /// Sentence vectors of some texts (or files of images) as the folder defines them (a prompt before each, pooled,
    /// normalised), in order; as `task` sees them where each task has vectors of its own. `prompt` names one of the
    /// folder's prompts in the place of its default.
    ///
    /// # Shapes
    /// `[texts]` → `[texts, d_embedding]`.
    pub fn embed<S: AsRef<str>>(
        &self,
        inputs: &[S],
        task: Option<&str>,
        prompt: Option<&str>,
    ) -> Result<States> {
        Ok(self.embed_inputs(inputs, task, prompt, false)?.0)
    }

    /// The same, and the states of all tokens of each text, for models that compare these.
    ///
    /// # Errors
    /// As [`Model::embed`].
    pub fn embed_with_states<S: AsRef<str>>(
        &self,
        inputs: &[S],
        task: Option<&str>,
        prompt: Option<&str>,
    ) -> Result<(States, Ragged)> {
        self.embed_inputs(inputs, task, prompt, true)
    }

    fn embed_inputs<S: AsRef<str>>(
        &self,
        inputs: &[S],
        task: Option<&str>,
        prompt: Option<&str>,
        keeps_states: bool,
    ) -> Result<(States, Ragged)> {
        let (view, width) = (self.view(task)?, self.encoder.d_embedding());
        let mut contents = Distinct::new();
        let of_input: Vec<usize> =
            inputs.iter().map(|input| contents.number(self.content(input.as_ref()))).collect();
        let read = Read::new(&self.symbols, contents.into_items(), self.prompt(prompt)?)?;
        let mut vectors = vec![0.0; read.sequences.len() * width];
        let mut states = vec![Vec::new(); if keeps_states { read.sequences.len() } else { 0 }];
        for_passes(self, &read.sequences, &[view], |pass| {
            let finished = self.encoder.finish(self.encoder.pooling.forward(&pass.states, &pass.layout));
            for (i, &sequence) in pass.sequences.iter().enumerate() {
                vectors[sequence * width..][..width].copy_from_slice(finished.row(pass.place(view, i)));
                if keeps_states {
                    states[sequence] = pass.states_of(view, i).to_vec();
                }
            }
            Ok(())
        })?;
        let rows = of_input.iter().map(|&content| read.sequence_of[content]);
        let values =
            rows.clone().flat_map(|sequence| vectors[sequence * width..][..width].iter().copied()).collect();
        let mut ragged = Ragged::new(self.encoder.trunk.d_hidden());
        rows.filter(|_| keeps_states).for_each(|sequence| ragged.push(&states[sequence]));
        Ok((States { values, width }, ragged))
    }

    fn content<'a>(&self, input: &'a str) -> Content<'a> {
        if *self.input() == IMAGE { Content::Image(input) } else { Content::Text(input.into()) }
    }
}
