//! Small JSON files of the user, which several processes may read and change at the same time.

use std::{
    fs::File,
    io::{self, ErrorKind, Read},
    path::Path,
};

use epione_client::private;
use serde::{Serialize, de::DeserializeOwned};

/// Reads a file of at most this many bytes; none if there is no file.
pub fn read<T: DeserializeOwned>(path: &Path, max_bytes: u64) -> io::Result<Option<T>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut json = Vec::new();
    // What is cut off is not valid JSON.
    file.take(max_bytes).read_to_end(&mut json)?;
    Ok(Some(serde_json::from_slice(&json)?))
}

/// Reads a file again, changes its content, and replaces the file, while no other process does so. Returns the new
/// content, and what `change` returned.
pub fn change<T, R>(
    path: &Path,
    max_bytes: u64,
    change: impl FnOnce(&mut T) -> R,
) -> io::Result<(T, R)>
where
    T: Default + DeserializeOwned + Serialize,
{
    let folder = path.parent().unwrap_or(Path::new("."));
    private::folder(folder)?;
    let turn = File::open(folder)?;
    turn.lock()?;
    let mut content: T = read(path, max_bytes)?.unwrap_or_default();
    let result = change(&mut content);
    let json = serde_json::to_vec_pretty(&content)?;
    if json.len() as u64 > max_bytes {
        let reason = format!("it would have more than {max_bytes} bytes: remove some entries");
        return Err(io::Error::other(reason));
    }
    private::replace(path, &json)?;
    Ok((content, result))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_too_large_is_neither_read_nor_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kept/list.json");
        let add =
            |text: &str, max| change(&path, max, |list: &mut Vec<String>| list.push(text.into()));
        assert_eq!(read::<Vec<String>>(&path, 64).unwrap(), None);
        add("one", 64).unwrap();
        let refused = add(&"x".repeat(80), 64).unwrap_err().to_string();
        assert!(refused.contains("64 bytes"), "{refused}");
        assert_eq!(read::<Vec<String>>(&path, 64).unwrap().unwrap(), ["one"]);
        read::<Vec<String>>(&path, 4).unwrap_err();
    }
}
