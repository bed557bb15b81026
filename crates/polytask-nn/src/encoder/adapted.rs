//! Encoders with adapters: made, taken off, added to the weights.

use std::sync::Arc;

use polytask_core::Problem;
use polytask_core::method::Choice;

use super::{Encoder, Network};
use crate::Result;
use crate::params::Params;
use crate::trunk::adapters::Adapter;
use crate::trunk::families::EncoderFamily;
use crate::trunk::{Graph, Packed};

/// A network with adapters, and what these are.
#[derive(Debug)]
pub(crate) struct Adapted {
    pub(crate) graph: Arc<Graph>,
    pub(crate) spec: Arc<dyn Adapter>,
    /// What the suite says of them.
    pub(crate) choice: Choice,
    /// Name of the encoder they stand beside.
    pub(crate) base: String,
}

impl Encoder {
    /// The same encoder, of this name, with adapters beside its matrices; they alone are trained.
    ///
    /// # Errors
    /// An encoder that has none, targets and ranks that do not fit it.
    pub fn adapt(self, spec: Arc<dyn Adapter>, choice: &Choice, (name, seed): (&str, u64)) -> Result<Self> {
        let Network::Published { family, .. } = &self.network else {
            let what = "adapters stand beside the matrices of one published encoder, found another network";
            return Err(polytask_core::Error::from(Problem::new(what).try_this("`tune = \"full\"`")).into());
        };
        if self.adapted.is_some() {
            let what = "the encoder has adapters already, expected a plain one";
            return Err(
                polytask_core::Error::from(Problem::new(what).try_this("its merged model folder")).into()
            );
        }
        let adapted = self.bare_graph(family)?.adapt(&*spec).map_err(polytask_core::Error::Invalid)?;
        let graph = Arc::new(adapted);
        let mut params = self.params;
        params.blocks.extend(graph.adapters(seed).blocks);
        spec.start(&mut params, seed);
        let max_length = self.max_length.min(graph.max_positions());
        let (choice, base) = (choice.clone(), name.to_owned());
        let adapted = Some(Arc::new(Adapted { graph: graph.clone(), spec, choice, base }));
        Ok(Self { trunk: Arc::new(Packed::new(graph)), params, max_length, adapted, ..self })
    }

    /// The plain encoder whose weights have the adapters added; the same encoder where these cannot be added.
    ///
    /// # Errors
    /// When its configuration cannot be built.
    pub fn merged(self) -> Result<Self> {
        let (Some(adapted), Network::Published { family, .. }) = (self.adapted.clone(), &self.network) else {
            return Ok(self);
        };
        if !adapted.spec.merges() {
            return Ok(self);
        }
        let graph = self.bare_graph(family)?;
        let params = adapted.graph.merged(&self.params);
        Ok(Self { trunk: Arc::new(Packed::new(graph)), params, adapted: None, ..self })
    }

    /// The encoder without its adapters, where its vectors are others with them; none where fresh ones change nothing.
    ///
    /// # Errors
    /// When its configuration cannot be built.
    pub fn without_adapters(&self) -> Result<Option<Self>> {
        let (Some(adapted), Network::Published { family, .. }) = (self.unmerged(), &self.network) else {
            return Ok(None);
        };
        let graph = self.bare_graph(family)?;
        let params = Params { blocks: self.params.blocks[..adapted.graph.n_base()].to_vec() };
        Ok(Some(Self { trunk: Arc::new(Packed::new(graph)), params, adapted: None, ..self.clone() }))
    }

    /// The network without adapters, as its files describe it.
    fn bare_graph(&self, family: &EncoderFamily) -> Result<Graph> {
        let network = family.network(&self.notes.config, &self.notes.preprocessor);
        Ok(network.map_err(polytask_core::Error::Invalid)?.graph)
    }

    /// The network, timing its layers.
    ///
    /// # Errors
    /// When the encoder is no published one, or its configuration cannot be built.
    pub fn timed(&self) -> Result<Arc<Packed>> {
        let Network::Published { family, .. } = &self.network else {
            let what = "layers are timed of published encoders, found a fresh network";
            return Err(
                polytask_core::Error::from(Problem::new(what).try_this("the folder of an encoder")).into()
            );
        };
        let graph = match &self.adapted {
            Some(adapted) => adapted.graph.clone(),
            None => Arc::new(self.bare_graph(family)?),
        };
        Ok(Arc::new(Packed::new(graph).timed()))
    }
}
