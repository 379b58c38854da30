use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;
use crate::lite::{Checked, check, made};

const GENESIS: Hash = Hash::repeat_byte(6);
const PAGE: usize = 10;

fn source(height: u32) -> Source {
    let hash = Hash::repeat_byte(9);
    Source { number: height * 2, hash, time: 1_800_000_000_000, height, proven: true }
}

/// A file with so many blocks, written in pages.
fn file(blocks: u32) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lite.sqlite");
    let mut store = Store::create(&path, GENESIS).unwrap();
    for page in made::chain(blocks).chunks(PAGE) {
        store.append(page, &source(blocks)).unwrap();
    }
    (folder, path)
}

/// Changes the file as somebody could who may write to it.
fn tamper(path: &Path, change: &str) {
    let changed = connect(path).unwrap().execute_batch(change);
    changed.unwrap();
}

fn checked(path: &Path) -> Checked {
    check(&Store::open(path).unwrap(), |_, _| {}).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_is_written_is_read_again() {
    let (_folder, path) = file(25);
    let store = Store::open(&path).unwrap();
    let blocks = made::chain(25);
    assert_eq!(store.height().unwrap(), 25);
    for block in &blocks {
        assert_eq!(store.block(block.header.height).unwrap().as_ref(), Some(block));
    }
    assert_eq!(store.block(26).unwrap(), None);
    let patient = blocks[24].entries[0].patient;
    let records = store.records_of(patient).unwrap();
    assert_eq!(store.newest(patient).unwrap(), records.first().copied());
    assert!(records.is_sorted_by(|one, next| one > next));
    let status = store.status().unwrap();
    let all: usize = blocks.iter().map(|block| block.entries.len()).sum();
    assert_eq!((status.genesis, status.height, status.source), (GENESIS, 25, source(25)));
    assert_eq!((status.records, status.sealed_records), (all as u64, 0));
    assert!(status.synced_at > 0 && status.bytes > 0);
}

#[test]
fn a_file_whose_copy_was_interrupted_is_right_and_not_called_complete() {
    let (_folder, path) = file(25);
    assert_eq!(checked(&path).complete_at, Some(50));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lite.sqlite");
    let mut store = Store::create(&path, GENESIS).unwrap();
    assert_eq!(checked(&path).complete_at, None, "nothing was copied yet");
    store.append(&made::chain(20)[..PAGE], &source(20)).unwrap();
    let Checked { height, complete_at, wrong, .. } = checked(&path);
    assert_eq!((height, complete_at, wrong), (10, None, None));
}

#[test]
fn a_whole_file_is_checked_with_progress() {
    let (_folder, path) = file(300);
    let mut seen = Vec::new();
    let store = Store::open(&path).unwrap();
    let checked = check(&store, |height, newest| seen.push((height, newest))).unwrap();
    assert_eq!((checked.height, checked.wrong), (300, None));
    assert_eq!(seen, [(256, 300), (300, 300)]);
}

#[test]
fn what_another_process_adds_during_a_check_does_not_make_the_file_wrong() {
    let (_folder, path) = file(300);
    let blocks = made::chain(301);
    let mut writer = Store::create(&path, GENESIS).unwrap();
    let reader = Store::open(&path).unwrap();
    let add = |height: u32, _: u32| {
        if height == 256 {
            writer.append(&blocks[300..], &source(301)).unwrap();
        }
    };
    let checked = check(&reader, add).unwrap();
    assert_eq!((checked.height, checked.wrong), (300, None));
    assert_eq!(checked.hashes, blocks[299].hashes);
    assert_eq!(reader.height().unwrap(), 301);
}

#[test]
fn ten_thousand_blocks_are_written_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lite.sqlite");
    let blocks = made::chain(10_000);
    let mut store = Store::create(&path, GENESIS).unwrap();
    for page in blocks.chunks(64) {
        store.append(page, &source(10_000)).unwrap();
    }
    let checked = check(&store, |_, _| {}).unwrap();
    assert_eq!((checked.height, checked.wrong), (10_000, None));
}

#[test]
fn only_its_owner_may_read_the_file() {
    let (_folder, path) = file(1);
    assert_eq!(mode(&path), private::FILE);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let mut store = Store::create(&path, GENESIS).unwrap();
    assert_eq!(mode(&path), private::FILE);
    store.touch(&source(1)).unwrap();
    for suffix in ["-wal", "-shm", ".lock"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        assert_eq!(mode(Path::new(&name)), private::FILE, "{suffix}");
    }
}

