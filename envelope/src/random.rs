//! Fresh random bytes for keys, salts and ids.

/// Bytes from the operating system (from the browser's `crypto` on wasm).
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .expect("the system's random source is up; sealing with anything else would be unsafe");
    bytes
}
