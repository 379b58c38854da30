//! Valid and invalid files. The reader's tests read the files in `samples/dicom`, which pydicom wrote.

use epione_envelope::frames::{Form, MAX_LISTED_FRAMES};
use proptest::prelude::*;

use super::{
    samples::{DataSet, EXPLICIT, IMPLICIT, JPEG, cine, compressed, compressed_as, file, jpeg},
    *,
};

fn frames_of(content: &[u8]) -> Frames {
    let inspected = inspect(content).unwrap();
    assert_eq!(inspected.bytes, content.len() as u64);
    assert_eq!(inspected.blake3, *blake3::hash(content).as_bytes());
    assert_eq!(inspected.frames.validate(inspected.bytes), Ok(()));
    inspected.frames
}

fn reason(content: &[u8]) -> Option<NoFrames> {
    match frames_of(content) {
        Frames::None(reason) => Some(reason),
        _ => None,
    }
}

/// The bytes of every frame, according to the index.
fn cut(content: &[u8]) -> Vec<&[u8]> {
    let frames = frames_of(content);
    let bytes = |number| {
        let extent = frames.extent(number).unwrap();
        assert!(!matches!(extent.form, Form::Packed { .. }));
        &content[extent.bytes.start as usize..extent.bytes.end as usize]
    };
    (1..=frames.count()).map(bytes).collect()
}

/// Fragments as a file contains them.
fn items(fragments: &[&[u8]]) -> Vec<u8> {
    let mut data = DataSet::new(false);
    for fragment in fragments {
        data.fragment(fragment);
    }
    data.bytes
}

#[test]
fn native_frames_are_contiguous() {
    let (content, frames) = cine(500, 4);
    assert_eq!(cut(&content), frames);
    let inspected = inspect(content.as_slice()).unwrap();
    assert!(inspected.is_dicom());
    assert!(matches!(inspected.frames, Frames::Native { count: 500, bits: 8192, stated: 500, .. }));
}

#[test]
fn implicit_vr_is_read() {
    let mut data = DataSet::new(true);
    data.image(Some("3"), 1, 5).put(0x7fe0, 0x10, "OW", b"aaaaabbbbbccccc\0");
    let content = file(IMPLICIT, &data);
    assert_eq!(cut(&content), [b"aaaaa", b"bbbbb", b"ccccc"]);
}

#[test]
fn sequences_are_skipped_with_their_content() {
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
    assert_eq!(cut(&file(EXPLICIT, &data)), [b"aaaa", b"bbbb"]);
}

#[test]
fn without_a_table_a_frame_ends_with_the_fragment_in_which_its_codestream_ends() {
    let (first, second, third) = (jpeg(b"one1"), jpeg(b"second"), jpeg(b"3."));
    let halves = [&first[..5], &first[5..]];
    let content = compressed(&[&halves, &[&second], &[&third[..14], &[], &third[14..]]], &[]);
    let expected = [items(&halves), items(&[&second]), items(&[&third[..14], &[], &third[14..]])];
    assert_eq!(cut(&content), expected);
    // As many fragments as frames are stated, by accident.
    for stated in [1, 2, 4, 6] {
        let content = compressed_as(
            JPEG,
            stated,
            &[&halves, &[&second], &[&third[..14], &[], &third[14..]]],
            &[],
        );
        assert_eq!(reason(&content), Some(NoFrames::Count), "{stated}");
    }
    let opaque = "1.2.840.10008.1.2.4.110";
    let content = compressed_as(opaque, 2, &[&[b"frame1"], &[b"frame2"]], &[]);
    assert_eq!(reason(&content), Some(NoFrames::Unmarked));
    assert_eq!(cut(&compressed_as(opaque, 1, &[&[b"1a", b"1b"]], &[])), [items(&[b"1a", b"1b"])]);
}

