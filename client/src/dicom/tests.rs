//! Files of every kind that occurs, and of some that should not.

use super::{
    samples::{DataSet, EXPLICIT, IMPLICIT, JPEG, cine, compressed, file},
    *,
};

fn frames_of(content: &[u8]) -> Option<FrameIndex> {
    let inspected = inspect(content).unwrap();
    assert_eq!(inspected.bytes, content.len() as u64);
    assert_eq!(inspected.blake3, *blake3::hash(content).as_bytes());
    inspected.frames
}

/// The bytes of every frame, as an index tells them.
fn cut(content: &[u8]) -> Option<Vec<&[u8]>> {
    let index = frames_of(content)?;
    let frame = |number| {
        let range = index.frame(number).unwrap();
        &content[range.start as usize..range.end as usize]
    };
    Some((1..=index.count()).map(frame).collect())
}

/// Fragments as they lie in a file.
fn items(fragments: &[&[u8]]) -> Vec<u8> {
    let mut data = DataSet::new(false);
    for fragment in fragments {
        data.fragment(fragment);
    }
    data.bytes
}

#[test]
fn native_frames_lie_side_by_side() {
    let (content, frames) = cine(500, 4);
    assert_eq!(cut(&content).unwrap(), frames);
    let inspected = inspect(content.as_slice()).unwrap();
    assert!(inspected.dicom);
    assert!(matches!(inspected.frames, Some(FrameIndex::Native { count: 500, length: 1024, .. })));
}

#[test]
fn implicit_vr_is_followed_too() {
    let mut data = DataSet::new(true);
    data.image(Some("3"), 1, 5).put(0x7fe0, 0x10, "OW", b"aaaaabbbbbccccc\0");
    let content = file(IMPLICIT, &data);
    assert_eq!(cut(&content).unwrap(), [b"aaaaa", b"bbbbb", b"ccccc"]);
}

#[test]
fn colour_that_shares_chrominance_takes_two_bytes_a_pixel() {
    let mut data = DataSet::new(false);
    data.short(0x28, 2, 3).put(0x28, 4, "CS", b"YBR_FULL_422").put(0x28, 8, "IS", b"2 ");
    data.short(0x28, 0x10, 1).short(0x28, 0x11, 2).short(0x28, 0x100, 8);
    data.put(0x7fe0, 0x10, "OB", b"aaaabbbb");
    let content = file(EXPLICIT, &data);
    assert_eq!(cut(&content).unwrap(), [b"aaaa", b"bbbb"]);
}

#[test]
fn sequences_are_passed_over_whatever_is_in_them() {
    let mut inner = DataSet::new(false);
    inner.image(Some("9"), 9, 9);
    let mut data = DataSet::new(false);
    // Items and sequences of defined and undefined length, one within the other, with an icon in them.
    data.begin(8, 0x1140, "SQ").fragment(&inner.bytes).item(0xe000, u32::MAX);
    data.image(Some("8"), 8, 8).begin(8, 0x1199, "SQ").item(0xe000, u32::MAX);
    data.begin(0x7fe0, 0x10, "OB").fragment(&[]).fragment(b"icon").item(0xe0dd, 0);
    data.item(0xe00d, 0).item(0xe0dd, 0).item(0xe00d, 0).item(0xe0dd, 0);
    // Within a value of unknown representation, elements are implicit.
    let mut unknown = DataSet::new(true);
    unknown.item(0xe000, u32::MAX).put(9, 1, "OB", b"x ").begin(9, 2, "SQ").item(0xe0dd, 0);
    unknown.item(0xe00d, 0).item(0xe0dd, 0);
    data.begin(9, 0x10, "UN").bytes.extend(unknown.bytes);
    data.put(0x10, 0x4000, "UT", b"a remark of some length. ".repeat(20).as_slice());
    data.image(Some("2"), 1, 4).put(0x7fe0, 0x10, "OB", b"aaaabbbb");
    assert_eq!(cut(&file(EXPLICIT, &data)).unwrap(), [b"aaaa", b"bbbb"]);
}

#[test]
fn fragments_are_frames_where_there_are_as_many() {
    let content = compressed(&[&[b"one1"], &[b"second"], &[b"3."]], &[]);
    let expected = [items(&[b"one1"]), items(&[b"second"]), items(&[b"3."])];
    assert_eq!(cut(&content).unwrap(), expected);
}

#[test]
fn an_offset_table_tells_which_fragments_make_a_frame() {
    let frames: [&[&[u8]]; 3] = [&[b"1a", b"1b"], &[b"2a"], &[b"3a", b"3b", b"3c"]];
    let expected: Vec<_> = frames.iter().map(|fragments| items(fragments)).collect();
    assert_eq!(cut(&compressed(&frames, &[0, 20, 30])).unwrap(), expected);

    let mut data = DataSet::new(false);
    let table: Vec<u8> = [0_u64, 20, 30].iter().flat_map(|offset| offset.to_le_bytes()).collect();
    data.image(Some("3"), 64, 64).put(0x7fe0, 1, "OV", &table).put(0x7fe0, 2, "OV", &[0; 24]);
    data.begin(0x7fe0, 0x10, "OB").fragment(&[]).bytes.extend(expected.concat());
    data.item(0xe0dd, 0);
    assert_eq!(cut(&file(JPEG, &data)).unwrap(), expected);
}

