//! The text of PDF files, in builds that have the feature `pdf`.

use super::Unreadable;

/// The text of a file's bytes, page after page.
///
/// # Errors
/// When the file is broken, locked, or holds no text (scanned pages).
#[cfg(feature = "pdf")]
pub(super) fn read(bytes: &[u8]) -> Result<String, Unreadable> {
    // The library is not sure never to panic on a hostile file.
    let read = std::panic::catch_unwind(|| text(bytes));
    read.unwrap_or_else(|_| Err(Unreadable::new("a broken PDF file")))
}

#[cfg(feature = "pdf")]
fn text(bytes: &[u8]) -> Result<String, Unreadable> {
    let document = lopdf::Document::load_mem(bytes)
        .map_err(|error| Unreadable::new(format!("a broken PDF file: {error}")))?;
    if document.is_encrypted() {
        return Err(Unreadable::new("a PDF file with a password"));
    }
    let pages: Vec<u32> = document.get_pages().into_keys().collect();
    let text = document
        .extract_text(&pages)
        .map_err(|error| Unreadable::new(format!("a PDF file whose text cannot be read: {error}")))?;
    if text.trim().is_empty() {
        return Err(Unreadable::new("a PDF file without text (scanned pages?)"));
    }
    Ok(text)
}

/// Says that this build reads none.
#[cfg(not(feature = "pdf"))]
pub(super) fn read(_bytes: &[u8]) -> Result<String, Unreadable> {
    Err(Unreadable::new("this build reads no PDF (build it with `--features pdf`, or convert: pdftotext)"))
}
