//! The committed test vectors, `vectors/*.json`: library and oracle must make the same bytes from the inputs in them.
//! `docs/formats.md` describes the formats.
//!
//! To rewrite them after a change of a format: `EPIONE_WRITE_VECTORS=1 cargo test -p epione-threshold --release
//! vectors`. With the name of one test instead of `vectors`, only the file of that test is written.

use std::{fs, path::PathBuf};

use epione_threshold::{
    Commitments, KnowledgeProof, MixingSecret, Partial, Point, Polynomial, Share, Wrap,
};
use serde_json::{Value, json};

use crate::{
    oracle,
    world::{at, combine},
};

/// The committed vector. Written first if `EPIONE_WRITE_VECTORS` is set.
fn vector(name: &str, make: impl FnOnce() -> Value) -> Value {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors");
    let path = folder.join(name);
    if std::env::var_os("EPIONE_WRITE_VECTORS").is_some() {
        fs::create_dir_all(folder).unwrap();
        fs::write(&path, format!("{:#}\n", make())).unwrap();
    }
    let text = fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!("{} cannot be read ({error}): write it with EPIONE_WRITE_VECTORS=1", path.display())
    });
    serde_json::from_str(&text).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().unwrap()
}

fn arrays(value: &Value) -> Vec<[u8; 32]> {
    value.as_array().unwrap().iter().map(array).collect()
}

fn hospitals(value: &Value) -> Vec<u16> {
    value.as_array().unwrap().iter().map(|one| one.as_u64().unwrap() as u16).collect()
}

fn hexes<T: AsRef<[u8]>>(values: impl IntoIterator<Item = T>) -> Vec<String> {
    values.into_iter().map(hex::encode).collect()
}

const MEMBERS: [u16; 3] = [0, 1, 4];
const THRESHOLD: u32 = 2;

fn seed(first: u8, hospital: u16) -> [u8; 32] {
    let mut seed = [first; 32];
    seed[..2].copy_from_slice(&hospital.to_le_bytes());
    seed
}

fn context(hospital: u16) -> Vec<u8> {
    [&b"dealer "[..], &hospital.to_le_bytes()].concat()
}

