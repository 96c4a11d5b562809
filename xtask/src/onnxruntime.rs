//! ONNX Runtime's shared library, out of its Python wheel.

use std::env::{self, consts::DLL_SUFFIX};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::{python, workspace};

const VERSION: &str = "1.31.1";

/// Finds or fetches the library; returns its path and how it was come by.
///
/// # Errors
///
/// `ORT_DYLIB_PATH` names no file, or the wheel cannot be fetched or holds no library.
pub fn find() -> Result<(PathBuf, &'static str)> {
    if let Some(path) = env::var_os("ORT_DYLIB_PATH").map(PathBuf::from) {
        if !path.is_file() {
            bail!(
                "ORT_DYLIB_PATH is {}, which is no file; correct or unset it",
                path.display()
            );
        }
        return Ok((path, "named by ORT_DYLIB_PATH"));
    }
    let folder = workspace::target().join("onnxruntime");
    let library = folder.join(format!("libonnxruntime{DLL_SUFFIX}"));
    // Written last, so that it vouches for the library beside it.
    let mark = folder.join("version");
    if library.is_file() && fs::read_to_string(&mark).is_ok_and(|version| version == VERSION) {
        return Ok((library, "found"));
    }
    fetch(&library).with_context(|| {
        format!(
            "connect to the network, or set ORT_DYLIB_PATH to the library of ONNX Runtime {VERSION}"
        )
    })?;
    fs::write(&mark, VERSION)?;
    Ok((library, "unpacked from the Python wheel"))
}

fn fetch(library: &Path) -> Result<()> {
    let folder = library.parent().context("the library has no folder")?;
    fs::create_dir_all(folder)?;
    let wheels = tempfile::tempdir_in(folder)?;
    let wheel = python::wheel(&format!("onnxruntime=={VERSION}"), wheels.path())?;
    unpack(&wheel, library)
}

/// Copies the library out of the wheel, whole or not at all.
fn unpack(wheel: &Path, library: &Path) -> Result<()> {
    let mut archive = zip::ZipArchive::new(File::open(wheel)?)?;
    let library_name = |name: &str| {
        let kind = name.strip_prefix("onnxruntime/capi/libonnxruntime.");
        kind.is_some_and(|kind| kind.contains(VERSION))
    };
    let name = archive
        .file_names()
        .filter_map(Result::ok)
        .find(|name| library_name(name))
        .with_context(|| format!("{} holds no libonnxruntime", wheel.display()))?
        .into_owned();
    python::unpack(&mut archive, &name, library)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::{VERSION, unpack};

    fn wheel_of(folder: &std::path::Path, names: &[String]) -> std::path::PathBuf {
        let path = folder.join("made.whl");
        let mut wheel = zip::ZipWriter::new(fs::File::create(&path).unwrap());
        for name in names {
            wheel
                .start_file(name.as_str(), zip::write::SimpleFileOptions::default())
                .unwrap();
            wheel.write_all(name.as_bytes()).unwrap();
        }
        wheel.finish().unwrap();
        path
    }

    #[test]
    fn only_the_library_is_taken_out_of_a_wheel() {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("lib/out.so");
        fs::create_dir(folder.path().join("lib")).unwrap();
        let other = "onnxruntime/capi/libonnxruntime_providers_shared.so".to_owned();
        let real = format!("onnxruntime/capi/libonnxruntime.so.{VERSION}");

        assert!(
            unpack(
                &wheel_of(folder.path(), std::slice::from_ref(&other)),
                &library
            )
            .is_err()
        );
        assert!(!library.exists());
        unpack(&wheel_of(folder.path(), &[other, real.clone()]), &library).unwrap();
        assert_eq!(fs::read_to_string(&library).unwrap(), real);
        assert_eq!(fs::read_dir(folder.path().join("lib")).unwrap().count(), 1);
    }
}
