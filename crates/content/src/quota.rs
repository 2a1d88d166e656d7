//! How much a store may take of its disk.

use std::str::FromStr;

/// In bytes, or as a part of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quota {
    Bytes(u64),
    Percent(u8),
}

impl Quota {
    /// In bytes, on a disk of that size.
    #[must_use]
    pub fn bytes(self, disk: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => disk / 100 * u64::from(percent),
        }
    }
}

impl FromStr for Quota {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is no size: write bytes, 20G, 1.5T, or a part of the disk such as 50%");
        if let Some(percent) = text.strip_suffix('%') {
            let percent: u8 = percent.parse().map_err(|_| wrong())?;
            return if percent <= 100 { Ok(Self::Percent(percent)) } else { Err(wrong()) };
        }
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let shift = match unit.trim_end_matches("iB").trim_end_matches('B') {
            "" => 0,
            "K" => 10,
            "M" => 20,
            "G" => 30,
            "T" => 40,
            _ => return Err(wrong()),
        };
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let bytes = (number * (1_u64 << shift) as f64) as u64;
        Ok(Self::Bytes(bytes))
    }
}

impl std::fmt::Display for Quota {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{bytes}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_parts_are_read_as_people_write_them() {
        for (text, bytes) in
            [("0", 0), ("1000", 1000), ("20G", 20 << 30), ("1.5TiB", 3 << 39), ("50%", 500), ("5MB", 5 << 20)]
        {
            assert_eq!(text.parse().map(|quota: Quota| quota.bytes(1000)), Ok(bytes), "{text}");
        }
        for text in ["", "%", "101%", "-1", "G", "20X", "1.2.3"] {
            assert!(text.parse::<Quota>().is_err(), "{text}");
        }
    }
}
