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
    words::read_word,
};

/// A text section, and the source of its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextSection {
    pub kind: SectionKind,
    pub class: SectionClass,
    pub source: Source,
}

impl TextSection {
    /// Parses `KIND[:CLASS]=FILE`. The file's name need not be UTF-8.
    pub(super) fn read(text: OsString) -> Result<Self, String> {
        let shown = text.to_string_lossy();
        let (label, file) = split(&text)
            .ok_or_else(|| format!("{shown:?} has no file: write it as diagnosis=FILE"))?;
        let label =
            label.to_str().ok_or_else(|| format!("{shown:?} does not name a kind of section"))?;
        let (kind, class) = match label.split_once(':') {
            Some((kind, class)) => (kind, read_word::<SectionClass>(class)?),
            None => (label, SectionClass::Private),
        };
        if kind == SectionKind::Media.to_string() {
            return Err("a media section is a file: pass it with --media".into());
        }
        let kind = kind.parse().map_err(|_| unknown_kind(kind))?;
        if file.is_empty() {
            return Err(format!("{shown:?} has no file: write it as {label}=FILE"));
        }
        Ok(Self { kind, class, source: Source::new(file.into()) })
    }
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
    pub class: SectionClass,
    pub source: Source,
}

impl MediaSection {
    /// Parses `[CLASS=]FILE`. The file's name need not be UTF-8.
    pub(super) fn read(text: OsString) -> Result<Self, String> {
        let classed = split(&text).and_then(|(class, file)| {
            let class = read_word::<SectionClass>(class.to_str()?).ok()?;
            (!file.is_empty()).then(|| Self { class, source: Source::new(file.into()) })
        });
        if text.is_empty() {
            return Err("--media needs a file".into());
        }
        let whole = || Self { class: SectionClass::Private, source: Source::new(text.into()) };
        Ok(classed.unwrap_or_else(whole))
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
    texts: Vec<(SectionKind, SectionClass, String)>,
    media: Vec<Media>,
}

struct Media {
    class: SectionClass,
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
        let texts = texts.iter().map(|TextSection { kind, class, source }| {
            Ok((*kind, *class, read_text(source, notices)?))
        });
        let texts = texts.collect::<Result<_, Failure>>()?;
        let media = media.iter().map(|section| Media::ready(section, notices));
        Ok(Self { texts, media: media.collect::<Result<_, _>>()? })
    }

    /// Adds the sections to a visit, in their order.
    pub(super) fn add_to(&self, mut builder: VisitBuilder) -> VisitBuilder {
        for (kind, class, text) in &self.texts {
            builder = builder.text(*kind, *class, text);
        }
        for Media { class, path, name, .. } in &self.media {
            builder = builder.file_named(SectionKind::Media, *class, path, name);
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
        for (kind, class, text) in &self.texts {
            words.text(&(kind, class), text);
        }
        for Media { class, path, name, spooled } in &self.media {
            let what = (SectionKind::Media, class, name);
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
    fn ready(section: &MediaSection, notices: &Notices) -> Result<Self, Failure> {
        let MediaSection { class, source } = section;
        let name = source.file_name();
        match (source.look()?, source) {
            (Reading::Again, Source::Path(path)) => {
                Ok(Self { class: *class, path: path.clone(), name, spooled: None })
            }
            _ => {
                let spooled = Spooled::read(source, MAX_MEDIA_BYTES, notices)?;
                let path = spooled.path.clone();
                Ok(Self { class: *class, path, name, spooled: Some(spooled) })
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
    fn a_text_section_has_a_kind_and_may_have_a_class() {
        let section = text("report:shared=a=b.json").unwrap();
        assert_eq!(section.kind, SectionKind::Report);
        assert_eq!(section.class, SectionClass::Shared);
        assert_eq!(section.source, Source::Path("a=b.json".into()));
        let section = text("diagnosis=-").unwrap();
        assert_eq!((section.class, section.source), (SectionClass::Private, Source::StandardInput));
        for wrong in ["report", "report=", "poem=x", "report:secret=x", "media=x"] {
            assert!(text(wrong).is_err(), "{wrong}");
        }
        let error = text("diagnosys=x").unwrap_err();
        assert!(error.contains("did you mean diagnosis? (choose from: summary, "), "{error}");
        let error = text("poem=x").unwrap_err();
        assert!(error.contains("not a kind of section (choose from: summary, "), "{error}");
    }

    #[test]
    fn a_media_section_is_a_file_and_may_have_a_class() {
        let path = |path: &str| Source::Path(path.into());
        let shared = MediaSection { class: SectionClass::Shared, source: path("ct.dcm") };
        assert_eq!(media("shared=ct.dcm"), shared);
        let private = MediaSection { class: SectionClass::Private, source: path("a=b.dcm") };
        assert_eq!(media("a=b.dcm"), private);
        assert_eq!(media("shared=-").source, Source::StandardInput);
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
