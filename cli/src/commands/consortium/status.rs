//! `epione consortium key status`: who has a share of the consortium key, and for whom a ceremony waits.

use std::fmt;

use epione_client::chain::ConsortiumKey;
use epione_primitives::{
    BlockNumber, HospitalId,
    consortium::{
        Ceremony, CeremonyId, Confirmations, Epoch, EpochId, KeyId, Phase, Schedule, next_seats,
    },
    hospital::{Hospital, HospitalStatus},
};
use serde::Serialize;

use super::{lasting, listed, minutes};
use crate::{
    context::{Context, Output},
    failure::Failure,
    table,
    wording::{legible, word},
};

/// The consortium key as of one final chain block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The final chain block.
    pub block: BlockNumber,
    /// In chain blocks.
    pub schedule: Schedule,
    /// Absent before the first key was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyShown>,
    /// The hospitals that get a seat in the next ceremony, and are no members of the epoch.
    pub seats_without_share: Vec<HospitalId>,
    /// The newest ceremony; absent before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ceremony: Option<CeremonyShown>,
    /// Whether a hospital requested new shares.
    pub refresh_requested: bool,
    /// Whether the council decided that the next ceremony makes a new key.
    pub renewal_decided: bool,
}

/// The key of the epoch whose shares are in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyShown {
    pub key: KeyId,
    pub epoch: EpochId,
    /// In hexadecimal.
    pub public_key: String,
    /// The chain block in which the epoch began.
    pub since: BlockNumber,
    pub age_blocks: BlockNumber,
    /// So many members open what is sealed to the key. It is lower if seats did not enrol.
    pub threshold: u8,
    pub members: Vec<Member>,
    /// Whether enough members are active to open anything.
    pub usable: bool,
}

/// A hospital that has a share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    pub hospital: HospitalId,
    pub name: String,
    /// Whether it is an active hospital now.
    pub active: bool,
    /// Whether its worker has confirmed that it has the share.
    pub confirmed: bool,
}

/// What a ceremony makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Makes {
    NewKey,
    NewShares,
}

/// A ceremony, with its phase by the rules of the chain. The chain changes the phase only with the next call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CeremonyShown {
    pub ceremony: CeremonyId,
    pub makes: Makes,
    pub phase: Phase,
    pub running: bool,
    /// While it runs: the last chain block of the phase, and how far that is away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<Left>,
    /// While it runs: the hospitals that have not acted in this phase.
    pub waits_for: Vec<HospitalId>,
}

/// The end of a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Left {
    pub deadline: BlockNumber,
    pub blocks: BlockNumber,
    /// Rounded up.
    pub minutes: u64,
}

impl Status {
    fn of(
        block: BlockNumber,
        key: &ConsortiumKey,
        confirmations: &Confirmations,
        hospitals: &[(HospitalId, Hospital)],
        unready: &[HospitalId],
    ) -> Self {
        let is_active = |(_, it): &&(HospitalId, Hospital)| it.status == HospitalStatus::Active;
        let mut active: Vec<_> = hospitals.iter().filter(is_active).map(|(id, _)| *id).collect();
        active.sort_unstable();
        let (committee, epoch) = (key.committee.as_ref(), key.current.as_ref());
        let mut seats_without_share = next_seats(&active, unready, committee, epoch);
        seats_without_share.retain(|seat| epoch.is_none_or(|epoch| epoch.seat(*seat).is_none()));
        Self {
            block,
            schedule: key.schedule,
            key: key.current.as_ref().map(|epoch| KeyShown::of(block, epoch, hospitals)),
            seats_without_share,
            ceremony: key.ceremony.as_ref().map(|ceremony| {
                CeremonyShown::of(block, ceremony.clone(), key.schedule, confirmations)
            }),
            refresh_requested: key.refresh_requested,
            renewal_decided: key.renewal_decided,
        }
    }
}

impl KeyShown {
    fn of(block: BlockNumber, epoch: &Epoch, hospitals: &[(HospitalId, Hospital)]) -> Self {
        let member = |(seat, id): (usize, &HospitalId)| {
            let found = hospitals.iter().find(|(known, _)| known == id);
            Member {
                hospital: *id,
                name: found.map(|(_, it)| legible(&it.name)).unwrap_or_default(),
                active: found.is_some_and(|(_, it)| it.status == HospitalStatus::Active),
                confirmed: epoch.confirmed.contains(seat),
            }
        };
        let members: Vec<_> = epoch.members.iter().enumerate().map(member).collect();
        let active = members.iter().filter(|member| member.active).count();
        Self {
            key: epoch.key,
            epoch: epoch.id,
            public_key: hex::encode(epoch.public_key().unwrap_or_default()),
            since: epoch.since,
            age_blocks: block.saturating_sub(epoch.since),
            threshold: epoch.threshold,
            usable: active >= usize::from(epoch.threshold),
            members,
        }
    }
}

