//! Sections in files: saves texts, and verifies that a file is what its author signed.

use std::{io, path::Path};

use epione_envelope::{OpenError, record::Description};
use tokio::{
    fs::{self, File},
    io::AsyncReadExt,
};

use super::{OpenContent, OpenRecord, ReadError, partial::Partial};
use crate::private;

/// Size of the buffer with which a file is digested.
const DIGEST_BYTES: usize = 256 * 1024;

impl OpenRecord {
    /// The description of a section's content, as its author signed it. With it, a later run verifies without any key
    /// that a file is this content ([`VerifiedRecord::is_in`](super::VerifiedRecord::is_in)). It is as secret as the
    /// content.
    pub fn description(&self, section: usize) -> Result<Description, ReadError> {
        let pointer = self.summary.pointer;
        // A record has at most 64 sections.
        let index = section as u16;
        let key = self.access.keys.get(&index).ok_or(ReadError::NotGranted { pointer, section })?;
        let failed = |source| ReadError::Open { pointer, section, source };
        self.record.describe(self.genesis, index, key).map_err(failed)
    }
}

/// Saves an open text in a new file, readable by its owner only.
pub async fn save_text(record: &OpenRecord, section: usize, to: &Path) -> Result<(), ReadError> {
    let pointer = record.summary.pointer;
    let content = record.sections.get(section).map(|section| &section.content);
    let Some(OpenContent::Text { text, .. }) = content else {
        return Err(ReadError::NotText { pointer, section });
    };
    let mut partial = Partial::fresh(to)?;
    partial.write(text.as_bytes()).await?;
    partial.publish().await
}

/// Whether an earlier call saved a section in this file. A file with other content is an error. Sends no request.
pub async fn saved(record: &OpenRecord, section: usize, at: &Path) -> Result<bool, ReadError> {
    if !fs::try_exists(at).await.unwrap_or(true) {
        return Ok(false);
    }
    let description = record.description(section)?;
    let failed = |source| ReadError::File { path: at.into(), source };
    digested(&description, at).await.map_err(failed)?.map_err(|_| ReadError::Exists(at.into()))?;
    if let Ok(content) = record.content_of(section) {
        Partial::forget(at, &content.object_id);
    }
    Ok(true)
}

/// Whether a file has the content that is described.
pub(super) async fn digested(
    description: &Description,
    at: &Path,
) -> io::Result<Result<(), OpenError>> {
    let mut check = description.check();
    let Some(file) = private::open(at)? else { return Ok(Err(OpenError)) };
    let mut file = File::from_std(file);
    let mut buffer = vec![0; DIGEST_BYTES];
    loop {
        match file.read(&mut buffer).await? {
            0 => return Ok(check.finish()),
            read => check.update(&buffer[..read]),
        }
    }
}
