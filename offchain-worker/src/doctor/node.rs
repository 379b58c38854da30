//! The hospital's node: whether it answers, which chain it has, how far it is, and whether it can make blocks.

use std::{fmt::Display, path::Path, time::Duration};

use epione_client::{
    application::SessionKeys,
    chain::{Chain, ChainError, NodeHealth, RuntimeVersion},
    endpoint::{is_loopback, without_userinfo},
};
use epione_primitives::{BlockNumber, Hash};
use tokio::time::{Instant, sleep};
use url::Url;

use super::{
    clock::{Clock, Reading},
    local::node_keys,
    report::Finding,
};

/// Finalized blocks may be so many behind the best one.
const MAX_LAG: BlockNumber = 20;
/// How long to wait for a new block, and how often to look. Blocks come every three seconds.
const NEW_BLOCK: Duration = Duration::from_secs(15);
const LOOK: Duration = Duration::from_millis(250);

/// Connects to the node, and believes it for now. Only the configuration may permit a plain connection to another
/// machine, which was checked with it.
pub(super) async fn connect(url: &Url, is_configured: bool) -> Result<Chain, Finding> {
    let shown = without_userinfo(url.as_str());
    let connected = match is_configured {
        true => Chain::connect_unprotected(url.as_str()).await,
        false => Chain::connect(url.as_str()).await,
    };
    connected.map_err(|error| {
        let todo = format!(
            "start the node (systemctl start epione-node), or correct node_url, which is {shown}"
        );
        Finding::problem("node", error, todo)
    })
}

/// That the worker's own node was not looked at, if another one was given. The variable `EPIONE_NODE` of an operator's
/// shell counts as given, too.
pub(super) fn of_worker(given: Option<&Url>, configured: &Url) -> Option<Finding> {
    let given = given.filter(|given| *given != configured)?;
    let shown = |url: &Url| without_userinfo(url.as_str());
    Some(Finding::unchecked(
        "node_url",
        format!(
            "the worker's node is {}, but --node or EPIONE_NODE named {}: the other checks are of that one",
            shown(configured),
            shown(given)
        ),
    ))
}

