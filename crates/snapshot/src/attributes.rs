//! Extended attributes: which are part of an image, and in which form.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::XattrFlags;
use rustix::io::Errno;

pub(crate) const CAPABILITY: &str = "security.capability";

/// Extended attributes, sorted by name.
pub(crate) type Attributes = Vec<(String, Vec<u8>)>;

/// What belongs to an image; overlayfs's own marks never do.
pub(crate) fn belongs(name: &str) -> bool {
    let user = name.starts_with("user.") && !name.starts_with("user.overlay.");
    user || matches!(name, CAPABILITY | "system.posix_acl_access" | "system.posix_acl_default")
}

/// All attributes of a file, a link at the end of `path` followed.
pub(crate) fn read(path: &Path) -> Result<Attributes, Errno> {
    let mut found = Attributes::new();
    for name in list(path)?.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let Ok(text) = std::str::from_utf8(name) else { continue };
        if let Some(value) = get(path, OsStr::from_bytes(name))? {
            found.push((text.to_owned(), value));
        }
    }
    found.sort();
    Ok(found)
}

fn list(path: &Path) -> Result<Vec<u8>, Errno> {
    loop {
        let size = match rustix::fs::listxattr_query(path) {
            Ok(size) => size,
            Err(Errno::OPNOTSUPP) => 0,
            Err(errno) => return Err(errno),
        };
        if size == 0 {
            return Ok(Vec::new());
        }
        let mut buffer = vec![0_u8; size];
        match rustix::fs::listxattr(path, buffer.as_mut_slice()) {
            Ok(size) => {
                buffer.truncate(size);
                return Ok(buffer);
            }
            Err(Errno::RANGE) => {}
            Err(errno) => return Err(errno),
        }
    }
}

fn get(path: &Path, name: &OsStr) -> Result<Option<Vec<u8>>, Errno> {
    let mut buffer = vec![0_u8; 1 << 16];
    match rustix::fs::getxattr(path, name, buffer.as_mut_slice()) {
        Ok(size) => {
            buffer.truncate(size);
            Ok(Some(buffer))
        }
        // Gone meanwhile, or for other eyes only.
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::PERM) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Sets what belongs to an image on the file that `path` itself names. A file system without such
/// attributes loses them, but never a capability.
pub(crate) fn write(path: &Path, attributes: &[(String, Vec<u8>)]) -> Result<(), Errno> {
    for (name, value) in attributes.iter().filter(|(name, _)| belongs(name)) {
        let value = if name == CAPABILITY { portable(value) } else { value.clone() };
        match rustix::fs::lsetxattr(path, name.as_str(), &value, XattrFlags::empty()) {
            Err(Errno::OPNOTSUPP | Errno::PERM | Errno::INVAL) if name != CAPABILITY => {}
            done => done?,
        }
    }
    Ok(())
}

/// A capability in revision 2: revision 3 adds the id of one user namespace's root, which means nothing
/// on another machine.
pub(crate) fn portable(capability: &[u8]) -> Vec<u8> {
    const FLAGS: u32 = 0x00ff_ffff;
    let Some((head, rest)) = capability.split_first_chunk::<4>() else { return capability.to_vec() };
    let head = u32::from_le_bytes(*head);
    if head & !FLAGS != 0x0300_0000 || rest.len() != 20 {
        return capability.to_vec();
    }
    let mut portable = (0x0200_0000 | head & FLAGS).to_le_bytes().to_vec();
    portable.extend_from_slice(&rest[..16]);
    portable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_loses_its_namespaces_root() {
        let mut third = vec![1, 0, 0, 3];
        third.extend([7; 16]);
        let mut second = vec![1, 0, 0, 2];
        second.extend([7; 16]);
        assert_eq!(portable(&second), second);
        third.extend(100_000_u32.to_le_bytes());
        assert_eq!(portable(&third), second);
        assert_eq!(portable(b"odd"), b"odd");
    }

    #[test]
    fn marks_of_overlayfs_are_no_part_of_an_image() {
        assert!(belongs("user.mime_type") && belongs(CAPABILITY));
        for name in ["user.overlay.opaque", "trusted.overlay.redirect", "security.selinux"] {
            assert!(!belongs(name), "{name}");
        }
    }
}
