//! Parameters as flat blocks: the unit of freezing, of optimiser state, of merging and of files.

use std::fmt::Debug;

/// The element types a trunk computes in: f32 for work, f64 for references.
pub trait Real:
    Copy + Debug + Default + PartialOrd + Send + Sync + candle_core::WithDType + num_like::Float + 'static
{
}
impl Real for f32 {}
impl Real for f64 {}

/// The arithmetic the kernels need of an element type.
pub mod num_like {
    use std::iter::Sum;
    use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

    /// Real arithmetic on f32 and f64.
    pub trait Float:
        Sized
        + Add<Output = Self>
        + Sub<Output = Self>
        + Mul<Output = Self>
        + Div<Output = Self>
        + Neg<Output = Self>
        + AddAssign
        + SubAssign
        + MulAssign
        + DivAssign
        + Sum
    {
        /// 0.
        const ZERO: Self;
        /// 1.
        const ONE: Self;
        /// The nearest value to an f64.
        fn of(x: f64) -> Self;
        /// As f64.
        fn f64(self) -> f64;
        /// Exponential.
        #[must_use]
        fn exp(self) -> Self;
        /// Square root.
        #[must_use]
        fn sqrt(self) -> Self;
        /// Hyperbolic tangent.
        #[must_use]
        fn tanh(self) -> Self;
        /// The larger of two.
        #[must_use]
        fn max(self, other: Self) -> Self;
    }

    macro_rules! float {
        ($t:ty) => {
            impl Float for $t {
                const ZERO: Self = 0.0;
                const ONE: Self = 1.0;
                #[inline]
                fn of(x: f64) -> Self {
                    x as $t
                }
                #[inline]
                fn f64(self) -> f64 {
                    self as f64
                }
                #[inline]
                fn exp(self) -> Self {
                    self.exp()
                }
                #[inline]
                fn sqrt(self) -> Self {
                    self.sqrt()
                }
                #[inline]
                fn tanh(self) -> Self {
                    self.tanh()
                }
                #[inline]
                fn max(self, other: Self) -> Self {
                    self.max(other)
                }
            }
        };
    }
    float!(f32);
    float!(f64);
}

/// A named tensor inside a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// Dotted name as in the weights file: `encoder.layer.0.attention.self.query.weight`.
    pub name: String,
    /// Its shape, row-major.
    pub shape: Vec<usize>,
    /// Where it starts in the block's values.
    pub offset: usize,
    /// Whether weight decay applies (matrices yes; biases and norms no).
    pub decays: bool,
}

impl TensorSpec {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its place in the block's values.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.len()
    }
}

/// Tensors that are frozen, stepped and sunk together, in one flat buffer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Block<T = f32> {
    /// Name as in `model.freeze`: `words`, `embeddings`, `layer.0`, …, `head.<task>`.
    pub name: String,
    /// The tensors, in the order of their offsets.
    pub tensors: Vec<TensorSpec>,
    /// All values.
    pub values: Vec<T>,
}

impl<T: Real> Block<T> {
    /// A block of zeros with tensors (name, shape, decays) laid out one after another.
    pub fn zeros(name: &str, tensors: &[(&str, &[usize], bool)]) -> Self {
        let mut offset = 0;
        let lay = |&(name, shape, decays): &(&str, &[usize], bool)| {
            let spec = TensorSpec { name: name.into(), shape: shape.to_vec(), offset, decays };
            offset += spec.len();
            spec
        };
        let tensors = tensors.iter().map(lay).collect();
        Self { name: name.into(), tensors, values: vec![T::ZERO; offset] }
    }

    /// The values of tensor `i`.
    pub fn tensor(&self, i: usize) -> &[T] {
        &self.values[self.tensors[i].range()]
    }

    /// The values of tensor `i`, to be changed.
    pub fn tensor_mut(&mut self, i: usize) -> &mut [T] {
        let range = self.tensors[i].range();
        &mut self.values[range]
    }

    /// The same block in another precision.
    pub fn cast<U: Real>(&self) -> Block<U> {
        let values = self.values.iter().map(|v| U::of(num_like::Float::f64(*v))).collect();
        Block { name: self.name.clone(), tensors: self.tensors.clone(), values }
    }
}

/// All parameters of a network, block by block.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Params<T = f32> {
    /// The blocks, lowest first.
    pub blocks: Vec<Block<T>>,
}

impl<T: Real> Params<T> {
    /// Number of values in all blocks.
    pub fn len(&self) -> usize {
        self.blocks.iter().map(|block| block.values.len()).sum()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Index of the block of this name.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.blocks.iter().position(|block| block.name == name)
    }

    /// The same parameters in another precision.
    pub fn cast<U: Real>(&self) -> Params<U> {
        Params { blocks: self.blocks.iter().map(Block::cast).collect() }
    }
}