/// Where a genesis hash comes from, and the hash.
pub(super) type Expected = (&'static str, Hash);

/// Whether the node belongs to the chain that all of these name.
pub(super) fn genesis(found: Hash, expected: &[Expected]) -> Finding {
    const CHECK: &str = "genesis";
    let others = expected.iter().filter(|(_, hash)| *hash != found);
    let others: Vec<_> = others.map(|(source, hash)| format!("{source} names {hash:?}")).collect();
    if !others.is_empty() {
        return Finding::problem(
            CHECK,
            format!("the node's first block is {found:?}, but {}", others.join(", and ")),
            "compare the hashes with the one that the hospitals publish. Start the node with their chain file \
             (--chain), or correct node_url, genesis and data_dir, whichever is wrong",
        );
    }
    if expected.is_empty() {
        return Finding::unchecked(
            CHECK,
            format!(
                "the node's first block is {found:?}: give the hash that the hospitals publish as --genesis"
            ),
        );
    }
    let sources: Vec<_> = expected.iter().map(|(source, _)| *source).collect();
    Finding::ok(CHECK, format!("{found:?}, as {} says", sources.join(" and ")))
}

/// How far the node is, by its own word: findings, and the time of its newest block beside this machine's.
pub(super) async fn progress(chain: &Chain, clock: &dyn Clock) -> (Vec<Finding>, Option<Reading>) {
    match observe(chain, clock).await {
        Ok(seen) => {
            let mut findings = vec![synchronized(&seen), finality(&seen)];
            findings.push(runtime(seen.version, RuntimeVersion::BUILT));
            (findings, seen.reading)
        }
        Err(error) => {
            let why = format!("the node stopped answering: {error}");
            let checks = ["synchronized", "finality", "runtime"];
            (checks.map(|check| Finding::unchecked(check, &why)).into(), None)
        }
    }
}

/// What the node says about its progress.
struct Seen {
    health: NodeHealth,
    best: BlockNumber,
    finalized: BlockNumber,
    version: RuntimeVersion,
    /// None if no new block came while the doctor looked, so that the newest one's time says nothing.
    reading: Option<Reading>,
    is_new: bool,
}

async fn observe(chain: &Chain, clock: &dyn Clock) -> Result<Seen, ChainError> {
    let version = chain.runtime_version().await?;
    let before = chain.best_block().await?;
    let deadline = Instant::now() + NEW_BLOCK;
    let mut best = before;
    while best.number <= before.number && Instant::now() < deadline {
        sleep(LOOK).await;
        best = chain.best_block().await?;
    }
    let is_new = best.number > before.number;
    let (time, now) = (chain.unproven_time(best.hash).await?, clock.now());
    let reading = Reading::new("the chain", time, now);
    // A block from the future shows a wrong clock also if it is not new.
    let reading = (is_new || reading.ahead > 0).then_some(reading);
    let finalized = chain.finalized_head().await?.number;
    let health = chain.health().await?;
    Ok(Seen { health, best: best.number, finalized, version, reading, is_new })
}

fn synchronized(seen: &Seen) -> Finding {
    const CHECK: &str = "synchronized";
    let best = seen.best;
    if seen.health.is_syncing {
        return Finding::problem(
            CHECK,
            format!("the node is at block {best}, and its peers have newer ones"),
            "wait until it has synchronized; its log shows the progress: journalctl -u epione-node -n 20",
        );
    }
    if !seen.is_new {
        return Finding::problem(
            CHECK,
            format!("no new block came for {} s after block {best}", NEW_BLOCK.as_secs()),
            "check the node's peers and its clock, and ask the other hospitals whether their nodes have newer blocks",
        );
    }
    Finding::ok(CHECK, format!("block {best}, and new ones come"))
}

/// Whether the node is connected to others, if the chain has others.
pub(super) fn peers(health: Result<NodeHealth, ChainError>, other_hospitals: usize) -> Finding {
    const CHECK: &str = "peers";
    match health {
        Err(error) => Finding::unchecked(CHECK, error),
        Ok(health) if health.peers == 0 && other_hospitals > 0 => Finding::problem(
            CHECK,
            format!("the node has no peer, and the chain has {other_hospitals} other hospitals"),
            "check the node's addresses of peers (--reserved-nodes, --bootnodes), and that the firewall permits its \
             p2p port (30333 unless --listen-addr names another) in both directions",
        ),
        Ok(health) => Finding::ok(CHECK, format!("{} of the node's", health.peers)),
    }
}

fn finality(seen: &Seen) -> Finding {
    const CHECK: &str = "finality";
    let lag = seen.best.saturating_sub(seen.finalized);
    let found = format!("the newest finalized block is {lag} blocks behind the best one");
    if lag > MAX_LAG {
        let todo = "more than a third of the validators are away, or this node reaches too few of them: ask the other \
                    hospitals which nodes are down";
        return Finding::problem(CHECK, found, todo);
    }
    Finding::ok(CHECK, found)
}

/// Whether this worker knows the chain's runtime.
fn runtime(chain: RuntimeVersion, built: RuntimeVersion) -> Finding {
    const CHECK: &str = "runtime";
    let found = format!(
        "the chain has runtime {} (transactions {}); this worker {} was built for {} ({})",
        chain.spec_version,
        chain.transaction_version,
        env!("CARGO_PKG_VERSION"),
        built.spec_version,
        built.transaction_version
    );
    if chain.transaction_version != built.transaction_version
        || chain.spec_version > built.spec_version
    {
        let todo = if chain.spec_version > built.spec_version {
            "install the worker, the node and epione of the release with this runtime, then restart them"
        } else {
            "this worker is newer than the chain: install the release of the chain's runtime until the upgrade"
        };
        return Finding::problem(CHECK, found, todo);
    }
    Finding::ok(CHECK, found)
}

/// Whether the node has the session keys that the chain has for this hospital. `keystore` is the node's folder of keys.
pub(super) async fn session_keys(
    chain: &Chain,
    url: &Url,
    named: Option<SessionKeys>,
    keystore: Option<&Path>,
) -> Finding {
    const CHECK: &str = "session-keys";
    let Some(named) = named else {
        let found = "the chain has no session keys of this hospital, so it does not validate";
        return Finding::problem(CHECK, found, RENEW);
    };
    if let Some(keystore) = keystore {
        return match node_keys(keystore) {
            Ok(keys) => of_files(&named, &keys, keystore),
            Err(error) => Finding::unchecked(CHECK, format!("{}: {error}", keystore.display())),
        };
    }
    if !is_loopback(url) {
        let why = "the node is on another machine, where it does not tell: give its keystore's folder as --keystore on \
                   that machine";
        return Finding::unchecked(CHECK, why);
    }
    match chain.has_session_keys(&named).await {
        Ok(true) => Finding::ok(CHECK, "the node has the keys that the chain names"),
        Ok(false) => Finding::problem(
            CHECK,
            "the node does not have the session keys that the chain names for this hospital, so it makes no blocks",
            RENEW,
        ),
        Err(error) => {
            Finding::unchecked(CHECK, format!("{error}; give its keystore's folder as --keystore"))
        }
    }
}

const RENEW: &str = "check whether node_url and the node's base path are this hospital's. If they are, set the node's \
                     keys on the chain: epione hospital rotate session --help";

fn of_files(named: &SessionKeys, keys: &[(String, [u8; 32])], keystore: &Path) -> Finding {
    const CHECK: &str = "session-keys";
    let wanted = [("aura", named.aura.0), ("gran", named.grandpa.0)];
    let has =
        |kind: &str, key: &[u8; 32]| keys.iter().any(|(it, public)| it == kind && public == key);
    let missing: Vec<_> = wanted.iter().filter(|(kind, key)| !has(kind, key)).collect();
    let folder = keystore.display();
    if missing.is_empty() {
        return Finding::ok(CHECK, format!("{folder} has the keys that the chain names"));
    }
    let missing = listed(missing.into_iter().map(|(kind, key)| (*kind, key)));
    let own = keys.iter().filter(|(kind, _)| matches!(kind.as_str(), "aura" | "gran"));
    let own = listed(own.map(|(kind, key)| (kind.as_str(), key)));
    let found = format!(
        "{folder} does not have {missing}, which the chain names; it has {}, which the chain does not name",
        if own.is_empty() { "no session keys" } else { own.as_str() }
    );
    Finding::problem(CHECK, found, RENEW)
}

fn listed<'a>(keys: impl Iterator<Item = (&'a str, &'a [u8; 32])>) -> String {
    let each = keys.map(|(kind, key)| format!("{kind} 0x{}", hex::encode(key)));
    each.collect::<Vec<_>>().join(", ")
}