#[test]
fn an_offset_table_says_which_fragments_make_a_frame() {
    let whole = [jpeg(b"1"), jpeg(b"22"), jpeg(b"333")];
    let fragments: [&[&[u8]]; 3] = [
        &[&whole[0][..3], &whole[0][3..]],
        &[&whole[1]],
        &[&whole[2][..1], &whole[2][1..2], &whole[2][2..]],
    ];
    let expected: Vec<_> = fragments.iter().map(|fragments| items(fragments)).collect();
    let second = expected[0].len() as u32;
    let offsets = [0, second, second + expected[1].len() as u32];
    assert_eq!(cut(&compressed(&fragments, &offsets)), expected);
    // Any bytes are a frame if its end is not marked.
    let content =
        compressed_as("1.2.840.10008.1.2.4.110", 2, &[&[b"1a", b"1b"], &[b"2a"]], &[0, 20]);
    assert_eq!(cut(&content), [items(&[b"1a", b"1b"]), items(&[b"2a"])]);

    let extended = |sizes: &[u64]| {
        let mut data = DataSet::new(false);
        let bytes = |numbers: &[u64]| -> Vec<u8> {
            numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
        };
        data.image(Some("3"), 64, 64);
        data.put(0x7fe0, 1, "OV", &bytes(&offsets.map(u64::from)));
        data.put(0x7fe0, 2, "OV", &bytes(sizes));
        data.begin(0x7fe0, 0x10, "OB").fragment(&[]).bytes.extend(expected.concat());
        data.item(0xe0dd, 0);
        file(JPEG, &data)
    };
    assert_eq!(cut(&extended(&[15, 16, 17])), expected);
    for wrong in [&[15, 16][..], &[15, 16, 18], &[0; 3], &[u64::MAX; 3]] {
        assert_eq!(reason(&extended(wrong)), Some(NoFrames::Table), "{wrong:?}");
    }
}

#[test]
fn a_table_that_disagrees_with_the_fragments_gives_no_frames() {
    let (one, two) = (jpeg(b"1"), jpeg(b"22"));
    let fragments: [&[&[u8]]; 2] = [&[&one[..4], &one[4..]], &[&two]];
    let second = items(fragments[0]).len() as u32;
    assert!(reason(&compressed(&fragments, &[0, second])).is_none());
    let last = second + items(fragments[1]).len() as u32;
    for table in [
        &[0][..],
        &[0, second, second],
        &[0, second, last],
        &[0, 12],
        &[0, 13],
        &[second, 0],
        &[0, 0],
        &[0, last],
        &[0, last + 1],
        &[0, u32::MAX],
        &[12, second],
    ] {
        assert_eq!(reason(&compressed(&fragments, table)), Some(NoFrames::Table), "{table:?}");
    }
}

#[test]
fn a_slide_of_many_frames_is_listed_up_to_a_limit() {
    let tile = jpeg(b"tile");
    let count = MAX_LISTED_FRAMES;
    let frame = [&tile[..]];
    let step = tile.len() as u32 + 8;
    let table: Vec<u32> = (0..=count).map(|tile| tile * step).collect();
    for table in [&table[..count as usize], &[]] {
        let content = compressed(&vec![&frame[..]; count as usize], table);
        let frames = frames_of(&content);
        assert_eq!(frames.count(), count);
        let last = frames.extent(count).unwrap().bytes;
        assert_eq!(&content[last.start as usize + 8..last.end as usize], tile);
    }
    let content = compressed(&vec![&frame[..]; count as usize + 1], &table);
    assert_eq!(reason(&content), Some(NoFrames::TooMany));
}

#[test]
fn a_single_image_consists_of_all_fragments() {
    let image = jpeg(b"image");
    let fragments = [&image[..7], &image[7..]];
    for frames in [None, Some("0"), Some("1"), Some("")] {
        let mut data = DataSet::new(false);
        data.image(frames, 64, 64).begin(0x7fe0, 0x10, "OB").fragment(&[]);
        data.bytes.extend(items(&fragments));
        data.item(0xe0dd, 0);
        assert_eq!(cut(&file(JPEG, &data)), [items(&fragments)], "{frames:?}");
        // Two images are not one.
        data.bytes.truncate(data.bytes.len() - 8);
        data.bytes.extend(items(&fragments));
        data.item(0xe0dd, 0);
        assert_eq!(reason(&file(JPEG, &data)), Some(NoFrames::Count), "{frames:?}");
    }
    for (frames, found) in [(None, 1), (Some("0"), 1), (Some(""), 1), (Some("2"), 0)] {
        let mut data = DataSet::new(false);
        data.image(frames, 2, 2).put(0x7fe0, 0x10, "OB", b"aaaa");
        assert_eq!(frames_of(&file(EXPLICIT, &data)).count(), found, "{frames:?}");
    }
}

#[test]
fn pixel_data_of_a_wrong_length_have_no_index() {
    for (frames, pixels, expected) in [
        ("2", "aaaabbb", NoFrames::Length),
        ("2", "aaaabbbbc", NoFrames::Length),
        ("0", "", NoFrames::Length),
        ("1", "aaaabbbb", NoFrames::Length),
        ("4294967295", "aaaa", NoFrames::Length),
        ("4294967296", "aaaa", NoFrames::FrameNumber),
        ("x", "aaaabbbb", NoFrames::FrameNumber),
        ("-1", "aaaa", NoFrames::FrameNumber),
    ] {
        let mut data = DataSet::new(false);
        data.image(Some(frames), 2, 2).put(0x7fe0, 0x10, "OB", pixels.as_bytes());
        assert_eq!(reason(&file(EXPLICIT, &data)), Some(expected), "{frames} {pixels}");
    }
    let mut data = DataSet::new(false);
    data.image(Some("2"), 2, 3).put(0x28, 4, "CS", b"YBR_FULL_422");
    data.put(0x7fe0, 0x10, "OB", &[0; 24]);
    assert_eq!(reason(&file(EXPLICIT, &data)), Some(NoFrames::Geometry));
}

