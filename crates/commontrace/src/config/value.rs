//! The types of settings: how each is read from text and shown again.
//!
//! Whatever the source, a value is text first, so that a flag, a variable and a file key accept the
//! same.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

use url::Url;

/// A type that settings can have.
pub(crate) trait Value: Sized {
    /// What stands for the value in the help.
    const KIND: &'static str;
    /// What is accepted, to follow "expected".
    const ACCEPTS: &'static str;
    /// Whether a text that is not accepted may be shown.
    const MAY_SHOW: bool = true;
    /// Whether the flag may stand without a value and then means `true`.
    const SWITCH: bool = false;

    /// Reads it, if the text is acceptable.
    fn parse(text: &str) -> Option<Self>;

    /// Shows it without anything secret.
    fn show(&self) -> String;
}

/// How a setting that is absent is shown.
pub(crate) const NOT_SET: &str = "(not set)";

/// A setting that may be absent: the empty text.
impl<T: Value> Value for Option<T> {
    const KIND: &'static str = T::KIND;
    const ACCEPTS: &'static str = T::ACCEPTS;
    const MAY_SHOW: bool = T::MAY_SHOW;
    const SWITCH: bool = T::SWITCH;

    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            Some(None)
        } else {
            T::parse(text).map(Some)
        }
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(|| NOT_SET.to_owned(), T::show)
    }
}

impl Value for bool {
    const KIND: &'static str = "BOOL";
    const ACCEPTS: &'static str = "true or false";
    const SWITCH: bool = true;

    fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => None,
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for u32 {
    const KIND: &'static str = "NUMBER";
    const ACCEPTS: &'static str = "a whole number from 0 to 4294967295";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for u64 {
    const KIND: &'static str = "NUMBER";
    const ACCEPTS: &'static str = "a whole number from 0 to 18446744073709551615";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for NonZeroU32 {
    const KIND: &'static str = "NUMBER";
    const ACCEPTS: &'static str = "a whole number from 1 to 4294967295";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for String {
    const KIND: &'static str = "TEXT";
    const ACCEPTS: &'static str = "a text in one line, not empty";

    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty() && !text.contains(char::is_control)).then(|| text.to_owned())
    }

    fn show(&self) -> String {
        self.clone()
    }
}

impl Value for PathBuf {
    const KIND: &'static str = "PATH";
    const ACCEPTS: &'static str = "a path (with the home directory written out instead of `~`)";

    fn parse(text: &str) -> Option<Self> {
        let usable = !text.is_empty() && text != "~" && !text.starts_with("~/");
        usable.then(|| Self::from(text))
    }

    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl Value for SocketAddr {
    const KIND: &'static str = "ADDRESS";
    const ACCEPTS: &'static str = "an IP address and a port, such as 127.0.0.1:8000 or [::]:8000";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// An HTTP endpoint's base address.
impl Value for Url {
    const KIND: &'static str = "URL";
    const ACCEPTS: &'static str =
        "an address such as https://api.example.com/v1, without user, password, query or fragment";
    const MAY_SHOW: bool = false;

    fn parse(text: &str) -> Option<Self> {
        let url = Self::parse(text).ok()?;
        let plain = matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        plain.then_some(url)
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// A text that is never shown: a key or a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Returns the text itself, for the one place that sends or hashes it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(set)")
    }
}

impl Value for Secret {
    const KIND: &'static str = "SECRET";
    const ACCEPTS: &'static str = "a text in one line, not empty";
    const MAY_SHOW: bool = false;

    fn parse(text: &str) -> Option<Self> {
        // A key read from a file often ends with a line break.
        <String as Value>::parse(text).map(Self)
    }

    fn show(&self) -> String {
        "(set)".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown<T: Value>(text: &str) -> Option<String> {
        T::parse(text).map(|value| value.show())
    }

    #[test]
    fn truth_has_four_spellings_each_way_and_no_others() {
        for text in ["true", "TRUE", "1", "yes", "on"] {
            assert_eq!(shown::<bool>(text).as_deref(), Some("true"));
        }
        for text in ["false", "False", "0", "no", "off"] {
            assert_eq!(shown::<bool>(text).as_deref(), Some("false"));
        }
        for text in ["", "2", "y", "enabled", " true"] {
            assert_eq!(shown::<bool>(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_path_must_not_count_on_a_shell() {
        assert_eq!(shown::<PathBuf>("/srv/~x").as_deref(), Some("/srv/~x"));
        for text in ["", "~", "~/data"] {
            assert_eq!(shown::<PathBuf>(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_base_address_has_no_room_for_a_password() {
        assert_eq!(
            shown::<Url>("http://localhost:11434/v1").as_deref(),
            Some("http://localhost:11434/v1")
        );
        for text in [
            "localhost:11434",
            "ftp://x/",
            "https://u:p@x/",
            "https://x/?key=1",
            "https://x/#k",
            "https://",
        ] {
            assert_eq!(shown::<Url>(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_secret_is_trimmed_and_never_shown() {
        let secret = Secret::parse("sk-123\n").expect("an ordinary key");
        assert_eq!(secret.expose(), "sk-123");
        assert_eq!(format!("{secret:?} {}", secret.show()), "(set) (set)");
        assert!(Secret::parse("two\nlines").is_none());
        const { assert!(!Option::<Secret>::MAY_SHOW) };
    }
}
