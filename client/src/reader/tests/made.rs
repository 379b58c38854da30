//! The files in `samples/dicom`, which pydicom wrote: each is sealed, and its frames are read back. The expected frames
//! were recorded when the files were made (`scripts/make-dicom-inputs`).

use std::{collections::BTreeMap, fs, path::Path};

use epione_envelope::frames::{NoFrame, NoFrames};
use serde::Deserialize;
use sp_runtime::traits::{BlakeTwo256, Hash as _};

use super::{storage::as_it_is, *};
use crate::{dicom, reader::part::Part};

#[derive(Deserialize)]
#[serde(untagged)]
enum Expected {
    /// The BLAKE2b of each complete frame, and the number of frames that the file states.
    Frames {
        frames: Vec<String>,
        stated: u32,
    },
    None {
        none: NoFrames,
    },
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../samples/dicom"))
}

fn expected() -> BTreeMap<String, Expected> {
    serde_json::from_slice(&fs::read(folder().join("frames.json")).unwrap()).unwrap()
}

#[test]
fn every_sample_has_expected_frames_and_every_expected_file_exists() {
    let names = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.retain(|name| name.ends_with(".dcm"));
    names.sort();
    assert_eq!(names, expected().into_keys().collect::<Vec<_>>());
    assert!(names.len() > 50);
}

#[tokio::test]
async fn every_frame_of_a_sample_is_read_or_refused_with_the_reason() {
    for (name, expected) in expected() {
        let content = fs::read(folder().join(&name)).unwrap();
        let index = dicom::inspect(content.as_slice()).unwrap().frames;
        let sealed = sealed_content(content, index.clone());
        let (server, log) = sealed.serve_ranges(as_it_is).await;
        let record = sealed.open(&server, &[1]);
        let worker = worker(&server);
        let fetcher = Fetcher::new(&worker, None, &record, 1, &|_| {}).unwrap();
        let read = async |number| {
            let mut frame = Vec::new();
            let read = fetcher.read(&Part::Frame(number), &mut frame, |_| {}).await;
            read.map(|_| hex::encode(BlakeTwo256::hash(&frame)))
        };
        match expected {
            Expected::None { none } => {
                assert_eq!(index, Frames::None(none), "{name}");
                let error = read(1).await.unwrap_err();
                assert!(error.to_string().ends_with(&none.to_string()), "{name}: {error}");
                assert_eq!(log.sent.load(std::sync::atomic::Ordering::SeqCst), 0);
            }
            Expected::Frames { frames, stated } => {
                let count = frames.len() as u32;
                assert_eq!((index.count(), index.stated()), (count, stated), "{name}: {index:?}");
                for (number, frame) in (1..).zip(&frames) {
                    assert_eq!(read(number).await.unwrap(), *frame, "{name}: frame {number}");
                }
                let beyond = match read(count + 1).await.unwrap_err() {
                    ReadError::NoFrame { reason, .. } => reason,
                    other => panic!("{name}: {other}"),
                };
                let cut = NoFrame::NotWhole { count, stated };
                let none = NoFrame::Beyond { count };
                assert_eq!(beyond, if count < stated { cut } else { none }, "{name}");
            }
        }
    }
}
