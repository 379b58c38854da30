//! JSON that is read whole: no member is skipped, none occurs twice, and what is not understood is refused with its
//! path. A consent that is understood in part could permit more than its author meant.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};

/// Why a resource is not imported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}; {advice}")]
pub struct Refused {
    /// The part of the resource, as in `Consent.provision.actor[0]`.
    pub path: String,
    pub problem: String,
    pub advice: String,
}

impl Refused {
    pub(super) fn new(
        path: impl Into<String>,
        problem: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { path: path.into(), problem: problem.into(), advice: advice.into() }
    }
}

/// A value of JSON. serde_json's parser bounds its depth.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Text(String),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
    /// A number, true, false or null, none of which a consent needs.
    Other,
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyJson)
    }
}

struct AnyJson;

impl<'de> Visitor<'de> for AnyJson {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of JSON")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut members: Vec<(String, Json)> = Vec::new();
        while let Some((name, value)) = entries.next_entry::<String, Json>()? {
            if members.iter().any(|(known, _)| *known == name) {
                return Err(A::Error::custom(format!("the member {name:?} occurs twice")));
            }
            members.push((name, value));
        }
        Ok(Json::Object(members))
    }
}

/// A value, and where it is.
#[derive(Clone, Debug)]
pub(super) struct Node<'j> {
    json: &'j Json,
    pub(super) path: String,
}

impl<'j> Node<'j> {
    pub(super) fn root(json: &'j Json, path: &str) -> Self {
        Self { json, path: path.into() }
    }

    pub(super) fn refused(&self, problem: impl Into<String>, advice: impl Into<String>) -> Refused {
        Refused::new(self.path.as_str(), problem, advice)
    }

    pub(super) fn text(&self) -> Result<&'j str, Refused> {
        match self.json {
            Json::Text(text) => Ok(text),
            _ => Err(self.refused("is not a text", "write it in quotes")),
        }
    }

    /// The text must be this one.
    pub(super) fn only(&self, expected: &str) -> Result<(), Refused> {
        match self.text()? {
            text if text == expected => Ok(()),
            text => Err(self.refused(
                format!("{text:?} is not understood"),
                format!("only {expected:?} can be imported"),
            )),
        }
    }

    pub(super) fn list(&self, most: usize) -> Result<Vec<Self>, Refused> {
        let Json::List(items) = self.json else {
            return Err(self.refused("is not a list", "write it in brackets"));
        };
        if items.len() > most {
            return Err(self.refused(
                format!("has {} entries", items.len()),
                format!("at most {most} can be imported: split the consent"),
            ));
        }
        let node = |(index, json)| Self { json, path: format!("{}[{index}]", self.path) };
        Ok(items.iter().enumerate().map(node).collect())
    }

    /// The only entry of a list.
    pub(super) fn one(&self) -> Result<Self, Refused> {
        let mut items = self.list(1)?;
        items.pop().ok_or_else(|| self.refused("is empty", "name exactly one"))
    }

    /// An object that has no other members than these.
    pub(super) fn object(&self, known: &[&str]) -> Result<Object<'j>, Refused> {
        let Json::Object(members) = self.json else {
            return Err(self.refused("is not an object", "write it in braces"));
        };
        if let Some((name, _)) = members.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            return Err(Refused::new(
                format!("{}.{name}", self.path),
                "is not understood, and may change what the consent permits",
                "remove it, or write what it means with the options of `epione consent give`",
            ));
        }
        Ok(Object { members, path: self.path.clone() })
    }
}

/// The members of an object.
pub(super) struct Object<'j> {
    members: &'j [(String, Json)],
    path: String,
}

impl<'j> Object<'j> {
    pub(super) fn get(&self, name: &str) -> Option<Node<'j>> {
        let (_, json) = self.members.iter().find(|(known, _)| known == name)?;
        Some(Node { json, path: format!("{}.{name}", self.path) })
    }

    pub(super) fn required(&self, name: &str) -> Result<Node<'j>, Refused> {
        self.get(name).ok_or_else(|| self.missing(name))
    }

    pub(super) fn missing(&self, name: &str) -> Refused {
        Refused::new(format!("{}.{name}", self.path), "is missing", "add it to the resource")
    }
}
