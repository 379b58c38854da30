//! The visits that the demo's doctor submits.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    commands::{
        records::sha256,
        visit::{MediaSection, TextSection},
    },
    failure::Failure,
    piped::Source,
    samples,
};
/// Real images from the wheel of pydicom: CT, MR, and an ultrasound cine.
const REAL: [&str; 3] = ["CT_small.dcm", "MR_small.dcm", "examples_ybr_color.dcm"];

/// A visit's files.
pub struct Visit {
    pub texts: Vec<TextSection>,
    pub media: Vec<MediaSection>,
    /// In the order of the record's sections: texts, then media.
    pub originals: Vec<Original>,
}

/// A submitted file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Original {
    pub name: String,
    pub bytes: u64,
    pub sha256: String,
}

/// The origin of the images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Images {
    Real,
    Generated,
}

/// The texts and images of the first visit.
pub fn first_visit(into: &Path, samples_folder: &Path) -> Result<(Visit, Images), Failure> {
    let real: Vec<_> = REAL.iter().map(|name| samples_folder.join(name)).collect();
    let (images, kind) = if real.iter().all(|path| path.is_file()) {
        (real, Images::Real)
    } else {
        (generated(into)?, Images::Generated)
    };
    Ok((visit(into, "visit-1", &samples::visit_1(), images)?, kind))
}

/// The texts of the second visit.
pub fn second_visit(into: &Path) -> Result<Visit, Failure> {
    visit(into, "visit-2", &samples::visit_2(), Vec::new())
}

fn generated(into: &Path) -> Result<Vec<PathBuf>, Failure> {
    fs::create_dir_all(into).map_err(|error| Failure::file(into, &error))?;
    let mut paths = Vec::new();
    for sample in samples::images() {
        let path = into.join(sample.name);
        fs::write(&path, &sample.bytes).map_err(|error| Failure::file(&path, &error))?;
        paths.push(path);
    }
    Ok(paths)
}

fn visit(
    into: &Path,
    folder: &str,
    texts: &[samples::Text],
    images: Vec<PathBuf>,
) -> Result<Visit, Failure> {
    let folder = into.join(folder);
    fs::create_dir_all(&folder).map_err(|error| Failure::file(&folder, &error))?;
    let mut visit = Visit { texts: Vec::new(), media: Vec::new(), originals: Vec::new() };
    for text in texts {
        let path = folder.join(text.name);
        fs::write(&path, text.json).map_err(|error| Failure::file(&path, &error))?;
        visit.originals.push(original(&path)?);
        visit.texts.push(TextSection { kind: text.kind, source: Source::Path(path) });
    }
    for path in images {
        visit.originals.push(original(&path)?);
        visit.media.push(MediaSection { source: Source::Path(path) });
    }
    Ok(visit)
}

fn original(path: &Path) -> Result<Original, Failure> {
    let (bytes, sha256) = sha256(path).map_err(|error| Failure::file(path, &error))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Original { name, bytes, sha256 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_real_images_the_phantoms_are_used() {
        let directory = tempfile::tempdir().unwrap();
        let (visit, images) = first_visit(directory.path(), Path::new("/nowhere")).unwrap();
        assert_eq!(images, Images::Generated);
        assert_eq!((visit.texts.len(), visit.media.len()), (4, 3));
        assert_eq!(visit.originals[4].name, "phantom-ct.dcm");
    }
}
