//! Token ids in a file that the system maps into memory, and whose pages it may drop and read again.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::sync::Arc;

use memmap2::Mmap;

/// Token ids in a file without a name: nobody else can open it, and it ends with the process.
#[derive(Debug, Clone)]
pub(super) struct MappedIds(Arc<Mmap>);

impl MappedIds {
    /// Maps all of a file of ids in the machine's byte order.
    #[allow(unsafe_code)] // the interface of `memmap2`
    pub(super) fn new(file: &File) -> io::Result<Self> {
        // SAFETY: the file was made for this alone (`tempfile`: created, never found by a name), and its one handle is
        // not written to any more; so its bytes do not change while they are mapped.
        let map = unsafe { Mmap::map(file)? };
        // Batches read texts in any order: reading ahead would fill the memory with what is not wanted. A hint alone.
        #[cfg(unix)]
        let _ = map.advise(memmap2::Advice::Random);
        Ok(Self(Arc::new(map)))
    }
}

impl Deref for MappedIds {
    type Target = [u32];

    #[allow(unsafe_code)] // bytes of a file as numbers
    fn deref(&self) -> &[u32] {
        // SAFETY: a mapping starts at a page, so it is aligned for u32; every pattern of four bytes is a u32; the slice
        // lives as long as the mapping does.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() / size_of::<u32>()) }
    }
}
