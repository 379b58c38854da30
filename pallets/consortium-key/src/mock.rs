//! A runtime with the consortium key. Stand-ins replace the pallet of hospitals and the node's bodies; the members'
//! cryptography is real.

pub use epione_mocks::{BodyAtTail, Kept, admit, agent_account, set_active, set_agent, set_ready};

use std::collections::BTreeMap;

use epione_mocks::{Bodies, Hospitals, begin as begin_mocks, governance_account};
use epione_primitives::{
    AccountId, BlockNumber, Hash, HospitalId,
    consortium::{self, CeremonyId, CeremonyResult, Epoch, EpochId, Phase, SeatSet},
};
use epione_threshold::{Commitments, Index, MixingSecret, Share};
use frame_support::{
    assert_ok, construct_runtime, derive_impl,
    dispatch::{DispatchResultWithPostInfo, GetDispatchInfo as _},
    weights::Weight,
};
use frame_system::EnsureRoot;
use sp_io::TestExternalities;
use sp_runtime::{
    BuildStorage as _, DispatchResult,
    traits::{Dispatchable as _, IdentityLookup},
};

use crate as pallet_consortium_key;
use crate::{
    Call, Ceremony, Current, EnrolmentKey, Epochs, Schedule, SealedSharesBytes, ceremony::position,
    member::Deal,
};

construct_runtime!(
    pub struct Test {
        System: frame_system,
        ConsortiumKey: pallet_consortium_key,
    }
);

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type AccountId = AccountId;
    type Lookup = IdentityLookup<AccountId>;
    type Block = frame_system::mocking::MockBlockU32<Test>;
}

impl pallet_consortium_key::Config for Test {
    type WeightInfo = ();
    type Hospitals = Hospitals;
    type Bodies = Bodies;
    type ScheduleOrigin = EnsureRoot<AccountId>;
}

pub const PHASE: BlockNumber = 20;
pub const REFRESH: BlockNumber = 10_000;
pub const SCHEDULE: consortium::Schedule = consortium::Schedule { phase: PHASE, refresh: REFRESH };

pub fn agent(hospital: u16) -> RuntimeOrigin {
    RuntimeOrigin::signed(agent_account(hospital))
}

pub fn governance(hospital: u16) -> RuntimeOrigin {
    RuntimeOrigin::signed(governance_account(hospital))
}

/// Dispatches like an extrinsic: a failed call changes nothing.
pub fn dispatch(call: Call<Test>, origin: RuntimeOrigin) -> DispatchResult {
    post_info(call, origin).map(drop).map_err(|failed| failed.error)
}

pub fn post_info(call: Call<Test>, origin: RuntimeOrigin) -> DispatchResultWithPostInfo {
    RuntimeCall::from(call).dispatch(origin)
}

/// The declared weight of a call.
pub fn declared(call: &Call<Test>) -> Weight {
    RuntimeCall::from(call.clone()).get_dispatch_info().call_weight
}

pub fn now() -> BlockNumber {
    System::block_number()
}

/// Lets blocks pass in which nobody sends anything.
pub fn pass(blocks: BlockNumber) {
    System::set_block_number(now() + blocks);
}

/// Lets blocks pass until a phase that nobody completes is over.
pub fn pass_phase() {
    pass(newest().deadline + 1 - now());
}

pub fn genesis() -> Hash {
    System::block_hash(0)
}

/// The newest ceremony as it is in this block.
pub fn newest() -> consortium::Ceremony {
    let mut newest = Ceremony::<Test>::get().expect("a ceremony began");
    newest.advance(now(), Schedule::<Test>::get().phase);
    newest
}

pub fn current() -> Epoch {
    Current::<Test>::get().and_then(Epochs::<Test>::get).expect("an epoch began")
}

/// The sealing key of a hospital. Others than the real ones are enough here: the chain does not read them.
pub fn sealing_key(hospital: u16) -> EnrolmentKey {
    EnrolmentKey::truncate_from(vec![hospital as u8 + 1; 1_217])
}

