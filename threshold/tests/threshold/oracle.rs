//! A second implementation, written from `docs/formats.md` and the RFCs that it names. It shares no code with the
//! library: arithmetic on integers of any size, hashes and key wrap by aws-lc. It is slow, and takes no constant time.

use std::sync::LazyLock;

use aws_lc_rs::{
    digest::{SHA512, digest},
    hmac,
    key_wrap::{AES_256, AesKek, KeyWrap},
};
use num_bigint::BigUint;

pub type Bytes = [u8; 32];

fn number(value: u64) -> BigUint {
    BigUint::from(value)
}

/// The prime of the field: 2^255 - 19.
static P: LazyLock<BigUint> = LazyLock::new(|| (number(1) << 255) - number(19));
/// The order of the group.
pub static L: LazyLock<BigUint> = LazyLock::new(|| {
    let rest = b"27742317777372353535851937790883648493";
    (number(1) << 252) + BigUint::parse_bytes(rest, 10).unwrap()
});
/// RFC 9496 (4.1).
static D: LazyLock<BigUint> =
    LazyLock::new(|| times(&negated(&number(121_665)), &inverse(&number(121_666))));
static SQRT_M1: LazyLock<BigUint> =
    LazyLock::new(|| number(2).modpow(&((&*P - number(1)) >> 2), &P));
static SQRT_AD_MINUS_ONE: LazyLock<BigUint> = LazyLock::new(|| {
    let text = b"25063068953384623474111414158702152701244531502492656460079210482610430750235";
    BigUint::parse_bytes(text, 10).unwrap()
});
static INVSQRT_A_MINUS_D: LazyLock<BigUint> =
    LazyLock::new(|| square_root(&number(1), &minus(&negated(&number(1)), &D)).1);

fn plus(a: &BigUint, b: &BigUint) -> BigUint {
    (a + b) % &*P
}

fn minus(a: &BigUint, b: &BigUint) -> BigUint {
    (a + &*P - b) % &*P
}

fn times(a: &BigUint, b: &BigUint) -> BigUint {
    a * b % &*P
}

fn negated(a: &BigUint) -> BigUint {
    (&*P - a) % &*P
}

fn inverse(a: &BigUint) -> BigUint {
    a.modpow(&(&*P - number(2)), &P)
}

fn is_negative(a: &BigUint) -> bool {
    a.bit(0)
}

fn magnitude(a: &BigUint) -> BigUint {
    if is_negative(a) { negated(a) } else { a.clone() }
}

/// SQRT_RATIO_M1 of RFC 9496 (4.2).
fn square_root(u: &BigUint, v: &BigUint) -> (bool, BigUint) {
    let v3 = v.modpow(&number(3), &P);
    let v7 = v.modpow(&number(7), &P);
    let power = times(u, &v7).modpow(&((&*P - number(5)) >> 3), &P);
    let mut root = times(&times(u, &v3), &power);
    let check = times(v, &times(&root, &root));
    let correct = check == *u;
    let flipped = check == negated(u);
    let flipped_i = check == times(&negated(u), &SQRT_M1);
    if flipped || flipped_i {
        root = times(&root, &SQRT_M1);
    }
    (correct || flipped, magnitude(&root))
}

/// A point in extended coordinates.
#[derive(Clone)]
pub struct Element([BigUint; 4]);

impl Element {
    pub fn identity() -> Self {
        Self([number(0), number(1), number(1), number(0)])
    }

    /// RFC 9496: the base point of edwards25519, whose y is 4/5.
    pub fn base() -> Self {
        let y = times(&number(4), &inverse(&number(5)));
        let y2 = times(&y, &y);
        let (_, x) = square_root(&minus(&y2, &number(1)), &plus(&times(&D, &y2), &number(1)));
        let t = times(&x, &y);
        Self([x, y, number(1), t])
    }

    pub fn plus(&self, other: &Self) -> Self {
        let [x1, y1, z1, t1] = &self.0;
        let [x2, y2, z2, t2] = &other.0;
        let a = times(&minus(y1, x1), &minus(y2, x2));
        let b = times(&plus(y1, x1), &plus(y2, x2));
        let c = times(&times(&times(t1, t2), &D), &number(2));
        let d = times(&times(z1, z2), &number(2));
        let (e, f, g, h) = (minus(&b, &a), minus(&d, &c), plus(&d, &c), plus(&b, &a));
        Self([times(&e, &f), times(&g, &h), times(&f, &g), times(&e, &h)])
    }