impl CeremonyShown {
    fn of(
        block: BlockNumber,
        mut ceremony: Ceremony,
        schedule: Schedule,
        confirmations: &Confirmations,
    ) -> Self {
        ceremony.advance(block, schedule.phase);
        let running = ceremony.is_running();
        let blocks = ceremony.deadline.saturating_sub(block);
        let left = Left { deadline: ceremony.deadline, blocks, minutes: minutes(blocks) };
        let has_confirmed = |id: &HospitalId| {
            let seat = ceremony.seat(*id).and_then(|seat| u8::try_from(seat).ok());
            ceremony.phase == Phase::Confirm
                && confirmations.iter().any(|confirmed| Some(confirmed.seat) == seat)
        };
        Self {
            ceremony: ceremony.id,
            makes: if ceremony.reshares.is_some() { Makes::NewShares } else { Makes::NewKey },
            phase: ceremony.phase,
            running,
            left: running.then_some(left),
            waits_for: ceremony.awaited().filter(|id| !has_confirmed(id)).collect(),
        }
    }
}

impl Output for Status {}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) => write!(f, "{key}")?,
            None => write!(
                f,
                "there is no consortium key yet: the workers make one when at least 2 hospitals are active"
            )?,
        }
        if !self.seats_without_share.is_empty() {
            let without = listed(&self.seats_without_share);
            write!(f, "\nwithout a share: {without}; the next ceremony gives them one")?;
        }
        if let Some(ceremony) = &self.ceremony {
            write!(f, "\n{ceremony}")?;
        }
        if self.renewal_decided {
            write!(f, "\nthe council decided that the next ceremony makes a new key")?;
        }
        if self.refresh_requested {
            write!(f, "\na hospital requested new shares: the next ceremony makes them")?;
        }
        Ok(())
    }
}

impl fmt::Display for KeyShown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, epoch, public_key, since, age_blocks, threshold, members, usable } = self;
        let age = lasting(*age_blocks);
        writeln!(f, "consortium key {key}, epoch {epoch}, since block {since} ({age})")?;
        writeln!(f, "public key 0x{public_key}")?;
        writeln!(f, "{threshold} of {} members open what is sealed to it", members.len())?;
        let heading = ["MEMBER", "NAME", "SHARE", "HOSPITAL"].map(String::from);
        let rows = members.iter().map(|member| {
            let share = if member.confirmed { "confirmed" } else { "not confirmed" };
            let hospital = if member.active { "active" } else { "not active" };
            [member.hospital.to_string(), member.name.clone(), share.into(), hospital.into()]
        });
        let rows: Vec<_> = std::iter::once(heading).chain(rows).collect();
        write!(f, "{}", table::lines(&rows).join("\n"))?;
        if *usable {
            return Ok(());
        }
        write!(
            f,
            "\nTOO FEW MEMBERS ARE ACTIVE: nothing that is sealed to the key can be opened. Reinstate hospitals that \
             have a share; if that is impossible, the council decides for a new key (consortiumKey.renew), and the \
             hospitals of the records seal again"
        )
    }
}

impl fmt::Display for CeremonyShown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ceremony, makes, phase, left, waits_for, .. } = self;
        let makes = match makes {
            Makes::NewKey => "a new key",
            Makes::NewShares => "new shares",
        };
        match (phase, left) {
            (Phase::Failed(reason), _) => {
                let reason = word(reason);
                write!(f, "ceremony {ceremony} for {makes} failed: {reason}. The workers try again")
            }
            (Phase::Activated, _) | (_, None) => {
                write!(f, "ceremony {ceremony} for {makes} succeeded; none is running")
            }
            (phase, Some(left)) => {
                let (phase, deadline, blocks) = (word(phase), left.deadline, lasting(left.blocks));
                write!(
                    f,
                    "ceremony {ceremony} for {makes} is running: phase {phase}, which ends with block {deadline} at \
                     the latest ({blocks} left)"
                )?;
                match waits_for.is_empty() {
                    true => Ok(()),
                    false => write!(f, "; it waits for {}", listed(waits_for)),
                }
            }
        }
    }
}

