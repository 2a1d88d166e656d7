//! Phase two: stages become vertices, and the last one's configuration the image's.

mod command;
mod config;
mod history;
mod make;
mod path;
mod stage;

use std::collections::BTreeMap;

use model::{BuildGraph, ImageConfig, ImageReference, Op, Output, Platform, RuntimeConfig, Vertex, VertexId};

use crate::error::Error;
use crate::stages::{Base, Stages};
use crate::text::Text;
use crate::{Images, Options};
pub(crate) use make::is_predefined;
use stage::State;

/// What BuildKit gives an image that has no PATH of its own.
const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(crate) fn plan(
    stages: &Stages<'_>,
    escape: char,
    options: &Options,
    images: &Images,
) -> Result<BuildGraph, Error> {
    let mut planner = Planner {
        stages,
        escape,
        options,
        images,
        vertices: Vec::new(),
        shared: BTreeMap::new(),
        states: BTreeMap::new(),
    };
    for index in &stages.needed {
        let state = State::plan(&mut planner, *index)?;
        planner.states.insert(*index, state);
    }
    let Some(state) = planner.states.remove(&stages.target) else {
        return Err(Error::bare("target_not_found", "The Dockerfile has no stage.", "Begin one with FROM."));
    };
    let output = Output {
        root: state.vertex,
        config: ImageConfig {
            history: Vec::new(),
            created: None,
            rootfs: model::RootFs::default(),
            // An empty list of triggers is none, and must not go on.
            config: RuntimeConfig { on_build: None, ..state.config.config },
            ..state.config
        },
        history: state.history,
        platform: stages.all[stages.target].platform.clone(),
    };
    Ok(BuildGraph { vertices: planner.vertices, output })
}

/// Where a vertex stands, as [`Vertex`] has it; nowhere for an image that is only copied from.
#[derive(Debug, Default)]
pub(crate) struct Place {
    stage: Option<String>,
    step: Option<(usize, usize)>,
}

/// The graph being made.
pub(crate) struct Planner<'a> {
    stages: &'a Stages<'a>,
    escape: char,
    options: &'a Options,
    images: &'a Images,
    vertices: Vec<Vertex>,
    /// An image is one vertex, however many stages begin with it.
    shared: BTreeMap<(ImageReference, Platform), VertexId>,
    states: BTreeMap<usize, State>,
}

impl Planner<'_> {
    fn spend(&self, cost: usize, text: &Text) -> Result<(), Error> {
        self.stages.budget.spend(cost, text)
    }

    fn add(&mut self, op: Op, instruction: String, place: Place, text: &Text) -> VertexId {
        let (Place { stage, step }, location) = (place, Some(text.line_location()));
        self.vertices.push(Vertex { op, instruction, stage, step, location });
        VertexId(self.vertices.len() - 1)
    }

    /// The vertex of an image.
    fn image(
        &mut self,
        reference: &ImageReference,
        platform: &Platform,
        place: Place,
        text: &Text,
    ) -> Result<VertexId, Error> {
        let key = (reference.clone(), platform.clone());
        if let Some(id) = self.shared.get(&key) {
            return Ok(*id);
        }
        let image = self.images.get(&key).cloned().ok_or_else(|| {
            Error::at(
                "internal",
                text,
                format!("{reference} was not resolved."),
                "Report this: it is a defect.",
            )
        })?;
        let id = self.add(Op::Image(Box::new(image)), format!("FROM {reference}"), place, text);
        self.shared.insert(key, id);
        Ok(id)
    }

    /// The file system that a COPY reads.
    fn copied(&mut self, base: &Base, text: &Text) -> Result<VertexId, Error> {
        match base {
            Base::Stage(index) => self.states.get(index).map(|state| state.vertex).ok_or_else(|| {
                Error::at("internal", text, "A stage was planned too late.", "Report this: it is a defect.")
            }),
            Base::Image(reference) => {
                let platform = self.options.platform.clone();
                self.image(reference, &platform, Place::default(), text)
            }
            Base::Scratch => Ok(self.add(Op::Scratch, "FROM scratch".to_owned(), Place::default(), text)),
        }
    }
}
