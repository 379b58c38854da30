//! The project's own sample images: small, valid DICOM files of phantoms, computed by this module, so that the demo and
//! the tests have real input without a download.
//!
//! `samples/` has the generated files; a test compares them with the output of this module, byte for byte. Only integer
//! arithmetic is used, so that every machine makes the same bytes. DICOM PS3.10 (files), PS3.5 (explicit VR little
//! endian), PS3.3 (modules).

use epione_envelope::record::SectionKind;

const EXPLICIT_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";
const CT_IMAGE_STORAGE: &str = "1.2.840.10008.5.1.4.1.1.2";
const MR_IMAGE_STORAGE: &str = "1.2.840.10008.5.1.4.1.1.4";
const ULTRASOUND_MULTI_FRAME: &str = "1.2.840.10008.5.1.4.1.1.3.1";
/// The UUID of the project's UIDs, which begin with 2.25 (PS3.5, B.2).
const UUID: u128 = 0x6f1c_2a64_9d3e_4b7a_8c15_0e5a_91d7_2000;

/// A generated file.
pub struct Sample {
    pub name: &'static str,
    pub bytes: Vec<u8>,
}

/// All sample images, in the order in which the demo submits them.
pub fn images() -> Vec<Sample> {
    vec![
        Sample { name: "phantom-ct.dcm", bytes: computed_tomography() },
        Sample { name: "phantom-mr.dcm", bytes: magnetic_resonance() },
        Sample { name: "phantom-us-cine.dcm", bytes: ultrasound_cine() },
    ]
}

/// A FHIR R4 resource of a visit.
pub struct Text {
    pub name: &'static str,
    /// The kind of section that it becomes.
    pub kind: SectionKind,
    pub json: &'static str,
}

macro_rules! sample {
    ($folder:literal, $file:literal) => {
        include_str!(concat!("../../samples/", $folder, "/", $file))
    };
}

macro_rules! visit {
    ($folder:literal) => {
        [
            (SectionKind::Summary, "encounter.json", sample!($folder, "encounter.json")),
            (SectionKind::Diagnosis, "condition.json", sample!($folder, "condition.json")),
            (
                SectionKind::Prescription,
                "medication-request.json",
                sample!($folder, "medication-request.json"),
            ),
            (
                SectionKind::Report,
                "diagnostic-report.json",
                sample!($folder, "diagnostic-report.json"),
            ),
        ]
        .map(|(kind, name, json)| Text { name, kind, json })
    };
}

/// The first visit of the synthetic patient.
pub fn visit_1() -> [Text; 4] {
    visit!("visit-1")
}

/// The second visit.
pub fn visit_2() -> [Text; 4] {
    visit!("visit-2")
}

/// A complete policy set for the hospital with number 0.
pub const HOSPITAL_POLICIES: &str = sample!("policies", "hospital.toml");

/// What a hospital's authors let be disclosed, by kinds of sections.
pub const EXTRACTION_TEMPLATE: &str = sample!("extraction", "hospital.toml");

fn computed_tomography() -> Vec<u8> {
    const SIDE: u16 = 96;
    let mut file = DataSet::default();
    identity(&mut file, CT_IMAGE_STORAGE, "CT", 1);
    file.text(0x0018, 0x0050, "DS", "5");
    file.text(0x0018, 0x0060, "DS", "120");
    plane(&mut file, 1);
    image(&mut file, SIDE, SIDE, "MONOCHROME2", 16);
    file.text(0x0028, 0x1050, "DS", "40");
    file.text(0x0028, 0x1051, "DS", "400");
    file.text(0x0028, 0x1052, "DS", "-1024");
    file.text(0x0028, 0x1053, "DS", "1");
    // Air, water, and a rod of bone off the centre, in Hounsfield units above -1024.
    let pixels = grid(SIDE, SIDE).flat_map(|(x, y)| {
        let body = squared_distance((x, y), (48, 48));
        let bone = squared_distance((x, y), (60, 40));
        let value: u16 = match (body, bone) {
            (_, ..=80) => 1024 + 700,
            (..=1764, _) => 1024 + ((x * 7 + y * 13) % 16) as u16,
            _ => 24,
        };
        value.to_le_bytes()
    });
    file.bytes(0x7fe0, 0x0010, "OW", &pixels.collect::<Vec<_>>());
    part_10(CT_IMAGE_STORAGE, 1, file)
}

