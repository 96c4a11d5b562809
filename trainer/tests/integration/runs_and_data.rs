//! What a run knows of its data and its folder: resuming on other data, reading it again, runs side by side.

use crate::common::{Place, complaint, signal};
use image::{Rgb, RgbImage};
use std::path::Path;
use std::process::{Output, Stdio};

/// Pictures of one colour each, of which no two are alike.
pub fn pictures(folder: &Path, count: u32, red: u32) {
    std::fs::create_dir_all(folder).unwrap();
    for i in 0..count {
        let picture = RgbImage::from_pixel(8, 8, Rgb([red as u8, (5 * i) as u8, 90]));
        picture.save(folder.join(format!("{i:02}.png"))).unwrap();
    }
}

/// Two classes of 36 and 4 pictures in `own`.
fn with_classes() -> Place {
    let place = Place::new();
    for (class, red) in [("cat", 10), ("dog", 200)] {
        pictures(&place.path("own/train").join(class), 36, red);
        pictures(&place.path("own/test").join(class), 4, red + 40);
    }
    place
}

const FIT: &str =
    "fit --dataset folder:own --image-size 8 --recipe mlp --batch 8 --device cpu --threads 1";

/// Begins the run `run` and stops it after its first checkpoint.
fn begin(place: &Place, options: &str) {
    let mut run = place.start(&format!(
        "{FIT} --checkpoint-every 1 --epochs 500 --out run {options}"
    ));
    place.wait_for_step("run", 2, &mut run);
    signal(&run, "INT");
    assert_eq!(run.wait().unwrap().code(), Some(130));
}

fn rename(place: &Place, from: &str, to: &str) {
    std::fs::rename(place.path(from), place.path(to)).unwrap();
}

#[test]
fn a_run_is_not_resumed_on_changed_data() {
    let place = with_classes();
    begin(&place, "");
    let steps = place.checkpoints("run");
    let refused = |part: &str| {
        let said = place.refusal("fit --resume run");
        for part in ["the images are not those", "--changed-data", part] {
            assert!(said.contains(part), "{said}");
        }
        assert_eq!(place.checkpoints("run"), steps);
    };
    let swap = || {
        for (from, to) in [("cat", "x"), ("dog", "cat"), ("x", "dog")] {
            for half in ["own/train", "own/test"] {
                rename(&place, &format!("{half}/{from}"), &format!("{half}/{to}"));
            }
        }
    };
    swap();
    refused("class cat has the images that dog had; class dog has the images that cat had");
    swap();
    for half in ["own/train", "own/test"] {
        rename(&place, &format!("{half}/dog"), &format!("{half}/fox"));
    }
    refused("class dog is now called fox");
    for half in ["own/train", "own/test"] {
        rename(&place, &format!("{half}/fox"), &format!("{half}/dog"));
    }
    let first = place.path("own/train/cat/00.png");
    let old = std::fs::read(&first).unwrap();
    pictures(&place.path("own/train/cat"), 1, 77);
    refused("class cat has as many images, but others");
    std::fs::write(&first, old).unwrap();
    rename(&place, "own/train/cat/00.png", "own/train/cat/zz.png");
    refused("the same images in another order");
    rename(&place, "own/train/cat/zz.png", "own/train/cat/00.png");
    let said = place.refusal("fit --resume run --dataset fashion");
    assert!(said.contains("learns from folder:own"), "{said}");
    pictures(&place.path("own/train/dog"), 39, 200);
    refused("72 images of 3x8x8 then, 75 images of 3x8x8 now; class dog has 39 images, it had 36");
    for i in 36..39 {
        std::fs::remove_file(place.path(&format!("own/train/dog/{i}.png"))).unwrap();
    }
    // As they were, wherever they lie now.
    rename(&place, "own", "moved");
    let said = place.refusal("fit --resume run");
    let here = place.path("").canonicalize().unwrap();
    assert!(
        said.contains(&format!(
            "own (in {}): there is no such folder",
            here.display()
        )),
        "{said}"
    );
    let config = std::fs::read_to_string(place.path("run/config.toml")).unwrap();
    let mut run = place.start("fit --resume run --dataset folder:moved");
    place.wait_for_step("run", steps.last().unwrap() + 2, &mut run);
    signal(&run, "INT");
    assert_eq!(run.wait().unwrap().code(), Some(130));
    let moved = std::fs::read_to_string(place.path("run/config.toml")).unwrap();
    assert_eq!(moved, config.replace("folder:own", "folder:moved"));
}

