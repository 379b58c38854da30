//! What the node's metadata must be before the client decodes by it. Decoding descends from type to type: with a type
//! that contains itself, a node could end the client's process by an overflow of its stack, and with values that have
//! no bytes, it could make the client count for hours.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use scale_info::{PortableRegistry, TypeDef, form::PortableForm};
use subxt::{ArcMetadata, Metadata};

use super::{Doubt, Verifier};
use crate::chain::{Chain, ChainError};

/// Limits, several times what the chain's runtime has.
const MAX_TYPES: usize = 16 * 1_024;
const MAX_DEPTH: u32 = 64;
/// Metadata that one connection may receive: one for each version of the runtime.
const MAX_VERSIONS: usize = 64;

/// Metadata that was checked.
#[derive(Default)]
pub(super) struct Checked(Mutex<Vec<ArcMetadata>>);

impl Checked {
    fn contains(&self, metadata: &ArcMetadata) -> bool {
        let checked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        checked.iter().any(|it| Arc::ptr_eq(it, metadata))
    }

    fn insert(&self, metadata: ArcMetadata) {
        let mut checked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if checked.len() >= MAX_VERSIONS {
            checked.clear();
        }
        checked.push(metadata);
    }
}

impl Verifier {
    /// Checks metadata when the client receives it, and not again.
    pub(in crate::chain) fn check_metadata(
        &self,
        chain: &Chain,
        metadata: ArcMetadata,
    ) -> Result<(), ChainError> {
        if self.metadata.contains(&metadata) {
            return Ok(());
        }
        check(&metadata).map_err(|flaw| chain.doubt(Doubt::Metadata { flaw }))?;
        self.metadata.insert(metadata);
        Ok(())
    }
}

fn check(metadata: &Metadata) -> Result<(), &'static str> {
    let events = metadata.pallets().filter_map(|pallet| pallet.event_ty_id());
    check_types(metadata.types(), events, metadata.outer_enums().call_enum_ty())
}

fn check_types(
    types: &PortableRegistry,
    mut events: impl Iterator<Item = u32>,
    call: u32,
) -> Result<(), &'static str> {
    if types.types.len() > MAX_TYPES {
        return Err("too many types");
    }
    // No event contains a call.
    let mut in_events = Shapes::new(types);
    events.try_for_each(|ty| in_events.descend(ty))?;
    // Calls contain calls, as in a batch. No other type contains itself.
    let mut all = Shapes::new(types);
    all.assume(call);
    // A type's id is its index, whatever the metadata says.
    (0..).take(types.types.len()).try_for_each(|ty| all.descend(ty))
}

/// What is known of a type.
#[derive(Clone, Copy)]
enum Shape {
    /// The types in it are being checked.
    Begun,
    /// Types are nested so deep in it. A value may have no bytes.
    Known { depth: u32, is_empty: bool },
}

struct Shapes<'a> {
    types: &'a PortableRegistry,
    known: BTreeMap<u32, Shape>,
}

impl<'a> Shapes<'a> {
    fn new(types: &'a PortableRegistry) -> Self {
        Self { types, known: BTreeMap::new() }
    }

    /// Does not look into this type.
    fn assume(&mut self, ty: u32) {
        self.known.insert(ty, Shape::Known { depth: 0, is_empty: false });
    }

    fn descend(&mut self, ty: u32) -> Result<(), &'static str> {
        self.shape(ty, 0).map(|_| ())
    }

    /// How deep types are nested in this type, and whether a value may have no bytes. `level` is how deep this type is
    /// in others.
    fn shape(&mut self, ty: u32, level: u32) -> Result<(u32, bool), &'static str> {
        let (depth, is_empty) = match self.known.get(&ty).copied() {
            Some(Shape::Begun) => return Err("a type that contains itself"),
            Some(Shape::Known { depth, is_empty }) => (depth, is_empty),
            None => self.learn(ty, level)?,
        };
        if level.saturating_add(depth) > MAX_DEPTH {
            return Err("types that are nested too deep");
        }
        Ok((depth, is_empty))
    }

    fn learn(&mut self, ty: u32, level: u32) -> Result<(u32, bool), &'static str> {
        if level > MAX_DEPTH {
            return Err("types that are nested too deep");
        }
        let types = self.types;
        let def = &types.resolve(ty).ok_or("a type that is not described")?.type_def;
        self.known.insert(ty, Shape::Begun);
        let (mut depth, mut are_empty) = (0, true);
        for part in parts(def) {
            let (within, is_empty) = self.shape(part, level + 1)?;
            depth = depth.max(within + 1);
            are_empty &= is_empty;
        }
        let is_empty = match def {
            TypeDef::Composite(_) | TypeDef::Tuple(_) | TypeDef::Compact(_) => are_empty,
            TypeDef::Array(_) | TypeDef::Sequence(_) if are_empty => {
                return Err("a list of values without bytes");
            }
            TypeDef::Array(array) => array.len == 0,
            _ => false,
        };
        self.known.insert(ty, Shape::Known { depth, is_empty });
        Ok((depth, is_empty))
    }
}

