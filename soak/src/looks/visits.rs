//! The records that are read: equal visits of one patient.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use epione_primitives::RecordPointer;
use serde_json::Value;
use tokio::time::sleep;

use crate::{client::Client, people::Practice};

/// The texts of each visit, by the kind of their section.
pub const TEXTS: [(&str, &[u8]); 4] = [
    ("summary", include_bytes!("../../../samples/visit-1/encounter.json")),
    ("diagnosis", include_bytes!("../../../samples/visit-1/condition.json")),
    ("report", include_bytes!("../../../samples/visit-1/diagnostic-report.json")),
    ("prescription", include_bytes!("../../../samples/visit-1/medication-request.json")),
];
/// The image of each visit.
pub const IMAGE: &[u8] = include_bytes!("../../../samples/phantom-ct.dcm");
/// Sections of a visit.
pub const SECTIONS: usize = TEXTS.len() + 1;
/// How long the hospitals may need to commit the visits, after the worker has acknowledged the last of them.
const PATIENCE: Duration = Duration::from_secs(300);
const RETRY: Duration = Duration::from_millis(500);

/// Submits as many visits, and waits until the node has finalized their lite blocks. Returns the records.
pub async fn submit(
    client: &Client,
    practice: &Practice,
    folder: &Path,
    count: usize,
) -> anyhow::Result<Vec<RecordPointer>> {
    println!("submitting {count} visits of {} texts and an image", TEXTS.len());
    let (patient, hospital) = (practice.patient.to_string(), practice.hospital.to_string());
    let mut words: Vec<String> = ["visit", "submit", "--as", &practice.uri, "--patient"]
        .into_iter()
        .chain([&*patient, "--hospital", &hospital, "--again"])
        .map(String::from)
        .collect();
    for (kind, content) in TEXTS {
        let path = written(folder, &format!("{kind}.json"), content)?;
        words.extend(["--text".into(), format!("{kind}={}", path.display())]);
    }
    let image = written(folder, "phantom-ct.dcm", IMAGE)?;
    words.extend(["--media".into(), image.display().to_string()]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    for _ in 0..count {
        client.run(&words).await?;
    }
    let begun = Instant::now();
    loop {
        let list = ["records", "list", "--patient", &patient];
        let listed = pointers(&client.run(&list).await?.answer)?;
        if listed.len() == count {
            return Ok(listed);
        }
        let seconds = PATIENCE.as_secs();
        let known = listed.len();
        ensure!(
            begun.elapsed() < PATIENCE,
            "only {known} visits were committed within {seconds} s"
        );
        sleep(RETRY).await;
    }
}

/// The records of a list.
fn pointers(listing: &Value) -> anyhow::Result<Vec<RecordPointer>> {
    let records = listing["records"].as_array().context("the list has no records")?;
    let pointer = |record: &Value| {
        serde_json::from_value(record["pointer"].clone()).context("a record has no pointer")
    };
    records.iter().map(pointer).collect()
}

fn written(folder: &Path, name: &str, content: &[u8]) -> anyhow::Result<PathBuf> {
    let path = folder.join(name);
    fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn records_of_a_list_are_found_by_their_pointers() {
        let record =
            |height: u32, index: u16| json!({ "pointer": { "height": height, "index": index } });
        let listing = json!({ "records": [record(2, 1), record(1, 0)] });
        let expected = [(2, 1), (1, 0)].map(|(height, index)| RecordPointer { height, index });
        assert_eq!(pointers(&listing).unwrap(), expected);
        assert!(pointers(&json!({ "records": [{}] })).is_err());
        assert!(pointers(&json!({})).is_err());
    }
}
