//! A trained model: the folder it lies in ([`Model::load`], [`Model::save`]), sentence vectors ([`Model::embed`]) and
//! what its heads say ([`Model::predict`]).
//!
//! Every distinct input is encoded once per call, however many tasks read it (what the tasks of a shared encoder have of
//! their own is computed for each). Nothing here trains: whoever serves,
//! merges or indexes a model needs this crate and no trainer.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod classifier;
mod embed;
mod encode;
mod fingerprint;
mod folder;
mod info;
mod input;
mod model;
mod pair_search;
mod pass;
mod predict;
mod prompts;
mod question;
mod rank;
mod reading;
mod search;
mod segment;
mod symbols;
mod task;

pub use encode::EncodedText;
pub use folder::{tasks_in, write_tasks};
pub use info::TaskInfo;
pub use input::Input;
pub use model::Model;
pub use pair_search::PairSearch;
pub use pass::by_length;
pub use polytask_nn::{Error, Result};
pub use predict::Predicted;
pub use question::Question;
pub use reading::{InputReading, InputRow};
pub use search::{SearchOptions, search};
pub use segment::{
    Combine, FoundSegment, PlaceScores, SegmentMethod, Segmenter, SegmenterInfo, TrainedOn, Tuned,
    choose_segmenter, judge, read_segmenters, tuned, write_segmenters,
};
pub use symbols::{images_read_by, symbols_of};
pub use task::ModelTask;
