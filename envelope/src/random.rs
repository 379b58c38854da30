//! Fresh random bytes for keys, salts and ids.

/// Random bytes from the operating system, or from the browser's `crypto` on wasm.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .expect("the system's random source is available; sealing without it would be unsafe");
    bytes
}