    pub fn times(&self, scalar: &BigUint) -> Self {
        let mut product = Self::identity();
        for bit in (0..scalar.bits()).rev() {
            product = product.plus(&product);
            if scalar.bit(bit) {
                product = product.plus(self);
            }
        }
        product
    }

    /// RFC 9496 (4.3.2).
    pub fn encode(&self) -> Bytes {
        let [x, y, z, t] = &self.0;
        let u1 = times(&plus(z, y), &minus(z, y));
        let u2 = times(x, y);
        let (_, root) = square_root(&number(1), &times(&u1, &times(&u2, &u2)));
        let (den1, den2) = (times(&root, &u1), times(&root, &u2));
        let z_inverse = times(&times(&den1, &den2), t);
        let (x, y, den) = if is_negative(&times(t, &z_inverse)) {
            (times(y, &SQRT_M1), times(x, &SQRT_M1), times(&den1, &INVSQRT_A_MINUS_D))
        } else {
            (x.clone(), y.clone(), den2)
        };
        let y = if is_negative(&times(&x, &z_inverse)) { negated(&y) } else { y };
        little_endian(&magnitude(&times(&den, &minus(z, &y))))
    }

    /// RFC 9496 (4.3.1).
    pub fn decode(bytes: &Bytes) -> Option<Self> {
        let s = BigUint::from_bytes_le(bytes);
        if s >= *P || is_negative(&s) {
            return None;
        }
        let one = number(1);
        let ss = times(&s, &s);
        let (u1, u2) = (minus(&one, &ss), plus(&one, &ss));
        let u2_squared = times(&u2, &u2);
        let v = minus(&negated(&times(&D, &times(&u1, &u1))), &u2_squared);
        let (was_square, root) = square_root(&one, &times(&v, &u2_squared));
        let den_x = times(&root, &u2);
        let den_y = times(&times(&root, &den_x), &v);
        let x = magnitude(&times(&times(&number(2), &s), &den_x));
        let y = times(&u1, &den_y);
        let t = times(&x, &y);
        let is_valid = was_square && !is_negative(&t) && y != number(0);
        is_valid.then_some(Self([x, y, one, t]))
    }

    /// RFC 9496 (4.3.4).
    fn of_uniform(bytes: &[u8]) -> Self {
        let half = |bytes: &[u8]| {
            let masked = BigUint::from_bytes_le(bytes) % (number(1) << 255);
            Self::of_field(&(masked % &*P))
        };
        half(&bytes[..32]).plus(&half(&bytes[32..]))
    }

    fn of_field(t: &BigUint) -> Self {
        let one = number(1);
        let r = times(&SQRT_M1, &times(t, t));
        let one_minus_d_sq = minus(&one, &times(&D, &D));
        let d_minus_one = minus(&D, &one);
        let u = times(&plus(&r, &one), &one_minus_d_sq);
        let v = times(&minus(&negated(&one), &times(&r, &D)), &plus(&r, &D));
        let (was_square, root) = square_root(&u, &v);
        let (s, c) = if was_square {
            (root, negated(&one))
        } else {
            (negated(&magnitude(&times(&root, t))), r.clone())
        };
        let squared = times(&d_minus_one, &d_minus_one);
        let n = minus(&times(&times(&c, &minus(&r, &one)), &squared), &v);
        let ss = times(&s, &s);
        let w0 = times(&times(&number(2), &s), &v);
        let w1 = times(&n, &SQRT_AD_MINUS_ONE);
        let (w2, w3) = (minus(&one, &ss), plus(&one, &ss));
        Self([times(&w0, &w3), times(&w2, &w1), times(&w1, &w3), times(&w0, &w2)])
    }
}

pub fn little_endian(value: &BigUint) -> Bytes {
    let mut bytes = value.to_bytes_le();
    bytes.resize(32, 0);
    bytes.try_into().unwrap()
}

pub fn scalar_of(bytes: &Bytes) -> BigUint {
    BigUint::from_bytes_le(bytes)
}

/// RFC 9380 (5.3.1), with parts after their lengths.
fn expand(tag: &str, parts: &[&[u8]], length: usize) -> Vec<u8> {
    let mut dst = [b"epione/ctk/v1/ristretto255-SHA512/", tag.as_bytes()].concat();
    dst.push(u8::try_from(dst.len()).unwrap());
    let mut message = vec![0_u8; 128];
    for part in parts {
        message.extend((part.len() as u64).to_be_bytes());
        message.extend(*part);
    }
    message.extend(u16::try_from(length).unwrap().to_be_bytes());
    message.push(0);
    message.extend(&dst);
    let mut second: Vec<u8> = digest(&SHA512, &message).as_ref().to_vec();
    second.push(1);
    second.extend(&dst);
    let mut output: Vec<u8> = digest(&SHA512, &second).as_ref().to_vec();
    output.truncate(length);
    output
}

