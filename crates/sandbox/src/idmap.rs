//! The ids this process may hand on to a further user namespace.

use crate::Error;

/// As many ids as images use; more is never mapped.
const IDS: u32 = 65536;

/// First id and length of every extent of ids below 65536 that exists here. Each is mapped onto itself,
/// one extent for each of this namespace's own map: one that spans two is refused by the kernel.
///
/// # Errors
/// `/proc/self/uid_map` or `gid_map` can't be read.
pub(crate) fn identity(file: &str) -> Result<Vec<(u32, u32)>, Error> {
    let text = std::fs::read_to_string(file).map_err(Error::io(format!("Reading {file}")))?;
    Ok(extents(&text).collect())
}

/// Format: user_namespaces(7), "User and group ID mappings": inside, outside, length.
fn extents(map: &str) -> impl Iterator<Item = (u32, u32)> + '_ {
    map.lines().filter_map(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u32>);
        let (inside, length) = (numbers.next()?.ok()?, numbers.nth(1)?.ok()?);
        let size = length.min(IDS.checked_sub(inside)?);
        (size > 0).then_some((inside, size))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_extent_is_handed_on_and_no_more_than_images_use() {
        let one = |map| extents(map).collect::<Vec<_>>();
        assert_eq!(one("         0          0 4294967295\n"), [(0, 65536)]);
        assert_eq!(one("0 1000 1\n1 100000 65536\n"), [(0, 1), (1, 65535)]);
        assert_eq!(one("70000 1 10\n"), []);
    }
}