#[test]
fn the_file_of_another_chain_of_another_program_or_of_a_newer_one_is_refused() {
    let (folder, path) = file(3);
    let other = Hash::repeat_byte(7);
    let refused = Store::create(&path, other).unwrap_err();
    assert!(matches!(refused, LiteError::OtherChain { asked, .. } if asked == other), "{refused}");

    tamper(&path, "PRAGMA user_version = 9");
    let newer = Store::open(&path).unwrap_err();
    assert!(matches!(newer, LiteError::Newer { found: 9, known: 1, .. }), "{newer}");
    Store::create(&path, GENESIS).unwrap_err();

    let foreign = folder.path().join("photos.sqlite");
    fs::write(&foreign, "").unwrap();
    tamper(&foreign, "CREATE TABLE photos (name TEXT)");
    let text = folder.path().join("letter.txt");
    fs::write(&text, "Dear Sir or Madam, this letter is long enough to be no database.").unwrap();
    for path in [foreign, text] {
        let before = fs::read(&path).unwrap();
        for refused in [Store::open(&path), Store::create(&path, GENESIS)] {
            let refused = refused.unwrap_err();
            assert!(matches!(refused, LiteError::Foreign { .. }), "{refused}");
        }
        assert_eq!(fs::read(&path).unwrap(), before);
    }
    let empty = folder.path().join("empty.sqlite");
    fs::write(&empty, "").unwrap();
    for path in [folder.path().join("none.sqlite"), empty] {
        let nothing = Store::open(&path).unwrap_err();
        assert!(matches!(nothing, LiteError::Missing { .. }), "{nothing}");
    }
}

#[test]
fn no_planted_link_is_followed() {
    let (folder, path) = file(1);
    let link = folder.path().join("link.sqlite");
    symlink(&path, &link).unwrap();
    for refused in [Store::open(&link), Store::create(&link, GENESIS)] {
        assert!(matches!(refused.unwrap_err(), LiteError::Io { .. }));
    }
}

#[test]
fn one_process_writes_and_others_read_meanwhile() {
    let (_folder, path) = file(20);
    let mut store = Store::create(&path, GENESIS).unwrap();
    let second = Store::create(&path, GENESIS).unwrap_err();
    assert!(matches!(second, LiteError::InUse { .. }), "{second}");
    let mut reader = Store::open(&path).unwrap();
    store.append(&made::chain(21)[20..], &source(21)).unwrap();
    assert_eq!(reader.height().unwrap(), 21);
    reader.touch(&source(21)).unwrap_err();
    drop(store);
    Store::create(&path, GENESIS).unwrap();
}

/// Copies the files of a database as a process that is killed now would leave them. `lost` bytes at the end of the log
/// did not reach the disk.
fn killed(path: &Path, lost: usize) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let left = folder.path().join("lite.sqlite");
    fs::copy(path, &left).unwrap();
    let log = |path: &Path| path.with_extension("sqlite-wal");
    let mut bytes = fs::read(log(path)).unwrap();
    bytes.truncate(bytes.len().saturating_sub(lost));
    fs::write(log(&left), bytes).unwrap();
    (folder, left)
}

#[test]
fn a_process_that_is_killed_in_the_middle_leaves_whole_pages_from_which_the_next_one_continues() {
    let (_folder, path) = file(0);
    let blocks = made::chain(50);
    let mut store = Store::create(&path, GENESIS).unwrap();
    for page in blocks[..40].chunks(PAGE) {
        store.append(page, &source(50)).unwrap();
    }
    let unfinished = store.connection.transaction().unwrap();
    insert(&unfinished, &blocks[40]).unwrap();
    for lost in [0, 1, 3_000, 50_000, 100_000] {
        let (_left, left) = killed(&path, lost);
        let mut next = Store::create(&left, GENESIS).unwrap();
        let height = next.height().unwrap();
        assert_eq!(height as usize % PAGE, 0, "{lost} bytes lost: {height}");
        assert!(lost > 0 || height == 40);
        assert_eq!(check(&next, |_, _| {}).unwrap().wrong, None);
        let mut tip = next.tip().unwrap();
        for block in &blocks[height as usize..] {
            for entry in &block.entries {
                if !tip.knows(&entry.patient) {
                    tip.learn(entry.patient, next.newest(entry.patient).unwrap());
                }
            }
            tip.advance(block).unwrap();
        }
        next.append(&blocks[height as usize..], &source(50)).unwrap();
        assert_eq!(check(&next, |_, _| {}).unwrap().height, 50);
    }
}

