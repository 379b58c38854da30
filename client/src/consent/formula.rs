//! The audience of a consent as a tree, which people write in a file, and as the chain's postfix terms.

use epione_primitives::{
    HospitalId, UserId,
    credential::AttributeId,
    profile::Role,
    sharing::{Audience, InvalidAudience, Term, check_audience, fold},
};
use serde::{Deserialize, Serialize};

/// Maximum bytes of a file with a formula.
pub const MAX_FORMULA_BYTES: u64 = 64 * 1024;

/// A formula about a requester.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Formula {
    User(UserId),
    Hospital(HospitalId),
    Role(Role),
    /// The attribute, confirmed by this hospital.
    Attribute(AttributeId, HospitalId),
    /// At least so many of the others hold.
    AtLeast(u8, Vec<Self>),
}

impl Formula {
    /// The tree of an audience; none if its terms are not a formula.
    pub fn of(terms: &[Term]) -> Option<Self> {
        let leaf = |term: &Term| match *term {
            Term::User(user) => Self::User(user),
            Term::Hospital(hospital) => Self::Hospital(hospital),
            Term::Role(role) => Self::Role(role),
            Term::Credential { attribute, issuer } => Self::Attribute(attribute, issuer),
            // `fold` passes thresholds to the other closure. No requester meets an empty one.
            Term::AtLeast { met, .. } => Self::AtLeast(met, Vec::new()),
        };
        fold(terms, leaf, |met, of| Self::AtLeast(met, of.to_vec()))
    }

    /// All of these.
    pub fn all(of: Vec<Self>) -> Self {
        let met = u8::try_from(of.len()).unwrap_or(u8::MAX);
        Self::at_least(met, of)
    }

    /// Any of these.
    pub fn any(of: Vec<Self>) -> Self {
        Self::at_least(1, of)
    }

    /// A threshold; of one formula, this formula itself.
    fn at_least(met: u8, mut of: Vec<Self>) -> Self {
        match (of.len(), of.pop()) {
            (1, Some(only)) => only,
            (_, last) => {
                of.extend(last);
                Self::AtLeast(met, of)
            }
        }
    }

    /// The chain's terms.
    ///
    /// # Errors
    /// What is wrong with the formula, or that it is too large for the chain.
    pub fn audience(&self) -> Result<Audience, InvalidAudience> {
        let mut terms = Vec::new();
        self.append_to(&mut terms)?;
        check_audience(&terms)?;
        terms.try_into().map_err(|_| InvalidAudience::TooLarge)
    }

    fn append_to(&self, terms: &mut Vec<Term>) -> Result<(), InvalidAudience> {
        let term = match self {
            Self::User(user) => Term::User(*user),
            Self::Hospital(hospital) => Term::Hospital(*hospital),
            Self::Role(role) => Term::Role(*role),
            Self::Attribute(attribute, issuer) => {
                Term::Credential { attribute: *attribute, issuer: *issuer }
            }
            Self::AtLeast(met, of) => {
                for formula in of {
                    formula.append_to(terms)?;
                }
                let of = u8::try_from(of.len()).map_err(|_| InvalidAudience::TooLarge)?;
                Term::AtLeast { met: *met, of }
            }
        };
        terms.push(term);
        Ok(())
    }
}

/// An attribute as a file names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AttributeRef {
    Number(AttributeId),
    Name(String),
}

/// A formula as a file writes it: one of `user`, `hospital`, `role`, `attribute` with `issuer`, or `at-least` with
/// `of`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Tree {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hospital: Option<HospitalId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attribute: Option<AttributeRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<HospitalId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_least: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<Vec<Self>>,
}

/// Why a tree is not a formula.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormulaError {
    #[error(
        "each part of the audience must be one of user, hospital, role, attribute with issuer, or at-least with of"
    )]
    Mixed,
    #[error("the chain has no attribute {0:?}")]
    UnknownAttribute(String),
}

impl Tree {
    /// The formula. `attribute` finds an attribute by its name.
    ///
    /// # Errors
    /// The first part that is not a formula.
    pub fn formula(
        &self,
        attribute: &impl Fn(&str) -> Option<AttributeId>,
    ) -> Result<Formula, FormulaError> {
        let Self { user, hospital, role, attribute: named, issuer, at_least, of } = self;
        let parts = (user, hospital, role, named, issuer, at_least, of);
        match parts {
            (Some(user), None, None, None, None, None, None) => Ok(Formula::User(*user)),
            (None, Some(hospital), None, None, None, None, None) => {
                Ok(Formula::Hospital(*hospital))
            }
            (None, None, Some(role), None, None, None, None) => Ok(Formula::Role(*role)),
            (None, None, None, Some(named), Some(issuer), None, None) => {
                let id = match named {
                    AttributeRef::Number(id) => *id,
                    AttributeRef::Name(name) => attribute(name)
                        .ok_or_else(|| FormulaError::UnknownAttribute(name.clone()))?,
                };
                Ok(Formula::Attribute(id, *issuer))
            }
            (None, None, None, None, None, Some(met), Some(of)) => {
                let of = of.iter().map(|tree| tree.formula(attribute));
                Ok(Formula::AtLeast(*met, of.collect::<Result<_, _>>()?))
            }
            _ => Err(FormulaError::Mixed),
        }
    }

