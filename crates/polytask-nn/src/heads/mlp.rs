//! A hidden layer, then a linear map: with ReLU the head for vectors no layer above has shaped yet, with tanh the pooler of
//! BERT and its classifier.

use candle_core::Tensor;
use polytask_core::{Purpose, Rng, hash};

use super::{Head, HeadRows, INIT_STD, Pairing, affine, shape};
use crate::{Block, Result};

/// `W₂ f(W₁ x + b₁) + b₂`, where f is ReLU or tanh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mlp {
    /// Values per leaf row.
    pub d_in: usize,
    /// Width of the hidden layer.
    pub hidden: usize,
    /// Outputs per row.
    pub n_outputs: usize,
    /// Whether the hidden layer has tanh in the place of ReLU.
    pub is_tanh: bool,
}

impl Head for Mlp {
    fn n_inputs(&self) -> usize {
        1
    }

    fn d_in(&self) -> usize {
        self.d_in
    }

    fn n_outputs(&self) -> usize {
        self.n_outputs
    }

    fn shapes(&self) -> Vec<Vec<usize>> {
        vec![
            vec![self.hidden, self.d_in],
            vec![self.hidden],
            vec![self.n_outputs, self.hidden],
            vec![self.n_outputs],
        ]
    }

    fn block(&self, name: &str, seed: u64) -> Block {
        let names = ["hidden.weight", "hidden.bias", "weight", "bias"];
        let shapes = self.shapes();
        let tensors: Vec<(&str, &[usize], bool)> = names
            .iter()
            .zip(&shapes)
            .map(|(name, shape)| (*name, shape.as_slice(), shape.len() > 1))
            .collect();
        let mut block = Block::zeros(name, &tensors);
        let mut rng = Rng::new(seed, Purpose::Init, &[hash::text64(name)]);
        // The hidden layer as He et al. (2015) start one under a ReLU, the outputs as a linear head.
        let hidden = if self.is_tanh { INIT_STD } else { (2.0 / self.d_in.max(1) as f64).sqrt() };
        for (tensor, std) in [(0, hidden), (2, INIT_STD)] {
            block.tensor_mut(tensor).fill_with(|| (std * rng.normal()) as f32);
        }
        block
    }

    fn output(&self, weights: &[Tensor], inputs: &[HeadRows], _pairing: Pairing) -> Result<Tensor> {
        match (inputs, weights.len()) {
            ([x], 4) if self.is_tanh => affine(&affine(x, &weights[..2])?.tanh()?, &weights[2..]),
            ([x], 4) => affine(&affine(x, &weights[..2])?.relu()?, &weights[2..]),
            _ => Err(shape("mlp head", &format!("{} inputs", inputs.len()), "1 input and 4 tensors")),
        }
    }

    /// Which hidden values are cut is a constant of the graph, as in a double backward.
    fn jvp(
        &self,
        weights: &[Tensor],
        inputs: &[HeadRows],
        directions: &[HeadRows],
        _pairing: Pairing,
    ) -> Result<Tensor> {
        let ([x], [dx], [first, _, second, _]) = (inputs, directions, weights) else {
            return Err(shape("mlp head", &format!("{} directions", directions.len()), "1 direction"));
        };
        if self.is_tanh {
            let slope = (1.0 - affine(x, &weights[..2])?.tanh()?.sqr()?)?; // [rows, hidden]
            return Ok((dx.matmul(&first.t()?)? * slope)?.matmul(&second.t()?)?);
        }
        let hidden = affine(x, &weights[..2])?.detach();
        let passes = hidden.ge(0.0)?.to_dtype(x.dtype())?; // [rows, hidden]
        let d_hidden = (dx.matmul(&first.t()?)? * passes)?;
        Ok(d_hidden.matmul(&second.t()?)?)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn at_a_kink_the_slope_is_that_of_the_backward() {
        let tensor =
            |values: &[f64], shape: &[usize]| Tensor::from_slice(values, shape, &Device::Cpu).unwrap();
        let head = Mlp { d_in: 2, hidden: 2, n_outputs: 1, is_tanh: false };
        let weights = [
            tensor(&[1.0, 2.0, -3.0, 0.5], &[2, 2]),
            tensor(&[0.0, 0.0], &[2]),
            tensor(&[0.7, -1.1], &[1, 2]),
            tensor(&[0.0], &[1]),
        ];
        // An image without anything in it: every hidden value lies at the kink.
        let x = Var::from_tensor(&tensor(&[0.0, 0.0], &[1, 2])).unwrap();
        let output =
            head.output(&weights, &[HeadRows::single(x.as_tensor().clone())], Pairing::Rows).unwrap();
        let store = output.sum_all().unwrap().backward().unwrap();
        let slope = store.get(x.as_tensor()).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
        for direction in [[1.0, 0.0], [0.0, 1.0]] {
            let moved = [HeadRows::single(tensor(&direction, &[1, 2]))];
            let jvp = head
                .jvp(&weights, &[HeadRows::single(x.as_tensor().clone())], &moved, Pairing::Rows)
                .unwrap();
            let found = jvp.sum_all().unwrap().to_scalar::<f64>().unwrap();
            let expected: f64 = slope.iter().zip(direction).map(|(s, d)| s * d).sum();
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }
}
