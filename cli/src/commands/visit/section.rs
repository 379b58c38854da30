//! The sections of a visit: parses their arguments, and reads their content.

use std::{
    ffi::{OsStr, OsString},
    io::{self, Read},
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use codec::Encode;
use epione_client::visit::VisitBuilder;
use epione_envelope::record::{MAX_MEDIA_BYTES, MAX_TEXT_BYTES, SectionKind};
use epione_primitives::{Word, access::SectionClass};

use super::unfinished::Words;
use crate::{
    failure::Failure,
    piped::{Notices, Reading, Source, Spooled, each_once},
    similar::did_you_mean,
};

/// A text section, and the source of its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextSection {
    pub kind: SectionKind,
    pub source: Source,
}

impl TextSection {
    /// Parses `KIND=FILE`. The file's name need not be UTF-8.
    pub(super) fn read(text: OsString) -> Result<Self, String> {
        let shown = text.to_string_lossy();
        let (label, file) = split(&text)
            .ok_or_else(|| format!("{shown:?} has no file: write it as diagnosis=FILE"))?;
        let kind =
            label.to_str().ok_or_else(|| format!("{shown:?} does not name a kind of section"))?;
        if let Some((_, class)) = kind.split_once([':', '/']).filter(|(_, it)| is_class(it)) {
            return Err(not_by_the_author(class));
        }
        if kind == SectionKind::Media.to_string() {
            return Err("a media section is a file: pass it with --media".into());
        }
        if file.is_empty() {
            return Err(format!("{shown:?} has no file: write it as {kind}=FILE"));
        }
        let kind = kind.parse().map_err(|_| unknown_kind(kind))?;
        Ok(Self { kind, source: Source::new(file.into()) })
    }
}

fn is_class(text: &str) -> bool {
    SectionClass::read(text).is_some()
}

fn not_by_the_author(class: &str) -> String {
    format!(
        "the author does not choose the class {class}: every section is private until the patient shares it; see \
         epione section share --help"
    )
}

fn unknown_kind(kind: &str) -> String {
    let kinds = SectionKind::ALL.iter().filter(|kind| **kind != SectionKind::Media);
    let kinds: Vec<_> = kinds.map(|kind| kind.spelled()).collect();
    let meant = did_you_mean(kind, kinds.iter().copied());
    format!("{kind:?} is not a kind of section{meant} (choose from: {})", kinds.join(", "))
}

/// A media section, and the source of its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaSection {
    pub source: Source,
}

impl MediaSection {
    /// The file's name need not be UTF-8. One that begins with a class and `=` needs its folder, such as `./shared=a`.
    pub(super) fn read(text: OsString) -> Result<Self, String> {
        if text.is_empty() {
            return Err("--media needs a file".into());
        }
        let class = split(&text).and_then(|(class, _)| class.to_str().filter(|it| is_class(it)));
        match class {
            Some(class) => Err(not_by_the_author(class)),
            None => Ok(Self { source: Source::new(text.into()) }),
        }
    }
}

/// Splits an argument at the first equals sign.
fn split(text: &OsStr) -> Option<(&OsStr, OsString)> {
    let bytes = text.as_bytes();
    let at = bytes.iter().position(|byte| *byte == b'=')?;
    Some((OsStr::from_bytes(&bytes[..at]), OsString::from_vec(bytes[at + 1..].to_vec())))
}

/// The content of the sections: texts, and media in files that can be read repeatedly.
pub(super) struct Content {
    texts: Vec<(SectionKind, String)>,
    media: Vec<Media>,
}

struct Media {
    path: PathBuf,
    /// The file's name without folders.
    name: String,
    /// The file behind `path`, if it is the copy of a pipe.
    spooled: Option<Spooled>,
}

impl Content {
    /// Refuses a source that is named twice but can be read only once. Reads nothing.
    pub(super) fn check(texts: &[TextSection], media: &[MediaSection]) -> Result<(), Failure> {
        let texts = texts.iter().map(|section| &section.source);
        each_once(texts.chain(media.iter().map(|section| &section.source)))
    }

    /// Reads the texts, and the media that can be read only once. Blocks until the writers of pipes have ended.
    pub(super) fn read(
        texts: &[TextSection],
        media: &[MediaSection],
        notices: &Notices,
    ) -> Result<Self, Failure> {
        let texts = texts
            .iter()
            .map(|TextSection { kind, source }| Ok((*kind, read_text(source, notices)?)))
            .collect::<Result<_, Failure>>()?;
        let media = media.iter().map(|section| Media::ready(&section.source, notices));
        Ok(Self { texts, media: media.collect::<Result<_, _>>()? })
    }

