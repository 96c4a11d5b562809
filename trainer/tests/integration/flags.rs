//! Every flag of `trainer fit` by itself: as a flag, as a key of a file, in a run's configuration, at a resume.

use crate::common::{Place, complaint};
use crate::runs_and_data::pictures;
use serde_json::Value;
use std::collections::BTreeSet;

/// Flags that are no keys of a configuration.
const NO_KEYS: [&str; 4] = ["config", "resume", "changed-data", "dry-run"];

/// Each other flag with a value, as TOML, that none of the [`RUNS`] has.
const GIVEN: [(&str, &str); 65] = [
    ("dataset", r#""folder:moved""#),
    ("image-size", "12"),
    ("channels", r#""grey""#),
    ("skip-broken", "true"),
    ("split-rule", r#""legacy""#),
    ("flip", "true"),
    ("only-classes", r#""0""#),
    ("instance-selection", "0.5"),
    ("recipe", r#""wgan""#),
    ("size", r#""small""#),
    ("discriminator-size", r#""full""#),
    ("generator", r#""detail""#),
    ("discriminator", r#""residual""#),
    ("conditional", "false"),
    ("discriminator-conditioning", r#""projection""#),
    ("loss", r#""hinge""#),
    ("penalty", r#""gradient""#),
    ("penalty-weight", "3.0"),
    ("weight-clip", "0.5"),
    ("critic-steps", "2"),
    ("augment", r#""diffaugment""#),
    ("top-k", "0.5"),
    ("top-k-decay", "0.75"),
    ("teacher", r#""gan""#),
    ("teacher-epochs", "1"),
    ("feature-weight", "2.0"),
    ("finetune", r#""int4""#),
    ("phase-images", "100"),
    ("levels", "4"),
    ("likelihood", r#""gaussian""#),
    ("beta", "2.5"),
    ("target-dataset", r#""folder:other""#),
    ("task", r#""inpaint""#),
    ("norm", r#""instance""#),
    ("pixel-weight", "7.0"),
    ("adversarial-weight", "2.0"),
    ("cycle-weight", "5.0"),
    ("identity-weight", "0.5"),
    ("init-from", r#""gan""#),
    ("epochs", "2"),
    ("minutes", "0.001"),
    ("batch", "16"),
    ("parts", "8"),
    ("lr", "0.003"),
    ("lr-generator", "0.003"),
    ("lr-discriminator", "0.005"),
    ("lr-schedule", r#""cosine""#),
    ("lr-end", "0.1"),
    ("schedule-epochs", "3"),
    ("optimizer", r#""sgd""#),
    ("adam-beta1", "0.25"),
    ("adam-beta2", "0.75"),
    ("momentum", "0.5"),
    ("ema-decay", "0.99"),
    ("latent-size", "24"),
    ("seed", "7"),
    ("threads", "1"),
    ("checkpoint-every", "5"),
    ("keep", "9"),
    ("on-nan", r#""rollback""#),
    ("on-collapse", r#""stop""#),
    ("device", r#""auto""#),
    ("data-dir", r#""data""#),
    ("out", r#""elsewhere""#),
    ("json", "true"),
];

/// Those that do not decide the result of so many steps.
const CIRCUMSTANCES: [&str; 14] = [
    "dataset",
    "target-dataset",
    "skip-broken",
    "epochs",
    "minutes",
    "threads",
    "checkpoint-every",
    "keep",
    "on-nan",
    "on-collapse",
    "device",
    "data-dir",
    "out",
    "json",
];

/// Those that only a variational autoencoder has.
const VARIATIONAL: [&str; 2] = ["likelihood", "beta"];
/// Those that only the recipe of networks that grow has.
const PROGRESSIVE: [&str; 1] = ["phase-images"];
/// Those that only the recipe has that draws pixel by pixel.
const AUTOREGRESSIVE: [&str; 1] = ["levels"];
/// Those that only an adversarial recipe has.
const ADVERSARIAL: [&str; 17] = [
    "discriminator-size",
    "discriminator",
    "discriminator-conditioning",
    "lr-generator",
    "lr-discriminator",
    "loss",
    "penalty",
    "penalty-weight",
    "weight-clip",
    "critic-steps",
    "augment",
    "top-k",
    "top-k-decay",
    "teacher",
    "teacher-epochs",
    "feature-weight",
    "finetune",
];
/// Those that only a recipe has whose generators read pictures.
const TRANSLATION: [&str; 7] = [
    "target-dataset",
    "task",
    "norm",
    "pixel-weight",
    "adversarial-weight",
    "cycle-weight",
    "identity-weight",
];
/// Those of adversarial recipes that such a recipe has too.
const SHARED: [&str; 4] = [
    "discriminator-size",
    "lr-generator",
    "lr-discriminator",
    "loss",
];
/// Those that only a run with a teacher has.
const TAUGHT: [&str; 3] = ["teacher-epochs", "feature-weight", "finetune"];

const CONDITIONAL: (&str, &str) = ("conditional", "true");
const COMMON: [(&str, &str); 9] = [
    ("dataset", r#""folder:own""#),
    ("image-size", "8"),
    ("size", r#""nano""#),
    ("batch", "8"),
    ("lr-schedule", r#""linear""#),
    ("lr-end", "0.5"),
    ("schedule-epochs", "2"),
    ("threads", "2"),
    ("device", r#""cpu""#),
];

/// A run of each kind of training: its name, and what it is begun with besides.
struct Run {
    name: &'static str,
    own: &'static [(&'static str, &'static str)],
}

const RUNS: [Run; 4] = [
    Run {
        name: "gan",
        own: &[("recipe", r#""relativistic""#), CONDITIONAL],
    },
    Run {
        name: "vae",
        own: &[("recipe", r#""vae""#), CONDITIONAL],
    },
    Run {
        name: "pairs",
        own: &[("recipe", r#""pix2pix""#), ("task", r#""denoise""#)],
    },
    Run {
        name: "cycle",
        own: &[
            ("recipe", r#""cyclegan""#),
            ("target-dataset", r#""folder:moved""#),
        ],
    },
];

impl Run {
    /// All that it is begun with.
    fn lines(&self) -> impl Iterator<Item = (&'static str, &'static str)> + use<> {
        COMMON.into_iter().chain(self.own.iter().copied())
    }

    fn reads_pictures(&self) -> bool {
        ["pairs", "cycle"].contains(&self.name)
    }

    /// Whether its recipe is of another kind than those that have a flag.
    fn is_foreign(&self, flag: &str) -> bool {
        let of_latents = ["conditional", "instance-selection", "latent-size"].contains(&flag);
        let unshared = ADVERSARIAL.contains(&flag) && !SHARED.contains(&flag);
        match self.name {
            _ if PROGRESSIVE.contains(&flag) || AUTOREGRESSIVE.contains(&flag) => true,
            "gan" => VARIATIONAL.contains(&flag) || TRANSLATION.contains(&flag),
            "vae" => ADVERSARIAL.contains(&flag) || TRANSLATION.contains(&flag),
            _ if of_latents || unshared || VARIATIONAL.contains(&flag) => true,
            "pairs" => ["cycle-weight", "identity-weight"].contains(&flag),
            _ => ["task", "pixel-weight", "adversarial-weight"].contains(&flag),
        }
    }

    /// What is said where a flag is refused beside what the run has; `None` where it is taken.
    fn refusal(&self, flag: &str) -> Option<String> {
        let said = match flag {
            _ if self.is_foreign(flag) => format!("has no --{flag}"),
            "data-dir" => "--data-dir holds the files of a published data set".into(),
            "instance-selection" => "there is none of folder:own".into(),
            "init-from" if self.name != "gan" => "nothing can be taken from it".into(),
            "teacher" => "leave out --conditional".into(),
            "only-classes" if !self.reads_pictures() => "leave out --only-classes".into(),
            "top-k-decay" => "--top-k-decay needs --top-k".into(),
            "momentum" => "the optimizer adam has no --momentum".into(),
            "target-dataset" if self.name == "pairs" => "give --task or --target-dataset".into(),
            "generator" if self.reads_pictures() => "has no generator of the kind detail".into(),
            "recipe" if self.reads_pictures() => "the recipe wgan".into(),
            _ if TAUGHT.contains(&flag) => format!("--{flag} needs --teacher"),
            _ => return None,
        };
        Some(said)
    }
}

/// The flag and its value on the command line.
fn flag((name, value): (&str, &str)) -> String {
    match value {
        "true" => format!("--{name}"),
        "false" => format!("--{name}=false"),
        value => format!("--{name} {}", value.trim_matches('"')),
    }
}

fn value(text: &str) -> Value {
    let table: Value = toml::from_str(&format!("value = {text}")).unwrap();
    table["value"].clone()
}

/// The configuration that a dry run says.
fn dry(place: &Place, line: &str) -> Value {
    let output = place.output(&format!("fit --dry-run {line}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{line}: {said}");
    let printed = String::from_utf8(output.stdout).unwrap();
    match printed.split_once("\n\n") {
        Some((config, _)) => toml::from_str(config).unwrap(),
        None => serde_json::from_str::<Value>(&printed).unwrap()["config"].clone(),
    }
}

/// The same data three times, of two classes.
fn place() -> Place {
    let place = Place::new();
    for folder in ["own", "moved", "other"] {
        for (class, red) in [("cat", 10), ("dog", 200)] {
            pictures(&place.path(folder).join("train").join(class), 20, red);
            pictures(&place.path(folder).join("test").join(class), 2, red + 40);
        }
    }
    place
}

#[test]
fn a_flag_is_a_key_and_is_kept_and_checked_at_a_resume() {
    let command = pocketgan_trainer::cli::command();
    let fit = command.find_subcommand("fit").unwrap();
    let flags: BTreeSet<&str> = fit.get_arguments().filter_map(|f| f.get_long()).collect();
    let known = GIVEN.iter().map(|given| given.0).chain(NO_KEYS);
    assert_eq!(flags, known.collect(), "each flag has a line in this test");

    let place = place();
    for key in NO_KEYS {
        std::fs::write(place.path("run.toml"), format!("{key} = true\n")).unwrap();
        let said = place.refusal("fit --config run.toml");
        assert!(said.contains("line 1") && said.contains(key), "{said}");
    }
    for run in &RUNS {
        let name_of_run = run.name;
        let common: Vec<String> = run.lines().map(flag).collect();
        let common = common.join(" ");
        place.ends_with(0, &format!("fit {common} --epochs 1 --out {name_of_run}"));
        let usual = dry(&place, &common);
        for given in GIVEN {
            let (name, text) = given;
            let flag = flag(given);
            let line = format!("{common} {flag}");
            // A flag that is in both lines stands once, the later value.
            let line = match run.lines().find(|common| common.0 == name) {
                Some(common) => line.replacen(&self::flag(common), "", 1),
                None => line,
            };
            let keys = run.lines().filter(|common| common.0 != name);
            let keys: String = keys
                .chain([given])
                .map(|(key, v)| format!("{key} = {v}\n"))
                .collect();
            std::fs::write(place.path("run.toml"), keys).unwrap();
            if let Some(refusal) = run.refusal(name) {
                for line in [format!("fit {line}"), "fit --config run.toml".to_owned()] {
                    let said = place.refusal(&line);
                    assert!(said.contains(&refusal), "{said}");
                }
                continue;
            }
            let config = dry(&place, &line);
            assert_eq!(config[name], value(text), "{name_of_run}: --{name}");
            assert_ne!(config[name], usual[name], "{name_of_run}: --{name}");
            assert_eq!(
                dry(&place, "--config run.toml"),
                config,
                "{name_of_run}: {name}"
            );
            // The flag comes before the key.
            let keys: String = run
                .lines()
                .map(|(key, v)| format!("{key} = {v}\n"))
                .collect();
            std::fs::write(place.path("run.toml"), keys).unwrap();
            let over = dry(&place, &format!("--config run.toml {flag}"));
            assert_eq!(over, config, "{name_of_run}: --{name}");

            let output = place.output(&format!("fit --resume {name_of_run} {flag}"));
            let decides = format!("{name} (");
            if CIRCUMSTANCES.contains(&name) {
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(!said.contains(&decides), "{name_of_run}: --{name}: {said}");
                assert!(
                    !said.contains("another recipe"),
                    "{name_of_run}: --{name}: {said}"
                );
                // Whether a run that is finished has time left depends on the machine.
                if name != "minutes" {
                    let expected = if name == "out" { 2 } else { 0 };
                    assert_eq!(
                        output.status.code(),
                        Some(expected),
                        "{name_of_run}: --{name}: {said}"
                    );
                }
            } else {
                let said = complaint(&output);
                let parts = match (name_of_run, name) {
                    // What only the run's recipe or optimizer has is in its configuration.
                    ("vae", "recipe") => ["the recipe wgan", "no --likelihood"],
                    (_, "optimizer") => ["the optimizer sgd", "no --adam-beta1"],
                    _ => ["another recipe", decides.as_str()],
                };
                assert!(parts.iter().all(|part| said.contains(part)), "{said}");
            }
        }
    }
}

/// Of a run that is begun with every flag, the configuration has every key.
#[test]
fn a_run_keeps_every_flag() {
    let place = place();
    for run in &RUNS {
        // The optimizer that is given is not Adam, and there is no run to begin from.
        let left_out = [
            "init-from",
            "minutes",
            "recipe",
            "conditional",
            "adam-beta1",
            "adam-beta2",
        ];
        let given = GIVEN.into_iter().filter(|(name, _)| {
            // Refused by itself, not beside the others.
            let together = ["top-k-decay", "momentum"].contains(name) && !run.is_foreign(name);
            (together || run.refusal(name).is_none()) && !left_out.contains(name)
        });
        let own = run.own.iter().filter(|(name, _)| {
            ["recipe", "conditional"].contains(name) || run.refusal(name).is_some()
        });
        let given: Vec<_> = given.chain(own.copied()).collect();
        let flags: Vec<String> = given.iter().map(|&given| flag(given)).collect();
        let flags = flags.join(" ");
        let config = dry(&place, &flags);
        place.ends_with(0, &format!("fit {flags}"));
        let kept = std::fs::read_to_string(place.path("elsewhere/config.toml")).unwrap();
        let mut kept: Value = toml::from_str(&kept).unwrap();
        for (name, text) in given {
            assert_eq!(kept[name], value(text), "{name}");
        }
        kept.as_object_mut().unwrap().remove("fingerprint").unwrap();
        assert_eq!(kept, config);
        let again = "fit --resume elsewhere";
        assert!(String::from_utf8_lossy(&place.output(again).stdout).starts_with('{'));
        std::fs::remove_dir_all(place.path("elsewhere")).unwrap();
    }
}
