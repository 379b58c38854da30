//! A second implementation of the sealed formats, written from their description: RustCrypto's STREAM
//! for objects, aws-lc's key wrap for wrapped keys, bytes laid out by hand. It shares no code with the library.

use aead_stream::{DecryptorBE32, EncryptorBE32};
use aes_gcm::Aes256Gcm;
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrap};
use codec::{Compact, Decode, Encode};
use epione_envelope::{
    frames::Frames,
    grant::GrantTerms,
    keys::SectionContext,
    object::{ObjectContext, Part},
    record::{Authorship, Description, Draft, Extraction},
    sealing_keys::SealingKeyPair,
};
use epione_primitives::{AccountId, Hash, HospitalId, RecordId, UserId};
use hkdf::Hkdf;
use hpke::{
    Deserializable, Kem,
    aead::AesGcm256,
    kdf::HkdfSha256,
    kem::{X25519HkdfSha256, XWing},
};
use sha2::{Digest, Sha256};
use sp_core::{Blake2Hasher, Hasher};
use sp_runtime::{MultiSignature, traits::Verify};

pub struct Header {
    pub object_id: [u8; 16],
    pub chunk_bits: u8,
    pub length: u64,
    pub salt: [u8; 32],
}

pub struct Secrets {
    pub key: [u8; 32],
    pub prefix: [u8; 7],
    pub commitment: [u8; 32],
    pub aad: [u8; 32],
}

fn section_bytes(context: &SectionContext) -> Vec<u8> {
    let mut bytes = context.genesis.0.to_vec();
    bytes.extend(context.hospital.0.to_le_bytes());
    bytes.extend(context.patient.0);
    bytes.extend(context.record.0);
    bytes.extend(context.section.to_le_bytes());
    bytes
}

pub fn secrets(content_key: &[u8; 32], context: &ObjectContext, header: &Header) -> Secrets {
    let mut core = b"epione/object\x01".to_vec();
    core.extend(header.object_id);
    core.extend(section_bytes(&context.section));
    core.push(context.part as u8);
    core.extend(context.version.to_le_bytes());
    core.extend((1_u32 << header.chunk_bits).to_le_bytes());
    core.extend(header.length.to_le_bytes());
    core.extend(header.salt);

    let (_, kdf) = Hkdf::<Sha256>::extract(Some(&header.salt), content_key);
    let (mut key, mut prefix, mut commitment) = ([0; 32], [0; 7], [0; 32]);
    kdf.expand(&[b"epione/object/key", &core[..]].concat(), &mut key).unwrap();
    kdf.expand(&[b"epione/object/nonce", &core[..]].concat(), &mut prefix).unwrap();
    kdf.expand(&[b"epione/object/commitment", &core[..]].concat(), &mut commitment).unwrap();
    let aad = Sha256::digest([&core[..], &commitment].concat()).into();
    Secrets { key, prefix, commitment, aad }
}

/// Serialized parameters and sealed bytes.
pub fn seal(
    content_key: &[u8; 32],
    context: &ObjectContext,
    header: &Header,
    plaintext: &[u8],
) -> (Vec<u8>, Vec<u8>) {
    let secrets = secrets(content_key, context, header);
    let mut stream = EncryptorBE32::<Aes256Gcm>::new(&secrets.key.into(), &secrets.prefix.into());
    let mut sealed: Vec<Vec<u8>> =
        plaintext.chunks(1 << header.chunk_bits).map(<[u8]>::to_vec).collect();
    let mut last = sealed.pop().unwrap_or_default();
    for piece in &mut sealed {
        stream.encrypt_next_in_place(&secrets.aad, piece).unwrap();
    }
    stream.encrypt_last_in_place(&secrets.aad, &mut last).unwrap();
    sealed.push(last);

    let mut bytes = Vec::new();
    let mut tags = Vec::new();
    for mut piece in sealed {
        tags.extend(piece.split_off(piece.len() - 16));
        bytes.extend(piece);
    }
    bytes.extend(tags);
    let mut parameters = vec![1];
    parameters.extend(header.object_id);
    parameters.push(header.chunk_bits);
    Compact(header.length).encode_to(&mut parameters);
    parameters.extend(header.salt);
    parameters.extend(secrets.commitment);
    (parameters, bytes)
}

pub fn parse(parameters: &[u8]) -> (Header, [u8; 32]) {
    assert_eq!(parameters[0], 1);
    let object_id = parameters[1..17].try_into().unwrap();
    let chunk_bits = parameters[17];
    let mut rest = &parameters[18..];
    let length = Compact::<u64>::decode(&mut rest).unwrap().0;
    let salt = rest[..32].try_into().unwrap();
    let commitment = rest[32..].try_into().unwrap();
    (Header { object_id, chunk_bits, length, salt }, commitment)
}