#[test]
fn all_fragments_are_the_frame_where_there_is_one() {
    let content = compressed(&[&[b"1a", b"1b", b"1c"]], &[]);
    assert_eq!(cut(&content).unwrap(), [items(&[b"1a", b"1b", b"1c"])]);
}

#[test]
fn frames_that_cannot_be_told_apart_have_no_index() {
    // More fragments than frames, fewer, and tables that do not fit.
    let two: [&[&[u8]]; 2] = [&[b"1a", b"1b"], &[b"2a"]];
    for table in [&[][..], &[0], &[0, 10, 20], &[0, 11], &[10, 20], &[0, 0], &[20, 0], &[0, 30]] {
        assert_eq!(frames_of(&compressed(&two, table)), None, "{table:?}");
    }
    let video = {
        let mut data = DataSet::new(false);
        data.image(Some("2"), 64, 64).begin(0x7fe0, 0x10, "OB").fragment(&[]);
        data.fragment(b"mp").fragment(b"eg").item(0xe0dd, 0);
        file("1.2.840.10008.1.2.4.102.1", &data)
    };
    assert_eq!(frames_of(&video), None);
    let frame = [&b"xx"[..]];
    let many = vec![&frame[..]; 4097];
    assert_eq!(frames_of(&compressed(&many, &[])), None);
    assert!(frames_of(&compressed(&many[..4096], &[])).is_some());
}

#[test]
fn an_image_without_a_number_of_frames_has_no_index() {
    let mut data = DataSet::new(false);
    data.image(None, 2, 2).put(0x7fe0, 0x10, "OB", b"aaaa");
    let inspected = inspect(file(EXPLICIT, &data).as_slice()).unwrap();
    assert!(inspected.dicom);
    assert_eq!(inspected.frames, None);
}

#[test]
fn pixel_data_of_another_length_than_the_image_has_no_index() {
    for (frames, pixels) in
        [("2", "aaaabbb"), ("2", "aaaabbbbc"), ("0", ""), ("x", "aaaabbbb"), ("-1", "aaaa")]
    {
        let mut data = DataSet::new(false);
        data.image(Some(frames), 2, 2).put(0x7fe0, 0x10, "OB", pixels.as_bytes());
        assert_eq!(frames_of(&file(EXPLICIT, &data)), None, "{frames} {pixels}");
    }
}

#[test]
fn what_is_deflated_big_endian_or_unknown_has_no_index() {
    let mut data = DataSet::new(false);
    data.image(Some("1"), 1, 4).put(0x7fe0, 0x10, "OB", b"aaaa");
    assert!(frames_of(&file(EXPLICIT, &data)).is_some());
    for syntax in
        ["1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.4.95", "1.2.3", ""]
    {
        let inspected = inspect(file(syntax, &data).as_slice()).unwrap();
        assert!(inspected.dicom && inspected.frames.is_none(), "{syntax}");
    }
    // Native pixel data under an encapsulated syntax, and the other way about.
    assert_eq!(frames_of(&file(JPEG, &data)), None);
    let mut data = DataSet::new(false);
    data.image(Some("1"), 1, 4)
        .begin(0x7fe0, 0x10, "OB")
        .fragment(&[])
        .fragment(b"aa")
        .item(0xe0dd, 0);
    assert_eq!(frames_of(&file(EXPLICIT, &data)), None);
}

#[test]
fn what_is_not_dicom_is_digested_all_the_same() {
    for content in [&b""[..], b"DICM", &[b'x'; 500], &[0; 131]] {
        let inspected = inspect(content).unwrap();
        assert!(!inspected.dicom && inspected.frames.is_none());
        assert_eq!(inspected.blake3, *blake3::hash(content).as_bytes());
    }
}

#[test]
fn a_file_cut_anywhere_is_no_error_and_has_no_frames_beyond_its_end() {
    for content in [cine(3, 1).0, compressed(&[&[b"one1"], &[b"second"]], &[0, 12])] {
        assert!(frames_of(&content).is_some());
        for length in 0..content.len() {
            assert_eq!(frames_of(&content[..length]), None, "{length}");
        }
    }
}

#[test]
fn lengths_that_lie_are_answered_without_memory_for_them() {
    let mut data = DataSet::new(false);
    data.put(0x28, 8, "IS", b"2 ");
    let begin = file(EXPLICIT, &data);
    // A text of 4 GiB less one, an offset table of 3 GiB, and sequences within sequences.
    let text = [&begin[..], &[0x28, 0, 4, 0, b'U', b'T', 0, 0, 0xfe, 0xff, 0xff, 0xff]].concat();
    let table = [&begin[..], &[0xe0, 0x7f, 1, 0, b'O', b'V', 0, 0, 0, 0, 0, 0xc0]].concat();
    let mut nested = DataSet::new(false);
    nested.begin(8, 0x1140, "SQ").item(0xe000, u32::MAX);
    let nested = [begin, nested.bytes.repeat(100_000)].concat();
    for content in [text, table, nested] {
        assert_eq!(frames_of(&content), None);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_an_error() {
    struct Failing(u32);
    impl Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0 += 1;
            match self.0 {
                1 => Err(io::ErrorKind::Interrupted.into()),
                2 | 3 => {
                    buffer[..100].fill(0);
                    Ok(100)
                }
                _ => Err(io::Error::other("the disk is gone")),
            }
        }
    }
    assert!(inspect(Failing(0)).unwrap_err().to_string().contains("the disk is gone"));
}
