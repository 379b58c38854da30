//! The disk space of folders.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

/// Bytes of a block, in which the kernel counts the space of a file (stat(2)).
const BLOCK: u64 = 512;

/// The bytes that the files of a folder occupy. Ignores what is removed while this looks.
pub fn used(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => used(&entry.path()),
            Ok(metadata) => metadata.blocks() * BLOCK,
            Err(_) => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_folders_in_a_folder_count_and_holes_do_not() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(used(&folder.path().join("absent")), 0);
        fs::create_dir(folder.path().join("inner")).unwrap();
        fs::write(folder.path().join("inner/full"), vec![1; 1 << 20]).unwrap();
        fs::File::create(folder.path().join("hole")).unwrap().set_len(1 << 30).unwrap();
        assert!((1 << 19..1 << 24).contains(&used(folder.path())));
    }
}
