//! The backward: cotangents enter at their views and sink through the graph, node by node, to the shared part.

use super::cotangents::{self, Arrived};
use super::mask::Mask;
use super::needed;
use super::net::{CUT, Node, NodeId};
use super::trunk::{Shared, SharedSaved, mixing};
use crate::Result;
use crate::params::{Block, Params, Real};
use crate::trunk::{BlockGrad, Cotangent, GradSink, SavedForward, TaskGrad, Trunk, shape_error};

/// A sweep in progress.
struct Sweep<'a, 'b, T: Real> {
    trunk: &'a Shared<T>,
    params: &'a Params<T>,
    saved: &'a SharedSaved<T>,
    sink: &'b mut dyn GradSink<T>,
    /// What has come to each node.
    arrived: Vec<Arrived<T>>,
}

/// Renumbers the blocks of a layer's own sink.
struct Renumbered<'a, T> {
    sink: &'a mut dyn GradSink<T>,
    block: usize,
}

impl<T> GradSink<T> for Renumbered<'_, T> {
    fn block(&mut self, _block: usize, grads: &[TaskGrad<'_, T>]) -> Result<()> {
        self.sink.block(self.block, grads)
    }
}

impl<T: Real> Shared<T> {
    /// What this trunk saved.
    pub(super) fn saved<'a>(&self, saved: &'a SavedForward) -> Result<&'a SharedSaved<T>> {
        match saved.downcast_ref::<SharedSaved<T>>().filter(|saved| saved.states.len() == self.nodes.len()) {
            Some(saved) => Ok(saved),
            None => shape_error::shape(
                "backward",
                "nothing saved by this trunk",
                "what a forward with `save` returned",
            ),
        }
    }

    /// Sends cotangents down through all nodes.
    pub(super) fn sweep(
        &self,
        params: &Params<T>,
        saved: &SharedSaved<T>,
        cotangents: &[Cotangent<T>],
        sink: &mut dyn GradSink<T>,
    ) -> Result<()> {
        let arrived = vec![Arrived::new(); self.nodes.len()];
        let mut sweep = Sweep { trunk: self, params, saved, sink, arrived };
        sweep.enter(cotangents)?;
        for node in (CUT + 1..self.nodes.len()).rev() {
            sweep.node(node)?;
        }
        sweep.below()
    }

    /// The highest block at or below a node: what a cotangent must reach to be sent there.
    fn reach(&self, node: NodeId) -> usize {
        self.nodes[node].block().unwrap_or(self.n_below - 1)
    }

    /// Regularisers of all weighers on the sequences their tasks touch.
    pub(super) fn penalties(
        &self,
        params: &Params<T>,
        saved: &SharedSaved<T>,
        touched: &[(usize, Vec<u32>)],
        sink: &mut dyn GradSink<T>,
    ) -> Result<f64> {
        let mut sum = 0.0;
        for node in self.nodes.iter().rev() {
            let Node::Mix { block, .. } = node else { continue };
            if *block < saved.mode.lowest {
                continue;
            }
            let mixing = mixing(node, params, &saved.layout, &saved.states, saved.mode);
            let n = saved.layout.n_sequences();
            let own = |view: usize| self.owner(*block).is_none_or(|owner| owner == view);
            let own = touched.iter().filter(|(view, _)| own(*view));
            let sequences: Vec<usize> =
                own.flat_map(|(_, all)| all.iter().map(|&s| s as usize % n.max(1))).collect();
            let Some((value, gradient)) = mixing.penalty(&sequences) else { continue };
            sum += value;
            let gradient: Vec<T> = gradient.into_iter().map(T::of).collect();
            sink.block(*block, &[TaskGrad { task: 0, grad: BlockGrad::Dense(&gradient) }])?;
        }
        Ok(sum)
    }
}

