//! The sealed formats through their public interface, as other parts of Epione and attackers use them.

#![allow(clippy::unwrap_used)]

mod attacks_on_cosignatures;
mod attacks_on_dealings;
mod attacks_on_grants;
mod attacks_on_nurses;
mod attacks_on_objects;
mod attacks_on_partials;
mod attacks_on_queries;
mod attacks_on_signatures;
mod attacks_on_wraps;
mod bodies;
mod claim_part_vectors;
mod dealing_vectors;
mod development_keys;
mod disk_keystore;
mod extraction;
mod fixture;
mod grant_vectors;
mod malformed_input;
mod message_vectors;
mod oracle;
mod padding;
mod partial_vectors;
mod profiles;
mod records;
mod rotations;
mod second_implementation;
mod segments;
mod sizes;
mod two_keys;
mod vectors;
