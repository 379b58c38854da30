//! Ranges and frames are right, and no more is fetched than they need.

use std::sync::atomic::Ordering::SeqCst;

use epione_envelope::frames::NoFrames;

use super::{
    storage::{as_it_is, body},
    *,
};
use crate::{
    dicom::{self, samples::jpeg},
    reader::{fetcher::AHEAD, part::Part},
};

async fn read(
    server: &Url,
    record: &OpenRecord,
    part: Part,
) -> (Result<u64, ReadError>, Vec<u8>, Vec<u64>) {
    let worker = worker(server);
    let reported = std::sync::Mutex::new(Vec::new());
    let progress = |progress: crate::Progress| {
        assert!(progress.done <= progress.total);
        reported.lock().unwrap().push(progress.done);
    };
    let fetcher = Fetcher::new(&worker, None, record, 1, &progress).unwrap();
    let mut sink = Vec::new();
    let read = fetcher.read(&part, &mut sink, |_| {}).await;
    drop(fetcher);
    (read, sink, reported.into_inner().unwrap())
}

/// A cine of 500 frames of 100 KiB, in many segments.
fn cine() -> (Sealed, Vec<Vec<u8>>) {
    let (content, frames) = dicom::samples::cine(500, 400);
    let index = dicom::inspect(content.as_slice()).unwrap().frames;
    assert_eq!(index.count(), 500);
    (sealed_content(content, index), frames)
}

#[tokio::test]
async fn one_frame_of_a_long_cine_fetches_only_the_chunks_that_contain_it() {
    let (sealed, frames) = cine();
    assert_eq!(sealed.record.segments().len(), 13);
    let layout = sealed.open(&Url::parse("http://127.0.0.1:1").unwrap(), &[1]);
    let index = layout.content_of(1).unwrap().description.frames;
    // Within one chunk; over two chunks; over two segments; the first and the last.
    let across = |at: u64| {
        let holds = |frame: &u32| index.extent(*frame).unwrap().bytes.contains(&at);
        (1..=500).find(holds).unwrap()
    };
    let chosen = [5, across(MIB as u64), across(4 * MIB as u64), 1, 500];
    for frame in chosen {
        let (server, log) = sealed.serve_ranges(as_it_is).await;
        let record = sealed.open(&server, &[1]);
        let (read, bytes, reported) = read(&server, &record, Part::Frame(frame)).await;
        assert_eq!(read.unwrap(), bytes.len() as u64);
        assert!(bytes == frames[frame as usize - 1], "{frame}");

        let range = index.extent(frame).unwrap().bytes;
        let chunks = range.start / MIB as u64..range.end.div_ceil(MIB as u64);
        let content = sealed.content.len() as u64;
        let sealed_bytes = (chunks.end * MIB as u64).min(content) - chunks.start * MIB as u64;
        let tags = 16 * (chunks.end - chunks.start);
        assert_eq!(log.sent.load(SeqCst) as u64, sealed_bytes + tags, "{frame}");
        assert!(sealed_bytes <= 2 * MIB as u64);
        assert_eq!(*reported.last().unwrap(), sealed_bytes);
    }
}

#[tokio::test]
async fn any_range_is_read_byte_for_byte() {
    let sealed = sealed(6 * MIB + 5);
    let (server, log) = sealed.serve_ranges(as_it_is).await;
    let record = sealed.open(&server, &[1]);
    let length = sealed.content.len() as u64;
    let edges = [0, 1, MIB as u64 - 1, MIB as u64, 4 * MIB as u64, 5 * MIB as u64 + 3, length];
    for start in edges {
        for end in edges.into_iter().filter(|end| *end > start) {
            let (read, bytes, _) = read(&server, &record, Part::Range(start..end)).await;
            assert_eq!(read.unwrap(), end - start);
            assert!(bytes == sealed.content[start as usize..end as usize], "{start}..{end}");
        }
    }
    assert!(log.most.load(SeqCst) <= AHEAD);
}

#[tokio::test]
async fn the_tags_of_an_object_that_ends_with_a_segment_are_found_in_the_next() {
    let sealed = sealed(4 * MIB - 20);
    assert_eq!(sealed.record.segments().len(), 2);
    let (server, _) = sealed.serve_ranges(as_it_is).await;
    let record = sealed.open(&server, &[1]);
    for chunk in 0..4 {
        let at = chunk * MIB;
        let (read, bytes, _) = read(&server, &record, Part::Range(at as u64..at as u64 + 9)).await;
        read.unwrap();
        assert_eq!(bytes, sealed.content[at..at + 9], "{chunk}");
    }
}

