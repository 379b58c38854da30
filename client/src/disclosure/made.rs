//! Makes the file of a disclosure.

use codec::Encode;
use epione_envelope::{
    FormatError, Zeroizing,
    account::Signer,
    record::{Description, Disclosure, Record},
};
use epione_primitives::{RecordPointer, release::SectionSet};

use super::{Attribution, Bundle, MAX_FILE_BYTES, Refused, Verified, message, verify};
use crate::chain::{Chain, ChainError, Doubt};

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
    Chain(ChainError),
    /// No verifier would accept the proof. The node is not at fault.
    #[error(transparent)]
    LongProof(Box<Doubt>),
    /// The author's extraction policy forbids this choice of sections, for example.
    #[error(transparent)]
    Format(#[from] FormatError),
    #[error("{}", too_large(*proof, *content))]
    TooLarge {
        /// Bytes of the proof and of the sealed record, which every disclosure of the record has.
        proof: u64,
        /// Bytes of the shown descriptions and texts.
        content: u64,
    },
    /// What was made does not verify, as with a key that is not the patient's.
    #[error("the disclosure would not verify: {0}")]
    Refused(#[from] Refused),
}

impl From<ChainError> for DisclosureError {
    fn from(error: ChainError) -> Self {
        match error {
            ChainError::Unproven { doubt, .. } if matches!(*doubt, Doubt::LongProof { .. }) => {
                Self::LongProof(doubt)
            }
            other => Self::Chain(other),
        }
    }
}

impl DisclosureError {
    /// Whether a disclosure of fewer sections of this record can be made.
    pub fn is_of_choice(&self) -> bool {
        match self {
            Self::Format(_) => true,
            Self::TooLarge { proof, .. } => *proof < MAX_FILE_BYTES,
            _ => false,
        }
    }
}

/// Checks the size of the file of a disclosure.
pub(super) fn check_size(bytes: u64, bundle: &Bundle) -> Result<(), DisclosureError> {
    if bytes <= MAX_FILE_BYTES {
        return Ok(());
    }
    let texts: usize = bundle.texts.iter().map(|(_, text)| text.len()).sum();
    let content = (bundle.disclosure.len() + texts) as u64;
    Err(DisclosureError::TooLarge { proof: bytes.saturating_sub(content), content })
}

fn too_large(proof: u64, content: u64) -> String {
    let bytes = proof.saturating_add(content);
    match proof < MAX_FILE_BYTES {
        true => format!("the disclosure has {bytes} bytes, and the limit is {MAX_FILE_BYTES}"),
        false => format!(
            "the proof alone has {proof} bytes, and the limit of a disclosure is {MAX_FILE_BYTES}: so old a record \
             cannot be disclosed"
        ),
    }
}

/// A disclosure that was made.
pub struct Made {
    pub file: Vec<u8>,
    /// What the file shows to its recipient.
    pub verified: Verified,
}

/// Makes and signs the file of a disclosure of a committed record. The proof is of the newest final block. The result
/// has passed [`verify`]. `progress` is told the number of the requested block on the way back to the signed block, and
/// how many there are.
pub async fn make(
    chain: &Chain,
    pointer: RecordPointer,
    record: &Record,
    mut shown: Vec<Shown>,
    attribution: Attribution,
    patient: &impl Signer,
    progress: &(dyn Fn(usize, usize) + Send + Sync),
) -> Result<Made, DisclosureError> {
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
        proof: chain.prove_record(pointer, record.authorship(), progress).await?,
    };
    let mut file = bundle.to_sign();
    patient.sign(&message(genesis, &file)).encode_to(&mut file);
    check_size(file.len() as u64, &bundle)?;
    let verified = verify(&file, genesis)?;
    Ok(Made { file, verified })
}
