//! Small forms of vectors: two-byte reals, whole numbers of one byte, signs. A search by them proposes rows, which the
//! exact vectors then put in order.

use std::path::Path;

use half::f16;
use polytask_core::{Result, atomic};
use serde::{Deserialize, Serialize};

use super::kernels::{differing, dot, dot_half, dot_int8};
use super::numbers::StoredNumbers;

/// How vectors are kept for searching.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VectorStore {
    /// As they are: four bytes per number.
    #[default]
    F32,
    /// Two bytes per number.
    F16,
    /// A byte per number and a factor per row.
    Int8,
    /// A bit per number: its sign.
    Bit,
}

impl VectorStore {
    /// All of them, largest first.
    pub const ALL: [Self; 4] = [Self::F32, Self::F16, Self::Int8, Self::Bit];

    /// Its name in commands and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Int8 => "int8",
            Self::Bit => "bit",
        }
    }

    /// How many rows are proposed for each that is wanted.
    pub(super) fn proposals(self) -> usize {
        match self {
            Self::F32 => 1,
            Self::F16 => 2,
            Self::Int8 => 4,
            Self::Bit => 30,
        }
    }
}

/// Rows in a small form.
#[derive(Debug, Clone)]
pub(super) enum Codes {
    F32,
    F16(StoredNumbers<u16>),
    Int8 { rows: StoredNumbers<i8>, factors: StoredNumbers<f32> },
    Bit(StoredNumbers<u64>),
}

/// A query in the form of the rows it is held against.
#[derive(Debug, Default)]
pub(super) struct CodedQuery {
    whole: Vec<i8>,
    bits: Vec<u64>,
}

impl Codes {
    pub(super) fn new(store: VectorStore) -> Self {
        match store {
            VectorStore::F32 => Self::F32,
            VectorStore::F16 => Self::F16(StoredNumbers::default()),
            VectorStore::Int8 => {
                Self::Int8 { rows: StoredNumbers::default(), factors: StoredNumbers::default() }
            }
            VectorStore::Bit => Self::Bit(StoredNumbers::default()),
        }
    }

    pub(super) fn store(&self) -> VectorStore {
        match self {
            Self::F32 => VectorStore::F32,
            Self::F16(_) => VectorStore::F16,
            Self::Int8 { .. } => VectorStore::Int8,
            Self::Bit(_) => VectorStore::Bit,
        }
    }

    /// Files and what they hold, as bytes.
    fn files(&self) -> Vec<(&'static str, &[u8])> {
        match self {
            Self::F32 => Vec::new(),
            Self::F16(rows) => vec![("vectors.f16", bytemuck::cast_slice(rows))],
            Self::Int8 { rows, factors } => {
                vec![
                    ("vectors.int8", bytemuck::cast_slice(rows)),
                    ("factors.f32", bytemuck::cast_slice(factors)),
                ]
            }
            Self::Bit(rows) => vec![("vectors.bit", bytemuck::cast_slice(rows))],
        }
    }

    pub(super) fn save(&self, folder: &Path) -> Result<()> {
        self.files().into_iter().try_for_each(|(name, bytes)| atomic::write(&folder.join(name), bytes))
    }

    pub(super) fn open(folder: &Path, store: VectorStore) -> Result<Self> {
        Ok(match store {
            VectorStore::F32 => Self::F32,
            VectorStore::F16 => Self::F16(StoredNumbers::open(&folder.join("vectors.f16"))?),
            VectorStore::Int8 => Self::Int8 {
                rows: StoredNumbers::open(&folder.join("vectors.int8"))?,
                factors: StoredNumbers::open(&folder.join("factors.f32"))?,
            },
            VectorStore::Bit => Self::Bit(StoredNumbers::open(&folder.join("vectors.bit"))?),
        })
    }

    /// Number of values there must be for some rows, in each file.
    pub(super) fn fits(&self, n_rows: usize, width: usize) -> bool {
        match self {
            Self::F32 => true,
            Self::F16(rows) => rows.len() == n_rows * width,
            Self::Int8 { rows, factors } => rows.len() == n_rows * width && factors.len() == n_rows,
            Self::Bit(rows) => rows.len() == n_rows * width.div_ceil(64),
        }
    }

    /// Adds rows of `width` values.
    pub(super) fn add(&mut self, vectors: &[f32], width: usize) {
        match self {
            Self::F32 => {}
            Self::F16(rows) => rows.to_mut().extend(vectors.iter().map(|v| f16::from_f32(*v).to_bits())),
            Self::Int8 { rows, factors } => {
                let (rows, factors) = (rows.to_mut(), factors.to_mut());
                vectors.chunks(width).for_each(|row| factors.push(whole_numbers(row, rows)));
            }
            Self::Bit(rows) => {
                let rows = rows.to_mut();
                vectors.chunks(width).for_each(|row| signs(row, rows));
            }
        }
    }

    /// Brings a query into the form of the rows.
    pub(super) fn code(&self, query: &[f32], coded: &mut CodedQuery) {
        coded.whole.clear();
        coded.bits.clear();
        match self {
            Self::Int8 { .. } => drop(whole_numbers(query, &mut coded.whole)),
            Self::Bit(_) => signs(query, &mut coded.bits),
            Self::F32 | Self::F16(_) => {}
        }
    }

    /// Scores of the rows from `first` on; their order is that of the inner products, about.
    #[inline(always)]
    #[allow(clippy::inline_always)] // compiled for each instruction set
    pub(super) fn score(
        &self,
        vectors: &[f32],
        (query, coded): (&[f32], &CodedQuery),
        first: usize,
        scores: &mut [f32],
    ) {
        let (width, words) = (query.len(), coded.bits.len());
        for (i, score) in (first..).zip(scores) {
            *score = match self {
                Self::F32 => dot(query, &vectors[i * width..][..width]),
                Self::F16(rows) => dot_half(query, &rows[i * width..][..width]),
                Self::Int8 { rows, factors } => {
                    dot_int8(&coded.whole, &rows[i * width..][..width]) as f32 * factors[i]
                }
                Self::Bit(rows) => -(differing(&coded.bits, &rows[i * words..][..words]) as f32),
            };
        }
    }
}

/// A row as whole numbers from -127 to 127, and the factor that brings them back.
fn whole_numbers(row: &[f32], to: &mut Vec<i8>) -> f32 {
    let largest = row.iter().fold(0.0_f32, |largest, v| largest.max(v.abs()));
    let scale = if largest > 0.0 { 127.0 / largest } else { 0.0 };
    to.extend(row.iter().map(|v| (v * scale).round() as i8));
    largest / 127.0
}

/// The signs of a row, 64 to a word.
fn signs(row: &[f32], to: &mut Vec<u64>) {
    let word =
        |values: &[f32]| (0..).zip(values).fold(0_u64, |word, (bit, v)| word | (u64::from(*v >= 0.0) << bit));
    to.extend(row.chunks(64).map(word));
}
