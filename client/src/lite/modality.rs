//! The imaging modality of a section, as far as its description says it. The DICOM attribute (0008,0060) is in the
//! media, which are not in the file. So the modality is known from a FHIR `ImagingStudy` of the record, or from a word
//! in the name of a DICOM file.

use std::collections::BTreeSet;

use epione_envelope::record::Description;
use serde_json::Value;

/// The defined terms of DICOM PS3.3 C.7.3.1.1.1 for images that hospitals exchange.
const TERMS: [&str; 30] = [
    "BI", "CR", "CT", "DG", "DX", "ECG", "EEG", "ES", "GM", "IO", "IVOCT", "IVUS", "LS", "MG",
    "MR", "NM", "OAM", "OCT", "OP", "OPT", "PT", "PX", "RF", "RG", "SM", "TG", "US", "XA", "XC",
    "SEG",
];
/// How deep a bundle of FHIR resources is searched.
const MAX_DEPTH: usize = 8;
/// Longest code that is read from a FHIR resource.
const MAX_CODE_BYTES: usize = 16;
/// Most codes that are read from a FHIR resource.
const MAX_CODES: usize = 16;

/// Media type of a FHIR resource in JSON.
const FHIR: &str = "application/fhir+json";
const DICOM: &str = "application/dicom";

/// The modalities that a text states, if it is a FHIR resource.
pub fn stated(description: &Description, text: &[u8]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    if essence(&description.media_type).eq_ignore_ascii_case(FHIR)
        && let Ok(resource) = serde_json::from_slice::<Value>(text)
    {
        read_resource(&resource, 0, &mut found);
    }
    found
}

/// Whether a section is a DICOM file.
pub fn is_dicom(description: &Description) -> bool {
    essence(&description.media_type).eq_ignore_ascii_case(DICOM)
}

/// The modality that the name of a DICOM file states.
pub fn named(description: &Description) -> Option<&'static str> {
    if !is_dicom(description) {
        return None;
    }
    let mut words = description.file_name.split(|c: char| !c.is_ascii_alphanumeric());
    words.find_map(|word| TERMS.into_iter().find(|term| term.eq_ignore_ascii_case(word)))
}

/// A media type without its parameters.
fn essence(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or_default().trim()
}

fn read_resource(resource: &Value, depth: usize, found: &mut BTreeSet<String>) {
    if depth > MAX_DEPTH {
        return;
    }
    if resource["resourceType"] == "ImagingStudy" {
        read_codes(&resource["modality"], depth, found);
        for series in list(&resource["series"]) {
            read_codes(&series["modality"], depth, found);
        }
    }
    for entry in list(&resource["entry"]) {
        read_resource(&entry["resource"], depth + 1, found);
    }
    for contained in list(&resource["contained"]) {
        read_resource(contained, depth + 1, found);
    }
}

/// Reads a `Coding`, a `CodeableConcept`, or a list of them: the versions of FHIR differ.
fn read_codes(value: &Value, depth: usize, found: &mut BTreeSet<String>) {
    if depth > MAX_DEPTH || found.len() >= MAX_CODES {
        return;
    }
    if let Some(code) = value["code"].as_str().filter(|code| code.len() <= MAX_CODE_BYTES) {
        found.insert(code.to_ascii_uppercase());
    }
    for coding in list(&value["coding"]).iter().chain(list(value)) {
        read_codes(coding, depth + 1, found);
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use epione_envelope::record::SectionKind;

    use super::*;

    fn described(media_type: &str, file_name: &str) -> Description {
        Description::of(SectionKind::Media, media_type, file_name, b"").unwrap()
    }

    fn codes(json: &str) -> Vec<String> {
        stated(&described(FHIR, ""), json.as_bytes()).into_iter().collect()
    }

    #[test]
    fn the_name_of_a_dicom_file_may_state_the_modality() {
        let named = |name| named(&described(DICOM, name));
        assert_eq!(named("CT_small.dcm"), Some("CT"));
        assert_eq!(named("thorax-mr.2.dcm"), Some("MR"));
        for none in ["doctor.dcm", "ctscan.dcm", "", "scan.dcm"] {
            assert_eq!(named(none), None, "{none}");
        }
        assert_eq!(super::named(&described("text/plain", "CT.txt")), None);
    }

    #[test]
    fn an_imaging_study_states_its_modalities_in_every_version_of_fhir() {
        let r4 = r#"{"resourceType":"ImagingStudy","modality":[{"code":"CT"},{"code":"PT"}]}"#;
        assert_eq!(codes(r4), ["CT", "PT"]);
        let r5 =
            r#"{"resourceType":"ImagingStudy","series":[{"modality":{"coding":[{"code":"mr"}]}}]}"#;
        assert_eq!(codes(r5), ["MR"]);
        let bundle = format!(r#"{{"resourceType":"Bundle","entry":[{{"resource":{r4}}}]}}"#);
        assert_eq!(codes(&bundle), ["CT", "PT"]);
        assert_eq!(codes(r#"{"resourceType":"Patient","modality":[{"code":"CT"}]}"#), [""; 0]);
    }

    #[test]
    fn a_hostile_resource_states_nothing_and_ends() {
        let mut nested =
            String::from(r#"{"resourceType":"ImagingStudy","modality":[{"code":"CT"}]}"#);
        for _ in 0..40 {
            nested = format!(r#"{{"resourceType":"Bundle","entry":[{{"resource":{nested}}}]}}"#);
        }
        assert_eq!(codes(&nested), [""; 0]);
        let long = format!(
            r#"{{"resourceType":"ImagingStudy","modality":{{"code":"{}"}}}}"#,
            "x".repeat(99)
        );
        assert_eq!(codes(&long), [""; 0]);
        assert_eq!(codes("no json"), [""; 0]);
        let many: Vec<_> = (0..1_000).map(|number| format!(r#"{{"code":"X{number}"}}"#)).collect();
        let many = many.join(",");
        let many = format!(r#"{{"resourceType":"ImagingStudy","modality":[{many}]}}"#);
        assert_eq!(codes(&many).len(), MAX_CODES);
    }
}