#[test]
fn an_unsupported_transfer_syntax_is_the_reason() {
    let mut native = DataSet::new(false);
    native.image(Some("1"), 1, 4).put(0x7fe0, 0x10, "OB", b"aaaa");
    let mut compressed = DataSet::new(false);
    compressed.image(Some("1"), 1, 4).begin(0x7fe0, 0x10, "OB");
    compressed.fragment(&[]).fragment(b"aa").item(0xe0dd, 0);
    for (syntax, data, expected) in [
        ("1.2.840.10008.1.2.1.99", &native, NoFrames::Deflated),
        ("1.2.840.10008.1.2.4.95", &native, NoFrames::Elsewhere),
        ("1.2.840.10008.1.2.4.205", &native, NoFrames::Elsewhere),
        ("1.2.840.10008.1.2.4.93", &compressed, NoFrames::Together),
        ("1.2.840.10008.1.2.4.100", &compressed, NoFrames::Video),
        ("1.2.840.10008.1.2.4.102.1", &compressed, NoFrames::Video),
        ("1.2.840.10008.1.2.7.1", &compressed, NoFrames::Video),
        ("1.2.840.10008.1.2.4.50.1", &compressed, NoFrames::UnknownSyntax),
        ("1.2.840.10008.1.2.4.999", &native, NoFrames::UnknownSyntax),
        ("1.2.3", &native, NoFrames::UnknownSyntax),
        ("", &native, NoFrames::NotDicom),
        ("not a UID", &native, NoFrames::NotDicom),
        (JPEG, &native, NoFrames::Encapsulation),
        (EXPLICIT, &compressed, NoFrames::Encapsulation),
    ] {
        let inspected = inspect(file(syntax, data).as_slice()).unwrap();
        assert_eq!(inspected.frames, Frames::None(expected), "{syntax}");
        assert_eq!(inspected.is_dicom(), expected != NoFrames::NotDicom);
    }
}

#[test]
fn a_file_without_dicom_header_is_digested() {
    let mut data = DataSet::new(false);
    data.image(Some("2"), 2, 2).put(0x7fe0, 0x10, "OB", b"aaaabbbb");
    let whole = file(EXPLICIT, &data);
    // Meta information without preamble and prefix; and DICM by accident, before text and other elements.
    let accident = [&[b'x'; 128][..], b"DICM is written here, at byte 128"].concat();
    let no_meta = [&whole[..132], &data.bytes].concat();
    for content in [&b""[..], b"DICM", &[b'x'; 500], &[0; 131], &whole[132..], &accident, &no_meta]
    {
        assert_eq!(reason(content), Some(NoFrames::NotDicom));
        assert!(!inspect(content).unwrap().is_dicom());
    }
}

#[test]
fn a_truncated_file_has_the_frames_that_are_complete() {
    let (native, frames) = cine(3, 1);
    let (one, two) = (jpeg(b"one1"), jpeg(b"second"));
    let fragments: [&[&[u8]]; 2] = [&[&one[..5], &one[5..]], &[&two]];
    let table = [0, items(fragments[0]).len() as u32];
    let listed: Vec<_> = fragments.iter().map(|fragments| items(fragments)).collect();
    for (content, frames) in [
        (native, frames),
        (compressed(&fragments, &table), listed.clone()),
        (compressed(&fragments, &[]), listed),
    ] {
        assert_eq!(cut(&content), frames);
        for length in 0..content.len() {
            let (cut, index) = (&content[..length], frames_of(&content[..length]));
            let found: u32 = index.count();
            // Exactly the frames whose last byte exists.
            let all = frames_of(&content);
            let whole = (1..=all.stated())
                .filter(|number| all.extent(*number).unwrap().bytes.end <= length as u64);
            assert_eq!(found, whole.count() as u32, "{length}");
            for number in 1..=found {
                assert_eq!(index.extent(number), all.extent(number));
            }
            if found == 0 {
                let expected = [NoFrames::Cut, NoFrames::NoPixels, NoFrames::NotDicom];
                assert!(expected.contains(&reason(cut).unwrap()), "{length}");
            } else {
                assert_eq!(index.stated(), frames.len() as u32);
            }
        }
    }
}