    /// Adds the sections to a visit, in their order.
    pub(super) fn add_to(&self, mut builder: VisitBuilder) -> VisitBuilder {
        for (kind, text) in &self.texts {
            builder = builder.text(*kind, text);
        }
        for Media { path, name, .. } in &self.media {
            builder = builder.file_named(SectionKind::Media, path, name);
        }
        builder
    }

    /// The files of the media, in their order.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        self.media.iter().map(|media| media.path.clone()).collect()
    }

    /// What makes a command with this content the same as an earlier one.
    pub(super) fn words(&self, about: &impl Encode) -> Result<Words, Failure> {
        let mut words = Words::about(about);
        for (kind, text) in &self.texts {
            words.text(kind, text);
        }
        for Media { path, name, spooled } in &self.media {
            let what = (SectionKind::Media, name);
            match spooled {
                Some(Spooled { bytes, sha256, .. }) => words.content(&what, *bytes, sha256),
                None => {
                    words.file(&what, path).map_err(|error| Failure::file(path, &error))?;
                }
            }
        }
        Ok(words)
    }
}

impl Media {
    fn ready(source: &Source, notices: &Notices) -> Result<Self, Failure> {
        let name = source.file_name();
        match (source.look()?, source) {
            (Reading::Again, Source::Path(path)) => {
                Ok(Self { path: path.clone(), name, spooled: None })
            }
            _ => {
                let spooled = Spooled::read(source, MAX_MEDIA_BYTES, notices)?;
                let path = spooled.path.clone();
                Ok(Self { path, name, spooled: Some(spooled) })
            }
        }
    }
}

fn read_text(source: &Source, notices: &Notices) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let (content, _reading) = source.open(notices)?;
    content
        .take(u64::from(MAX_TEXT_BYTES) + 1)
        .read_to_end(&mut bytes)
        .map_err(|error: io::Error| Failure::file(Path::new(&source.shown()), &error))?;
    if bytes.len() > MAX_TEXT_BYTES as usize {
        return Err(Failure::new(
            format!("{} has more than {MAX_TEXT_BYTES} bytes of text", source.shown()),
            "pass it as a file with --media, or divide it into several sections",
        ));
    }
    String::from_utf8(bytes).map_err(|_| {
        Failure::new(
            format!("{} is not UTF-8 text", source.shown()),
            "convert it, or pass it as a file with --media",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Result<TextSection, String> {
        TextSection::read(text.into())
    }

    fn media(text: &str) -> MediaSection {
        MediaSection::read(text.into()).unwrap()
    }

    #[test]
    fn a_text_section_has_a_kind() {
        let section = text("report=a=b.json").unwrap();
        assert_eq!(section.kind, SectionKind::Report);
        assert_eq!(section.source, Source::Path("a=b.json".into()));
        let section = text("birth-date=-").unwrap();
        assert_eq!(section.kind, SectionKind::BirthDate);
        assert_eq!(section.source, Source::StandardInput);
        for wrong in ["report", "report=", "poem=x", "report:secret=x", "media=x"] {
            assert!(text(wrong).is_err(), "{wrong}");
        }
        let error = text("diagnosys=x").unwrap_err();
        assert!(error.contains("did you mean diagnosis? (choose from: summary, "), "{error}");
        let error = text("poem=x").unwrap_err();
        assert!(error.contains("not a kind of section (choose from: summary, "), "{error}");
    }

    #[test]
    fn a_media_section_is_a_file() {
        let path = |path: &str| Source::Path(path.into());
        assert_eq!(media("ct.dcm").source, path("ct.dcm"));
        assert_eq!(media("a=b.dcm").source, path("a=b.dcm"));
        assert_eq!(media("./shared=ct.dcm").source, path("./shared=ct.dcm"));
        assert_eq!(media("-").source, Source::StandardInput);
    }

    #[test]
    fn an_author_who_chooses_a_class_is_told_that_the_patient_shares() {
        for choice in ["report:shared=x", "report/shared=x", "report/private=x"] {
            let error = text(choice).unwrap_err();
            assert!(
                error.contains("the patient shares") && error.contains("section share"),
                "{error}"
            );
        }
        for choice in ["shared=ct.dcm", "private=-"] {
            let error = MediaSection::read(choice.into()).unwrap_err();
            assert!(error.contains("the patient shares"), "{error}");
        }
    }

    #[test]
    fn a_files_name_need_not_be_utf_8() {
        let name = OsString::from_vec(b"gr\xf6\xdfer.dcm".to_vec());
        let section = MediaSection::read(name.clone()).unwrap();
        assert_eq!(section.source, Source::Path(name.clone().into()));
        let mut text = OsString::from("report=");
        text.push(&name);
        assert_eq!(TextSection::read(text).unwrap().source, Source::Path(name.into()));
    }
}
