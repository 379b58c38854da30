//! The metadata that clients use to encode and decode.

use codec::Decode;
use epione_runtime::Runtime;
use frame_support::__private::metadata::{RuntimeMetadata, RuntimeMetadataPrefixed};

#[test]
fn every_pallet_keeps_its_index() {
    let opaque = Runtime::metadata_at_version(14).unwrap();
    let RuntimeMetadata::V14(metadata) =
        RuntimeMetadataPrefixed::decode(&mut &opaque[..]).unwrap().1
    else {
        panic!("the metadata does not have version 14")
    };
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
