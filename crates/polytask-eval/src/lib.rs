//! Judgement of polytask: metrics, intervals, comparison with single-task models, report rendering.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod card;
pub mod caution;
pub mod conflict;
pub mod contrast;
pub mod delta;
mod geometry;
mod heads;
pub mod html;
pub mod interval;
pub mod judged;
pub mod labels;
pub mod metric;
pub mod mteb;
pub mod predictions;
pub mod saliency;
#[cfg(test)]
mod sample;
mod segments;
pub mod sharpness;
pub mod table;
pub mod trees;
pub mod words;

pub use card::ModelFacts;
pub use contrast::{Contrast, contrast};
pub use delta::{Comparison, OtherRun, Summary, TaskRun, compare, summarise, task_report};
pub use geometry::geometry_table;
pub use interval::{interval, paired};
pub use judged::{JudgedRows, RowsOf};
pub use metric::{METRICS, Metric, Unit, find, higher_is_better, infos, resampled, score};
pub use mteb::MtebRun;
pub use predictions::{Predictions, Ranking, n_examples};
pub use segments::segmentation_table;
pub use table::table;
pub use words::{Standing, verdict};
