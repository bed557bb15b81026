//! What stands beside a data set: where it comes from, under which licence, what was changed, file hashes.

use polytask_core::hash::sha256;

use super::DataFile;

/// A Creative Commons licence.
pub(super) struct Licence {
    /// Full name.
    name: &'static str,
    /// Where its legal text stands.
    url: &'static str,
    /// What it asks for, in a sentence.
    terms: &'static str,
}

/// Attribution 4.0.
pub(super) const CC_BY_4: Licence = Licence {
    name: "Creative Commons Attribution 4.0 International (CC BY 4.0)",
    url: "https://creativecommons.org/licenses/by/4.0/legalcode",
    terms: "You may share and adapt the data, also commercially, when you give credit and say what you changed.",
};

/// Attribution, share alike 4.0.
pub(super) const CC_BY_SA_4: Licence = Licence {
    name: "Creative Commons Attribution-ShareAlike 4.0 International (CC BY-SA 4.0)",
    url: "https://creativecommons.org/licenses/by-sa/4.0/legalcode",
    terms: "You may share and adapt the data, also commercially, when you give credit, say what you changed and pass \
            adapted data on under the same licence.",
};

/// Attribution, non-commercial, share alike 3.0.
pub(super) const CC_BY_NC_SA_3: Licence = Licence {
    name: "Creative Commons Attribution-NonCommercial-ShareAlike 3.0 Unported (CC BY-NC-SA 3.0)",
    url: "https://creativecommons.org/licenses/by-nc-sa/3.0/legalcode",
    terms: "You may share and adapt the data for purposes that are not commercial, when you give credit, say what you \
            changed and pass adapted data on under the same licence.",
};

/// What a set's README says.
pub(super) struct Note {
    /// Name of the set.
    pub(super) title: &'static str,
    /// What it is and which task the demo makes of it.
    pub(super) about: &'static str,
    /// Whom to credit, with the publication.
    pub(super) credit: &'static str,
    /// The copy it was cut from.
    pub(super) origin: &'static str,
    /// Its licence.
    pub(super) licence: Licence,
    /// What was changed.
    pub(super) changes: &'static str,
}

impl Note {
    /// The README of the set.
    pub(super) fn readme(&self, files: &[DataFile]) -> String {
        let row = |file: &DataFile| {
            let DataFile { name, about, rows, bytes } = file;
            format!("| `{name}` | {about} | {rows} | {} | `{}` |\n", bytes.len(), sha256(bytes))
        };
        format!(
            "# {}\n\n{}\n\n## Source\n\n{} Copy used: {}.\n\n## Licence\n\n{}; see [LICENSE](LICENSE). {}\n\n\
             ## Changes\n\n{} Made by `cargo xtask demo-data`.\n\n## Files\n\n\
             | file | content | rows | bytes | sha256 |\n| --- | --- | --- | --- | --- |\n{}",
            self.title,
            self.about,
            self.credit,
            self.origin,
            self.licence.name,
            self.licence.terms,
            self.changes,
            files.iter().map(row).collect::<String>(),
        )
    }

    /// The licence notice of the set.
    pub(super) fn licence(&self) -> String {
        let Licence { name, url, terms } = &self.licence;
        format!(
            "The files in this folder are licensed under the\n{name}.\n\nLegal text: {url}\n\n{terms}\n\nCredit: {}\n\n\
             Changes: {}\n\nThe licence of polytask itself does not apply to this folder. The data is offered as it is,\n\
             without warranty.\n",
            self.credit, self.changes
        )
    }
}
