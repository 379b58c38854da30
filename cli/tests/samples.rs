//! The sample images in the repository are those that the generator makes.

#![allow(clippy::unwrap_used)]

use std::{env, fs, path::Path};

use epione_cli::samples;

#[test]
fn the_committed_images_are_what_the_generator_makes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples");
    for sample in samples::images() {
        let path = folder.join(sample.name);
        if env::var_os("EPIONE_WRITE_SAMPLES").is_some() {
            fs::write(&path, &sample.bytes).unwrap();
        }
        assert!(fs::read(&path).unwrap() == sample.bytes, "{} differs", sample.name);
    }
}

#[test]
fn the_images_are_dicom_files() {
    for sample in samples::images() {
        assert_eq!(&sample.bytes[128..132], b"DICM", "{}", sample.name);
        assert_eq!(sample.bytes.len() % 2, 0, "{}", sample.name);
    }
}

#[test]
fn the_frames_of_the_cine_are_found() {
    let cine = samples::images().pop().unwrap();
    let inspected = epione_client::dicom::inspect(cine.bytes.as_slice()).unwrap();
    let frames = inspected.frames;
    assert_eq!(frames.count(), 8);
    let length = 72 * 96 * 3;
    let end = cine.bytes.len() as u64;
    assert_eq!(frames.extent(8).unwrap().bytes, end - length..end);
}

/// Does nothing unless scripts/fetch-samples has fetched the file.
#[test]
fn the_frames_of_a_real_cine_are_found() {
    let folder = env::var_os("EPIONE_REAL_SAMPLES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/samples"),
        Into::into,
    );
    let Ok(cine) = fs::read(folder.join("examples_ybr_color.dcm")) else { return };
    let frames = epione_client::dicom::inspect(cine.as_slice()).unwrap().frames;
    assert_eq!(frames.count(), 30);
    for number in 1..=30 {
        let frame = frames.extent(number).unwrap().bytes;
        let frame = &cine[frame.start as usize..frame.end as usize];
        // An item, and in it the start of a JPEG image.
        assert_eq!(frame[..4], [0xfe, 0xff, 0x00, 0xe0]);
        assert_eq!(frame[8..10], [0xff, 0xd8]);
    }
}

#[test]
fn the_texts_are_fhir_resources_about_one_encounter() {
    for visit in [samples::visit_1(), samples::visit_2()] {
        assert_eq!(visit.len(), 4);
        for text in visit {
            let resource: serde_json::Value = serde_json::from_str(text.json).unwrap();
            assert!(resource["resourceType"].is_string(), "{}", text.name);
        }
    }
}
