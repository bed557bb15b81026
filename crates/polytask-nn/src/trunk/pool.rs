//! Buffers that come back: a step needs hundreds of megabytes of activations, and fresh pages from the operating
//! system cost 7–35 % of it. A [`Buf`] returns to its pool when dropped; the next step finds it warm.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// Free buffers, shared by all clones.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pool {
    free: Arc<Mutex<Vec<Vec<f32>>>>,
}

impl Pool {
    /// A buffer of `n` values whose contents are arbitrary: whoever takes it writes every value.
    pub(crate) fn take(&self, n: usize) -> Buf {
        let mut values = self.best(n);
        // A buffer keeps its largest length: filling what was used before would cost a pass over it.
        if values.len() < n {
            values.resize(n, 0.0);
        }
        Buf { values, len: n, pool: self.clone() }
    }

    /// A buffer of `n` zeros.
    pub(crate) fn zeros(&self, n: usize) -> Buf {
        let mut buf = self.take(n);
        buf.fill(0.0);
        buf
    }

    /// Values in free buffers.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.free.lock().unwrap().iter().map(Vec::capacity).sum()
    }

    /// A free buffer that holds `n` and at most twice as much; else the largest of those at least half as long gives
    /// way to a new one. A much longer one stays for the demand it was made for, and demands that grow or shrink step
    /// by step do not pile up buffers.
    fn best(&self, n: usize) -> Vec<f32> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let capacity = |i: &usize| free[*i].capacity();
        let fits = (0..free.len()).filter(|i| (n..=2 * n).contains(&capacity(i))).min_by_key(capacity);
        if let Some(i) = fits {
            return free.swap_remove(i);
        }
        let short = (0..free.len()).filter(|i| (n / 2..n).contains(&capacity(i))).max_by_key(capacity);
        if let Some(i) = short {
            free.swap_remove(i);
        }
        Vec::with_capacity(n)
    }
}

/// A buffer on loan from a [`Pool`].
#[derive(Debug)]
pub(crate) struct Buf {
    /// At least `len` of them.
    values: Vec<f32>,
    len: usize,
    pool: Pool,
}

impl Deref for Buf {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values[..self.len]
    }
}

impl DerefMut for Buf {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[..self.len]
    }
}

impl Drop for Buf {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.values);
        self.pool.free.lock().unwrap_or_else(PoisonError::into_inner).push(values);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_buffer_is_the_next_one_taken() {
        let pool = Pool::default();
        let first = pool.take(100).as_ptr();
        let second = pool.take(60);
        assert_eq!(second.as_ptr(), first);
        assert_eq!(second.len(), 60);
    }

    #[test]
    fn growing_demands_do_not_pile_up_buffers() {
        let pool = Pool::default();
        for n in 1..50 {
            assert!(pool.zeros(n * 1000).iter().all(|&v| v == 0.0));
        }
        assert_eq!(pool.free.lock().unwrap().len(), 1);
    }

    #[test]
    fn a_much_longer_buffer_waits_for_its_own_demand() {
        let pool = Pool::default();
        let long = pool.take(1000).as_ptr();
        let short = pool.take(100);
        assert_ne!(short.as_ptr(), long);
        assert_eq!(pool.take(900).as_ptr(), long);
    }
}
