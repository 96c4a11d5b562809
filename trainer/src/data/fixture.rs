//! A tiny data set made byte by byte, as files, a download and packages.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use md5::{Digest, Md5};
use tempfile::TempDir;

use super::store::Wanted;
use super::table::{Entry, Layout, PackageSource, Pair, PublishedFile};
use super::{DataError, Dataset, FileProblem, Images, Options, Published, Split, Sum, load_with};
use crate::files::{hex, sha256};

/// An idx file as the format's page describes it.
pub fn idx_file(axes: &[u32], elements: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, axes.len() as u8];
    axes.iter()
        .for_each(|axis| bytes.extend(axis.to_be_bytes()));
    bytes.extend(elements);
    bytes
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The sum of a packed file.
pub fn md5(bytes: &[u8]) -> &'static str {
    hex(&Md5::digest(bytes)).leak()
}

/// A table's entry that is there only in the tests.
pub fn published(entry: Entry) -> Published {
    Published(Box::leak(Box::new(entry)))
}

/// A data set of three 2x4 training images and one test image, with its own table entry.
pub struct Tiny {
    pub published: Published,
    /// Name and unpacked contents of the four files.
    pub files: [(&'static str, Vec<u8>); 4],
    /// Stands for the folder of the installed system package.
    pub installed: TempDir,
    home: TempDir,
}

pub const PIXELS: [u8; 24] = [
    0, 1, 2, 3, 4, 5, 6, 7, 250, 251, 252, 253, 254, 255, 0, 9, 8, 7, 6, 5, 4, 3, 2, 1,
];

impl Tiny {
    pub fn new() -> Self {
        Self::with_official("http://127.0.0.1:1")
    }

    pub fn with_official(official: &str) -> Self {
        let files = [
            ("train-images", idx_file(&[3, 2, 4], &PIXELS)),
            ("train-labels", idx_file(&[3], &[1, 0, 1])),
            ("test-images", idx_file(&[1, 2, 4], &PIXELS[8..16])),
            ("test-labels", idx_file(&[1], &[1])),
        ];
        let file = |place: usize| PublishedFile {
            name: files[place].0,
            sum: Sum::Sha256(sha256(&files[place].1).leak()),
        };
        let pair = |place: usize| Pair {
            images: file(place),
            labels: file(place + 1),
        };
        let installed = TempDir::new().unwrap();
        let published = published(Entry {
            name: "tiny",
            title: "made by the tests",
            licence: "none",
            shape: (1, 2, 4),
            classes: &["even", "odd"],
            train: 3,
            test: 1,
            layout: Layout::Idx {
                train: pair(0),
                test: pair(2),
            },
            official: official.to_owned().leak(),
            package: Some(PackageSource::Debian {
                name: "pocketgan-no-such-package",
                installed: installed.path().to_str().unwrap().to_owned().leak(),
            }),
        });
        Self {
            published,
            files,
            installed,
            home: TempDir::new().unwrap(),
        }
    }

    pub fn put(&self, folder: &Path) {
        fs::create_dir_all(folder).unwrap();
        for (name, bytes) in &self.files {
            fs::write(folder.join(name), bytes).unwrap();
        }
    }

    pub fn put_packed(&self, folder: &Path) {
        for (name, bytes) in &self.files {
            fs::write(folder.join(format!("{name}.gz")), gzip(bytes)).unwrap();
        }
    }

    pub fn cache(&self) -> PathBuf {
        self.home.path().join("cache/datasets/tiny")
    }

    pub fn options(&self) -> Options {
        Options {
            data_dir: None,
            cache_dir: Some(self.home.path().join("cache")),
            ..Options::default()
        }
    }

    pub fn load(&self, options: &Options) -> (Result<Images, DataError>, Vec<String>) {
        let mut said = Vec::new();
        let dataset = Dataset::from(self.published);
        let images = load_with(&dataset, Split::Train, options, &mut |line| {
            said.push(line.to_owned())
        });
        (images, said)
    }

    /// Loads from a named folder in which `name` holds `bytes` and the rest is sound.
    fn load_with_file(&self, name: &str, bytes: &[u8]) -> Result<Images, DataError> {
        let folder = TempDir::new().unwrap();
        self.put(folder.path());
        if let Some(plain) = name.strip_suffix(".gz") {
            fs::remove_file(folder.path().join(plain)).unwrap();
        }
        fs::write(folder.path().join(name), bytes).unwrap();
        let options = Options {
            data_dir: Some(folder.path().to_owned()),
            ..self.options()
        };
        self.load(&options).0
    }

    pub fn problem(&self, name: &str, bytes: &[u8]) -> FileProblem {
        match self.load_with_file(name, bytes) {
            Err(DataError::Damaged { path, problem }) => {
                assert_eq!(path.file_name().unwrap(), name);
                problem
            }
            other => panic!("expected a damaged file, got {other:?}"),
        }
    }

    pub fn wanted(&self) -> Vec<Wanted> {
        Wanted::all(self.published)
    }
}

/// Serves files by name, for as long as the test lasts; gives the address.
pub fn serve_files(files: Vec<(String, Vec<u8>)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || serve(listener, files));
    address
}

/// Answers each request with the named file of `files`, or 404; stops with the test.
fn serve(listener: TcpListener, files: Vec<(String, Vec<u8>)>) {
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if stream.read(&mut byte).unwrap() == 0 {
                break;
            }
            request.push(byte[0]);
        }
        let request = String::from_utf8(request).unwrap();
        let asked = request.split(' ').nth(1).unwrap_or_default();
        let (status, body) = match files.iter().find(|(name, _)| format!("/{name}") == asked) {
            Some((_, bytes)) => ("200 OK", bytes.as_slice()),
            None => ("404 Not Found", [].as_slice()),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
    }
}

pub fn served(change: impl Fn(&str, Vec<u8>) -> Vec<u8>) -> Tiny {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let tiny = Tiny::with_official(&format!("http://{}", listener.local_addr().unwrap()));
    let files = tiny.files.iter().map(|(name, bytes)| {
        let name = format!("{name}.gz");
        let body = change(&name, gzip(bytes));
        (name, body)
    });
    let files: Vec<_> = files.collect();
    std::thread::spawn(move || serve(listener, files));
    tiny
}

pub fn tar_of(tiny: &Tiny) -> Vec<u8> {
    let files = tiny.files.iter().enumerate();
    let files = files.map(|(place, (name, bytes))| match place % 2 {
        0 => (format!("./usr/share/{name}.gz"), gzip(bytes)),
        _ => (format!("./usr/share/{name}"), bytes.clone()),
    });
    tar(files)
}

/// A tar archive of files with their names.
pub fn tar(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, bytes.as_slice())
            .unwrap();
    }
    tar.into_inner().unwrap()
}

pub fn deb_of(member: &str, data: &[u8]) -> Vec<u8> {
    let mut deb = ar::Builder::new(Vec::new());
    for (name, bytes) in [("debian-binary", b"2.0\n".as_slice()), (member, data)] {
        let header = ar::Header::new(name.as_bytes().to_vec(), bytes.len() as u64);
        deb.append(&header, bytes).unwrap();
    }
    deb.into_inner().unwrap()
}
