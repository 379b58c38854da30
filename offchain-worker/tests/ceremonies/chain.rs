//! A chain in memory with the real pallet. Each block is final at once.

use std::{collections::BTreeMap, iter::successors};

use codec::DecodeAll;
use epione_client::chain::{Call, CeremonyState, ConsortiumKey as KeyState};
use epione_mocks::{
    Bodies as KeptBodies, Hospitals, Kept, admit, governance_account, set_active, set_agent,
    set_ready,
};
use epione_primitives::{
    AccountId, BlockNumber, Hash, HospitalId,
    consortium::{Ceremony, Epoch, EpochId, Phase, Schedule, Seats},
    ports::{HashedBody, Hospitals as _},
};
use epione_worker::consortium::{Bodies, ConsortiumView, KeptCeremony};
use frame_support::{
    construct_runtime, derive_impl,
    traits::{GetCallIndex, GetCallName},
};
use frame_system::EnsureRoot;
use pallet_consortium_key as pallet;
use sp_io::TestExternalities;
use sp_runtime::{
    BuildStorage as _, DispatchError,
    traits::{Dispatchable as _, IdentityLookup},
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
    type Bodies = KeptBodies;
    type ScheduleOrigin = EnsureRoot<AccountId>;
}

pub const SCHEDULE: Schedule = Schedule { phase: 20, refresh: 2_000 };

/// The chain, and the bodies that its nodes store.
pub struct Chain {
    externalities: TestExternalities,
    pub bodies: Bodies,
    /// The agent account of each hospital.
    agents: BTreeMap<HospitalId, AccountId>,
    /// The calls of agents, with their bodies, as transactions have them.
    sent: Vec<Vec<u8>>,
}

impl Chain {
    /// At block 1, without hospitals.
    pub fn new() -> Self {
        epione_mocks::begin(0);
        let config = RuntimeGenesisConfig {
            consortium_key: pallet::GenesisConfig { schedule: SCHEDULE, ..Default::default() },
            ..Default::default()
        };
        let mut externalities = TestExternalities::from(config.build_storage().unwrap());
        externalities.execute_with(|| System::set_block_number(1));
        Self { externalities, bodies: Bodies::new(), agents: BTreeMap::new(), sent: Vec::new() }
    }

    pub fn genesis(&mut self) -> Hash {
        self.externalities.execute_with(|| System::block_hash(0))
    }

    pub fn block(&mut self) -> BlockNumber {
        self.externalities.execute_with(System::block_number)
    }

    pub fn pass(&mut self, blocks: BlockNumber) {
        let block = self.block() + blocks;
        self.externalities.execute_with(|| System::set_block_number(block));
    }

    pub fn admit(&mut self, hospital: HospitalId, agent: AccountId) {
        admit([hospital]);
        self.rotate(hospital, agent);
    }

    /// Gives a hospital another agent account.
    pub fn rotate(&mut self, hospital: HospitalId, agent: AccountId) {
        set_agent(hospital, agent.clone());
        self.agents.insert(hospital, agent);
    }

    pub fn set_active(&mut self, hospital: HospitalId, active: bool) {
        set_active(hospital, active);
    }

    pub fn set_ready(&mut self, hospital: HospitalId, ready: bool) {
        set_ready(hospital, ready);
    }

    /// Applies a call of a hospital's agent in the present block.
    pub fn submit(&mut self, hospital: HospitalId, call: &Call) -> Result<(), DispatchError> {
        assert_eq!(call.pallet, "ConsortiumKey");
        let names = pallet::Call::<Test>::get_call_names();
        let place = names.iter().position(|name| *name == call.name).unwrap();
        let index = pallet::Call::<Test>::get_call_indices()[place];
        let encoded = [&[index], call.arguments.as_slice()].concat();
        self.sent.push(encoded.clone());
        let decoded = pallet::Call::<Test>::decode_all(&mut encoded.as_slice()).unwrap();
        let agent = self.agents[&hospital].clone();
        self.dispatch(decoded, RuntimeOrigin::signed(agent))
    }

