//! Sections in files: texts on their way there, and whether a file is what its author signed.

use std::{io, path::Path};

use epione_envelope::{OpenError, record::Description};
use tokio::{
    fs::{self, File},
    io::AsyncReadExt,
};

use super::{OpenContent, OpenRecord, ReadError, partial::Partial};

/// Bytes of a file that are digested at a time.
const DIGEST_BYTES: usize = 256 * 1024;

impl OpenRecord {
    /// What a section's content is, as its author signed it. Whoever keeps it can later tell without any
    /// key whether a file is that content ([`VerifiedRecord::is_in`](super::VerifiedRecord::is_in)). It
    /// is as secret as the content.
    pub fn description(&self, section: usize) -> Result<Description, ReadError> {
        let pointer = self.summary.pointer;
        // A record has no more sections than fit.
        let index = section as u16;
        let key = self.access.keys.get(&index).ok_or(ReadError::NotGranted { pointer, section })?;
        let failed = |source| ReadError::Open { pointer, section, source };
        self.record.describe(self.genesis, index, key).map_err(failed)
    }
}

/// Saves an open text under a name that nothing has yet, for its owner only.
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

/// Whether an earlier call saved a section under this name; no, if there is no file of that name. One
/// that holds anything else is an error. Asks nobody.
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

/// Whether a file holds what is described.
pub(super) async fn digested(
    description: &Description,
    at: &Path,
) -> io::Result<Result<(), OpenError>> {
    let mut check = description.check();
    // Neither a link nor a pipe, whose opening would not return.
    if !fs::symlink_metadata(at).await?.is_file() {
        return Ok(Err(OpenError));
    }
    let mut file = File::open(at).await?;
    let mut buffer = vec![0; DIGEST_BYTES];
    loop {
        match file.read(&mut buffer).await? {
            0 => return Ok(check.finish()),
            read => check.update(&buffer[..read]),
        }
    }
}
