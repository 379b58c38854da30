//! Files and folders that only their owner may read. Decrypted content, and what describes it, is written with these
//! modes, and never through a link in its place. Nor is such a file read through one.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};

/// Mode of a file: its owner may read and write it.
pub const FILE: u32 = 0o600;
/// Mode of a folder: its owner may list and change it.
pub const FOLDER: u32 = 0o700;

/// Makes a folder, and missing folders above it, accessible to their owner only. An existing one must be a folder and
/// not a link; it becomes accessible to its owner only.
pub fn folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER).create(path)?;
    if !fs::symlink_metadata(path)?.is_dir() {
        return Err(io::Error::new(ErrorKind::NotADirectory, "it is a link, not a folder"));
    }
    // Only the owner may do this, so it fails for a folder of another user.
    fs::set_permissions(path, fs::Permissions::from_mode(FOLDER))
}

/// Opens a file for reading; none if the last part of the path is a link, a folder or a pipe. It does not wait for the
/// writer of a pipe, and what is opened is what was checked.
pub fn open(path: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(opened) => File::from(opened),
        Err(Errno::LOOP) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let is_file = file.metadata()?.is_file();
    Ok(is_file.then_some(file))
}

/// Checks that files can be written in a folder, by making one and removing it.
pub fn try_writing(folder: &Path) -> io::Result<()> {
    let probe = folder.join(format!(".epione-{}.probe", std::process::id()));
    OpenOptions::new().write(true).create_new(true).mode(FILE).open(&probe)?;
    fs::remove_file(&probe)
}

/// Writes a temporary file in the same folder, syncs it to the disk, and renames it: an earlier file is replaced
/// atomically.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let staged = path.with_extension("new");
    match fs::remove_file(&staged) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Opens no existing file, and follows no link.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE).open(&staged)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&staged, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn folders_and_files_are_accessible_to_their_owner_only() {
        let within = tempfile::tempdir().unwrap();
        let (outer, inner) = (within.path().join("outer"), within.path().join("outer/inner"));
        folder(&inner).unwrap();
        assert_eq!((mode(&outer), mode(&inner)), (FOLDER, FOLDER));
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o755)).unwrap();
        folder(&inner).unwrap();
        assert_eq!(mode(&inner), FOLDER);

        let file = inner.join("note.json");
        for text in ["one", "another"] {
            replace(&file, text.as_bytes()).unwrap();
            assert_eq!((fs::read_to_string(&file).unwrap().as_str(), mode(&file)), (text, FILE));
        }
        assert_eq!(fs::read_dir(&inner).unwrap().count(), 1);
    }

    #[test]
    fn only_a_file_is_opened_and_a_pipe_without_a_writer_is_not_waited_for() {
        let within = tempfile::tempdir().unwrap();
        let path = |name| within.path().join(name);
        let (file, link, pipe, inner) = (path("file"), path("link"), path("pipe"), path("folder"));
        fs::write(&file, "text").unwrap();
        assert_eq!(io::read_to_string(open(&file).unwrap().unwrap()).unwrap(), "text");
        symlink(&file, &link).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        fs::create_dir(&inner).unwrap();
        for other in [&link, &pipe, &inner] {
            assert!(open(other).unwrap().is_none(), "{}", other.display());
        }
        assert_eq!(open(&path("absent")).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn no_planted_link_is_followed() {
        let within = tempfile::tempdir().unwrap();
        let (elsewhere, link) = (within.path().join("elsewhere"), within.path().join("link"));
        fs::create_dir(&elsewhere).unwrap();
        symlink(&elsewhere, &link).unwrap();
        folder(&link).unwrap_err();

        let (theirs, ours) = (elsewhere.join("theirs"), within.path().join("note.json"));
        fs::write(&theirs, "untouched").unwrap();
        symlink(&theirs, &ours).unwrap();
        symlink(&theirs, within.path().join("note.new")).unwrap();
        replace(&ours, b"secret").unwrap();
        assert_eq!(fs::read(&theirs).unwrap(), b"untouched");
        assert_eq!((fs::read(&ours).unwrap().as_slice(), mode(&ours)), (&b"secret"[..], FILE));
    }
}