/// Three hospitals generate a key, of which two are needed.
#[test]
fn generation() {
    let make = || {
        let polynomials: Vec<_> =
            MEMBERS.iter().map(|one| oracle::generate(&seed(0x11, *one), THRESHOLD)).collect();
        let dealings = MEMBERS.iter().zip(&polynomials).map(|(dealer, polynomial)| {
            let (nonce_seed, part) = (seed(0x12, *dealer), seed(0x13, *dealer));
            let proof = oracle::prove_knowledge(&polynomial[0], &context(*dealer), &nonce_seed);
            let share = |member: &u16| {
                hex::encode(oracle::little_endian(&oracle::evaluate(polynomial, *member)))
            };
            json!({
                "commitments": hexes(oracle::commit(polynomial)),
                "context": hex::encode(context(*dealer)),
                "hospital": dealer,
                "nonce_seed": hex::encode(nonce_seed),
                "part": hex::encode(part),
                "part_hash": hex::encode(oracle::part_hash(&part)),
                "proof": hex::encode(proof),
                "seed": hex::encode(seed(0x11, *dealer)),
                "shares": MEMBERS.iter().map(share).collect::<Vec<_>>(),
            })
        });
        let dealings: Vec<_> = dealings.collect();
        let sum: Vec<_> = (0..THRESHOLD as usize)
            .map(|term| polynomials.iter().map(|one| &one[term]).sum::<num_bigint::BigUint>())
            .map(|sum| sum % &*oracle::L)
            .collect();
        let share = |member: &u16| oracle::little_endian(&oracle::evaluate(&sum, *member));
        let mixing = oracle::mixing(&MEMBERS.map(|one| (one, seed(0x13, one))));
        json!({
            "commitments": hexes(oracle::commit(&sum)),
            "dealings": dealings,
            "members": MEMBERS,
            "mixing": hex::encode(mixing),
            "mixing_hash": hex::encode(oracle::mixing_hash(&mixing)),
            "shares": hexes(MEMBERS.iter().map(share)),
            "threshold": THRESHOLD,
        })
    };
    let vector = vector("generation.json", make);
    let members = hospitals(&vector["members"]);
    let threshold = vector["threshold"].as_u64().unwrap();

    let (mut dealt, mut parts) = (Vec::new(), Vec::new());
    let mut received = vec![Vec::new(); members.len()];
    for dealing in vector["dealings"].as_array().unwrap() {
        let (seed, context) = (array(&dealing["seed"]), bytes(&dealing["context"]));
        let polynomial = Polynomial::generate(&seed, threshold as usize).unwrap();
        let commitments = polynomial.commitments();
        assert_eq!(commitments.encode(), arrays(&dealing["commitments"]));
        assert_eq!(
            oracle::commit(&oracle::generate(&seed, threshold as u32)),
            commitments.encode()
        );

        let proof = polynomial.prove(&context, &array(&dealing["nonce_seed"]));
        assert_eq!(proof, KnowledgeProof(array(&dealing["proof"])));
        assert!(proof.verify(&commitments.constant(), &context));
        for ((member, share), received) in
            members.iter().zip(arrays(&dealing["shares"])).zip(&mut received)
        {
            let share = Share::decode(&share).unwrap();
            assert_eq!(polynomial.share(at(*member)), share);
            assert!(commitments.includes(at(*member), &share));
            received.push(share);
        }
        let part = array(&dealing["part"]);
        assert_eq!(MixingSecret::part_hash(&part), array::<32>(&dealing["part_hash"]));
        parts.push((dealing["hospital"].as_u64().unwrap() as u16, part));
        dealt.push(commitments);
    }
    assert_eq!(Commitments::sum(&dealt).unwrap().encode(), arrays(&vector["commitments"]));
    for (received, share) in received.iter().zip(arrays(&vector["shares"])) {
        assert_eq!(*Share::sum(received).unwrap().encode(), share);
    }
    let mixing = MixingSecret::combine(&parts).unwrap();
    assert_eq!(*mixing.encode(), array::<32>(&vector["mixing"]));
    assert_eq!(oracle::mixing(&parts), *mixing.encode());
    assert_eq!(mixing.hash(), array::<32>(&vector["mixing_hash"]));
}