    /// The tree of a formula. `name` is the name of an attribute, if it has one.
    pub fn of_formula(formula: &Formula, name: &impl Fn(AttributeId) -> Option<String>) -> Self {
        let empty = Self::default();
        match formula {
            Formula::User(user) => Self { user: Some(*user), ..empty },
            Formula::Hospital(hospital) => Self { hospital: Some(*hospital), ..empty },
            Formula::Role(role) => Self { role: Some(*role), ..empty },
            Formula::Attribute(id, issuer) => {
                let named = name(*id).map_or(AttributeRef::Number(*id), AttributeRef::Name);
                Self { attribute: Some(named), issuer: Some(*issuer), ..empty }
            }
            Formula::AtLeast(met, of) => {
                let of = of.iter().map(|formula| Self::of_formula(formula, name)).collect();
                Self { at_least: Some(*met), of: Some(of), ..empty }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use epione_primitives::limits::MAX_AUDIENCE_LEAVES;
    use proptest::prelude::*;

    use super::*;

    fn formulas() -> impl Strategy<Value = Formula> {
        let leaf = prop_oneof![
            any::<u8>().prop_map(|byte| Formula::User(UserId([byte; 32]))),
            any::<u16>().prop_map(|id| Formula::Hospital(HospitalId(id))),
            Just(Formula::Role(Role::Researcher)),
            any::<(u16, u16)>()
                .prop_map(|(id, issuer)| Formula::Attribute(AttributeId(id), HospitalId(issuer))),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            proptest::collection::vec(inner, 1..4).prop_flat_map(|of| {
                (1..=of.len() as u8).prop_map(move |met| Formula::AtLeast(met, of.clone()))
            })
        })
    }

    fn number(name: &str) -> Option<AttributeId> {
        name.strip_prefix("attribute-")?.parse().ok().map(AttributeId)
    }

    proptest! {
        #[test]
        fn a_formula_is_the_same_on_the_chain_and_in_a_file(formula in formulas()) {
            if let Ok(audience) = formula.audience() {
                let found = Formula::of(&audience);
                prop_assert_eq!(found.as_ref(), Some(&formula));
            }
            let tree = Tree::of_formula(&formula, &|id| Some(format!("attribute-{id}")));
            let json = serde_json::to_string(&tree).unwrap();
            let read: Tree = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(read.formula(&number), Ok(formula));
        }
    }

    #[test]
    fn a_file_with_an_unclear_part_is_refused() {
        for json in [
            "{}",
            r#"{"user": 7}"#,
            r#"{"hospital": 1, "role": "doctor"}"#,
            r#"{"attribute": "attribute-1"}"#,
            r#"{"at-least": 1}"#,
            r#"{"of": [{"hospital": 1}]}"#,
            r#"{"hospital": 1, "hospital": 2}"#,
            r#"{"hospital": 70000}"#,
            r#"{"role": "king"}"#,
            r#"{"not": {"hospital": 1}}"#,
            r#"{"at-least": 1, "of": [{}]}"#,
            r#"{"attribute": "cardiology", "issuer": 1}"#,
        ] {
            let tree = serde_json::from_str::<Tree>(json).ok();
            assert_eq!(tree.and_then(|tree| tree.formula(&number).ok()), None, "{json}");
        }
    }

    #[test]
    fn a_formula_that_the_chain_refuses_has_no_audience() {
        let leaf = || Formula::Hospital(HospitalId(1));
        let leaves = |number: u32| (0..number).map(|_| leaf()).collect::<Vec<_>>();
        assert!(Formula::any(leaves(MAX_AUDIENCE_LEAVES)).audience().is_ok());
        let more = Formula::any(leaves(MAX_AUDIENCE_LEAVES + 1)).audience();
        assert_eq!(more, Err(InvalidAudience::TooLarge));
        let within = |formula| Formula::AtLeast(1, vec![formula, leaf()]);
        let deep = within(within(within(within(leaf()))));
        assert!(deep.audience().is_ok());
        assert_eq!(within(deep).audience(), Err(InvalidAudience::TooLarge));
        for malformed in [
            Formula::AtLeast(1, Vec::new()),
            Formula::AtLeast(0, leaves(2)),
            Formula::AtLeast(3, leaves(2)),
        ] {
            assert_eq!(malformed.audience(), Err(InvalidAudience::Malformed), "{malformed:?}");
        }
        assert_eq!(Formula::all(leaves(1)), leaf());
        assert_eq!(Formula::all(leaves(2)), Formula::AtLeast(2, leaves(2)));
    }

    #[test]
    fn a_deep_file_is_refused_by_its_parser() {
        let deep = format!("{}{}", r#"{"at-least": 1, "of": ["#.repeat(1_000), "]}".repeat(1_000));
        assert!(serde_json::from_str::<Tree>(&deep).is_err());
    }
}
