//! Images: the bytes of the file that a cell names, channel by channel.

use std::path::Path;

use polytask_core::image::ImageSpec;
use polytask_core::input::{InputSpec, KnownInput};
use polytask_core::target::CellMistake;
use polytask_core::{Error, Result, Suite};

use super::{Content, Fault, Finished, InputCells, SymbolBytes, View};
use crate::images::Library;
use crate::readers::Cell;
use crate::{Dataset, Tokenize};

/// The view of images: as a trained network reads them, else as the suite says.
pub(super) fn open(suite: &Suite, tokenizer: &dyn Tokenize) -> Box<dyn View> {
    let spec = match tokenizer.input() {
        KnownInput::Images(spec) => spec,
        _ => ImageSpec::of(suite),
    };
    Box::new(Images { library: Library::new(spec) })
}

struct Images {
    library: Library,
}

impl View for Images {
    fn read(&mut self, row: &InputCells<'_>, wrong: &mut dyn FnMut(usize, Fault)) -> Vec<Content> {
        let mut read = |(i, cell): (usize, Option<&Cell>)| {
            self.image(row.file, cell).map_err(|fault| wrong(i, fault)).ok()
        };
        row.cells.iter().copied().enumerate().filter_map(&mut read).collect()
    }

    fn finish(&mut self, _dataset: &Dataset) -> Result<Finished> {
        let input = self.library.size().map_or(InputSpec::Any, InputSpec::Images);
        Ok(Finished { input, notes: Vec::new() })
    }
}

impl Images {
    /// The image that a cell of a file names.
    fn image(&mut self, file: &Path, cell: Option<&Cell>) -> std::result::Result<Content, Fault> {
        let Some(named) = cell.filter(|cell| !cell.is_missing()).and_then(Cell::to_text) else {
            let what = "empty, expected the file of an image";
            return Err(Fault::Cell(CellMistake::new(what, "name a file, or remove the row")));
        };
        let bytes = read(&mut self.library, file, &named)?;
        Ok(Content::Symbols(SymbolBytes { bytes, width: 1 }))
    }
}

/// The bytes of the image that a cell of a file names, as symbols.
pub(super) fn bytes_of(
    library: &mut Library,
    file: &Path,
    name: &str,
) -> std::result::Result<Vec<u32>, Fault> {
    Ok(read(library, file, name)?.into_iter().map(u32::from).collect())
}

fn read(library: &mut Library, file: &Path, name: &str) -> std::result::Result<Vec<u8>, Fault> {
    let folder = if file.is_dir() { file } else { file.parent().unwrap_or(Path::new("")) };
    match library.read(folder, name.trim()) {
        Ok(image) => Ok(image.bytes),
        Err(Error::Io { path, source, .. }) => {
            let what = format!("image `{}` cannot be read: {source}", path.display());
            Err(Fault::Cell(CellMistake::new(what, "paths start at the table's folder")))
        }
        Err(error) => Err(Fault::Named(error)),
    }
}
