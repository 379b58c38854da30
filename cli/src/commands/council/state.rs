//! The council after one block.

use epione_client::{
    chain::{BlockRef, Chain, Motion},
    signer::Account,
};
use epione_primitives::{
    AccountId, Hash, HospitalId, Moment, hospital::Hospital, limits::SLOT_MILLIS, quota::Limits,
    text::quoted,
};

use super::{Era, MotionRef, Signing, Voter};
use crate::{context::Context, failure::Failure, identity, wording::legible};

/// A hospital's name, which the hospital chose, within a sentence: in quotation marks if the name could go on with the
/// sentence, such as `Eve), hospital 0 (Alice`.
pub(super) fn apart(name: &[u8]) -> String {
    let shown = legible(name);
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '.' | '-' | '\'' | '&');
    if shown.chars().all(is_plain) { shown } else { quoted(name) }
}

/// Members, motions, and what names and numbers in them mean.
pub(super) struct Council {
    pub at: BlockRef,
    /// The time of the block.
    pub now: Moment,
    pub genesis: Hash,
    pub members: Vec<AccountId>,
    pub motions: Vec<Motion>,
    /// Every hospital ever admitted.
    pub hospitals: Vec<(HospitalId, Hospital)>,
    /// The quotas in force.
    pub limits: Limits,
}

impl Council {
    /// The council after the newest block from which lifetimes begin.
    pub(super) async fn read(era: Era, context: &Context) -> Result<Self, Failure> {
        let birth = era.birth(context)?;
        let chain = context.chain().await?;
        Self::after(chain, chain.newest_for(birth).await?).await
    }

    pub(super) async fn after(chain: &Chain, at: BlockRef) -> Result<Self, Failure> {
        let snapshot = chain.at(at.hash);
        Ok(Self {
            at,
            now: snapshot.time().await?,
            genesis: chain.genesis_hash(),
            members: snapshot.council_members().await?,
            motions: snapshot.motions().await?,
            hospitals: snapshot.hospitals().await?,
            limits: snapshot.quota_limits().await?,
        })
    }

    /// The number of members.
    pub(super) fn size(&self) -> u32 {
        u32::try_from(self.members.len()).unwrap_or(u32::MAX)
    }

    /// The hospital that gets the next number.
    pub(super) fn next_hospital(&self) -> HospitalId {
        HospitalId(u16::try_from(self.hospitals.len()).unwrap_or(u16::MAX))
    }

    /// The time of a later block, if no slot stays empty.
    pub(super) fn time_of(&self, block: u32) -> Moment {
        let blocks = u64::from(block.saturating_sub(self.at.number));
        self.now.saturating_add(blocks.saturating_mul(SLOT_MILLIS))
    }

    /// `hospital 1 (Bob)`.
    pub(super) fn hospital(&self, hospital: HospitalId) -> String {
        match self.hospitals.iter().find(|(id, _)| *id == hospital) {
            Some((_, entry)) => format!("hospital {hospital} ({})", apart(&entry.name)),
            None => format!("hospital {hospital}, which does not exist"),
        }
    }

    /// A member, or an account that was one.
    pub(super) fn voter(&self, account: &AccountId) -> Voter {
        let found = self.hospitals.iter().find(|(_, entry)| entry.governance == *account);
        Voter {
            account: account.clone(),
            hospital: found.map(|(id, _)| *id),
            name: found.map(|(_, entry)| legible(&entry.name)),
        }
    }

    /// A live motion.
    pub(super) fn find(
        &self,
        motion: MotionRef,
        era: Era,
        context: &Context,
    ) -> Result<&Motion, Failure> {
        let found = self.motions.iter().find(|it| match motion {
            MotionRef::Number(number) => it.number == number,
            MotionRef::Hash(hash) => it.hash == hash,
        });
        found.ok_or_else(|| {
            Failure::new(
                format!("the council has no live motion {motion}; nothing was sent"),
                "it may be closed already; choose a motion of the list",
            )
            .with_command(era.list(context))
        })
    }

    /// The hospital that an account governs after this council's block, which need not be final: while finality stalls,
    /// an account that was replaced has no rights, although the last final block still names it.
    pub(super) fn governed_by(
        &self,
        account: &AccountId,
        wanted: Option<HospitalId>,
    ) -> Result<HospitalId, Failure> {
        let has = |entry: &Hospital| entry.governance == *account || entry.agent == *account;
        let found = self.hospitals.iter().find(|(_, entry)| has(entry));
        let (own, entry) = found.ok_or_else(|| {
            Failure::new(
                "this is not the account of a hospital",
                "sign with the key file of the hospital's governance: --as FILE",
            )
        })?;
        let hospital = wanted.unwrap_or(*own);
        if hospital == *own && entry.governance == *account {
            return Ok(hospital);
        }
        Err(Failure::usage(
            format!("this account is not the governance of hospital {hospital}"),
            "sign with the key file of that hospital's governance: --as FILE",
        ))
    }

    /// The member that signs.
    pub(super) async fn member(
        &self,
        signing: &Signing,
        context: &Context,
    ) -> Result<(HospitalId, Account), Failure> {
        let own = signing.own.as_ref();
        let (hospital, account) = match &signing.signer {
            Some(source) => {
                let account = identity::account(&context.keys(source)?);
                let wanted = match own {
                    Some(hospital) => Some(context.hospital(hospital).await?),
                    None => None,
                };
                (self.governed_by(&account.id(), wanted)?, account)
            }
            None => context.own_governance(None, own).await?,
        };
        if !self.members.contains(&account.id()) {
            return Err(Failure::new(
                format!("{} is not in the council; nothing was sent", self.hospital(hospital)),
                "only the governance accounts of active hospitals are members: look at the hospital's status",
            )
            .with_command(context.command(["hospital", "list"])));
        }
        Ok((hospital, account))
    }
}