#[tokio::test]
async fn a_missing_range_or_frame_is_refused_before_anything_is_fetched() {
    let (sealed, _) = cine();
    let (server, log) = sealed.serve_ranges(as_it_is).await;
    let record = sealed.open(&server, &[1]);
    let length = sealed.content.len() as u64;
    let refused = async |part| read(&server, &record, part).await.0.unwrap_err();
    for range in [0..length + 1, length..length + 1, 5..5, u64::MAX - 1..u64::MAX] {
        let error = refused(Part::Range(range)).await;
        assert!(matches!(error, ReadError::BeyondEnd { .. }), "{error}");
        assert!(error.to_string().contains(&length.to_string()), "{error}");
    }
    for frame in [0, 501, u32::MAX] {
        let error = refused(Part::Frame(frame)).await;
        assert!(error.to_string().contains("frames 1 to 500"), "{error}");
    }
    assert_eq!(log.sent.load(SeqCst), 0);

    let plain = super::sealed(10);
    let record = plain.open(&server, &[1]);
    let error = read(&server, &record, Part::Frame(1)).await.0.unwrap_err();
    assert!(error.to_string().contains("no DICOM header"), "{error}");
    let video = sealed_content(vec![7; 10], Frames::None(NoFrames::Video));
    let record = video.open(&server, &[1]);
    let error = read(&server, &record, Part::Frame(1)).await.0.unwrap_err();
    assert!(error.to_string().contains("it is video"), "{error}");
    let cut = Frames::Native { first: 0, bits: 16, count: 3, stated: 9 };
    let record = sealed_content(vec![7; 7], cut).open(&server, &[1]);
    let error = read(&server, &record, Part::Frame(4)).await.0.unwrap_err();
    assert!(error.to_string().contains("frames 1 to 3 are whole"), "{error}");
}

#[tokio::test]
async fn a_compressed_frame_is_read_without_its_item_tags() {
    let second = [&jpeg(b"2")[..12], &vec![9; MIB - 10]].concat();
    let whole = [jpeg(b"1a"), jpeg(b"3")];
    let frames: [&[&[u8]]; 3] =
        [&[&whole[0][..2], &whole[0][2..]], &[&second, b"\xff\xd9"], &[&whole[1]]];
    let first = 16 + whole[0].len() as u32;
    let content =
        dicom::samples::compressed(&frames, &[0, first, first + 8 + second.len() as u32 + 10]);
    let index = dicom::inspect(content.as_slice()).unwrap().frames;
    assert_eq!(index.count(), 3);
    let sealed = sealed_content(content, index);
    let (server, _) = sealed.serve_ranges(as_it_is).await;
    let record = sealed.open(&server, &[1]);
    for (number, fragments) in (1..).zip(frames) {
        let (written, bytes, _) = read(&server, &record, Part::Frame(number)).await;
        assert_eq!(written.unwrap(), bytes.len() as u64);
        assert!(bytes == fragments.concat(), "{number}");
    }
}

#[tokio::test]
async fn a_frame_of_single_bits_is_read_from_its_first_bit_on() {
    // Frames of 21 bits: five ones, then the frame's own number.
    let frame_of = |number: u32| 0x1f | ((u64::from(number) & 0xffff) << 5);
    let count = 500_000;
    let mut content = vec![0; 100];
    let (mut held, mut bits) = (0_u64, 0);
    for number in 1..=count {
        held |= frame_of(number) << bits;
        bits += 21;
        while bits >= 8 {
            content.push(held as u8);
            (held, bits) = (held >> 8, bits - 8);
        }
    }
    content.push(held as u8);
    let index = Frames::Native { first: 100, bits: 21, count, stated: count };
    assert_eq!(index.validate(content.len() as u64), Ok(()));
    // One whose bits lie in two chunks.
    let lies_across = |number: &u32| {
        let bytes = index.extent(*number).unwrap().bytes;
        bytes.start < MIB as u64 && bytes.end > MIB as u64
    };
    let across = (1..=count).find(lies_across).unwrap();
    let sealed = sealed_content(content, index);
    let (server, _) = sealed.serve_ranges(as_it_is).await;
    let record = sealed.open(&server, &[1]);
    for number in [1, 2, 3, 4, 5, 6, 7, 8, 9, across, count] {
        let (written, bytes, _) = read(&server, &record, Part::Frame(number)).await;
        assert_eq!(written.unwrap(), 3);
        assert_eq!(bytes, frame_of(number).to_le_bytes()[..3], "{number}");
    }
}