/// Reads the consortium key from final state.
pub async fn status(context: &Context) -> Result<Status, Failure> {
    let chain = context.chain().await?;
    let head = chain.finalized_head().await?;
    let snapshot = chain.at(head.hash);
    let key = snapshot.consortium_key().await?;
    let confirmations = match &key.ceremony {
        Some(_) => snapshot.confirmations().await?,
        None => Confirmations::default(),
    };
    let (hospitals, unready) = (snapshot.hospitals().await?, snapshot.unready().await?);
    Ok(Status::of(head.number, &key, &confirmations, &hospitals, &unready))
}

#[cfg(test)]
mod tests {
    use epione_primitives::{
        AccountId, Hash,
        consortium::{CeremonyResult, Confirmation, Failure as Reason, SeatSet, Seats},
    };

    use super::*;

    const BLOCK: BlockNumber = 1_000;
    const SCHEDULE: Schedule = Schedule { phase: 20, refresh: 10_000 };

    fn seats(ids: &[u16]) -> Seats {
        Seats::truncate_from(ids.iter().copied().map(HospitalId).collect())
    }

    /// Hospitals with the numbers 0, 1, ..., of which those in `suspended` are not active.
    fn hospitals(count: u16, suspended: &[u16]) -> Vec<(HospitalId, Hospital)> {
        let hospital = |id: u16| Hospital {
            name: format!("H{id}").into_bytes().try_into().unwrap(),
            governance: AccountId::new([1; 32]),
            agent: AccountId::new([2; 32]),
            worker_url: Default::default(),
            sealing_key: Default::default(),
            tls_key: [0; 32],
            storage_origin: None,
            status: match suspended.contains(&id) {
                true => HospitalStatus::Suspended,
                false => HospitalStatus::Active,
            },
        };
        (0..count).map(|id| (HospitalId(id), hospital(id))).collect()
    }

    /// The members are hospitals 0 to 3; the last has not confirmed.
    fn epoch() -> Epoch {
        Epoch {
            id: EpochId(3),
            key: KeyId(0),
            ceremony: CeremonyId(5),
            members: seats(&[0, 1, 2, 3]),
            threshold: 3,
            faulty: 1,
            commitments: vec![[0xab; 32]; 3].try_into().unwrap(),
            mixing: Hash::zero(),
            link: None,
            since: BLOCK - 480,
            confirmed: SeatSet::first(3),
        }
    }

    fn key(current: Option<Epoch>, ceremony: Option<Ceremony>) -> ConsortiumKey {
        ConsortiumKey {
            schedule: SCHEDULE,
            current,
            ceremony,
            kept: None,
            committee: None,
            refresh_requested: false,
            renewal_decided: false,
            joined: Default::default(),
            last_begun: None,
            last_ended: None,
        }
    }

    fn reshare() -> Ceremony {
        let all = seats(&[0, 1, 2, 3, 4]);
        Ceremony::begin(CeremonyId(6), Some(&epoch()), all, seats(&[0, 1, 2, 3]), BLOCK + 7)
    }

    fn shown(key: &ConsortiumKey, hospitals: &[(HospitalId, Hospital)]) -> Status {
        Status::of(BLOCK, key, &Confirmations::default(), hospitals, &[])
    }

