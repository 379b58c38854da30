//! Reads a patient's receipts, emergencies and refusals at one block, with the names and roles that appear in them.

use std::collections::BTreeMap;

use epione_client::{
    api::WantedRecord,
    chain::{ChainError, Snapshot},
};
use epione_primitives::{
    BlockNumber, HospitalId, UserId,
    access::{AccessRequest, Action, Decision, Denial, SectionClass},
    opening::OpeningId,
    profile::Role,
    release::{OwnRead, Receipt, RefusedAccess, Release, ReviewSubject},
};

use super::{
    reviews::{Judges, Reviewed},
    who_looked::{Look, Occasion, RefusedLook},
};
use crate::{
    failure::Failure,
    wording::{legible, moment},
};

/// A patient's receipts at one block, with the names and roles that appear in them.
pub(super) struct Book {
    snapshot: Snapshot,
    patient: UserId,
    hospitals: BTreeMap<HospitalId, String>,
    /// The hospitals that judge emergencies.
    judges: Judges,
    roles: BTreeMap<UserId, Option<Role>>,
}

impl Book {
    pub(super) async fn open(snapshot: Snapshot, patient: UserId) -> Result<Self, Failure> {
        let known = snapshot.hospitals().await?;
        let hospitals = known.iter().map(|(id, hospital)| (*id, legible(&hospital.name))).collect();
        let judges = Judges::of(&known);
        Ok(Self { snapshot, patient, hospitals, judges, roles: BTreeMap::new() })
    }

    /// The newest receipts.
    pub(super) async fn receipts(&self, limit: u32) -> Result<Vec<(u32, Receipt)>, ChainError> {
        pages(limit, async |before, limit| {
            self.snapshot.receipts(self.patient, before, limit).await
        })
        .await
    }

    /// The newest emergencies: each with its receipt, which may be older than `receipts`, or with its opening.
    pub(super) async fn emergencies(
        &mut self,
        limit: u32,
        receipts: &[(u32, Receipt)],
        head: BlockNumber,
    ) -> Result<(Vec<Look>, Vec<(OpeningId, Reviewed)>), Failure> {
        let emergencies = pages(limit, async |before, limit| {
            let page = self.snapshot.emergencies(self.patient, before, limit).await?;
            Ok(page.into_iter().map(|(number, id, review)| (number, (id, review))).collect())
        })
        .await?;
        let (mut looks, mut openings) = (Vec::new(), Vec::new());
        for (_, (id, review)) in emergencies {
            let number = match review.subject {
                ReviewSubject::Receipt(number) => number,
                ReviewSubject::Opening(opening) => {
                    let found = (id, review);
                    let reviewed = Reviewed::of(&self.snapshot, found, &self.judges, head).await?;
                    openings.push((opening, reviewed));
                    continue;
                }
            };
            let at_hand = receipts.iter().find(|(known, _)| *known == number).cloned();
            let found = match at_hand {
                Some(found) => Some(found),
                None => {
                    let before = Some(number.saturating_add(1));
                    self.snapshot.receipts(self.patient, before, 1).await?.into_iter().next()
                }
            };
            let (number, receipt) = found.ok_or_else(|| {
                Failure::new(
                    format!("the node has emergency {id}, but not its receipt {number}"),
                    "use another node with --node URL",
                )
            })?;
            let found = (id, review);
            let reviewed = Reviewed::of(&self.snapshot, found, &self.judges, head).await?;
            looks.push(self.look(number, receipt, Some(reviewed)).await?);
        }
        Ok((looks, openings))
    }

