//! What to do after a call failed on the chain: words for every error of every pallet. What happened is in the chain's
//! own words. A test of the runtime includes this file, and compares it with the metadata.

// The path also holds for the test, which includes this file under another path.
#[path = "call_errors/sharing.rs"]
mod sharing;

const CORRECT: &str = "correct the arguments; nothing was changed";
const BY_GOVERNANCE: &str =
    "nothing was changed: sign with the key file of the governance of an active hospital, --as";
const BY_PATIENT: &str = "nothing was changed: sign with the present key file of the patient, --as";
const BY_WORKER: &str =
    "nothing was changed: only a worker sends this call; tell the hospital's operator";
const LATER: &str = "nothing was changed; repeat the command later";
const LIST_HOSPITALS: &str =
    "nothing was changed: name another hospital; to list them: `epione hospital list`";
const LIST_USERS: &str =
    "nothing was changed: check the user's id; to look at users: `epione user show --help`";
const OTHER_KEYS: &str =
    "nothing was changed: make another key file, `epione keys new --help`, and use that one";
const SIGN_CONSENT_AGAIN: &str =
    "nothing was changed: let the holder of the new keys sign a new consent";
const REGISTER: &str =
    "nothing was changed: the hospital must register or reinstate the user first";
const STANDING: &str =
    "nothing was changed: look at the user's registrations first, `epione user show --help`";
const LIST_RECORDS: &str =
    "nothing was changed: name your own records; to list them: `epione records list --help`";
const LIST_REVIEWS: &str =
    "nothing was changed: list the reviews first, `epione audit reviews --help`";
const CORRECT_POLICIES: &str =
    "correct the file; nothing was stored; to check a file: `epione policy check --help`";
const READ_RECOVERY: &str =
    "nothing was changed: read the proposed keys first, `epione user recovery --help`";
const UPGRADE: &str = "nothing was changed: the council must authorize the code of a newer version, `epione council \
    propose upgrade --help`";
const MOTION: &str =
    "nothing was changed: name one of the council's motions; to list them: `epione council list`";