impl<T: Real> Sweep<'_, '_, T> {
    /// Cotangents of the views to the nodes of the views.
    fn enter(&mut self, cotangents: &[Cotangent<T>]) -> Result<()> {
        let (trunk, layout) = (self.trunk, &self.saved.layout);
        self.check(cotangents)?;
        for cotangent in cotangents {
            let parts = cotangents::by_view(cotangent, trunk.n_views(), layout, trunk.d_hidden());
            for (view, part) in parts.into_iter().enumerate() {
                let wanted = &self.saved.wanted[view];
                let part = needed::restrict(part, wanted, layout, trunk.d_hidden());
                if !part.sequences.is_empty() {
                    self.send(trunk.view(view), part);
                }
            }
        }
        Ok(())
    }

    /// Refuses cotangents that do not fit the views, or two boundaries for one task.
    fn check(&self, cotangents: &[Cotangent<T>]) -> Result<()> {
        let (n, n_views) = (self.saved.layout.n_sequences(), self.trunk.n_views());
        for cotangent in cotangents {
            let part = format!("cotangent of task {}", cotangent.task);
            let ascend = cotangent.sequences.windows(2).all(|w| w[0] < w[1]);
            if !ascend || cotangent.sequences.last().is_some_and(|&s| s as usize >= n * n_views) {
                let expected = format!("ascending sequences below {} (views times sequences)", n * n_views);
                return shape_error::shape(&part, "sequences out of order or range", expected);
            }
            let rows = cotangent.sequences.iter().map(|&s| self.saved.layout.length(s as usize % n));
            let expected = rows.sum::<usize>() * self.trunk.d_hidden();
            if cotangent.values.len() != expected {
                let found = format!("{} values", cotangent.values.len());
                return shape_error::shape(&part, found, format!("{expected}, one state per row"));
            }
            let other = |c: &&Cotangent<T>| c.task == cotangent.task && c.lowest != cotangent.lowest;
            if cotangents.iter().any(|c| other(&c)) {
                return shape_error::shape(&part, "two lowest blocks", "one lowest block per task");
            }
        }
        Ok(())
    }

    /// Hands a cotangent to a node, when it wants to reach as far.
    fn send(&mut self, node: NodeId, cotangent: Cotangent<T>) {
        if self.trunk.reach(node) >= cotangent.lowest.max(self.saved.mode.lowest) {
            cotangents::add(&mut self.arrived[node], cotangent, &self.saved.layout);
        }
    }

    /// The backward of one node.
    fn node(&mut self, index: NodeId) -> Result<()> {
        let arrived = std::mem::take(&mut self.arrived[index]);
        if arrived.is_empty() {
            return Ok(());
        }
        let trunk = self.trunk;
        match &trunk.nodes[index] {
            Node::Cut => Ok(()),
            Node::Layer { layer, block, input, .. } => self.layer(index, (*layer, *block), *input, &arrived),
            Node::Mix { block, reads, inputs, .. } => {
                self.mix(&trunk.nodes[index], *block, *reads, inputs, &arrived)
            }
            Node::Mask { block, mask, reads, input } => self.mask(*mask, *block, reads, *input, &arrived),
        }
    }

    fn layer(
        &mut self,
        index: NodeId,
        (layer, block): (usize, usize),
        input: NodeId,
        arrived: &Arrived<T>,
    ) -> Result<()> {
        let (trunk, saved) = (self.trunk, self.saved);
        let Some(kept) = &saved.layers[index] else { return Ok(()) };
        let needed = &saved.needed[index];
        let own = |cotangent: &Cotangent<T>| {
            let sequences = needed::places(&cotangent.sequences, needed);
            Cotangent { lowest: layer, sequences, values: cotangent.values.clone(), ..*cotangent }
        };
        let own: Vec<Cotangent<T>> = arrived.iter().map(own).collect();
        let reach = trunk.reach(input);
        let below = arrived.iter().any(|c| c.lowest.max(saved.mode.lowest) <= reach);
        let blocks = [&self.params.blocks[block]];
        let mut sink = Renumbered { sink: &mut *self.sink, block };
        let inputs = trunk.inner.vjp_through((layer, &blocks), kept, &own, &mut sink, below)?;
        for (cotangent, arrived) in inputs.into_iter().zip(arrived) {
            self.send(
                input,
                Cotangent { values: cotangent.values, sequences: arrived.sequences.clone(), ..*arrived },
            );
        }
        Ok(())
    }

