//! Words for the errors of what patients share: consents, queries, credentials and mandates, and of what hospitals open
//! together.

use super::{
    BY_GOVERNANCE, BY_PATIENT, BY_WORKER, CORRECT, LIST_HOSPITALS, LIST_RECORDS, LIST_USERS,
    REGISTER, Words,
};

const OTHER_END: &str = "nothing was changed: choose another end with --until or --for";
const LIST_MANDATES: &str =
    "nothing was changed: list the mandates first, `epione mandate list --help`";
const WITHDRAW_QUERY: &str = "wait until a patient answers one of your queries, or withdraw one: `epione query \
     withdraw --help`";
const ASK_AGAIN: &str = "nothing was changed: the requester must ask again";

pub(super) const WORDS: &[Words] = &[
    ("Sharing", &["NotPatient"], BY_PATIENT),
    ("Sharing", &["EndHasPassed"], "nothing was changed: choose a later end with --until or --for"),
    (
        "Sharing",
        &["EndTooLate"],
        "nothing was changed: choose an end with --until or --for, at most 366 days from now by the chain's clock",
    ),
    (
        "Sharing",
        &["NotInForce"],
        "nothing was changed: the consent has ended meanwhile; to look at it: `epione consent list --help`",
    ),
    (
        "Sharing",
        &["SlotChanged"],
        "nothing was changed: something was placed in the slot, or its consent changed, since you looked; run the \
         command again, which shows what is in the slot now",
    ),
    (
        "Sharing",
        &["NotPlaced"],
        "nothing was changed: another command took sections out meanwhile; run the command again, which takes out \
         only what is there",
    ),
    (
        "Sharing",
        &["UnknownRecord"],
        "nothing was changed: list your records, `epione records list --help`",
    ),
    ("Sharing", &["RecordOfAnotherPatient"], LIST_RECORDS),
    (
        "Sharing",
        &[
            "UnknownSlot",
            "MalformedAudience",
            "AudienceTooLarge",
            "InvalidPurposes",
            "PurposeIsEmergency",
            "InvalidRecords",
        ],
        CORRECT,
    ),
    (
        "Sharing",
        &[
            "NotAgent",
            "OtherVersion",
            "NoKinds",
            "RecordOfAnotherHospital",
            "RecordBeforeConsent",
            "AlreadyPlaced",
        ],
        BY_WORKER,
    ),
    (
        "Queries",
        &["NotUser"],
        "nothing was changed: sign with the present key file of a registered user, --as",
    ),
    (
        "Queries",
        &["NotInForce"],
        "nothing was changed: the hospital for which the requester asks must be active, and must reinstate or renew \
         the requester's registration",
    ),
    ("Queries", &["UnknownPatient"], LIST_USERS),
    ("Queries", &["UnknownRecord", "InvalidRecords", "NotAsked"], CORRECT),
    (
        "Queries",
        &["EmergencyPurpose"],
        "nothing was changed: request the records at once, as an emergency, `epione records get --help`",
    ),
    ("Queries", &["WrongExpiry"], CORRECT),
    ("Queries", &["TooManyPending"], WITHDRAW_QUERY),
    ("Queries", &["PatientHasTooManyPending"], "nothing was changed; ask again later"),
    (
        "Queries",
        &["UnknownQuery"],
        "nothing was changed: list your queries, `epione query inbox --help` and `epione query sent --help`",
    ),
    ("Queries", &["NotPatient"], "nothing was changed: sign with the key file of its patient"),
    (
        "Queries",
        &["NotParty"],
        "nothing was changed: sign with the key file of its requester or patient",
    ),
    (
        "Queries",
        &["NotPending"],
        "nothing was changed: the query has an answer already, perhaps of an earlier run; run the command again, which \
         finishes that run or says who answered",
    ),
    ("Queries", &["Expired", "Over", "RepresentationOver"], ASK_AGAIN),
    ("Queries", &["WrongUntil"], "nothing was changed: choose another end with --until or --for"),
    (
        "Queries",
        &["BeyondMandate"],
        "nothing was changed: choose an end before that of your mandate with --until or --for",
    ),
    (
        "Queries",
        &["UnknownHospital"],
        "nothing was changed: choose another hospital with --mailbox",
    ),
    ("Queries", &["NotAccepted"], "nothing was changed: there is no acceptance to withdraw"),
    (
        "Queries",
        &["RequesterChanged"],
        "nothing was changed: run the command again, which shows the query and its requester as they are now",
    ),
    ("Queries", &["NotMailbox", "AlreadyTransferred"], BY_WORKER),
    (
        "Queries",
        &["PatientChanged"],
        "the patient has just renewed the sealing key; nothing was changed: rerun the command, which seals the terms \
         to the new key",
    ),
    (
        "Queries",
        &["EmptyTerms"],
        "say what you want to do with the content: --terms TEXT or --terms-file FILE",
    ),
    (
        "Queries",
        &["TooManyOfRequester"],
        "wait until the patient answers one of your two queries, or withdraw one: `epione query withdraw --help`",
    ),
    (
        "Queries",
        &["TooManyOfHospital"],
        "wait until the patient answers queries of your hospital's users, or one of them withdraws one",
    ),
    (
        "Queries",
        &["OwnQuery"],
        "nothing was changed: the patient or another representative must answer it",
    ),
    ("Credentials", &["NotGovernance"], BY_GOVERNANCE),
    ("Credentials", &["UnknownUser"], LIST_USERS),
    (
        "Credentials",
        &["UnknownAttribute", "NameTaken"],
        "nothing was changed: list the attributes first, `epione credential attributes`",
    ),
    ("Credentials", &["InvalidName"], CORRECT),
    (
        "Credentials",
        &["TooManyAttributes"],
        "nothing was changed: use one of the attributes that exist, `epione credential attributes`",
    ),
    ("Credentials", &["EndPassed", "EndTooLate"], OTHER_END),
    (
        "Credentials",
        &["NotInForce"],
        "nothing was changed: list the user's credentials first, `epione credential list --help`",
    ),
    ("Mandates", &["NotPatient"], BY_PATIENT),
    ("Mandates", &["UnknownRepresentative"], LIST_USERS),
    ("Mandates", &["RepresentsThemselves"], CORRECT),
    ("Mandates", &["RepresentativeNotRegistered", "NotRegistered"], REGISTER),
    ("Mandates", &["WrongUntil"], OTHER_END),
    (
        "Mandates",
        &["TooManyRepresentatives"],
        "nothing was changed: dismiss a representative first, `epione mandate dismiss --help`",
    ),
    ("Mandates", &["NotRepresentative", "NotAuthorized", "NotEntrusted"], LIST_MANDATES),
    (
        "Mandates",
        &["NotParty"],
        "nothing was changed: sign with the present key file of the patient or of the representative, --as",
    ),
    ("Mandates", &["UnknownHospital"], LIST_HOSPITALS),
    (
        "Custody",
        &[
            "NotAgent",
            "NoKey",
            "NotMember",
            "NotEntrusted",
            "OtherProfile",
            "InvalidWrap",
            "NotCustodian",
            "TooEarly",
            "InvalidPatients",
            "NotRegistered",
            "NotKept",
            "UnknownClaim",
            "Over",
            "CustodianChanged",
            "AlreadyHandedOut",
        ],
        BY_WORKER,
    ),
    (
        "Custody",
        &["NotRemoved", "UnknownCustodian", "NoCustodian"],
        "nothing was changed: look at the hospitals' status first, `epione hospital list`, then propose another motion",
    ),
    (
        "Openings",
        &[
            "NotAgent",
            "NotMember",
            "RecordOfAnotherHospital",
            "NotStanding",
            "OtherSections",
            "WrongLength",
            "InvalidWrap",
            "UnknownOpening",
            "AlreadyHandedOut",
        ],
        BY_WORKER,
    ),
    (
        "Openings",
        &["NoKey"],
        "nothing was changed: wait until the hospitals have made the consortium key, `epione consortium key status`, \
         or ask the patient, `epione query ask --help`",
    ),
    (
        "Openings",
        &["NotUser"],
        "nothing was changed: sign with the present key file of a registered user, --as",
    ),
    (
        "Openings",
        &["NotInForce"],
        "nothing was changed: the hospital for which you ask must be active, and must reinstate or renew your \
         registration; or name another one with --hospital",
    ),
    (
        "Openings",
        &["OwnRecords"],
        "nothing was changed: read your own records with your own key, `epione records get --help`",
    ),
    (
        "Openings",
        &["ReasonMismatch"],
        "nothing was changed: pass --reason with --purpose emergency, and with no other purpose",
    ),
    (
        "Openings",
        &["NotDoctor"],
        "nothing was changed: in an emergency, let a doctor of your hospital run the command",
    ),
    (
        "Openings",
        &["Unjustified"],
        "nothing was changed: ask the patient, `epione query ask --help`",
    ),
    ("Openings", &["UnknownRecord", "RecordOfAnotherPatient", "InvalidRecords"], CORRECT),
    (
        "Openings",
        &["TooManySections"],
        "nothing was changed: ask for fewer sections with --record HEIGHT/INDEX:SECTIONS, and for the others in \
         another opening",
    ),
    (
        "Openings",
        &["NotAdmitted"],
        "nothing was changed: run the command again, which says what is missing; or ask the patient, `epione query ask \
         --help`",
    ),
    (
        "Openings",
        &["NotPlaced"],
        "nothing was changed: the patient has just taken a section out of the slot; rerun the command without it",
    ),
    (
        "Openings",
        &["NotWrapped"],
        "nothing was changed: repeat the command in some minutes, when the worker of the record's hospital has \
         wrapped the keys of its sections",
    ),
    (
        "Openings",
        &["Over", "RequesterChanged"],
        "nothing was changed: ask for another opening, `epione opening ask --help`",
    ),
    (
        "ConsortiumKey",
        &[
            "NotAgent",
            "NotSeat",
            "NotDealer",
            "NotEnrolled",
            "AnotherCeremony",
            "WrongPhase",
            "TooEarly",
            "NothingToDo",
            "JoinedLately",
            "AlreadyEnrolled",
            "AlreadyDealt",
            "AlreadyJudged",
            "AlreadyConfirmed",
            "EmptyBody",
            "WrongDegree",
            "WrongCommitments",
            "WrongConstant",
            "WrongProof",
            "UnknownDealer",
            "NoComplaint",
            "TooManyAccused",
            "TooManyComplaints",
            "AlreadyAnswered",
            "WrongShare",
            "WrongPart",
            "WrongResult",
            "NoResult",
        ],
        BY_WORKER,
    ),
    ("ConsortiumKey", &["NotGovernance"], BY_GOVERNANCE),
    (
        "ConsortiumKey",
        &["NoKey"],
        "nothing was changed: wait until the workers have made the first key, `epione consortium key status`",
    ),
    (
        "ConsortiumKey",
        &["CeremonyRunning"],
        "nothing was changed: repeat the command when the ceremony is over, `epione consortium key status`",
    ),
    (
        "ConsortiumKey",
        &["TooSoon"],
        "nothing was changed: repeat the command ten phases after the begin of the last ceremony, and 144 phases after \
         this hospital's last request, or let another hospital request it; `epione consortium key status`",
    ),
    (
        "ConsortiumKey",
        &["AlreadyRequested"],
        "nothing was changed: the next ceremony does it; to see for whom it waits: `epione consortium key status`",
    ),
    (
        "ConsortiumKey",
        &["TooManySeats", "WrongCommittee"],
        "nothing was changed: the council must choose from 2 to 31 admitted hospitals, ascending by number, of which \
         more must open together than may be malicious among all active ones (fewer than a third), `epione council \
         propose consortium-key seat --help`; or too few have seats until new hospitals are ready, `epione hospital \
         list`",
    ),
    (
        "ConsortiumKey",
        &["TooFewSeats"],
        "nothing was changed: the council must admit or reinstate a hospital first, or choose other seats, `epione \
         council propose consortium-key seat --help`; a new hospital gets a seat when it is ready, `epione hospital \
         list`",
    ),
    (
        "ConsortiumKey",
        &["TooFewMembers"],
        "nothing was changed: the council must reinstate hospitals that have a share, `epione consortium key status`, \
         or decide for a new key by a motion with `consortiumKey.renew`",
    ),
    (
        "ConsortiumKey",
        &["WrongSchedule"],
        "nothing was changed: propose a phase from 10 to 28800 blocks, and a refresh from ten phases to 366 days",
    ),
];
