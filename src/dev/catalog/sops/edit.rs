//! A config file that sops encrypted, opened to be changed and closed again for the same people.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::seal::{self, Before};
use super::tree::goes_by_comments;
use super::{age, program, unseal, value};
use crate::dev::catalog::yaml::wrong;
use crate::failure::Failure;

/// An encrypted file, opened.
pub(crate) struct Editable {
    file: PathBuf,
    sealed: Value,
    /// In the clear, without its `sops` stanza, with the names of the file.
    pub(crate) opened: Value,
    /// The end of the names of what is encrypted; `None` where another rule says what is.
    pub(crate) suffix: Option<String>,
    by: By,
}

/// Who can encrypt it again.
enum By {
    Program(PathBuf),
    Key([u8; 32]),
}

impl std::fmt::Debug for Editable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Editable").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Editable {
    /// Opens a config that has a `sops` stanza.
    pub(crate) fn open(mut config: Value, file: &Path) -> Result<Self, Failure> {
        drop_comments(&mut config);
        let stanza = &config["sops"];
        let by_comments = goes_by_comments(stanza);
        if by_comments {
            tracing::warn!(
                file = %file.display(),
                "the comments of {} say which of its values are encrypted; Flow does not keep comments and cannot decrypt \
                 it: encrypt it again with `--encrypted-suffix _sops`",
                file.display()
            );
        }
        // The program gets the config as JSON, which has no comments.
        let opened = match program::find().filter(|_| !by_comments) {
            Some(sops) => program::decrypt(&sops, &config).map(|opened| (opened, By::Program(sops))),
            None => age::data_key(stanza)
                .and_then(|key| Ok((unseal::decrypt(&config, stanza, &key)?, By::Key(key)))),
        };
        let (mut opened, by) = opened.map_err(|why| wrong(file, why))?;
        if let Some(members) = opened.as_object_mut() {
            members.shift_remove("sops");
        }
        let suffix = stanza["encrypted_suffix"].as_str().filter(|suffix| !suffix.is_empty());
        let suffix = suffix.map(str::to_owned);
        Ok(Self { file: file.to_owned(), sealed: config, opened, suffix, by })
    }

    /// Encrypts this in place of what was opened. `text` writes a config in the file's language, and
    /// `replace` puts a text in place of the file.
    pub(crate) fn close(
        self,
        changed: &Value,
        text: impl Fn(&Value) -> Result<String, Failure>,
        replace: impl Fn(&str) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        match &self.by {
            By::Program(sops) => {
                program::edit(sops, &self.file, &text(changed)?).map_err(|why| wrong(&self.file, why))
            }
            By::Key(_) if goes_by_comments(&self.sealed["sops"]) => Err(wrong(
                &self.file,
                "has comments that say which of its values are encrypted, and they would be lost; encrypt it again with \
                 `--encrypted-suffix _sops`",
            )),
            By::Key(key) => {
                let before = Before { sealed: &self.sealed, opened: &self.opened };
                let sealed = seal::encrypt(changed, &before, key, &super::now());
                let sealed = sealed.map_err(|why| wrong(&self.file, why))?;
                replace(&text(&sealed)?)
            }
        }
    }
}

/// Takes out the items of lists that are comments.
fn drop_comments(config: &mut Value) {
    match config {
        Value::Object(members) => members.values_mut().for_each(drop_comments),
        Value::Array(items) => {
            items.retain(|item| !item.as_str().is_some_and(value::is_comment));
            items.iter_mut().for_each(drop_comments);
        }
        _ => {}
    }
}