fn magnetic_resonance() -> Vec<u8> {
    const SIDE: u16 = 64;
    let mut file = DataSet::default();
    identity(&mut file, MR_IMAGE_STORAGE, "MR", 2);
    file.text(0x0018, 0x0020, "CS", "SE");
    file.text(0x0018, 0x0021, "CS", "NONE");
    file.text(0x0018, 0x0022, "CS", "");
    file.text(0x0018, 0x0023, "CS", "2D");
    file.text(0x0018, 0x0050, "DS", "4");
    file.text(0x0018, 0x0080, "DS", "600");
    file.text(0x0018, 0x0081, "DS", "15");
    plane(&mut file, 2);
    image(&mut file, SIDE, SIDE, "MONOCHROME2", 16);
    // Rings whose brightness falls towards the edge.
    let pixels = grid(SIDE, SIDE).flat_map(|(x, y)| {
        let distance = squared_distance((x, y), (32, 32));
        let value = if distance > 900 { 0 } else { (900 - distance) + (distance / 90 % 2) * 400 };
        (value as u16).to_le_bytes()
    });
    file.bytes(0x7fe0, 0x0010, "OW", &pixels.collect::<Vec<_>>());
    part_10(MR_IMAGE_STORAGE, 2, file)
}

fn ultrasound_cine() -> Vec<u8> {
    const COLUMNS: u16 = 96;
    const ROWS: u16 = 72;
    const FRAMES: u16 = 8;
    let mut file = DataSet::default();
    identity(&mut file, ULTRASOUND_MULTI_FRAME, "US", 3);
    file.text(0x0018, 0x1063, "DS", "40");
    series(&mut file, 3);
    file.short(0x0028, 0x0002, 3);
    file.text(0x0028, 0x0004, "CS", "RGB");
    file.short(0x0028, 0x0006, 0);
    file.text(0x0028, 0x0008, "IS", &FRAMES.to_string());
    file.bytes(0x0028, 0x0009, "AT", &[0x18, 0x00, 0x63, 0x10]);
    pixel_format(&mut file, ROWS, COLUMNS, 8);
    // A fan of echoes below the probe, and a valve that moves from frame to frame.
    let pixels = (0..i64::from(FRAMES)).flat_map(|frame| {
        grid(COLUMNS, ROWS).flat_map(move |(x, y)| {
            let inside = (x - 48).abs() <= y + 4;
            let echo = ((x * 31 + y * 17 + frame * 5) % 61) as u8;
            let valve = squared_distance((x, y), (36 + 3 * frame, 44)) <= 36;
            match (inside, valve) {
                (false, _) => [0, 0, 0],
                (true, true) => [200, 40 + echo, 40],
                (true, false) => [60 + echo; 3],
            }
        })
    });
    file.bytes(0x7fe0, 0x0010, "OB", &pixels.collect::<Vec<_>>());
    part_10(ULTRASOUND_MULTI_FRAME, 3, file)
}

fn grid(columns: u16, rows: u16) -> impl Iterator<Item = (i64, i64)> {
    (0..i64::from(rows)).flat_map(move |y| (0..i64::from(columns)).map(move |x| (x, y)))
}

fn squared_distance((x, y): (i64, i64), (to_x, to_y): (i64, i64)) -> i64 {
    (x - to_x).pow(2) + (y - to_y).pow(2)
}

fn uid(instance: u128) -> String {
    format!("2.25.{}", UUID + instance)
}

/// General study, patient and equipment. The person does not exist.
fn identity(file: &mut DataSet, class: &str, modality: &str, instance: u128) {
    file.text(0x0008, 0x0005, "CS", "ISO_IR 192");
    file.text(0x0008, 0x0008, "CS", "ORIGINAL\\PRIMARY");
    file.text(0x0008, 0x0016, "UI", class);
    file.text(0x0008, 0x0018, "UI", &uid(instance));
    file.text(0x0008, 0x0020, "DA", "20260105");
    file.text(0x0008, 0x0023, "DA", "20260105");
    file.text(0x0008, 0x0030, "TM", "090000");
    file.text(0x0008, 0x0033, "TM", "090000");
    file.text(0x0008, 0x0050, "SH", "");
    file.text(0x0008, 0x0060, "CS", modality);
    file.text(0x0008, 0x0070, "LO", "Epione phantom generator");
    file.text(0x0008, 0x0090, "PN", "");
    file.text(0x0010, 0x0010, "PN", "Phantom^Synthetic");
    file.text(0x0010, 0x0020, "LO", "PHANTOM-1");
    file.text(0x0010, 0x0030, "DA", "");
    file.text(0x0010, 0x0040, "CS", "O");
}

