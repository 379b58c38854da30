//! How JavaScript calls a module: bytes in, bytes out, with plain functions of the C ABI.
//!
//! The caller gets memory with `allocate` and writes the input there. The function takes this memory, and returns the
//! address of its answer in the high 32 bits and the answer's length in the low 32 bits. The first byte of the answer
//! is 0 before a result, and 1 before an error's text in UTF-8. The caller copies the answer, and frees it with
//! `release`.
//!
//! `proofs/oracle` compiles this file too, so that one test can call both modules.

#![allow(unsafe_code)]

use alloc::{boxed::Box, string::String, vec::Vec};
use core::{arch::wasm32, panic::PanicInfo, ptr};

#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// A panic is a mistake in this code. The caller sees a trap, and must not use the instance again.
#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    wasm32::unreachable()
}

/// The address of memory with this many bytes, or 0 if the module cannot get so much.
#[unsafe(no_mangle)]
pub extern "C" fn allocate(len: usize) -> *mut u8 {
    let mut bytes = Vec::new();
    if bytes.try_reserve_exact(len).is_err() {
        return ptr::null_mut();
    }
    bytes.resize(len, 0u8);
    Box::into_raw(bytes.into_boxed_slice()).cast()
}

/// Frees an answer.
///
/// # Safety
///
/// Address and length are of an answer, or of memory from [`allocate`], that the caller has not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn release(address: *mut u8, len: usize) {
    // SAFETY: as this function's own.
    drop(unsafe { take(address, len) });
}

/// Answers one call, and frees its input.
///
/// # Safety
///
/// As for [`release`].
pub unsafe fn answer(
    address: *mut u8,
    len: usize,
    call: impl FnOnce(&[u8]) -> Result<Vec<u8>, String>,
) -> u64 {
    // SAFETY: as this function's own.
    let input = unsafe { take(address, len) };
    let (failed, body) = match call(&input) {
        Ok(result) => (0, result),
        Err(error) => (1, error.into_bytes()),
    };
    drop(input);
    let mut answer = Vec::with_capacity(1 + body.len());
    answer.push(failed);
    answer.extend(body);
    let len = answer.len() as u64;
    let address: *mut u8 = Box::into_raw(answer.into_boxed_slice()).cast();
    ((address as u64) << 32) | len
}

/// # Safety
///
/// As for [`release`].
unsafe fn take(address: *mut u8, len: usize) -> Box<[u8]> {
    // SAFETY: `allocate` and `answer` made the address from a boxed slice of this length.
    unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(address, len)) }
}

/// Exports functions that answer with calls.
macro_rules! exported {
    ($($name:ident => $call:path,)*) => {$(
        /// # Safety
        ///
        /// The input is from `allocate`, and the caller has not freed it.
        #[allow(unsafe_code)]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(address: *mut u8, len: usize) -> u64 {
            // SAFETY: as this function's own.
            unsafe { abi::answer(address, len, $call) }
        }
    )*};
}
