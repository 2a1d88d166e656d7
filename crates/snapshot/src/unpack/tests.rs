//! An archive ends at the limits, however small its blob was.
#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

use tar::{Builder, EntryType, Header};

use super::*;

/// Folders of two levels and one file, owned by who runs the test.
fn archive(names: &[&str]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for name in names {
        let mut header = Header::new_ustar();
        let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
        header.set_uid(user.as_raw().into());
        header.set_gid(group.as_raw().into());
        header.set_mode(0o755);
        header.set_size(0);
        header.set_entry_type(match name.ends_with('/') {
            true => EntryType::Directory,
            false => EntryType::Regular,
        });
        builder.append_data(&mut header, name, &b""[..]).unwrap();
    }
    builder.into_inner().unwrap()
}

fn unpacked(limits: Limits, tar: &[u8]) -> Result<Digest, Error> {
    let folder = tempfile::tempdir().unwrap();
    unpack_within(limits, folder.path(), Marks::User, tar)
}

#[test]
fn an_archive_ends_at_the_limits() {
    let tar = archive(&["abc/", "abc/f", "x/y/z"]);
    let all = Limits { bytes: tar.len() as u64, entries: 5, names: 7 };
    unpacked(all, &tar).unwrap();
    for less in
        [Limits { bytes: all.bytes - 1, ..all }, Limits { entries: 4, ..all }, Limits { names: 6, ..all }]
    {
        let error = unpacked(less, &tar).unwrap_err();
        let failure = error.failure();
        let told = (failure.kind.as_str(), failure.blame.as_str(), failure.hint.is_empty());
        assert_eq!(told, ("layer_too_large", "limits", false), "{less:?}");
    }
}

/// Extended headers that are small each, and never end.
#[test]
fn headers_without_an_entry_do_not_pile_up() {
    let value = vec![b'x'; 100_000];
    let mut builder = Builder::new(Vec::new());
    for number in 0..20 {
        let name = format!("SCHILY.xattr.user.n{number}");
        builder.append_pax_extensions([(name.as_str(), &value[..])]).unwrap();
    }
    let tar = builder.into_inner().unwrap();
    assert_eq!(unpacked(LIMITS, &tar).unwrap_err().failure().kind, "layer_invalid");
}
