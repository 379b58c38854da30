//! Applications that others changed, forged, copied or made of public keys are refused.

use epione_envelope::{
    account::Scheme,
    development,
    keystore::ActorKeys,
    sealing_keys::{SealingKeyPair, SealingSuite},
    tls,
};
use serde_json::{Value, json};

use super::*;

/// The keys of a hospital.
struct Hospital {
    governance: ActorKeys,
    agent: ActorKeys,
    tls: AccountKey,
    node: AccountKey,
    session: SessionPair,
}

impl Hospital {
    fn new() -> Self {
        let [governance, agent] =
            [(); 2].map(|()| ActorKeys::generate(Scheme::Sr25519, SealingSuite::X25519));
        let tls = tls::key(&agent.account, 0);
        let (node, session) = (AccountKey::generate(Scheme::Ed25519), SessionPair::generate());
        Self { governance, agent, tls, node, session }
    }

    /// What the hospital says, with the addresses of this host.
    fn statement(&self, name: &str) -> Statement {
        let governance = Account::from(&self.governance).id();
        let host = name.to_lowercase();
        Statement {
            name: name.into(),
            agent: Account::from(&self.agent).id(),
            worker_url: format!("https://{host}.example"),
            sealing_key: self.agent.sealing.public().as_bytes().to_vec(),
            tls_key: self.tls.public().into(),
            node_key: self.node.public().into(),
            node_address: format!("/dns/{host}.example/tcp/30333"),
            session: self.session.public(),
            session_proof: self.session.prove(&governance),
            governance,
            consents: None,
        }
    }

    fn sign(&self, statement: Statement) -> Result<Application, ApplicationError> {
        let governance = Account::from(&self.governance);
        let agent = Account::from(&self.agent);
        let (tls, node) = (&self.tls, &self.node);
        Application::sign(statement, &Signers { governance: &governance, agent: &agent, tls, node })
    }

    fn application(&self, name: &str) -> Application {
        self.sign(self.statement(name)).unwrap()
    }
}

/// The application after a change of its file.
fn reread(
    application: &Application,
    change: impl FnOnce(&mut Value),
) -> Result<Application, ApplicationError> {
    let mut json: Value = serde_json::from_str(&application.to_json()).unwrap();
    change(&mut json);
    Application::parse(json.to_string().as_bytes())
}

#[test]
fn a_file_is_read_back() {
    let application = Hospital::new().application("North");
    assert_eq!(reread(&application, |_| {}), Ok(application.clone()));
    assert_eq!(Application::parse(application.to_json().as_bytes()), Ok(application.clone()));
    assert!(application.peer().starts_with("/dns/north.example/tcp/30333/p2p/12D3KooW"));
    assert_eq!(application.founder().worker_url, b"https://north.example");
    assert!(application.admitted_accounts().is_none());
}

#[test]
fn each_changed_field_breaks_a_signature() {
    let application = Hospital::new().application("North");
    let other = Hospital::new().application("South");
    let theirs: Value = serde_json::from_str(&other.to_json()).unwrap();
    let own: Value = serde_json::from_str(&application.to_json()).unwrap();
    let fields = own["statement"].as_object().unwrap().keys();
    let mut changed = 0;
    for field in fields {
        let value = theirs["statement"][field].clone();
        reread(&application, |json| json["statement"][field] = value).unwrap_err();
        changed += 1;
    }
    assert_eq!(changed, 10);
    for signer in ["governance", "agent", "tlsKey", "nodeKey"] {
        let signature = theirs["signatures"][signer].clone();
        let refused = reread(&application, |json| json["signatures"][signer] = signature);
        assert!(matches!(refused, Err(ApplicationError::Signature(_))), "{signer}: {refused:?}");
    }
}

