//! Files that are mostly zeros, as archives have them: what is zero takes no disk.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

/// Writes all of `reader` to `file`, a new one; pieces that are all zero are left out.
///
/// # Errors
/// Reading or writing fails.
pub fn copy_with_holes(reader: &mut impl Read, file: &mut File) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    let mut size = 0;
    loop {
        let count = reader.read(&mut buffer)?;
        let piece = &buffer[..count];
        size += count as u64;
        match piece {
            [] => return file.set_len(size),
            zeros if zeros.iter().all(|byte| *byte == 0) => drop(file.seek(SeekFrom::Start(size))?),
            piece => file.write_all(piece)?,
        }
    }
}

/// Whether an entry is a sparse file that lies in the archive in pieces, behind a map of them: GNU tar's extended
/// headers say so (its manual, "Storing Sparse Files"). Unpacked like any other it would have other bytes.
///
/// # Errors
/// Reading the headers fails.
pub fn is_in_pieces(entry: &mut tar::Entry<'_, impl Read>) -> io::Result<bool> {
    let Some(records) = entry.pax_extensions()? else { return Ok(false) };
    Ok(records.flatten().any(|record| record.key_bytes().starts_with(b"GNU.sparse.")))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn zeros_take_no_disk_and_are_there() {
        let (zeros, half) = (vec![0; 4 << 20], vec![b'x'; 100]);
        let content = [zeros.clone(), half.clone(), zeros].concat();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sparse");
        copy_with_holes(&mut &content[..], &mut File::create(&path).unwrap()).unwrap();
        assert!(std::fs::read(&path).unwrap() == content);
        assert!(std::fs::metadata(&path).unwrap().blocks() * 512 < 1 << 20);
    }
}
