//! `trainer fit --dry-run`: what a run would be.

use super::images::{Facts, HeldOut, Loaded};
use super::initial::Initial;
use super::options::{DeviceKind, Plan, input};
use super::teacher::Teacher;
use crate::cli::{Failure, print_json};
use crate::data::{self, FileState, Published, Split};
use crate::export::{DevicePlan, device_plan};
use crate::gan::fit::{Length, Run};
use crate::gan::{Named, Role};
use crate::spec::{Network, Shape, SpecError, Step};
use serde::{Serialize, Serializer};

/// A run that has not begun.
#[derive(Serialize)]
struct DryRun {
    config: toml::Table,
    data: Data,
    /// Each under its name.
    #[serde(flatten, serialize_with = "by_name")]
    networks: Vec<(String, Listed)>,
    /// Real images that a step takes.
    images_a_step: usize,
    steps_an_epoch: u32,
    /// Of a run that is not limited by time.
    #[serde(skip_serializing_if = "Option::is_none")]
    epochs: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    minutes: Option<f64>,
}

fn by_name<S: Serializer>(networks: &[(String, Listed)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(networks.iter().map(|(name, network)| (name, network)))
}

/// The images that are learned from.
#[derive(Serialize)]
struct Data {
    images: usize,
    channels: usize,
    height: usize,
    width: usize,
    classes: usize,
    /// Whether they are on this machine, and what they should be.
    here: bool,
    /// Where they would be fetched from otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
}

/// A network layer by layer, with the costs of one image.
#[derive(Serialize)]
struct Listed {
    input: String,
    parameters: usize,
    macs: usize,
    layers: Vec<Row>,
    /// What a network that makes images will take of a device in int8, or why no device runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<OnDevice>,
}

/// What a network will take of a device.
#[derive(Serialize)]
#[serde(untagged)]
pub(in crate::cli) enum OnDevice {
    Runs(DevicePlan),
    Not {
        /// Why no device runs it.
        no_device: String,
    },
}

impl OnDevice {
    /// # Errors
    /// A network that cannot be exported at all.
    pub fn of(network: &Network) -> Result<Self, Failure> {
        let plan = device_plan(network).map_err(anyhow::Error::from)?;
        Ok(match plan {
            Ok(plan) => Self::Runs(plan),
            Err(reason) => Self::Not {
                no_device: reason.to_string(),
            },
        })
    }

    /// Says it, with what each skip keeps in memory.
    pub fn print(&self) {
        let plan = match self {
            Self::Runs(plan) => plan,
            Self::Not { no_device } => return say!("  on a device: {no_device}"),
        };
        say!(
            "  on a device, in int8: {} bytes of flash, {} bytes of working memory; rows of tensors in memory at once:",
            plan.cost.blob_bytes,
            plan.cost.working_memory
        );
        for (number, tensor) in plan.tensors.iter().enumerate() {
            let skips = tensor.skips.iter().map(|layer| layer.to_string());
            let skips = skips.collect::<Vec<_>>().join(", ");
            let kept = match tensor.rows {
                0 => "in those of a concatenation".to_owned(),
                rows => format!("{rows:>4} rows {:>8} bytes", tensor.bytes),
            };
            let skips = match skips.as_str() {
                "" => String::new(),
                skips => format!("  kept for the skip to layer {skips}"),
            };
            say!(
                "  {number:>4} {:<16} {:>12} {kept}{skips}",
                tensor.layer,
                tensor.shape
            );
        }
    }
}

#[derive(Serialize)]
struct Row {
    layer: &'static str,
    output: String,
    parameters: usize,
    macs: usize,
}

/// Checks what a run needs and says what it would be; trains nothing and writes nothing.
///
/// # Errors
/// What the run itself would refuse.
pub(super) fn run(plan: &mut Plan) -> Result<(), Failure> {
    if plan.options.device == DeviceKind::Cuda && cfg!(not(feature = "cuda")) {
        return input(super::NO_CUDA);
    }
    let (data, facts) = Data::find(plan)?;
    let teacher = Teacher::of(plan)?;
    let mut settings = super::settings(plan, &facts, teacher.as_ref())?;
    plan.fill_phases(settings.growth.as_ref(), facts.count)?;
    let begins = super::begin_with(Initial::of(plan)?.as_ref(), &mut settings)?;
    begins.iter().for_each(|sentence| tell!("{sentence}"));
    let run = super::run_of(plan, settings, data.images)?;
    let dry = DryRun::new(plan, data, &run)?;
    if plan.options.json {
        return print_json(&dry);
    }
    dry.print(&plan.to_toml()?);
    Ok(())
}

impl Data {
    /// Reads and checks the images if they are here.
    fn find(plan: &Plan) -> Result<(Self, Facts), Failure> {
        let options = plan.data_options();
        // Of two data sets, both are looked at.
        for dataset in plan
            .target
            .iter()
            .flat_map(|target| [target, &plan.dataset])
        {
            if let Some(published) = dataset.published()
                && is_absent(published, &options)?
            {
                return input(format!(
                    "the images of {dataset} are not on this machine: `trainer data fetch {dataset}` gets them"
                ));
            }
        }
        // In a folder that was named, nothing else is looked for.
        let published = plan.dataset.published();
        if let Some(published) = published.filter(|_| options.data_dir.is_none())
            && is_absent(published, &options)?
        {
            let (channels, height, width) = published.image_shape();
            let image = Shape::new(channels, height, width);
            let facts = Facts {
                count: plan.selected(published.count(Split::Train)),
                image,
                classes: published.classes().len(),
                picture: plan.picture(image, None)?,
                inputs: None,
            };
            return Ok((Self::new(&facts, Some(published)), facts));
        }
        let facts = Loaded::new(plan, Split::Train)?.facts(plan)?;
        // What grids and scores need is looked for too.
        HeldOut::load(plan, &facts)?;
        Ok((Self::new(&facts, None), facts))
    }

    /// `absent` is a data set that is not here.
    fn new(facts: &Facts, absent: Option<Published>) -> Self {
        let Shape {
            channels,
            height,
            width,
        } = facts.image;
        Self {
            images: facts.count,
            channels,
            height,
            width,
            classes: facts.classes,
            here: absent.is_none(),
            origin: absent.map(Published::origin),
        }
    }
}

/// Whether a file of the training images is not on this machine.
fn is_absent(published: Published, options: &data::Options) -> Result<bool, Failure> {
    let needed = published.files(Split::Train);
    let needed = |name| needed.iter().any(|file| file.name == name);
    let mut files = data::info(published, options)?.into_iter();
    Ok(files.any(|file| needed(file.name) && !matches!(file.state, FileState::Here(_))))
}

impl Listed {
    fn new(network: &Network) -> Result<Self, SpecError> {
        let steps = network.walk()?;
        Ok(Self {
            device: None,
            input: network.input.to_string(),
            parameters: steps.iter().map(Step::parameters).sum(),
            macs: steps.iter().map(Step::macs).sum(),
            layers: steps.iter().map(Row::new).collect(),
        })
    }

    fn print(&self, name: &str) {
        say!(
            "{name}: {} parameters, {} multiply-accumulates an image",
            self.parameters,
            self.macs
        );
        say!(
            "  {:<16} {:>12} {:>11} {:>12}",
            "layer",
            "out",
            "parameters",
            "MACs"
        );
        say!("  {:<16} {:>12}", "input", self.input);
        for row in &self.layers {
            say!(
                "  {:<16} {:>12} {:>11} {:>12}",
                row.layer,
                row.output,
                row.parameters,
                row.macs
            );
        }
        if let Some(device) = &self.device {
            device.print();
        }
    }
}

impl Row {
    fn new(step: &Step<'_>) -> Self {
        Self {
            layer: step.layer.name(),
            output: step.output.to_string(),
            parameters: step.parameters(),
            macs: step.macs(),
        }
    }
}

impl DryRun {
    fn new(plan: &Plan, data: Data, run: &Run) -> Result<Self, Failure> {
        let listed = |named: &Named| {
            let mut listed = Listed::new(&named.network).map_err(anyhow::Error::from)?;
            if named.role == Role::Generator {
                listed.device = Some(OnDevice::of(&named.network)?);
            }
            Ok::<_, Failure>((named.name.clone(), listed))
        };
        let networks = run.settings.networks.iter();
        let steps_an_epoch = run.steps_an_epoch(data.images);
        let (epochs, minutes) = match run.length {
            Length::Epochs(epochs) => (Some(epochs), None),
            Length::Time(limit) => (None, Some(limit.as_secs_f64() / 60.0)),
        };
        Ok(Self {
            config: plan.to_table()?,
            networks: networks.map(listed).collect::<Result<_, _>>()?,
            images_a_step: run.images_a_step(),
            steps_an_epoch,
            epochs,
            steps: epochs.map(|epochs| u64::from(epochs) * u64::from(steps_an_epoch)),
            minutes,
            data,
        })
    }

    fn print(&self, config: &str) {
        say!("{}", config.trim_end());
        say!("");
        let Data {
            images,
            channels,
            height,
            width,
            ..
        } = self.data;
        let place = match &self.data.origin {
            Some(origin) => format!("not on this machine; they would be fetched from {origin}"),
            None => "on this machine and checked".to_owned(),
        };
        say!("images: {images} of {channels}x{height}x{width}, {place}");
        for (name, network) in &self.networks {
            network.print(name);
        }
        let length = match (self.epochs, self.steps, self.minutes) {
            (Some(epochs), Some(steps), _) => format!("{steps} steps in {epochs} epochs"),
            (_, _, Some(minutes)) => {
                format!("as many steps as there is time for in {minutes} minutes")
            }
            _ => String::new(),
        };
        say!(
            "length: {length}; a step takes {} images, an epoch {} steps",
            self.images_a_step,
            self.steps_an_epoch
        );
        say!("nothing was trained or written (--dry-run)");
    }
}