/// Two of the three give new shares to four others, of which three are needed.
#[test]
fn resharing() {
    let (dealers, members, threshold) = ([0, 4], [1, 2, 4, 300], 3);
    let make = || {
        let earlier = oracle::generate(&seed(0x21, 0), THRESHOLD);
        let polynomials: Vec<_> = dealers
            .iter()
            .map(|dealer| {
                let share = oracle::evaluate(&earlier, *dealer);
                oracle::sharing(&share, &seed(0x22, *dealer), threshold)
            })
            .collect();
        let dealings = dealers.iter().zip(&polynomials).map(|(dealer, polynomial)| {
            json!({
                "commitments": hexes(oracle::commit(polynomial)),
                "hospital": dealer,
                "seed": hex::encode(seed(0x22, *dealer)),
                "share": hex::encode(oracle::little_endian(&polynomial[0])),
            })
        });
        let dealings: Vec<_> = dealings.collect();
        let placed = |value: &dyn Fn(&[num_bigint::BigUint]) -> num_bigint::BigUint| {
            let values = polynomials.iter().map(|one| value(one));
            oracle::interpolate(&dealers.iter().copied().zip(values).collect::<Vec<_>>())
        };
        let terms: Vec<_> =
            (0..threshold as usize).map(|term| placed(&|one| one[term].clone())).collect();
        let share =
            |member: &u16| oracle::little_endian(&placed(&|one| oracle::evaluate(one, *member)));
        let mixing = oracle::mixing(&dealers.map(|one| (one, seed(0x23, one))));
        let link = oracle::link(&mixing, &seed(0x24, 0));
        json!({
            "commitments": hexes(oracle::commit(&terms)),
            "dealings": dealings,
            "earlier_mixing": hex::encode(seed(0x24, 0)),
            "link": hex::encode(link),
            "members": members,
            "mixing": hex::encode(mixing),
            "public_key": hex::encode(oracle::commit(&earlier)[0]),
            "shares": hexes(members.iter().map(share)),
            "threshold": threshold,
        })
    };
    let vector = vector("resharing.json", make);
    let members = hospitals(&vector["members"]);
    let threshold = vector["threshold"].as_u64().unwrap();

    let (mut dealt, mut polynomials) = (Vec::new(), Vec::new());
    for dealing in vector["dealings"].as_array().unwrap() {
        let dealer = at(dealing["hospital"].as_u64().unwrap() as u16);
        let (seed, share) = (array(&dealing["seed"]), array(&dealing["share"]));
        let expected = arrays(&dealing["commitments"]);
        let number = oracle::scalar_of(&share);
        assert_eq!(oracle::commit(&oracle::sharing(&number, &seed, threshold as u32)), expected);
        let share = Share::decode(&share).unwrap();
        let polynomial = Polynomial::sharing(&share, &seed, threshold as usize).unwrap();
        let commitments = polynomial.commitments();
        assert_eq!(commitments.encode(), expected);
        assert_eq!(Some(commitments.constant()), share.public());
        dealt.push((dealer, commitments));
        polynomials.push((dealer, polynomial));
    }
    let commitments = Commitments::interpolate(&dealt).unwrap();
    assert_eq!(commitments.encode(), arrays(&vector["commitments"]));
    assert_eq!(commitments.constant().encode(), array::<32>(&vector["public_key"]));
    for (member, expected) in members.iter().zip(arrays(&vector["shares"])) {
        let parts: Vec<_> =
            polynomials.iter().map(|(dealer, one)| (*dealer, one.share(at(*member)))).collect();
        let share = Share::interpolate(&parts).unwrap();
        assert_eq!(*share.encode(), expected);
        assert_eq!(share.public(), commitments.evaluate(at(*member)));
    }
    let (mixing, earlier) = (array(&vector["mixing"]), array(&vector["earlier_mixing"]));
    let link = array::<40>(&vector["link"]);
    assert_eq!(oracle::link(&mixing, &earlier), link);
    let (mixing, earlier) = (MixingSecret::from_bytes(mixing), MixingSecret::from_bytes(earlier));
    assert_eq!(mixing.link(&earlier), link);
    assert_eq!(mixing.follow(&link), Some(earlier));
}

#[test]
fn wraps() {
    let make = || {
        let public = oracle::commit(&oracle::generate(&seed(0x31, 0), THRESHOLD))[0];
        let one = |length: usize| {
            let (mixing, key) = (seed(0x32, length as u16), seed(0x33, length as u16));
            let label: Vec<u8> = (0..length).map(|position| position as u8).collect();
            let (wrap, shared) = oracle::wrap(&public, &mixing, &label, &key);
            json!({
                "key": hex::encode(key),
                "label": hex::encode(&label),
                "mixing": hex::encode(mixing),
                "mixing_of_label": hex::encode(oracle::mixing_of(&mixing, &label)),
                "public_key": hex::encode(public),
                "shared": hex::encode(shared),
                "wrap": hex::encode(wrap),
            })
        };
        [0, 1, 130].map(one).into()
    };
    for vector in vector("wrap.json", make).as_array().unwrap() {
        let public: [u8; 32] = array(&vector["public_key"]);
        let (mixing, key) = (array(&vector["mixing"]), array(&vector["key"]));
        let label = bytes(&vector["label"]);
        let encoded: [u8; 168] = array(&vector["wrap"]);
        let shared: [u8; 32] = array(&vector["shared"]);
        assert_eq!(oracle::wrap(&public, &mixing, &label, &key), (encoded.to_vec(), shared));

        let secret = MixingSecret::from_bytes(mixing);
        let wrap = Wrap::decode(&encoded).unwrap();
        assert_eq!(Wrap::make(&Point::decode(&public).unwrap(), &secret, &label, &key), wrap);
        assert_eq!(wrap.encode(), encoded);
        assert_eq!(wrap.check(&label).unwrap().encode(), encoded[..32]);
        let mu: [u8; 32] = array(&vector["mixing_of_label"]);
        assert_eq!(*Wrap::mixing_of(&secret, &label), mu);
        assert_eq!(oracle::mixing_of(&mixing, &label), mu);
        let shared = Point::decode(&shared).unwrap();
        assert_eq!(*wrap.open(&label, &mu, &shared).unwrap(), key);
    }
}

