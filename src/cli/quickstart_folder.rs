//! The data folder of `quickstart`: made once, kept between starts, readable by its owner alone.
//!
//! Called by `quickstart.rs`. Invariant: a secret is written once and whole, with mode 0600.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// The form of the folder that this release writes and reads.
const FORMAT: u32 = 1;

/// A folder that can be used.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes the folder, or takes an earlier one.
    ///
    /// # Errors
    /// A folder that cannot be written, or one of a newer release; both with the fix.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let path = std::path::absolute(path)?;
        let unusable = || {
            format!(
                "the data folder {} cannot be written; mend its permissions or choose another with --data-dir",
                path.display()
            )
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).with_context(unusable)?;
        let folder = Self { path: path.clone() };
        match fs::read_to_string(path.join("format")) {
            Ok(text) => folder.check_format(text.trim())?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                folder.write("format", &FORMAT.to_string()).with_context(unusable)?;
            }
            Err(error) => return Err(error).with_context(unusable),
        }
        folder.write("writable", "").with_context(unusable)?;
        fs::remove_file(path.join("writable")).with_context(unusable)?;
        Ok(folder)
    }

    fn check_format(&self, text: &str) -> anyhow::Result<()> {
        let at = self.path.display();
        match text.parse::<u32>() {
            Ok(format) if format <= FORMAT => Ok(()),
            Ok(format) => bail!(
                "the data folder {at} was written by a newer release (format {format}, this one knows {FORMAT}); \
                 use that release, or another folder with --data-dir"
            ),
            Err(_) => bail!("{at}/format is damaged; use another folder with --data-dir"),
        }
    }

    /// The database's address.
    ///
    /// # Errors
    /// When the path is not UTF-8, which no DSN can hold.
    pub fn dsn(&self) -> anyhow::Result<String> {
        let path = self.path.join("signet.sqlite");
        let path = path.to_str().context("the data folder's path is not UTF-8; choose another with --data-dir")?;
        if path.contains(['?', '#', '%']) {
            bail!(
                "the data folder's path holds one of ? # %, which a database URL cannot; choose another with --data-dir"
            );
        }
        Ok(format!("sqlite://{path}"))
    }

    /// Where a file of the folder is.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The secret of that name (64 hexadecimal digits), and whether it was made just now.
    ///
    /// # Errors
    /// When it cannot be read, written or drawn.
    pub fn secret(&self, name: &str) -> anyhow::Result<(String, bool)> {
        match fs::read_to_string(self.file(name)) {
            Ok(text) if text.trim().len() >= 32 => Ok((text.trim().to_owned(), false)),
            Ok(_) => {
                bail!("{} is damaged; restore it, or use another folder with --data-dir", self.file(name).display())
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let mut bytes = [0_u8; 32];
                getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
                let secret = hex::encode(bytes);
                self.write(name, &secret)?;
                Ok((secret, true))
            }
            Err(error) => Err(error).with_context(|| self.file(name).display().to_string()),
        }
    }

    /// Written beside and renamed, so that a start that was cut off leaves no half secret.
    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let beside = self.file(&format!("{name}.new"));
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, self.file(name))?;
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn secrets_are_made_once_and_kept_private() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("a/b");
        let (first, new) = Folder::open(&path).unwrap().secret("system-secret").unwrap();
        assert!(new && first.len() == 64);
        assert_eq!(Folder::open(&path).unwrap().secret("system-secret").unwrap(), (first, false));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&path.join("system-secret"))), (0o700, 0o600));
    }

    #[test]
    fn a_newer_folder_and_an_unwritable_one_are_refused_with_the_fix() {
        let outer = tempfile::tempdir().unwrap();
        fs::write(outer.path().join("format"), "2").unwrap();
        let newer = Folder::open(outer.path()).unwrap_err().to_string();
        assert!(newer.contains("newer release") && newer.contains("--data-dir"), "{newer}");
        let file = outer.path().join("format");
        let unwritable = Folder::open(&file).unwrap_err().to_string();
        assert!(unwritable.contains("--data-dir"), "{unwritable}");
    }
}