fn hash(tag: &str, parts: &[&[u8]]) -> Bytes {
    expand(tag, parts, 32).try_into().unwrap()
}

pub fn scalar(tag: &str, parts: &[&[u8]]) -> BigUint {
    BigUint::from_bytes_le(&expand(tag, parts, 64)) % &*L
}

pub fn second_generator() -> Element {
    Element::of_uniform(&expand("second-generator", &[], 64))
}

/// Challenge and response.
fn prove(challenge: &BigUint, nonce: &BigUint, secret: &BigUint) -> Vec<u8> {
    let response = (nonce + &*L * &*L - challenge * secret) % &*L;
    [little_endian(challenge), little_endian(&response)].concat()
}

/// The coefficients of a generated polynomial.
pub fn generate(seed: &Bytes, threshold: u32) -> Vec<BigUint> {
    let constant = scalar("constant", &[seed, &threshold.to_be_bytes()]);
    sharing(&constant, seed, threshold)
}

pub fn sharing(constant: &BigUint, seed: &Bytes, threshold: u32) -> Vec<BigUint> {
    let secret = little_endian(constant);
    let coefficient = |term: u32| {
        let parts: [&[u8]; 4] = [seed, &secret, &threshold.to_be_bytes(), &term.to_be_bytes()];
        scalar("coefficient", &parts)
    };
    [constant.clone()].into_iter().chain((1..threshold).map(coefficient)).collect()
}

pub fn evaluate(coefficients: &[BigUint], hospital: u16) -> BigUint {
    let x = number(u64::from(hospital) + 1);
    let terms = coefficients.iter().enumerate();
    terms.map(|(power, term)| term * x.pow(power as u32)).sum::<BigUint>() % &*L
}

pub fn commit(coefficients: &[BigUint]) -> Vec<Bytes> {
    coefficients.iter().map(|term| Element::base().times(term).encode()).collect()
}

/// The factors of Lagrange at 0.
pub fn factors(hospitals: &[u16]) -> Vec<BigUint> {
    let index = |hospital: &u16| number(u64::from(*hospital) + 1);
    let factor = |one: &u16| {
        let mut factor = number(1);
        for other in hospitals.iter().filter(|other| *other != one) {
            let difference = (index(other) + &*L - index(one)) % &*L;
            factor = factor * index(other) * difference.modpow(&(&*L - number(2)), &L) % &*L;
        }
        factor
    };
    hospitals.iter().map(factor).collect()
}

pub fn interpolate(values: &[(u16, BigUint)]) -> BigUint {
    let hospitals: Vec<_> = values.iter().map(|(hospital, _)| *hospital).collect();
    let factors = factors(&hospitals);
    factors.iter().zip(values).map(|(factor, (_, value))| factor * value).sum::<BigUint>() % &*L
}

pub fn interpolate_points(values: &[(u16, Bytes)]) -> Bytes {
    let hospitals: Vec<_> = values.iter().map(|(hospital, _)| *hospital).collect();
    weighted(&factors(&hospitals), values.iter().map(|(_, value)| value)).encode()
}

/// The sum of the points, each times its factor.
pub fn weighted<'a>(factors: &[BigUint], points: impl Iterator<Item = &'a Bytes>) -> Element {
    factors.iter().zip(points).fold(Element::identity(), |sum, (factor, point)| {
        sum.plus(&Element::decode(point).unwrap().times(factor))
    })
}

pub fn prove_knowledge(secret: &BigUint, context: &[u8], nonce_seed: &Bytes) -> Vec<u8> {
    let public = Element::base().times(secret).encode();
    let parts: [&[u8]; 4] = [nonce_seed, &little_endian(secret), &public, context];
    let nonce = scalar("pok-nonce", &parts);
    let commitment = Element::base().times(&nonce).encode();
    let challenge = scalar("dealer-pok", &[context, &public, &commitment]);
    prove(&challenge, &nonce, secret)
}