#[test]
fn a_damaged_file_is_refused() {
    let application = Hospital::new().application("North");
    let json = application.to_json();
    for wrong in ["", "{}", "[]", &json[1..], &json[..json.len() - 3]] {
        let refused = Application::parse(wrong.as_bytes());
        assert!(matches!(refused, Err(ApplicationError::Malformed(_))), "{wrong}");
    }
    // Two values of one field: programs differ in which of them they read.
    let url = json!("https://north.example");
    for (field, value) in [("version", json!(1)), ("name", json!("North")), ("workerUrl", url)] {
        let name = format!("\"{field}\": ");
        let twice = json.replacen(&name, &format!("{name}{value}, {name}"), 1);
        assert_ne!(twice, json);
        let refused = Application::parse(twice.as_bytes());
        assert!(matches!(refused, Err(ApplicationError::Malformed(_))), "{field}: {refused:?}");
    }
    let malformed = |change: fn(&mut Value)| {
        let refused = reread(&application, change).unwrap_err();
        assert!(matches!(refused, ApplicationError::Malformed(_)), "{refused}");
    };
    malformed(|json| json["more"] = json!(1));
    malformed(|json| json["statement"]["more"] = json!(1));
    malformed(|json| json["signatures"]["more"] = json!("0x00"));
    malformed(|json| json["format"] = json!("epione-keystore"));
    malformed(|json| json["statement"]["tlsKey"] = json!("0x00"));
    let newer = reread(&application, |json| json["version"] = json!(2));
    assert_eq!(newer, Err(ApplicationError::Version(2)));
    let long = format!("{json}{}", " ".repeat(MAX_FILE_BYTES as usize));
    assert_eq!(Application::parse(long.as_bytes()), Err(ApplicationError::TooLong));
}

#[test]
fn a_hospital_cannot_name_the_keys_of_another_one() {
    let (north, south) = (Hospital::new(), Hospital::new());
    let stolen = south.statement("South");
    for change in [
        |mine: &mut Statement, theirs: &Statement| mine.governance = theirs.governance.clone(),
        |mine: &mut Statement, theirs: &Statement| mine.agent = theirs.agent.clone(),
        |mine: &mut Statement, theirs: &Statement| mine.tls_key = theirs.tls_key,
        |mine: &mut Statement, theirs: &Statement| mine.node_key = theirs.node_key,
        |mine: &mut Statement, theirs: &Statement| mine.session = theirs.session,
    ] {
        let mut statement = north.statement("North");
        change(&mut statement, &stolen);
        let refused = north.sign(statement).unwrap_err();
        assert!(
            matches!(refused, ApplicationError::Signature(_) | ApplicationError::SessionProof),
            "{refused}"
        );
    }
}

#[test]
fn names_and_addresses_that_cannot_be_used_are_refused() {
    let hospital = Hospital::new();
    let signed = |change: &dyn Fn(&mut Statement)| {
        let mut statement = hospital.statement("North");
        change(&mut statement);
        hospital.sign(statement)
    };
    let long = "x".repeat(MAX_NAME_BYTES as usize + 1);
    for name in ["", " North", "No\nrth", "No\u{202e}rth", &long] {
        let refused = signed(&|statement| statement.name = name.into());
        assert_eq!(refused, Err(ApplicationError::Name), "{name:?}");
    }
    let path = "x".repeat(MAX_URL_BYTES as usize);
    for url in [
        "",
        "north.example",
        "http://north.example",
        "https://ada:secret@north.example",
        "https://north.example/",
        "https://NORTH.example",
        "https://north.example?x",
        &format!("https://north.example/{path}"),
    ] {
        let refused = signed(&|statement| statement.worker_url = url.into());
        assert!(matches!(refused, Err(ApplicationError::WorkerUrl(_))), "{url}: {refused:?}");
        assert!(!refused.unwrap_err().to_string().contains("secret"), "{url}");
    }
    let refused = signed(&|statement| statement.node_address = "north.example:30333".into());
    assert_eq!(refused, Err(ApplicationError::NodeAddress(NoNodeAddress)));
    let refused = signed(&|statement| statement.sealing_key.truncate(3));
    assert!(matches!(refused, Err(ApplicationError::SealingKey(_))), "{refused:?}");
}