pub fn open(
    content_key: &[u8; 32],
    context: &ObjectContext,
    parameters: &[u8],
    sealed: &[u8],
) -> Option<Vec<u8>> {
    let (header, commitment) = parse(parameters);
    let secrets = secrets(content_key, context, &header);
    if secrets.commitment != commitment {
        return None;
    }
    let (ciphertext, tags) = sealed.split_at(header.length as usize);
    let mut tags = tags.chunks(16);
    let mut stream = DecryptorBE32::<Aes256Gcm>::new(&secrets.key.into(), &secrets.prefix.into());
    let mut pieces: Vec<&[u8]> = ciphertext.chunks(1 << header.chunk_bits).collect();
    let last = pieces.pop().unwrap_or_default();
    let mut plaintext = Vec::new();
    for piece in pieces {
        let mut piece = [piece, tags.next()?].concat();
        stream.decrypt_next_in_place(&secrets.aad, &mut piece).ok()?;
        plaintext.extend(piece);
    }
    let mut last = [last, tags.next()?].concat();
    stream.decrypt_last_in_place(&secrets.aad, &mut last).ok()?;
    plaintext.extend(last);
    tags.next().is_none().then_some(plaintext)
}

/// The length of a plaintext, the plaintext, and as many zeros as the next padded length needs.
pub fn pad(plaintext: &[u8]) -> Vec<u8> {
    let mut bytes = (plaintext.len() as u32).to_le_bytes().to_vec();
    bytes.extend(plaintext);
    while !is_padded_length(bytes.len()) {
        bytes.push(0);
    }
    bytes
}

/// Looks at the binary digits of a length: after the first one, as many may be ones as the exponent of the first one
/// has digits itself.
fn is_padded_length(length: usize) -> bool {
    let digits = format!("{length:b}");
    let exponent = digits.len() - 1;
    let free = format!("{exponent:b}").len();
    length >= 256 && digits.chars().skip(1 + free).all(|digit| digit == '0')
}

pub fn unpad(padded: &[u8]) -> Option<Vec<u8>> {
    let (length, rest) = padded.split_at_checked(4)?;
    let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
    let plaintext = rest.get(..length)?;
    (pad(plaintext) == padded).then(|| plaintext.to_vec())
}

fn derived(patient_key: &[u8; 32], info: &[u8]) -> [u8; 32] {
    let mut key = [0; 32];
    Hkdf::<Sha256>::new(Some(&[0; 32]), patient_key).expand(info, &mut key).unwrap();
    key
}

fn wrapping_key(patient_key: &[u8; 32], version: u32, context: &SectionContext) -> AesKek {
    let context = section_bytes(context);
    let info = [b"epione/wrapping-key", &context[..], &version.to_le_bytes()].concat();
    AesKek::new(&AES_256, &derived(patient_key, &info)).unwrap()
}

pub fn wrap(
    patient_key: &[u8; 32],
    version: u32,
    key: &[u8; 32],
    context: &SectionContext,
) -> Vec<u8> {
    let mut output = [0; 40];
    wrapping_key(patient_key, version, context).wrap(key, &mut output).unwrap().to_vec()
}

pub fn unwrap(
    patient_key: &[u8; 32],
    version: u32,
    wrapped: &[u8],
    context: &SectionContext,
) -> Option<Vec<u8>> {
    let mut output = [0; 40];
    let key = wrapping_key(patient_key, version, context).unwrap(wrapped, &mut output).ok()?;
    Some(key.to_vec())
}

/// For whom and where a profile body is opened.
pub struct Place {
    pub genesis: Hash,
    pub hospital: HospitalId,
    pub user: UserId,
    /// The sealing key of the hospital.
    pub keys: SealingKeyPair,
}