fn series(file: &mut DataSet, number: u128) {
    file.text(0x0020, 0x000d, "UI", &uid(0));
    file.text(0x0020, 0x000e, "UI", &uid(16 + number));
    file.text(0x0020, 0x0010, "SH", "1");
    file.text(0x0020, 0x0011, "IS", &number.to_string());
    file.text(0x0020, 0x0013, "IS", "1");
}

fn plane(file: &mut DataSet, number: u128) {
    series(file, number);
    file.text(0x0020, 0x0032, "DS", "-48\\-48\\0");
    file.text(0x0020, 0x0037, "DS", "1\\0\\0\\0\\1\\0");
    file.text(0x0020, 0x0052, "UI", &uid(32));
    file.text(0x0020, 0x1040, "LO", "");
}

fn image(file: &mut DataSet, rows: u16, columns: u16, photometric: &str, bits: u16) {
    file.short(0x0028, 0x0002, 1);
    file.text(0x0028, 0x0004, "CS", photometric);
    file.short(0x0028, 0x0010, rows);
    file.short(0x0028, 0x0011, columns);
    file.text(0x0028, 0x0030, "DS", "1\\1");
    stored_bits(file, bits);
}

fn pixel_format(file: &mut DataSet, rows: u16, columns: u16, bits: u16) {
    file.short(0x0028, 0x0010, rows);
    file.short(0x0028, 0x0011, columns);
    stored_bits(file, bits);
}

fn stored_bits(file: &mut DataSet, bits: u16) {
    file.short(0x0028, 0x0100, bits);
    file.short(0x0028, 0x0101, bits);
    file.short(0x0028, 0x0102, bits - 1);
    file.short(0x0028, 0x0103, 0);
}

/// Preamble, file meta information, data set.
fn part_10(class: &str, instance: u128, data: DataSet) -> Vec<u8> {
    let mut meta = DataSet::default();
    meta.bytes(0x0002, 0x0001, "OB", &[0, 1]);
    meta.text(0x0002, 0x0002, "UI", class);
    meta.text(0x0002, 0x0003, "UI", &uid(instance));
    meta.text(0x0002, 0x0010, "UI", EXPLICIT_LITTLE_ENDIAN);
    meta.text(0x0002, 0x0012, "UI", &uid(64));
    meta.text(0x0002, 0x0013, "SH", "EPIONE_1");
    let mut length = DataSet::default();
    length.bytes(0x0002, 0x0000, "UL", &(meta.0.len() as u32).to_le_bytes());
    let mut file = vec![0; 128];
    file.extend_from_slice(b"DICM");
    for part in [length, meta, data] {
        file.extend_from_slice(&part.0);
    }
    file
}

/// Elements in explicit VR little endian. Tags must be added in ascending order.
#[derive(Default)]
struct DataSet(Vec<u8>);

impl DataSet {
    fn text(&mut self, group: u16, element: u16, vr: &str, value: &str) {
        let mut bytes = value.as_bytes().to_vec();
        if bytes.len() % 2 == 1 {
            bytes.push(if vr == "UI" { 0 } else { b' ' });
        }
        self.bytes(group, element, vr, &bytes);
    }

    fn short(&mut self, group: u16, element: u16, value: u16) {
        self.bytes(group, element, "US", &value.to_le_bytes());
    }

    fn bytes(&mut self, group: u16, element: u16, vr: &str, value: &[u8]) {
        self.0.extend_from_slice(&group.to_le_bytes());
        self.0.extend_from_slice(&element.to_le_bytes());
        self.0.extend_from_slice(vr.as_bytes());
        if matches!(vr, "OB" | "OW") {
            self.0.extend_from_slice(&[0, 0]);
            self.0.extend_from_slice(&(value.len() as u32).to_le_bytes());
        } else {
            self.0.extend_from_slice(&(value.len() as u16).to_le_bytes());
        }
        self.0.extend_from_slice(value);
    }
}
