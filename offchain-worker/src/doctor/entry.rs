//! The hospital's entry on the chain beside the worker's keys and configuration.

use epione_client::chain::ChainError;
use epione_envelope::keystore::ActorKeys;
use epione_primitives::{
    AccountId, HospitalId,
    consortium::{CeremonyId, Epoch},
    hospital::{Duty, Hospital, HospitalStatus},
};
use url::Url;

use super::report::Finding;
use crate::{
    config::Config,
    keys::TlsKeys,
    tasks::task_journal::{Fetching, PERSISTENT},
};

/// Which hospital an agent's account is of, by the chain. `remembered` is the hospital of the journal.
pub(super) fn agent(
    account: &AccountId,
    found: Option<(HospitalId, Duty)>,
    remembered: Option<HospitalId>,
) -> Finding {
    const CHECK: &str = "agent-key";
    let keystore = "set keystore to the file with the agent's keys. If the agent's account was changed on purpose, its \
                    governance sets the new one: epione hospital rotate agent --help";
    match (found, remembered) {
        (Some((hospital, Duty::Agent)), Some(other)) if hospital != other => Finding::problem(
            CHECK,
            format!(
                "the keystore's account {account} is the agent of hospital {hospital}, and the journal is hospital \
                 {other}'s"
            ),
            "set data_dir and keystore to those of one hospital",
        ),
        (Some((hospital, Duty::Agent)), _) => {
            Finding::ok(CHECK, format!("{account} is the agent of hospital {hospital}"))
        }
        (Some((hospital, Duty::Governance)), _) => Finding::problem(
            CHECK,
            format!(
                "the keystore's account {account} is the governance of hospital {hospital}, not its agent"
            ),
            keystore,
        ),
        (None, _) => Finding::problem(
            CHECK,
            format!("the chain has no hospital whose agent is the keystore's account {account}"),
            keystore,
        ),
    }
}

/// Whether the hospital is active, and validates. `benched` and `unready` are hospitals that do not. `fetching` is what
/// the running worker says that it lacks; none if no worker says it.
pub(super) fn status(
    own: HospitalId,
    entry: &Hospital,
    benched: &[HospitalId],
    unready: &[HospitalId],
    fetching: Option<&Fetching>,
) -> Finding {
    const CHECK: &str = "status";
    if benched.contains(&own) {
        return Finding::problem(
            CHECK,
            "the hospital is benched after an offence: it makes no blocks",
            format!(
                "find out who used its session keys, and set new ones: epione hospital rotate session --help. Then a \
                 member of the council proposes to reinstate it: epione council propose reinstate {own}"
            ),
        );
    }
    if unready.contains(&own) {
        return not_ready(fetching);
    }
    match entry.status {
        HospitalStatus::Active => Finding::ok(CHECK, "the hospital is active"),
        HospitalStatus::Leaving => Finding::ok(
            CHECK,
            "the hospital is leaving: it serves its patients and readers until the council removes it, and does not \
             validate",
        ),
        other @ (HospitalStatus::Suspended | HospitalStatus::Removed) => Finding::problem(
            CHECK,
            format!("the hospital is not active on the chain ({other:?})"),
            "ask the hospitals of the council for the reason: epione hospital list names them",
        ),
    }
}

fn not_ready(fetching: Option<&Fetching>) -> Finding {
    const CHECK: &str = "status";
    let found = "the hospital is not ready: it makes no blocks until its worker reports that it has every segment";
    match fetching {
        None => Finding::problem(CHECK, found, "start the worker: see \"worker\""),
        Some(Fetching { blocks: 0, .. }) => Finding::problem(
            CHECK,
            format!("{found}. It has them"),
            "wait a minute. If this does not change, the worker's log says what is missing: journalctl -u \
             epione-worker -n 200",
        ),
        Some(Fetching { blocks, persistent }) if persistent.is_empty() => Finding::problem(
            CHECK,
            format!("{found}. It still looks for those of {blocks} committed lite blocks"),
            "wait until it has them",
        ),
        Some(Fetching { blocks, persistent }) => Finding::problem(
            CHECK,
            format!(
                "{found}. It lacks those of {blocks} committed lite blocks; those of {} could not be fetched in \
                 {PERSISTENT} attempts",
                listed(persistent)
            ),
            "call the operators of the hospitals that do not answer: one of them may have these segments. The \
             worker's log and epione-worker scrub --config FILE name what no hospital has",
        ),
    }
}