/// The patient keys and the name in the encoded profile body of a patient, as the hospital opens them.
pub fn open_profile(body: &[u8], place: &Place) -> Option<(Vec<[u8; 32]>, Vec<u8>)> {
    let (suite, rest) = body.split_first()?;
    let (sealer, rest) = rest.split_at(32);
    // The user's account, and the user's sealing key after its suite byte.
    let key_bytes = if rest[32] == 1 { 1216 } else { 32 };
    let (secrets, rest) = rest[33 + key_bytes..].split_first()?;
    if (*suite, *secrets) != (2, 0) {
        return None;
    }
    let (version, rest) = rest.split_at(4);
    let mut patient = place.genesis.0.to_vec();
    patient.extend(place.hospital.0.to_le_bytes());
    patient.extend(place.user.0);

    let (for_hospital, rest) = rest.split_at(wrap_bytes(rest)?);
    let mut rest = match rest.split_first()? {
        (0, rest) => rest,
        (1, rest) => &rest[wrap_bytes(rest)?..],
        _ => return None,
    };
    let context = [&patient[..], &[0], version, sealer].concat();
    let agent = AccountId::new(sealer.try_into().ok()?);
    let newest = open_wrap(&place.keys, &context, &agent, for_hospital)?;
    let newest = <[u8; 32]>::try_from(newest).ok()?;

    let Compact(count) = Compact::<u32>::decode(&mut rest).ok()?;
    let mut keys: Vec<[u8; 32]> = Vec::new();
    for earlier in 1..=count {
        let info = [b"epione/earlier-key", &patient[..], version, &earlier.to_le_bytes()].concat();
        let kek = AesKek::new(&AES_256, &derived(&newest, &info)).unwrap();
        let (wrapped, later) = rest.split_at(40);
        let mut output = [0; 40];
        let key: &[u8] = kek.unwrap(wrapped, &mut output).ok()?;
        keys.push(key.try_into().ok()?);
        rest = later;
    }
    keys.push(newest);
    Some((keys, open_name(&newest, place, rest)?))
}

/// Bytes of the encoded wrap at the beginning.
fn wrap_bytes(bytes: &[u8]) -> Option<usize> {
    let start = 1 + if bytes[0] == 1 { 1120 } else { 32 };
    let mut rest = &bytes[start..];
    Vec::<u8>::decode(&mut rest).ok()?;
    MultiSignature::decode(&mut rest).ok()?;
    Some(bytes.len() - rest.len())
}

fn open_name(patient_key: &[u8; 32], place: &Place, object: &[u8]) -> Option<Vec<u8>> {
    let section = SectionContext {
        genesis: place.genesis,
        hospital: place.hospital,
        patient: place.user,
        record: RecordId([0; 16]),
        section: 0,
    };
    let context = ObjectContext { section, part: Part::Name, version: 1 };
    // Suite, object id and chunk size; the compact length; salt and commitment.
    let length = Compact::<u64>::decode(&mut &object[18..]).ok()?.encode().len();
    let (parameters, sealed) = object.split_at(18 + length + 64);
    open(&derived(patient_key, b"epione/name-key"), &context, parameters, sealed)
}

/// Opens an encoded wrap with HPKE directly, given the encoded context. Checks the signature first.
pub fn open_wrap(
    keys: &SealingKeyPair,
    context: &[u8],
    sealer: &AccountId,
    wrap: &[u8],
) -> Option<Vec<u8>> {
    let suite = wrap[0];
    let (encapsulated, rest) = wrap[1..].split_at(if suite == 1 { 1120 } else { 32 });
    let mut rest = rest;
    let ciphertext = Vec::<u8>::decode(&mut rest).ok()?;
    let signature = MultiSignature::decode(&mut rest).ok()?;

    let key_hash = blake2_256(keys.public().as_bytes());
    let info = [&b"epione/wrap"[..], &[suite], context, &key_hash, sealer.as_ref()].concat();
    let mut signed = b"epione/wrap-signature".to_vec();
    signed.push(suite);
    for part in [&info[..], encapsulated, &ciphertext] {
        signed.extend(blake2_256(part));
    }
    if !signature.verify(&signed[..], sealer) {
        return None;
    }
    match suite {
        1 => open_hpke::<XWing>(keys.seed(), encapsulated, &info, &ciphertext),
        _ => open_hpke::<X25519HkdfSha256>(keys.seed(), encapsulated, &info, &ciphertext),
    }
}

fn open_hpke<K: Kem>(
    seed: &[u8; 32],
    encapsulated: &[u8],
    info: &[u8],
    ciphertext: &[u8],
) -> Option<Vec<u8>> {
    let key = K::derive_keypair(seed).0;
    let encapsulated = K::EncappedKey::from_bytes(encapsulated).ok()?;
    let mut receiver = hpke::setup_receiver::<AesGcm256, HkdfSha256, K>(
        &hpke::OpModeR::Base,
        &key,
        &encapsulated,
        info,
    )
    .ok()?;
    receiver.open(ciphertext, &[]).ok()
}

/// The context of a grant's wrap, given all of the grant before its wrap.
pub fn grant_context(terms: &GrantTerms, clear: &[u8]) -> Vec<u8> {
    let mut context = terms.genesis.0.to_vec();
    context.extend(terms.hospital.0.to_le_bytes());
    context.extend(terms.patient.0);
    context.push(3);
    context.extend(blake2_256(&[b"epione/grant", clear].concat()));
    context.extend::<&[u8]>(terms.audience.as_ref());
    context
}

