//! Consents on a real network: an insurer reads what the patient shares, and nothing after the consent has ended.

#![allow(clippy::unwrap_used)]

mod network;

use epione_client::{
    api::SegmentLink,
    chain::{
        Call,
        calls::{role_policies, sharing},
    },
    reader::{Intent, SignedRequest},
    signer::Account,
    worker::{Granted, WorkerError},
};
use epione_primitives::{
    RecordPointer, UserId,
    access::{Action, Conclusion, Condition, Policy, Purpose},
    block::Segment,
    limits::DAY_MILLIS,
    profile::Role,
    release::{ReleasedRecord, SectionSet},
    sharing::{Consent, KindSet, RecordedPeriod, SlotId, Term},
};
use network::{
    Hospital, Network, Tuning,
    people::{People, TREATMENT, join},
    settles,
};

const SLOT: SlotId = SlotId(3);
const RESEARCH: Intent = Intent { purpose: Purpose::Research, emergency: None };

/// Insurers may read what patients share with them.
fn for_insurers() -> Policy {
    let actions = vec![Action::ReadText, Action::ReadMedia];
    Policy {
        name: b"shared with insurers".to_vec().try_into().unwrap(),
        summary: b"Insurers read what a patient shares with them.".to_vec().try_into().unwrap(),
        hospitals: Default::default(),
        roles: vec![Role::Insurer].try_into().unwrap(),
        conditions: vec![Condition::SectionShared].try_into().unwrap(),
        conclusion: Conclusion::Allows(actions.try_into().unwrap()),
        expires: None,
    }
}

/// An insurer who wants to read the patient's record.
struct Insurer {
    account: Account,
    user: UserId,
    patient: UserId,
    record: RecordPointer,
}

impl Insurer {
    async fn request(&self, hospital: &Hospital, intent: Intent) -> Result<Granted, WorkerError> {
        let genesis = hospital.chain().await.genesis_hash();
        let client = hospital.client(self.account.clone()).await;
        let (user, patient, records) = (self.user, self.patient, [self.record.into()]);
        let signed = SignedRequest::new(genesis, &client, user, patient, &records, intent);
        client.grant(&signed.unwrap().to_api()).await
    }

    async fn granted(&self, hospital: &Hospital) -> Granted {
        self.request(hospital, RESEARCH).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Looks under a consent that ends soon. Returns a link that served the segment, and when the consent ends. On a
    /// busy machine, a consent may end before that: then the next one lasts longer.
    async fn looks_before_the_end(
        &self,
        hospital: &Hospital,
        segment: &Segment,
    ) -> (SegmentLink, u64) {
        let client = hospital.client(self.account.clone()).await;
        let mut lasts = 30_000;
        loop {
            let until = now(hospital).await + lasts;
            give(hospital, self.patient, self.user, until).await;
            let looked = async {
                let granted = self.request(hospital, RESEARCH).await?;
                let link = granted.reply.links[0].clone();
                client.segment_by_link(segment, &link).await.map(|_| link)
            };
            match looked.await {
                Ok(link) => return (link, until),
                Err(error) => assert!(now(hospital).await >= until, "refused too early: {error}"),
            }
            lasts *= 2;
        }
    }

    async fn denied(&self, hospital: &Hospital, intent: Intent) {
        let error = self.request(hospital, intent).await.err().unwrap();
        assert!(error.denial().is_some(), "{error}");
    }
}

async fn now(hospital: &Hospital) -> u64 {
    hospital.chain().await.finalized().await.unwrap().time().await.unwrap()
}

/// The patient sends a call. Returns when it is final.
async fn as_patient(hospital: &Hospital, call: &Call) {
    let account = Account::development("//Patient").unwrap();
    hospital.chain().await.submit(call, &account).await.unwrap();
}

/// The patient's consent for research by one user.
async fn give(hospital: &Hospital, patient: UserId, user: UserId, until: u64) {
    let state = hospital.chain().await.finalized().await.unwrap();
    let seen = state.slot_height(patient, SLOT).await.unwrap();
    let consent = Consent {
        audience: vec![Term::User(user)].try_into().unwrap(),
        purposes: vec![Purpose::Research].try_into().unwrap(),
        kinds: KindSet::default(),
        recorded: RecordedPeriod::default(),
        until,
        standing: false,
    };
    as_patient(hospital, &sharing::give(SLOT, &consent, seen)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_insurer_reads_what_the_patient_shares_and_nothing_after_the_consent_has_ended() {
    let network = Network::start(1, Tuning::default()).await;
    let hospital = &network.hospitals[0];
    let people = People::register(hospital).await;
    let patient = people.patient;
    let visit = people.visit(hospital, network.folder.path(), &[7; 1_000]).await;
    people.submit(hospital, &visit).await;
    let record = people.is_committed(hospital, visit.record_id()).await;
    let chain = hospital.chain().await;
    let known = chain.finalized().await.unwrap().policies(hospital.id, None).await.unwrap();
    let mut policies = known.unwrap().1.policies;
    policies.try_push(for_insurers()).unwrap();
    let set = role_policies::set_policies(&policies);
    chain.submit(&set, &hospital.governance()).await.unwrap();
    let registered = async |name: &'static str| {
        let user = join(hospital, Role::Insurer, name).await;
        Insurer { account: Account::development(name).unwrap(), user, patient, record }
    };
    let (insurer, outsider) = tokio::join!(registered("//Stranger"), registered("//Referred"));
    insurer.denied(hospital, RESEARCH).await;

    let sealed = chain.lite_record(record).await.unwrap();
    let sections = [ReleasedRecord { pointer: record, sections: SectionSet(0b11) }];
    as_patient(hospital, &sharing::place(SLOT, &sections)).await;
    insurer.denied(hospital, RESEARCH).await;
    give(hospital, patient, insurer.user, now(hospital).await + DAY_MILLIS).await;
    outsider.denied(hospital, RESEARCH).await;
    insurer.denied(hospital, TREATMENT).await;
    let granted = insurer.granted(hospital).await;
    let (segment, link) = (network.segments().await[0], granted.reply.links[0].clone());
    let client = hospital.client(insurer.account.clone()).await;
    client.segment_by_link(&segment, &link).await.unwrap();

    // The open grant serves nothing any more, and the next look is refused.
    as_patient(hospital, &sharing::withdraw(SLOT)).await;
    let refused = client.segment_by_link(&segment, &link).await.unwrap_err();
    assert!(matches!(refused, WorkerError::Problem(problem) if problem.status == 403));
    insurer.denied(hospital, RESEARCH).await;
    assert_eq!(chain.lite_record(record).await.unwrap(), sealed, "the record is untouched");

    // A consent that ends by itself.
    let (link, until) = insurer.looks_before_the_end(hospital, &segment).await;
    settles("the consent is over by the chain's clock", async || {
        let now = now(hospital).await;
        if now >= until { Ok(()) } else { Err(until - now) }
    })
    .await;
    let refused = client.segment_by_link(&segment, &link).await.unwrap_err();
    assert!(matches!(refused, WorkerError::Problem(problem) if problem.status == 403));
    insurer.denied(hospital, RESEARCH).await;
}
