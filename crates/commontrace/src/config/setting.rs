//! What a setting is, and the macro that declares a section of them.

use std::collections::BTreeMap;

use super::source::Environment;
use super::value::Value;

/// One setting, as declared by its section.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    /// The table of the settings file it belongs to, and the heading of its flag in the help.
    pub section: &'static str,
    /// Its name and file key.
    pub name: &'static str,
    /// Its flag, without the leading dashes: the name with dashes.
    pub flag: &'static str,
    /// Its environment variable: the name in capitals, with `COMMONTRACE_` in front unless the bare
    /// name is established.
    pub env: &'static str,
    /// One sentence for the help.
    pub help: &'static str,
    /// Whether the short help lists its flag.
    pub common: bool,
    pub default: Fallback,
    pub shape: Shape,
}

/// Where a setting's value comes from when nobody gives one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fallback {
    /// Nowhere: it is not set.
    Unset,
    /// A fixed text.
    Text(&'static str),
    /// Other settings and the environment. The error says why there is no default on this machine.
    From(fn(&Known<'_>) -> Result<String, &'static str>),
}

/// What a default may follow from: the environment, and the settings declared before it.
#[derive(Debug)]
pub(crate) struct Known<'a> {
    pub env: &'a Environment,
    pub texts: &'a BTreeMap<&'static str, String>,
}

impl Known<'_> {
    /// Returns the text of a setting declared earlier, empty if it is not set.
    pub fn text(&self, name: &str) -> &str {
        self.texts.get(name).map_or("", String::as_str)
    }
}

/// What the type of a setting says about its texts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// What stands for the value in the help.
    pub kind: &'static str,
    /// What is accepted, to follow "expected".
    pub accepts: &'static str,
    /// Whether a text that is not accepted may be shown: it may hold a password otherwise.
    pub may_show: bool,
    /// Whether the flag may stand without a value and then means `true`.
    pub switch: bool,
    /// The value as `config show` prints it, or nothing if the text is not accepted.
    pub show: fn(&str) -> Option<String>,
}

impl Shape {
    pub const fn of<T: Value>() -> Self {
        Self {
            kind: T::KIND,
            accepts: T::ACCEPTS,
            may_show: T::MAY_SHOW,
            switch: T::SWITCH,
            show: |text| T::parse(text).map(|value| value.show()),
        }
    }
}

/// Spells the name of a setting with dashes for underscores, as its flag has it.
pub(crate) const fn dashed<const LENGTH: usize>(name: &str) -> [u8; LENGTH] {
    let mut flag = [b'-'; LENGTH];
    let mut i = 0;
    while i < LENGTH {
        if name.as_bytes()[i] != b'_' {
            flag[i] = name.as_bytes()[i];
        }
        i += 1;
    }
    flag
}

/// Declares a section: its struct, the table of its settings, and how the one is read from the
/// other.
///
/// The documentation of a field is the help of its flag.
macro_rules! settings {
    (
        $(#[$outer:meta])*
        pub struct $Section:ident in $section:literal {
            $(
                $(#[doc = $help:literal])+
                pub $field:ident: $Type:ty {
                    env: $env:literal,
                    default: $default:expr,
                    common: $common:literal,
                }
            )*
        }
    ) => {
        $(#[$outer])*
        #[derive(Debug, Clone)]
        pub struct $Section {
            $(
                $(#[doc = $help])+
                pub $field: $Type,
            )*
        }

        /// The settings of this section, in the order in which they are shown.
        pub(crate) const SETTINGS: &[$crate::config::setting::Setting] = &[
            $(
                $crate::config::setting::Setting {
                    section: $section,
                    name: stringify!($field),
                    flag: {
                        const NAME: &str = stringify!($field);
                        const FLAG: [u8; NAME.len()] = $crate::config::setting::dashed(NAME);
                        match str::from_utf8(&FLAG) {
                            Ok(flag) => flag,
                            Err(_) => panic!("an identifier is ASCII"),
                        }
                    },
                    env: $env,
                    help: concat!($($help),+),
                    common: $common,
                    default: $default,
                    shape: $crate::config::setting::Shape::of::<$Type>(),
                },
            )*
        ];

        impl $Section {
            pub(crate) fn read(values: &$crate::config::source::Values) -> Self {
                Self { $($field: values.typed(stringify!($field)),)* }
            }
        }
    };
}
pub(crate) use settings;
