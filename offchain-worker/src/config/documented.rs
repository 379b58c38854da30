//! Settings that carry their own documentation, from which the example configuration is generated.

/// A struct that [`settings!`] declares.
pub(super) trait Documented {
    const SETTINGS: &'static [Setting];
}

/// A field of such a struct.
pub(super) struct Setting {
    pub key: &'static str,
    /// The lines of its doc comment.
    pub about: &'static [&'static str],
}

/// Declares a struct of settings. The doc comments of its fields are also the comments of the example configuration.
macro_rules! settings {
    (
        $(#[doc = $about:literal])*
        $(#[serde($($serde:tt)*)])*
        pub struct $name:ident {
            $(
                $(#[doc = $doc:literal])*
                $(#[serde($($field_serde:tt)*)])*
                pub $field:ident: $type:ty,
            )*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, serde::Deserialize, serde::Serialize)]
        #[serde(deny_unknown_fields)]
        $(#[serde($($serde)*)])*
        pub struct $name {
            $(
                $(#[doc = $doc])*
                $(#[serde($($field_serde)*)])*
                pub $field: $type,
            )*
        }

        impl $crate::config::documented::Documented for $name {
            const SETTINGS: &'static [$crate::config::documented::Setting] = &[
                $($crate::config::documented::Setting {
                    key: stringify!($field),
                    about: &[$($doc),*],
                }),*
            ];
        }
    };
}
