//! The licence of every crate in the lock files, those of the firmware and the fuzzers too, against the list in
//! `deny.toml`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use spdx::{Expression, LicenseReq, ParseMode};

use crate::{firmware, fuzz, process, workspace};

/// The part of cargo-deny's configuration that this check shares with it.
#[derive(Deserialize)]
struct Policy {
    licenses: Licenses,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
    #[serde(default)]
    exceptions: Vec<Exceptions>,
}

impl Licenses {
    /// Whether a package may come in.
    fn allow(&self, package: &Package) -> bool {
        let own = self
            .exceptions
            .iter()
            .filter(|own| own.package == package.name);
        let own = own.flat_map(|own| &own.allow);
        let list: Vec<String> = self.allow.iter().chain(own).cloned().collect();
        allowed(package.license.as_deref(), &list)
    }
}

/// Licences that only one package may have.
#[derive(Deserialize)]
struct Exceptions {
    #[serde(rename = "crate")]
    package: String,
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
}

/// Checks every package that any feature or platform could bring in.
///
/// # Errors
///
/// Names each package whose licence is unknown or not on the list.
pub fn check() -> Result<()> {
    let policy = fs::read_to_string(workspace::root().join("deny.toml"))?;
    let policy: Policy = toml::from_str(&policy).context("deny.toml")?;
    let mut folders = vec![workspace::root().to_owned()];
    folders.extend(firmware::folders()?);
    folders.push(fuzz::folder());
    folders.retain(|folder| folder.join("Cargo.lock").is_file());
    let mut packages = Vec::new();
    for folder in &folders {
        packages.extend(packages_of(folder)?);
    }
    packages.sort();
    packages.dedup();
    let refused: Vec<String> = packages
        .iter()
        .filter(|package| !policy.licenses.allow(package))
        .map(|package| {
            let licence = package.license.as_deref().unwrap_or("none stated");
            format!("{} {}: {licence}", package.name, package.version)
        })
        .collect();
    if !refused.is_empty() {
        bail!(
            "licences that deny.toml does not allow; replace these crates:\n{}",
            refused.join("\n")
        );
    }
    eprintln!("licences of {} packages are allowed", packages.len());
    Ok(())
}

/// The packages that the workspace in a folder could bring in.
fn packages_of(folder: &Path) -> Result<Vec<Package>> {
    let mut metadata = process::cargo();
    metadata.args([
        "metadata",
        "--format-version=1",
        "--all-features",
        "--locked",
    ]);
    let metadata = process::output(metadata.current_dir(folder))?;
    let metadata: Metadata = serde_json::from_str(&metadata)?;
    Ok(metadata.packages)
}

/// Whether a licence expression can be met with licences of the list. Old manifests separate
/// alternatives with a slash.
fn allowed(licence: Option<&str>, list: &[String]) -> bool {
    let Some(Ok(expression)) = licence.map(|text| Expression::parse_mode(text, ParseMode::LAX))
    else {
        return false;
    };
    expression.evaluate(|required: &LicenseReq| {
        let name = required.to_string();
        list.contains(&name)
    })
}

#[cfg(test)]
mod tests {
    use super::{Exceptions, Licenses, Package, allowed};

    #[test]
    fn an_expression_is_met_only_by_licences_of_the_list() {
        let list = [
            "MIT",
            "Apache-2.0",
            "Apache-2.0 WITH LLVM-exception",
            "Unicode-3.0",
        ];
        let list = list.map(str::to_owned);
        for text in [
            "MIT",
            "MIT/Apache-2.0",
            "GPL-3.0-only OR MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception",
        ] {
            assert!(allowed(Some(text), &list), "{text}");
        }
        for text in [
            "GPL-3.0-only",
            "MPL-2.0",
            "MIT AND MPL-2.0",
            "",
            "no such licence",
        ] {
            assert!(!allowed(Some(text), &list), "{text}");
        }
        assert!(!allowed(None, &list));
    }
    #[test]
    fn an_exception_is_for_its_own_package() {
        let exception = Exceptions {
            package: "fuzzer".to_owned(),
            allow: vec!["NCSA".to_owned()],
        };
        let policy = Licenses {
            allow: vec!["MIT".to_owned()],
            exceptions: vec![exception],
        };
        let package = |name: &str, license: &str| Package {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            license: Some(license.to_owned()),
        };
        assert!(policy.allow(&package("fuzzer", "MIT AND NCSA")));
        assert!(!policy.allow(&package("fuzzer", "GPL-3.0-only")));
        assert!(!policy.allow(&package("other", "MIT AND NCSA")));
    }
}
