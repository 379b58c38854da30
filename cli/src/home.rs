//! The folders of the files that are kept between two commands.

use std::path::PathBuf;

/// The purpose of a file, which determines its folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Made by the user.
    Config,
    /// Made and removed automatically.
    State,
}

/// The user's folder of this kind, according to the XDG Base Directory Specification; none if the environment names no
/// home.
pub fn folder(kind: Kind) -> Option<PathBuf> {
    let named = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let (variable, within_home) = match kind {
        Kind::Config => ("XDG_CONFIG_HOME", ".config"),
        Kind::State => ("XDG_STATE_HOME", ".local/state"),
    };
    let folder = named(variable).or_else(|| Some(named("HOME")?.join(within_home)))?;
    Some(folder.join("epione"))
}
