//! How well segments were found: windows that disagree (Pk, `WindowDiff`) and boundaries that were hit.

mod found;
mod scores;
mod windows;

pub use found::{BoundaryCounts, boundary_counts};
pub use scores::{Convention, DocumentScores, SegmentScores};
pub use windows::{WindowStyle, half_segment, pk, window_diff};

#[cfg(test)]
mod golden;