/// The context of the wrap of a query's terms.
pub fn query_terms_context(genesis: Hash, requester: UserId, patient: UserId) -> Vec<u8> {
    [&b"epione/query-terms"[..], &genesis.0, &requester.0, &patient.0].concat()
}

/// The context of the wrap of a query's grant, given all of the grant before its wrap.
pub fn query_grant_context(clear: &[u8]) -> Vec<u8> {
    blake2_256(&[b"epione/query-grant", clear].concat()).to_vec()
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    Compact(text.len() as u32).encode_to(bytes);
    bytes.extend(text.as_bytes());
}

fn frames(bytes: &mut Vec<u8>, frames: &Frames) {
    match frames {
        Frames::None(reason) => bytes.extend([0, *reason as u8]),
        Frames::Native { first, bits, count, stated } => {
            bytes.push(1);
            Compact(*first).encode_to(bytes);
            Compact(*bits).encode_to(bytes);
            Compact(*count).encode_to(bytes);
            Compact(*stated).encode_to(bytes);
        }
        Frames::Encapsulated { first, lengths, stated } => {
            bytes.push(2);
            Compact(*first).encode_to(bytes);
            Compact(*stated).encode_to(bytes);
            Compact(lengths.len() as u32).encode_to(bytes);
            lengths.iter().for_each(|length| Compact(*length).encode_to(bytes));
        }
    }
}

pub fn description(bytes: &mut Vec<u8>, described: &Description) {
    bytes.extend(described.salt.as_bytes());
    bytes.push(described.kind as u8);
    text(bytes, &described.media_type);
    text(bytes, &described.file_name);
    Compact(described.content_length).encode_to(bytes);
    bytes.extend(described.content_root);
    frames(bytes, &described.frames);
}

pub fn leaves(draft: &Draft) -> Vec<Hash> {
    let count = draft.sections.len() as u16;
    let leaf = |(index, section): (u16, &Description)| {
        let mut bytes = b"epione/leaf".to_vec();
        bytes.extend(draft.record.0);
        bytes.extend(index.to_le_bytes());
        bytes.extend(count.to_le_bytes());
        description(&mut bytes, section);
        Hash::from(blake2_256(&bytes))
    };
    (0..).zip(&draft.sections).map(leaf).collect()
}

/// What the author signs.
pub fn signed_bytes(genesis: Hash, about: &Authorship, leaves: &[Hash]) -> Vec<u8> {
    message(b"epione/record", genesis, about, leaves)
}

/// What the patient signs.
pub fn cosigned_bytes(genesis: Hash, about: &Authorship, leaves: &[Hash]) -> Vec<u8> {
    message(b"epione/cosign", genesis, about, leaves)
}

/// What the nurse signs.
pub fn nursed_bytes(genesis: Hash, about: &Authorship, leaves: &[Hash]) -> Vec<u8> {
    message(b"epione/nurse", genesis, about, leaves)
}

fn message(by: &[u8], genesis: Hash, about: &Authorship, leaves: &[Hash]) -> Vec<u8> {
    let mut bytes = by.to_vec();
    bytes.extend(genesis.0);
    bytes.extend(authorship(about));
    bytes.extend((leaves.len() as u16).to_le_bytes());
    bytes.extend(root(about, leaves));
    bytes
}

pub fn authorship(about: &Authorship) -> Vec<u8> {
    let mut bytes = about.record.0.to_vec();
    bytes.extend(about.patient.0);
    bytes.extend(about.hospital.0.to_le_bytes());
    bytes.extend(about.author.0);
    match about.nurse {
        None => bytes.push(0),
        Some(nurse) => {
            bytes.push(1);
            bytes.extend(nurse.0);
        }
    }
    bytes.extend(about.signed_at.number.to_le_bytes());
    bytes.extend(about.signed_at.hash.0);
    let Extraction { mandatory, never, together } = &about.extraction;
    bytes.extend(mandatory.0.to_le_bytes());
    bytes.extend(never.0.to_le_bytes());
    // Up to 63 groups, of which 8 are allowed: one byte.
    bytes.push((together.len() as u8) << 2);
    together.iter().for_each(|group| bytes.extend(group.0.to_le_bytes()));
    bytes
}

fn root(about: &Authorship, leaves: &[Hash]) -> [u8; 32] {
    let count = (leaves.len() as u16).to_le_bytes();
    let mut root = [&b"epione/root"[..], &about.record.0, &count].concat();
    leaves.iter().for_each(|leaf| root.extend(leaf.0));
    blake2_256(&root)
}

pub fn blake2_256(bytes: &[u8]) -> [u8; 32] {
    Blake2Hasher::hash(bytes).0
}
