//! A FHIR resource as a consent.

use epione_envelope::record::SectionKind;
use epione_primitives::{
    Hash, HospitalId, Moment, UserId, Word,
    access::{PolicyList, Purpose},
    credential::AttributeId,
    limits::{MAX_AUDIENCE_LEAVES, MAX_POLICY_LIST, MAX_SLOTS},
    profile::Role,
    sharing::{Consent, KindSet, RecordedPeriod, SlotId},
};

use super::{
    ACT_CODE, ACT_REASON, ACTION, ACTION_SYSTEM, ATTRIBUTE_URN, AUDIENCE_URN, CATEGORY, CHAIN_URN,
    CONSENT_URN, HOSPITAL_URN, KIND_URN, LOINC, MAX_FILE_BYTES, OPT_OUT, PARTICIPATION, REASONS,
    RECIPIENT, ROLE_URN, Refused, SCOPE, SCOPE_SYSTEM, SLOT_URN, STANDING_URN, TRUE, USER_URN,
    strict::{Json, Node, Object},
    times,
};
use crate::consent::{Formula, Tree, check, set_of};

/// What a resource says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    pub patient: UserId,
    /// The slot to which the resource limits what it permits.
    pub slot: SlotId,
    pub consent: Consent,
}

/// The members of a resource that change nothing of what it permits.
const ROOT: [&str; 14] = [
    "resourceType",
    "id",
    "meta",
    "text",
    "language",
    "identifier",
    "status",
    "scope",
    "category",
    "patient",
    "dateTime",
    "policy",
    "policyRule",
    "provision",
];
const PROVISION: [&str; 10] = [
    "id",
    "modifierExtension",
    "type",
    "period",
    "actor",
    "action",
    "purpose",
    "class",
    "dataPeriod",
    "provision",
];

/// Reads a resource, as a consent that a patient of this chain can give now.
///
/// # Errors
/// The first part that is not understood, or that the chain would refuse.
pub fn import(json: &[u8], genesis: Hash, now: Moment) -> Result<Imported, Refused> {
    if json.len() as u64 > MAX_FILE_BYTES {
        return Err(Refused::new(
            "Consent",
            format!("the file is too large ({} bytes)", json.len()),
            format!("at most {MAX_FILE_BYTES} bytes can be imported"),
        ));
    }
    let json: Json = serde_json::from_slice(json).map_err(|error| {
        Refused::new("Consent", format!("the file is not JSON: {error}"), "correct the file")
    })?;
    let root = Node::root(&json, "Consent").object(&ROOT)?;
    root.required("resourceType")?.only("Consent")?;
    if let Some(meta) = root.get("meta") {
        // Profiles, security labels and tags could change what is permitted.
        meta.object(&["versionId", "lastUpdated"])?;
    }
    status(&root.required("status")?)?;
    is_concept(&root.required("scope")?, (SCOPE_SYSTEM, SCOPE))?;
    is_concept(&root.required("category")?.one()?, (LOINC, CATEGORY))?;
    chain(&root, genesis)?;
    if let Some(rule) = root.get("policyRule") {
        is_concept(&rule, (ACT_CODE, OPT_OUT))?;
    }
    let patient_at = root.required("patient")?;
    let (system, value) = reference(&patient_at)?;
    if system != USER_URN {
        return Err(unknown(&patient_at, system, USER_URN));
    }
    let patient = parsed(&patient_at, value)?;
    let rule = permitting(&root.required("provision")?)?;
    let extensions = Extensions::of(&rule)?;
    let consent = consent(&rule, &extensions, now)?;
    check(&consent, now).map_err(|error| {
        Refused::new("Consent.provision", error.to_string(), "correct the resource")
    })?;
    is_identified(&root, patient, extensions.slot)?;
    Ok(Imported { patient, slot: extensions.slot, consent })
}

fn status(node: &Node<'_>) -> Result<(), Refused> {
    match node.text()? {
        "active" | "draft" | "proposed" => Ok(()),
        other => Err(node.refused(
            format!("a consent that is {other:?} permits nothing"),
            "import only one that is active, draft or proposed; end a consent with `epione consent withdraw`",
        )),
    }
}

/// The policy must name this chain: hospitals and attributes have other numbers on another one.
fn chain(root: &Object<'_>, genesis: Hash) -> Result<(), Refused> {
    let policy = root.required("policy")?.one()?;
    let uri = policy.object(&["id", "uri"])?.required("uri")?;
    if uri.text()? == format!("{CHAIN_URN}{genesis:?}") {
        return Ok(());
    }
    Err(uri.refused(
        "is not about this chain",
        format!(
            "the hospitals and attributes of the resource must be those of {CHAIN_URN}{genesis:?}"
        ),
    ))
}

/// The resource's own identifier, if it has one, must name this slot of this patient.
fn is_identified(root: &Object<'_>, patient: UserId, slot: SlotId) -> Result<(), Refused> {
    let Some(identifiers) = root.get("identifier") else { return Ok(()) };
    for node in identifiers.list(1)? {
        let (system, value) = identifier(&node)?;
        if system == CONSENT_URN && value != format!("{patient}/{slot}") {
            return Err(node.refused(
                "is not the slot of this patient that the rule names",
                format!("write {patient}/{slot}, or remove the identifier"),
            ));
        }
    }
    Ok(())
}

