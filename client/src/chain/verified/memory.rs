//! The file with the last verified block. A client that begins there reads no earlier hand-over, is not affected by
//! thieves of earlier authorities' keys, and refuses a node whose chain is shorter.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    path::Path,
};

use codec::{DecodeAll, Encode};
use epione_primitives::{BlockNumber, Hash, Moment};
use epione_proofs::Authorities;
use serde::{Deserialize, Serialize};
use sp_core::Bytes;

use super::finality::{Block, Head, Progress};
use crate::{chain::ChainError, private};

/// Maximum bytes of the file. A hundred authorities have 8 kB in hexadecimal.
const MAX_BYTES: u64 = 64 * 1024;

/// What the file contains, as JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Kept {
    genesis: Hash,
    /// The number of the authority set, the block that handed over to it, and the SCALE of its list.
    set: u64,
    /// See [`Progress`]. Files from before there were checkpoints have none of the two.
    #[serde(default)]
    ahead: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checkpoint: Option<Hash>,
    after: BlockNumber,
    authorities: Bytes,
    number: BlockNumber,
    hash: Hash,
    state_root: Hash,
    time: Moment,
}

/// Reads the file. None if there is no file yet.
pub(super) fn load(file: &Path, genesis: Hash) -> Result<Option<Progress>, ChainError> {
    let Some(kept) = read(file)? else { return Ok(None) };
    if kept.genesis != genesis {
        let reason = format!("it belongs to the chain {:?}, not to {genesis:?}", kept.genesis);
        return Err(unusable(file, reason));
    }
    let list = DecodeAll::decode_all(&mut kept.authorities.0.as_slice())
        .map_err(|error| unusable(file, error))?;
    let authorities =
        Authorities::restore(kept.set, kept.after, list).map_err(|error| unusable(file, error))?;
    if kept.number < kept.after {
        return Err(unusable(file, "its block is before its authorities"));
    }
    let block = Block { number: kept.number, hash: kept.hash, state_root: kept.state_root };
    let head = Head { block, time: kept.time };
    let (ahead, checkpoint) = (kept.ahead, kept.checkpoint);
    Ok(Some(Progress { authorities, ahead, checkpoint, head }))
}

/// Replaces the file, unless another process has written a later block meanwhile.
pub(super) fn store(file: &Path, genesis: Hash, progress: &Progress) -> Result<(), ChainError> {
    let Progress { authorities, ahead, checkpoint, head } = progress;
    let Head { block: Block { number, hash, state_root }, time } = *head;
    let _turn = turn(file).map_err(|error| unusable(file, error))?;
    if read(file)?.is_some_and(|kept| kept.genesis == genesis && kept.number >= number) {
        return Ok(());
    }
    let kept = Kept {
        genesis,
        set: authorities.set(),
        ahead: *ahead,
        checkpoint: *checkpoint,
        after: authorities.after(),
        authorities: Bytes(authorities.list().encode()),
        number,
        hash,
        state_root,
        time,
    };
    let json = serde_json::to_vec_pretty(&kept).map_err(|error| unusable(file, error))?;
    private::replace(file, &json).map_err(|error| unusable(file, error))
}

/// Of the processes that use the file, one at a time compares and replaces it: until the result is dropped, this one.
fn turn(file: &Path) -> io::Result<File> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let turn = File::open(folder.unwrap_or(Path::new(".")))?;
    turn.lock()?;
    Ok(turn)
}

fn read(file: &Path) -> Result<Option<Kept>, ChainError> {
    match fs::metadata(file) {
        Ok(found) if found.len() <= MAX_BYTES => {}
        Ok(_) => return Err(unusable(file, "it is too large")),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(file, error)),
    }
    let json = fs::read(file).map_err(|error| unusable(file, error))?;
    serde_json::from_slice(&json).map(Some).map_err(|error| unusable(file, error))
}

fn unusable(file: &Path, reason: impl ToString) -> ChainError {
    ChainError::Memory { path: file.into(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use sp_core::{Pair as _, ed25519};

    use super::*;

    const GENESIS: Hash = Hash::repeat_byte(1);

    fn authorities() -> Authorities {
        let key = ed25519::Pair::from_seed(&[1; 32]).public();
        Authorities::restore(3, 10, vec![(key.into(), 1)]).unwrap()
    }

    fn progress(number: BlockNumber) -> Progress {
        let block = Block { number, hash: Hash::repeat_byte(7), state_root: Hash::repeat_byte(8) };
        let head = Head { block, time: 1_800_000_000_000 };
        Progress {
            authorities: authorities(),
            ahead: 2,
            checkpoint: Some(Hash::repeat_byte(9)),
            head,
        }
    }

    #[test]
    fn the_last_block_is_kept_for_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("head.json");
        assert!(load(&file, GENESIS).unwrap().is_none());
        store(&file, GENESIS, &progress(12)).unwrap();
        assert_eq!(load(&file, GENESIS).unwrap(), Some(progress(12)));
    }

    /// A worker that was updated goes on from the file of its earlier version.
    #[test]
    fn a_file_from_before_there_were_checkpoints_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("head.json");
        store(&file, GENESIS, &progress(12)).unwrap();
        let mut kept: serde_json::Value =
            serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        for key in ["ahead", "checkpoint"] {
            assert!(kept.as_object_mut().unwrap().remove(key).is_some(), "{key}");
        }
        fs::write(&file, kept.to_string()).unwrap();
        let expected = Progress { ahead: 0, checkpoint: None, ..progress(12) };
        assert_eq!(load(&file, GENESIS).unwrap(), Some(expected));
    }

    #[test]
    fn a_later_block_of_another_process_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("head.json");
        store(&file, GENESIS, &progress(12)).unwrap();
        store(&file, GENESIS, &progress(11)).unwrap();
        assert_eq!(load(&file, GENESIS).unwrap().unwrap(), progress(12));
        store(&file, GENESIS, &progress(13)).unwrap();
        assert_eq!(load(&file, GENESIS).unwrap().unwrap(), progress(13));
    }

    #[test]
    fn processes_that_write_at_once_leave_a_whole_file_with_the_latest_block() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("head.json");
        std::thread::scope(|scope| {
            for first in 0..8 {
                let file = &file;
                scope.spawn(move || {
                    for number in (12 + first..200).step_by(8) {
                        store(file, GENESIS, &progress(number)).unwrap();
                        let kept = load(file, GENESIS).unwrap().unwrap();
                        assert!(kept.head.block.number >= number);
                    }
                });
            }
        });
        assert_eq!(load(&file, GENESIS).unwrap().unwrap(), progress(199));
    }

    #[test]
    fn a_file_of_another_chain_or_a_damaged_one_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("head.json");
        store(&file, GENESIS, &progress(12)).unwrap();
        let refused = load(&file, Hash::repeat_byte(2)).unwrap_err().to_string();
        assert!(refused.contains("head.json") && refused.contains("belongs to"), "{refused}");

        let whole = fs::read(&file).unwrap();
        for damaged in [whole[..whole.len() / 2].to_vec(), Vec::new(), b"{}".to_vec()] {
            fs::write(&file, damaged).unwrap();
            let refused = load(&file, GENESIS).unwrap_err().to_string();
            assert!(refused.contains("head.json"), "{refused}");
        }
    }
}
