use super::*;

fn chunk(kind: [u8; 4], data: &[u8]) -> Vec<u8> {
    let mut sum = flate2::Crc::new();
    sum.update(&kind);
    sum.update(data);
    [&(data.len() as u32).to_be_bytes(), &kind[..], data, &sum.sum().to_be_bytes()].concat()
}

/// A grey PNG of one value, with a chunk before its data; `rows` may differ from what the header says.
fn png(width: u32, height: u32, rows: usize, extra: &[u8]) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 0, 0, 0, 0]].concat();
    let data = deflated(&vec![0; rows * (width as usize + 1)]);
    [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        chunk(*b"IHDR", &header),
        extra.to_vec(),
        chunk(*b"IDAT", &data),
        chunk(*b"IEND", &[]),
    ]
    .concat()
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut out = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

/// A grey JPEG of mean value, blocks of two bits each; the header may say another height.
fn jpeg(width: u16, height: u16, said: u16) -> Vec<u8> {
    let blocks = usize::from(width.div_ceil(8)) * usize::from(height.div_ceil(8));
    let mut out = vec![0xff, 0xd8, 0xff, 0xdb, 0, 67, 0];
    out.extend([1; 64]);
    let size = [said.to_be_bytes(), width.to_be_bytes()].concat();
    out.extend([&[0xff, 0xc0, 0, 11, 8][..], &size, &[1, 1, 0x11, 0]].concat());
    for class in [0x00, 0x10] {
        // One code of one bit: no difference, end of block.
        out.extend([0xff, 0xc4, 0, 20, class, 1]);
        out.extend([0; 16]);
    }
    out.extend([0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0]);
    out.extend(vec![0; blocks.div_ceil(4)]);
    out.extend([0xff, 0xd9]);
    out
}

#[test]
fn pictures_above_the_limit_are_refused_before_they_are_made() {
    let most = 1_000_000;
    assert_eq!(decode(&png(1000, 1000, 1000, &[]), most).unwrap().bytes.len(), most);
    assert_eq!(decode(&jpeg(1000, 1000, 1000), most).unwrap().bytes.len(), most);
    // Headers that lie: nothing of the kind follows.
    for content in [
        png(1001, 1000, 1000, &[]),
        png(60_000, 60_000, 1, &[]),
        jpeg(1000, 8, 1001),
        jpeg(65_535, 8, 65_535),
    ] {
        let error = decode(&content, most).unwrap_err();
        assert!(error.contains("at most 1 megapixels"), "{error}");
    }
}

#[test]
fn profiles_and_texts_of_a_png_are_never_unpacked() {
    let bomb = deflated(&vec![0; 40 << 20]);
    let named = [b"name\0\0".to_vec(), bomb.clone()].concat();
    for kind in [*b"iCCP", *b"zTXt"] {
        // The limit of bytes is far below what the chunk unpacks to.
        let image = decode(&png(4, 4, 4, &chunk(kind, &named)), 100).unwrap();
        assert_eq!(image.bytes, [0; 16]);
    }
    let text = [b"name\0\x01\0\0\0".to_vec(), bomb].concat();
    assert!(decode(&png(4, 4, 4, &chunk(*b"iTXt", &text)), 100).is_ok());
}

#[test]
fn a_picture_cut_anywhere_is_an_error_and_no_grey_rows() {
    let whole = jpeg(64, 64, 64);
    assert_eq!(decode(&whole, 1 << 20).unwrap().bytes, [128; 64 * 64]);
    for end in 2..whole.len() {
        assert!(decode(&whole[..end], 1 << 20).is_err(), "{end} of {}", whole.len());
    }
    let whole = png(9, 9, 9, &[]);
    for end in 8..whole.len() - 12 {
        assert!(decode(&whole[..end], 1 << 20).is_err(), "{end} of {}", whole.len());
    }
}

#[test]
fn a_picture_with_fewer_rows_than_it_says_is_an_error() {
    for said in [72, 128, 640] {
        assert!(decode(&jpeg(64, 64, said), 1 << 20).is_err(), "{said}");
    }
    assert!(decode(&png(64, 65, 64, &[]), 1 << 20).is_err());
}