/// Why something could not be read from the chain.
pub(super) fn unread(checks: &[&str], why: impl Display) -> Vec<Finding> {
    checks.iter().map(|check| Finding::unchecked(check, &why)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Verdict;

    const OWN: Hash = Hash::repeat_byte(1);
    const OTHER: Hash = Hash::repeat_byte(2);

    fn seen() -> Seen {
        Seen {
            health: NodeHealth { peers: 3, is_syncing: false },
            best: 100,
            finalized: 98,
            version: RuntimeVersion::BUILT,
            reading: None,
            is_new: true,
        }
    }

    #[test]
    fn another_node_than_the_workers_is_not_taken_for_it() {
        let url = |text: &str| Url::parse(text).unwrap();
        let configured = url("ws://127.0.0.1:9944");
        assert_eq!(of_worker(None, &configured), None);
        assert_eq!(of_worker(Some(&url("ws://127.0.0.1:9944/")), &configured), None);
        let other = of_worker(Some(&url("wss://a:secret@node.example")), &configured).unwrap();
        assert_eq!(other.verdict, Verdict::Unchecked);
        assert!(other.found.contains("wss://node.example") && !other.found.contains("secret"));
    }

    #[test]
    fn a_wrong_genesis_is_found_whoever_names_another_one() {
        assert_eq!(genesis(OWN, &[("the journal", OWN), ("genesis", OWN)]).verdict, Verdict::Ok);
        let wrong = genesis(OWN, &[("genesis", OWN), ("the journal", OTHER)]);
        assert!(
            wrong.is_problem() && wrong.found.contains("the journal names 0x0202"),
            "{wrong:?}"
        );
        assert_eq!(genesis(OWN, &[]).verdict, Verdict::Unchecked);
    }

    #[test]
    fn a_worker_that_is_older_than_the_runtime_is_found() {
        let built = RuntimeVersion { spec_version: 5, transaction_version: 2 };
        let judged = |spec_version, transaction_version| {
            runtime(RuntimeVersion { spec_version, transaction_version }, built)
        };
        assert_eq!(judged(5, 2).verdict, Verdict::Ok);
        assert_eq!(judged(4, 2).verdict, Verdict::Ok);
        for (spec, transactions) in [(6, 2), (6, 3)] {
            let found = judged(spec, transactions);
            assert!(found.todo.unwrap().starts_with("install the worker"));
        }
        assert!(judged(4, 1).todo.unwrap().contains("newer than the chain"));
    }

    #[test]
    fn a_node_that_synchronizes_or_stands_still_is_found() {
        assert_eq!(synchronized(&seen()).verdict, Verdict::Ok);
        let mut syncing = seen();
        syncing.health.is_syncing = true;
        assert!(synchronized(&syncing).is_problem());
        assert!(synchronized(&Seen { is_new: false, ..seen() }).is_problem());
    }

    #[test]
    fn finality_far_behind_is_found() {
        assert_eq!(finality(&seen()).verdict, Verdict::Ok);
        assert!(finality(&Seen { finalized: 79, ..seen() }).is_problem());
        assert_eq!(finality(&Seen { finalized: 101, ..seen() }).verdict, Verdict::Ok);
    }

    #[test]
    fn a_node_without_peers_is_found_unless_there_are_no_others() {
        let health = |peers| Ok(NodeHealth { peers, is_syncing: false });
        assert!(peers(health(0), 3).is_problem());
        assert_eq!(peers(health(0), 0).verdict, Verdict::Ok);
        assert_eq!(peers(health(2), 3).verdict, Verdict::Ok);
        assert_eq!(peers(Err(ChainError::Syncing), 3).verdict, Verdict::Unchecked);
    }

    #[test]
    fn session_keys_that_the_chain_does_not_have_are_found_in_the_keystore() {
        let named = SessionKeys { aura: [1; 32].into(), grandpa: [2; 32].into() };
        let folder = Path::new("/keys");
        let judged = |keys: &[(&str, u8)]| {
            let keys: Vec<_> =
                keys.iter().map(|(kind, byte)| ((*kind).to_owned(), [*byte; 32])).collect();
            of_files(&named, &keys, folder)
        };
        assert_eq!(judged(&[("aura", 1), ("gran", 2), ("imon", 3)]).verdict, Verdict::Ok);
        let other = judged(&[("aura", 1), ("gran", 9)]);
        assert!(other.is_problem(), "{other:?}");
        assert!(other.found.contains("gran 0x0202") && other.found.contains("gran 0x0909"));
        assert!(judged(&[("gran", 1), ("aura", 2)]).is_problem());
        assert!(judged(&[]).found.contains("no session keys"));
    }
}
