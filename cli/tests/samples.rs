//! The committed sample images are those that the generator makes.

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
fn the_texts_are_fhir_resources_about_one_encounter() {
    for visit in [samples::visit_1(), samples::visit_2()] {
        assert_eq!(visit.len(), 4);
        for text in visit {
            let resource: serde_json::Value = serde_json::from_str(text.json).unwrap();
            assert!(resource["resourceType"].is_string(), "{}", text.name);
        }
    }
}