/// Where the pictures lie is no part of the result: a run whose pictures were moved half-way ends with the bytes of one
/// left alone.
#[test]
fn moved_pictures_give_the_same_run() {
    let place = with_classes();
    place.ends_with(0, &format!("{FIT} --epochs 8 --out alone"));
    let mut run = place.start(&format!("{FIT} --epochs 8 --checkpoint-every 1 --out run"));
    place.wait_for_step("run", 2, &mut run);
    signal(&run, "KILL");
    run.wait().unwrap();
    rename(&place, "own", "moved");
    place.ends_with(0, "fit --resume run --dataset folder:moved");
    assert_eq!(place.outcome("run"), place.outcome("alone"));
    let said = place.ends_with(0, "eval run --samples 10");
    assert!(said.contains("folder moved"), "{said}");
    // A finished run is told as well where they are, and that they are others.
    rename(&place, "moved", "again");
    let config = || std::fs::read_to_string(place.path("run/config.toml")).unwrap();
    let before = config();
    let outcome = place.outcome("run");
    let said = place.ends_with(0, "fit --resume run --dataset folder:again");
    assert!(said.contains("says now where the images are"), "{said}");
    assert_eq!(config(), before.replace("folder:moved", "folder:again"));
    place.ends_with(0, "eval run --samples 10");
    assert!(place.path("run/summary.json").is_file());
    assert_eq!(place.outcome("run"), outcome);
    pictures(&place.path("other/train/cat"), 9, 3);
    let said = place.refusal("fit --resume run --dataset folder:other");
    assert!(said.contains("not the images that it learned"), "{said}");
    assert_eq!(config(), before.replace("folder:moved", "folder:again"));
}