fn listed(heights: &[u32]) -> String {
    heights.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Whether the chain knows the governance account.
pub(super) fn governance(
    own: HospitalId,
    entry: &Hospital,
    found: Result<Option<(HospitalId, Duty)>, ChainError>,
) -> Finding {
    const CHECK: &str = "governance";
    let account = &entry.governance;
    match found {
        Ok(Some(it)) if it == (own, Duty::Governance) => Finding::ok(CHECK, account),
        Ok(_) => Finding::problem(
            CHECK,
            format!("{account} is not registered as this hospital's governance"),
            "the node's state contradicts itself: synchronize the node again from an empty database",
        ),
        Err(error) => Finding::unchecked(CHECK, error),
    }
}

/// Whether the worker's keys and address are those on the chain.
pub(super) fn keys(
    entry: &Hospital,
    config: &Config,
    current: &ActorKeys,
    tls: &TlsKeys,
) -> Vec<Finding> {
    let sealing = if current.sealing.public().as_bytes() == entry.sealing_key.as_slice() {
        Finding::ok("sealing-key", "the keystore has the key that the chain names")
    } else {
        Finding::problem(
            "sealing-key",
            "the chain names another sealing key than the keystore's",
            "set keystore to the file with the current keys, and earlier_keystores to the files before. If this \
             keystore is the new one: epione hospital set-sealing-key --help",
        )
    };
    vec![sealing, tls_key(entry, config, tls), address(entry, &config.public_url)]
}

fn tls_key(entry: &Hospital, config: &Config, tls: &TlsKeys) -> Finding {
    const CHECK: &str = "tls-key";
    if !config.serves_tls() {
        let why = "the worker serves without TLS: a proxy must prove the key that the chain names";
        return if config.allow_plain_http {
            Finding::unchecked(CHECK, why)
        } else {
            Finding::ok(CHECK, "not needed: the worker is for this machine only")
        };
    }
    match tls.find(&entry.tls_key) {
        Some((generation, _)) => Finding::ok(
            CHECK,
            format!("the keystore has the key that the chain names ({generation})"),
        ),
        None => {
            let own = hex::encode(tls.generation(0).public());
            let url = &config.public_url;
            Finding::problem(
                CHECK,
                format!(
                    "the chain names the TLS key {}, which no keystore of the configuration has",
                    hex::encode(entry.tls_key)
                ),
                format!(
                    "check whether keystore is the right one. If it is: epione hospital set-endpoint --url {url} \
                     --tls-key {own} --as governance.json"
                ),
            )
        }
    }
}

fn address(entry: &Hospital, own: &Url) -> Finding {
    const CHECK: &str = "worker-url";
    let named = String::from_utf8_lossy(&entry.worker_url);
    if Url::parse(&named).is_ok_and(|named| named == *own) {
        return Finding::ok(CHECK, own);
    }
    Finding::problem(
        CHECK,
        format!("the chain names {named:?} as the worker's address, and public_url is {own}"),
        format!(
            "correct public_url, or the chain's entry: epione hospital set-endpoint --url {own} --as governance.json"
        ),
    )
}

/// Whether the worker has the hospital's share of the consortium key. `shares` are the ceremonies of which the journal
/// has one; none if the journal was not read.
pub(super) fn share(
    own: HospitalId,
    epoch: Result<Option<Epoch>, ChainError>,
    shares: Option<&[CeremonyId]>,
) -> Finding {
    const CHECK: &str = "consortium-share";
    match (epoch, shares) {
        (Err(error), _) => Finding::unchecked(CHECK, error),
        (Ok(None), _) => Finding::ok(CHECK, "the hospitals have made no key together yet"),
        (Ok(Some(epoch)), _) if epoch.seat(own).is_none() => {
            Finding::ok(CHECK, format!("the hospital is no member of epoch {}", epoch.id.0))
        }
        (Ok(Some(_)), None) => Finding::unchecked(CHECK, "the journal was not read"),
        (Ok(Some(epoch)), Some(shares)) if shares.contains(&epoch.ceremony) => {
            Finding::ok(CHECK, format!("the journal has the share of epoch {}", epoch.id.0))
        }
        (Ok(Some(epoch)), Some(_)) => Finding::problem(
            CHECK,
            format!("the journal does not have the hospital's share of epoch {}", epoch.id.0),
            "request new shares with the governance's keys: epione consortium key refresh --help",
        ),
    }
}

#[cfg(test)]
mod tests {
    use epione_envelope::{
        account::{Scheme, Signer},
        development,
        sealing_keys::SealingSuite,
    };

    use super::*;
    use crate::doctor::report::Verdict;

    const OWN: HospitalId = HospitalId(1);

    fn config() -> Config {
        let text = "public_url = \"https://worker.example\"\ndata_dir = \"/nowhere\"\n\
                    keystore.development = \"//Alice\"";
        Config::parse(text).unwrap()
    }

    fn tls_keys(config: &Config, keys: &ActorKeys) -> TlsKeys {
        TlsKeys::new(&config.keystore, keys).unwrap()
    }

    fn entry(keys: &ActorKeys, tls: &TlsKeys) -> Hospital {
        Hospital {
            name: b"x".to_vec().try_into().unwrap(),
            governance: AccountId::new([9; 32]),
            agent: keys.account(),
            worker_url: b"https://worker.example".to_vec().try_into().unwrap(),
            sealing_key: keys.sealing.public().as_bytes().to_vec().try_into().unwrap(),
            tls_key: tls.generation(0).public(),
            storage_origin: None,
            status: HospitalStatus::Active,
        }
    }

    fn problems(findings: &[Finding]) -> Vec<&str> {
        findings.iter().filter(|it| it.is_problem()).map(|it| &*it.check).collect()
    }

    #[test]
    fn keys_and_an_address_that_are_not_the_chains_are_found() {
        let config = config();
        let own = development::keys("//Alice//agent").unwrap();
        let tls = tls_keys(&config, &own);
        let right = entry(&own, &tls);
        assert!(problems(&keys(&right, &config, &own, &tls)).is_empty());
        let other = ActorKeys::generate(Scheme::Ed25519, SealingSuite::X25519);
        let other_key = other.sealing.public().as_bytes().to_vec().try_into().unwrap();
        let wrong = Hospital { sealing_key: other_key, ..right.clone() };
        assert_eq!(problems(&keys(&wrong, &config, &own, &tls)), ["sealing-key"]);
        let wrong = Hospital { tls_key: [7; 32], ..right.clone() };
        assert_eq!(problems(&keys(&wrong, &config, &own, &tls)), ["tls-key"]);
        let url = b"https://other.example".to_vec().try_into().unwrap();
        let wrong = Hospital { worker_url: url, ..right };
        let found = keys(&wrong, &config, &own, &tls);
        assert_eq!(problems(&found), ["worker-url"]);
        let todo = found[2].todo.as_ref().unwrap();
        let command = "set-endpoint --url https://worker.example/ --as governance.json";
        assert!(todo.ends_with(command), "{todo}");
    }

    #[test]
    fn an_agent_that_the_chain_does_not_know_or_of_another_hospital_is_found() {
        let account = AccountId::new([1; 32]);
        let judged = |found, remembered| agent(&account, found, remembered);
        let own = Some((OWN, Duty::Agent));
        assert_eq!(judged(own, None).verdict, Verdict::Ok);
        assert_eq!(judged(own, Some(OWN)).verdict, Verdict::Ok);
        assert!(judged(own, Some(HospitalId(2))).is_problem());
        assert!(judged(Some((OWN, Duty::Governance)), None).is_problem());
        assert!(judged(None, Some(OWN)).is_problem());
    }

    #[test]
    fn a_hospital_that_does_not_validate_is_found() {
        let config = config();
        let own = development::keys("//Alice//agent").unwrap();
        let active = entry(&own, &tls_keys(&config, &own));
        let judged = |entry: &Hospital, benched: &[HospitalId], unready: &[HospitalId]| {
            status(OWN, entry, benched, unready, None)
        };
        assert_eq!(judged(&active, &[], &[HospitalId(2)]).verdict, Verdict::Ok);
        assert!(judged(&active, &[OWN], &[]).found.contains("benched"));
        assert!(judged(&active, &[], &[OWN]).found.contains("not ready"));
        let suspended = Hospital { status: HospitalStatus::Suspended, ..active.clone() };
        assert!(judged(&suspended, &[], &[]).found.contains("Suspended"));
        let leaving = judged(&Hospital { status: HospitalStatus::Leaving, ..active }, &[], &[]);
        assert!(leaving.verdict == Verdict::Ok && leaving.found.contains("leaving"), "{leaving:?}");
    }

    #[test]
    fn blocks_that_keep_a_hospital_from_being_ready_are_named() {
        let judged = |blocks, persistent: &[u32]| {
            not_ready(Some(&Fetching { blocks, persistent: persistent.to_vec() }))
        };
        for finding in [not_ready(None), judged(0, &[]), judged(3, &[])] {
            assert!(finding.is_problem() && finding.todo.is_some(), "{finding:?}");
        }
        let stuck = judged(3, &[5, 7]);
        assert!(stuck.found.contains("those of 5, 7 could not be fetched"), "{stuck:?}");
        assert!(stuck.todo.unwrap().contains("call the operators"));
    }

    #[test]
    fn a_missing_share_of_the_consortium_key_is_found() {
        let epoch = Epoch {
            id: Default::default(),
            key: Default::default(),
            ceremony: CeremonyId(4),
            members: vec![OWN].try_into().unwrap(),
            threshold: 1,
            faulty: 0,
            commitments: Default::default(),
            mixing: Default::default(),
            link: None,
            since: 1,
            confirmed: Default::default(),
        };
        let judged = |own, shares| share(own, Ok(Some(epoch.clone())), shares);
        assert_eq!(judged(OWN, Some(&[CeremonyId(4)][..])).verdict, Verdict::Ok);
        assert!(judged(OWN, Some(&[CeremonyId(3)][..])).is_problem());
        assert_eq!(judged(OWN, None).verdict, Verdict::Unchecked);
        assert_eq!(judged(HospitalId(2), None).verdict, Verdict::Ok);
        assert_eq!(share(OWN, Ok(None), None).verdict, Verdict::Ok);
    }

    #[test]
    fn a_governance_that_the_chain_does_not_know_is_found() {
        let config = config();
        let own = development::keys("//Alice//agent").unwrap();
        let entry = entry(&own, &tls_keys(&config, &own));
        let judged = |found| governance(OWN, &entry, found);
        assert_eq!(judged(Ok(Some((OWN, Duty::Governance)))).verdict, Verdict::Ok);
        assert!(judged(Ok(None)).is_problem());
        assert_eq!(judged(Err(ChainError::Syncing)).verdict, Verdict::Unchecked);
    }
}
