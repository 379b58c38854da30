//! Content that can be read only once: standard input, and pipes, such as a shell's `<(...)`. It is copied into a file
//! without a name, which no other process can open, and which is removed when this process ends in any way.

use std::{
    fs::{self, File, Metadata, Permissions},
    io::{self, IsTerminal, Read, Write},
    os::{
        fd::{AsFd, AsRawFd},
        unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use epione_client::{private, waiting::Waits};
use sha2::{Digest, Sha256};

use crate::{
    context::Context,
    failure::Failure,
    progress::{self, Step},
};

/// Size of the buffer for copying.
const BUFFER_BYTES: usize = 256 * 1024;

/// The source of content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    StandardInput,
    /// A file, or a pipe with a name.
    Path(PathBuf),
}

impl Source {
    /// `-` is standard input.
    pub fn new(path: PathBuf) -> Self {
        if path.as_os_str() == "-" { Self::StandardInput } else { Self::Path(path) }
    }

    /// The source in messages.
    pub fn shown(&self) -> String {
        match self {
            Self::StandardInput => "standard input".into(),
            Self::Path(path) => path.display().to_string(),
        }
    }

    /// The name of its file; empty if it has no name of its own.
    pub fn file_name(&self) -> String {
        match self {
            Self::Path(path) if !path.starts_with("/dev") && !path.starts_with("/proc") => {
                path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
            }
            _ => String::new(),
        }
    }

    fn metadata(&self) -> io::Result<Metadata> {
        match self {
            Self::StandardInput => File::from(io::stdin().as_fd().try_clone_to_owned()?).metadata(),
            Self::Path(path) => fs::metadata(path),
        }
    }

    fn failed(&self, error: &io::Error) -> Failure {
        Failure::file(Path::new(&self.shown()), error)
    }

    /// Whether it can be read more than once.
    pub fn look(&self) -> Result<Reading, Failure> {
        let metadata = self.metadata().map_err(|error| self.failed(&error))?;
        let kind = metadata.file_type();
        let identity = (metadata.dev(), metadata.ino());
        let stdin = *self == Self::StandardInput;
        if kind.is_fifo() || kind.is_socket() || stdin {
            return Ok(Reading::Once { identity, terminal: stdin && io::stdin().is_terminal() });
        }
        if kind.is_char_device() || kind.is_block_device() {
            return Err(Failure::usage(
                format!("{} is a device", self.shown()),
                "give a file or a pipe, or - for standard input",
            ));
        }
        Ok(Reading::Again)
    }

    /// Opens it, which blocks until a pipe has a writer. If reading has to wait for a writer, this is shown until the
    /// step is dropped.
    pub fn open(&self, notices: &Notices) -> Result<(Box<dyn Read>, Option<Step>), Failure> {
        let step = match self.look()? {
            Reading::Once { terminal, .. } => notices.reading(&self.shown(), terminal),
            Reading::Again => None,
        };
        let content: Box<dyn Read> = match self {
            Self::StandardInput => Box::new(io::stdin()),
            Self::Path(path) => Box::new(File::open(path).map_err(|error| self.failed(&error))?),
        };
        Ok((content, step))
    }
}

/// Shows what is read until its writer ends it. It has its own thread, because reading blocks.
#[derive(Clone)]
pub struct Notices {
    waits: Waits,
    json: bool,
}

impl Notices {
    pub fn of(context: &Context) -> Self {
        Self { waits: context.waits().clone(), json: context.common().json }
    }

    fn reading(&self, source: &str, terminal: bool) -> Option<Step> {
        let until = if terminal { "you end it with Ctrl-D" } else { "its writer ends it" };
        let what = format!("reading {source} until {until}");
        if terminal && !self.json {
            // A line that changes would disturb what the user types.
            progress::line(&what);
            return None;
        }
        Some(progress::step(&self.waits, what))
    }
}

/// Whether content can be read more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Any number of times: a file, a folder.
    Again,
    /// Once. Two sources with the same device and inode number are the same.
    Once { identity: (u64, u64), terminal: bool },
}

/// Refuses to read the same pipe, or standard input, twice: the second time it would be empty.
pub fn each_once<'a>(sources: impl IntoIterator<Item = &'a Source>) -> Result<(), Failure> {
    let mut known = Vec::new();
    for source in sources {
        let Reading::Once { identity, .. } = source.look()? else { continue };
        if known.contains(&identity) {
            return Err(Failure::usage(
                format!("{} can be read only once", source.shown()),
                "give each section its own file, and use - for at most one section",
            ));
        }
        known.push(identity);
    }
    Ok(())
}

/// The whole content of a pipe, in a file without a name.
#[derive(Debug)]
pub struct Spooled {
    /// `path` leads to this file as long as it is open.
    _file: File,
    pub path: PathBuf,
    pub bytes: u64,
    pub sha256: [u8; 32],
}