/// What a conditional run cannot go on with is refused as changed first; and knowingly, for what it is.
#[test]
fn a_conditional_run_needs_its_classes() {
    let place = with_classes();
    begin(&place, "--conditional");
    std::fs::remove_dir_all(place.path("own/test")).unwrap();
    let said = place.refusal("fit --resume run");
    for part in [
        "class train is new",
        "class cat is gone",
        "class dog is gone",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let said = place.refusal("fit --resume run --changed-data");
    assert!(
        said.contains("one of several classes, and these images have 1"),
        "{said}"
    );
    pictures(&place.path("own/test/cat"), 4, 10);
    pictures(&place.path("own/train/ant"), 9, 99);
    let config = std::fs::read(place.path("run/config.toml")).unwrap();
    let said = place.refusal("fit --resume run --changed-data");
    assert!(
        said.contains("3x8x8 and 2 classes then") && said.contains("3x8x8 and 3 classes now"),
        "{said}"
    );
    // What was refused is not recorded.
    assert_eq!(
        std::fs::read(place.path("run/config.toml")).unwrap(),
        config
    );
}

/// With `--changed-data` a run goes on with more pictures, and remembers them; another shape is refused all the same.
#[test]
fn changed_data_are_accepted_knowingly() {
    let place = with_classes();
    begin(&place, "");
    pictures(&place.path("own/train/cat"), 50, 11);
    let mut run = place.start("fit --resume run --changed-data");
    let last = *place.checkpoints("run").last().unwrap();
    place.wait_for_step("run", last + 2, &mut run);
    signal(&run, "INT");
    assert_eq!(run.wait().unwrap().code(), Some(130));
    // What it learns now is what it must find the next time.
    let mut run = place.start("fit --resume run");
    place.wait_for_step("run", last + 5, &mut run);
    signal(&run, "INT");
    assert_eq!(run.wait().unwrap().code(), Some(130));
    let said = place.refusal("fit --config run/config.toml --changed-data");
    assert!(said.contains("--resume"), "{said}");
    // A new run by the same configuration is told that it will not be the same.
    let again = "fit --config run/config.toml --epochs 1 --out again";
    assert!(!place.ends_with(0, again).contains("not the images"));
    pictures(&place.path("own/train/dog"), 1, 3);
    let said = place.ends_with(0, &format!("{again}-changed"));
    assert!(
        said.contains("not the images of that configuration: class dog has"),
        "{said}"
    );
}

/// Runs of versions that kept no record of their data go on, and are told that nothing was checked; the split is the
/// old one.
#[test]
fn a_run_without_a_record_of_its_data_goes_on_with_the_old_split() {
    let place = Place::new();
    pictures(&place.path("own"), 40, 10);
    begin(&place, "--split-rule legacy");
    let forget = |place: &Place| {
        for step in place.checkpoints("run") {
            std::fs::remove_file(place.checkpoint("run", step)).unwrap();
        }
        place.change(&place.path("run/config.toml"), |bytes| {
            let text = String::from_utf8(bytes.clone()).unwrap();
            let (options, _) = text.split_once("[fingerprint]").unwrap();
            let lines = options
                .lines()
                .filter(|line| !line.starts_with("split-rule"));
            *bytes = lines
                .map(|line| format!("{line}\n"))
                .collect::<String>()
                .into_bytes();
        });
    };
    forget(&place);
    std::fs::create_dir(place.path("other")).unwrap();
    pictures(&place.path("other"), 40, 10);
    let said = place.refusal("fit --resume run --dataset folder:other");
    assert!(said.contains("no record of its images"), "{said}");
    let run = place
        .command("fit --resume run")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut run = run.unwrap();
    place.wait_for_step("run", 2, &mut run);
    signal(&run, "INT");
    let said = run.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.contains("cannot be checked"), "{said}");
    let config = std::fs::read_to_string(place.path("run/config.toml")).unwrap();
    assert!(
        config.contains("split-rule = \"legacy\"") && config.contains("[fingerprint]"),
        "{config}"
    );
}

/// `eval` reads the data as the run did.
#[test]
fn eval_reads_the_data_as_the_run_did() {
    let place = Place::new();
    pictures(&place.path("own/train"), 40, 10);
    pictures(&place.path("own/test"), 10, 90);
    std::fs::write(place.path("own/test/broken.png"), b"no picture").unwrap();
    place.ends_with(
        0,
        &format!("{FIT} --epochs 2 --skip-broken --channels grey --out run"),
    );
    place.ends_with(0, "eval run --samples 10");
    // Of pictures that lie elsewhere now, too; and a flag comes first.
    rename(&place, "own", "moved");
    let said = place.ends_with(0, "eval run --samples 10 --dataset folder:moved");
    assert!(!said.contains("not the images"), "{said}");
    pictures(&place.path("moved/train"), 1, 77);
    let said = place.ends_with(0, "eval run --samples 10 --dataset folder:moved");
    assert!(
        said.contains("not the images that the run learned"),
        "{said}"
    );
    let said = place.refusal("eval run --samples 10 --dataset folder:moved --image-size 16");
    assert!(said.contains("1x16x16"), "{said}");
    rename(&place, "moved", "own");
    // A model without a configuration takes the flags.
    std::fs::create_dir(place.path("model")).unwrap();
    for name in ["model.pgan", "model-f32.pgan", "model.onnx"] {
        std::fs::copy(place.path("run").join(name), place.path("model").join(name)).unwrap();
    }
    let flags = "--image-size 8 --channels grey --skip-broken";
    place.ends_with(
        0,
        &format!("eval model --samples 10 --dataset folder:own {flags}"),
    );
    place.ends_with(
        0,
        &format!("eval model/model.pgan --samples 10 --dataset folder:own {flags}"),
    );
    let said = place
        .refusal("eval model --samples 10 --dataset folder:own --image-size 8 --channels grey");
    assert!(said.contains("broken.png"), "{said}");
    let said = place.refusal("eval model --dataset fashion --image-size 8");
    assert!(said.contains("folder:PATH only"), "{said}");
}

