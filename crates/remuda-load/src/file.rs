//! Reading files that somebody has named.
//!
//! Invariant: no file takes more memory than was thought of: pipes are welcome, and one that
//! never ends is an error.

use std::{
    fs::File,
    io::{Error, ErrorKind, Read as _, Result},
    path::Path,
};

/// All of a file, if it is not longer than `most` bytes.
///
/// # Errors
/// When it cannot be read or is longer.
pub(crate) fn read(path: &Path, most: u64) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut content)?;
    if content.len() as u64 > most {
        let text = format!("it has more than {} MiB", most >> 20);
        return Err(Error::new(ErrorKind::FileTooLarge, text));
    }
    Ok(content)
}

/// The same, of text.
///
/// # Errors
/// When it cannot be read, is longer, or is not UTF-8.
pub(crate) fn read_text(path: &Path, most: u64) -> Result<String> {
    let not_text = |_| Error::new(ErrorKind::InvalidData, "it is not UTF-8 text");
    String::from_utf8(read(path, most)?).map_err(not_text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_an_end_is_not_read() {
        let told = read(Path::new("/dev/zero"), 1 << 20).unwrap_err().to_string();
        assert_eq!(told, "it has more than 1 MiB");
        assert_eq!(read_text(Path::new("/dev/null"), 0).unwrap(), "");
    }
}
