//! Makes DICOM files for tests, element by element.

/// Explicit VR little endian.
pub(crate) const EXPLICIT: &str = "1.2.840.10008.1.2.1";
pub(crate) const IMPLICIT: &str = "1.2.840.10008.1.2";
pub(crate) const JPEG: &str = "1.2.840.10008.1.2.4.50";

/// Elements of one syntax.
pub(crate) struct DataSet {
    pub(crate) bytes: Vec<u8>,
    implicit: bool,
}

impl DataSet {
    pub(crate) fn new(implicit: bool) -> Self {
        Self { bytes: Vec::new(), implicit }
    }

    /// A tag and, except in implicit VR, its value representation.
    fn head(&mut self, group: u16, element: u16, vr: &str) -> &mut Self {
        self.bytes.extend(group.to_le_bytes());
        self.bytes.extend(element.to_le_bytes());
        if !self.implicit {
            self.bytes.extend(vr.as_bytes());
        }
        self
    }

    fn is_long(&self, vr: &str) -> bool {
        matches!(vr, "OB" | "OW" | "OV" | "SQ" | "UN" | "UT")
    }

    pub(crate) fn put(&mut self, group: u16, element: u16, vr: &str, value: &[u8]) -> &mut Self {
        self.head(group, element, vr);
        if self.implicit || self.is_long(vr) {
            self.open(vr, value.len() as u32);
        } else {
            self.bytes.extend((value.len() as u16).to_le_bytes());
        }
        self.bytes.extend(value);
        self
    }

    fn open(&mut self, vr: &str, length: u32) {
        if !self.implicit && self.is_long(vr) {
            self.bytes.extend([0, 0]);
        }
        self.bytes.extend(length.to_le_bytes());
    }

    /// A value of undefined length; the caller ends it.
    pub(crate) fn begin(&mut self, group: u16, element: u16, vr: &str) -> &mut Self {
        self.head(group, element, vr).open(vr, u32::MAX);
        self
    }

    /// An item's tag, or a delimiter's, and a length.
    pub(crate) fn item(&mut self, element: u16, length: u32) -> &mut Self {
        self.bytes.extend(0xfffe_u16.to_le_bytes());
        self.bytes.extend(element.to_le_bytes());
        self.bytes.extend(length.to_le_bytes());
        self
    }

    pub(crate) fn fragment(&mut self, bytes: &[u8]) -> &mut Self {
        self.item(0xe000, bytes.len() as u32).bytes.extend(bytes);
        self
    }

    pub(crate) fn short(&mut self, group: u16, element: u16, value: u16) -> &mut Self {
        self.put(group, element, "US", &value.to_le_bytes())
    }

    pub(crate) fn image(&mut self, frames: Option<&str>, rows: u16, columns: u16) -> &mut Self {
        self.short(0x28, 2, 1).put(0x28, 4, "CS", b"MONOCHROME2 ");
        if let Some(frames) = frames {
            let padded = format!("{frames}{}", if frames.len() % 2 == 1 { " " } else { "" });
            self.put(0x28, 8, "IS", padded.as_bytes());
        }
        self.short(0x28, 0x10, rows).short(0x28, 0x11, columns);
        self.short(0x28, 0x100, 8).short(0x28, 0x101, 8).short(0x28, 0x102, 7).short(0x28, 0x103, 0)
    }
}

/// Preamble, file meta information, data set.
pub(crate) fn file(syntax: &str, data: &DataSet) -> Vec<u8> {
    let mut meta = DataSet::new(false);
    meta.put(2, 1, "OB", &[0, 1]);
    let padded = format!("{syntax}{}", if syntax.len() % 2 == 1 { "\0" } else { "" });
    meta.put(2, 0x10, "UI", padded.as_bytes());
    let mut length = DataSet::new(false);
    length.put(2, 0, "UL", &(meta.bytes.len() as u32).to_le_bytes());
    [&[0; 128][..], b"DICM", &length.bytes, &meta.bytes, &data.bytes].concat()
}

/// A cine of native frames of `rows` times 256 bytes, all different.
pub(crate) fn cine(frames: u32, rows: u16) -> (Vec<u8>, Vec<Vec<u8>>) {
    let length = usize::from(rows) * 256;
    let pixels: Vec<Vec<u8>> = (0..frames)
        .map(|frame| {
            (0..length).map(|i| (i as u32 ^ (frame * 31) ^ (i as u32 >> 8)) as u8).collect()
        })
        .collect();
    let mut data = DataSet::new(false);
    data.put(8, 0x60, "CS", b"US").image(Some(&frames.to_string()), rows, 256);
    data.put(0x7fe0, 0x10, "OB", &pixels.concat());
    (file(EXPLICIT, &data), pixels)
}

/// A JPEG codestream: 12 bytes before the coded data, which must have no `FF`, and an end marker.
pub(crate) fn jpeg(coded: &[u8]) -> Vec<u8> {
    [b"\xff\xd8\xff\xda\0\x08\x01\x01\0\0\x3f\0", coded, b"\xff\xd9"].concat()
}

/// A cine of encapsulated frames, each with the given fragments.
pub(crate) fn compressed(frames: &[&[&[u8]]], table: &[u32]) -> Vec<u8> {
    compressed_as(JPEG, frames.len(), frames, table)
}

/// The same in another syntax, or with another stated number of frames.
pub(crate) fn compressed_as(
    syntax: &str,
    stated: usize,
    frames: &[&[&[u8]]],
    table: &[u32],
) -> Vec<u8> {
    let mut data = DataSet::new(false);
    data.image(Some(&stated.to_string()), 64, 64);
    let table: Vec<u8> = table.iter().flat_map(|offset| offset.to_le_bytes()).collect();
    data.begin(0x7fe0, 0x10, "OB").fragment(&table);
    frames.iter().flat_map(|fragments| fragments.iter()).for_each(|fragment| {
        data.fragment(fragment);
    });
    data.item(0xe0dd, 0);
    file(syntax, &data)
}
