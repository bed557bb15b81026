//! Late interaction: what vectors and words found, ranked by the states of all tokens.

use std::collections::HashSet;

use polytask_core::Problem;
use polytask_nn::scores::{Ragged, all_pairs, pieces};

use crate::fuse::Found;
use crate::index::OpenIndex;
use crate::vectors::RowSet;

/// Numbers of token states in memory at once: 64 MiB.
const VALUES: usize = 1 << 24;

impl OpenIndex {
    /// Adds all rows that may be found and are not there yet.
    pub(crate) fn add_all(&self, found: &mut Vec<Found>, among: Option<&[RowSet]>) {
        let there: HashSet<(u32, u32)> = found.iter().map(|found| found.place).collect();
        for (number, segment) in (0_u32..).zip(&self.segments) {
            let rows = among.map(|among| &among[number as usize]).or(segment.alive.as_ref());
            let rows = (0..segment.n_rows()).filter(|row| rows.is_none_or(|rows| rows.has(*row)));
            let new = rows.map(|row| (number, row as u32)).filter(|place| !there.contains(place));
            found.extend(new.map(|place| Found { place, score: 0.0, dense: None, bm25: None }));
        }
    }

    /// Puts what was found for a query in the order of its token score, of equal ones as they were.
    ///
    /// # Errors
    /// When the index keeps no token states, or the query's have another width.
    pub(crate) fn rank_by_tokens(
        &self,
        found: &mut [Found],
        queries: &Ragged,
        query: usize,
    ) -> polytask_model::Result<()> {
        let stamp = self.manifest.encoder.tokens.as_ref().filter(|stamp| stamp.width == queries.width);
        let Some((stamp, scoring)) = stamp.and_then(|of| Some((of, of.score.scoring().transpose()?))) else {
            let what = format!("index {} keeps no token states of this width", self.folder().display());
            return Err(Problem::new(what)
                .try_this("`polytask index build` with the model that asks")
                .into());
        };
        let (scoring, mut asked) = (scoring?, Ragged::new(stamp.width));
        asked.push(queries.text(query));
        let states = |found: &Found| self.segments[found.place.0 as usize].tokens.as_ref();
        let sizes =
            found.iter().map(|of| states(of).map_or(0, |of_row| of_row.n_values(of.place.1 as usize)));
        for piece in pieces(sizes.collect::<Vec<_>>(), VALUES) {
            let mut passages = Ragged::new(stamp.width);
            for found in &found[piece.clone()] {
                if let Some(states) = states(found) {
                    states.push_to(found.place.1 as usize, &mut passages);
                }
            }
            let scores: Vec<f32> = all_pairs(&*scoring, &asked.rows(), &passages.rows())?;
            found[piece].iter_mut().zip(scores).for_each(|(found, score)| found.score = score);
        }
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        Ok(())
    }
}
