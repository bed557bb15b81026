//! The networks: each a list of blocks, lowest first.

use super::graph::{Graph, Shape, Window};
use super::image::ImageConfig;

/// The network of a configuration; `None` when the images are too small for it.
pub(super) fn build(config: &ImageConfig) -> Option<Graph> {
    let image = Shape { height: config.height, width: config.width, channels: config.channels };
    let graph = Graph::new(image);
    match config.model_type.as_str() {
        "convnet" => convnet(graph, &config.widths),
        "lenet" | "lenet-maps" => lenet(graph, &config.widths),
        "mlp" => Some(mlp(graph, &config.widths)),
        "resnet18" => resnet(graph, &config.widths),
        _ => None,
    }
}

/// A square window.
fn square(size: usize, stride: usize, padding: usize) -> Window {
    Window { height: size, width: size, stride, padding }
}

/// The LeNet of the Multi-MNIST benchmark (Sener & Koltun 2018): two convolutions (9 and 5 wide), each with pooling
/// and ReLU; with a third width, an affine map to a vector of that width with ReLU.
fn lenet(mut graph: Graph, widths: &[usize]) -> Option<Graph> {
    let x = graph.block().conv("conv1", 0, widths[0], square(9, 1, 0), true, false)?;
    let x = graph.pool(x, true)?;
    let x = graph.block().conv("conv2", x, widths[1], square(5, 1, 0), true, false)?;
    let x = graph.pool(x, true)?;
    if let Some(&width) = widths.get(2) {
        graph.block().dense("fc", x, width)?;
    }
    Some(graph)
}

/// Affine maps with ReLU over all values.
pub(super) fn mlp(mut graph: Graph, widths: &[usize]) -> Graph {
    let mut x = 0;
    for (i, &width) in widths.iter().enumerate() {
        let dense = graph.block().dense(&format!("fc{i}"), x, width);
        x = dense.expect("a window over the whole input fits");
    }
    graph
}

/// Stages of a convolution (3 wide), a layer norm over channels and ReLU; between two stages a pooling where it fits.
fn convnet(mut graph: Graph, widths: &[usize]) -> Option<Graph> {
    let mut x = 0;
    for (i, &width) in widths.iter().enumerate() {
        graph.block();
        if i > 0 {
            x = graph.pool(x, false).unwrap_or(x);
        }
        x = graph.conv(&format!("stage{i}.conv"), x, width, square(3, 1, 1), true, false)?;
        x = graph.layer_norm(&format!("stage{i}.norm"), x);
    }
    Some(graph)
}

/// ResNet-18 (He et al. 2016) as it is used on small images: a stem of one convolution (3 wide, stride 1) without
/// pooling, then four stages of two residual blocks.
fn resnet(mut graph: Graph, widths: &[usize]) -> Option<Graph> {
    let x = graph.block().conv("stem.conv", 0, widths[0], square(3, 1, 1), false, false)?;
    let mut x = graph.batch_norm("stem.norm", x, None, true);
    for (stage, &width) in widths.iter().enumerate() {
        for part in 0..2 {
            let stride = if stage > 0 && part == 0 { 2 } else { 1 };
            x = residual(&mut graph, &format!("stage{stage}.{part}"), x, width, stride)?;
        }
    }
    Some(graph)
}

/// Two convolutions beside a shortcut, which is a convolution where sizes change.
fn residual(graph: &mut Graph, name: &str, x: usize, width: usize, stride: usize) -> Option<usize> {
    let first = graph.block().conv(&format!("{name}.conv1"), x, width, square(3, stride, 1), false, false)?;
    let first = graph.batch_norm(&format!("{name}.norm1"), first, None, true);
    let second = graph.conv(&format!("{name}.conv2"), first, width, square(3, 1, 1), false, false)?;
    let shortcut = if stride == 1 && graph.shape(x).channels == width {
        x
    } else {
        let short =
            graph.conv(&format!("{name}.shortcut.conv"), x, width, square(1, stride, 0), false, false)?;
        graph.batch_norm(&format!("{name}.shortcut.norm"), short, None, false)
    };
    Some(graph.batch_norm(&format!("{name}.norm2"), second, Some(shortcut), true))
}
