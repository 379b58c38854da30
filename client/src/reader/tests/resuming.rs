//! Downloads that are interrupted and resumed: within a segment, within a process, and by a later process.

use std::{
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
    sync::atomic::Ordering::SeqCst,
};

use super::{
    storage::{as_it_is, body},
    *,
};
use crate::reader::{fetcher::AHEAD, part::Part};

/// A change of a partial file between two runs.
type Change = fn(&mut Vec<u8>);
/// Puts something in the place of the partial file; the second path is a file in another folder.
type Arrange<'a> = &'a dyn Fn(&Path, &Path);

/// The one partial file in a folder.
fn partial(folder: &tempfile::TempDir) -> PathBuf {
    let paths = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let mut partial = paths.filter(|path| path.extension().is_some_and(|it| it == "partial"));
    let found = partial.next().unwrap();
    assert!(partial.next().is_none());
    found
}

/// The partial file of an interrupted download of three segments: the first two.
async fn interrupted(sealed: &Sealed, folder: &tempfile::TempDir) -> PathBuf {
    let mut half = Sealed { segments: sealed.segments.clone(), ..sealed_like(sealed) };
    half.segments.get_mut(&sealed.record.segments()[2].hash).unwrap()[0] ^= 1;
    let (server, _) = half.serve_ranges(as_it_is).await;
    let (saved, to) = save(&server, &half.open(&server, &[1]), 1, folder).await;
    saved.unwrap_err();
    assert!(!to.exists());
    partial(folder)
}

#[tokio::test]
async fn after_a_broken_connection_only_the_missing_bytes_are_sent_again() {
    let sealed = sealed(10 * MIB);
    // Every second answer ends in the middle.
    let (server, log) = sealed
        .serve_ranges(|number, _, mut answer| {
            if number % 2 == 1 {
                answer.truncate(answer.len() - body(&answer).len() / 2);
            }
            answer
        })
        .await;
    let folder = tempfile::tempdir().unwrap();
    let (saved, to) = save(&server, &sealed.open(&server, &[1]), 1, &folder).await;
    saved.unwrap();
    assert!(std::fs::read(to).unwrap() == sealed.content);
    let sealed_bytes: usize = sealed.segments.values().map(Vec::len).sum();
    let tags = 10 * 16;
    assert_eq!(log.sent.load(SeqCst), sealed_bytes + tags);
    assert!(log.most.load(SeqCst) <= AHEAD);
    assert_eq!(names(&folder), 1);
}

#[tokio::test]
async fn segments_are_fetched_in_parallel_but_only_a_few_ahead() {
    let sealed = sealed(26 * MIB);
    let (server, log) = sealed.serve_ranges(as_it_is).await;
    let folder = tempfile::tempdir().unwrap();
    save(&server, &sealed.open(&server, &[1]), 1, &folder).await.0.unwrap();
    assert_eq!(log.most.load(SeqCst), AHEAD);
}

#[tokio::test]
async fn a_download_resumes_where_an_earlier_process_was_killed() {
    let sealed = sealed(10 * MIB);
    let folder = tempfile::tempdir().unwrap();
    let left = interrupted(&sealed, &folder).await;
    let metadata = left.metadata().unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    assert_eq!(metadata.len(), 8 * MIB as u64);

    let (server, log) = sealed.serve_ranges(as_it_is).await;
    let (saved, to) = save(&server, &sealed.open(&server, &[1]), 1, &folder).await;
    assert_eq!(saved.unwrap().blake3, *blake3::hash(&sealed.content).as_bytes());
    assert!(std::fs::read(&to).unwrap() == sealed.content);
    assert_eq!(names(&folder), 1);
    assert_eq!(to.metadata().unwrap().nlink(), 1);
    // The last segment, and the tags: once for what was there, once for what was not.
    let last = sealed.record.segments()[2].length as usize;
    assert_eq!(log.sent.load(SeqCst), last + 10 * 16 + 2 * 16);
}

