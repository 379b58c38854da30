//! The other hospitals' workers: which of them this machine reaches, and which of them reach this hospital's worker.

use std::{collections::BTreeMap, time::Duration};

use epione_primitives::{Hash, HospitalId, Moment, hospital::Hospital};
use futures::{StreamExt, stream};
use tokio::time::sleep;
use url::Url;

use super::{
    clock::{Clock, Reading},
    report::Finding,
};
use crate::{
    maintenance::moment,
    transfer::{Contact, Courier, Peer, PeerError, PeerFault, contact},
};

/// Hospitals that are asked at once.
const AT_ONCE: usize = 8;
/// For a worker to say who it is.
const ANSWER: Duration = Duration::from_secs(10);
/// A worker tries to reach a hospital once in ten seconds: so long the doctor waits if it was asked shortly before.
const ASK_AGAIN: Duration = Duration::from_secs(11);
/// A request that is older, in milliseconds, says nothing about the way now.
const RECENT: Moment = 10 * 60 * 1_000;

/// What is known of the way to another hospital's worker and back.
#[derive(Debug)]
pub(super) struct Way {
    pub hospital: HospitalId,
    /// Whether this machine reaches it.
    there: Result<Contact, PeerFault>,
    /// Whether it reaches this hospital's worker; none if it was not asked.
    back: Option<Result<bool, PeerFault>>,
    /// When its agent last sent this worker a request, if that was a moment ago.
    heard: Option<Moment>,
    /// The address that the chain names.
    address: String,
}

/// Tries the way to the worker of every other hospital that serves, and back: readers and other workers need those of
/// leaving hospitals, too. Returns findings about entries that are not usable, the ways, and the clocks of the workers
/// that answered.
pub(super) async fn walk(
    genesis: Hash,
    own: HospitalId,
    hospitals: &[(HospitalId, Hospital)],
    courier: &Courier,
    heard: &BTreeMap<HospitalId, Moment>,
    clock: &dyn Clock,
) -> (Vec<Finding>, Vec<Way>, Vec<Reading>) {
    let others = hospitals.iter().filter(|(id, hospital)| *id != own && hospital.status.serves());
    let own = hospitals.iter().find(|(id, _)| *id == own).map(|(_, hospital)| hospital);
    let (mut findings, mut peers) = (Vec::new(), Vec::new());
    for (id, hospital) in others {
        match Peer::of(*id, hospital, own) {
            Ok(peer) => peers.push(peer),
            Err(error) => findings.push(unusable(*id, &error)),
        }
    }
    let each = peers.into_iter().map(|peer| async move {
        let there = contact(genesis, &peer, ANSWER).await;
        let now = clock.now();
        let date = there.as_ref().ok().and_then(|contact| contact.date);
        let name = format!("hospital {}", peer.hospital);
        let reading = date.map(|date| Reading::new(name, date, now));
        let back = match &there {
            Ok(_) => Some(ask(courier, genesis, &peer).await),
            Err(_) => None,
        };
        let (hospital, address) = (peer.hospital, peer.endpoint.url().to_string());
        let heard = heard.get(&hospital).copied().filter(|at| is_recent(*at, now));
        (Way { hospital, there, back, heard, address }, reading)
    });
    let mut walked: Vec<_> = stream::iter(each).buffer_unordered(AT_ONCE).collect().await;
    walked.sort_by_key(|(way, _)| way.hospital);
    let (ways, readings): (Vec<_>, Vec<_>) = walked.into_iter().unzip();
    (findings, ways, readings.into_iter().flatten().collect())
}

/// Asks a hospital's worker whether it reaches this hospital's.
async fn ask(courier: &Courier, genesis: Hash, peer: &Peer) -> Result<bool, PeerFault> {
    match courier.reach(genesis, peer).await {
        Err(PeerFault::Busy) => {
            sleep(ASK_AGAIN).await;
            courier.reach(genesis, peer).await
        }
        answer => answer,
    }
}

/// Whether a hospital sent a request so lately that its worker runs and the way from there is open.
fn is_recent(heard: Moment, now: Moment) -> bool {
    now.saturating_sub(heard) <= RECENT
}

fn unusable(hospital: HospitalId, error: &PeerError) -> Finding {
    let todo = format!("tell hospital {hospital}: its governance sets the address");
    Finding::problem(format!("hospital {hospital}"), error, todo)
}

/// Whether this hospital's worker can be reached from outside, and a finding for each other hospital.
pub(super) fn judge(ways: &[Way], own: &Url) -> Vec<Finding> {
    let mut findings = vec![reachable(ways, own)];
    findings.extend(ways.iter().map(|way| of_one(way, own)));
    findings
}

fn reachable(ways: &[Way], own: &Url) -> Finding {
    const CHECK: &str = "reachable";
    if ways.is_empty() {
        return Finding::unchecked(CHECK, "the chain has no other hospital that could tell");
    }
    let that_say = |wanted: bool| -> Vec<HospitalId> {
        let say = |way: &&Way| matches!(&way.back, Some(Ok(reached)) if *reached == wanted);
        ways.iter().filter(say).map(|way| way.hospital).collect()
    };
    let (reaching, failing) = (that_say(true), that_say(false));
    if !reaching.is_empty() {
        return Finding::ok(CHECK, format!("hospitals that reach {own}: {}", listed(&reaching)));
    }
    if failing.is_empty() {
        let why = "no other hospital's worker said whether it reaches this one";
        return Finding::unchecked(CHECK, why);
    }
    let port = own.port_or_known_default().unwrap_or_default();
    Finding::problem(
        CHECK,
        format!(
            "no hospital that was asked can connect to the worker at the address on the chain: {}",
            listed(&failing)
        ),
        format!(
            "check that the worker listens (ss -ltn), that the firewall and the router permit TCP port {port} from \
             outside, that a proxy passes TLS on, and that the chain names the right address: epione hospital list"
        ),
    )
}