#[tokio::test]
async fn a_false_frame_index_leads_to_an_error() {
    let content = vec![5; 2 * MIB];
    let lie = Frames::Encapsulated { first: 0, lengths: vec![500; 4096], stated: 4096 };
    let sealed = sealed_content(content, lie);
    let (server, _) = sealed.serve_ranges(as_it_is).await;
    let record = sealed.open(&server, &[1]);
    for frame in [1, 2100, 4096] {
        let error = read(&server, &record, Part::Frame(frame)).await.0.unwrap_err();
        assert!(matches!(error, ReadError::NotFragments { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_damaged_chunk_is_fetched_again_from_the_worker_itself() {
    let sealed = sealed(3 * MIB);
    // The storage behind the worker sends a wrong chunk, or a wrong tag; the worker does not.
    let alters: [storage::Alter; 2] = [
        |_, path, mut answer| {
            if !path.contains("via=worker") && body(&answer).len() > 1000 {
                *answer.last_mut().unwrap() ^= 1;
            }
            answer
        },
        |_, path, mut answer| {
            if !path.contains("via=worker") && body(&answer).len() < 1000 {
                *answer.last_mut().unwrap() ^= 1;
            }
            answer
        },
    ];
    for alter in alters {
        let (server, log) = sealed.serve_ranges(alter).await;
        let record = sealed.open(&server, &[1]);
        let (read, bytes, _) = read(&server, &record, Part::Range(10..MIB as u64)).await;
        read.unwrap();
        assert!(bytes == sealed.content[10..MIB]);
        let asked = log.asked.lock().unwrap();
        assert!(asked.iter().any(|path| path.ends_with("via=worker")), "{asked:?}");
    }
    let everywhere: storage::Alter = |_, _, mut answer| {
        *answer.last_mut().unwrap() ^= 1;
        answer
    };
    let (server, _) = sealed.serve_ranges(everywhere).await;
    let record = sealed.open(&server, &[1]);
    let (read, bytes, _) = read(&server, &record, Part::Range(10..MIB as u64)).await;
    assert!(matches!(read, Err(ReadError::Open { .. })));
    assert!(bytes.is_empty());
}

#[tokio::test]
async fn a_saved_part_gets_its_name_only_when_it_is_complete() {
    let sealed = sealed(3 * MIB);
    let (server, _) = sealed.serve_ranges(as_it_is).await;
    let record = sealed.open(&server, &[1]);
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("part");
    let worker = worker(&server);
    let fetcher = Fetcher::new(&worker, None, &record, 1, &|_| {}).unwrap();
    let part = Part::Range(MIB as u64 - 5..2 * MIB as u64 + 5);
    let saved = fetcher.save_part(&part, &to).await.unwrap();
    let expected = &sealed.content[MIB - 5..2 * MIB + 5];
    assert_eq!((saved.bytes, saved.blake3), (expected.len() as u64, blake3::hash(expected).into()));
    assert!(std::fs::read(&to).unwrap() == expected);
    assert!(matches!(fetcher.save_part(&part, &to).await, Err(ReadError::Exists(_))));
    // If the system cannot check whether a file exists, that is not taken for an existing file.
    let long = folder.path().join("x".repeat(256));
    assert!(matches!(fetcher.save_part(&part, &long).await, Err(ReadError::File { .. })));

    let second: storage::Alter =
        |_, _, answer| if body(&answer).len() > 1000 { Vec::new() } else { answer };
    let (server, _) = sealed.serve_ranges(second).await;
    let record = sealed.open(&server, &[1]);
    let worker = super::worker(&server);
    let fetcher = Fetcher::new(&worker, None, &record, 1, &|_| {}).unwrap();
    fetcher.save_part(&part, &folder.path().join("other")).await.unwrap_err();
    assert_eq!(names(&folder), 1);
}
