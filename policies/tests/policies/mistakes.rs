//! Bad files: each mistake is reported with line and field, all of a file at once, and no policy is compiled.

use epione_policies::language::Mistake;
use epione_primitives::limits::{MAX_NAME_BYTES, MAX_POLICIES, MAX_SUMMARY_BYTES};

use super::*;

/// Marks the lines on which a mistake is expected.
const MARK: &str = "# wrong";

fn mistakes(text: &str) -> Vec<Mistake> {
    compile(text).expect_err(text).first
}

fn marked(text: &str) -> Vec<usize> {
    let lines = (1..).zip(text.lines());
    lines.filter(|(_, line)| line.ends_with(MARK)).map(|(number, _)| number).collect()
}

/// That a text has one mistake, on the marked line, in that field.
fn assert_wrong(text: &str, field: &str, problem: &str) {
    let found = mistakes(text);
    let [mistake] = &found[..] else { panic!("{found:#?} in {text}") };
    assert_eq!(vec![mistake.line], marked(text), "{mistake} in {text}");
    assert_eq!(mistake.field.as_deref(), Some(field), "{mistake} in {text}");
    assert!(mistake.problem.contains(problem), "{mistake} in {text}");
    assert!(!mistake.advice.is_empty(), "{mistake}");
    let shown = mistake.to_string();
    assert!(shown.starts_with(&format!("p.toml:{}:", mistake.line)), "{shown}");
    assert!(shown.contains(field), "{shown}");
}

const HEAD: &str = "[[policy]]\nname = \"p\"\nsummary = \"s\"\n";

fn operation(fields: &str, when: &str) -> String {
    format!("{HEAD}type = \"operation\"\n{fields}\n[policy.when]\n{when}\n{COUNTS}")
}

/// As most operations are.
fn reading(when: &str) -> String {
    operation("roles = [\"doctor\"]\nactions = [\"read-text\"]", when)
}

fn relationship(fields: &str, when: &str) -> String {
    format!("{HEAD}type = \"relationship\"\n{fields}\n[policy.when]\n{when}\n")
}

