//! Preparing and clearing the folder that a run works in.

use std::{fs, io, path::Path};

use anyhow::Context;
use epione_devnet::DevnetError;

/// A file that marks the folder of a soak run, which the next run may empty.
const MARK: &str = "epione-soak";

/// Creates the folder. If it is the folder of an earlier run, ends what still runs of that run, and empties it. Refuses
/// any other folder that is not empty.
pub fn prepare(folder: &Path) -> anyhow::Result<()> {
    let mark = folder.join(MARK);
    let is_empty = fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none());
    if !is_empty && !mark.exists() {
        anyhow::bail!(
            "{} is not empty and is not the folder of a soak run: choose another --dir",
            folder.display()
        );
    }
    match epione_devnet::down(&folder.join("devnet")) {
        Ok(()) => println!("the network of an earlier run was still running: stopping it"),
        Err(DevnetError::Absent { .. }) => {}
        Err(error) => {
            return Err(error).context("the network of an earlier run cannot be stopped");
        }
    }
    empty(folder)
        .and_then(|()| fs::create_dir_all(folder))
        .and_then(|()| fs::write(&mark, "emptied by the next run\n"))
        .with_context(|| format!("cannot prepare {}", folder.display()))
}

/// Removes what a run wrote, except the logs of its processes. Ignores files that cannot be removed.
pub fn clear(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let kept = [MARK, "devnet"].map(|name| folder.join(name));
        if !kept.contains(&path) {
            let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
    }
}

fn empty(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_folder_of_a_run_is_emptied() {
        let parent = tempfile::tempdir().unwrap();
        let ours = parent.path().join("run");
        prepare(&ours).unwrap();
        fs::write(ours.join("media.bin"), "x").unwrap();
        fs::create_dir_all(ours.join("devnet/logs")).unwrap();
        clear(&ours);
        assert!(!ours.join("media.bin").exists() && ours.join("devnet/logs").exists());
        prepare(&ours).unwrap();
        assert!(!ours.join("devnet").exists());

        fs::write(parent.path().join("thesis.txt"), "years of work").unwrap();
        assert!(prepare(parent.path()).is_err());
        assert!(parent.path().join("thesis.txt").exists());
    }
}