    #[test]
    fn members_ages_and_those_without_a_share_are_shown() {
        let status = shown(&key(Some(epoch()), None), &hospitals(6, &[2, 5]));
        assert_eq!(status.seats_without_share, [HospitalId(4)]);
        let key = status.key.as_ref().unwrap();
        assert_eq!((key.age_blocks, key.threshold, key.usable), (480, 3, true));
        let text = status.to_string();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].contains("epoch 3") && lines[0].contains("about 24 minutes"), "{text}");
        assert_eq!(lines[1], format!("public key 0x{}", "ab".repeat(32)));
        assert_eq!(lines[2], "3 of 4 members open what is sealed to it");
        assert_eq!(lines[4], "0       H0    confirmed      active");
        assert_eq!(lines[6], "2       H2    confirmed      not active");
        assert_eq!(lines[7], "3       H3    not confirmed  active");
        assert_eq!(lines[8], "without a share: hospital 4; the next ceremony gives them one");
        assert_eq!(lines.len(), 9);
    }

    #[test]
    fn hospitals_outside_the_committee_lack_no_share() {
        let mut key = key(Some(epoch()), None);
        key.committee = Some(seats(&[0, 1, 2, 3, 5]));
        let status = shown(&key, &hospitals(7, &[]));
        assert_eq!(status.seats_without_share, [HospitalId(5)]);
    }

    /// Hospital 5 is new. Hospital 1 made no block in a session, and is a member.
    #[test]
    fn a_new_hospital_lacks_no_share_before_it_is_ready() {
        let (key, hospitals) = (key(Some(epoch()), None), hospitals(6, &[]));
        let unready = [HospitalId(1), HospitalId(5)];
        let status = Status::of(BLOCK, &key, &Confirmations::default(), &hospitals, &unready);
        assert_eq!(status.seats_without_share, [HospitalId(4)]);
    }

    #[test]
    fn a_key_that_too_few_active_members_can_use_is_called_so() {
        let enough = shown(&key(Some(epoch()), None), &hospitals(4, &[1]));
        assert!(enough.key.as_ref().unwrap().usable);
        assert!(!enough.to_string().contains("TOO FEW"), "{enough}");
        let too_few = shown(&key(Some(epoch()), None), &hospitals(4, &[1, 2]));
        assert!(!too_few.key.as_ref().unwrap().usable);
        assert!(too_few.to_string().contains("consortiumKey.renew"), "{too_few}");
    }

    #[test]
    fn a_running_ceremony_shows_for_whom_it_waits_and_how_long() {
        let mut ceremony = reshare();
        ceremony.enrolled = [0, 3].into_iter().collect();
        let status = shown(&key(Some(epoch()), Some(ceremony)), &hospitals(5, &[]));
        let shown = status.ceremony.as_ref().unwrap();
        assert_eq!(
            (shown.makes, shown.phase, shown.running),
            (Makes::NewShares, Phase::Enrol, true)
        );
        assert_eq!(shown.left, Some(Left { deadline: BLOCK + 7, blocks: 7, minutes: 1 }));
        assert_eq!(shown.waits_for, [1, 2, 4].map(HospitalId));
        let text = status.to_string();
        assert!(text.contains("phase enrol, which ends with block 1007"), "{text}");
        assert!(text.contains("waits for hospitals 1, 2, 4"), "{text}");
    }

    #[test]
    fn a_phase_that_is_over_is_not_shown_although_the_chain_still_stores_it() {
        let mut ceremony = reshare();
        ceremony.deadline = BLOCK - 1;
        ceremony.enrolled = SeatSet::first(4);
        let dealing = shown(&key(None, Some(ceremony.clone())), &hospitals(5, &[]));
        let dealing = dealing.ceremony.unwrap();
        assert_eq!((dealing.phase, dealing.running), (Phase::Deal, true));
        // The next phase began when the time of the first was over, whoever looks.
        assert_eq!(dealing.left.unwrap().deadline, BLOCK - 1 + SCHEDULE.phase);

        ceremony.enrolled = SeatSet::first(2);
        let failed = shown(&key(None, Some(ceremony)), &hospitals(5, &[]));
        let text = failed.to_string();
        let failed = failed.ceremony.unwrap();
        assert_eq!((failed.phase, failed.running), (Phase::Failed(Reason::TooFewSeats), false));
        assert!(failed.left.is_none() && failed.waits_for.is_empty());
        assert!(text.contains("failed: too few seats"), "{text}");
    }

    #[test]
    fn who_has_confirmed_is_not_waited_for() {
        let mut ceremony = reshare();
        ceremony.enrolled = SeatSet::first(5);
        ceremony.phase = Phase::Confirm;
        let result = CeremonyResult { mixing: Hash::zero(), link: None };
        let confirmed = vec![Confirmation { seat: 1, result }, Confirmation { seat: 4, result }];
        let confirmed = Confirmations::truncate_from(confirmed);
        let key = key(Some(epoch()), Some(ceremony));
        let status = Status::of(BLOCK, &key, &confirmed, &hospitals(5, &[]), &[]);
        assert_eq!(status.ceremony.unwrap().waits_for, [0, 2, 3].map(HospitalId));
    }

    #[test]
    fn the_json_has_no_key_before_there_is_one() {
        let status = shown(&key(None, None), &hospitals(2, &[]));
        assert!(status.to_string().contains("there is no consortium key yet"), "{status}");
        let json = serde_json::to_value(&status).unwrap();
        assert!(json["key"].is_null() && json["ceremony"].is_null(), "{json}");
        assert_eq!(json["seatsWithoutShare"], serde_json::json!([0, 1]));
    }
}
