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
            [9; 32],
            Some(url("https://s3.example:9000"))
        ));

        System::assert_last_event(Event::EndpointSet { hospital: HospitalId(1) }.into());
        let after = entry(1);
        assert_eq!(after.worker_url, url("http://127.0.0.1:9001"));
        assert_eq!(after.tls_key, [9; 32]);
        assert_eq!(after.storage_origin, Some(url("https://s3.example:9000")));
        assert_eq!((after.name, after.sealing_key), (before.name, before.sealing_key));

        let (worker, key) = (url("http://127.0.0.1:9001"), [9; 32]);
        assert_ok!(Hospitals::set_endpoint(
            RuntimeOrigin::signed(governance(1)),
            worker,
            key,
            None
        ));
        assert_eq!(entry(1).storage_origin, None);
    });
}

#[test]
fn an_origin_of_the_storage_with_more_than_a_host_is_refused() {
    chain(2, || {
        for text in [
            "",
            "https://",
            "s3.example",
            "ftp://s3.example",
            "https://s3.example/",
            "https://s3.example/bucket",
            "https://s3.example?a=b",
            "https://s3.example#a",
            "https://key:secret@s3.example",
            "https://s3.example\\@evil.example",
            "https://s3 example",
        ] {
            assert_noop!(
                Hospitals::set_endpoint(
                    RuntimeOrigin::signed(governance(1)),
                    url("https://new.example"),
                    [9; 32],
                    Some(url(text))
                ),
                Error::<Test>::InvalidStorageOrigin
            );
        }
    });
}

#[test]
fn an_invalid_url_is_refused() {
    chain(2, || {
        for text in ["", "http://", "file:///etc", "https://a\nb"] {
            assert_noop!(
                Hospitals::set_endpoint(
                    RuntimeOrigin::signed(governance(1)),
                    url(text),
                    [9; 32],
                    None
                ),
                Error::<Test>::InvalidUrl
            );
        }
    });
}

#[test]
fn only_an_active_hospitals_governance_sets_the_endpoint() {
    chain(2, || {
        let set =
            |origin| Hospitals::set_endpoint(origin, url("https://new.example"), [9; 32], None);
        assert_noop!(set(RuntimeOrigin::root()), BadOrigin);
        assert_noop!(set(RuntimeOrigin::none()), BadOrigin);
        assert_noop!(set(RuntimeOrigin::signed(agent(1))), Error::<Test>::NotGovernance);
        assert_noop!(set(RuntimeOrigin::signed(stranger(0))), Error::<Test>::NotGovernance);
        assert_ok!(Hospitals::remove(council(), HospitalId(1)));
        assert_noop!(set(RuntimeOrigin::signed(governance(1))), Error::<Test>::NotActive);
    });
}
