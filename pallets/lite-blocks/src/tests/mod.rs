mod announce;
mod closing;
mod invariants;
mod pruning;
mod reading;
mod records;
mod shape;
mod withdraw;

use epione_primitives::{AnnouncementId, Hash, block::Stage};
use sp_runtime::traits::{BlakeTwo256, Hash as _};

use crate::{Announcements, Event, mock::Test};

/// The events of the test so far.
fn events() -> Vec<Event<Test>> {
    frame_system::Pallet::<Test>::events()
        .into_iter()
        .map(|record| match record.event {
            crate::mock::RuntimeEvent::LiteBlocks(event) => event,
            other => panic!("only lite blocks have events here: {other:?}"),
        })
        .collect()
}

fn stage(id: u64) -> Stage {
    Announcements::<Test>::get(AnnouncementId(id)).unwrap().stage
}

fn hash(body: &[u8]) -> Hash {
    BlakeTwo256::hash(body)
}
