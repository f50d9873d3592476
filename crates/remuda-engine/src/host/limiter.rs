//! The memory cap of one instance.

use wasmtime::ResourceLimiter;

/// Bytes of one table element in the host: a pointer.
const TABLE_ELEMENT_BYTES: usize = size_of::<usize>();

/// Counts all memories and tables of a store together.
///
/// Invariant: `used` never exceeds `cap`; growth beyond it fails inside the guest.
pub(crate) struct Limiter {
    used: usize,
    cap: usize,
    refused: bool,
}

impl Limiter {
    /// A limiter that allows `cap` bytes.
    pub(crate) fn new(cap: u64) -> Self {
        Self { used: 0, cap: usize::try_from(cap).unwrap_or(usize::MAX), refused: false }
    }

    /// Whether the guest has been refused memory: what it died of, if it died.
    pub(crate) fn refused(&self) -> bool {
        self.refused
    }

    fn grow(&mut self, bytes: usize) -> bool {
        let fits = bytes <= self.cap - self.used;
        if fits {
            self.used += bytes;
        } else {
            self.refused = true;
        }
        fits
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current)))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let elements = desired.saturating_sub(current);
        Ok(self.grow(elements.saturating_mul(TABLE_ELEMENT_BYTES)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_and_tables_share_one_cap() {
        let mut limiter = Limiter::new(1000);
        assert!(limiter.memory_growing(0, 600, None).expect("no trap"));
        assert!(limiter.table_growing(0, 50, None).expect("no trap"));
        assert!(!limiter.refused());
        assert!(!limiter.memory_growing(600, 601, None).expect("no trap"));
        assert!(limiter.refused());
    }

    #[test]
    fn after_a_refusal_smaller_growth_still_fits() {
        let mut limiter = Limiter::new(1000);
        assert!(!limiter.memory_growing(0, 1001, None).expect("no trap"));
        assert!(limiter.memory_growing(0, 900, None).expect("no trap"));
        assert!(!limiter.memory_growing(900, 1800, None).expect("no trap"));
        assert!(limiter.memory_growing(900, 1000, None).expect("no trap"));
    }
}