#[test]
fn an_altered_file_is_found_at_the_first_wrong_height() {
    for (change, height) in [
        ("UPDATE blocks SET lite = zeroblob(32) WHERE height = 7", 7),
        ("UPDATE blocks SET header = zeroblob(20) WHERE height = 8", 8),
        (
            "UPDATE blocks SET entries = (SELECT entries FROM blocks WHERE height = 3) WHERE height = 9",
            9,
        ),
        (
            "UPDATE blocks SET ballot = (SELECT ballot FROM blocks WHERE height = 3) WHERE height = 9",
            9,
        ),
        ("DELETE FROM blocks WHERE height = 12", 12),
        ("DELETE FROM records WHERE height = 13 AND position = 0", 13),
        ("UPDATE records SET patient = zeroblob(32) WHERE height = 14 AND position = 0", 14),
        ("INSERT INTO records VALUES (15, 9, zeroblob(32))", 15),
        ("INSERT INTO records VALUES (99, 0, zeroblob(32))", 21),
        ("INSERT INTO sealed_records VALUES (5, 0, x'00')", 5),
        ("INSERT INTO sealed_records VALUES (6, 9, x'00')", 6),
        ("INSERT INTO sealed_records VALUES (99, 0, x'00')", 21),
    ] {
        let (_folder, path) = file(20);
        tamper(&path, change);
        let checked = checked(&path);
        let wrong = checked.wrong.unwrap_or_else(|| panic!("{change}"));
        assert_eq!(wrong.height, height, "{change}: {wrong}");
        assert_eq!(checked.height, height - 1, "{change}");
    }
}

#[test]
fn a_truncated_file_is_reported_as_damaged() {
    let (_folder, path) = file(300);
    let whole = fs::read(&path).unwrap();
    for length in [whole.len() - 4_096, whole.len() / 2, 5_000] {
        fs::write(&path, &whole[..length]).unwrap();
        let found = Store::open(&path).and_then(|store| check(&store, |_, _| {}));
        let error = found.unwrap_err();
        assert!(matches!(error, LiteError::Damaged { .. }), "{length}: {error}");
        assert!(error.to_string().contains("lite.sqlite"), "{error}");
    }
}

#[test]
fn a_sealed_record_must_be_the_one_that_its_entry_names() {
    let (_folder, path) = file(20);
    let mut store = Store::create(&path, GENESIS).unwrap();
    let at = RecordPointer { height: 7, index: 1 };
    store.keep_record(at, b"sealed 7 1").unwrap();
    assert!(store.has_record(at).unwrap());
    assert_eq!(checked(&path).sealed_records, 1);
    store.keep_record(at, b"sealed 7 2").unwrap();
    let wrong = checked(&path).wrong.unwrap();
    assert_eq!(wrong.height, 7);
    assert!(matches!(wrong.fault, Fault::Record { index: 1, what: "its hash" }), "{wrong}");
}

#[test]
fn a_node_that_is_behind_does_not_make_the_file_older_and_an_unproven_page_is_remembered() {
    let (_folder, path) = file(20);
    let mut store = Store::create(&path, GENESIS).unwrap();
    store.touch(&source(19)).unwrap();
    assert_eq!(store.status().unwrap().source, source(20));
    store.touch(&Source { proven: false, ..source(19) }).unwrap();
    store.touch(&source(22)).unwrap();
    assert_eq!(store.status().unwrap().source, Source { proven: false, ..source(22) });
}

#[test]
fn users_and_sealed_profiles_are_kept() {
    let (_folder, path) = file(1);
    let mut store = Store::create(&path, GENESIS).unwrap();
    let (account, user) = (AccountId::new([7; 32]), UserId([1; 32]));
    assert_eq!(store.user_of(&account).unwrap(), None);
    store.keep_user(&account, user).unwrap();
    assert_eq!(store.user_of(&account).unwrap(), Some(user));
    for number in 1..=2_u8 {
        let hash = Hash::repeat_byte(number);
        assert!(!store.has_profile(hash).unwrap());
        store.keep_profile(user, HospitalId(3), hash, &[number]).unwrap();
        store.keep_profile(user, HospitalId(3), hash, &[number]).unwrap();
        assert!(store.has_profile(hash).unwrap());
    }
    let profiles = store.profiles(user).unwrap();
    assert_eq!(profiles, [(HospitalId(3), vec![2]), (HospitalId(3), vec![1])]);
    assert_eq!(store.profiles(UserId([2; 32])).unwrap(), []);
}
