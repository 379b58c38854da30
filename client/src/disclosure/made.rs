//! Makes the file of a disclosure.

use codec::Encode;
use epione_envelope::{
    FormatError, Zeroizing,
    account::Signer,
    record::{Description, Disclosure, Record},
};
use epione_primitives::{RecordPointer, release::SectionSet};

use super::{Attribution, Bundle, MAX_FILE_BYTES, Refused, message, verify};
use crate::chain::{Chain, ChainError};

/// A section to show.
pub struct Shown {
    pub section: u16,
    pub description: Description,
    pub content: Content,
}

/// The content of a section to show.
pub enum Content {
    Text(Zeroizing<Vec<u8>>),
    /// A media section. Its file is named by [`super::media_name`].
    Media {
        /// Whether the file is given to the recipient, too. Otherwise the disclosure shows only the description.
        included: bool,
    },
}

/// Why a disclosure was not made.
#[derive(Debug, thiserror::Error)]
pub enum DisclosureError {
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The author's extraction policy forbids this choice of sections, for example.
    #[error(transparent)]
    Format(#[from] FormatError),
    #[error(
        "the disclosure has {bytes} bytes, and the limit is {max}: show fewer sections at once",
        max = MAX_FILE_BYTES
    )]
    TooLarge { bytes: u64 },
    /// What was made does not verify, as with a key that is not the patient's.
    #[error("the disclosure would not verify: {0}")]
    Refused(#[from] Refused),
}

/// Makes and signs the file of a disclosure of a committed record. The proof is of the newest final block. The result
/// has passed [`verify`].
pub async fn make(
    chain: &Chain,
    pointer: RecordPointer,
    record: &Record,
    mut shown: Vec<Shown>,
    attribution: Attribution,
    patient: &impl Signer,
) -> Result<Vec<u8>, DisclosureError> {
    shown.sort_by_key(|shown| shown.section);
    let (mut descriptions, mut texts, mut media) = (Vec::new(), Vec::new(), SectionSet::default());
    for Shown { section, description, content } in shown {
        descriptions.push((section, description));
        match content {
            Content::Text(text) => texts.push((section, text.to_vec())),
            Content::Media { included: true } => {
                media.insert(section);
            }
            Content::Media { included: false } => {}
        }
    }
    let (authorship, signature) = (record.authorship().clone(), record.signature().clone());
    let disclosure = Disclosure::new(authorship, record.leaves(), descriptions, signature)?;
    let genesis = chain.genesis_hash();
    let bundle = Bundle {
        genesis,
        pointer,
        attribution,
        record: record.encode(),
        disclosure: disclosure.encode(),
        texts,
        media,
        proof: chain.prove_record(pointer, record.authorship()).await?,
    };
    let mut file = bundle.to_sign();
    patient.sign(&message(genesis, &file)).encode_to(&mut file);
    let bytes = file.len() as u64;
    if bytes > MAX_FILE_BYTES {
        return Err(DisclosureError::TooLarge { bytes });
    }
    verify(&file, genesis)?;
    Ok(file)
}
