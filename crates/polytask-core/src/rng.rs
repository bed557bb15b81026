//! Random numbers as a pure function of (seed, purpose, step, layer, row).
//!
//! `SplitMix64` (Steele, Lea, Flood 2014) is counter-based: its i-th value is a hash of key + i·γ. Every use
//! derives its own key, so a resumed run, a repeated pass and any thread count draw the same numbers.

/// The odd constant of `SplitMix64`, 2⁶⁴ divided by the golden ratio.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finaliser of `SplitMix64`: a bijection in which every input bit reaches every output bit.
#[inline]
pub const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What the numbers are for; two purposes never share a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// Initial weights.
    Init = 1,
    /// Order of examples in an epoch.
    Shuffle = 2,
    /// Which task or source comes next.
    Sampling = 3,
    /// Dropout masks.
    Dropout = 4,
    /// Draws of a weighting or aggregator.
    Method = 5,
    /// Resampling for intervals.
    Bootstrap = 6,
    /// Which rows become the valid split.
    Split = 7,
    /// Choice among several positives or negatives.
    Pick = 8,
    /// Inputs of benchmarks and tests.
    Bench = 9,
    /// Branching decisions of routed networks.
    Route = 10,
    /// Which entries of a task vector are dropped in a merge.
    Drop = 11,
}

/// A stream of random numbers with its own key.
#[derive(Debug, Clone)]
pub struct Rng {
    key: u64,
    count: u64,
}

/// The key of a stream: `seed`, then `purpose`, then any coordinates (step, layer, row).
#[inline]
pub fn key(seed: u64, purpose: Purpose, coordinates: &[u64]) -> u64 {
    let start = mix(seed.wrapping_add(GAMMA)) ^ mix((purpose as u64).wrapping_mul(GAMMA));
    coordinates.iter().fold(mix(start), |k, &c| mix(k ^ mix(c.wrapping_add(GAMMA))))
}

/// The `i`-th value of the stream with this key, without keeping a state.
#[inline]
pub const fn at(key: u64, i: u64) -> u64 {
    mix(key.wrapping_add((i.wrapping_add(1)).wrapping_mul(GAMMA)))
}

impl Rng {
    /// The stream of (seed, purpose, coordinates).
    pub fn new(seed: u64, purpose: Purpose, coordinates: &[u64]) -> Self {
        Self { key: key(seed, purpose, coordinates), count: 0 }
    }

    /// The next 64 bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        let value = at(self.key, self.count);
        self.count += 1;
        value
    }

    /// A real in [0, 1) with 53 random bits.
    #[inline]
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// An integer in 0..n without modulo bias beyond 2⁻⁶⁴.
    #[inline]
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next_u64()) * n as u128) >> 64) as usize
    }

    /// A draw of the standard normal distribution (Box–Muller).
    pub fn normal(&mut self) -> f64 {
        let (u, v) = (1.0 - self.uniform(), self.uniform());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }

    /// A shuffle in place (Fisher–Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_the_published_generator() {
        // First outputs of Vigna's splitmix64.c with state 0.
        let published = [0xe220_a839_7b1d_cdaf_u64, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f];
        for (i, value) in published.into_iter().enumerate() {
            assert_eq!(at(0, i as u64), value);
        }
    }

    #[test]
    fn streams_of_different_purposes_or_coordinates_differ() {
        let keys = [
            key(1, Purpose::Init, &[]),
            key(1, Purpose::Dropout, &[]),
            key(2, Purpose::Init, &[]),
            key(1, Purpose::Init, &[0]),
            key(1, Purpose::Init, &[0, 1]),
            key(1, Purpose::Init, &[1, 0]),
        ];
        for (i, a) in keys.iter().enumerate() {
            assert!(keys[i + 1..].iter().all(|b| a != b));
        }
    }

    #[test]
    fn uniform_and_normal_have_their_moments() {
        let mut rng = Rng::new(3, Purpose::Bench, &[]);
        let n = 200_000;
        let uniforms: Vec<f64> = (0..n).map(|_| rng.uniform()).collect();
        let normals: Vec<f64> = (0..n).map(|_| rng.normal()).collect();
        let mean = |v: &[f64]| v.iter().sum::<f64>() / n as f64;
        let square = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>() / n as f64;
        assert!((mean(&uniforms) - 0.5).abs() < 0.005);
        assert!((square(&uniforms) - 1.0 / 3.0).abs() < 0.005);
        assert!(mean(&normals).abs() < 0.01);
        assert!((square(&normals) - 1.0).abs() < 0.02);
    }
}
