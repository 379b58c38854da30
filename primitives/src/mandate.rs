//! Mandates: what a patient lets others do in the patient's name.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};

use crate::Moment;

/// A period in which somebody acts for a patient. It includes `since` and excludes its end. Every mandate has an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Mandate {
    pub since: Moment,
    /// When it ends by itself.
    pub until: Moment,
    /// When one of the two ended it before that.
    pub ended: Option<Moment>,
}

impl Mandate {
    /// Whether the mandate was in force at a moment.
    pub fn in_force(&self, at: Moment) -> bool {
        self.since <= at && at < self.until && self.ended.is_none_or(|ended| at < ended)
    }
}
