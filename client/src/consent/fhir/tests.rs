//! Resources: what is written, what is read back, and what is refused.

use epione_envelope::record::SectionKind;
use epione_primitives::{
    HospitalId, Moment, Word,
    credential::AttributeId,
    limits::DAY_MILLIS,
    profile::Role,
    sharing::{Audience, Consent, KindSet, RecordedPeriod, Term},
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{super::set_of, *};

const SAMPLE: &str = include_str!("../../../../samples/consents/consent.json");
const GENESIS: Hash = Hash::repeat_byte(9);
const PATIENT: UserId = UserId([1; 32]);
/// 2026-12-01.
const SINCE: Moment = 1_796_083_200_000;
/// 2027-01-31.
const UNTIL: Moment = 1_801_353_600_000;

fn consent() -> Consent {
    let cardiology = Term::Credential { attribute: AttributeId(3), issuer: HospitalId(1) };
    let audience = vec![cardiology, Term::Role(Role::Insurer), Term::AtLeast { met: 1, of: 2 }];
    Consent {
        audience: audience.try_into().unwrap(),
        purposes: vec![Purpose::Research, Purpose::Payment].try_into().unwrap(),
        kinds: set_of(&[SectionKind::Diagnosis, SectionKind::Report]),
        recorded: RecordedPeriod { from: Some(1_735_689_600_000), to: None },
        until: UNTIL,
        standing: false,
    }
}

fn exported(consent: Consent) -> Value {
    serde_json::to_value(try_export(consent).unwrap()).unwrap()
}

fn try_export(consent: Consent) -> Result<Exported, Refused> {
    let version = ConsentVersion { version: 1, consent, since: SINCE, block: 7, ended: None };
    let described = Described {
        genesis: GENESIS,
        patient: PATIENT,
        slot: SlotId(2),
        version: &version,
        in_force: true,
    };
    export(&described)
}

fn imported(resource: &Value) -> Result<Imported, Refused> {
    import(resource.to_string().as_bytes(), GENESIS, SINCE)
}

#[test]
fn the_sample_is_what_is_exported_and_imports_as_the_same_consent() {
    let sample: Value = serde_json::from_str(SAMPLE).unwrap();
    assert_eq!(exported(consent()), sample);
    let read = import(SAMPLE.as_bytes(), GENESIS, SINCE).unwrap();
    assert_eq!(read, Imported { patient: PATIENT, slot: SlotId(2), consent: consent() });
}

#[test]
fn an_audience_that_actors_cannot_express_is_an_extension_that_must_be_understood() {
    let terms = vec![
        Term::Role(Role::Researcher),
        Term::Hospital(HospitalId(1)),
        Term::AtLeast { met: 2, of: 2 },
    ];
    let consent = Consent { audience: terms.try_into().unwrap(), ..consent() };
    let resource = exported(consent.clone());
    let rule = &resource["provision"]["provision"][0];
    assert_eq!(rule.get("actor"), None);
    let extension = &rule["modifierExtension"][1];
    assert_eq!(extension["url"], "urn:epione:audience");
    let formula: Value = serde_json::from_str(extension["valueString"].as_str().unwrap()).unwrap();
    assert_eq!(
        formula,
        json!({ "at-least": 2, "of": [{ "role": "researcher" }, { "hospital": 1 }] })
    );
    assert_eq!(imported(&resource).unwrap().consent, consent);
}

/// Without its kinds, a rule would permit everything. So a program that does not know slots must not use it.
#[test]
fn a_rule_is_always_limited_to_its_slot_also_without_kinds() {
    let resource = exported(Consent { kinds: KindSet::default(), ..consent() });
    let rule = &resource["provision"]["provision"][0];
    assert_eq!(rule.get("class"), None);
    assert_eq!(
        rule["modifierExtension"],
        json!([{ "url": "urn:epione:slot", "valueString": "2" }])
    );
    assert_eq!(imported(&resource).unwrap().slot, SlotId(2));
}

#[test]
fn a_rule_that_is_not_limited_to_one_slot_is_refused() {
    let extension = |url: &str, value: &str| json!({ "url": url, "valueString": value });
    let slot = |value: &str| extension("urn:epione:slot", value);
    for (extensions, problem) in [
        (json!([]), "does not limit"),
        (json!([slot("16")]), "is not a slot"),
        (json!([slot("-1")]), "is not a slot"),
        (json!([slot("")]), "is not a slot"),
        (json!([slot("2"), slot("2")]), "is there twice"),
        (json!([slot("2"), extension("urn:other", "2")]), "is not understood"),
        (json!([{ "url": "urn:epione:slot", "valueCode": "2" }]), "is not understood"),
        (json!([{ "url": "urn:epione:slot" }]), "is missing"),
        (json!([slot("2"), extension("urn:epione:audience", "{}")]), "changes who the actors are"),
        (json!([slot("2"), slot("3"), slot("4"), slot("5")]), "has 4 entries"),
    ] {
        let refused = imported(&in_rule("modifierExtension", extensions)).unwrap_err();
        assert!(refused.path.contains("modifierExtension"), "{refused}");
        assert!(refused.problem.contains(problem), "{refused}");
    }
    for other in ["3", "16", "02", ""] {
        let value = json!(format!("{PATIENT}/{other}"));
        let refused = imported(&with("/identifier/0/value", value)).unwrap_err();
        assert_eq!(refused.path, "Consent.identifier[0]");
    }
    let mut twice: Value = serde_json::from_str(SAMPLE).unwrap();
    let identifier = twice["identifier"][0].clone();
    twice["identifier"].as_array_mut().unwrap().push(identifier);
    assert_eq!(imported(&twice).unwrap_err().path, "Consent.identifier");
    let mut none: Value = serde_json::from_str(SAMPLE).unwrap();
    none.as_object_mut().unwrap().remove("identifier").unwrap();
    assert_eq!(imported(&none).unwrap().slot, SlotId(2));
}

#[test]
fn kinds_that_this_version_does_not_know_are_not_left_out_of_a_resource() {
    let known = consent().kinds;
    let kinds = KindSet(known.0 | 1 << 31);
    let refused = try_export(Consent { kinds, ..consent() }).unwrap_err();
    assert!(refused.problem.contains("does not know"), "{refused}");
    try_export(Consent { kinds: known, ..consent() }).unwrap();
}

#[test]
fn metadata_that_may_change_what_is_permitted_is_refused() {
    let meta = json!({ "versionId": "1", "lastUpdated": "2026-12-01T00:00:00Z" });
    imported(&with("/meta", meta)).unwrap();
    for name in ["security", "tag", "profile", "source", "extension"] {
        let mut meta = json!({ "versionId": "1" });
        meta[name] = json!([]);
        let refused = imported(&with("/meta", meta)).unwrap_err();
        assert_eq!(refused.path, format!("Consent.meta.{name}"));
    }
}

fn audiences() -> impl Strategy<Value = Audience> {
    let leaf = prop_oneof![
        any::<u8>().prop_map(|byte| Term::User(UserId([byte; 32]))),
        any::<u16>().prop_map(|id| Term::Hospital(HospitalId(id))),
        proptest::sample::select(Role::ALL).prop_map(Term::Role),
        any::<(u16, u16)>().prop_map(|(attribute, issuer)| Term::Credential {
            attribute: AttributeId(attribute),
            issuer: HospitalId(issuer),
        }),
    ];
    let flat = |leaves: Vec<Term>| {
        let of = leaves.len() as u8;
        (Just(leaves), 1..=of).prop_map(move |(mut terms, met)| {
            terms.push(Term::AtLeast { met, of });
            terms
        })
    };
    let formula = proptest::collection::vec(leaf.clone(), 1..5).prop_flat_map(flat);
    let nested = (formula.clone(), formula.clone()).prop_map(|(first, second)| {
        [first, second, vec![Term::AtLeast { met: 2, of: 2 }]].concat()
    });
    let terms = prop_oneof![leaf.prop_map(|term| vec![term]), formula, nested];
    terms.prop_map(|terms| Audience::try_from(terms).unwrap())
}

fn consents() -> impl Strategy<Value = Consent> {
    let each = REASONS.iter().map(|(purpose, _)| *purpose);
    let purposes: Vec<_> = each.filter(|purpose| *purpose != Purpose::Emergency).collect();
    let most = purposes.len();
    let time = || proptest::option::of(0..SINCE);
    (
        audiences(),
        proptest::sample::subsequence(purposes, 1..=most),
        proptest::sample::subsequence(SectionKind::ALL, 0..=4),
        (time(), time()),
        SINCE + 1..SINCE + 366 * DAY_MILLIS,
        any::<(bool, bool)>(),
    )
        .prop_map(|(audience, ordinary, kinds, (from, to), until, (standing, emergency))| {
            Consent {
                audience,
                // A consent for emergencies is a standing one without another purpose.
                purposes: match standing && emergency {
                    true => vec![Purpose::Emergency].try_into().unwrap(),
                    false => ordinary.try_into().unwrap(),
                },
                kinds: set_of(&kinds),
                // A resource cannot say "before 1970".
                recorded: RecordedPeriod { from, to: to.filter(|to| *to > 0) },
                until,
                standing,
            }
        })
}

/// A program that does not know the extension must not read a consent that does not stand out of it, nor this program
/// another word for yes.
#[test]
fn a_standing_consent_has_a_modifier_extension_of_its_own() {
    let mut resource = exported(Consent { standing: true, ..consent() });
    let value = "/provision/provision/0/modifierExtension/1";
    let expected = json!({ "url": "urn:epione:standing", "valueString": "true" });
    assert_eq!(resource.pointer(value), Some(&expected));
    assert!(imported(&resource).unwrap().consent.standing);
    assert!(!imported(&exported(consent())).unwrap().consent.standing);
    for other in ["false", "yes", ""] {
        *resource.pointer_mut(value).unwrap() =
            json!({ "url": "urn:epione:standing", "valueString": other });
        imported(&resource).unwrap_err();
    }
    let slot = json!({ "url": "urn:epione:slot", "valueString": "2" });
    *resource.pointer_mut("/provision/provision/0/modifierExtension").unwrap() =
        json!([slot, expected, expected]);
    assert!(imported(&resource).unwrap_err().to_string().contains("is there twice"));
}

#[test]
fn a_consent_for_emergencies_has_the_reason_emergency_treatment_and_must_stand() {
    let purposes = vec![Purpose::Emergency].try_into().unwrap();
    let summary = Consent { standing: true, purposes, ..consent() };
    let resource = exported(summary.clone());
    let code = resource.pointer("/provision/provision/0/purpose/0/code");
    assert_eq!(code, Some(&json!("ETREAT")), "{resource}");
    assert_eq!(imported(&resource).unwrap().consent, summary);
    let refused = imported(&exported(Consent { standing: false, ..summary })).unwrap_err();
    assert!(refused.to_string().contains("must be a standing one"), "{refused}");
}

proptest! {
    #[test]
    fn a_consent_that_is_exported_is_imported_as_the_same(consent in consents()) {
        let read = imported(&exported(consent.clone()));
        prop_assert_eq!(read.map(|read| read.consent), Ok(consent));
    }

    #[test]
    fn a_resource_that_is_cut_is_refused(cut in 0..SAMPLE.trim_end().len()) {
        import(&SAMPLE.as_bytes()[..cut], GENESIS, SINCE).unwrap_err();
    }
}

/// The sample with a part replaced, or added to an object.
fn with(pointer: &str, value: Value) -> Value {
    let mut resource: Value = serde_json::from_str(SAMPLE).unwrap();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = resource.pointer_mut(parent).unwrap();
    match parent {
        Value::Array(items) => items[name.parse::<usize>().unwrap()] = value,
        parent => parent[name] = value,
    }
    resource
}

const RULE: &str = "/provision/provision/0";

fn in_rule(name: &str, value: Value) -> Value {
    with(&format!("{RULE}/{name}"), value)
}

#[test]
fn what_is_not_understood_is_refused_with_its_path() {
    let actor = json!({ "role": { "coding": [] }, "reference": { "identifier": { "system": "x", "value": "y" } } });
    let other = |path: &str| {
        let mut resource: Value = serde_json::from_str(SAMPLE).unwrap();
        *resource.pointer_mut(path).unwrap() = json!("other");
        resource
    };
    for (resource, path) in [
        (with("/implicitRules", json!("urn:x")), "Consent.implicitRules"),
        (with("/modifierExtension", json!([])), "Consent.modifierExtension"),
        (with("/extension", json!([])), "Consent.extension"),
        (with("/resourceType", json!("Patient")), "Consent.resourceType"),
        (with("/status", json!("rejected")), "Consent.status"),
        (with("/status", json!(7)), "Consent.status"),
        (with("/category", json!([])), "Consent.category"),
        (with("/policy", json!([{ "uri": "urn:epione:chain:0x00" }])), "Consent.policy[0].uri"),
        (in_rule("type", json!("deny")), "Consent.provision.provision[0].type"),
        (
            in_rule("provision", json!([{ "type": "deny" }])),
            "Consent.provision.provision[0].provision",
        ),
        (in_rule("securityLabel", json!([])), "Consent.provision.provision[0].securityLabel"),
        (in_rule("data", json!([])), "Consent.provision.provision[0].data"),
        (in_rule("code", json!([])), "Consent.provision.provision[0].code"),
        (in_rule("actor", json!([actor])), "Consent.provision.provision[0].actor[0].role.coding"),
        (
            other("/provision/provision/0/actor/0/reference/identifier/system"),
            "Consent.provision.provision[0].actor[0].reference",
        ),
        (
            other("/provision/provision/0/purpose/0/code"),
            "Consent.provision.provision[0].purpose[0]",
        ),
        (other("/provision/provision/0/class/1/code"), "Consent.provision.provision[0].class[1]"),
        (
            in_rule("period", json!({ "end": "2027-01-31" })),
            "Consent.provision.provision[0].period.end",
        ),
        (in_rule("period", json!({})), "Consent.provision.provision[0].period"),
        (
            in_rule(
                "period",
                json!({ "start": "2026-12-02T00:00:00Z", "end": "2027-01-31T00:00:00Z" }),
            ),
            "Consent.provision.provision[0].period",
        ),
        (in_rule("period", json!({ "end": "2026-11-30T00:00:00Z" })), "Consent.provision"),
        (in_rule("period", json!({ "end": "2028-11-30T00:00:00Z" })), "Consent.provision"),
        (in_rule("purpose", json!([])), "Consent.provision"),
        (with("/provision/period", json!({})), "Consent.provision.period"),
        (with("/identifier/0/value", json!("0x02/2")), "Consent.identifier[0]"),
    ] {
        let refused = imported(&resource).unwrap_err();
        assert_eq!(refused.path, path, "{refused}");
        assert!(!refused.advice.is_empty(), "{refused}");
    }
}

#[test]
fn a_part_that_is_missing_is_named() {
    for (parent, name) in [
        ("", "resourceType"),
        ("", "status"),
        ("", "patient"),
        ("", "policy"),
        ("", "provision"),
        (RULE, "modifierExtension"),
        (RULE, "type"),
        (RULE, "period"),
        (RULE, "actor"),
        (RULE, "purpose"),
    ] {
        let mut resource: Value = serde_json::from_str(SAMPLE).unwrap();
        resource.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name).unwrap();
        let refused = imported(&resource).unwrap_err();
        assert!(refused.path.ends_with(name) && refused.problem == "is missing", "{refused}");
    }
}

