//! Paths as programs give them.

use super::errno::Errno;

/// Bytes of a path at most.
pub(crate) const MOST_PATH: usize = 4096;
/// Bytes of one part at most.
const MOST_NAME: usize = 255;

/// A path below some folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Relative<'a> {
    /// Names from that folder on: none is empty, `.` or `..`. None at all is the folder itself.
    pub names: Vec<&'a str>,
    /// It ends in `/`, `.` or `..`, so it has to name a folder.
    pub folder: bool,
}

/// Takes a path apart. `..` takes away the name before it; there are no links that it could lead astray.
///
/// # Errors
///
/// [`Errno::NotCapable`] if it is absolute or leads out of the folder, others if it is no path at all.
pub(crate) fn relative(path: &[u8]) -> Result<Relative<'_>, Errno> {
    if path.is_empty() {
        return Err(Errno::NotFound);
    }
    if path.len() > MOST_PATH {
        return Err(Errno::NameTooLong);
    }
    let path = std::str::from_utf8(path).map_err(|_| Errno::BadText)?;
    if path.contains('\0') {
        return Err(Errno::BadText);
    }
    if path.starts_with('/') {
        return Err(Errno::NotCapable);
    }
    let mut relative = Relative { names: Vec::new(), folder: false };
    for name in path.split('/') {
        relative.folder = matches!(name, "" | "." | "..");
        match name {
            "" | "." => {}
            ".." => {
                relative.names.pop().ok_or(Errno::NotCapable)?;
            }
            name if name.len() > MOST_NAME => return Err(Errno::NameTooLong),
            name => relative.names.push(name),
        }
    }
    Ok(relative)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(path: &str) -> Result<Vec<&str>, Errno> {
        relative(path.as_bytes()).map(|relative| relative.names)
    }

    #[test]
    fn dots_lead_nowhere_outside() {
        assert_eq!(names("a/b/../c//./d"), Ok(vec!["a", "c", "d"]));
        assert_eq!(names("a/.."), Ok(vec![]));
        for path in ["..", "a/../..", "/etc/shadow", "./../a", "a/../../a", "//"] {
            assert_eq!(names(path), Err(Errno::NotCapable), "{path}");
        }
        assert_eq!(names("a\0b"), Err(Errno::BadText));
        assert_eq!(names(&"a".repeat(256)), Err(Errno::NameTooLong));
        assert!(relative(b"a/").is_ok_and(|path| path.folder));
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_path_that_leaves(path in prop::collection::vec(prop_oneof![
            3 => Just(b'/'), 3 => Just(b'.'), 1 => any::<u8>()
        ], 0..64)) {
            if let Ok(relative) = relative(&path) {
                for name in relative.names {
                    prop_assert!(!["", ".", ".."].contains(&name) && !name.contains(['/', '\0']));
                }
            }
        }

        #[test]
        fn a_path_means_what_the_file_system_takes_it_for(parts in prop::collection::vec("a|b|\\.|\\.\\.|", 1..12)) {
            let path = parts.join("/");
            let mut at = vec![];
            let mut inside = !path.starts_with('/') && !path.is_empty();
            for part in &parts {
                match part.as_str() {
                    "" | "." => {}
                    ".." => inside &= at.pop().is_some(),
                    name => at.push(name),
                }
            }
            match relative(path.as_bytes()) {
                Ok(relative) => { prop_assert!(inside); prop_assert_eq!(relative.names, at); }
                Err(_) => prop_assert!(!inside),
            }
        }
    }
}
