//! The access key of a bucket, from a file, or from the environment variables that S3's own tools use.

use std::{env, fs, os::unix::fs::PermissionsExt, path::Path};

use serde::Deserialize;
use zeroize::Zeroizing;

use super::OpenError;

/// Bytes of a credentials file, at most. Session tokens are long.
const MAX_BYTES: u64 = 16_384;
/// The permissions of users other than a file's owner and group.
const OTHERS: u32 = 0o007;

pub struct Credentials {
    pub access_key_id: String,
    pub secret_access_key: Zeroizing<String>,
    pub session_token: Option<Zeroizing<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
}

impl Credentials {
    pub fn load(file: Option<&Path>) -> Result<Self, OpenError> {
        match file {
            Some(path) => Self::of_file(path),
            None => Self::of_variables(|name| env::var(name).ok()),
        }
    }

    fn of_file(path: &Path) -> Result<Self, OpenError> {
        let unreadable = |source| OpenError::File { path: path.into(), source };
        let metadata = fs::metadata(path).map_err(unreadable)?;
        if metadata.permissions().mode() & OTHERS != 0 {
            return Err(OpenError::Exposed { path: path.into() });
        }
        // The parser's message may quote the file.
        let invalid = || OpenError::NotCredentials { path: path.into() };
        if metadata.len() > MAX_BYTES {
            return Err(invalid());
        }
        let text = Zeroizing::new(fs::read_to_string(path).map_err(unreadable)?);
        let contents: Contents = toml::from_str(&text).map_err(|_| invalid())?;
        let credentials = Self {
            access_key_id: contents.access_key_id,
            secret_access_key: Zeroizing::new(contents.secret_access_key),
            session_token: contents.session_token.map(Zeroizing::new),
        };
        if credentials.is_complete() { Ok(credentials) } else { Err(invalid()) }
    }

    fn of_variables(value: impl Fn(&str) -> Option<String>) -> Result<Self, OpenError> {
        let given = |name| value(name).filter(|value| !value.is_empty());
        let (Some(access_key_id), Some(secret)) =
            (given("AWS_ACCESS_KEY_ID"), given("AWS_SECRET_ACCESS_KEY"))
        else {
            return Err(OpenError::NoCredentials);
        };
        let session_token = given("AWS_SESSION_TOKEN").map(Zeroizing::new);
        Ok(Self { access_key_id, secret_access_key: Zeroizing::new(secret), session_token })
    }

    fn is_complete(&self) -> bool {
        !self.access_key_id.is_empty() && !self.secret_access_key.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str, mode: u32) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    #[test]
    fn a_file_that_others_may_read_is_rejected() {
        let text = "access_key_id = \"key\"\nsecret_access_key = \"secret\"\n";
        let good = Credentials::load(Some(file(text, 0o640).path())).unwrap();
        assert_eq!(
            (good.access_key_id.as_str(), good.secret_access_key.as_str()),
            ("key", "secret")
        );
        for mode in [0o604, 0o644, 0o602] {
            let refused = Credentials::load(Some(file(text, mode).path())).err().unwrap();
            assert!(refused.to_string().contains("chmod 600"), "{refused}");
        }
    }

    #[test]
    fn errors_in_a_file_are_reported_without_its_secret() {
        for text in [
            "",
            "access_key_id = \"key\"",
            "access_key_id = \"\"\nsecret_access_key = \"hush\"",
            "access_key_id = \"key\"\nsecret_access_key = \"hush\"\nsecret = \"hush\"",
            "secret_access_key = hush",
        ] {
            let refused = Credentials::load(Some(file(text, 0o600).path())).err().unwrap();
            let shown = format!("{refused} {refused:?}");
            assert!(shown.contains("access_key_id") && !shown.contains("hush"), "{shown}");
        }
        let long = "#".repeat(MAX_BYTES as usize + 1);
        assert!(Credentials::load(Some(file(&long, 0o600).path())).is_err());
        let absent = Credentials::load(Some(Path::new("/nowhere/s3.toml"))).err().unwrap();
        assert!(matches!(absent, OpenError::File { .. }), "{absent}");
    }

    #[test]
    fn the_environment_must_have_both_variables() {
        let with = |names: &'static [&'static str]| {
            Credentials::of_variables(move |name| names.contains(&name).then(|| "x".to_owned()))
        };
        let both = with(&["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]).ok().unwrap();
        assert!(both.session_token.is_none());
        for missing in [with(&[]), with(&["AWS_ACCESS_KEY_ID"]), with(&["AWS_SECRET_ACCESS_KEY"])] {
            let refused = missing.err().unwrap().to_string();
            assert!(refused.contains("AWS_SECRET_ACCESS_KEY"), "{refused}");
        }
    }
}