fn of_one(way: &Way, own: &Url) -> Finding {
    let Way { hospital, there, back, heard, address } = way;
    let check = format!("hospital {hospital}");
    match (there, back) {
        (Err(PeerFault::WrongKey), _) => Finding::problem(
            check,
            format!(
                "the server at {address} does not prove the TLS key that the chain names for it"
            ),
            "call the hospital. Another program may answer at its address, or it did not set its new key on the chain",
        ),
        (Err(fault), _) => {
            let known = match heard {
                Some(at) => format!(
                    "its worker sent this one a request at {}: the way is open in one direction only",
                    moment(*at)
                ),
                None => "whether it can reach this worker is not known".into(),
            };
            Finding::problem(
                check,
                format!("its worker at {address} does not answer here: {fault}; {known}"),
                format!(
                    "check that this machine may connect to {address}, then call hospital {hospital}"
                ),
            )
        }
        (Ok(_), Some(Ok(true))) => Finding::ok(check, "its worker answers, and reaches this one"),
        (Ok(_), Some(Ok(false))) => Finding::problem(
            check,
            format!(
                "its worker answers here, but cannot connect to {own}: the way is open in one direction only"
            ),
            format!(
                "if other hospitals can connect, call hospital {hospital}: its firewall or its router does not let it \
                 out. Otherwise see \"reachable\""
            ),
        ),
        (Ok(_), Some(Err(fault))) => {
            Finding::unchecked(check, format!("its worker answers; the way back: {}", why(fault)))
        }
        (Ok(_), None) => {
            Finding::unchecked(check, "its worker answers; the way back was not tried")
        }
    }
}

/// Why a worker did not say whether it reaches this one.
fn why(fault: &PeerFault) -> String {
    match fault {
        PeerFault::Refused(401) => {
            "it does not accept this worker's signature: check the clocks, and the agent's key"
                .into()
        }
        PeerFault::Refused(403) => "it answers active and leaving hospitals only".into(),
        PeerFault::Refused(404 | 405) => "its worker is of a version that does not tell".into(),
        other => other.to_string(),
    }
}

fn listed(hospitals: &[HospitalId]) -> String {
    hospitals.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use epione_client::api::WorkerInfo;

    use super::*;
    use crate::doctor::report::Verdict;

    fn way(id: u16, back: Option<Result<bool, PeerFault>>) -> Way {
        let hospital = HospitalId(id);
        let info = WorkerInfo { hospital, genesis: Hash::zero(), version: "1".into() };
        let there = Ok(Contact { info, date: None });
        Way { hospital, there, back, heard: None, address: "https://other.example".into() }
    }

    fn away(id: u16, fault: PeerFault, heard: Option<Moment>) -> Way {
        Way { there: Err(fault), heard, ..way(id, None) }
    }

    fn judged(ways: &[Way]) -> Vec<Finding> {
        judge(ways, &Url::parse("https://own.example:8600").unwrap())
    }

    fn verdicts(findings: &[Finding]) -> Vec<Verdict> {
        findings.iter().map(|it| it.verdict).collect()
    }

    #[test]
    fn a_port_that_is_closed_for_all_others_is_found() {
        let found = judged(&[way(1, Some(Ok(false))), way(2, Some(Ok(false)))]);
        assert!(found[0].is_problem(), "{found:?}");
        assert!(found[0].todo.as_ref().unwrap().contains("TCP port 8600"), "{found:?}");
    }

    #[test]
    fn a_hospital_that_alone_cannot_connect_is_named_and_the_port_is_not_blamed() {
        use Verdict::{Ok as Fine, Problem};
        let found = judged(&[way(1, Some(Ok(true))), way(2, Some(Ok(false)))]);
        assert_eq!(verdicts(&found), [Fine, Fine, Problem]);
        assert!(found[2].found.contains("one direction only"), "{found:?}");
        assert_eq!(found[2].check, "hospital 2");
    }

    #[test]
    fn a_hospital_that_cannot_be_reached_but_sends_requests_is_found() {
        let gone = PeerFault::Unreachable("no connection".into());
        let found = judged(&[away(1, gone.clone(), Some(1_700_000_000_000)), away(2, gone, None)]);
        assert_eq!(found[0].verdict, Verdict::Unchecked);
        assert!(found[1].is_problem() && found[1].found.contains("2023-11-14"), "{found:?}");
        assert!(found[1].found.contains("one direction only"), "{found:?}");
        assert!(found[2].is_problem() && found[2].found.contains("not known"), "{found:?}");
    }

    #[test]
    fn a_request_of_long_ago_does_not_show_that_the_way_is_open() {
        let at = 1_700_000_000_000;
        assert!(is_recent(at, at) && is_recent(at, at + RECENT));
        assert!(!is_recent(at, at + RECENT + 1));
    }

    #[test]
    fn a_server_with_another_key_is_found() {
        let found = judged(&[away(1, PeerFault::WrongKey, None)]);
        assert!(found[1].is_problem() && found[1].found.contains("TLS key"), "{found:?}");
    }

    #[test]
    fn a_way_back_that_nobody_told_is_not_ok() {
        for fault in [401, 403, 404, 500].map(PeerFault::Refused) {
            let found = judged(&[way(1, Some(Err(fault)))]);
            assert_eq!(verdicts(&found), [Verdict::Unchecked; 2]);
        }
        assert_eq!(verdicts(&judged(&[])), [Verdict::Unchecked]);
    }
}