/// What the modifier extensions of the rule say.
struct Extensions<'j> {
    slot: SlotId,
    /// The formula of an audience that actors cannot express.
    audience: Option<Node<'j>>,
    standing: bool,
}

impl<'j> Extensions<'j> {
    /// Each must be known, and the one of the slot must be there: without it, the rule would permit more than what is
    /// in a slot.
    fn of(rule: &Object<'j>) -> Result<Self, Refused> {
        let at = rule.required("modifierExtension")?;
        let (mut slot, mut audience, mut standing) = (None, None, false);
        for node in at.list(3)? {
            let members = node.object(&["id", "url", "valueString"])?;
            let (url, value) = (members.required("url")?, members.required("valueString")?);
            let is_first = match url.text()? {
                SLOT_URN => slot.replace(slot_number(&value)?).is_none(),
                AUDIENCE_URN => audience.replace(value).is_none(),
                STANDING_URN => {
                    value.only(TRUE)?;
                    !std::mem::replace(&mut standing, true)
                }
                other => {
                    return Err(url.refused(
                        format!("the extension {other:?} is not understood"),
                        format!(
                            "only {SLOT_URN}, {AUDIENCE_URN} and {STANDING_URN} can be imported"
                        ),
                    ));
                }
            };
            if !is_first {
                return Err(node.refused("is there twice", "write each extension once"));
            }
        }
        let slot = slot.ok_or_else(|| {
            at.refused(
                "does not limit the rule to a slot",
                format!("add the extension {SLOT_URN} with the number of a slot"),
            )
        })?;
        Ok(Self { slot, audience, standing })
    }
}

fn slot_number(node: &Node<'_>) -> Result<SlotId, Refused> {
    let number: Option<u8> = node.text()?.parse().ok().filter(|number| *number < MAX_SLOTS);
    let last = MAX_SLOTS.saturating_sub(1);
    number.map(SlotId).ok_or_else(|| {
        node.refused("is not a slot", format!("write a number from 0 to {last}, in quotes"))
    })
}

/// The one rule that permits: the root itself, or the only provision in it.
fn permitting<'j>(base: &Node<'j>) -> Result<Object<'j>, Refused> {
    let root = base.object(&PROVISION)?;
    let Some(nested) = root.get("provision") else { return permit(base) };
    base.object(&["id", "provision"])?;
    let nested = nested.one()?;
    if let Some(more) = nested.object(&PROVISION)?.get("provision") {
        return Err(more.refused(
            "has exceptions to what is permitted",
            "write an audience without exceptions: a consent here can only permit",
        ));
    }
    permit(&nested)
}

fn permit<'j>(node: &Node<'j>) -> Result<Object<'j>, Refused> {
    let provision = node.object(&PROVISION)?;
    let rule = provision.required("type")?;
    match rule.text()? {
        "permit" => Ok(provision),
        other => Err(rule.refused(
            format!("a rule of the type {other:?} cannot be imported"),
            "write only what is permitted: all else is denied already",
        )),
    }
}

fn consent(
    provision: &Object<'_>,
    extensions: &Extensions<'_>,
    now: Moment,
) -> Result<Consent, Refused> {
    if let Some(actions) = provision.get("action") {
        for action in actions.list(1)? {
            is_concept(&action, (ACTION_SYSTEM, ACTION))?;
        }
    }
    let at = provision.required("period")?;
    let period = period(&at)?;
    if period.from.is_some_and(|from| from > now) {
        return Err(at.refused(
            "begins later",
            "a consent begins when the chain has it: import the resource then",
        ));
    }
    let until = period
        .to
        .ok_or_else(|| at.refused("has no end", "add the end, at most 366 days from now"))?;
    let recorded = provision.get("dataPeriod").map(|node| self::period(&node)).transpose()?;
    Ok(Consent {
        audience: audience(provision, extensions)?,
        purposes: purposes(&provision.required("purpose")?)?,
        kinds: kinds(provision)?,
        recorded: recorded.unwrap_or_default(),
        until,
        standing: extensions.standing,
    })
}

/// A period. Its end in the resource is a part of it.
fn period(node: &Node<'_>) -> Result<RecordedPeriod, Refused> {
    let period = node.object(&["id", "start", "end"])?;
    let read = |name: &str| {
        let Some(node) = period.get(name) else { return Ok(None) };
        times::read(node.text()?).map(Some).ok_or_else(|| {
            node.refused(
                "is not a full time in UTC",
                "write it as 2027-01-31T00:00:00Z, with at most milliseconds",
            )
        })
    };
    let from = read("start")?.map(|(first, _)| first);
    let to = read("end")?.map(|(_, last)| last.saturating_add(1));
    Ok(RecordedPeriod { from, to })
}