/// Pallet, errors of the pallet, and what to do after one of them.
type Words = (&'static str, &'static [&'static str], &'static str);

const WORDS: &[Words] = &[
    (
        "System",
        &["InvalidSpecName", "SpecVersionNeedsToIncrease", "FailedToExtractRuntimeVersion"],
        UPGRADE,
    ),
    ("System", &["NothingAuthorized", "Unauthorized"], UPGRADE),
    ("System", &["MultiBlockMigrationsOngoing"], LATER),
    ("System", &["CallFiltered"], "nothing was changed: nobody may make this call"),
    (
        "System",
        &["NonDefaultComposite", "NonZeroRefCount"],
        "nothing was changed: the account is in use",
    ),
    ("Hospitals", &["UnknownHospital"], LIST_HOSPITALS),
    (
        "Hospitals",
        &["NotActive"],
        "nothing was changed: look at the hospital's status first, `epione hospital list`; the council suspends and \
         reinstates",
    ),
    ("Hospitals", &["NotUnready"], "nothing was changed: the hospital is ready already"),
    (
        "Hospitals",
        &["NoReplacement"],
        "nothing was changed: two thirds of the council must decide on the replacement first",
    ),
    (
        "Hospitals",
        &["ReplacementTooEarly"],
        "nothing was changed: repeat the command after the delay, a day after the council's decision",
    ),
    ("Hospitals", &["NotAgent"], BY_WORKER),
    (
        "Hospitals",
        &["NotSuspended", "AlreadyRemoved"],
        "nothing was changed: look at the hospital's status first, `epione hospital list`",
    ),
    (
        "Hospitals",
        &["LastActive"],
        "nothing was changed: another hospital must be able to validate first",
    ),
    (
        "Hospitals",
        &["TooManyHospitals"],
        "nothing was changed: the council must remove a hospital first",
    ),
    ("Hospitals", &["AccountInUse"], OTHER_KEYS),
    ("Hospitals", &["NotGovernance"], BY_GOVERNANCE),
    ("Hospitals", &["InvalidConsent", "ConsentExpired"], SIGN_CONSENT_AGAIN),
    (
        "Hospitals",
        &[
            "NothingToRotate",
            "InvalidName",
            "InvalidUrl",
            "InvalidSealingKey",
            "InvalidStorageOrigin",
        ],
        CORRECT,
    ),
    (
        "Session",
        &["InvalidProof", "DuplicatedKey"],
        "nothing was changed: make new session keys, `epione hospital rotate session --help`",
    ),
    ("Session", &["NoAssociatedValidatorId", "NoAccount"], BY_GOVERNANCE),
    ("Session", &["NoKeys"], "nothing was changed: the hospital has no session keys"),
    ("Grandpa", &["PauseFailed", "ResumeFailed", "ChangePending", "TooSoon"], LATER),
    (
        "Grandpa",
        &["InvalidKeyOwnershipProof", "InvalidEquivocationProof", "DuplicateOffenceReport"],
        "nothing was changed: only a node sends this call; tell the hospital's operator",
    ),
    (
        "Council",
        &["NotMember", "PrimeAccountNotMember"],
        "nothing was changed: sign with the key file of the governance of a hospital in the council, --as",
    ),
    ("Council", &["DuplicateProposal", "ProposalMissing", "WrongIndex", "DuplicateVote"], MOTION),
    ("Council", &["AlreadyInitialized", "WrongProposalWeight", "WrongProposalLength"], CORRECT),
    (
        "Council",
        &["TooEarly", "ProposalActive"],
        "nothing was changed: wait until the council has voted",
    ),
    (
        "Council",
        &["TooManyProposals"],
        "nothing was changed: the council must close a motion first",
    ),
    ("Profiles", &["NotAgent"], BY_WORKER),
    (
        "Profiles",
        &["NotUser"],
        "nothing was changed: sign with the present key file of a registered user, --as",
    ),
    ("Profiles", &["UnknownUser"], LIST_USERS),
    ("Profiles", &["AccountInUse", "SealingKeyUsedBefore", "KeyProposed"], OTHER_KEYS),
    (
        "Profiles",
        &["ProfileMismatch", "AnotherUser"],
        "nothing was changed: compare role and keys with those of the user on the chain, `epione user show --help`",
    ),
    ("Profiles", &["InvalidConsent", "ConsentExpired"], SIGN_CONSENT_AGAIN),
    (
        "Profiles",
        &["AlreadyRegistered"],
        "nothing was changed: if the registration is suspended, reinstate it, `epione user reinstate --help`",
    ),
    ("Profiles", &["NotRegistered", "RegistrationHasEnded"], REGISTER),
    ("Profiles", &["NotActive", "NotSuspended"], STANDING),
    (
        "Profiles",
        &["TooManyInForce"],
        "nothing was changed: another hospital must suspend or end one of the user's registrations first",
    ),
    ("Profiles", &["EmptyBody", "BodyTooLong", "NothingToRotate"], CORRECT),
    (
        "Profiles",
        &["TooManyVersions"],
        "nothing was changed: these keys cannot change any more; the hospital can register the person as a new user",
    ),
    ("Profiles", &["RotatedTooRecently"], "nothing was changed; repeat the command in a minute"),
    (
        "Profiles",
        &["AnotherBody"],
        "nothing was changed: the registration changed meanwhile; run the command again",
    ),
    (
        "Profiles",
        &["RecoveryStands"],
        "nothing was changed: if the proposed keys are not the user's, object first, `epione user recover object \
         --help`",
    ),
    (
        "Profiles",
        &["NoRecovery"],
        "nothing was changed: propose keys first, `epione user recover propose --help`",
    ),
    ("Profiles", &["AnotherHospital", "AnotherRecovery"], READ_RECOVERY),
    (
        "Profiles",
        &["RecoveryObjected"],
        "nothing was changed: talk to the user, and to the user's other hospitals; if the objection is a thief's, the \
         council can complete the recovery",
    ),
    (
        "Profiles",
        &["RecoveryTooEarly"],
        "nothing was changed: to look up from which block on it can succeed: `epione user recovery --help`",
    ),
    (
        "Profiles",
        &["NotConcerned"],
        "nothing was changed: sign with the user's present key file or with that of the governance of a hospital, --as",
    ),
    (
        "Profiles",
        &["RecoveryPaused"],
        "nothing was changed: wait until the keys to which somebody objected have lapsed, `epione user recovery \
         --help`, or let another hospital of the user propose keys",
    ),
    (
        "Profiles",
        &["TooManyRecoveries"],
        "nothing was changed: complete recoveries that are due, `epione user recover complete --help`, or wait until \
         some lapse",
    ),
    (
        "Profiles",
        &["SuspendedTooLong"],
        "nothing was changed: if the user is still one of the hospital's, reinstate the registration first, `epione \
         user reinstate --help`",
    ),
    (
        "Profiles",
        &["RotatedSinceProposal"],
        "nothing was changed: if a thief has the present keys, suspend the user at every hospital, `epione user \
         suspend --help`; then propose keys again",
    ),
    (
        "RolePolicies",
        &["NeitherAgentNorPatient", "NotAllowedToRelate"],
        "nothing was changed: the hospital's policies say who may, `epione policy show --help`; sign with such a \
         user's key file, --as-user",
    ),
    ("RolePolicies", &["UnknownPatient", "UnknownProfessional"], LIST_USERS),
    ("RolePolicies", &["PatientNotRegistered", "ProfessionalNotRegistered"], REGISTER),
    ("RolePolicies", &["NotPatient", "NotProfessional"], CORRECT),
    (
        "RolePolicies",
        &["ExpiryPassed", "ReferralNeedsExpiry"],
        "nothing was changed: choose a later end with --expires",
    ),
    (
        "RolePolicies",
        &["AlreadyRelated"],
        "nothing was changed: to change the end, end the relationship first, `epione unrelate --help`",
    ),
    ("RolePolicies", &["NotRelated"], CORRECT),
    ("RolePolicies", &["NotGovernance"], BY_GOVERNANCE),
    (
        "RolePolicies",
        &[
            "NoPolicies",
            "InvalidName",
            "NoRoles",
            "NoConclusion",
            "PolicyExpired",
            "ConditionNeverHolds",
            "UnknownHospital",
            "TooManyHospitals",
            "InvalidSummary",
            "DuplicateName",
            "Repeated",
            "EmptyCondition",
            "NotInRelationships",
            "PatientNotBound",
            "RelatedToThemselves",
            "NeverRelated",
            "NeverRecognised",
            "NotSubmitted",
            "NoSection",
            "NothingRead",
            "NotEmergency",
            "NotTreatment",
            "NoEarlierEnd",
            "TooManyCredentials",
            "NoIssuer",
            "RepeatedIssuer",
            "ImpossibleNumber",
        ],
        CORRECT_POLICIES,
    ),
    (
        "LiteBlocks",
        &[
            "NotAgent",
            "NotAnnouncer",
            "EmptyBody",
            "BodyTooLarge",
            "NoEntries",
            "EmptyRange",
            "RangeOverlap",
            "RangeOverrun",
            "BodyNotCovered",
            "MediaOverlap",
            "MediaOverrun",
            "SegmentsNotCovered",
            "TooManySegments",
            "SegmentBytesMismatch",
            "SegmentsRootMismatch",
            "PatientNotRegistered",
            "TooManyPending",
            "AlreadyAnnounced",
            "UnknownAnnouncement",
            "AlreadyClosed",
            "RepeatedRecord",
        ],
        BY_WORKER,
    ),
    (
        "Approvals",
        &[
            "NotAgent",
            "NoSuchBallot",
            "BallotClosed",
            "NotElector",
            "OwnBallot",
            "AlreadyVoted",
            "BallotExists",
            "TooManyBallots",
            "AnotherSubject",
        ],
        BY_WORKER,
    ),
    ("Utility", &["TooManyCalls"], CORRECT),
    ("CouncilRoot", &["CallRefused"], MOTION),
    (
        "Releases",
        &[
            "NotAgent",
            "UnknownRequester",
            "UnknownPatient",
            "NoRights",
            "RepeatedRight",
            "RightsMismatch",
            "AlreadyRecorded",
            "NotRefused",
            "RecordOfAnotherHospital",
            "RequestToAnotherHospital",
            "NotRequested",
        ],
        BY_WORKER,
    ),
    (
        "Releases",
        &[
            "RequestTooOld",
            "RequestFromTheFuture",
            "InvalidRequest",
            "AlreadyAnswered",
            "ClassMismatch",
        ],
        "run the command again, which signs a new request; if this happens again, set this machine's clock",
    ),
    (
        "Releases",
        &["NotAllowed"],
        "nothing was handed out: to see which condition is not met: `epione policy explain --help`",
    ),
    (
        "Releases",
        &["TooManyEmergencies"],
        "nothing was handed out: ask a colleague, or ask the hospital to relate you to the patient",
    ),
    (
        "Releases",
        &["TooManyRefusals", "TooManyHospitalReceipts", "TooManyHospitalRefusals"],
        "nothing was handed out: run the command again within 24 hours, when the limit is reset",
    ),
    // Also of openings, for which no hospital hands out anything yet.
    (
        "Releases",
        &["TooManyHospitalEmergencies"],
        "nothing was changed: run the command again within 24 hours, when the limit is reset, or ask the patient",
    ),
    (
        "Releases",
        &["TooManyOpenings"],
        "nothing was changed: let a colleague who is a doctor ask, or wait until midnight UTC",
    ),
    (
        "Releases",
        &["TooManyHospitalOpenings"],
        "nothing was changed: if you are registered at another hospital, name it with --hospital, or let a doctor of \
         another hospital ask; the limit is reset within 24 hours",
    ),
    (
        "Releases",
        &["UnjustifiedLately"],
        "nothing was changed: let a colleague who is a doctor ask, or ask the patient, `epione query ask --help`",
    ),
    ("Releases", &["PurposeNotEmergency"], CORRECT),
    ("Releases", &["NoRecords", "RecordsOutOfOrder", "NoSections"], CORRECT),
    ("Releases", &["UnknownRecord", "RecordOfAnotherPatient"], LIST_RECORDS),
    ("Releases", &["NotPatient"], BY_PATIENT),
    ("Releases", &["NotGovernance"], BY_GOVERNANCE),
    (
        "Releases",
        &["UnknownReview", "ReviewIsClosed", "DeadlinePassed", "AlreadyJudged"],
        LIST_REVIEWS,
    ),
    ("Releases", &["OwnReview"], "nothing was changed: another hospital must judge it"),
    ("Quotas", &["LimitTooLow"], CORRECT),
];

/// The words of all pallets.
pub fn words() -> impl Iterator<Item = &'static Words> {
    WORDS.iter().chain(sharing::WORDS)
}

/// What to do after a call failed with this error of this pallet; none for an error that this version does not know.
pub fn help(pallet: &str, error: &str) -> Option<&'static str> {
    let found = words().find(|(of, errors, _)| *of == pallet && errors.contains(&error));
    found.map(|(.., help)| *help)
}
