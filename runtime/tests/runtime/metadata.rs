//! The metadata that clients use to encode and decode.

#[path = "../../../cli/src/failure/call_errors.rs"]
mod call_errors;

use std::collections::BTreeSet;

use codec::Decode;
use epione_runtime::Runtime;
use frame_support::__private::metadata::{
    RuntimeMetadata, RuntimeMetadataPrefixed, v14::RuntimeMetadataV14,
};
use scale_info::TypeDef;

pub fn metadata() -> RuntimeMetadataV14 {
    let opaque = Runtime::metadata_at_version(14).unwrap();
    match RuntimeMetadataPrefixed::decode(&mut &opaque[..]).unwrap().1 {
        RuntimeMetadata::V14(metadata) => metadata,
        _ => panic!("the metadata does not have version 14"),
    }
}

/// Every error of every pallet.
fn errors(metadata: &RuntimeMetadataV14) -> BTreeSet<(&str, &str)> {
    let mut errors = BTreeSet::new();
    for pallet in &metadata.pallets {
        let Some(error) = &pallet.error else { continue };
        let TypeDef::Variant(def) = &metadata.types.resolve(error.ty.id).unwrap().type_def else {
            panic!("the errors of {} are not an enum", pallet.name)
        };
        let names = def.variants.iter().map(|variant| variant.name.as_str());
        errors.extend(names.map(|name| (pallet.name.as_str(), name)));
    }
    errors
}

#[test]
fn a_client_has_words_for_every_error_and_for_no_other() {
    let metadata = metadata();
    let errors = errors(&metadata);
    let named = call_errors::words()
        .flat_map(|(pallet, errors, _)| errors.iter().map(move |error| (*pallet, *error)));
    let named: Vec<_> = named.collect();
    let known: BTreeSet<_> = named.iter().copied().collect();
    let missing: Vec<_> = errors.difference(&known).collect();
    assert!(missing.is_empty(), "no words in cli/src/failure/call_errors.rs: {missing:?}");
    let gone: Vec<_> = known.difference(&errors).collect();
    assert!(gone.is_empty(), "words for errors that do not exist: {gone:?}");
    assert_eq!(named.len(), known.len(), "an error has words twice");
    for (pallet, error) in errors {
        assert!(call_errors::help(pallet, error).is_some_and(|help| !help.is_empty()), "{error}");
    }
}

#[test]
fn every_pallet_keeps_its_index() {
    let metadata = metadata();
    let pallets: Vec<_> =
        metadata.pallets.iter().map(|pallet| (pallet.index, pallet.name.as_str())).collect();
    assert_eq!(
        pallets,
        [
            (0, "System"),
            (1, "Timestamp"),
            (2, "Aura"),
            (3, "Authorship"),
            (4, "Offences"),
            (5, "Historical"),
            (6, "Hospitals"),
            (7, "Session"),
            (8, "Grandpa"),
            (9, "Council"),
            (10, "Profiles"),
            (11, "RolePolicies"),
            (12, "LiteBlocks"),
            (13, "Approvals"),
            (14, "IndexLinks"),
            (15, "Utility"),
            (16, "CouncilRoot"),
            (17, "Releases"),
            (18, "Quotas"),
            (19, "Sharing"),
            (20, "Queries"),
            (21, "Credentials"),
            (22, "Mandates"),
            (23, "ConsortiumKey"),
            (24, "Openings"),
        ]
    );
    let extensions: Vec<_> = metadata
        .extrinsic
        .signed_extensions
        .iter()
        .map(|extension| &extension.identifier[..])
        .collect();
    assert_eq!(
        extensions,
        [
            "CheckCaller",
            "CheckNonZeroSender",
            "CheckSpecVersion",
            "CheckTxVersion",
            "CheckGenesis",
            "CheckMortality",
            "CheckNonce",
            "CheckWeight",
            "WeightReclaim",
        ]
    );
}
