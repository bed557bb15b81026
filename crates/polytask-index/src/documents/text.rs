//! Bytes of a file as text: UTF-8, or UTF-16 where the file says so.

use super::Unreadable;

/// Bytes looked at to tell a binary file.
const AHEAD: usize = 8192;

/// The text of a file's bytes, without its mark of byte order.
///
/// # Errors
/// When it is a binary file or of another encoding.
pub(super) fn decode(bytes: Vec<u8>) -> Result<String, Unreadable> {
    let utf16 = |of: fn([u8; 2]) -> u16| {
        let (units, odd) = bytes[2..].as_chunks::<2>();
        let text = String::from_utf16(&units.iter().map(|pair| of(*pair)).collect::<Vec<_>>());
        text.ok().filter(|_| odd.is_empty()).ok_or_else(|| Unreadable::new("broken UTF-16"))
    };
    match bytes.as_slice() {
        [0xff, 0xfe, ..] => return utf16(u16::from_le_bytes),
        [0xfe, 0xff, ..] => return utf16(u16::from_be_bytes),
        _ => {}
    }
    if bytes[..bytes.len().min(AHEAD)].contains(&0) {
        return Err(Unreadable::new("a binary file, expected text"));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let byte = error.as_bytes()[at];
            let what = format!(
                "not UTF-8: byte 0x{byte:02x} at {at} (convert it: iconv -f ISO-8859-1 -t UTF-8, or what it was saved as)"
            );
            Err(Unreadable::new(what))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_byte_order_are_read_and_left_out() {
        assert_eq!(decode(b"\xef\xbb\xbfgr\xc3\xbcn".to_vec()).unwrap(), "grün");
        assert_eq!(decode(b"\xff\xfeg\0\xfc\0".to_vec()).unwrap(), "gü");
        assert_eq!(decode(b"\xfe\xff\0g\0\xfc".to_vec()).unwrap(), "gü");
        assert!(decode(b"\xff\xfeg".to_vec()).is_err());
    }

    #[test]
    fn binary_files_and_other_encodings_are_told_apart() {
        assert!(decode(b"\x7fELF\0\0".to_vec()).unwrap_err().to_string().contains("binary"));
        let latin = decode(b"gr\xfcn".to_vec()).unwrap_err().to_string();
        assert!(latin.contains("0xfc at 2") && latin.contains("iconv"), "{latin}");
    }
}
