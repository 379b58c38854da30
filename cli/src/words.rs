//! Words on the command line: values of plain enums, as `epione_primitives::Word` spells them.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use epione_primitives::Word;

use crate::similar::did_you_mean;

/// An argument that is one word. Help and completion list the words.
pub fn argument<W: Word + Send + Sync>() -> impl TypedValueParser<Value = W> {
    PossibleValuesParser::new(W::ALL.iter().map(|word| word.spelled()))
        .map(|text| W::read(&text).expect("clap lets only these words pass; qed"))
}

/// Reads a word that is a part of an argument.
pub fn read_word<W: Word>(text: &str) -> Result<W, String> {
    W::read(text).ok_or_else(|| {
        let known: Vec<_> = W::ALL.iter().map(|word| word.spelled()).collect();
        let meant = did_you_mean(text, known.iter().copied());
        format!("unknown {} {text:?}{meant} (choose {})", W::NOUN, known.join(", "))
    })
}
