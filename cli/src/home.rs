//! Where the user's own files are, which are kept between two commands.

use std::path::PathBuf;

/// What a file is for, which says where users expect it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What the user wrote down.
    Config,
    /// What goes by itself.
    State,
}

/// The user's folder of this kind, as the XDG Base Directory Specification places it. None if the
/// environment names no home.
pub fn folder(kind: Kind) -> Option<PathBuf> {
    let named = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let (variable, within_home) = match kind {
        Kind::Config => ("XDG_CONFIG_HOME", ".config"),
        Kind::State => ("XDG_STATE_HOME", ".local/state"),
    };
    let folder = named(variable).or_else(|| Some(named("HOME")?.join(within_home)))?;
    Some(folder.join("epione"))
}
