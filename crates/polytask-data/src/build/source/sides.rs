//! The node sets of a ranking: what is ranked, and perhaps what is asked.

use polytask_core::Result;

use super::super::corpus::Corpus;
use super::super::nodes::{self, NodeText};
use super::super::problems::enough;
use super::Reading;
use super::prompts::ranking_prompts;

impl Reading<'_, '_> {
    /// Reads the node sets of a ranking.
    pub(super) fn read_nodes(&mut self) -> Result<()> {
        if let Some(nodes) = self.nodes(self.spec.right.as_deref())? {
            let prompts = ranking_prompts(self.spec, self.tasks[0]);
            let corpus = Corpus::of_nodes(nodes, prompts, &mut self.builder.interner)?;
            self.corpora = vec![corpus; self.tasks.len()];
        }
        if let Some(nodes) = self.nodes(self.spec.left.as_deref())? {
            self.left = Some(nodes.into_iter().map(|node| (node.id, node.text)).collect());
        }
        Ok(())
    }

    /// The texts of the node set of a name; none where the name is no set's.
    fn nodes(&mut self, name: Option<&str>) -> Result<Option<Vec<NodeText>>> {
        let suite = self.builder.suite;
        let Some(spec) = name.and_then(|name| suite.nodes_of(name)) else { return Ok(None) };
        let file = self.builder.file(&spec.file)?;
        match nodes::read(&file, spec, &mut self.builder.problems) {
            Ok(nodes) => Ok(Some(nodes)),
            Err(error) => {
                self.builder.problems.add_error(error)?;
                // Without its nodes every row of the task would be one more mistake.
                Err(enough())
            }
        }
    }
}
