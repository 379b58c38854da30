//! Access control: requests must be signed with the key, and must name an existing bucket. The file system below would
//! create a missing bucket when an object is put into it. S3 does not.

use std::path::PathBuf;

use async_trait::async_trait;
use s3s::{
    S3Result,
    access::{S3Access, S3AccessContext},
    s3_error,
};

pub struct Buckets {
    pub root: PathBuf,
}

#[async_trait]
impl S3Access for Buckets {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        if context.credentials().is_none() {
            return Err(s3_error!(AccessDenied, "The request is not signed"));
        }
        match context.s3_path().get_bucket_name() {
            Some(bucket)
                if context.s3_op().name() != "CreateBucket" && !self.root.join(bucket).is_dir() =>
            {
                Err(s3_error!(NoSuchBucket))
            }
            _ => Ok(()),
        }
    }
}
