//! Users and groups by the image's own `/etc/passwd` and `/etc/group`.

use std::io::Read;
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::Error;
use crate::error::MAX_ID;
use crate::rooted::{Root, open_file};

/// More is no account file but an attack.
const MAX_FILE: u64 = 16 << 20;

/// Who a process runs as.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Supplementary groups, the primary one among them.
    pub(crate) groups: Vec<u32>,
    pub(crate) home: String,
}

/// The two files of one root file system.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    passwd: String,
    group: String,
}

struct User<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

impl Accounts {
    /// # Errors
    /// A file exists and can't be read, is no regular file, or is larger than 16 MiB.
    pub(crate) fn read(root: &Root) -> Result<Self, Error> {
        Ok(Self { passwd: read(root, "etc/passwd")?, group: read(root, "etc/group")? })
    }

    /// USER's value, for a process. As Docker: an unknown number is taken as it is with group 0; groups
    /// that list the user are added unless a group was named.
    pub(crate) fn process(&self, user: &str) -> Result<Account, Error> {
        let (user, group) = split(user);
        let user = if user.is_empty() { "0" } else { user };
        let entry = self.users().find(|entry| entry.name == user);
        let entry = entry.or_else(|| self.users().find(|entry| user.parse() == Ok(entry.uid)));
        let (uid, gid, name, home) = match (&entry, user.parse::<u32>()) {
            (Some(entry), _) => (entry.uid, entry.gid, entry.name, entry.home),
            (None, Ok(uid)) => (uid, 0, "", if uid == 0 { "/root" } else { "/" }),
            (None, Err(_)) => return Err(no_user(user)),
        };
        let gid = group.map_or(Ok(gid), |group| self.group(group))?;
        within_limits([uid, gid])?;
        let mut groups = vec![gid];
        if group.is_none() {
            groups.extend(self.groups_of(name).filter(|g| *g != gid && *g <= MAX_ID));
        }
        let home = if home.is_empty() { "/" } else { home };
        Ok(Account { uid, gid, groups, home: home.to_owned() })
    }

    /// `--chown`'s value: uid and gid. A number alone is both; without a user it is root's.
    pub(crate) fn owner(&self, chown: &str) -> Result<(u32, u32), Error> {
        let (user, group) = split(chown);
        let user = if user.is_empty() { "0" } else { user };
        let (uid, gid) = match (self.users().find(|entry| entry.name == user), user.parse::<u32>()) {
            (Some(entry), _) => (entry.uid, entry.gid),
            (None, Ok(uid)) => (uid, uid),
            (None, Err(_)) => return Err(no_user(user)),
        };
        let gid = group.map_or(Ok(gid), |group| self.group(group))?;
        within_limits([uid, gid])?;
        Ok((uid, gid))
    }

    fn group(&self, name: &str) -> Result<u32, Error> {
        let mut groups = self.group.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let found = groups.find(|g| g.first() == Some(&name)).and_then(|g| g.get(2)?.parse().ok());
        found.or_else(|| name.parse().ok()).ok_or_else(|| Error::NoSuchAccount {
            kind: "group",
            name: name.to_owned(),
            file: "/etc/group",
        })
    }

    fn users(&self) -> impl Iterator<Item = User<'_>> {
        self.passwd.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let (uid, gid) = (fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?);
            let name = fields.first().filter(|name| !name.is_empty())?;
            Some(User { name, uid, gid, home: fields.get(5).unwrap_or(&"") })
        })
    }

    fn groups_of<'a>(&'a self, user: &'a str) -> impl Iterator<Item = u32> + 'a {
        self.group.lines().filter_map(move |line| {
            let fields: Vec<&str> = line.split(':').collect();
            let listed = fields.get(3)?.split(',').any(|member| !user.is_empty() && member == user);
            listed.then(|| fields.get(2)?.parse().ok())?
        })
    }
}

/// # Errors
/// An id that no cell maps.
pub(crate) fn within_limits(ids: [u32; 2]) -> Result<(), Error> {
    ids.into_iter().find(|id| *id > MAX_ID).map_or(Ok(()), |id| Err(Error::IdTooLarge(id)))
}

fn split(user: &str) -> (&str, Option<&str>) {
    match user.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|g| !g.is_empty())),
        None => (user, None),
    }
}

fn no_user(name: &str) -> Error {
    Error::NoSuchAccount { kind: "user", name: name.to_owned(), file: "/etc/passwd" }
}

fn read(root: &Root, path: &str) -> Result<String, Error> {
    let path = Path::new(path);
    let fd = match root.open_at(path, OFlags::PATH) {
        Ok(fd) => fd,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(String::new()),
        Err(errno) => return Err(Error::errno("Opening", path)(errno)),
    };
    let stat = rustix::fs::fstat(&fd).map_err(Error::errno("Looking at", path))?;
    let is_file = rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::RegularFile;
    if !is_file || stat.st_size.unsigned_abs() > MAX_FILE {
        return Err(Error::BadAccounts(path.display().to_string()));
    }
    let mut bytes = Vec::new();
    let file = open_file(&fd).map_err(Error::errno("Opening", path))?;
    file.take(MAX_FILE).read_to_end(&mut bytes).map_err(Error::io("Reading the image's accounts"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing test may panic")]
    use super::*;

    fn accounts() -> Accounts {
        Accounts {
            passwd: "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n".into(),
            group: "root:x:0:\napp:x:1001:\nvideo:x:44:other,app\n".into(),
        }
    }

    #[test]
    fn a_user_brings_its_groups_and_home() {
        let account = accounts().process("app").unwrap();
        assert_eq!(
            account,
            Account { uid: 1000, gid: 1001, groups: vec![1001, 44], home: "/home/app".into() }
        );
        assert_eq!(accounts().process("1000").unwrap(), account);
        assert_eq!(accounts().process("app:video").unwrap().groups, [44]);
    }

    #[test]
    fn a_number_needs_no_account_but_a_name_does() {
        let account = accounts().process("4711").unwrap();
        assert_eq!((account.uid, account.gid, account.home.as_str()), (4711, 0, "/"));
        assert!(accounts().process("nobody").is_err());
        assert!(accounts().process("app:nogroup").is_err());
        assert_eq!(Accounts::default().process("").unwrap().home, "/root");
    }

    #[test]
    fn chown_takes_a_lone_number_for_both() {
        assert_eq!(accounts().owner("55").unwrap(), (55, 55));
        assert_eq!(accounts().owner("app").unwrap(), (1000, 1001));
        assert_eq!(accounts().owner("55:video").unwrap(), (55, 44));
        assert!(accounts().owner("nobody").is_err());
        assert_eq!(accounts().owner(":video").unwrap(), (0, 44), "root's, with that group");
        for large in ["70000", "0:70000"] {
            assert!(matches!(accounts().owner(large), Err(Error::IdTooLarge(70000))), "{large}");
            assert_eq!(accounts().process(large).unwrap_err().into_failure().kind, "id_too_large");
        }
    }
}