/// Runs `trainer` as often at once; gives how each ended.
fn together(place: &Place, count: usize, line: &str) -> Vec<Output> {
    let start = |_| {
        let mut command = place.command(line);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let runs: Vec<_> = (0..count).map(start).collect();
    runs.into_iter()
        .map(|run| run.wait_with_output().unwrap())
        .collect()
}

/// Six runs that are started together each get a folder.
#[test]
fn runs_started_together_get_a_folder_each() {
    let place = Place::new();
    pictures(&place.path("own"), 24, 10);
    for end in together(&place, 6, &format!("{FIT} --epochs 2")) {
        assert!(end.status.success(), "{end:?}");
    }
    let names = std::fs::read_dir(place.path("runs")).unwrap();
    let mut names: Vec<_> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let expected = [
        "own-mlp",
        "own-mlp-2",
        "own-mlp-3",
        "own-mlp-4",
        "own-mlp-5",
        "own-mlp-6",
    ];
    assert_eq!(names, expected);
    for name in names {
        let run = place.path("runs").join(name);
        assert!(run.join("summary.json").is_file() && run.join("model.pgan").is_file());
    }
}

/// Of runs that want the same folder one gets it, and the others say so and leave nothing else.
#[test]
fn one_of_two_runs_gets_a_folder() {
    let place = Place::new();
    pictures(&place.path("own"), 24, 10);
    std::fs::create_dir(place.path("volume")).unwrap();
    std::fs::create_dir(place.path("volume/lost+found")).unwrap();
    for out in ["new", "volume"] {
        let ends = together(&place, 3, &format!("{FIT} --epochs 2 --out {out}"));
        let (won, lost): (Vec<_>, Vec<_>) = ends.into_iter().partition(|end| end.status.success());
        assert_eq!((won.len(), lost.len()), (1, 2), "{out}");
        for end in lost {
            let said = complaint(&end);
            assert!(
                said.contains(&format!("works in {out}"))
                    || said.contains(&format!("{out} is there already")),
                "{said}"
            );
        }
        assert!(place.path(out).join("summary.json").is_file());
    }
    let left: Vec<_> = std::fs::read_dir(place.path("")).unwrap().collect();
    assert_eq!(left.len(), 3, "{left:?}");
}

#[test]
fn a_refused_start_leaves_nothing() {
    let place = Place::new();
    pictures(&place.path("own"), 3, 10);
    std::fs::create_dir(place.path("empty")).unwrap();
    for options in ["--out empty", "--out deep/er", ""] {
        let said = place.refusal(&format!("{FIT} {options}"));
        assert!(said.contains("a step takes 8 images"), "{said}");
    }
    // Nor of what cannot be created.
    let long = "x".repeat(300);
    let said = place.refusal(&format!(
        "{} --out deep/er/{long}",
        FIT.replace("--batch 8", "--batch 2")
    ));
    assert!(said.contains("cannot create"), "{said}");
    let left = place.contents(".");
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(!place.path("deep").exists() && !place.path("runs").exists());
    std::fs::write(place.path("empty/mine"), b"").unwrap();
    let said = place.refusal(&format!("{FIT} --out empty"));
    assert!(
        said.contains("empty is there already") && !said.contains("--resume"),
        "{said}"
    );
    assert_eq!(place.contents("empty").len(), 1);
}

/// `--dataset folder:.` sees the pictures that were there, not those that its runs make.
#[test]
fn a_run_inside_its_pictures_does_not_learn_its_own() {
    let place = Place::new();
    pictures(&place.path(""), 24, 10);
    let line = FIT.replace("folder:own", "folder:.");
    for run in ["runs/a", "runs/b"] {
        let said = place.ends_with(0, &format!("{line} --epochs 2 --out {run}"));
        let images = said
            .lines()
            .find(|line| line.contains("images of"))
            .unwrap();
        assert!(images.contains(": 2"), "{said}");
        place.ends_with(0, "sample runs/a -o grid.png");
    }
    let prints = ["a", "b"].map(|run| {
        let config =
            std::fs::read_to_string(place.path("runs").join(run).join("config.toml")).unwrap();
        config.split_once("[fingerprint]").unwrap().1.to_owned()
    });
    assert_eq!(prints[0], prints[1]);
}

/// What `fit` takes, `data info` informs about.
#[test]
fn data_info_takes_what_fit_takes() {
    let place = Place::new();
    let info = || {
        let output = place.output("data info folder:own --json");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let facts: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        ["train", "test"].map(|split| facts["dataset"][split].as_u64().unwrap())
    };
    pictures(&place.path("own/train"), 12, 10);
    std::fs::create_dir(place.path("own/test")).unwrap();
    place.ends_with(0, &format!("{FIT} --epochs 2 --out a"));
    assert_eq!(info(), [12, 0]);
    std::fs::write(place.path("own/test/broken.png"), b"no picture").unwrap();
    place.ends_with(0, &format!("{FIT} --epochs 2 --out b"));
    assert_eq!(info(), [12, 0]);
    pictures(&place.path("own/test"), 1, 10);
    assert_eq!(info(), [12, 1]);
    std::fs::remove_dir_all(place.path("own")).unwrap();
    // Twenty names of which the hash keeps none for testing.
    std::fs::create_dir(place.path("own")).unwrap();
    for i in [
        1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
    ] {
        let picture = RgbImage::from_pixel(8, 8, Rgb([i, 2, 90]));
        picture
            .save(place.path(&format!("own/pic{i}.png")))
            .unwrap();
    }
    place.ends_with(0, &format!("{FIT} --epochs 2 --out c"));
    let [train, test] = info();
    assert!(train + test == 19 && test >= 1);
}

/// What may not be opened is named as that, and skipped where broken pictures are.
#[cfg(unix)]
#[test]
fn what_may_not_be_opened_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    for class in ["a", "b"] {
        pictures(&place.path("own").join(class), 3, 10);
    }
    let closed = |name: &str| {
        let mode = std::fs::Permissions::from_mode(0o000);
        std::fs::set_permissions(place.path("own").join(name), mode).unwrap();
    };
    closed("a/01.png");
    closed("b");
    let said = complaint(&place.bound("data info folder:own"));
    for part in [
        "own/b (in /",
        "it cannot be read (Permission denied",
        "--skip-broken",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let output = place.bound("data info folder:own --skip-broken");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    for name in ["own/b: ", "own/a/01.png: "] {
        assert_eq!(said.matches(name).count(), 1, "{said}");
    }
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(place.path("own/b"), open).unwrap();
}

/// A name that is not UTF-8 costs no run.
#[cfg(target_os = "linux")]
#[test]
fn a_folder_may_have_any_name() {
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    pictures(&place.path("own"), 24, 10);
    let name = std::ffi::OsStr::from_bytes(b"run\xff");
    let run = |words: &str| {
        let mut command = place.command(words);
        command.arg(name);
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "{words}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    run(&format!("{FIT} --epochs 1 --json --out"));
    std::fs::remove_file(place.path("").join(name).join("summary.json")).unwrap();
    run("fit --resume");
    run("inspect --json");
    run("sample --json -o grid.png");
}