impl Spooled {
    /// Reads a source to its end, or to one byte more than `limit`.
    pub fn read(source: &Source, limit: u64, notices: &Notices) -> Result<Self, Failure> {
        if let Reading::Once { terminal: true, .. } = source.look()? {
            return Err(Failure::usage(
                "standard input is the terminal",
                "pipe the content of the media section into this command, or give a file",
            ));
        }
        let (content, _reading) = source.open(notices)?;
        let mut content = content.take(limit.saturating_add(1));
        let no_room = |error: io::Error| {
            let place = std::env::temp_dir();
            Failure::new(
                format!("{} cannot be copied into {}: {error}", source.shown(), place.display()),
                "free space there, or choose another folder with TMPDIR",
            )
        };
        let mut file = tempfile::tempfile().map_err(no_room)?;
        // The file was created with mode 0666, reduced by the umask.
        file.set_permissions(Permissions::from_mode(private::FILE)).map_err(no_room)?;
        let (mut hasher, mut buffer) = (Sha256::new(), vec![0; BUFFER_BYTES]);
        let mut bytes = 0;
        loop {
            let read = match content.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read.map_err(|error| source.failed(&error))?,
            };
            if read == 0 {
                break;
            }
            file.write_all(&buffer[..read]).map_err(no_room)?;
            hasher.update(&buffer[..read]);
            bytes += read as u64;
        }
        if bytes == 0 || bytes > limit {
            return Err(Failure::new(
                match bytes {
                    0 => format!("{} is empty: leave it out", source.shown()),
                    _ => format!("{} has more than {limit} bytes", source.shown()),
                },
                "correct the visit's --media; nothing was sent",
            ));
        }
        let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        Ok(Self { _file: file, path, bytes, sha256: hasher.finalize().into() })
    }
}

#[cfg(test)]
mod tests {
    use std::{process::Command, thread};

    use super::*;
    use crate::context::Common;

    fn fifo(folder: &Path) -> Source {
        let path = folder.join("ct.dcm");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        Source::new(path)
    }

    fn written(source: &Source, content: &'static [u8]) -> thread::JoinHandle<()> {
        let Source::Path(path) = source.clone() else { panic!() };
        thread::spawn(move || fs::write(path, content).unwrap())
    }

    #[test]
    fn a_pipe_is_copied_into_a_file_without_a_name() {
        let folder = tempfile::tempdir().unwrap();
        let source = fifo(folder.path());
        assert_eq!(source.file_name(), "ct.dcm");
        let notices = Notices::of(&Context::new(Common::default()));
        let writer = written(&source, b"content");
        let spooled = Spooled::read(&source, 7, &notices).unwrap();
        writer.join().unwrap();
        for _ in 0..2 {
            assert_eq!(fs::read(&spooled.path).unwrap(), b"content");
        }
        let metadata = fs::metadata(&spooled.path).unwrap();
        assert_eq!((metadata.nlink(), metadata.mode() & 0o077), (0, 0));
        assert_eq!(spooled.bytes, 7);
        let expected: [u8; 32] = Sha256::digest(b"content").into();
        assert_eq!(spooled.sha256, expected);
    }

    #[test]
    fn a_wait_for_a_writer_is_shown_until_the_content_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let source = fifo(folder.path());
        let waits = Waits::default();
        let notices = Notices { waits: waits.clone(), json: true };
        let reading = thread::spawn({
            let source = source.clone();
            move || Spooled::read(&source, 7, &notices).unwrap()
        });
        while waits.now().is_empty() {
            thread::yield_now();
        }
        assert!(waits.now()[0].to_string().contains("ct.dcm until its writer ends it"));
        written(&source, b"content").join().unwrap();
        reading.join().unwrap();
        assert!(waits.now().is_empty());
    }

    #[test]
    fn empty_and_too_long_content_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let source = fifo(folder.path());
        let notices = Notices::of(&Context::new(Common::default()));
        for (content, said) in [(&b""[..], "is empty"), (b"contents", "more than 7 bytes")] {
            let writer = written(&source, content);
            let failure = Spooled::read(&source, 7, &notices).unwrap_err();
            writer.join().unwrap();
            assert!(failure.error.contains(said), "{failure}");
        }
    }

    #[test]
    fn no_pipe_is_read_twice_and_no_device_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, file) = (fifo(folder.path()), folder.path().join("file"));
        fs::write(&file, b"x").unwrap();
        let file = Source::new(file);
        each_once([&pipe, &file, &file]).unwrap();
        assert!(each_once([&pipe, &file, &pipe]).unwrap_err().error.contains("ct.dcm"));
        let input = Source::new("-".into());
        assert_eq!(each_once([&input, &input]).unwrap_err().status(), crate::failure::USAGE);
        let device = Source::new("/dev/zero".into()).look().unwrap_err();
        assert!(device.error.contains("is a device"), "{device}");
        assert_eq!(Source::new("/dev/fd/63".into()).file_name(), "");
    }
}
