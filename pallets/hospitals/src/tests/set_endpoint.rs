use epione_primitives::HospitalId;
use frame_support::{assert_noop, assert_ok};
use sp_runtime::DispatchError::BadOrigin;

use crate::{Error, Event, WorkerUrl, mock::*};

fn url(text: &str) -> WorkerUrl {
    text.as_bytes().to_vec().try_into().unwrap()
}

#[test]
fn a_hospital_sets_the_endpoint_of_its_worker() {
    chain(2, || {
        let before = entry(1);
        assert_ok!(Hospitals::set_endpoint(
            RuntimeOrigin::signed(governance(1)),
            url("http://127.0.0.1:9001"),
            [9; 32]
        ));

        System::assert_last_event(Event::EndpointSet { hospital: HospitalId(1) }.into());
        let after = entry(1);
        assert_eq!(after.worker_url, url("http://127.0.0.1:9001"));
        assert_eq!(after.tls_key, [9; 32]);
        assert_eq!((after.name, after.sealing_key), (before.name, before.sealing_key));
    });
}

#[test]
fn an_invalid_url_is_refused() {
    chain(2, || {
        for text in ["", "http://", "file:///etc", "https://a\nb"] {
            assert_noop!(
                Hospitals::set_endpoint(RuntimeOrigin::signed(governance(1)), url(text), [9; 32]),
                Error::<Test>::InvalidUrl
            );
        }
    });
}

#[test]
fn only_an_active_hospitals_governance_sets_the_endpoint() {
    chain(2, || {
        let set = |origin| Hospitals::set_endpoint(origin, url("https://new.example"), [9; 32]);
        assert_noop!(set(RuntimeOrigin::root()), BadOrigin);
        assert_noop!(set(RuntimeOrigin::none()), BadOrigin);
        assert_noop!(set(RuntimeOrigin::signed(agent(1))), Error::<Test>::NotGovernance);
        assert_noop!(set(RuntimeOrigin::signed(stranger(0))), Error::<Test>::NotGovernance);
        assert_ok!(Hospitals::remove(council(), HospitalId(1)));
        assert_noop!(set(RuntimeOrigin::signed(governance(1))), Error::<Test>::NotActive);
    });
}