#[test]
fn partial_decryptions() {
    let make = || {
        let polynomial = oracle::generate(&seed(0x41, 0), THRESHOLD);
        let points = [0x42, 0x43, 0x44]
            .map(|first| oracle::commit(&oracle::generate(&seed(first, 0), 1))[0]);
        let hospitals = [1, 4];
        let values = hospitals
            .map(|hospital| oracle::products(&oracle::evaluate(&polynomial, hospital), &points));
        let partials = hospitals.iter().zip(&values).map(|(hospital, values)| {
            let share = oracle::evaluate(&polynomial, *hospital);
            let (context, nonce_seed) = (context(*hospital), seed(0x45, *hospital));
            let partial = oracle::partial(&share, &points, values, &context, &nonce_seed);
            json!({
                "context": hex::encode(&context),
                "hospital": hospital,
                "nonce_seed": hex::encode(nonce_seed),
                "partial": hex::encode(partial),
                "share": hex::encode(oracle::little_endian(&share)),
                "verification_key": hex::encode(oracle::Element::base().times(&share).encode()),
            })
        });
        let partials: Vec<_> = partials.collect();
        let combined = (0..points.len()).map(|position| {
            let [first, second] =
                [0, 1].map(|member| (hospitals[member], values[member][position]));
            oracle::interpolate_points(&[first, second])
        });
        json!({
            "combined": hexes(combined),
            "partials": partials,
            "points": hexes(points),
        })
    };
    let vector = vector("partial.json", make);
    let encoded = arrays(&vector["points"]);
    let points: Vec<_> = encoded.iter().map(|point| Point::decode(point).unwrap()).collect();
    let partials = vector["partials"].as_array().unwrap().iter().map(|vector| {
        let (context, nonce_seed) = (bytes(&vector["context"]), array(&vector["nonce_seed"]));
        let (share, expected) = (array(&vector["share"]), bytes(&vector["partial"]));
        let number = oracle::scalar_of(&share);
        let products = oracle::products(&number, &encoded);
        let by_oracle = oracle::partial(&number, &encoded, &products, &context, &nonce_seed);
        assert_eq!(by_oracle, expected);

        let share = Share::decode(&share).unwrap();
        let partial = Partial::make(&share, &points, &context, &nonce_seed).unwrap();
        assert_eq!(*partial.encode(), expected);
        assert_eq!(Partial::decode(&expected), Some(partial.clone()));
        let key = Point::decode(&array(&vector["verification_key"])).unwrap();
        assert!(partial.check(&key, &points, &context));
        (at(vector["hospital"].as_u64().unwrap() as u16), partial)
    });
    let partials: Vec<_> = partials.collect();
    let combined: Vec<_> = combine(&partials).unwrap().iter().map(Point::encode).collect();
    assert_eq!(combined, arrays(&vector["combined"]));
}