fn hkdf(secret: &[u8], info: &[u8]) -> Bytes {
    let hmac = |key: &[u8], message: &[u8]| -> Bytes {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
        let tag: &[u8] = tag.as_ref();
        tag.try_into().unwrap()
    };
    hmac(&hmac(&[0; 32], secret), &[info, &[1]].concat())
}

fn encrypt(key: &Bytes, secret: &Bytes) -> [u8; 40] {
    let mut wrapped = [0; 40];
    AesKek::new(&AES_256, key).unwrap().wrap(secret, &mut wrapped).unwrap();
    wrapped
}

pub fn mixing(parts: &[(u16, Bytes)]) -> Bytes {
    let hospitals: Vec<_> = parts.iter().map(|(hospital, _)| hospital.to_le_bytes()).collect();
    let mut hashed: Vec<&[u8]> = Vec::new();
    for (hospital, (_, part)) in hospitals.iter().zip(parts) {
        hashed.push(hospital);
        hashed.push(part);
    }
    hash("mixing", &hashed)
}

pub fn mixing_hash(mixing: &Bytes) -> Bytes {
    hash("mixing-hash", &[mixing])
}

pub fn part_hash(part: &Bytes) -> Bytes {
    hash("mixing-part", &[part])
}

pub fn link(mixing: &Bytes, earlier: &Bytes) -> [u8; 40] {
    encrypt(&hkdf(mixing, b"epione/ctk/v1/link"), earlier)
}

pub fn mixing_of(mixing: &Bytes, label: &[u8]) -> Bytes {
    hkdf(mixing, &[b"epione/ctk/v1/mu", label].concat())
}

/// The wrap, and the point that opens it.
pub fn wrap(public: &Bytes, mixing: &Bytes, label: &[u8], key: &Bytes) -> (Vec<u8>, Bytes) {
    let mu = mixing_of(mixing, label);
    let secret = scalar("wrap-r", &[key, &mu, label]);
    let both = |scalar: &BigUint| {
        (Element::base().times(scalar).encode(), second_generator().times(scalar).encode())
    };
    let (first, second) = both(&secret);
    let shared = Element::decode(public).unwrap().times(&secret).encode();
    let info = [&b"epione/ctk/v1/kek"[..], &first, &second, label].concat();
    let wrapped = encrypt(&hkdf(&[shared, mu].concat(), &info), key);
    let nonce = scalar("wrap-k", &[&little_endian(&secret), &shared, label, &wrapped]);
    let (w1, w2) = both(&nonce);
    let challenge = scalar("wrap", &[label, &wrapped, &first, &w1, &second, &w2]);
    let proof = prove(&challenge, &nonce, &secret);
    ([&first[..], &second, &proof, &wrapped].concat(), shared)
}

/// The hash of a batch, and the weights that follow from it.
pub fn weights(
    public: &Bytes,
    points: &[Bytes],
    values: &[Bytes],
    context: &[u8],
) -> (Vec<u8>, Vec<BigUint>) {
    let mut parts: Vec<&[u8]> = vec![context, public];
    for (point, value) in points.iter().zip(values) {
        parts.push(point);
        parts.push(value);
    }
    let seed = expand("dleq-seed", &parts, 64);
    let weights = (0..points.len() as u32)
        .map(|position| expand("composite", &[&seed, &position.to_be_bytes()], 16))
        .map(|bytes| BigUint::from_bytes_le(&bytes))
        .collect();
    (seed, weights)
}

/// A partial decryption. The prover states these values, whether they are right or not.
pub fn partial(
    share: &BigUint,
    points: &[Bytes],
    values: &[Bytes],
    context: &[u8],
    nonce_seed: &Bytes,
) -> Vec<u8> {
    let public = Element::base().times(share).encode();
    let (seed, weights) = weights(&public, points, values, context);
    let base = weighted(&weights, points.iter());
    let product = weighted(&weights, values.iter()).encode();
    let nonce = scalar("dleq-nonce", &[nonce_seed, &little_endian(share), &seed]);
    let first = Element::base().times(&nonce).encode();
    let second = base.times(&nonce).encode();
    let parts: [&[u8]; 5] = [&seed, &base.encode(), &product, &first, &second];
    let proof = prove(&scalar("dleq", &parts), &nonce, share);
    [&proof[..], values.concat().as_slice()].concat()
}

/// The right values of a partial decryption.
pub fn products(share: &BigUint, points: &[Bytes]) -> Vec<Bytes> {
    points.iter().map(|point| Element::decode(point).unwrap().times(share).encode()).collect()
}
