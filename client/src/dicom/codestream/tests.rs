//! Complete and broken codestreams, read in pieces of every length.

use proptest::prelude::*;

use super::*;
use crate::dicom::samples::jpeg;

const ALL: [Compression; 6] = [
    Compression::Jpeg,
    Compression::JpegLs,
    Compression::Jpeg2000,
    Compression::Rle,
    Compression::Uncompressed,
    Compression::Unmarked,
];

/// Four pixels of 16 bits.
fn image() -> Image {
    Image { samples: 1, rows: 2, columns: 2, bits: 16, ..Image::default() }
}

/// The state after these bytes, which does not depend on how they are divided.
fn state(compression: Compression, bytes: &[u8]) -> State {
    let shown = |piece: usize| {
        let mut scanner = Scanner::new(compression, &image());
        bytes.chunks(piece).for_each(|piece| scanner.show(piece));
        scanner.state()
    };
    let whole = shown(bytes.len().max(1));
    for piece in 1..bytes.len().min(40) {
        assert_eq!(shown(piece), whole, "{compression:?} in pieces of {piece}");
    }
    whole
}

/// These bytes are a complete codestream, and no shorter prefix is.
fn assert_whole(compression: Compression, bytes: &[u8]) {
    assert_eq!(state(compression, &[]), State::Unstarted);
    for length in 1..bytes.len() {
        assert_eq!(state(compression, &bytes[..length]), State::Inside, "{compression:?} {length}");
    }
    let after = |more: &[u8]| state(compression, &[bytes, more].concat());
    assert_eq!(after(b""), State::Ended, "{compression:?}");
    assert_eq!(after(b"\0"), State::Ended);
    assert_eq!(after(b"\xff\0"), State::Ended);
    assert_eq!(after(bytes), State::Beyond, "{compression:?}");
    assert_eq!(after(b"\0\0x"), State::Beyond);
}

#[test]
fn jpeg_ends_with_its_end_marker() {
    assert_whole(Compression::Jpeg, &jpeg(b"data"));
    // A thumbnail in a segment of its own; fill bytes; tables; stuffed bytes and restarts.
    let inner = jpeg(b"small");
    let mut whole = b"\xff\xd8\xff\xff\xe1".to_vec();
    whole.extend((inner.len() as u16 + 2).to_be_bytes());
    whole.extend(&inner);
    whole.extend(b"\xff\xdb\0\x05\xff\xd9\xd8\xff\xc0\0\x04\xff\xd9");
    whole.extend(b"\xff\xda\0\x03\x01a\xff\0\xd9b\xff\xd0c\xff\xd7\xff\0\xff\xff\xd9");
    assert_whole(Compression::Jpeg, &whole);
    // Several scans.
    assert_whole(
        Compression::Jpeg,
        b"\xff\xd8\xff\xda\0\x02ab\xff\xc4\0\x03x\xff\xda\0\x02cd\xff\xd9",
    );
    for wrong in [
        &b"x"[..],
        b"\0\xff\xd8",
        b"\xff\xd9",
        b"\xff\x4f\xff\x51",
        b"\xff\xd8x",
        b"\xff\xd8\xff\0",
        b"\xff\xd8\xff\xe0\0\x01",
        b"\xff\xd8\xff\xda\0\x02a\xff\x05",
    ] {
        assert_eq!(state(Compression::Jpeg, wrong), State::Wrong, "{wrong:x?}");
    }
    // Another codestream begins before this one ends.
    assert_eq!(state(Compression::Jpeg, &jpeg(b"cut")[..14].repeat(2)), State::Beyond);
}

#[test]
fn jpeg_ls_stuffs_a_bit_where_jpeg_stuffs_a_byte() {
    let whole =
        b"\xff\xd8\xff\xf7\0\x04xx\xff\xf8\0\x03x\xff\xda\0\x03xa\xff\x7f\xff\x01b\xff\0\xff\xd9";
    assert_whole(Compression::JpegLs, whole);
    assert_eq!(state(Compression::Jpeg, whole), State::Wrong);
}

/// A main header, and tile-parts with these bytes; with `open`, the last one does not state its length.
fn jpeg_2000(tiles: &[&[u8]], open: bool) -> Vec<u8> {
    let mut whole = b"\xff\x4f\xff\x51\0\x06size\xff\x64\0\x04\xff\xd9\xff\x30".to_vec();
    for (index, tile) in (1..).zip(tiles) {
        let length = if open && index == tiles.len() { 0 } else { 12 + tile.len() as u32 };
        whole.extend(b"\xff\x90\0\x0a\0\0");
        whole.extend(length.to_be_bytes());
        whole.extend(b"\0\x01");
        whole.extend(*tile);
    }
    whole.extend(b"\xff\xd9");
    whole
}

