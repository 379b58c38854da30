//! GCM does not commit to its key: an attacker who knows two keys can construct one ciphertext that both accept. This
//! test carries out the attack, and shows that the commitment stops it.

use aes_gcm::{
    Aes256Gcm, KeyInit,
    aead::{Aead, Payload},
    aes::{Aes256, cipher::BlockCipherEncrypt},
};
use epione_envelope::{OpenError, keys::ContentKey, object::SealedObject};

use crate::{fixture::media_context, oracle};

/// An element of GCM's field; the first bit of the first byte is the coefficient of 1.
type Element = u128;

fn multiply(a: Element, b: Element) -> Element {
    let (mut product, mut power) = (0, b);
    for bit in (0..128).rev() {
        if a >> bit & 1 == 1 {
            product ^= power;
        }
        power = power >> 1 ^ if power & 1 == 1 { 0xe1 << 120 } else { 0 };
    }
    product
}

/// By Fermat: a^(2^128 - 2).
fn invert(a: Element) -> Element {
    let (mut inverse, mut power) = (1 << 127, a);
    for _ in 1..128 {
        power = multiply(power, power);
        inverse = multiply(inverse, power);
    }
    inverse
}

fn element(bytes: &[u8]) -> Element {
    u128::from_be_bytes(bytes.try_into().unwrap())
}

fn nonce(prefix: [u8; 7]) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[..7].copy_from_slice(&prefix);
    nonce[11] = 1;
    nonce
}

/// GHASH key, and the mask of the tag.
fn hash_key_and_mask(key: &[u8; 32], prefix: [u8; 7]) -> (Element, Element) {
    let cipher = Aes256::new(key.into());
    let encrypt = |block: [u8; 16]| {
        let mut block = block.into();
        cipher.encrypt_block(&mut block);
        element(&block)
    };
    let mut counter = [0; 16];
    counter[..12].copy_from_slice(&nonce(prefix));
    counter[15] = 1;
    (encrypt([0; 16]), encrypt(counter))
}

/// GHASH over 32 bytes of associated data and two ciphertext blocks, by Horner's method.
fn ghash(h: Element, aad: &[u8; 32], blocks: [Element; 2]) -> Element {
    let lengths = (256 << 64) | 256;
    [element(&aad[..16]), element(&aad[16..]), blocks[0], blocks[1], lengths]
        .into_iter()
        .fold(0, |hash, block| multiply(hash ^ block, h))
}

#[test]
fn ciphertext_that_opens_under_two_keys_is_refused() {
    let context = media_context();
    let header = oracle::Header { object_id: [1; 16], chunk_bits: 12, length: 32, salt: [2; 32] };
    let (first, second) = ([3; 32], [4; 32]);
    let (one, two) =
        (oracle::secrets(&first, &context, &header), oracle::secrets(&second, &context, &header));

    // The second block makes both tags equal, under the first key's header.
    let (h1, mask1) = hash_key_and_mask(&one.key, one.prefix);
    let (h2, mask2) = hash_key_and_mask(&two.key, two.prefix);
    let block = 0x1234;
    let difference =
        ghash(h1, &one.aad, [block, 0]) ^ mask1 ^ ghash(h2, &one.aad, [block, 0]) ^ mask2;
    let factor = multiply(h1, h1) ^ multiply(h2, h2);
    let solved = multiply(difference, invert(factor));
    let tag = ghash(h1, &one.aad, [block, solved]) ^ mask1;
    let sealed = [block, solved, tag].map(u128::to_be_bytes).concat();

    for secrets in [&one, &two] {
        let payload = Payload { msg: &sealed, aad: &one.aad };
        let opened =
            Aes256Gcm::new(&secrets.key.into()).decrypt(&nonce(secrets.prefix).into(), payload);
        assert!(opened.is_ok(), "the attack on bare GCM works under both keys");
    }

    let (mut parameters, _) = oracle::seal(&first, &context, &header, &[0; 32]);
    parameters.extend(&sealed);
    let object = SealedObject::decode_exactly(&parameters).unwrap();
    assert!(object.open(&ContentKey::from_bytes(first), &context).is_ok());
    assert_eq!(object.open(&ContentKey::from_bytes(second), &context), Err(OpenError));
}
