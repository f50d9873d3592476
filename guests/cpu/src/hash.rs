//! A password's hash: Argon2id (RFC 9106), with what OWASP asks for unless told otherwise.

use argon2::{Argon2, Params, PasswordHasher as _};
use wasip3::random::random;

use crate::{Done, TEXT, query::Query};

/// What RFC 9106 recommends.
const SALT_BYTES: u64 = 16;

pub(crate) fn hash(query: &Query<'_>, password: &[u8]) -> Done {
    let memory = query.number("m", Params::DEFAULT_M_COST)?;
    let passes = query.number("t", Params::DEFAULT_T_COST)?;
    let salt = match query.text("salt") {
        Some(salt) => salt.as_bytes().to_vec(),
        None => random::get_random_bytes(SALT_BYTES),
    };
    let params = Params::new(memory, passes, Params::DEFAULT_P_COST, None);
    let params = params.map_err(|error| format!("m={memory}, t={passes}: {error}"))?;
    let hash = Argon2::from(params).hash_password_with_salt(password, &salt);
    let hash = hash.map_err(|error| format!("this cannot be hashed: {error}"))?;
    Ok((TEXT, format!("{hash}\n").into_bytes()))
}
