//! Layers written and read by the stories themselves.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

#[derive(Default)]
pub(crate) struct Tarball {
    builder: Option<tar::Builder<Vec<u8>>>,
}

impl Tarball {
    pub(crate) fn folder(&mut self, path: &str) -> &mut Self {
        self.entry(path, tar::EntryType::Directory, 0o755, b"", None)
    }

    pub(crate) fn file(&mut self, path: &str, mode: u32, content: &[u8]) -> &mut Self {
        self.entry(path, tar::EntryType::Regular, mode, content, None)
    }

    pub(crate) fn symlink(&mut self, path: &str, target: &str) -> &mut Self {
        self.entry(path, tar::EntryType::Symlink, 0o777, b"", Some(target))
    }

    fn entry(
        &mut self,
        path: &str,
        kind: tar::EntryType,
        mode: u32,
        content: &[u8],
        link: Option<&str>,
    ) -> &mut Self {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000_000);
        header.set_size(content.len() as u64);
        if let Some(link) = link {
            header.set_link_name_literal(link).unwrap();
        }
        // By hand: names that climb are wanted here, and refused by `set_path`.
        header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        let builder = self.builder.get_or_insert_with(|| tar::Builder::new(Vec::new()));
        builder.append(&header, content).unwrap();
        self
    }

    pub(crate) fn finish(&mut self) -> Vec<u8> {
        self.builder.take().unwrap().into_inner().unwrap()
    }
}

/// A tar of these files, mode 0644.
pub(crate) fn tar_of(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = Tarball::default();
    for (path, text) in files {
        tar.file(path, 0o644, text.as_bytes());
    }
    tar.finish()
}

/// One entry of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Without a `/` at its end.
    pub(crate) path: String,
    pub(crate) kind: tar::EntryType,
    pub(crate) mode: u32,
    pub(crate) owner: (u64, u64),
    pub(crate) mtime: u64,
    pub(crate) link: Option<String>,
    pub(crate) text: String,
    pub(crate) xattrs: BTreeMap<String, String>,
}

/// The entries of a compressed layer, in its order.
pub(crate) fn list(blob: &[u8]) -> Vec<Listed> {
    let tar = content::decompress(Cursor::new(blob.to_vec())).unwrap();
    let mut archive = tar::Archive::new(tar);
    archive.entries().unwrap().map(|entry| read(entry.unwrap())).collect()
}

fn read(mut entry: tar::Entry<'_, impl Read>) -> Listed {
    let mut xattrs = BTreeMap::new();
    if let Some(extensions) = entry.pax_extensions().unwrap() {
        for extension in extensions.flatten() {
            if let Some(name) = extension.key().unwrap().strip_prefix("SCHILY.xattr.") {
                xattrs.insert(name.to_owned(), String::from_utf8_lossy(extension.value_bytes()).into_owned());
            }
        }
    }
    let mut content = Vec::new();
    entry.read_to_end(&mut content).unwrap();
    let header = entry.header();
    Listed {
        path: entry.path().unwrap().to_str().unwrap().trim_end_matches('/').to_owned(),
        kind: header.entry_type(),
        mode: header.mode().unwrap() & 0o7777,
        owner: (header.uid().unwrap(), header.gid().unwrap()),
        mtime: header.mtime().unwrap(),
        link: entry.link_name().unwrap().map(|l| l.to_str().unwrap().to_owned()),
        text: String::from_utf8_lossy(&content).into_owned(),
        xattrs,
    }
}
