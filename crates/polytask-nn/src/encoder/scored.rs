//! Heads on an encoder: on its vectors, or on its states where texts are scored by them.

use std::sync::Arc;

use polytask_core::HeadForm;

use super::Encoder;
use crate::Result;
use crate::heads::{self, Head, HeadOptions};
use crate::scores::{ScoredBy, TokenScoring};

impl Encoder {
    /// A head on its vectors, or on its states where words are tagged or texts are scored by them.
    pub fn head(&self, form: HeadForm, n_outputs: usize, options: HeadOptions) -> Box<dyn Head> {
        let d_in = if form.reads_states(options.scoring.is_some()) {
            self.trunk.d_hidden()
        } else {
            self.pooling.width(&*self.trunk)
        };
        heads::build_with(form, d_in, n_outputs, options)
    }

    /// The score of its token states; `None` where vectors are compared.
    ///
    /// # Errors
    /// A score that is none.
    pub fn scoring(&self) -> Result<Option<Arc<dyn TokenScoring>>> {
        self.score.as_ref().map_or(Ok(None), ScoredBy::scoring)
    }
}
