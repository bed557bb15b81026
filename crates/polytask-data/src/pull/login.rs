//! Addresses with a login in them: taken out for requests, never shown, encoded for the one header that needs it.

/// An address without login, and the login (`user:password`, percent-decoded).
pub(super) fn split_login(address: &str) -> (String, Option<String>) {
    let Some((scheme, rest)) = address.split_once("://") else { return (address.into(), None) };
    let end = rest.find('/').unwrap_or(rest.len());
    match rest[..end].rsplit_once('@') {
        Some((login, host)) => (format!("{scheme}://{host}{}", &rest[end..]), Some(decode_percent(login))),
        None => (address.into(), None),
    }
}

/// An address fit for messages: without login, also where it is malformed (no scheme, a `/` in the password).
pub(super) fn shown(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").map_or((None, address), |(s, rest)| (Some(s), rest));
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    let authority = &rest[..rest.find('/').unwrap_or(rest.len())];
    let login = match authority.rfind('@') {
        None => rest[..end].rfind('@').filter(|&at| rest[..at].contains(':')),
        found => found,
    };
    let rest = login.map_or(rest, |at| &rest[at + 1..]);
    scheme.map_or_else(|| rest.to_owned(), |scheme| format!("{scheme}://{rest}"))
}

/// Percent-decoding (RFC 3986); what is no code stays.
pub(super) fn decode_percent(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut i) = (Vec::with_capacity(bytes.len()), 0);
    while i < bytes.len() {
        let code =
            text.get(i + 1..i + 3).filter(|_| bytes[i] == b'%').and_then(|h| u8::from_str_radix(h, 16).ok());
        out.push(code.unwrap_or(bytes[i]));
        i += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Base64 (RFC 4648), for the one header that needs it.
pub(super) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = (0..3).fold(0_u32, |word, i| word << 8 | u32::from(*chunk.get(i).unwrap_or(&0)));
        for i in 0..4 {
            let digit = ALPHABET[(word >> (18 - 6 * i) & 63) as usize];
            out.push(if i <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_leave_the_address_and_are_encoded_as_published() {
        let (address, login) = split_login("https://Aladdin:open%20sesame@host:1/simple/a@b");
        assert_eq!(
            (address.as_str(), login.as_deref()),
            ("https://host:1/simple/a@b", Some("Aladdin:open sesame"))
        );
        // The example of RFC 7617.
        assert_eq!(base64(b"Aladdin:open sesame"), "QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(
            (base64(b"abc"), base64(b"ab"), base64(b"")),
            ("YWJj".into(), "YWI=".into(), String::new())
        );
        assert_eq!(split_login("http://host/x").1, None);
    }

    #[test]
    fn no_address_is_shown_with_its_login_however_malformed_it_is() {
        for address in [
            "user:s3cr3t@host/x",
            "http://user:s3cr3t@host/x",
            "http://user:s3/cr3t@host/x",
            "http://user:s3@cr3t@host/x",
            "user:s3/cr3t@host/x",
            "s3cr3t@host/x",
            "ftp://s3cr3t@host/x",
            "http:///user:s3cr3t@host/x",
            "://user:s3cr3t@host/x",
            "http:user:s3cr3t@host/x",
        ] {
            let shown = shown(address);
            assert!(shown.ends_with("host/x") && !shown.contains("s3") && !shown.contains("cr3t"), "{shown}");
        }
        for address in ["http://host/a@b", "https://host:80/simple", "/folder/a", "file:///a/b", ""] {
            assert_eq!(shown(address), address);
        }
    }

    #[test]
    fn percent_codes_are_decoded_and_broken_ones_stay() {
        assert_eq!(decode_percent("a%2Bb%zz%4"), "a+b%zz%4");
        assert_eq!(decode_percent("%é"), "%é");
    }
}
