//! Errors in words.

/// Returns the error and its causes on one line, because the outermost alone says little.
pub fn chain(err: &dyn std::error::Error) -> String {
    let mut text = err.to_string();
    let mut source = err.source();
    while let Some(err) = source {
        let message = err.to_string();
        // Many errors repeat their source in their own message.
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        source = err.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};

    use super::*;

    #[test]
    fn causes_follow_and_are_not_repeated() {
        let inner = Error::new(ErrorKind::NotFound, "no such key");
        let told = Error::other(Told(inner));
        assert_eq!(chain(&told), "cannot sign: no such key");
    }

    #[derive(Debug)]
    struct Told(Error);

    impl std::fmt::Display for Told {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("cannot sign")
        }
    }

    impl std::error::Error for Told {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
}