/// Cancels a read, as Ctrl-C does, once a file of the folder has bytes.
async fn cancel<T>(read: impl Future<Output = T>, folder: &tempfile::TempDir) {
    let written = async {
        let has_bytes = |entry: std::io::Result<std::fs::DirEntry>| {
            entry.unwrap().metadata().is_ok_and(|metadata| metadata.len() > 0)
        };
        while !std::fs::read_dir(folder.path()).unwrap().any(has_bytes) {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        () = written => {}
        _ = read => panic!("the read ended before it was canceled"),
    }
}

#[tokio::test]
async fn a_canceled_download_resumes_and_a_canceled_part_leaves_nothing() {
    let sealed = sealed(26 * MIB);
    let (server, _) = sealed.serve_ranges(as_it_is).await;
    let record = sealed.open(&server, &[1]);
    let worker = worker(&server);
    let fetcher = Fetcher::new(&worker, None, &record, 1, &|_| {}).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let part = Part::Range(7..25 * MIB as u64);
    cancel(fetcher.save_part(&part, &folder.path().join("part.dcm")), &folder).await;
    assert_eq!(names(&folder), 0);

    cancel(fetcher.save(&folder.path().join("saved.dcm")), &folder).await;
    assert_eq!(names(&folder), 1);
    assert!(partial(&folder).metadata().unwrap().len() > 0);
    let (saved, to) = save(&server, &record, 1, &folder).await;
    saved.unwrap();
    assert!(std::fs::read(to).unwrap() == sealed.content);
}

#[tokio::test]
async fn only_the_right_chunks_of_a_partial_file_are_kept() {
    let sealed = sealed(10 * MIB);
    let changes: [(Change, usize); 6] = [
        (|left| left[5 * MIB + 3] ^= 1, 5),
        (|left| left[0] ^= 1, 0),
        (|left| left.truncate(6 * MIB + 77), 6),
        (Vec::clear, 0),
        (|left| left.swap_with_slice(&mut vec![7; 8 * MIB]), 0),
        (|left| left.resize(12 * MIB, 0), 8),
    ];
    for (change, right) in changes {
        let folder = tempfile::tempdir().unwrap();
        let left = interrupted(&sealed, &folder).await;
        let mut bytes = std::fs::read(&left).unwrap();
        change(&mut bytes);
        std::fs::write(&left, &bytes).unwrap();
        let (server, log) = sealed.serve_ranges(as_it_is).await;
        let (saved, to) = save(&server, &sealed.open(&server, &[1]), 1, &folder).await;
        saved.unwrap();
        assert!(std::fs::read(&to).unwrap() == sealed.content, "{right}");
        assert_eq!(names(&folder), 1);
        // Whole segments are fetched: from the one with the first chunk that is missing.
        let segments = &sealed.record.segments()[right / 4..];
        let fetched: usize = segments.iter().map(|segment| segment.length as usize).sum();
        let sent = log.sent.load(SeqCst);
        assert!((fetched..fetched + 3 * 10 * 16).contains(&sent), "{right}: {sent}");
    }
}

#[tokio::test]
async fn a_complete_partial_file_is_not_fetched_again() {
    let sealed = sealed(17 * MIB);
    let folder = tempfile::tempdir().unwrap();
    let (server, log) = sealed.serve_ranges(as_it_is).await;
    let record = sealed.open(&server, &[1]);
    let (_, to) = save(&server, &record, 1, &folder).await;
    let object_id = record.content_of(1).unwrap().object_id;
    let name = format!("saved.dcm.{}.partial", hex::encode(&object_id[..8]));
    std::fs::rename(&to, folder.path().join(name)).unwrap();
    let before = log.sent.load(SeqCst);
    save(&server, &record, 1, &folder).await.0.unwrap();
    assert!(std::fs::read(&to).unwrap() == sealed.content);
    assert_eq!(log.sent.load(SeqCst) - before, 17 * 16);
}

#[tokio::test]
async fn a_partial_file_of_another_record_is_left_alone() {
    let (one, other) = (sealed(10 * MIB), sealed(MIB));
    let folder = tempfile::tempdir().unwrap();
    let left = interrupted(&one, &folder).await;
    let (server, _) = other.serve_ranges(as_it_is).await;
    save(&server, &other.open(&server, &[1]), 1, &folder).await.0.unwrap();
    assert_eq!(left.metadata().unwrap().len(), 8 * MIB as u64);
}

#[tokio::test]
async fn a_partial_file_that_other_users_could_read_or_replace_is_refused() {
    let sealed = sealed(MIB);
    let (server, _) = sealed.serve_ranges(as_it_is).await;
    let record = sealed.open(&server, &[1]);
    let object_id = record.content_of(1).unwrap().object_id;
    let name = format!("saved.dcm.{}.partial", hex::encode(&object_id[..8]));
    let readable = |path: &Path, _: &Path| {
        std::fs::write(path, b"").unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    };
    let linked = |path: &Path, elsewhere: &Path| symlink(elsewhere, path).unwrap();
    let second = |path: &Path, elsewhere: &Path| std::fs::hard_link(elsewhere, path).unwrap();
    let arrangements: [Arrange<'_>; 3] = [&readable, &linked, &second];
    for arrange in arrangements {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let elsewhere = other.path().join("elsewhere");
        std::fs::write(&elsewhere, b"untouched").unwrap();
        std::fs::set_permissions(&elsewhere, std::fs::Permissions::from_mode(0o600)).unwrap();
        arrange(&folder.path().join(&name), &elsewhere);
        let (saved, to) = save(&server, &record, 1, &folder).await;
        let error = saved.unwrap_err();
        assert!(matches!(error, ReadError::File { .. }), "{error}");
        assert!(!to.exists());
        assert_eq!(std::fs::read(&elsewhere).unwrap(), b"untouched");
    }
}

#[tokio::test]
async fn two_processes_do_not_write_the_same_file() {
    let sealed = sealed(10 * MIB);
    let folder = tempfile::tempdir().unwrap();
    let left = interrupted(&sealed, &folder).await;
    let other = std::fs::File::open(&left).unwrap();
    other.lock().unwrap();
    let (server, _) = sealed.serve_ranges(as_it_is).await;
    let record = sealed.open(&server, &[1]);
    let error = save(&server, &record, 1, &folder).await.0.unwrap_err();
    assert!(matches!(error, ReadError::Busy(_)), "{error}");
    drop(other);
    save(&server, &record, 1, &folder).await.0.unwrap();
}

#[tokio::test]
async fn content_that_the_author_did_not_sign_is_not_kept() {
    let sealed = sealed(20 * MIB);
    let wrong = Sealed { segments: sealed.segments.clone(), ..sealed_like(&sealed) };
    // Tags are wrong wherever they come from, as if the hospital had sealed something else.
    let (server, _) = wrong
        .serve_ranges(|_, _, mut answer| {
            if body(&answer).len() < 1000 {
                let at = answer.len() - 1;
                answer[at] ^= 1;
            }
            answer
        })
        .await;
    let folder = tempfile::tempdir().unwrap();
    let (saved, _) = save(&server, &wrong.open(&server, &[1]), 1, &folder).await;
    assert!(matches!(saved, Err(ReadError::Open { .. })));
    assert_eq!(names(&folder), 0);
}

#[tokio::test]
async fn a_file_from_an_earlier_run_is_verified_by_what_the_author_signed() {
    let sealed = sealed(3 * MIB);
    let (server, _) = sealed.serve_ranges(as_it_is).await;
    let record = sealed.open(&server, &[1]);
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("saved.dcm");
    assert!(!crate::reader::saved(&record, 1, &to).await.unwrap());
    let (saved, to) = save(&server, &record, 1, &folder).await;
    saved.unwrap();
    assert!(crate::reader::saved(&record, 1, &to).await.unwrap());
    let mut bytes = std::fs::read(&to).unwrap();
    bytes[MIB] ^= 1;
    std::fs::write(&to, &bytes).unwrap();
    let other = crate::reader::saved(&record, 1, &to).await;
    assert!(matches!(other, Err(ReadError::Exists(_))));
}

#[tokio::test]
async fn the_progress_of_a_resumed_download_begins_with_the_kept_bytes() {
    let sealed = sealed(10 * MIB);
    let folder = tempfile::tempdir().unwrap();
    interrupted(&sealed, &folder).await;
    let (server, _) = sealed.serve_ranges(as_it_is).await;
    let record = sealed.open(&server, &[1]);
    let reported = std::sync::Mutex::new(Vec::new());
    let report = |progress: crate::Progress| reported.lock().unwrap().push(progress.done);
    let worker = worker(&server);
    let fetcher = Fetcher::new(&worker, None, &record, 1, &report).unwrap();
    fetcher.save(&folder.path().join("saved.dcm")).await.unwrap();
    drop(fetcher);
    let reported = reported.into_inner().unwrap();
    assert_eq!(reported.first(), Some(&(8 * MIB as u64)), "{reported:?}");
    assert!(reported.is_sorted());
    assert_eq!(reported.last(), Some(&(10 * MIB as u64)));
}
