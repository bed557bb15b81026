//! Documents in the files of earlier work.

mod choi;
mod labelled;

pub use choi::read_choi;
pub use labelled::read_labelled;