fn audience(
    provision: &Object<'_>,
    extensions: &Extensions<'_>,
) -> Result<epione_primitives::sharing::Audience, Refused> {
    let (at, formula) = match (provision.get("actor"), &extensions.audience) {
        (Some(actors), None) => {
            let leaves = actors.list(MAX_AUDIENCE_LEAVES as usize)?;
            let leaves = leaves.iter().map(actor).collect::<Result<Vec<_>, _>>()?;
            (actors, Formula::any(leaves))
        }
        (None, Some(value)) => (value.clone(), tree(value)?),
        (Some(_), Some(value)) => {
            return Err(value.refused(
                "changes who the actors are",
                "name either actors, which are alternatives, or this extension",
            ));
        }
        (None, None) => return Err(provision.missing("actor")),
    };
    formula.audience().map_err(|error| {
        let problem = crate::consent::ConsentError::Audience(error).to_string();
        at.refused(problem, "correct the audience")
    })
}

fn tree(node: &Node<'_>) -> Result<Formula, Refused> {
    let wrong = |error: String| node.refused(error, "write it as `epione consent show` prints it");
    let tree: Tree =
        serde_json::from_str(node.text()?).map_err(|error| wrong(error.to_string()))?;
    tree.formula(&|_| None).map_err(|error| wrong(error.to_string()))
}

fn actor(node: &Node<'_>) -> Result<Formula, Refused> {
    let actor = node.object(&["id", "role", "reference"])?;
    is_concept(&actor.required("role")?, (PARTICIPATION, RECIPIENT))?;
    let at = actor.required("reference")?;
    let (system, value) = reference(&at)?;
    match system {
        USER_URN => parsed(&at, value).map(Formula::User),
        HOSPITAL_URN => parsed(&at, value).map(|id| Formula::Hospital(HospitalId(id))),
        ROLE_URN => Role::read(value).map(Formula::Role).ok_or_else(|| wrong(&at, value)),
        ATTRIBUTE_URN => {
            let (attribute, issuer) = value.split_once('@').ok_or_else(|| wrong(&at, value))?;
            let (attribute, issuer) = (parsed(&at, attribute)?, parsed(&at, issuer)?);
            Ok(Formula::Attribute(AttributeId(attribute), HospitalId(issuer)))
        }
        other => Err(unknown(&at, other, "one of this project's systems, such as urn:epione:user")),
    }
}

fn purposes(node: &Node<'_>) -> Result<PolicyList<Purpose>, Refused> {
    let mut purposes = Vec::new();
    for node in node.list(MAX_POLICY_LIST as usize)? {
        let code = coding(&node, ACT_REASON)?;
        let found = REASONS.iter().find(|(_, known)| *known == code);
        let known: Vec<_> = REASONS.iter().map(|(_, code)| *code).collect();
        let (purpose, _) = found.ok_or_else(|| {
            node.refused(
                format!("the reason {code:?} is not understood"),
                format!("use one of {}", known.join(", ")),
            )
        })?;
        purposes.push(*purpose);
    }
    PolicyList::try_from(purposes).map_err(|_| node.refused("is too long", "name fewer purposes"))
}

fn kinds(provision: &Object<'_>) -> Result<KindSet, Refused> {
    let Some(classes) = provision.get("class") else { return Ok(KindSet::default()) };
    let mut kinds = Vec::new();
    for node in classes.list(SectionKind::ALL.len())? {
        let code = coding(&node, KIND_URN)?;
        let kind = SectionKind::read(code).ok_or_else(|| wrong(&node, code))?;
        kinds.push(kind);
    }
    Ok(set_of(&kinds))
}

/// The concept must have this one coding.
fn is_concept(node: &Node<'_>, (system, code): (&str, &str)) -> Result<(), Refused> {
    let coding_at = node.object(&["id", "coding", "text"])?.required("coding")?.one()?;
    match coding(&coding_at, system)? {
        found if found == code => Ok(()),
        found => Err(coding_at.refused(
            format!("the code {found:?} is not understood"),
            format!("only {code:?} can be imported"),
        )),
    }
}

/// The code of a coding of this system.
fn coding<'j>(node: &Node<'j>, system: &str) -> Result<&'j str, Refused> {
    let coding = node.object(&["id", "system", "version", "code", "display"])?;
    coding.required("system")?.only(system)?;
    coding.required("code")?.text()
}

/// System and value of the identifier of a reference.
fn reference<'j>(node: &Node<'j>) -> Result<(&'j str, &'j str), Refused> {
    let reference = node.object(&["id", "type", "identifier", "display"])?;
    identifier(&reference.required("identifier")?)
}

fn identifier<'j>(node: &Node<'j>) -> Result<(&'j str, &'j str), Refused> {
    let identifier = node.object(&["id", "use", "system", "value"])?;
    Ok((identifier.required("system")?.text()?, identifier.required("value")?.text()?))
}

fn parsed<T: std::str::FromStr>(node: &Node<'_>, value: &str) -> Result<T, Refused> {
    value.parse().map_err(|_| wrong(node, value))
}

fn wrong(node: &Node<'_>, value: &str) -> Refused {
    node.refused(format!("{value:?} is not understood"), "write it as docs/formats.md says")
}

fn unknown(node: &Node<'_>, system: &str, expected: &str) -> Refused {
    node.refused(format!("the system {system:?} is not understood"), format!("use {expected}"))
}
