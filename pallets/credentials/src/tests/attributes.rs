//! The names of attributes: from the council, and from the genesis.

use epione_primitives::{
    credential::AttributeId,
    limits::{MAX_ATTRIBUTES, MAX_PAGE},
};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::DispatchError::BadOrigin;

use super::*;
use crate::{AttributeCount, Error, Event};

#[test]
fn the_council_names_attributes_which_are_numbered_in_order() {
    run(|| {
        for (number, word) in (2_u16..).zip(["pharmacy", "x", "public-health-2"]) {
            assert_ok!(name_attribute(root(), name(word)));
            let (attribute, name) = (AttributeId(number), name(word));
            System::assert_last_event(Event::<Test>::AttributeNamed { attribute, name }.into());
        }
        let names = Credentials::attributes(AttributeId(1), 3);
        assert_eq!(
            names,
            [
                (ONCOLOGY, name("oncology")),
                (AttributeId(2), name("pharmacy")),
                (AttributeId(3), name("x")),
            ]
        );
    });
}

#[test]
fn nobody_else_names_attributes() {
    run(|| {
        for origin in not_governance().into_iter().chain([governance(ISSUER)]) {
            assert_noop!(name_attribute(origin, name("pharmacy")), BadOrigin);
        }
        assert_noop!(name_attribute(RawOrigin::None.into(), name("pharmacy")), BadOrigin);
    });
}

#[test]
fn a_name_is_a_word_that_no_other_attribute_has() {
    run(|| {
        for wrong in ["", "Cardiology", "-x", "1x", "a b", "a_b", "ä", "a\n"] {
            assert_noop!(name_attribute(root(), name(wrong)), Error::<Test>::InvalidName);
        }
        assert_noop!(name_attribute(root(), name("cardiology")), Error::<Test>::NameTaken);
        assert_ok!(name_attribute(root(), name("cardiology-2")));
    });
}

#[test]
fn the_number_of_attributes_is_bounded() {
    run(|| {
        for number in 2..MAX_ATTRIBUTES {
            assert_ok!(name_attribute(root(), name(&format!("a{number}"))));
        }
        assert_noop!(name_attribute(root(), name("more")), Error::<Test>::TooManyAttributes);
        assert_eq!(AttributeCount::<Test>::get(), MAX_ATTRIBUTES);
        let page = Credentials::attributes(AttributeId(0), u32::MAX);
        assert_eq!(page.len(), MAX_PAGE as usize);
        assert!(Credentials::attributes(AttributeId(MAX_ATTRIBUTES), 1).is_empty());
    });
}

#[test]
#[should_panic = "the genesis attribute \"Cardiology\" cannot be named"]
fn a_genesis_with_an_invalid_name_is_refused() {
    with_attributes(&["Cardiology"]);
}

#[test]
#[should_panic = "the genesis attribute \"oncology\" cannot be named"]
fn a_genesis_with_a_name_twice_is_refused() {
    with_attributes(&["oncology", "oncology"]);
}
