//! Secrets at rest. In: a key from a file, a secret and the name of the thing it belongs to. Out:
//! ciphertext for a column, and back. Deliberately absent: where ciphertext is kept, and who may see a
//! secret: the file's owner decides that.

mod key;
mod secret;
mod token;

pub use key::{Error, Vault, make_key_file};
pub use secret::Secret;
pub use token::{TOKEN_PREFIX, Token};
