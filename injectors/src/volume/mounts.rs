//! The mount table of a process, as the kernel tells it: proc(5), `/proc/PID/mountinfo`.

use std::fs;

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// Of the file system: `0:57`.
    pub(super) device: String,
    /// What of it is mounted; `/` is all.
    pub(super) root: String,
    /// Where.
    pub(super) point: String,
}

/// The table of a process, `self` for our own.
pub(super) fn mounts(of: &str) -> Result<Vec<Mount>, String> {
    let path = format!("/proc/{of}/mountinfo");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    parse(&text).ok_or_else(|| format!("{path} is not understood"))
}

fn parse(text: &str) -> Option<Vec<Mount>> {
    let mount = |line: &str| {
        let mut fields = line.split(' ').skip(2);
        let mut next = || fields.next().map(plain);
        Some(Mount { device: next()?, root: next()?, point: next()? })
    };
    text.lines().map(mount).collect()
}

/// Blanks and backslashes are written as octal numbers: `\040`.
fn plain(field: &str) -> String {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| *first == b'\\');
        let octal = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let octal = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(octal.unwrap_or(*first));
        rest = if octal.is_some() { &after[3..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_device_root_and_place() {
        let text = "36 35 98:0 /sub /mnt/a\\040b rw,noatime master:1 - ext3 /dev/root rw\n\
                    40 36 0:57 / /mnt/c\\134d rw - tmpfs gameday-lab rw,size=1024k\n";
        let found = parse(text).unwrap();
        let mount = |device: &str, root: &str, point: &str| Mount {
            device: device.to_owned(),
            root: root.to_owned(),
            point: point.to_owned(),
        };
        assert_eq!(found, [mount("98:0", "/sub", "/mnt/a b"), mount("0:57", "/", "/mnt/c\\d")]);
        assert_eq!(parse("36 35 98:0 /sub"), None);
    }

    #[test]
    fn our_own_table_has_a_root() {
        let own = mounts("self").unwrap();
        assert!(own.iter().any(|mount| mount.point == "/"), "{own:?}");
        assert!(mounts("no-such-process").is_err());
    }
}