#[test]
fn jpeg_2000_ends_after_its_tile_parts() {
    let tiles: [&[u8]; 2] = [b"\xff\x93data\xff\xd9\xff\x4f", b"\xff\x58\0\x04\xff\xd9\xff\x93d"];
    assert_whole(Compression::Jpeg2000, &jpeg_2000(&tiles, false));
    // Open to the end: markers within a header, in a packet's number and in coded data do not count.
    let open: [&[u8]; 2] =
        [tiles[0], b"\xff\x58\0\x04\xff\xd9\xff\x93\xff\x91\0\x04\xff\xd9a\xff\x8f\xff\x7f"];
    assert_whole(Compression::Jpeg2000, &jpeg_2000(&open, true));
    let mut short = jpeg_2000(&[b"\xff\x93"], false);
    let at = short.len() - 8;
    short[at..at + 2].copy_from_slice(&[0, 11]);
    for wrong in
        [&b"\0\0\0\x0cjP  "[..], b"\xff\xd8\xff", b"\xff\x4fx", b"\xff\x4f\xff\x93", &short]
    {
        assert_eq!(state(Compression::Jpeg2000, wrong), State::Wrong, "{wrong:x?}");
    }
    // Another codestream follows without the end of this one.
    let whole = jpeg_2000(&tiles, false);
    assert_eq!(state(Compression::Jpeg2000, &whole[..whole.len() - 2].repeat(2)), State::Beyond);
}

/// A header, and these segments.
fn rle(segments: &[&[u8]]) -> Vec<u8> {
    let mut header = vec![segments.len() as u32, 64];
    for segment in segments {
        header.push(header[header.len() - 1] + segment.len() as u32);
    }
    header.resize(16, 0);
    header[segments.len() + 1] = 0;
    let numbers = header.iter().flat_map(|number| number.to_le_bytes());
    numbers.chain(segments.concat()).collect()
}

#[test]
fn run_lengths_end_with_the_last_pixel() {
    // Four bytes each: as they are, as a run, in two; with runs that do nothing, and padding.
    assert_whole(Compression::Rle, &rle(&[b"\x03abcd\0", b"\xfdx"]));
    assert_whole(Compression::Rle, &rle(&[b"\x80\xfex\0y", b"\x01ab\x80\x01cd"]));
    let long = rle(&[b"\x04abcde", b"\xfdx"]);
    let one = rle(&[b"\x03abcd"]);
    let three = rle(&[&b"\xfdx"[..]; 3]);
    let mut elsewhere = rle(&[&b"\xfdx"[..]; 2]);
    elsewhere[4] = 66;
    let mut backwards = rle(&[&b"\xfdx"[..]; 2]);
    backwards[8] = 65;
    for wrong in [long, one, three, elsewhere, backwards, vec![0xff; 64]] {
        assert_eq!(state(Compression::Rle, &wrong), State::Wrong, "{wrong:x?}");
    }
    let mut unsized_scanner = Scanner::new(Compression::Rle, &Image::default());
    unsized_scanner.show(&rle(&[&b"\xfdx"[..]; 2]));
    assert_eq!(unsized_scanner.state(), State::Wrong);
}

#[test]
fn uncompressed_frames_end_with_their_length_and_unmarked_ones_do_not_end() {
    assert_whole(Compression::Uncompressed, b"pixelsof");
    assert_eq!(state(Compression::Unmarked, &[9; 500]), State::Inside);
    assert!(!Scanner::new(Compression::Unmarked, &image()).marks_ends());
    assert!(!Scanner::new(Compression::Uncompressed, &Image::default()).marks_ends());
}

proptest! {
    #[test]
    fn the_state_does_not_depend_on_how_bytes_are_divided(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(0xff_u8), Just(0_u8)], 0..120),
        start in 0_usize..5, compression in prop::sample::select(ALL.to_vec()),
    ) {
        let segments = rle(&[b"", b""]);
        let start = [&b""[..], b"\xff\xd8", b"\xff\xd8\xff\xda\0\x02", b"\xff\x4f", &segments][start];
        state(compression, &[start, &bytes].concat());
    }
}
