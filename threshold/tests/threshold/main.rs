//! What members, dealers, hospitals and requesters can do with the consortium key, and what they cannot.

#![allow(clippy::unwrap_used)]

mod agreement;
mod encodings;
mod feldman;
mod knowledge;
mod mixing;
mod oracle;
mod partials;
mod sharing;
mod transplant;
mod vectors;
mod world;
mod wraps;
