//! Products of small row-major matrices in f64; sums have a fixed order.

/// Partial sums a compiler can keep in vector registers.
const LANES: usize = 8;

/// Inner product.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (chunks_a, chunks_b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = chunks_a.remainder().iter().zip(chunks_b.remainder());
    let rest: f64 = rest.map(|(x, y)| x * y).sum();
    let mut lanes = [0.0; LANES];
    for (x, y) in chunks_a.zip(chunks_b) {
        (0..LANES).for_each(|i| lanes[i] += x[i] * y[i]);
    }
    lanes.iter().sum::<f64>() + rest
}

/// Frobenius norm.
pub(super) fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

/// `to += factor * from`.
pub(super) fn add(to: &mut [f64], factor: f64, from: &[f64]) {
    to.iter_mut().zip(from).for_each(|(t, f)| *t += factor * f);
}

/// A Bᵀ.
///
/// # Shapes
/// `a`: `[m, k]`, `b`: `[n, k]` → `[m, n]`.
pub(super) fn times_transpose(a: &[f64], b: &[f64], k: usize) -> Vec<f64> {
    let row = |x: &[f64]| b.chunks_exact(k).map(|y| dot(x, y)).collect::<Vec<_>>();
    a.chunks_exact(k).flat_map(row).collect()
}

/// A B.
///
/// # Shapes
/// `a`: `[m, k]`, `b`: `[k, n]` → `[m, n]`.
pub(super) fn times(a: &[f64], b: &[f64], n: usize) -> Vec<f64> {
    let k = b.len() / n;
    let mut out = vec![0.0; a.len() / k * n];
    for (x, row) in a.chunks_exact(k).zip(out.chunks_exact_mut(n)) {
        x.iter().zip(b.chunks_exact(n)).for_each(|(&factor, y)| add(row, factor, y));
    }
    out
}

/// Aᵀ B.
///
/// # Shapes
/// `a`: `[k, m]`, `b`: `[k, n]` → `[m, n]`.
pub(super) fn transpose_times(a: &[f64], b: &[f64], m: usize, n: usize) -> Vec<f64> {
    let mut out = vec![0.0; m * n];
    for (x, y) in a.chunks_exact(m).zip(b.chunks_exact(n)) {
        x.iter().zip(out.chunks_exact_mut(n)).for_each(|(&factor, row)| add(row, factor, y));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_products_agree_with_numbers_worked_by_hand() {
        let (a, b) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 0.0, 2.0, -1.0, 1.0, 0.0]);
        assert_eq!(times_transpose(&a, &b, 3), [7.0, 1.0, 16.0, 1.0]);
        assert_eq!(times(&a, &b, 2), [8.0, -2.0, 20.0, -5.0]);
        assert_eq!(transpose_times(&a, &b, 2, 2), [12.0, -3.0, 16.0, -4.0]);
        let long: Vec<f64> = (0..19).map(f64::from).collect();
        assert_eq!(dot(&long, &long), (0..19).map(|i| f64::from(i * i)).sum::<f64>());
    }
}
