//! The modules of the crate form layers: none refers to a higher one.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The modules, lowest first. A module may refer to those before it.
const LAYERS: &[&str] = &[
    // What everything rests on.
    "error",
    "invariant",
    "bytes",
    "latent",
    // Sizes and places.
    "shape",
    "window",
    "ring",
    "weights",
    "layer",
    "scratch",
    // The format.
    "blob::field",
    "blob::model",
    "blob::record",
    "blob::needs",
    "blob::check",
    "blob::memory",
    "blob",
    "blob::writer",
    // The arithmetic.
    "kernels::dsp",
    "kernels::arithmetic",
    "kernels::reference",
    "kernels::int8",
    "kernels::int4",
    "kernels::float",
    // The backends, and their choice.
    "kernels::portable",
    "kernels::asm::job",
    "kernels::asm::dsp",
    "kernels::asm::thumb2",
    "kernels::asm::thumb1",
    "kernels::asm::riscv",
    "kernels::asm",
    "kernels::mve",
    "kernels::x86_64::features",
    "kernels::x86_64::vector",
    "kernels::x86_64::pointwise",
    "kernels::x86_64::planes",
    "kernels::x86_64::float",
    "kernels::x86_64::products",
    "kernels::x86_64::int8",
    "kernels::x86_64::sse2",
    "kernels::x86_64",
    "kernels::backend",
    "kernels",
    // Images.
    "rgb565",
    "rows",
    "exec",
    "generator",
    "translator",
    // What is built on images.
    "cost",
    "cost::firmware",
    "display",
];

fn place(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| *layer == module)
}

/// The source files under a folder, with the paths of their modules.
fn modules(folder: &Path, prefix: &str, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("the crate's sources") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy();
        let module = format!("{prefix}{name}");
        if path.is_dir() {
            modules(&path, &format!("{module}::"), found);
        } else if name != "lib" && path.extension().is_some_and(|it| it == "rs") {
            let module = module.trim_end_matches("::mod").to_owned();
            found.push((module, fs::read_to_string(&path).expect("a source file")));
        }
    }
}

/// A source file without comments and unit tests.
fn code(source: &str) -> String {
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = source.lines().map(|line| match line.split_once("//") {
        Some((code, _)) => code,
        None => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The paths that a path or a use tree stands for, up to the end of the tree.
fn paths(tree: &str) -> Vec<String> {
    let end = tree.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
    let (path, rest) = tree.split_at(end.unwrap_or(tree.len()));
    let Some(inner) = rest.strip_prefix('{') else {
        return vec![path.to_owned()];
    };
    let (mut depth, mut start, mut all) = (0, 0, Vec::new());
    for (at, c) in inner.char_indices() {
        match c {
            ',' | '}' if depth == 0 => {
                let branches = paths(inner[start..at].trim());
                all.extend(branches.into_iter().map(|branch| format!("{path}{branch}")));
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    all
}

/// The paths from the crate's root on that a module's code refers to.
fn references(module: &str, code: &str) -> BTreeSet<String> {
    let (parent, _) = module.rsplit_once("::").unwrap_or_default();
    let mut all = BTreeSet::new();
    for (root, base) in [("crate::", ""), ("super::", parent)] {
        for (at, _) in code.match_indices(root) {
            let before = &code[..at];
            let is_part = before.ends_with(|c: char| c == '$' || c == ':' || c.is_alphanumeric());
            if is_part || before.ends_with("pub(in ") {
                continue;
            }
            for path in paths(&code[at + root.len()..]) {
                let path = match base {
                    "" => path,
                    base => format!("{base}::{path}"),
                };
                all.insert(path.trim_end_matches("::self").to_owned());
            }
        }
    }
    all
}

/// The module that a path leads into.
fn target(path: &str) -> Option<&str> {
    let mut path = path;
    loop {
        if place(path).is_some() {
            return Some(path);
        }
        path = path.rsplit_once("::")?.0;
    }
}

#[test]
fn no_module_refers_to_a_higher_one() {
    let mut found = Vec::new();
    modules(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        "",
        &mut found,
    );
    let names: BTreeSet<_> = found.iter().map(|(module, _)| module.as_str()).collect();
    let listed: BTreeSet<_> = LAYERS.iter().copied().collect();
    assert_eq!(names, listed, "each module has a place among the layers");
    let mut references_seen = 0;
    for (module, source) in &found {
        for path in references(module, &code(source)) {
            let target = target(&path);
            assert!(
                target.and_then(place) < place(module) && target.is_some(),
                "{module} refers to {path}, which lies above it or at the crate's root"
            );
            references_seen += 1;
        }
    }
    assert!(references_seen > 150, "{references_seen}");
}

#[test]
fn references_are_found() {
    let code = code("use crate::a::{self, b::{C, d}, e};\nlet x = super::f::g(1); // crate::h\n");
    let found = references("i::j", &code);
    let expected = ["a", "a::b::C", "a::b::d", "a::e", "i::f::g"];
    assert_eq!(found, expected.map(str::to_owned).into());
}