#[test]
fn a_rule_without_a_nested_one_is_understood_if_it_permits() {
    let mut resource: Value = serde_json::from_str(SAMPLE).unwrap();
    resource["provision"] = resource["provision"]["provision"][0].clone();
    assert_eq!(imported(&resource).unwrap().consent, consent());
    resource["provision"]["type"] = json!("deny");
    imported(&resource).unwrap_err();
}

#[test]
fn a_file_that_is_too_large_too_deep_or_ambiguous_is_refused() {
    let large = vec![b' '; usize::try_from(MAX_FILE_BYTES).unwrap() + 1];
    let refused = import(&large, GENESIS, SINCE).unwrap_err();
    assert!(refused.problem.contains("too large"), "{refused}");
    let deep = "[".repeat(10_000);
    import(deep.as_bytes(), GENESIS, SINCE).unwrap_err();
    let twice = SAMPLE.replacen("\"status\"", "\"status\": \"rejected\", \"status\"", 1);
    let refused = import(twice.as_bytes(), GENESIS, SINCE).unwrap_err();
    assert!(refused.problem.contains("occurs twice"), "{refused}");
    for wrong in ["", "[]", "7", "null", "{", "\"Consent\""] {
        import(wrong.as_bytes(), GENESIS, SINCE).unwrap_err();
    }
}