/// The types of a type's parts.
fn parts(def: &TypeDef<PortableForm>) -> Vec<u32> {
    match def {
        TypeDef::Composite(def) => def.fields.iter().map(|field| field.ty.id).collect(),
        TypeDef::Variant(def) => {
            let fields = def.variants.iter().flat_map(|variant| variant.fields.iter());
            fields.map(|field| field.ty.id).collect()
        }
        TypeDef::Sequence(def) => vec![def.type_param.id],
        TypeDef::Array(def) => vec![def.type_param.id],
        TypeDef::Tuple(def) => def.fields.iter().map(|field| field.id).collect(),
        TypeDef::Compact(def) => vec![def.type_param.id],
        TypeDef::BitSequence(def) => vec![def.bit_store_type.id, def.bit_order_type.id],
        TypeDef::Primitive(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(dead_code, clippy::unwrap_used)]

    use scale_info::{
        MetaType, PortableRegistryBuilder, Registry, Type, TypeDefTuple, TypeInfo, meta_type,
    };

    use super::*;

    #[derive(TypeInfo)]
    struct Own(Box<Own>);

    #[derive(TypeInfo)]
    enum List {
        End,
        Link(Box<List>),
    }

    #[derive(TypeInfo)]
    struct Tree(Vec<Tree>);

    #[derive(TypeInfo)]
    enum Call {
        One(u8),
        Batch(Vec<Call>),
    }

    #[derive(TypeInfo)]
    enum Event {
        Done { call: u8, hashes: Vec<[u8; 32]> },
        Failed(Option<(u8, String)>),
    }

    /// Checks metadata with these types, of which the first is the calls' and the second the events'.
    fn check(types: [MetaType; 3]) -> Result<(), &'static str> {
        let mut registry = Registry::new();
        let ids = types.map(|ty| registry.register_type(&ty).id);
        check_types(&registry.into(), [ids[1]].into_iter(), ids[0])
    }

    #[test]
    fn calls_in_calls_are_accepted() {
        let types = [meta_type::<Call>(), meta_type::<Event>(), meta_type::<(Call, Event)>()];
        assert_eq!(check(types), Ok(()));
    }

    #[test]
    fn a_type_that_contains_itself_is_refused() {
        let (call, event) = (meta_type::<Call>(), meta_type::<Event>());
        for cyclic in [meta_type::<Own>(), meta_type::<List>(), meta_type::<Tree>()] {
            for types in [[call, cyclic, event], [call, event, cyclic]] {
                assert_eq!(check(types), Err("a type that contains itself"));
            }
        }
        // An event with a call.
        assert_eq!(check([call, call, event]), Err("a type that contains itself"));
    }

    #[test]
    fn no_type_is_skipped_because_of_a_wrong_id() {
        let mut registry = Registry::new();
        let call = registry.register_type(&meta_type::<u8>()).id;
        registry.register_type(&meta_type::<Own>());
        let mut types = PortableRegistry::from(registry);
        types.types.iter_mut().for_each(|ty| ty.id = call);
        let refused = check_types(&types, std::iter::empty(), call);
        assert_eq!(refused, Err("a type that contains itself"));
    }

    #[test]
    fn a_list_of_values_without_bytes_is_refused() {
        let (call, event) = (meta_type::<Call>(), meta_type::<Event>());
        for list in [meta_type::<Vec<()>>(), meta_type::<[((), ()); 9]>()] {
            assert_eq!(check([call, event, list]), Err("a list of values without bytes"));
        }
    }

    /// Types of which each contains the one before.
    fn nested(count: u32) -> PortableRegistry {
        let mut registry = PortableRegistryBuilder::new();
        let empty = TypeDefTuple::new_portable([]);
        let mut last = registry.register_type(Type::new(Default::default(), [], empty, vec![]));
        for _ in 0..count {
            let tuple = TypeDefTuple::new_portable([last.into()]);
            last = registry.register_type(Type::new(Default::default(), [], tuple, vec![]));
        }
        registry.finish()
    }

    #[test]
    fn types_that_are_nested_too_deep_are_refused() {
        let check = |count| check_types(&nested(count), [count].into_iter(), 0);
        assert_eq!(check(MAX_DEPTH), Ok(()));
        for count in [MAX_DEPTH + 1, 2 * MAX_DEPTH, 10_000] {
            assert_eq!(check(count), Err("types that are nested too deep"), "{count}");
        }
    }
}