    fn mix(
        &mut self,
        node: &Node,
        block: usize,
        reads: Option<NodeId>,
        inputs: &[NodeId],
        arrived: &Arrived<T>,
    ) -> Result<()> {
        let saved = self.saved;
        let mixing = mixing(node, self.params, &saved.layout, &saved.states, saved.mode);
        let grads: Vec<_> = arrived.iter().map(|cotangent| mixing.vjp(cotangent)).collect();
        let values: Vec<Vec<T>> =
            grads.iter().map(|grad| grad.values.iter().map(|&v| T::of(v)).collect()).collect();
        self.emit(block, arrived, &values)?;
        for (cotangent, grad) in arrived.iter().zip(grads) {
            for (&input, values) in inputs.iter().zip(grad.inputs).filter(|(_, values)| !values.is_empty()) {
                self.send(
                    input,
                    Cotangent { values: values.into(), sequences: cotangent.sequences.clone(), ..*cotangent },
                );
            }
            if let Some(read) = reads {
                let values = grad.reads;
                self.send(
                    read,
                    Cotangent { values: values.into(), sequences: cotangent.sequences.clone(), ..*cotangent },
                );
            }
        }
        Ok(())
    }

    fn mask(
        &mut self,
        mask: Mask,
        block: usize,
        reads: &[NodeId],
        input: NodeId,
        arrived: &Arrived<T>,
    ) -> Result<()> {
        let (params, saved) = (self.params, self.saved);
        let backward = |cotangent: &Cotangent<T>| {
            let rows = |node: NodeId| needed::rows(&saved.states[node], &cotangent.sequences, &saved.layout);
            let seen: Vec<Vec<T>> = reads.iter().map(|&read| rows(read)).collect();
            let seen: Vec<&[T]> = seen.iter().map(Vec::as_slice).collect();
            mask.vjp(&params.blocks[block], &seen, &rows(input), &cotangent.values)
        };
        let grads = arrived.iter().map(backward).collect::<Result<Vec<_>>>()?;
        let values: Vec<Vec<T>> = grads.iter().map(|grad| grad.values.clone()).collect();
        self.emit(block, arrived, &values)?;
        for (cotangent, grad) in arrived.iter().zip(grads) {
            let parts = reads.iter().copied().zip(grad.reads).chain([(input, grad.input)]);
            for (node, values) in parts {
                self.send(
                    node,
                    Cotangent { values: values.into(), sequences: cotangent.sequences.clone(), ..*cotangent },
                );
            }
        }
        Ok(())
    }

    /// The gradients of a node's own block, of the tasks that reach it.
    fn emit(&mut self, block: usize, arrived: &Arrived<T>, values: &[Vec<T>]) -> Result<()> {
        let grads: Vec<TaskGrad<'_, T>> = arrived
            .iter()
            .zip(values)
            .map(|(cotangent, values)| TaskGrad { task: cotangent.task, grad: BlockGrad::Dense(values) })
            .collect();
        self.sink.block(block, &grads)
    }

    /// What arrived at the cut goes on through the shared part.
    fn below(self) -> Result<()> {
        let (trunk, saved) = (self.trunk, self.saved);
        let Some(kept) = saved.below.as_ref().filter(|_| !self.arrived[CUT].is_empty()) else {
            return Ok(());
        };
        let first = saved.mode.lowest;
        let blocks: Vec<&Block<T>> = self.params.blocks[first..trunk.n_below].iter().collect();
        trunk.inner.vjp_through((first, &blocks), kept, &self.arrived[CUT], self.sink, false).map(drop)
    }
}
