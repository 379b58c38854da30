//! What is printed of a submitted section.

use epione_client::api::{ContentUpload, SectionUpload};
use epione_envelope::frames::{Frames, NoFrame};
use serde::{Deserialize, Serialize};

const DICOM: &str = "application/dicom";

/// A submitted section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SectionLine {
    pub kind: String,
    pub media_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub bytes: u64,
    /// For media: number of frames that can be read one by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frames: Option<u32>,
    /// Why there are no such frames, or why some are missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frames_note: Option<String>,
}

impl SectionLine {
    /// What the author should know of an uploaded section.
    pub(super) fn of(section: &SectionUpload) -> Self {
        let (bytes, frames) = match &section.content {
            ContentUpload::Text(text) => (text.len() as u64, None),
            ContentUpload::Media { bytes, frames, .. } => (*bytes, Some(frames)),
        };
        Self {
            kind: section.kind.clone(),
            media_type: section.media_type.clone(),
            name: section.name.clone(),
            bytes,
            frames: frames.map(Frames::count),
            frames_note: frames.and_then(frames_note),
        }
    }

    /// The line about frames; none for a file that is not DICOM and is not named like DICOM.
    pub(super) fn frames_line(&self) -> Option<String> {
        let named = self.name.as_ref().is_some_and(|it| it.to_ascii_lowercase().ends_with(".dcm"));
        let kept = match self.media_type == DICOM {
            true => "",
            false if named => "stored as opaque media; ",
            false => return None,
        };
        match (self.frames?, &self.frames_note) {
            (_, Some(note)) => Some(format!("{kept}{note}")),
            (1, None) => Some("1 frame, which can be read separately".into()),
            (count, None) => Some(format!("{count} frames, each of which can be read separately")),
        }
    }
}

/// Why frames cannot be read that a reader may request.
fn frames_note(frames: &Frames) -> Option<String> {
    let next = frames.count().saturating_add(1);
    match frames.extent(next) {
        Err(reason @ (NoFrame::None(_) | NoFrame::NotWhole { .. })) => Some(reason.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use epione_envelope::frames::NoFrames;

    use super::*;

    fn line(name: &str, media_type: &str, frames: Frames) -> Option<String> {
        let content = ContentUpload::Media { bytes: 500, blake3: String::new(), frames };
        let section = SectionUpload {
            kind: "media".into(),
            salt: String::new(),
            media_type: media_type.into(),
            name: Some(name.into()),
            content,
        };
        SectionLine::of(&section).frames_line()
    }

    #[test]
    fn on_submission_the_author_reads_which_frames_can_be_read() {
        let native = |count, stated| Frames::Native { first: 0, bits: 8, count, stated };
        let dicom = |frames| line("a.dcm", DICOM, frames).unwrap();
        assert_eq!(dicom(native(1, 1)), "1 frame, which can be read separately");
        assert_eq!(dicom(native(3, 3)), "3 frames, each of which can be read separately");
        assert!(dicom(native(3, 4)).contains("frames 1 to 3 are whole"));
        assert_eq!(
            dicom(Frames::None(NoFrames::Video)),
            "single frames of this file cannot be read: it is video, whose frames depend on each \
             other"
        );
        // The reason is printed for a file that is named like DICOM, but not for a film.
        let opaque = |name| line(name, "application/octet-stream", Frames::default());
        let named = opaque("A.DCM").unwrap();
        assert!(named.starts_with("stored as opaque media; ") && named.contains("no DICOM header"));
        assert_eq!(opaque("film.mp4"), None);
    }
}
