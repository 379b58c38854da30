//! The order in which the media of a visit are uploaded.

use epione_client::api::{ContentUpload, MediaProgress, VisitRequest};

/// All media of a visit, laid end to end.
#[derive(Debug)]
pub(in crate::api::visits) struct MediaLayout {
    media: Vec<Media>,
    total: u64,
}

#[derive(Clone, Copy, Debug)]
struct Media {
    section: u16,
    /// Where it begins among all media.
    start: u64,
    bytes: u64,
}

/// The position of a part among all media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub section: u16,
    pub start: u64,
    pub end: u64,
    pub ends_section: bool,
}

impl MediaLayout {
    pub fn of(visit: &VisitRequest) -> Self {
        let (mut media, mut total) = (Vec::new(), 0_u64);
        for (section, upload) in (0..).zip(&visit.sections) {
            if let ContentUpload::Media { bytes, .. } = upload.content {
                media.push(Media { section, start: total, bytes });
                total = total.saturating_add(bytes);
            }
        }
        Self { media, total }
    }

    /// Bytes of all media.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Bytes of a section from an offset to its end; none if there is no such section, or no bytes remain.
    pub(super) fn remaining(&self, section: u16, offset: u64) -> Option<u64> {
        let media = self.media.iter().find(|media| media.section == section)?;
        media.bytes.checked_sub(offset).filter(|remaining| *remaining > 0)
    }

    /// The position of a part; none if it is not within a section.
    pub(super) fn span(&self, section: u16, offset: u64, length: usize) -> Option<Span> {
        let remaining = self.remaining(section, offset)?;
        let media = self.media.iter().find(|media| media.section == section)?;
        let length = length as u64;
        let (start, ends_section) = (media.start + offset, length == remaining);
        (1..=remaining).contains(&length).then_some(Span {
            section,
            start,
            end: start + length,
            ends_section,
        })
    }

    /// The progress of each section when so many bytes of all media were received.
    pub(super) fn progress(&self, received: u64) -> Vec<MediaProgress> {
        let of = |media: &Media| MediaProgress {
            section: media.section,
            offset: received.saturating_sub(media.start).min(media.bytes),
            bytes: media.bytes,
        };
        self.media.iter().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> MediaLayout {
        let media = |section, start, bytes| Media { section, start, bytes };
        MediaLayout { media: vec![media(1, 0, 10), media(4, 10, 5)], total: 15 }
    }

    #[test]
    fn a_part_lies_within_one_section() {
        let span = |start, end, ends_section| Some(Span { section: 4, start, end, ends_section });
        assert_eq!(layout().span(4, 0, 3), span(10, 13, false));
        assert_eq!(layout().span(4, 3, 2), span(13, 15, true));
        for (section, offset, length) in
            [(4, 3, 3), (4, 5, 1), (4, u64::MAX, 1), (4, 0, 0), (0, 0, 1), (2, 0, 1)]
        {
            assert_eq!(layout().span(section, offset, length), None, "{section} {offset} {length}");
        }
    }

    #[test]
    fn sections_fill_up_in_their_order() {
        let offsets = |received| -> Vec<u64> {
            layout().progress(received).iter().map(|media| media.offset).collect()
        };
        assert_eq!(offsets(0), [0, 0]);
        assert_eq!(offsets(7), [7, 0]);
        assert_eq!(offsets(12), [10, 2]);
        assert_eq!(offsets(15), [10, 5]);
    }
}
