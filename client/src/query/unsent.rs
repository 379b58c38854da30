//! Sealed grants that are not at their mailbox yet.
//!
//! The patient's client seals a grant, keeps it in a file, has the acceptance finalized, and only then uploads it. So
//! no mailbox has a grant without an acceptance. If the upload fails or the client is interrupted, the file still has
//! the grant whose hash the acceptance names: another one would not count.

use std::{
    fs,
    io::{self, ErrorKind, Read},
    path::{Path, PathBuf},
};

use codec::Encode;
use epione_envelope::{grant::MAX_GRANT_BYTES, query::QueryGrant};
use epione_primitives::{Hash, query::QueryId};

use crate::private;

/// The folder with a patient's sealed grants for one chain. Only the requester of a query can open its grant.
#[derive(Clone, Debug)]
pub struct UnsentGrants {
    folder: PathBuf,
}

impl UnsentGrants {
    /// Those in this folder, which is made when the first one is kept. Each chain needs a folder of its own.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Writes a grant to the disk. Other grants of the same query stay: the chain decides which one counts.
    pub fn keep(&self, grant: &QueryGrant) -> io::Result<()> {
        private::folder(&self.folder)?;
        private::replace(&self.path(grant.terms().query, grant.hash()), &grant.encode())
    }

    /// The grant of a query with this hash; none if the folder does not have it.
    pub fn find(&self, query: QueryId, hash: Hash) -> io::Result<Option<QueryGrant>> {
        let file = match private::open(&self.path(query, hash)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let Some(file) = file else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(MAX_GRANT_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        let grant = QueryGrant::decode_exactly(&bytes).ok();
        Ok(grant.filter(|grant| grant.hash() == hash))
    }

    /// Removes one grant of a query: the chain did not accept it.
    pub fn forget(&self, query: QueryId, hash: Hash) -> io::Result<()> {
        remove(&self.path(query, hash))
    }

    /// Removes every grant of a query: its mailbox has the one that counts.
    pub fn forget_all(&self, query: QueryId) -> io::Result<()> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        let prefix = format!("{query}-");
        for entry in entries {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }

    fn path(&self, query: QueryId, hash: Hash) -> PathBuf {
        self.folder.join(format!("{query}-{}.grant", hex::encode(hash)))
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use epione_envelope::{
        account::Signer, development, grant::GrantedSection, keys::ContentKey, query::QueryTerms,
    };
    use epione_primitives::{RecordId, RecordPointer, UserId, access::Purpose};

    use super::*;

    fn grant(query: u32) -> QueryGrant {
        let patient = development::keys("//Patient").unwrap();
        let requester = development::keys("//Researcher").unwrap();
        let terms = QueryTerms {
            genesis: Hash::repeat_byte(6),
            query: QueryId(query),
            patient: UserId([1; 32]),
            requester: UserId([2; 32]),
            audience: requester.account(),
            purpose: Purpose::Research,
            issued: 1,
            until: 1_000,
        };
        let pointer = RecordPointer { height: 1, index: 0 };
        let section = GrantedSection { pointer, record: RecordId([1; 16]), section: 0 };
        let keys = [(section, ContentKey::generate())];
        QueryGrant::seal(terms, &keys, requester.sealing.public(), &patient).unwrap()
    }

    #[test]
    fn the_grant_that_the_chain_names_is_found_also_after_another_attempt() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("grants/chain");
        let unsent = UnsentGrants::in_folder(&folder);
        let (first, second, other) = (grant(7), grant(7), grant(77));
        assert_eq!(unsent.find(QueryId(7), first.hash()).unwrap(), None);
        unsent.forget_all(QueryId(7)).unwrap();
        for grant in [&first, &second, &other] {
            unsent.keep(grant).unwrap();
        }
        let find = |grant: &QueryGrant| unsent.find(grant.terms().query, grant.hash()).unwrap();
        for grant in [&first, &second, &other] {
            assert_eq!(find(grant).as_ref(), Some(grant));
        }
        let path = unsent.path(QueryId(7), first.hash());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, private::FILE);

        unsent.forget(QueryId(7), second.hash()).unwrap();
        unsent.forget(QueryId(7), second.hash()).unwrap();
        assert_eq!((find(&first).is_some(), find(&second)), (true, None));
        unsent.forget_all(QueryId(7)).unwrap();
        assert_eq!((find(&first), find(&other).is_some()), (None, true));
    }

    #[test]
    fn a_file_with_anything_else_is_not_uploaded() {
        let place = tempfile::tempdir().unwrap();
        let unsent = UnsentGrants::in_folder(place.path());
        let (kept, other) = (grant(7), grant(7));
        let path = unsent.path(QueryId(7), kept.hash());
        for wrong in [other.encode(), b"no grant".to_vec(), vec![0; MAX_GRANT_BYTES + 2]] {
            fs::write(&path, wrong).unwrap();
            assert_eq!(unsent.find(QueryId(7), kept.hash()).unwrap(), None);
        }
    }
}
