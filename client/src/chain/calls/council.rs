//! Calls of the council's members, the governance accounts of active hospitals.

use codec::{Compact, Encode, Output};
use epione_primitives::{
    Hash,
    limits::{MAX_MOTION_PICOSECONDS, MAX_MOTION_PROOF_BYTES},
};

use super::Call;

/// A call that is SCALE already.
struct Encoded<'a>(&'a [u8]);

impl Encode for Encoded<'_> {
    fn encode_to<O: Output + ?Sized>(&self, out: &mut O) {
        out.write(self.0);
    }
}

/// `threshold` is the number of votes that the motion's call needs.
pub fn propose(threshold: u32, call: &[u8]) -> Call {
    let arguments = (Compact(threshold), Encoded(call), length(call));
    Call::new("Council", "propose", arguments)
}

/// `number` is the motion's number on the chain. A member may vote again, and otherwise.
pub fn vote(motion: Hash, number: u32, approve: bool) -> Call {
    Call::new("Council", "vote", (motion, Compact(number), approve))
}

/// Declares the largest weight that a motion's call may have. What the call does not use is given back.
pub fn close(motion: Hash, number: u32, call: &[u8]) -> Call {
    let weight = (Compact(MAX_MOTION_PICOSECONDS), Compact(MAX_MOTION_PROOF_BYTES));
    Call::new("Council", "close", (motion, Compact(number), weight, length(call)))
}

/// Removes what is left of a motion that was closed.
pub fn release_cost(motion: Hash) -> Call {
    Call::new("Council", "release_proposal_cost", motion)
}

/// Replaces the runtime by this code, whose hash the council authorized.
pub fn apply_upgrade(code: &[u8]) -> Call {
    Call::new("System", "apply_authorized_upgrade", code)
}

fn length(call: &[u8]) -> Compact<u32> {
    Compact(u32::try_from(call.len()).unwrap_or(u32::MAX))
}
