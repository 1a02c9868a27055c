//! What can go wrong with every call.

pub use super::super::aws::Refusal;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    ExpiredToken,
    InvalidClientTokenId,
    /// The web identity's token is not one that the role's provider signed.
    InvalidIdentityToken,
    SignatureDoesNotMatch,
    Throttling,
    UnavailableHtml,
    /// 200 with tokens inside something that is not XML.
    Unparsable,
    /// 200 with a result that has no credentials.
    Empty,
    Hang,
    Close,
}

impl Fault {
    pub const ALL: [Self; 10] = [
        Self::ExpiredToken,
        Self::InvalidClientTokenId,
        Self::InvalidIdentityToken,
        Self::SignatureDoesNotMatch,
        Self::Throttling,
        Self::UnavailableHtml,
        Self::Unparsable,
        Self::Empty,
        Self::Hang,
        Self::Close,
    ];

    pub fn refusal(self, quoted: &str) -> Option<Refusal> {
        let (status, code, text) = match self {
            Self::ExpiredToken => (
                403,
                "ExpiredToken",
                "The security token included in the request is expired",
            ),
            Self::InvalidClientTokenId => (
                403,
                "InvalidClientTokenId",
                "The security token included in the request is invalid.",
            ),
            Self::InvalidIdentityToken => (
                400,
                "InvalidIdentityToken",
                "No OpenIDConnect provider found in your account for the token.",
            ),
            Self::SignatureDoesNotMatch => (
                403,
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided.",
            ),
            Self::Throttling => (400, "Throttling", "Rate exceeded"),
            _ => return None,
        };
        Some((status, code, format!("{text} {quoted}")))
    }
}