const COUNTS: &str = "\
[[policy]]
name = \"treating counts\"
summary = \"s\"
type = \"relationship\"
roles = [\"doctor\"]
relations = [\"treating\"]
";

#[test]
fn what_the_others_are_made_of_is_right() {
    assert!(compile(&reading("related = [\"treating\"]")).is_ok());
    let counts = relationship("roles = [\"nurse\"]\nrelations = [\"care-team\"]", "");
    assert!(compile(&counts).is_ok());
}

#[test]
fn unknown_fields_are_named_with_those_that_are_known() {
    assert_wrong(&format!("title = \"x\" # wrong\n{COUNTS}"), "title", "not known");
    let text =
        operation("roles = [\"doctor\"]\nactions = [\"read-text\"]\nrole = [\"x\"] # wrong", "");
    assert_wrong(&text, "role", "not known");
    assert!(mistakes(&text)[0].advice.contains("roles"));
    let text = reading("after = 2100-01-01T00:00:00Z # wrong");
    assert_wrong(&text, "when.after", "not known");
    assert!(mistakes(&text)[0].advice.contains("before"));
}

#[test]
fn values_of_another_type_are_found_apart() {
    for (line, field, problem) in [
        ("hospitals = 0 # wrong", "hospitals", "a number, not a list"),
        ("hospitals = [\"Alice\"] # wrong", "hospitals", "a text is not a hospital"),
        ("hospitals = [-1] # wrong", "hospitals", "-1 is not a hospital"),
        ("hospitals = [65536] # wrong", "hospitals", "65536 is not a hospital"),
        ("hospitals = [1.0] # wrong", "hospitals", "a fraction is not a hospital"),
        ("until = \"2100-01-01T00:00:00Z\" # wrong", "until", "a text, not a time"),
        ("until = 2100-01-01 # wrong", "until", "not a full time"),
        ("until = 2100-01-01T00:00:00 # wrong", "until", "time zone"),
        ("when = true # wrong", "when", "not a table"),
    ] {
        let fields = format!("roles = [\"doctor\"]\nactions = [\"read-text\"]\n{line}");
        let text = format!("{HEAD}type = \"operation\"\n{fields}\n{COUNTS}");
        assert_wrong(&text, field, problem);
    }
    for (line, field, problem) in [
        ("requester-is-patient = \"yes\" # wrong", "when.requester-is-patient", "not true"),
        ("patient-registered = \"here\" # wrong", "when.patient-registered", "not true"),
        ("requester-registered = true # wrong", "when.requester-registered", "not a place"),
        ("requester-registered = \"there\" # wrong", "when.requester-registered", "not a place"),
        ("requester-registered = [[1]] # wrong", "when.requester-registered", "not a hospital"),
        ("related = \"treating\" # wrong", "when.related", "not a list"),
        ("purpose = [1] # wrong", "when.purpose", "not a purpose"),
        (
            "requester-represents-patient = 1 # wrong",
            "when.requester-represents-patient",
            "not true",
        ),
        ("before = 4102444800 # wrong", "when.before", "not a time"),
    ] {
        assert_wrong(&reading(line), field, problem);
    }
    assert_wrong("policy = [1] # wrong", "policy", "");
}

#[test]
fn unknown_words_are_answered_with_the_known_ones() {
    for (text, field, problem, known) in [
        (
            operation("roles = [\"docter\"] # wrong\nactions = [\"submit\"]", ""),
            "roles",
            "\"docter\" is not a role",
            "\"doctor\"",
        ),
        (
            operation("roles = [\"doctor\"]\nactions = [\"read\"] # wrong", ""),
            "actions",
            "\"read\" is not an action",
            "\"read-text\"",
        ),
        (
            reading("purpose = [\"Treatment\"] # wrong"),
            "when.purpose",
            "\"Treatment\" is not a purpose",
            "\"treatment\"",
        ),
        (
            reading("related = [\"friend\"] # wrong"),
            "when.related",
            "\"friend\" is not a kind of relationship",
            "\"family-doctor\"",
        ),
        (
            relationship("roles = [\"doctor\"]\nrelations = [\"friend\"] # wrong", ""),
            "relations",
            "\"friend\" is not a kind of relationship",
            "\"referral\"",
        ),
        (
            format!("{HEAD}type = \"permission\" # wrong\nroles = [\"doctor\"]\n"),
            "type",
            "\"permission\" is not a type",
            "\"operation\"",
        ),
    ] {
        assert_wrong(&text, field, problem);
        assert!(mistakes(&text)[0].advice.contains(known), "{text}");
    }
}

#[test]
fn what_is_missing_is_asked_for_at_the_policy() {
    assert_eq!(mistakes("")[0].field.as_deref(), Some("policy"));
    assert_eq!(mistakes("# nothing\n")[0].problem, "is missing");
    for (field, fields) in [
        (
            "name",
            "summary = \"s\"\ntype = \"operation\"\nroles = [\"doctor\"]\nactions = [\"submit\"]",
        ),
        (
            "summary",
            "name = \"p\"\ntype = \"operation\"\nroles = [\"doctor\"]\nactions = [\"submit\"]",
        ),
        ("type", "name = \"p\"\nsummary = \"s\"\nroles = [\"doctor\"]\nactions = [\"submit\"]"),
        ("roles", "name = \"p\"\nsummary = \"s\"\ntype = \"operation\"\nactions = [\"submit\"]"),
        ("actions", "name = \"p\"\nsummary = \"s\"\ntype = \"operation\"\nroles = [\"doctor\"]"),
        (
            "relations",
            "name = \"p\"\nsummary = \"s\"\ntype = \"relationship\"\nroles = [\"doctor\"]",
        ),
    ] {
        assert_wrong(&format!("\n[[policy]] # wrong\n{fields}\n"), field, "is missing");
    }
    assert_wrong("[policy] # wrong\nname = \"p\"\n", "policy", "not a list of policies");
    assert_wrong("policy = [] # wrong\n", "policy", "has no policy");
}

#[test]
fn texts_and_lists_have_bounds() {
    let long = "x".repeat(MAX_NAME_BYTES as usize + 1);
    let summary = "ä".repeat(MAX_SUMMARY_BYTES as usize / 2 + 1);
    let rest = "type = \"operation\"\nroles = [\"doctor\"]\nactions = [\"submit\"]";
    for (name, said, field, problem) in [
        (format!("\"{long}\" # wrong"), "\"s\"".into(), "name", "has 65 bytes"),
        ("\"\" # wrong".into(), "\"s\"".into(), "name", "is empty"),
        ("\" \" # wrong".into(), "\"s\"".into(), "name", "is empty"),
        ("\"a\\nb\" # wrong".into(), "\"s\"".into(), "name", "line break"),
        ("7 # wrong".into(), "\"s\"".into(), "name", "a number, not a text"),
        ("\"p\"".into(), format!("\"{summary}\" # wrong"), "summary", "has 258 bytes"),
        ("\"p\"".into(), String::from("\"\" # wrong"), "summary", "is empty"),
    ] {
        assert_wrong(
            &format!("[[policy]]\nname = {name}\nsummary = {said}\n{rest}\n"),
            field,
            problem,
        );
    }
    for (line, problem) in [
        ("hospitals = [] # wrong", "an empty list"),
        ("hospitals = [1, 2, 1] # wrong", "the same entry twice"),
        ("hospitals = [1, 2, 3, 4, 5, 6, 7, 8, 9] # wrong", "has 9 entries"),
    ] {
        assert_wrong(&format!("{HEAD}{rest}\n{line}\n"), "hospitals", problem);
    }
    assert_wrong(
        &operation("roles = [\"doctor\", \"doctor\"] # wrong\nactions = [\"submit\"]", ""),
        "roles",
        "the same entry twice",
    );
    assert_wrong(&reading("purpose = [] # wrong"), "when.purpose", "an empty list");
}

#[test]
fn a_required_credential_says_what_and_who_confirms_it() {
    let sound = "requester-has = [{ attribute = 3, issuers = [0, 2], at-least = 2 }, { attribute = 0, issuers = [1] }]";
    assert!(compile(&reading(sound)).is_ok());
    for (entries, problem) in [
        ("3", "a number, not a list"),
        ("{ attribute = 3, issuers = [0] }", "a table, not a list"),
        ("[]", "an empty list"),
        ("[3]", "a number, not a credential"),
        ("[{ issuers = [0] }]", "has no field attribute"),
        ("[{ attribute = 3 }]", "has no field issuers"),
        ("[{ attribute = 3, issuers = [0], atleast = 1 }]", "a field atleast, which is not known"),
        ("[{ attribute = \"cardiology\", issuers = [0] }]", "a text is not an attribute's number"),
        ("[{ attribute = 65536, issuers = [0] }]", "65536 is not an attribute's number"),
        ("[{ attribute = 3, issuers = 0 }]", "issuers that are a number, not a list"),
        ("[{ attribute = 3, issuers = [] }]", "names no issuer"),
        ("[{ attribute = 3, issuers = [\"Alice\"] }]", "a text is not a hospital's number"),
        ("[{ attribute = 3, issuers = [0, 1, 0] }]", "names an issuer twice"),
        ("[{ attribute = 3, issuers = [0, 1, 2, 3, 4, 5, 6, 7, 8] }]", "has 9 issuers"),
        ("[{ attribute = 3, issuers = [0], at-least = 0 }]", "requires no issuer, or more issuers"),
        ("[{ attribute = 3, issuers = [0], at-least = 2 }]", "requires no issuer, or more issuers"),
        ("[{ attribute = 3, issuers = [0], at-least = 256 }]", "256 as at-least"),
        ("[{ attribute = 3, issuers = [0], at-least = true }]", "true or false as at-least"),
        (
            "[{ attribute = 3, issuers = [0] }, { attribute = 3, issuers = [0], at-least = 1 }]",
            "the same entry twice",
        ),
    ] {
        let text = reading(&format!("requester-has = {entries} # wrong"));
        assert_wrong(&text, "when.requester-has", problem);
    }
}

#[test]
fn there_is_a_most_number_of_policies_and_each_has_a_name_of_its_own() {
    let policy = |name: u32, mark: &str| {
        format!(
            "[[policy]]{mark}\nname = \"p{name}\"\nsummary = \"s\"\ntype = \"operation\"\n\
             roles = [\"auditor\"]\nactions = [\"read-text\"]\n"
        )
    };
    let most: String = (0..MAX_POLICIES).map(|number| policy(number, "")).collect();
    assert!(compile(&most).is_ok());
    assert_wrong(&format!("{most}{}", policy(99, " # wrong")), "policy", "occurs 33 times");

    let twice = format!(
        "{}{}",
        policy(1, ""),
        policy(1, "").replace("name = \"p1\"", "name = \"p1\" # wrong")
    );
    assert_wrong(&twice, "name", "policy 1 has this name already");
}

#[test]
fn ends_that_have_passed_and_ends_without_effect_are_refused() {
    let fields = "roles = [\"doctor\"]\nactions = [\"read-text\"]";
    let text = operation(&format!("{fields}\nuntil = 2020-01-01T00:00:00Z # wrong"), "");
    assert_wrong(&text, "until", "has passed");
    let text = reading("before = 1999-12-31T23:59:59+02:00 # wrong");
    assert_wrong(&text, "when.before", "has passed");
    for before in ["2100-01-01T00:00:00Z", "2100-06-01T00:00:00Z"] {
        let until = format!("{fields}\nuntil = 2100-01-01T00:00:00Z");
        let text = operation(&until, &format!("before = {before} # wrong"));
        assert_wrong(&text, "when.before", "has no effect");
    }
    let until = format!("{fields}\nuntil = 2100-01-01T00:00:00Z");
    assert!(compile(&operation(&until, "before = 2099-01-01T00:00:00Z")).is_ok());
}

#[test]
fn what_belongs_to_the_other_type_is_refused() {
    let both = "roles = [\"doctor\"]\nactions = [\"read-text\"]\nrelations = [\"treating\"]";
    assert_wrong(&operation(&format!("{both} # wrong"), ""), "relations", "does not belong");
    let both = "roles = [\"doctor\"]\nrelations = [\"treating\"]\nactions = [\"read-text\"]";
    assert_wrong(&relationship(&format!("{both} # wrong"), ""), "actions", "does not belong");
    for condition in [
        "requester-is-patient = true",
        "related = [\"treating\"]",
        "section-shared = true",
        "purpose = [\"treatment\"]",
        "patient-cosigned = true",
        "requester-represents-patient = true",
    ] {
        let field = format!("when.{}", condition.split(' ').next().unwrap());
        let when = format!("{condition} # wrong");
        let text = relationship("roles = [\"doctor\"]\nrelations = [\"treating\"]", &when);
        assert_wrong(&text, &field, "is not for relationship policies");
    }
    let patients = relationship("roles = [\"patient\"] # wrong\nrelations = [\"treating\"]", "");
    assert_wrong(&patients, "roles", "neither \"doctor\" nor \"nurse\"");
}

#[test]
fn contradictory_conditions_are_refused() {
    let patient = "roles = [\"patient\"]\nactions = [\"read-text\"]";
    for (text, field, problem) in [
        (
            reading("requester-is-patient = true # wrong"),
            "when.requester-is-patient",
            "none of the roles is \"patient\"",
        ),
        (
            operation(
                "roles = [\"patient\", \"doctor\"]\nactions = [\"read-text\"]",
                "requester-is-patient = true\nrelated = [\"treating\"] # wrong",
            ),
            "when.related",
            "a patient has no relationship with themselves",
        ),
        (
            reading("patient-cosigned = true # wrong"),
            "when.patient-cosigned",
            "can never be true for \"read-text\"",
        ),
        (
            operation(
                "roles = [\"doctor\"]\nactions = [\"submit\", \"read-text\"]",
                "patient-cosigned = true # wrong",
            ),
            "when.patient-cosigned",
            "can never be true for \"read-text\"",
        ),
        (
            operation(
                "roles = [\"doctor\"]\nactions = [\"refer\"]",
                "section-shared = true # wrong",
            ),
            "when.section-shared",
            "does not concern a section",
        ),
        (
            operation(
                "roles = [\"doctor\"]\nactions = [\"submit\"]",
                "purpose = [\"treatment\"] # wrong",
            ),
            "when.purpose",
            "no action that reads",
        ),
        (
            operation(
                "roles = [\"doctor\"]\nactions = [\"break-glass\"]",
                "purpose = [\"treatment\"] # wrong",
            ),
            "when.purpose",
            "always has the purpose \"emergency\"",
        ),
        (
            operation(
                "roles = [\"doctor\"]\nactions = [\"read-text\", \"submit\"]",
                "purpose = [\"audit\"] # wrong",
            ),
            "when.purpose",
            "can never be true for \"submit\"",
        ),
        (reading("section-shared = false # wrong"), "when.section-shared", "is false"),
        (
            operation(
                "roles = [\"auditor\"]\nactions = [\"read-text\"]",
                "purpose = [\"audit\"]\nrequester-registered = false # wrong",
            ),
            "when.requester-registered",
            "not a place",
        ),
        (reading("related = [\"referral\"] # wrong"), "when.related", "recognizes \"referral\""),
        (
            reading("related = [\"treating\", \"referral\"] # wrong"),
            "when.related",
            "recognizes \"referral\"",
        ),
        (
            // Recognised for doctors only.
            operation(
                "roles = [\"nurse\"]\nactions = [\"read-text\"]",
                "related = [\"treating\"] # wrong",
            ),
            "when.related",
            "for these roles",
        ),
    ] {
        assert_wrong(&text, field, problem);
    }
    // Patients are related to nobody, and no policy could recognise it: both are said.
    let found = mistakes(&operation(patient, "related = [\"treating\"] # wrong"));
    assert!(
        found.iter().any(|mistake| mistake.problem.contains("only doctors, nurses")),
        "{found:#?}"
    );
}

#[test]
fn a_relationship_must_count_where_it_is_asked_for() {
    let asking = |hospitals: &str| {
        let fields =
            format!("roles = [\"doctor\"]\nactions = [\"submit\"]\nhospitals = {hospitals}");
        let counts = COUNTS.replace("roles", "hospitals = [1]\nroles");
        operation(&fields, "related = [\"treating\"] # wrong").replace(COUNTS, &counts)
    };
    assert!(compile(&asking("[0, 1]")).is_ok());
    assert_wrong(&asking("[0, 2]"), "when.related", "can never be true");
}

#[test]
fn a_field_twice_and_text_that_is_not_toml_are_placed() {
    let text =
        operation("roles = [\"doctor\"]\nactions = [\"submit\"]\nroles = [\"nurse\"] # wrong", "");
    assert_wrong(&text, "roles", "is written twice");

    for line in
        ["roles = [\"doctor\" # wrong", "roles # wrong", "until = 2100-13-01T00:00:00Z # wrong"]
    {
        let found =
            mistakes(&format!("{HEAD}type = \"operation\"\nactions = [\"submit\"]\n{line}\n"));
        assert!(
            found.iter().any(|mistake| mistake.problem.contains("not TOML")),
            "{line}: {found:#?}"
        );
    }
    let found =
        mistakes(&format!("{HEAD}type = \"operation\"\nactions = [\"submit\"]\nroles = doctor\n"));
    assert_eq!((found.len(), found[0].line), (1, 6), "{found:#?}");
    // An open bracket spoils what follows, and each line is found once.
    let found = mistakes("roles = [\n\"a b\"\n[[policy]]\nname = \"p\"\n");
    let mut lines: Vec<_> = found.iter().map(|mistake| mistake.line).collect();
    lines.dedup();
    assert!(lines.len() + 1 >= found.len(), "{found:#?}");
}

#[test]
fn all_mistakes_of_a_file_are_found_at_once_in_its_order() {
    let text = "\
title = \"x\" # wrong

[[policy]]
name = \"\" # wrong
summary = \"s\"
type = \"operation\"
roles = [\"docter\", \"patient\", \"nurs\"] # wrong
actions = [\"read-text\"]

[policy.when]
colour = \"red\" # wrong
patient-cosigned = true # wrong

[[policy]]  # wrong
name = \"second\"
summary = \"s\"
roles = [\"doctor\"]
until = 2001-01-01T00:00:00Z # wrong
";
    let found = mistakes(text);
    let mut lines: Vec<_> = found.iter().map(|mistake| mistake.line).collect();
    assert_eq!(lines.len(), 8, "{found:#?}");
    lines.dedup();
    assert_eq!(lines, marked(text), "{found:#?}");
    let columns: Vec<_> =
        found.iter().filter(|mistake| mistake.line == 7).map(|mistake| mistake.column).collect();
    assert_eq!(columns, [10, 31]);
    assert_eq!(found[5].policy.as_deref(), Some("1"));
    assert_eq!(found[6].policy.as_deref(), Some("2 \"second\""));
}

#[test]
fn a_file_of_nothing_but_mistakes_is_answered_soon() {
    let began = std::time::Instant::now();
    for line in ["x\n", "x = 1\n", "[[policy]]\n", "[[policy.when]]\n", "a.b.c=[\n"] {
        let text = line.repeat(64 * 1024 / line.len());
        let mistakes = compile(&text).unwrap_err();
        assert!(mistakes.first.len() <= 50, "{mistakes}");
    }
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
}
