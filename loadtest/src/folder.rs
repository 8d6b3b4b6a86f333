//! What the parts of a full run have found, one JSON file each, so that any of them can be run again by itself and the
//! report be written from all.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A folder of findings.
#[derive(Clone, Debug)]
pub struct Folder(pub PathBuf);

impl Folder {
    fn file(&self, part: &str) -> PathBuf {
        self.0.join(part).with_extension("json")
    }

    /// Keeps what a part has found, in place of what it found before.
    pub fn save(&self, part: &str, found: &impl Serialize) -> Result<()> {
        fs::create_dir_all(&self.0).with_context(|| format!("cannot create {}", self.0.display()))?;
        let file = self.file(part);
        fs::write(&file, serde_json::to_vec_pretty(found)?).with_context(|| format!("cannot write {}", file.display()))
    }

    /// What a part has found; nothing when it was not run.
    pub fn read<T: DeserializeOwned>(&self, part: &str) -> Result<Option<T>> {
        let file = self.file(part);
        if !Path::new(&file).exists() {
            return Ok(None);
        }
        let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        serde_json::from_slice(&bytes).map(Some).with_context(|| format!("{} is not what was saved", file.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_read_and_what_is_not_is_none() -> Result<()> {
        let folder = Folder(std::env::temp_dir().join(format!("signet-loadtest-folder-{}", std::process::id())));
        folder.save("a", &vec![1.5, 2.5])?;
        assert_eq!(folder.read::<Vec<f64>>("a")?, Some(vec![1.5, 2.5]));
        assert_eq!(folder.read::<Vec<f64>>("b")?, None);
        assert!(folder.read::<String>("a").is_err());
        Ok(fs::remove_dir_all(&folder.0)?)
    }
}
