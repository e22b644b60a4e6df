//! The one table of problems: status, address, title, and what a client should do.

use axum::http::StatusCode;

/// The kinds of refusal and failure a client can meet. [`Problem::row`] is the table of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// It is not an HTTP request.
    Malformed,
    /// It asks for something that is never done.
    Refused,
    /// No key was sent.
    NotAuthenticated,
    /// The key belongs to no account, or no longer does.
    InvalidKey,
    /// The account may not do this.
    Forbidden,
    /// There is nothing under that address or id.
    NotFound,
    /// The address exists, not for this method.
    MethodNotAllowed,
    /// The request's body did not arrive in time.
    SlowRequest,
    /// It clashes with what is already there.
    Conflict,
    /// The body is larger than accepted.
    TooLarge,
    /// The account's sessions take up all the room that they may.
    NoRoom,
    /// The address is longer than accepted.
    UriTooLong,
    /// The body is compressed.
    Compressed,
    /// Something in the request is not as it must be.
    Invalid,
    /// Too many requests in too short a time.
    RateLimited,
    /// The headers are more or larger than accepted.
    HeadersTooLarge,
    /// A bug or damage on the server's side.
    Internal,
    /// The store or its disk cannot serve right now.
    Unavailable,
    /// The store was lost while a write was committed.
    Unsettled,
    /// The answer took longer than the server allows itself.
    Timeout,
}

/// What a problem looks like from outside.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The status of the answer.
    pub status: StatusCode,
    /// The last part of the problem's `type`, which is its anchor on the page of errors.
    pub slug: &'static str,
    /// The same few words every time, for a person.
    pub title: &'static str,
    /// What a client should do about it.
    pub advice: &'static str,
}

impl Problem {
    /// All problems, in the order of their status.
    pub const ALL: [Self; 20] = [
        Self::Malformed,
        Self::Refused,
        Self::NotAuthenticated,
        Self::InvalidKey,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::SlowRequest,
        Self::Conflict,
        Self::TooLarge,
        Self::NoRoom,
        Self::UriTooLong,
        Self::Compressed,
        Self::Invalid,
        Self::RateLimited,
        Self::HeadersTooLarge,
        Self::Internal,
        Self::Unavailable,
        Self::Unsettled,
        Self::Timeout,
    ];

    /// Returns this problem's row of the table.
    pub fn row(self) -> Row {
        let (status, slug, title, advice) = match self {
            Self::Malformed => (
                StatusCode::BAD_REQUEST,
                "malformed",
                "Not a valid request",
                "Look at what your client sends: plain HTTP/1.1, and no control characters in headers. TLS is \
                 spoken by a proxy in front of the server, not by the server.",
            ),
            Self::Refused => (
                StatusCode::BAD_REQUEST,
                "refused",
                "Refused",
                "`detail` names what is never accepted: an empty list, an unknown type of event, a path that \
                 leaves the repository.",
            ),
            Self::NotAuthenticated => (
                StatusCode::UNAUTHORIZED,
                "not-authenticated",
                "Not authenticated",
                "Send your API key in the header that `detail` names; POST /api/v1/keys gives you one.",
            ),
            Self::InvalidKey => (
                StatusCode::UNAUTHORIZED,
                "invalid-key",
                "Invalid API key",
                "Check the key for missing characters. A revoked or rotated key does not come back.",
            ),
            Self::Forbidden => (
                StatusCode::FORBIDDEN,
                "forbidden",
                "Forbidden",
                "The key is fine and the account may not do this; `detail` says what it lacks.",
            ),
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                "not-found",
                "Not found",
                "Check the path and the id. What was deleted does not come back.",
            ),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "Method not allowed",
                "The `Allow` header lists the methods of this path.",
            ),
            Self::SlowRequest => (
                StatusCode::REQUEST_TIMEOUT,
                "slow-request",
                "Request took too long to arrive",
                "Send the body without pauses, or send less.",
            ),
            Self::Conflict => (
                StatusCode::CONFLICT,
                "conflict",
                "Conflict",
                "`detail` names what is already there. Sending the same again changes nothing.",
            ),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                "Body too large",
                "Send less; `detail` names the limit.",
            ),
            Self::NoRoom => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "no-room",
                "No room left",
                "Delete sessions that you do not need, or ask the operator to prune old ones or to raise the limit.",
            ),
            Self::UriTooLong => (
                StatusCode::URI_TOO_LONG,
                "uri-too-long",
                "Address too long",
                "Send what is long in a body.",
            ),
            Self::Compressed => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "compressed",
                "Body is compressed",
                "Send the body as it is, without a `Content-Encoding` header.",
            ),
            Self::Invalid => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid",
                "Invalid request",
                "`field` names the part of the request and `detail` what it must be.",
            ),
            Self::RateLimited => (
                StatusCode::TOO_MANY_REQUESTS,
                "rate-limited",
                "Too many requests",
                "Wait the number of seconds in `Retry-After`. The `RateLimit` header of every answer \
                 says how many requests are left.",
            ),
            Self::HeadersTooLarge => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "headers-too-large",
                "Headers too large",
                "Send fewer and shorter headers; often the cookies of other services are too many.",
            ),
            Self::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "Internal error",
                "This is a bug. Report it with the `request_id`, under which the log has the cause.",
            ),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "Temporarily unavailable",
                "Nothing was written. Send the same again after `Retry-After` seconds.",
            ),
            Self::Unsettled => (
                StatusCode::SERVICE_UNAVAILABLE,
                "unsettled",
                "Outcome unknown",
                "Whether the write was done is not known: repeat it with the same `Idempotency-Key`, or \
                 look before you repeat it.",
            ),
            Self::Timeout => (
                StatusCode::SERVICE_UNAVAILABLE,
                "timeout",
                "Answer took too long",
                "Whether a write was done is not known: repeat it with the same `Idempotency-Key`, or \
                 look before you repeat it.",
            ),
        };
        Row {
            status,
            slug,
            title,
            advice,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_has_its_own_address() {
        let slugs: std::collections::HashSet<_> =
            Problem::ALL.iter().map(|p| p.row().slug).collect();
        assert_eq!(slugs.len(), Problem::ALL.len());
    }
}
