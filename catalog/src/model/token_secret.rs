//! The secret of a token: making it, reading it from a request, and comparing it.
//!
//! Owns: the form `slt_<id>_<secret>`, its hash, and the comparison in constant time. Does not own: the rights of a token
//! (`token`), storing the hash (`sql`).
//!
//! The secret part has 256 random bits, so that a plain SHA-256 is as hard to undo as the secret is to guess; a slow
//! hash, which passwords of people need, would only slow each request down. The id finds the row; it is no secret.

use std::fmt;

use common::secret::Secret;
use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use ring::rand::{SecureRandom, SystemRandom};
use subtle::ConstantTimeEq;

/// The beginning of each token, by which scanners of source code find a lost one.
const PREFIX: &str = "slt";
const ID_BYTES: usize = 8;
const SECRET_BYTES: usize = 32;

/// The SHA-256 of a whole token. Two are compared in constant time, and none is shown.
#[derive(Clone, Copy)]
pub struct TokenHash([u8; SHA256_OUTPUT_LEN]);

/// A new token, with the text that its holder sends.
#[derive(Clone, Debug)]
pub struct TokenSecret {
    text: Secret,
    presented: PresentedToken,
}

/// A token as a request presents it: its id, and the hash of all of it.
#[derive(Clone, Debug)]
pub struct PresentedToken {
    id: String,
    hash: TokenHash,
}

impl TokenSecret {
    /// A token that nobody can guess.
    pub fn generate() -> Self {
        let mut random = [0; ID_BYTES + SECRET_BYTES];
        SystemRandom::new().fill(&mut random).expect("the system gives random bytes");
        let (id, secret) = random.split_at(ID_BYTES);
        let text = format!("{PREFIX}_{}_{}", hex(id), hex(secret));
        let presented = PresentedToken::parse(&text).expect("it has the form of a token");
        Self { text: text.into(), presented }
    }

    /// The text for its holder, to be shown once.
    pub fn expose(&self) -> &str {
        self.text.expose()
    }

    /// The part that is no secret.
    pub fn id(&self) -> &str {
        &self.presented.id
    }

    /// The hash, for the catalog.
    pub fn hash(&self) -> TokenHash {
        self.presented.hash
    }
}

impl PresentedToken {
    /// Reads the text of a token; `None` if it has another form.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(PREFIX)?.strip_prefix('_')?.split_once('_')?;
        let is_hex = |part: &str, bytes: usize| part.len() == 2 * bytes && unhex(part).is_some();
        if !is_hex(id, ID_BYTES) || !is_hex(secret, SECRET_BYTES) {
            return None;
        }
        let hash = digest(&SHA256, text.as_bytes());
        let hash = TokenHash(hash.as_ref().try_into().expect("SHA-256 has 32 bytes"));
        Some(Self { id: id.to_owned(), hash })
    }

    /// The part that is no secret.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// True if this is the token with that hash. Takes the same time for every hash.
    pub fn matches(&self, hash: &TokenHash) -> bool {
        self.hash == *hash
    }
}

impl TokenHash {
    /// The hash in lower-case hexadecimal, as the catalog stores it.
    pub fn to_hex(&self) -> String {
        hex(&self.0)
    }

    /// Reads that form; `None` for anything else.
    pub fn from_hex(text: &str) -> Option<Self> {
        Some(Self(unhex(text)?.try_into().ok()?))
    }
}

impl PartialEq for TokenHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for TokenHash {}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash")
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes of lower-case hexadecimal; `None` for anything else.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let pair = |pair: &[u8]| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?);
    text.as_bytes().chunks(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_by_its_id_and_known_by_its_hash() {
        let (token, other) = (TokenSecret::generate(), TokenSecret::generate());
        assert_eq!(token.expose().len(), "slt_".len() + 16 + 1 + 64, "256 bits of secret");
        let presented = PresentedToken::parse(token.expose()).expect("a token");
        assert_eq!(presented.id(), token.id());
        assert!(presented.matches(&token.hash()) && !presented.matches(&other.hash()));
        assert_ne!((token.id(), token.expose()), (other.id(), other.expose()));
        // The id of one with the secret of another is neither.
        let (_, secret) = other.expose().rsplit_once('_').expect("a secret");
        let mixed = format!("slt_{}_{secret}", token.id());
        let mixed = PresentedToken::parse(&mixed).expect("the form of a token");
        assert!(!mixed.matches(&token.hash()) && !mixed.matches(&other.hash()));
    }

    #[test]
    fn the_hash_is_sha_256_of_the_whole_text() {
        let text = format!("slt_{}_{}", "0".repeat(16), "0".repeat(64));
        let hash = PresentedToken::parse(&text).expect("a token").hash;
        assert_eq!(hash.to_hex(), "4608507d388d43da17f3c138ab26de7694d80eb37474e8f07e29f11159a2000c");
        assert_eq!(TokenHash::from_hex(&hash.to_hex()), Some(hash));
        for wrong in ["", "0", "zz", &"a".repeat(62), &"A".repeat(64)] {
            assert_eq!(TokenHash::from_hex(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn other_texts_are_no_tokens() {
        let token = TokenSecret::generate();
        let text = token.expose();
        assert!(PresentedToken::parse(text).is_some());
        let upper = text.to_uppercase();
        for wrong in ["", "slt", "slt__", &text[1..], &text[..text.len() - 1], &format!("{text}0"), &upper, "é_é_é"]
        {
            assert!(PresentedToken::parse(wrong).is_none(), "{wrong}");
        }
        assert!(PresentedToken::parse(&format!(" {text}")).is_none());
    }
}