    /// The governance of a hospital requests new shares.
    pub fn refresh(&mut self, hospital: HospitalId) -> Result<(), DispatchError> {
        let origin = RuntimeOrigin::signed(governance_account(hospital.0));
        self.dispatch(pallet::Call::refresh {}, origin)
    }

    /// Applies a call that the council decided.
    pub fn council(&mut self, call: pallet::Call<Test>) -> Result<(), DispatchError> {
        self.dispatch(call, RuntimeOrigin::root())
    }

    /// What everybody has who has a node: all transactions of agents so far, and all keys and values of the state.
    pub fn harvest(&mut self) -> Vec<Vec<u8>> {
        let state = self.externalities.execute_with(|| {
            let first = sp_io::storage::next_key(&[]);
            let keys = successors(first, |key| sp_io::storage::next_key(key));
            let both = |key: Vec<u8>| [sp_io::storage::get(&key).map(|it| it.to_vec()), Some(key)];
            keys.flat_map(both).flatten().collect::<Vec<_>>()
        });
        [self.sent.as_slice(), state.as_slice()].concat()
    }

    fn dispatch(
        &mut self,
        call: pallet::Call<Test>,
        origin: RuntimeOrigin,
    ) -> Result<(), DispatchError> {
        let done = self.externalities.execute_with(|| RuntimeCall::from(call).dispatch(origin));
        for (body, _) in Kept::take() {
            self.bodies.insert(HashedBody::new(&body).hash(), body);
        }
        done.map(drop).map_err(|failed| failed.error)
    }

    /// The newest ceremony as it is in the next block.
    pub fn ceremony(&mut self) -> Option<Ceremony> {
        let next = self.block() + 1;
        self.view().advanced(next)
    }

    pub fn phase(&mut self) -> Option<Phase> {
        self.ceremony().map(|ceremony| ceremony.phase)
    }

    pub fn current(&mut self) -> Option<Epoch> {
        self.view().key.current
    }

    pub fn epoch(&mut self, id: EpochId) -> Epoch {
        self.externalities.execute_with(|| pallet::Epochs::<Test>::get(id)).unwrap()
    }

    /// What a worker reads.
    pub fn view(&mut self) -> ConsortiumView {
        self.externalities.execute_with(|| {
            let ceremony = pallet::Ceremony::<Test>::get();
            let key = KeyState {
                schedule: pallet::Schedule::<Test>::get(),
                current: pallet::Current::<Test>::get().and_then(pallet::Epochs::<Test>::get),
                ceremony: ceremony.clone(),
                kept: pallet::Kept::<Test>::get(),
                committee: pallet::Committee::<Test>::get(),
                refresh_requested: pallet::RefreshRequested::<Test>::get(),
                renewal_decided: pallet::RenewalDecided::<Test>::get(),
                joined: pallet::Joined::<Test>::get(),
                last_begun: pallet::LastBegun::<Test>::get(),
                last_ended: pallet::LastEnded::<Test>::get(),
            };
            let reshared = |it: &Ceremony| it.reshares.and_then(pallet::Epochs::<Test>::get);
            let kept = key.kept.clone().map(|kept| KeptCeremony {
                earlier: reshared(&kept),
                state: CeremonyState { confirmations: Default::default(), ..state(kept) },
            });
            ConsortiumView {
                key,
                earlier: ceremony.as_ref().and_then(reshared),
                state: ceremony.map(state),
                kept,
                past: pallet::Past::<Test>::get().into_inner(),
                active: Hospitals::active(),
                unready: Hospitals::unready(),
            }
        })
    }
}

fn state(ceremony: Ceremony) -> CeremonyState {
    let id = ceremony.id;
    let each = |list: &Seats| (0..list.len()).map(|it| u8::try_from(it).unwrap());
    let (seats, dealers) = (each(&ceremony.seats), || each(&ceremony.dealers));
    CeremonyState {
        enrolments: seats.map(|seat| pallet::Enrolments::<Test>::get(id, seat)).collect(),
        dealings: dealers().map(|dealer| pallet::Dealings::<Test>::get(id, dealer)).collect(),
        answers: dealers().map(|dealer| pallet::AnswersOf::<Test>::get(id, dealer)).collect(),
        confirmations: pallet::Confirmed::<Test>::get(),
        ceremony,
    }
}
