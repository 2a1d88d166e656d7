//! The site's certificate authorities, as long as a RUN runs. In: their PEM; the RUN's files. Out: one file to
//! be shown in the sandbox and the variables that lead to it; and the image's own list of authorities, with the
//! site's at its end. Afterwards that end is cut off again, so that no layer has it. Deliberately absent: a mount
//! on the image's list, which `update-ca-certificates` could not put a new one in the place of.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, OFlags, Stat, Timespec, Timestamps};
use sandbox::Shown;

use crate::Error;
use crate::rooted::{Root, reopen};

/// Where a RUN finds the bundle: below the `/dev` that the runtime makes, so that no layer gets a place for it.
pub(crate) const PLACE: &str = "/dev/slipway/ca-bundle.pem";

/// Who asks which variable. What is not here reads the image's own list.
const VARIABLES: [&str; 7] = [
    // OpenSSL and with it Python's ssl, Ruby and Perl; Go; rustls; curl.
    "SSL_CERT_FILE",
    // curl with another TLS library.
    "CURL_CA_BUNDLE",
    // Python's requests and botocore, which bring a list of their own.
    "REQUESTS_CA_BUNDLE",
    // pip, likewise.
    "PIP_CERT",
    // Node and npm, likewise; trusted beside it.
    "NODE_EXTRA_CA_CERTS",
    // git tells its curl of no other list.
    "GIT_SSL_CAINFO",
    // cargo's own curl.
    "CARGO_HTTP_CAINFO",
];

/// Where distributions have their list (Go's crypto/x509, `root_linux.go`).
const LISTS: [&str; 6] = [
    "etc/ssl/certs/ca-certificates.crt",
    "etc/pki/tls/certs/ca-bundle.crt",
    "etc/ssl/ca-bundle.pem",
    "etc/pki/tls/cacert.pem",
    "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "etc/ssl/cert.pem",
];

/// A list that is longer is none.
const MAX_LIST: u64 = 16 << 20;

/// What one RUN was given.
#[derive(Default)]
pub(crate) struct Trusted {
    shown: Option<Shown>,
    /// What stands at the end of the lists.
    end: Vec<u8>,
    /// The image's lists, open: a list that the command gives another name is found as well.
    lists: Vec<(&'static str, File)>,
}

impl Trusted {
    /// Writes the site's authorities to the end of the image's lists, and the whole into `file`.
    ///
    /// # Errors
    /// A file can't be read or written.
    pub(crate) fn prepare(bundle: Option<&str>, root: &Root, file: PathBuf) -> Result<Self, Error> {
        let Some(bundle) = bundle else { return Ok(Self::default()) };
        let mut trusted = Self { end: end_of_list(bundle), ..Self::default() };
        let mut all = Vec::new();
        for name in LISTS {
            let Some(mut list) = open_list(root, Path::new(name)).map_err(changing(name))? else { continue };
            let content = read(&mut list).map_err(reading(name))?;
            // Several names may lead to one list.
            if !content.ends_with(&trusted.end) {
                append(&mut list, &trusted.end).map_err(changing_io(name))?;
                trusted.lists.push((name, list));
            }
            if all.is_empty() {
                all = content;
            }
        }
        if all.is_empty() {
            // An image without a list may get one in this RUN: `apt-get install ca-certificates`.
            all = the_hosts_list();
        }
        all.extend(&trusted.end);
        std::fs::write(&file, &all).map_err(Error::io("Writing the certificate authorities"))?;
        trusted.shown = Some(Shown { source: file, destination: PathBuf::from(PLACE) });
        Ok(trusted)
    }

    pub(crate) fn shown(&self) -> impl Iterator<Item = Shown> {
        self.shown.clone().into_iter()
    }

    /// Names of variables that lead to [`PLACE`].
    pub(crate) fn variables(&self) -> &'static [&'static str] {
        if self.shown.is_some() { &VARIABLES } else { &[] }
    }

    /// Takes the site's authorities out of the image's lists again, under the name they had and in the files
    /// that they were written to.
    ///
    /// # Errors
    /// A list can't be changed.
    pub(crate) fn clear(self, root: &Root) -> Result<(), Error> {
        for (name, mut list) in self.lists {
            cut(&mut list, &self.end).map_err(changing_io(name))?;
            drop(list);
            if let Some(mut list) = open_list(root, Path::new(name)).map_err(changing(name))? {
                cut(&mut list, &self.end).map_err(changing_io(name))?;
            }
        }
        Ok(())
    }
}

/// Told apart from everything else that a list may hold.
fn end_of_list(bundle: &str) -> Vec<u8> {
    format!("\n# Slipway: this site's certificate authorities, while a step runs\n{}\n", bundle.trim())
        .into_bytes()
}

/// A regular file of usual size, links followed within the root.
fn open_list(root: &Root, path: &Path) -> Result<Option<File>, rustix::io::Errno> {
    use rustix::io::Errno;
    let found = match root.open_at(path, OFlags::PATH) {
        Ok(found) => found,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS) => return Ok(None),
        Err(errno) => return Err(errno),
    };
    let stat = rustix::fs::fstat(&found)?;
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    match is_file && u64::try_from(stat.st_size).unwrap_or(u64::MAX) <= MAX_LIST {
        true => read_and_write(found).map(Some),
        false => Ok(None),
    }
}

/// Open for writing it is copied into the layer that is being made, with its owner, mode and times.
fn read_and_write(found: OwnedFd) -> Result<File, rustix::io::Errno> {
    Ok(File::from(reopen(found, OFlags::RDWR)?))
}

fn read(list: &mut File) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    list.seek(SeekFrom::Start(0))?;
    list.read_to_end(&mut content)?;
    Ok(content)
}

fn append(list: &mut File, end: &[u8]) -> std::io::Result<()> {
    keeping_times(list, |list| {
        list.seek(SeekFrom::End(0))?;
        list.write_all(end)
    })
}

/// Wherever it stands by now: a command may have put something behind it.
fn cut(list: &mut File, end: &[u8]) -> std::io::Result<()> {
    let content = read(list)?;
    let Some(at) = content.windows(end.len()).position(|part| part == end) else { return Ok(()) };
    keeping_times(list, |list| {
        list.seek(SeekFrom::Start(at as u64))?;
        list.write_all(&content[at + end.len()..])?;
        list.set_len((content.len() - end.len()) as u64)
    })
}

fn keeping_times(
    list: &mut File,
    change: impl FnOnce(&mut File) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let kept = times(&rustix::fs::fstat(&*list)?);
    change(list)?;
    Ok(rustix::fs::futimens(&*list, &kept)?)
}

fn times(stat: &Stat) -> Timestamps {
    let time = |seconds, nanoseconds: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: i64::try_from(nanoseconds).unwrap_or(0),
    };
    Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    }
}

fn the_hosts_list() -> Vec<u8> {
    LISTS.iter().find_map(|name| std::fs::read(Path::new("/").join(name)).ok()).unwrap_or_default()
}

fn reading(name: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    Error::io(format!("Reading /{name}"))
}

fn changing_io(name: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    Error::io(format!("Changing /{name}"))
}

fn changing(name: &'static str) -> impl FnOnce(rustix::io::Errno) -> Error {
    Error::errno("Opening", Path::new(name))
}
