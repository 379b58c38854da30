//! Which hospitals get the seats of the next ceremony. The pallet and the workers both use it, so that they never
//! disagree.

use alloc::vec::Vec;

use super::{Epoch, Seats};
use crate::HospitalId;

/// The hospitals that get the seats of the next ceremony, ascending: the `active` ones, among those of the `committee`
/// if the council chose one.
///
/// A hospital that is `unready` gets a seat only if it is a member of the current `epoch`. A ceremony fails if as few
/// as a third of its seats are absent, and the council may have admitted or reinstated hospitals whose machines do not
/// run yet. But a member that made no block in a session keeps its seat: otherwise each short failure would cost two
/// ceremonies, and who cuts honest hospitals off the network would take their shares away.
///
/// All of `active`, `unready` and `committee` are ascending. The result may have more hospitals than there are seats.
pub fn next_seats(
    active: &[HospitalId],
    unready: &[HospitalId],
    committee: Option<&Seats>,
    epoch: Option<&Epoch>,
) -> Vec<HospitalId> {
    let is_chosen = |hospital: &HospitalId| {
        committee.is_none_or(|committee| committee.binary_search(hospital).is_ok())
    };
    let is_member =
        |hospital: HospitalId| epoch.is_some_and(|epoch| epoch.seat(hospital).is_some());
    let takes_part =
        |hospital: &HospitalId| unready.binary_search(hospital).is_err() || is_member(*hospital);
    active.iter().copied().filter(|it| is_chosen(it) && takes_part(it)).collect()
}