pub fn begin(hospital: u16) -> DispatchResult {
    dispatch(Call::begin { key: sealing_key(hospital) }, agent(hospital))
}

pub fn enrol(hospital: u16) -> DispatchResult {
    let (ceremony, key) = (newest().id, sealing_key(hospital));
    dispatch(Call::enrol { ceremony, key }, agent(hospital))
}

/// Complains about these dealers, by their position.
pub fn judge(hospital: u16, complaints: &[usize]) -> DispatchResult {
    let complaints = complaints.iter().copied().collect();
    dispatch(Call::judge { ceremony: newest().id, complaints }, agent(hospital))
}

pub fn confirm(hospital: u16, result: CeremonyResult) -> DispatchResult {
    dispatch(Call::confirm { ceremony: newest().id, result }, agent(hospital))
}

/// The call of a dealer with this dealing.
pub fn dealing_call(ceremony: CeremonyId, deal: &Deal) -> Call<Test> {
    Call::deal {
        ceremony,
        commitments: deal.commitments.clone(),
        proof: deal.proof,
        part: deal.part_hash(),
        shares: SealedSharesBytes::truncate_from(vec![9; 5_000]),
    }
}

/// What the members know: the shares and the mixing secret of the epoch that began last.
#[derive(Default)]
pub struct Members {
    pub shares: BTreeMap<u16, Share>,
    pub mixing: Option<MixingSecret>,
}

impl Members {
    /// What a hospital deals in the newest ceremony.
    pub fn dealing(&self, hospital: u16) -> Deal {
        let newest = newest();
        let constant = newest.reshares.map(|_| &self.shares[&hospital]);
        Deal::new(genesis(), &newest, HospitalId(hospital), constant)
    }

    pub fn deal(&self, hospital: u16) -> DispatchResult {
        dispatch(dealing_call(newest().id, &self.dealing(hospital)), agent(hospital))
    }

    /// Answers the complaint of a seat with what the dealer dealt.
    pub fn answer(&self, dealer: u16, seat: usize) -> DispatchResult {
        let deal = self.dealing(dealer);
        let share = *deal.share(newest().seats[seat]).encode();
        answer_with(dealer, seat, share, deal.part)
    }

    /// The mixing secret of the newest ceremony.
    pub fn next_mixing(&self) -> MixingSecret {
        let parts: Vec<_> = counted().into_iter().map(|it| (it, self.dealing(it).part)).collect();
        MixingSecret::combine(&parts).expect("the dealers ascend")
    }

    /// What honest members confirm.
    pub fn result(&self) -> CeremonyResult {
        let mixing = self.next_mixing();
        let link = newest().reshares.and(self.mixing.as_ref()).map(|earlier| mixing.link(earlier));
        CeremonyResult { mixing: Hash::from(mixing.hash()), link }
    }

    pub fn deal_all(&self) {
        let dealers = newest().dealers;
        for dealer in dealers {
            assert_ok!(self.deal(dealer.0));
        }
    }

    /// All enrolled seats confirm. Those after the deciding one confirm late.
    pub fn confirm_all(&self) {
        let result = self.result();
        for hospital in enrolled() {
            assert_ok!(confirm(hospital, result));
        }
    }

    /// The newest ceremony from its enrolment to its end, in which all take part. Checks what the members got.
    pub fn complete(&mut self) -> EpochId {
        enrol_others();
        self.deal_all();
        judge_all();
        self.confirm_all();
        assert_eq!(newest().phase, Phase::Activated);
        self.learn();
        current().id
    }

    /// Waits until a ceremony may begin, lets a hospital begin it, and completes it.
    pub fn hold(&mut self, hospital: u16) -> EpochId {
        pass(PHASE);
        assert_ok!(begin(hospital));
        self.complete()
    }

