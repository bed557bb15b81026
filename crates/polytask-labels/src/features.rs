//! What a frozen encoder says of texts: a unit vector each, and the states of their tokens where a head reads them.

/// Shortest vector that is brought to length 1.
const SHORTEST: f32 = 1e-12;

/// Vectors and token states of some texts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Features {
    /// Unit vectors, `[texts, d_vector]`.
    pub vectors: Vec<f32>,
    /// Values per vector.
    pub d_vector: usize,
    /// States of all tokens, `[tokens, d_state]`; empty where no head reads them.
    pub states: Vec<f32>,
    /// First token of each text, and the number of all tokens.
    pub starts: Vec<u32>,
    /// Values per state.
    pub d_state: usize,
}

impl Features {
    /// Number of texts.
    pub fn len(&self) -> usize {
        self.vectors.len().checked_div(self.d_vector).unwrap_or(0)
    }

    /// Whether there are no texts.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The vector of a text.
    pub fn vector(&self, text: usize) -> &[f32] {
        &self.vectors[text * self.d_vector..(text + 1) * self.d_vector]
    }

    /// The states of a text's tokens.
    pub fn states_of(&self, text: usize) -> &[f32] {
        &self.states[self.starts[text] as usize * self.d_state..self.starts[text + 1] as usize * self.d_state]
    }

    /// Some of the texts, in this order.
    #[must_use]
    pub fn pick(&self, texts: &[usize]) -> Self {
        let mut picked = Self { vectors: Vec::new(), states: Vec::new(), starts: vec![0], ..*self };
        texts.iter().for_each(|&text| picked.push(self, text));
        picked
    }

    /// These texts, then others.
    #[must_use]
    pub fn with(&self, others: &Self) -> Self {
        let mut all = self.clone();
        (0..others.len()).for_each(|text| all.push(others, text));
        all
    }

    fn push(&mut self, of: &Self, text: usize) {
        self.vectors.extend_from_slice(of.vector(text));
        let has_states = !of.states.is_empty();
        if has_states {
            self.states.extend_from_slice(of.states_of(text));
        }
        self.starts.push((self.states.len().checked_div(self.d_state).unwrap_or(0)) as u32);
    }
}

/// Brings a vector to length 1.
pub(crate) fn to_unit(vector: &mut [f32]) {
    let norm = vector.iter().map(|v| v * v).sum::<f32>().sqrt().max(SHORTEST);
    vector.iter_mut().for_each(|v| *v /= norm);
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Texts of one token each, whose state is their vector.
    pub(crate) fn single(rows: &[&[f32]]) -> Features {
        let width = rows[0].len();
        let mut vectors = rows.concat();
        vectors.chunks_mut(width).for_each(to_unit);
        let starts = (0..=rows.len() as u32).collect();
        Features { vectors, d_vector: width, states: rows.concat(), starts, d_state: width }
    }

    #[test]
    fn texts_keep_their_tokens_however_they_are_picked() {
        let mut all = single(&[&[3.0, 4.0], &[0.0, 2.0], &[1.0, 0.0]]);
        all.starts = vec![0, 1, 1, 3];
        let picked = all.pick(&[2, 0]);
        assert_eq!(picked.vectors, [1.0, 0.0, 0.6, 0.8]);
        assert_eq!((picked.states_of(0), picked.states_of(1)), (&[0.0, 2.0, 1.0, 0.0][..], &[3.0, 4.0][..]));
        let both = all.with(&picked);
        assert_eq!((both.len(), both.states_of(4)), (5, &[3.0, 4.0][..]));
    }

    #[test]
    fn the_zero_vector_stays_itself() {
        let mut zero = [0.0, 0.0];
        to_unit(&mut zero);
        assert_eq!(zero, [0.0, 0.0]);
    }
}
