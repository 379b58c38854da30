//! The files of a disclosure: its folder, the media next to it, and how large it may be.

use std::{fs, os::unix::fs::symlink, path::Path};

use super::*;
use crate::{
    chain::{ChainError, Doubt},
    disclosure::made::check_size,
};

fn pipe(path: &Path) {
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[tokio::test]
async fn a_media_file_next_to_a_disclosure_is_the_one_that_the_author_signed() {
    let case = Case::new().await;
    let file = case.make(&[0, 5]).await;
    let verified = case.verify(&file).unwrap();
    let within = tempfile::tempdir().unwrap();
    let folder = within.path().join("bundle");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join(FILE_NAME), &file).unwrap();
    assert_eq!(read(&folder).unwrap(), file);
    assert_eq!(read(&folder.join(FILE_NAME)).unwrap(), file);

    let flaw = |verified: &Verified| verified.check_media(&folder).err().map(|it| it.flaw);
    assert!(matches!(flaw(&verified), Some(Flaw::File { .. })), "it is missing");
    // The author's name for the file leads out of the folder.
    let media = folder.join("05-scan.dcm");
    fs::write(&media, SCAN).unwrap();
    assert!(flaw(&verified).is_none());
    let mut other = SCAN.to_vec();
    other[0] ^= 1;
    for wrong in [&other[..], &SCAN[1..], &[SCAN, b"."].concat(), b""] {
        fs::write(&media, wrong).unwrap();
        assert!(matches!(flaw(&verified), Some(Flaw::Media { section: MEDIA, .. })));
    }
    fs::remove_file(&media).unwrap();
    fs::write(within.path().join("elsewhere"), SCAN).unwrap();
    symlink(within.path().join("elsewhere"), &media).unwrap();
    assert!(matches!(flaw(&verified), Some(Flaw::Media { .. })));
    // A pipe, whose writer never comes.
    fs::remove_file(&media).unwrap();
    pipe(&media);
    assert!(matches!(flaw(&verified), Some(Flaw::Media { .. })));
    let in_place = within.path().join("pipe");
    fs::create_dir(&in_place).unwrap();
    pipe(&in_place.join(FILE_NAME));
    for path in [&in_place, &in_place.join(FILE_NAME)] {
        assert!(matches!(read(path).err().unwrap().flaw, Flaw::NotFile { .. }));
    }

    // The patient may show the description of an image without its file.
    let without = forged(&file, "patient", |bundle| bundle.media = SectionSet::default());
    let without = case.verify(&without).unwrap();
    assert!(flaw(&without).is_none());
    assert!(matches!(without.shown[1].content, ShownContent::Media { included: false, .. }));
    let absent = within.path().join("absent");
    assert!(matches!(read(&absent).err().unwrap().flaw, Flaw::File { .. }));
}

#[tokio::test]
async fn a_file_that_is_not_part_of_the_disclosure_is_not_left_unnoticed_in_its_folder() {
    let case = Case::new().await;
    let file = case.make(&[0, 5]).await;
    let verified = case.verify(&file).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for own in [FILE_NAME, "05-scan.dcm"] {
        fs::write(folder.path().join(own), "any").unwrap();
    }
    verified.check_folder(folder.path()).unwrap();
    for name in ["04-scan.dcm", "report.pdf", ".hidden", "05-SCAN.dcm"] {
        let other = folder.path().join(name);
        fs::write(&other, "unsigned").unwrap();
        let refused = verified.check_folder(folder.path()).err().unwrap();
        assert!(matches!(&refused.flaw, Flaw::Foreign { path } if *path == other), "{refused}");
        assert_eq!(refused.culprit, None);
        fs::remove_file(&other).unwrap();
    }
    fs::create_dir(folder.path().join("more")).unwrap();
    assert!(verified.check_folder(folder.path()).is_err());
    fs::remove_dir(folder.path().join("more")).unwrap();
    // The file of an image is part only of a disclosure that includes it.
    let without = forged(&file, "patient", |bundle| bundle.media = SectionSet::default());
    let without = case.verify(&without).unwrap();
    let flaw = without.check_folder(folder.path()).err().unwrap().flaw;
    assert!(matches!(flaw, Flaw::Foreign { .. }), "{flaw}");
}

#[tokio::test]
async fn a_disclosure_that_is_too_large_says_whether_fewer_sections_help() {
    let case = Case::new().await;
    let file = case.make(&[0]).await;
    let (bundle, ..) = decode(&file).unwrap_or_else(|flaw| panic!("{flaw}"));
    assert!(check_size(MAX_FILE_BYTES, &bundle).is_ok());
    let much = check_size(MAX_FILE_BYTES + 1, &bundle).unwrap_err();
    assert!(much.is_of_choice() && !much.to_string().contains("so old"), "{much}");
    let old = check_size(2 * MAX_FILE_BYTES, &bundle).unwrap_err();
    assert!(!old.is_of_choice() && old.to_string().contains("so old a record"), "{old}");
    // The same for a way back that no verifier accepts: the node is not named.
    let doubt = Box::new(Doubt::LongProof { what: "steps", max: 1 });
    let long = ChainError::Unproven { url: "wss://node".into(), doubt };
    let long = DisclosureError::from(long);
    assert!(matches!(long, DisclosureError::LongProof(_)) && !long.is_of_choice());
    assert!(!long.to_string().contains("wss://node"), "{long}");
    let other = ChainError::Unproven { url: "wss://node".into(), doubt: Box::new(Doubt::TooLong) };
    assert!(matches!(DisclosureError::from(other), DisclosureError::Chain(_)));
}