#[test]
fn keys_of_tls_and_of_the_node_are_ed25519() {
    let sr25519 = || AccountKey::generate(Scheme::Sr25519);
    let refused = |change: &dyn Fn(&mut Hospital)| {
        let mut hospital = Hospital::new();
        change(&mut hospital);
        hospital.sign(hospital.statement("North")).unwrap_err()
    };
    let tls = refused(&|it| it.tls = sr25519());
    assert_eq!(tls, ApplicationError::Signature("worker's TLS key"));
    let node = refused(&|it| it.node = sr25519());
    assert_eq!(node, ApplicationError::Signature("node's key"));
}

#[test]
fn one_key_has_one_purpose() {
    let mut hospital = Hospital::new();
    hospital.node = hospital.tls.clone();
    let refused = hospital.sign(hospital.statement("North")).unwrap_err();
    assert!(matches!(refused, ApplicationError::SameKey(..)), "{refused}");
}

#[test]
fn consents_are_of_the_accounts_and_for_the_number() {
    let hospital = Hospital::new();
    let (governance, agent) = (Account::from(&hospital.governance), Account::from(&hospital.agent));
    let (genesis, until) = (Hash::repeat_byte(3), 900);
    let mut statement = hospital.statement("North");
    let consents = Consents::sign(genesis, HospitalId(4), until, &governance, &agent);
    statement.consents = Some(consents.clone());
    let application = hospital.sign(statement.clone()).unwrap();
    assert_eq!(reread(&application, |_| {}), Ok(application.clone()));
    let (named, named_agent) = application.admitted_accounts().unwrap();
    let naming = Naming::Hospital { hospital: HospitalId(4), duty: Duty::Governance, until };
    let consent = NamingConsent::new(genesis, naming);
    assert!(consent.is_signed_by(&named.account, &named.consent));
    assert_eq!((named.account, named.until), (governance.id(), until));
    assert_eq!(named_agent.account, agent.id());
    for wrong in [
        Consents { hospital: HospitalId(5), ..consents.clone() },
        Consents { until: until + 1, ..consents.clone() },
        Consents { genesis: Hash::repeat_byte(4), ..consents.clone() },
        Consents { agent: consents.governance.clone(), ..consents.clone() },
        Consents { governance: Vec::new(), ..consents },
    ] {
        statement.consents = Some(wrong);
        let refused = hospital.sign(statement.clone()).unwrap_err();
        assert!(matches!(refused, ApplicationError::Consent(_)), "{refused}");
    }
}

#[test]
fn the_order_of_the_files_does_not_matter() {
    let all: Vec<_> =
        ["North", "South", "East", "West"].map(|name| Hospital::new().application(name)).into();
    let spec = Chainspec { name: "Test".into(), id: "test".into(), attributes: Vec::new() };
    let first = spec.of(&founders(all.clone()).unwrap());
    let mut turned = all.clone();
    turned.rotate_left(1);
    turned.reverse();
    assert_eq!(spec.of(&founders(turned).unwrap()).to_string(), first.to_string());
    let patch = &first["genesis"]["runtimeGenesis"]["patch"];
    assert_eq!(patch["hospitals"]["founders"].as_array().unwrap().len(), 4);
    assert_eq!(first["chainType"], "Live");
    for pallet in ["councilRoot", "profiles", "custody"] {
        assert!(patch.get(pallet).is_none(), "no delay is shortened");
    }
    assert!(patch["hospitals"].get("replacementDelay").is_none(), "no delay is shortened");
    for (number, entry) in patch["session"]["keys"].as_array().unwrap().iter().enumerate() {
        assert_eq!(entry[1], json!(number));
        assert_eq!(entry[0], patch["hospitals"]["founders"][number]["governance"]);
    }
}

