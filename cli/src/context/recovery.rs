//! Tells users that somebody proposed new keys for them: if they did not lose theirs, they have to object in time.

use std::sync::atomic::Ordering;

use epione_client::chain::Snapshot;
use epione_primitives::{UserId, profile::Recovery};

use super::Context;
use crate::{failure::Failure, progress};

impl Context {
    /// Warns once of new keys that wait for objections of the user who runs the command.
    pub(crate) async fn warn_of_recovery(
        &self,
        user: UserId,
        snapshot: &Snapshot,
    ) -> Result<(), Failure> {
        let Some(recovery) = snapshot.recovery(user).await? else { return Ok(()) };
        let block = self.chain().await?.finalized_head().await?.number;
        if recovery.is_open(block) && !self.warned_of_recovery.swap(true, Ordering::Relaxed) {
            let object = self.command(["user", "recover", "object", "--as", "FILE"]).to_string();
            progress::warn(self, &warning(user, &recovery, &object));
        }
        Ok(())
    }
}

fn warning(user: UserId, recovery: &Recovery, object: &str) -> String {
    let Recovery { hospital, account, due, .. } = recovery;
    format!(
        "hospital {hospital} proposed new keys for user {user} (account {account}), which become the user's keys after \
         block {due}. If you did not ask for this, object now with your key file: {object}"
    )
}

#[cfg(test)]
mod tests {
    use epione_primitives::{AccountId, Hash, HospitalId};

    use super::*;

    #[test]
    fn the_warning_says_who_proposed_the_keys_until_when_and_what_to_do() {
        let recovery = Recovery {
            hospital: HospitalId(3),
            account: AccountId::new([2; 32]),
            sealing_key_hash: Hash::zero(),
            version: 1,
            due: 1_000,
            lapses: 2_000,
            objection: None,
        };
        let text = warning(UserId([1; 32]), &recovery, "epione user recover object --as FILE");
        for part in ["hospital 3", "0x0101", "block 1000", "epione user recover object"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