    pub(super) async fn look(
        &mut self,
        number: u32,
        receipt: Receipt,
        review: Option<Reviewed>,
    ) -> Result<Look, ChainError> {
        let Receipt { release, hospital, version, policies, block, at, .. } = receipt;
        let Release { request, records, grant, .. } = release;
        let mut named: Vec<String> = Vec::new();
        for policy in policies {
            let name = legible(&policy);
            if !named.contains(&name) {
                named.push(name);
            }
        }
        let occasion = Occasion {
            requester: request.requester,
            role: self.role(request.requester).await?,
            hospital,
            hospital_name: self.name(hospital),
            at: moment(at),
            block,
            purpose: request.purpose,
        };
        Ok(Look {
            receipt: number,
            occasion,
            emergency: request.emergency,
            policies: named,
            version,
            requested: request.records.iter().copied().map(WantedRecord::from).collect(),
            records: records.into_inner(),
            request: request.hash(),
            grant,
            review,
        })
    }

    /// What the patient noted of own readings, newest first.
    pub(super) async fn own_reads(&self, limit: u32) -> Result<Vec<(u32, OwnRead)>, ChainError> {
        pages(limit, async |before, limit| {
            self.snapshot.own_reads(self.patient, before, limit).await
        })
        .await
    }

    pub(super) async fn refusals(&mut self, limit: u32) -> Result<Vec<RefusedLook>, ChainError> {
        let refusals = pages(limit, async |before, limit| {
            self.snapshot.refusals(self.patient, before, limit).await
        })
        .await?;
        let mut looks = Vec::with_capacity(refusals.len());
        for (number, refused) in refusals {
            let denials = self.why(&refused).await?;
            let RefusedAccess { requester, hospital, purpose, emergency, .. } = refused;
            let RefusedAccess { request, block, at, .. } = refused;
            let occasion = Occasion {
                requester,
                role: self.role(requester).await?,
                hospital,
                hospital_name: self.name(hospital),
                at: moment(at),
                block,
                purpose,
            };
            looks.push(RefusedLook { refusal: number, occasion, emergency, request, denials });
        }
        Ok(looks)
    }

    /// Which conditions a refused requester did not meet at that time. The chain keeps relationships, registrations and
    /// policies with their times, so it can decide again.
    async fn why(&self, refused: &RefusedAccess) -> Result<Vec<Denial>, ChainError> {
        let actions: &[Action] = if refused.emergency {
            &[Action::BreakGlass]
        } else {
            &[Action::ReadText, Action::ReadMedia]
        };
        let mut denials = Vec::new();
        for action in actions {
            for class in [SectionClass::Private, SectionClass::Shared] {
                let request = AccessRequest {
                    requester: refused.requester,
                    action: *action,
                    patient: refused.patient,
                    hospital: refused.hospital,
                    class,
                    purpose: refused.purpose,
                    cosigned: false,
                };
                let decision = self.snapshot.decide(&request, Some(refused.at)).await?;
                if let Decision::Deny(denial) = decision
                    && !denials.contains(&denial)
                {
                    denials.push(denial);
                }
            }
        }
        Ok(denials)
    }

    fn name(&self, hospital: HospitalId) -> String {
        self.hospitals.get(&hospital).cloned().unwrap_or_default()
    }

    async fn role(&mut self, user: UserId) -> Result<Option<Role>, ChainError> {
        if let Some(role) = self.roles.get(&user) {
            return Ok(*role);
        }
        let role = self.snapshot.profile(user).await?.map(|profile| profile.role);
        self.roles.insert(user, role);
        Ok(role)
    }
}

/// The newest entries of a list of the chain, which is read in pages.
async fn pages<T>(
    limit: u32,
    page: impl AsyncFn(Option<u32>, u32) -> Result<Vec<(u32, T)>, ChainError>,
) -> Result<Vec<(u32, T)>, ChainError> {
    let mut all: Vec<(u32, T)> = Vec::new();
    loop {
        let left = limit.saturating_sub(u32::try_from(all.len()).unwrap_or(limit));
        if left == 0 {
            return Ok(all);
        }
        let next = page(all.last().map(|(number, _)| *number), left).await?;
        if next.is_empty() {
            return Ok(all);
        }
        all.extend(next);
    }
}