#[test]
fn pixel_data_without_bytes_are_no_pixels_and_not_a_truncated_file() {
    let without_bytes: [&[&[&[u8]]]; 3] = [&[&[b""]], &[&[b"", b""]], &[&[]]];
    for frames in without_bytes {
        let content = compressed_as(JPEG, 1, frames, &[]);
        assert_eq!(reason(&content), Some(NoFrames::NoPixels));
        // Without its delimiter, nobody knows what is missing.
        assert_eq!(reason(&content[..content.len() - 8]), Some(NoFrames::Cut));
    }
}

#[test]
fn false_lengths_do_not_allocate_memory() {
    let mut data = DataSet::new(false);
    data.put(0x28, 8, "IS", b"2 ");
    let begin = file(EXPLICIT, &data);
    // A text of 4 GiB less one, an offset table of 3 GiB, and sequences within sequences.
    let text = [&begin[..], &[0x28, 0, 4, 0, b'U', b'T', 0, 0, 0xfe, 0xff, 0xff, 0xff]].concat();
    let table = [&begin[..], &[0xe0, 0x7f, 1, 0, b'O', b'V', 0, 0, 0, 0, 0, 0xc0]].concat();
    let mut nested = DataSet::new(false);
    nested.begin(8, 0x1140, "SQ").item(0xe000, u32::MAX);
    let nested = [begin, nested.bytes.repeat(100_000)].concat();
    assert_eq!(reason(&text), Some(NoFrames::Malformed));
    assert_eq!(reason(&table), Some(NoFrames::Cut));
    assert_eq!(reason(&nested), Some(NoFrames::Malformed));
    // A basic offset table of 3 GiB.
    let mut data = DataSet::new(false);
    data.image(Some("9"), 1, 1).begin(0x7fe0, 0x10, "OB").item(0xe000, 0xc000_0000);
    assert_eq!(reason(&file(JPEG, &data)), Some(NoFrames::Table));
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

/// Fragments of complete and broken codestreams, in any order.
fn any_fragments() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let fragment = prop_oneof![
        Just(jpeg(b"whole")),
        Just(jpeg(b"start")[..14].to_vec()),
        Just(jpeg(b"end")[13..].to_vec()),
        Just(Vec::new()),
        prop::collection::vec(any::<u8>(), 0..20),
    ];
    prop::collection::vec(fragment, 0..12)
}

proptest! {
    #[test]
    fn frames_are_separate_and_consist_of_fragments(
        fragments in any_fragments(), stated in 0_usize..8, kept in 0_usize..400,
        table in prop::collection::vec(0_u32..120, 0..8), right in any::<bool>(), syntax in 0_usize..6,
    ) {
        let syntax = ["50", "80", "90", "201", "110", "50"][syntax];
        let fragments: Vec<&[u8]> = fragments.iter().map(Vec::as_slice).collect();
        // A false table is harder to detect if its offsets are those of fragments.
        let mut starts = vec![0];
        for fragment in &fragments {
            starts.push(starts[starts.len() - 1] + 8 + fragment.len() as u32);
        }
        let at = |offset: u32| starts[offset as usize % starts.len()];
        let table: Vec<u32> = table.into_iter().map(|it| if right { at(it) } else { it }).collect();
        let uid = format!("1.2.840.10008.1.2.4.{syntax}");
        let whole = compressed_as(&uid, stated, &[&fragments], &table);
        let content = &whole[..whole.len() - kept.min(whole.len()) * usize::from(kept < 100)];
        let index = frames_of(content);
        let mut before = 0;
        for number in 1..=index.count() {
            let bytes = index.extent(number).unwrap().bytes;
            prop_assert!(before == 0 || bytes.start == before);
            before = bytes.end;
            let mut rest = &content[bytes.start as usize..bytes.end as usize];
            while !rest.is_empty() {
                prop_assert_eq!(&rest[..4], &[0xfe, 0xff, 0, 0xe0]);
                let length = u32::from_le_bytes(rest[4..8].try_into().unwrap());
                rest = &rest[8 + length as usize..];
            }
        }
    }

    #[test]
    fn an_altered_file_is_read_without_a_panic(
        at in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), native in any::<bool>(),
    ) {
        let one = jpeg(b"one1");
        let mut content = match native {
            true => cine(3, 1).0,
            false => compressed(&[&[&one[..5], &one[5..]], &[&one]], &[0, 34]),
        };
        for (at, byte) in at {
            let length = content.len();
            content[at.index(length)] = byte;
        }
        frames_of(&content);
    }
}