    /// The members compute their shares of the epoch that began, and check them.
    pub fn learn(&mut self) {
        let epoch = current();
        let dealings: Vec<_> = counted().into_iter().map(|it| (it, self.dealing(it))).collect();
        let share_of = |member: HospitalId| {
            let dealt = dealings.iter();
            if newest().reshares.is_some() {
                let all: Vec<_> = dealt
                    .map(|(dealer, deal)| (Index::of_hospital(*dealer), deal.share(member)))
                    .collect();
                Share::interpolate(&all)
            } else {
                Share::sum(&dealt.map(|(_, deal)| deal.share(member)).collect::<Vec<_>>())
            }
        };
        let commitments = Commitments::decode(&epoch.commitments).expect("the chain checked them");
        let mut shares = BTreeMap::new();
        for member in &epoch.members {
            let share = share_of(*member).expect("the dealers differ");
            assert!(commitments.includes(Index::of_hospital(member.0), &share));
            shares.insert(member.0, share);
        }
        let mixing = self.next_mixing();
        assert_eq!(Hash::from(mixing.hash()), epoch.mixing);
        (self.shares, self.mixing) = (shares, Some(mixing));
    }

    /// The public key of the secret that the shares of these members give.
    pub fn recovered(&self, members: &[u16]) -> Option<[u8; 32]> {
        let shares = members.iter().map(|it| (Index::of_hospital(*it), self.shares[it].clone()));
        let secret = Share::interpolate(&shares.collect::<Vec<_>>())?;
        secret.public().map(|public| public.encode())
    }
}

/// Answers the complaint of a seat with anything.
pub fn answer_with(dealer: u16, seat: usize, share: [u8; 32], part: [u8; 32]) -> DispatchResult {
    let (ceremony, seat) = (newest().id, position(seat));
    dispatch(Call::answer { ceremony, seat, share, part }, agent(dealer))
}

/// The hospitals that have enrolled.
pub fn enrolled() -> Vec<u16> {
    let newest = newest();
    newest.enrolled.iter().map(|seat| newest.seats[seat].0).collect()
}

/// The hospitals whose dealings count.
pub fn counted() -> Vec<u16> {
    let newest = newest();
    newest.counted().iter().map(|dealer| newest.dealers[dealer].0).collect()
}

/// The seats that have not enrolled do.
pub fn enrol_others() {
    let newest = newest();
    for (seat, hospital) in newest.seats.iter().enumerate() {
        if !newest.enrolled.contains(seat) {
            assert_ok!(enrol(hospital.0));
        }
    }
}

/// All enrolled seats judge, and complain about nobody.
pub fn judge_all() {
    for hospital in enrolled() {
        assert_ok!(judge(hospital, &[]));
    }
}

pub fn set(seats: &[usize]) -> SeatSet {
    seats.iter().copied().collect()
}

pub fn hospitals(ids: impl IntoIterator<Item = u16>) -> consortium::Seats {
    consortium::Seats::truncate_from(ids.into_iter().map(HospitalId).collect())
}

/// So many active hospitals, and no key.
pub fn externalities_of(count: u16) -> TestExternalities {
    begin_mocks(0);
    admit((0..count).map(HospitalId));
    let config = RuntimeGenesisConfig {
        consortium_key: crate::GenesisConfig { schedule: SCHEDULE, ..Default::default() },
        ..Default::default()
    };
    let mut externalities = TestExternalities::from(config.build_storage().unwrap());
    externalities.execute_with(|| System::set_block_number(1));
    externalities
}

/// For benchmarks: a chain without hospitals.
#[cfg(feature = "runtime-benchmarks")]
pub fn externalities() -> TestExternalities {
    externalities_of(0)
}

/// Runs `test` on a chain of so many hospitals, then checks the invariants.
pub fn run_with(count: u16, test: impl FnOnce()) {
    externalities_of(count).execute_with(|| {
        test();
        ConsortiumKey::check_state().unwrap();
    });
}

/// Runs `test` on a chain of four hospitals, then checks the invariants.
pub fn run(test: impl FnOnce()) {
    run_with(4, test);
}
