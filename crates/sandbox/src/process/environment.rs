//! What an environment of Python is, told so that it is the same wherever it lies.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Where the Python lies that an environment was made from, which it is nothing without.
pub(super) fn base(folder: &Path) -> Option<PathBuf> {
    let settings = fs::read_to_string(folder.join("pyvenv.cfg")).ok()?;
    let home = settings.lines().find_map(|line| line.split_once('=').filter(|(name, _)| name.trim() == "home"))?.1;
    Some(Path::new(home.trim()).parent()?.to_owned())
}

/// The version of Python and the packages that are in a folder, or the folder's name if there are none.
pub(super) fn describe(folder: &Path) -> String {
    let mut found = BTreeSet::new();
    for python in names(&folder.join("lib")).filter(|name| name.starts_with("python")) {
        let packages = names(&folder.join("lib").join(&python).join("site-packages"));
        found.extend(packages.filter_map(|name| name.strip_suffix(".dist-info").map(str::to_owned)));
        found.insert(python);
    }
    match found.is_empty() {
        true => folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        false => found.into_iter().collect::<Vec<_>>().join(" "),
    }
}

fn names(folder: &Path) -> impl Iterator<Item = String> + use<> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name().to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_is_told_by_its_packages_wherever_it_lies() {
        let folder = tempfile::tempdir().unwrap();
        let tell = |name: &str| {
            let packages = folder.path().join(name).join("lib/python3.11/site-packages");
            for package in ["numpy-2.4.0.dist-info", "numpy", "pandas-3.0.0.dist-info"] {
                fs::create_dir_all(packages.join(package)).unwrap();
            }
            describe(&folder.path().join(name))
        };
        assert_eq!(tell("one"), "numpy-2.4.0 pandas-3.0.0 python3.11");
        assert_eq!(tell("one"), tell("other"));
        fs::create_dir(folder.path().join("plain")).unwrap();
        assert_eq!(base(&folder.path().join("plain")), None);
        fs::write(folder.path().join("plain/pyvenv.cfg"), "version = 3.11.7\nhome = /opt/python/bin\n").unwrap();
        assert_eq!(base(&folder.path().join("plain")), Some("/opt/python".into()));
        assert_eq!(describe(&folder.path().join("plain")), "plain");
    }
}
