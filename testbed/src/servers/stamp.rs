//! Whether the cached binaries are those this source tree would build: a hash of all that goes into the build, kept in
//! a file beside them.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::Module;

/// Whether the module's programs in `bin` were built from the present go.mod, go.sum, stub modules and flags.
pub(super) fn is_current(module: Module, bin: &Path) -> Result<bool> {
    let complete = module
        .programs()
        .iter()
        .all(|program| bin.join(program.name()).is_file());
    let stamped = std::fs::read_to_string(file(module, bin)).unwrap_or_default();
    Ok(complete && stamped.trim() == of_folder(&module.folder(), &module.linker_flags())?)
}

/// Notes that the module's programs in `bin` have just been built.
pub(super) fn write(module: Module, bin: &Path) -> Result<()> {
    let path = file(module, bin);
    let stamp = of_folder(&module.folder(), &module.linker_flags())?;
    std::fs::write(&path, stamp).with_context(|| format!("cannot write {}", path.display()))
}

fn file(module: Module, bin: &Path) -> PathBuf {
    bin.join(format!(".{}.stamp", module.name()))
}

fn of_folder(folder: &Path, flags: &str) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(flags);
    for path in files(folder)? {
        let content =
            std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let name = path
            .strip_prefix(folder)
            .unwrap_or(&path)
            .display()
            .to_string();
        hash.update(format!("\0{name}\0{}\0", content.len()));
        hash.update(content);
    }
    Ok(hash.finalize().iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        write!(hex, "{byte:02x}").ok();
        hex
    }))
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(folder).with_context(|| {
        format!(
            "cannot read the server module {}: run the testbed of this source tree",
            folder.display()
        )
    })?;
    for entry in entries {
        let path = entry
            .with_context(|| format!("cannot list {}", folder.display()))?
            .path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stamp_changes_with_every_input_and_only_then() {
        let folder = tempfile::tempdir().unwrap();
        let put =
            |name: &str, content: &str| std::fs::write(folder.path().join(name), content).unwrap();
        let stamp = |flags: &str| of_folder(folder.path(), flags).unwrap();
        put("go.mod", "module a");
        put("go.sum", "sum");
        let first = stamp("-s -w");
        assert_eq!(stamp("-s -w"), first);
        assert_ne!(stamp("-s"), first);
        put("go.sum", "mus");
        assert_ne!(stamp("-s -w"), first);
        put("go.sum", "sum");
        assert_eq!(stamp("-s -w"), first);
        std::fs::create_dir(folder.path().join("stub")).unwrap();
        put("stub/go.mod", "module stub");
        assert_ne!(stamp("-s -w"), first);
    }

    #[test]
    fn binaries_without_a_stamp_are_not_current() {
        let bin = tempfile::tempdir().unwrap();
        std::fs::write(bin.path().join("etcd"), "").unwrap();
        assert!(!is_current(Module::Etcd, bin.path()).unwrap());
        write(Module::Etcd, bin.path()).unwrap();
        assert!(is_current(Module::Etcd, bin.path()).unwrap());
        std::fs::remove_file(bin.path().join("etcd")).unwrap();
        assert!(!is_current(Module::Etcd, bin.path()).unwrap());
    }
}