#[test]
fn founders_share_nothing() {
    let (north, south) = (Hospital::new(), Hospital::new());
    let mine = north.application("North");
    assert_eq!(founders(Vec::new()), Err(FoundingError::Nobody));
    founders(vec![mine.clone(), south.application("South")]).unwrap();
    let twice = founders(vec![mine.clone(), mine.clone()]).unwrap_err();
    assert!(matches!(twice, FoundingError::Duplicate { what: "key", .. }), "{twice}");
    let mut same = Vec::new();
    for change in [
        |it: &mut Statement| it.name = "NORTH".into(),
        |it: &mut Statement| it.worker_url = "https://north.example".into(),
        |it: &mut Statement| it.node_address = "/dns/North.example/tcp/30333".into(),
    ] {
        let mut statement = south.statement("South");
        change(&mut statement);
        let refused = founders(vec![mine.clone(), south.sign(statement).unwrap()]).unwrap_err();
        let FoundingError::Duplicate { what, .. } = refused else { panic!("{refused}") };
        same.push(what);
    }
    assert_eq!(same, ["name", "worker's address", "node's address"]);
    let mut statement = south.statement("South");
    statement.sealing_key = north.agent.sealing.public().as_bytes().to_vec();
    let refused = founders(vec![mine, south.sign(statement).unwrap()]).unwrap_err();
    assert!(matches!(refused, FoundingError::Duplicate { what: "sealing key", .. }), "{refused}");
}

#[test]
fn founders_have_names_that_people_can_tell_apart() {
    let named = |name: &str| {
        let hospital = Hospital::new();
        let mut statement = hospital.statement("South");
        statement.name = name.into();
        hospital.sign(statement).unwrap()
    };
    let north = Hospital::new();
    let mut statement = north.statement("North");
    statement.name = "Saint \u{e9}lo\u{ef}se".into();
    let saint = north.sign(statement).unwrap();
    for alike in [
        "SAINT \u{c9}LO\u{cf}SE",
        "Saint  \u{e9}lo\u{ef}se",
        "Saint\u{a0}\u{e9}lo\u{ef}se",
        "Saint e\u{301}loi\u{308}se",
        "Saint \u{e9}lo\u{ef}se\u{fe0f}",
        "Sa\u{200d}int \u{e9}lo\u{ef}se",
        "Saint \u{3164}\u{e9}lo\u{ef}se",
        "\u{ff33}aint \u{e9}lo\u{ef}se",
    ] {
        let refused = founders(vec![saint.clone(), named(alike)]).unwrap_err();
        assert!(matches!(refused, FoundingError::Duplicate { what: "name", .. }), "{alike:?}");
    }
    founders(vec![saint, named("Saint Eloise")]).unwrap();
}

#[test]
fn no_application_names_a_public_development_key() {
    let public = |change: &dyn Fn(&mut Hospital)| {
        let mut hospital = Hospital::new();
        change(&mut hospital);
        hospital.sign(hospital.statement("North")).unwrap_err()
    };
    let keys = |uri: &str| development::keys(uri).unwrap();
    for refused in [
        public(&|it| it.governance.account = keys("//Alice").account),
        public(&|it| it.agent.account = keys("//Dave//agent").account),
        public(&|it| it.node = development::tls_key("//Bob").unwrap()),
        public(&|it| it.session = SessionPair::of_seeds([keys("//Eve").account.seed(), &[7; 32]])),
        public(&|it| it.agent.sealing = development::sealing_key("//Charlie")),
    ] {
        assert!(matches!(refused, ApplicationError::PublicKey(_)), "{refused}");
    }
    let mut hospital = Hospital::new();
    hospital.agent.sealing = SealingKeyPair::generate(SealingSuite::XWing);
    founders(vec![hospital.application("North")]).unwrap();
}

#[test]
fn whoever_joins_an_existing_chain_founds_no_other_one() {
    let hospital = Hospital::new();
    let (governance, agent) = (Account::from(&hospital.governance), Account::from(&hospital.agent));
    let mut statement = hospital.statement("North");
    statement.consents = Some(Consents::sign(Hash::zero(), HospitalId(4), 9, &governance, &agent));
    let refused = founders(vec![hospital.sign(statement).unwrap()]);
    assert_eq!(refused, Err(FoundingError::Joins("North".into())));
}
