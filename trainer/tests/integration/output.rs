//! What `-o` does with what is there: devices, pipes, links, files of any kind; and the formats it writes.
use crate::common::{NOBODY, Place, complaint};
use image::{ImageFormat, Rgb, RgbImage};
use pocketgan_tests::networks;
use pocketgan_trainer::export::quantize::{Calibration, Weights};
use pocketgan_trainer::export::{ExportError, Exported, export};
use std::fs::{self, File, Permissions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// What draws 64 images of the model that is in every place here.
const SAMPLE: &str = "sample run -o";

/// A place with an exported model, grey images of 28x28 pixels, in `run`.
fn place() -> Place {
    let place = Place::new();
    export_to(&place.path("run")).unwrap();
    place
}

fn export_to(folder: &Path) -> Result<Exported, ExportError> {
    let network = networks::dcgan(8, 4);
    let parameters = networks::random_parameters(&network, 1);
    let (weights, calibration) = (Weights::Int8, Calibration::default());
    export(&network, &parameters, weights, calibration, folder)
}

/// A place that has, too, a data set in colour: `folder:shades`.
fn place_in_colour() -> Place {
    let place = place();
    fs::create_dir(place.path("shades")).unwrap();
    for i in 0..12u8 {
        let shade = |x, y| Rgb([8 * x as u8, 8 * y as u8, 20 * i]);
        let picture = RgbImage::from_fn(32, 32, shade);
        picture
            .save(place.path(&format!("shades/{i}.png")))
            .unwrap();
    }
    place
}

/// A picture of before, of one pixel, with its mode.
fn put_picture(path: &Path, mode: u32) {
    RgbImage::new(1, 1)
        .save_with_format(path, ImageFormat::Png)
        .unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// The bytes that are right for the PNG file of [`SAMPLE`].
fn right(place: &Place) -> Vec<u8> {
    place.ends_with(0, &format!("{SAMPLE} right.png"));
    let bytes = fs::read(place.path("right.png")).unwrap();
    assert_eq!(dimensions(&bytes, ImageFormat::Png), (466, 466));
    bytes
}

fn dimensions(bytes: &[u8], format: ImageFormat) -> (u32, u32) {
    let picture = image::load_from_memory_with_format(bytes, format).unwrap();
    (picture.width(), picture.height())
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A character device: an own node, or else the system's, and whether the node is an own one.
fn device(place: &Place, name: &str, minor: &str) -> (PathBuf, bool) {
    let own = place.path(name);
    let made = Command::new("mknod")
        .arg(&own)
        .args(["c", "1", minor])
        .output();
    let made = made.is_ok_and(|made| made.status.success());
    if made && File::options().write(true).open(&own).is_ok() {
        (own, true)
    } else {
        (Path::new("/dev").join(name), false)
    }
}

fn pipe(place: &Place, name: &str) -> PathBuf {
    let path = place.path(name);
    assert!(
        Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    path
}

fn succeeds(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
}

#[test]
fn a_device_is_written_and_stays() {
    let place = place();
    for (name, minor, code) in [("null", "3", 0), ("full", "7", 2)] {
        let (path, own) = device(&place, name, minor);
        let before = fs::symlink_metadata(&path).unwrap();
        symlink(&path, place.path(&format!("{name}.jpg"))).unwrap();
        for path in [path.to_str().unwrap(), &format!("{name}.jpg")] {
            let line = format!("{SAMPLE} {path}");
            let output = if own {
                place.output(&line)
            } else {
                place.bound(&line)
            };
            match code {
                0 => succeeds(&output),
                _ => {
                    assert!(complaint(&output).contains(&format!("cannot write {path}: No space")))
                }
            }
        }
        let after = fs::symlink_metadata(&path).unwrap();
        assert!(after.file_type().is_char_device());
        assert_eq!((after.ino(), after.rdev()), (before.ino(), before.rdev()));
    }
}

#[test]
fn a_pipe_gets_the_picture_and_stays() {
    let place = place();
    let png = right(&place);
    for (name, line, format) in [
        ("pipe", "sample run", ImageFormat::Png),
        ("pipe.png", "sample run", ImageFormat::Png),
        ("pipe.bmp", "sample run", ImageFormat::Bmp),
        ("pipe.gif", "interpolate run", ImageFormat::Gif),
    ] {
        let path = pipe(&place, name);
        let reader = std::thread::spawn({
            let path = path.clone();
            move || fs::read(path).unwrap()
        });
        succeeds(&place.output(&format!("{line} -o {name}")));
        assert!(fs::symlink_metadata(&path).unwrap().file_type().is_fifo());
        let read = reader.join().unwrap();
        assert!(dimensions(&read, format).0 > 200);
        assert_eq!(read == png, format == ImageFormat::Png, "{name}");
    }
}

/// Here the picture is larger than what a pipe holds.
#[test]
fn a_reader_that_goes_away_is_no_error() {
    let place = place();
    let path = pipe(&place, "pipe.bmp");
    let reader = std::thread::spawn({
        let path = path.clone();
        move || {
            let mut first = [0];
            File::open(path).unwrap().read_exact(&mut first).unwrap();
            first
        }
    });
    assert_eq!(place.ends_with(0, &format!("{SAMPLE} pipe.bmp")), "");
    assert!(fs::symlink_metadata(&path).unwrap().file_type().is_fifo());
    assert_eq!(reader.join().unwrap(), [b'B']);
    let (ours, theirs) = std::io::pipe().unwrap();
    drop(ours);
    let output = place
        .command(&format!("{SAMPLE} -"))
        .stdout(theirs)
        .output();
    let output = output.unwrap();
    succeeds(&output);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"));
}

#[test]
fn a_link_stays_and_what_it_leads_to_is_written() {
    let place = place();
    let png = right(&place);
    for folder in ["links", "pictures"] {
        fs::create_dir(place.path(folder)).unwrap();
    }
    put_picture(&place.path("pictures/there.png"), 0o640);
    let links = [
        ("links/relative.png", "../pictures/there.png".into()),
        ("links/dangling.png", "../pictures/new.png".into()),
        ("links/chain.png", "relative.png".into()),
        ("absolute.png", place.path("pictures/far.png")),
        ("folder", "links".into()),
    ];
    for (link, target) in &links {
        symlink(target, place.path(link)).unwrap();
    }
    for (named, written) in [
        ("links/relative.png", "there.png"),
        ("links/dangling.png", "new.png"),
        ("absolute.png", "far.png"),
        ("links/chain.png", "there.png"),
        ("folder/chain.png", "there.png"),
    ] {
        let written = place.path("pictures").join(written);
        if written.exists() {
            put_picture(&written, 0o640);
        }
        place.ends_with(0, &format!("{SAMPLE} {named}"));
        assert!(fs::read(&written).unwrap() == png, "{named}");
    }
    for (link, target) in &links {
        assert_eq!(&fs::read_link(place.path(link)).unwrap(), target);
    }
    assert_eq!(names(&place.path("links")).len(), 3);
    assert_eq!(
        names(&place.path("pictures")),
        ["far.png", "new.png", "there.png"]
    );
    let mode = fs::metadata(place.path("pictures/there.png"))
        .unwrap()
        .mode();
    assert_eq!(mode & 0o777, 0o640);
}

#[test]
fn all_names_of_a_file_show_the_new_picture() {
    let place = place();
    put_picture(&place.path("one.png"), 0o600);
    fs::hard_link(place.path("one.png"), place.path("other.png")).unwrap();
    let png = right(&place);
    place.ends_with(0, &format!("{SAMPLE} one.png"));
    assert!(fs::read(place.path("other.png")).unwrap() == png);
    let file = fs::metadata(place.path("one.png")).unwrap();
    assert_eq!((file.nlink(), file.mode() & 0o777), (2, 0o600));
}

#[test]
fn links_that_lead_nowhere_are_a_sentence() {
    let place = place();
    for (link, target) in [
        ("a.png", "b.png"),
        ("b.png", "a.png"),
        ("self.png", "self.png"),
        ("lost.png", "no/folder.png"),
        ("slash.png", "new.png/"),
    ] {
        symlink(target, place.path(link)).unwrap();
    }
    let before = names(&place.path("."));
    for (link, part) in [
        ("a.png", "lead in a circle"),
        ("self.png", "lead in a circle"),
        ("lost.png", "there is no folder"),
        ("slash.png", "is a folder"),
    ] {
        let said = place.refusal(&format!("{SAMPLE} {link}"));
        assert!(said.contains(link) && said.contains(part), "{said}");
    }
    assert_eq!(names(&place.path(".")), before);
}

/// As itself, as a device, by number, and by a link.
#[test]
fn standard_output_gets_the_picture_and_nothing_else() {
    let place = place();
    let png = right(&place);
    symlink("/dev/stdout", place.path("link")).unwrap();
    let before = names(&place.path("."));
    for named in [
        "-",
        "/dev/stdout",
        "/dev/fd/1",
        "/proc/self/fd/1",
        "/proc/thread-self/fd/1",
        "link",
    ] {
        let output = place.output(&format!("{SAMPLE} {named}"));
        succeeds(&output);
        assert!(output.stdout == png, "{named}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.ends_with("standard output\n"), "{said}");

        // In a file, after what is there.
        let mut file = File::create(place.path("all")).unwrap();
        file.write_all(b"before").unwrap();
        let mut command = place.command(&format!("{SAMPLE} {named}"));
        succeeds(&command.stdout(file).output().unwrap());
        let all = fs::read(place.path("all")).unwrap();
        assert!(all.strip_prefix(b"before") == Some(&png[..]), "{named}");
        fs::remove_file(place.path("all")).unwrap();

        let said = place.refusal(&format!("sample run --json -o {named}"));
        assert!(said.contains("--json takes standard output"), "{said}");
        let said = place.refusal(&format!("interpolate run --json -o {named}"));
        assert!(said.contains("--json takes standard output"), "{said}");
    }
    assert_eq!(names(&place.path(".")), before);
    let mut full = place.command(&format!("{SAMPLE} -"));
    let full = full.stdout(File::options().write(true).open("/dev/full").unwrap());
    let said = complaint(&full.output().unwrap());
    assert!(said.contains("cannot write -: No space"), "{said}");
}

/// A file that has no name any more can be written by its descriptor only.
#[test]
fn an_open_file_is_written_by_its_descriptor() {
    let place = place();
    let png = right(&place);
    let path = place.path("gone.png");
    put_picture(&path, 0o600);
    let mut file = File::options().read(true).write(true).open(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let named = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
    place.ends_with(0, &format!("{SAMPLE} {named}"));
    let mut read = Vec::new();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.read_to_end(&mut read).unwrap();
    assert!(read == png);
    assert!(!path.exists());

    file.seek(SeekFrom::Start(0)).unwrap();
    file.write_all(b"notes").unwrap();
    let said = place.refusal(&format!("{SAMPLE} {named}"));
    assert!(said.contains("is not a picture"), "{said}");
}

/// Greys and colours, by every command; what a lossless format holds is what the PNG file holds.
#[test]
fn the_ending_decides_the_format() {
    let place = place_in_colour();
    let (png, jpeg, gif) = (ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif);
    let (webp, bmp) = (ImageFormat::WebP, ImageFormat::Bmp);
    let endings = [
        ("PNG", png),
        ("jpg", jpeg),
        ("jpeg", jpeg),
        ("JPG", jpeg),
        ("gif", gif),
        ("webp", webp),
        ("WebP", webp),
        ("bmp", bmp),
    ];
    for (command, colour) in [
        ("sample run", false),
        ("interpolate run", false),
        ("data preview folder:shades", true),
    ] {
        place.ends_with(0, &format!("{command} -o right.png"));
        let right = image::open(place.path("right.png")).unwrap().to_rgb8();
        for (ending, format) in endings {
            place.ends_with(0, &format!("{command} -o picture.{ending}"));
            let bytes = fs::read(place.path(&format!("picture.{ending}"))).unwrap();
            assert_eq!(image::guess_format(&bytes).unwrap(), format, "{ending}");
            if format == gif && command == "interpolate run" {
                // An animation, which has a test of its own.
                continue;
            }
            let read = image::load_from_memory_with_format(&bytes, format).unwrap();
            let read = read.to_rgb8();
            assert_eq!(read.dimensions(), right.dimensions());
            let off = read.iter().zip(right.iter()).map(|(a, b)| a.abs_diff(*b));
            let mean = off.map(f64::from).sum::<f64>() / right.len() as f64;
            let most = match format {
                ImageFormat::Jpeg => 8.0,
                ImageFormat::Gif if colour => 8.0,
                _ => 0.0,
            };
            assert!(mean <= most, "{command} as {ending}: {mean}");
        }
    }
}

/// Before the work: there is no model and no data set that the names below stand for.
#[test]
fn what_cannot_be_written_is_a_sentence_before_the_work() {
    let place = place();
    fs::write(place.path("notes.png"), "BM: notes on cars, not a picture").unwrap();
    fs::write(place.path("short.gif"), "x").unwrap();
    fs::create_dir(place.path("folder.png")).unwrap();
    symlink("run/model.pgan", place.path("link.png")).unwrap();
    symlink("run", place.path("link.bmp")).unwrap();
    let before = place.contents(".");
    for (named, part) in [
        (
            "run/model.pgan",
            "run/model.pgan is there and is not a picture",
        ),
        (
            "run/model.onnx",
            "run/model.onnx is there and is not a picture",
        ),
        ("link.png", "link.png is there and is not a picture"),
        ("notes.png", "notes.png is there and is not a picture"),
        ("short.gif", "short.gif is there and is not a picture"),
        ("run", "run is a folder: name a file"),
        ("folder.png", "folder.png is a folder"),
        ("link.bmp", "link.bmp is a folder"),
        ("new.png/", "new.png/ is a folder"),
        ("new.png/.", "new.png/. is a folder"),
        ("..", ".. is a folder"),
        (
            "new",
            "new ends in none of .png, .jpg, .jpeg, .gif, .webp and .bmp",
        ),
        (".png", ".png ends in none of"),
        ("new.", "new. ends in none of"),
        ("new.pgan", "new.pgan ends in none of"),
        ("new.tiff", "new.tiff ends in none of"),
        ("new.png.txt", "new.png.txt ends in none of"),
        (
            "no/new.png",
            "cannot write no/new.png: there is no folder no",
        ),
        (
            "notes.png/new.png",
            "cannot write notes.png/new.png: Not a directory",
        ),
    ] {
        for command in ["sample no", "interpolate no", "data preview folder:no"] {
            let said = place.refusal(&format!("{command} -o {named}"));
            assert!(said.contains(part), "{command}: {said}");
        }
    }
    let said = place.refusal(&format!("{SAMPLE} long.jpg --count 1200 --columns 1"));
    assert!(said.contains("60x69602 pixels is too large"), "{said}");
    let said = place.output("sample run -o");
    assert_eq!(said.status.code(), Some(2));
    assert!(place.contents(".") == before);
}

/// A picture of any kind and an empty file give way; what they let others do stays.
#[test]
fn a_picture_is_replaced_and_keeps_its_permissions() {
    let place = place();
    let png = right(&place);
    let path = place.path("picture.png");
    for format in [ImageFormat::Jpeg, ImageFormat::Bmp, ImageFormat::WebP] {
        RgbImage::new(3, 3).save_with_format(&path, format).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o604)).unwrap();
        if place.is_roots() {
            chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let before = fs::metadata(&path).unwrap();
        place.ends_with(0, &format!("{SAMPLE} picture.png"));
        let after = fs::metadata(&path).unwrap();
        assert_eq!((after.mode(), after.uid()), (before.mode(), before.uid()));
        assert!(fs::read(&path).unwrap() == png);
    }
    File::create(&path).unwrap();
    place.ends_with(0, &format!("{SAMPLE} picture.png"));
    assert!(fs::read(&path).unwrap() == png);
}

#[test]
fn a_file_in_a_folder_that_cannot_be_written_is_written_in_place() {
    let place = place();
    let png = right(&place);
    let folder = place.path("kept");
    fs::create_dir(&folder).unwrap();
    put_picture(&folder.join("open.png"), 0o666);
    put_picture(&folder.join("shut.png"), 0o444);
    let shut = fs::read(folder.join("shut.png")).unwrap();
    let before = fs::metadata(folder.join("open.png")).unwrap();
    for mode in [0o555, 0o777] {
        fs::set_permissions(&folder, Permissions::from_mode(mode)).unwrap();
        fs::write(folder.join("open.png"), &shut).unwrap();
        succeeds(&place.bound(&format!("{SAMPLE} kept/open.png")));
        assert!(fs::read(folder.join("open.png")).unwrap() == png);
        let after = fs::metadata(folder.join("open.png")).unwrap();
        assert_eq!((after.uid(), after.mode()), (before.uid(), before.mode()));
        if mode == 0o555 {
            assert_eq!(after.ino(), before.ino());
            let said = complaint(&place.bound("sample no -o kept/new.png"));
            assert!(
                said.contains("cannot write kept/new.png: Permission denied"),
                "{said}"
            );
        }
        let said = complaint(&place.bound("sample no -o kept/shut.png"));
        assert!(
            said.contains("cannot write kept/shut.png: Permission denied"),
            "{said}"
        );
    }
    assert_eq!(fs::read(folder.join("shut.png")).unwrap(), shut);
    assert_eq!(names(&folder), ["open.png", "shut.png"]);
}

/// A file may not grow above 4 KiB here.
#[test]
fn what_cannot_be_written_whole_leaves_the_old_picture_or_says_so() {
    let place = place();
    for name in ["alone.bmp", "one.bmp"] {
        put_picture(&place.path(name), 0o600);
    }
    fs::hard_link(place.path("one.bmp"), place.path("other.bmp")).unwrap();
    let old = fs::read(place.path("alone.bmp")).unwrap();
    let starved = |named: &str| {
        let limits = "trap '' XFSZ; ulimit -f 4; exec \"$0\" \"$@\"";
        let mut shell = Command::new("sh");
        shell.args(["-c", limits, env!("CARGO_BIN_EXE_trainer")]);
        shell.args(["sample", "run", "-o", named]);
        let output = shell
            .current_dir(place.path("."))
            .stdout(Stdio::piped())
            .output();
        complaint(&output.unwrap())
    };
    let said = starved("alone.bmp");
    assert!(
        said.contains("cannot write alone.bmp: File too large"),
        "{said}"
    );
    assert_eq!(fs::read(place.path("alone.bmp")).unwrap(), old);
    let said = starved("new.bmp");
    assert!(
        said.contains("cannot write new.bmp: File too large"),
        "{said}"
    );
    let said = starved("one.bmp");
    assert!(
        said.contains("one.bmp: it is incomplete now: File too large"),
        "{said}"
    );
    assert_eq!(
        names(&place.path(".")),
        ["alone.bmp", "one.bmp", "other.bmp", "run"]
    );
}

#[test]
fn an_export_follows_links_and_replaces_no_pipe() {
    let place = place();
    let whole = place.contents("run");
    fs::create_dir(place.path("device")).unwrap();
    for (link, target) in [("again", "device"), ("device/model.pgan", "../flash")] {
        symlink(target, place.path(link)).unwrap();
    }
    let path = pipe(&place, "device/model.onnx");
    let reader = std::thread::spawn(move || fs::read(path).unwrap());
    export_to(&place.path("again")).unwrap();
    let links = ["again", "device/model.pgan"].map(|link| fs::read_link(place.path(link)).unwrap());
    assert_eq!(links, [Path::new("device"), Path::new("../flash")]);
    let onnx = fs::symlink_metadata(place.path("device/model.onnx")).unwrap();
    assert!(onnx.file_type().is_fifo());
    let read = |name: &str| {
        &whole
            .iter()
            .find(|(path, _)| path.ends_with(name))
            .unwrap()
            .1
    };
    assert!(&reader.join().unwrap() == read("model.onnx"));
    assert!(&fs::read(place.path("flash")).unwrap() == read("model.pgan"));
    assert_eq!(names(&place.path("device")).len(), 4);

    // Nothing is begun where one of the four cannot be written.
    fs::create_dir_all(place.path("bad/model.pgan")).unwrap();
    export_to(&place.path("bad")).unwrap_err();
    assert_eq!(names(&place.path("bad")), ["model.pgan"]);
    export_to(&place.path("flash")).unwrap_err();
    assert!(&fs::read(place.path("flash")).unwrap() == read("model.pgan"));
}
