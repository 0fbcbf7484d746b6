//! Licences that lie with data: a file that is called so, or what stands at the head of a README.

use serde::{Deserialize, Serialize};
use std::{fs::File, io::Read as _, path::Path};

/// Bytes of a licence or a README that are looked at.
const MOST: u64 = 16 << 10;

/// A licence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Licence {
    /// Its SPDX identifier, or what the README says; nothing if its text is none that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The file in which it stands.
    pub file: String,
}

impl Licence {
    /// Whether it says a name where the other one does not.
    pub(super) fn knows_more_than(&self, other: &Self) -> bool {
        self.name.is_some() && other.name.is_none()
    }
}

/// What texts of licences say in their first lines, in small letters and with single spaces.
const TEXTS: [(&str, &str); 17] = [
    ("apache license version 2.0", "Apache-2.0"),
    ("mit license", "MIT"),
    ("permission is hereby granted, free of charge, to any person obtaining a copy", "MIT"),
    ("gnu affero general public license version 3", "AGPL-3.0-only"),
    ("gnu lesser general public license version 3", "LGPL-3.0-only"),
    ("gnu general public license version 3", "GPL-3.0-only"),
    ("gnu general public license version 2", "GPL-2.0-only"),
    ("mozilla public license version 2.0", "MPL-2.0"),
    ("cc0 1.0 universal", "CC0-1.0"),
    ("attribution-noncommercial-sharealike 4.0 international", "CC-BY-NC-SA-4.0"),
    ("attribution-noncommercial 4.0 international", "CC-BY-NC-4.0"),
    ("attribution-sharealike 4.0 international", "CC-BY-SA-4.0"),
    ("attribution 4.0 international", "CC-BY-4.0"),
    ("cc by 4.0", "CC-BY-4.0"),
    ("cc0", "CC0-1.0"),
    ("open database license (odbl) v1.0", "ODbL-1.0"),
    ("neither the name of the copyright holder", "BSD-3-Clause"),
];

/// The licence that a file of a folder is or names.
pub(super) fn of_file(name: &str, path: &Path) -> Option<Licence> {
    if !is_licence(name) && !is_readme(name) {
        return None;
    }
    let mut head = Vec::new();
    File::open(path).ok()?.take(MOST).read_to_end(&mut head).ok()?;
    of_text(name, &head)
}

/// The licence that a text of this name is or names.
pub(super) fn of_text(name: &str, head: &[u8]) -> Option<Licence> {
    let head = &head[..head.len().min(MOST as usize)];
    let (text, file) = (String::from_utf8_lossy(head), name.to_owned());
    if is_readme(name) {
        return front_matter(&text).map(|name| Licence { name: Some(name), file });
    }
    if !is_licence(name) {
        return None;
    }
    let tagged = text.lines().find_map(|line| line.split_once("SPDX-License-Identifier:"));
    let tagged = tagged.map(|(_, name)| plain(name)).filter(|name| !name.is_empty());
    let flat = text.to_lowercase().replace(',', "").split_whitespace().collect::<Vec<_>>().join(" ");
    let known =
        || TEXTS.iter().find(|(says, _)| flat.contains(&says.replace(',', ""))).map(|(_, name)| (*name).to_owned());
    Some(Licence { name: tagged.or_else(known), file })
}

fn is_licence(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().to_ascii_lowercase();
    ["license", "licence", "copying"].iter().any(|word| stem == *word || stem.starts_with(&format!("{word}-")))
}

fn is_readme(name: &str) -> bool {
    name.to_ascii_lowercase().starts_with("readme")
}

/// `license:` in the lines between `---` with which a README begins, as Hugging Face has them.
fn front_matter(text: &str) -> Option<String> {
    let mut lines = text.lines();
    if lines.next()?.trim() != "---" {
        return None;
    }
    let said = lines
        .take_while(|line| line.trim() != "---")
        .find_map(|line| line.strip_prefix("license:").or_else(|| line.strip_prefix("licence:")).map(plain));
    said.filter(|name| !name.is_empty())
}

/// A name as it is shown.
fn plain(name: &str) -> String {
    let name = name.trim().trim_matches(['"', '\'']);
    name.chars()
        .filter(|each| each.is_ascii_alphanumeric() || " .-+()_".contains(*each))
        .take(64)
        .collect::<String>()
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_are_known_by_their_text_or_what_a_readme_says() {
        let name = |file: &str, text: &str| of_text(file, text.as_bytes()).and_then(|licence| licence.name);
        assert_eq!(name("LICENSE", "MIT License\n\nCopyright").as_deref(), Some("MIT"));
        assert_eq!(
            name("LICENSE-APACHE", "  Apache License\n  Version 2.0, January 2004").as_deref(),
            Some("Apache-2.0")
        );
        assert_eq!(
            name("licence.txt", "Creative Commons\nAttribution 4.0 International").as_deref(),
            Some("CC-BY-4.0")
        );
        assert_eq!(name("COPYING", "SPDX-License-Identifier: ODbL-1.0\n").as_deref(), Some("ODbL-1.0"));
        assert_eq!(name("README.md", "---\ntags: x\nlicense: cc-by-4.0\n---\n").as_deref(), Some("cc-by-4.0"));
        assert_eq!(name("README.md", "license: none\n"), None);
        assert_eq!(of_text("LICENSE", b"All rights reserved."), Some(Licence { name: None, file: "LICENSE".into() }));
        assert_eq!(of_text("notes.txt", b"MIT License"), None);
    }
}
