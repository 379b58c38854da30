//! The goal: a record takes fewer bytes on chain than its plaintext.

use codec::Encode;
use epione_envelope::{keys::PatientKeys, record::SectionKind};

use crate::fixture::{VISIT, seal_visit, stated};

/// Bytes of the plaintext and of the record.
fn sizes(texts: &[String]) -> (usize, usize) {
    let visit: Vec<_> =
        texts.iter().map(|text| stated(SectionKind::Report, text.as_bytes())).collect();
    let record = seal_visit(&visit, &PatientKeys::generate()).0;
    (texts.iter().map(String::len).sum(), record.encoded_size())
}

#[test]
fn a_fhir_visit_is_smaller_on_chain_than_its_plaintext() {
    let (plaintext, sealed) = sizes(&[VISIT.into()]);
    println!("indented, one section: {plaintext} bytes of FHIR are {sealed} on chain");
    assert!(sealed < plaintext / 2);

    let bundle: serde_json::Value = serde_json::from_str(VISIT).unwrap();
    let (plaintext, sealed) = sizes(&[bundle.to_string()]);
    println!("minified, one section: {plaintext} bytes of FHIR are {sealed} on chain");
    assert!(sealed < plaintext);
}

#[test]
fn a_fhir_visit_with_one_section_per_resource_is_smaller_on_chain_too() {
    let bundle: serde_json::Value = serde_json::from_str(VISIT).unwrap();
    let resources: Vec<_> = bundle["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| serde_json::to_string_pretty(&entry["resource"]).unwrap())
        .collect();
    let (plaintext, sealed) = sizes(&resources);
    println!("{} sections: {plaintext} bytes of FHIR are {sealed} on chain", resources.len());
    assert!(sealed < plaintext);
}
