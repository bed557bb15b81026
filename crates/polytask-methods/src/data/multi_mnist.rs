//! Multi-MNIST: two digits on one canvas, a task each, and a third that is no digit.
//!
//! The overlay of multi-task work after Sabour, Frosst, Hinton (Dynamic Routing Between Capsules. `NeurIPS` 2017): the
//! left digit on rows and columns 0 to 27, the right one on 8 to 35 of 36 x 36 pixels, the larger pixel where
//! they meet. Every digit is used once, so no two pairs share one, and pairs of the three splits never do: train and
//! valid are made from the 60,000 training digits, test from the first 8,000 test digits.
//!
//! `noise` is the share of train and valid pairs whose labels are replaced by random ones, each label by itself; test
//! labels stay clean. `ink` is the mean pixel of the canvas, from 0 to 1.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use polytask_core::{Problem, Purpose, Rng, atomic, hash};
use polytask_train::Result;

use super::idx::{self, Images};
use crate::paper::{Data, Request};

/// Side of a digit and of the canvas, and where the right digit begins.
const DIGIT: usize = 28;
const CANVAS: usize = 36;
const SHIFT: usize = CANVAS - DIGIT;

/// Test digits that are used.
const TEST_DIGITS: usize = 8000;

/// Where digits come from when there are none here.
const REMEDY: &str = "`--data DIR`, where DIR/mnist holds train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz \
                      and the same with t8k or t10k for train (the files of MNIST: \
                      https://ossci-datasets.s3.amazonaws.com/mnist/)";

/// Makes the pairs of a seed in the request's folder: images in idx files, labels in CSV files.
pub fn data(request: &Request) -> Result<Data> {
    let size = |name: &str| request.number(name) as usize;
    let sizes = [size("train"), size("valid"), size("test")];
    let noise = request.number("noise");
    let mnist = find(request.bases)?;
    let key =
        hash::sha256(format!("multi-mnist 1 {sizes:?} {noise} {} {}", request.seed, mnist.key()?).as_bytes());
    let data = Data { folder: request.folder.to_path_buf(), key };
    let mark = request.folder.join("data.key");
    if std::fs::read_to_string(&mark).is_ok_and(|known| known == data.key) {
        return Ok(data);
    }
    let (train, test) = (Digits::read(&mnist.train)?, Digits::read(&mnist.test)?);
    let mut order = train.order(request.seed, 0);
    for (i, (split, n)) in ["train", "valid"].into_iter().zip(sizes).enumerate() {
        let digits = take(&mut order, 2 * n, split, &train)?;
        write(request.folder, split, &train, &digits, &mut Noise::new(noise, request.seed, i as u64))?;
    }
    let mut order = test.order(request.seed, 1);
    order.retain(|&digit| digit < TEST_DIGITS);
    let digits = take(&mut order, 2 * sizes[2], "test", &test)?;
    write(request.folder, "test", &test, &digits, &mut Noise::new(0.0, request.seed, 2))?;
    atomic::write(&mark, data.key.as_bytes())?;
    Ok(data)
}

/// The files of MNIST: images and labels.
struct Mnist {
    train: [PathBuf; 2],
    test: [PathBuf; 2],
}

impl Mnist {
    /// Differs when the files do; their sizes tell versions apart and are read in no time.
    fn key(&self) -> Result<String> {
        let mut key = String::new();
        for path in self.train.iter().chain(&self.test) {
            let about = path.metadata().map_err(polytask_core::Error::io("read", path))?;
            let _ = write!(key, "{} ", about.len());
        }
        Ok(key)
    }
}

fn find(bases: &[PathBuf]) -> Result<Mnist> {
    let files = |folder: &Path, stem: &str| {
        let found =
            ["images-idx3-ubyte", "labels-idx1-ubyte"].map(|end| idx::find(folder, &format!("{stem}-{end}")));
        let [Some(images), Some(labels)] = found else { return None };
        Some([images, labels])
    };
    let of_folder = |folder: &Path| {
        let test = ["t8k", "t10k"].into_iter().find_map(|stem| files(folder, stem))?;
        Some(Mnist { train: files(folder, "train")?, test })
    };
    let folder = super::find(bases, "mnist", |folder| of_folder(folder).is_some());
    folder.and_then(|folder| of_folder(&folder)).ok_or_else(|| {
        let what =
            format!("the digits of MNIST are not in {} (nor in a folder `mnist` there)", super::tried(bases));
        Problem::new(what).try_this(REMEDY).into()
    })
}

/// Digits and their labels.
struct Digits {
    images: Images,
    labels: Vec<u8>,
    file: PathBuf,
}

impl Digits {
    fn read([images, labels]: &[PathBuf; 2]) -> Result<Self> {
        let digits =
            Self { images: Images::read(images)?, labels: idx::labels(labels)?, file: images.clone() };
        let (n, found) = (digits.images.len(), digits.labels.len());
        let Images { height, width, .. } = digits.images;
        if (height, width) != (DIGIT, DIGIT) || n != found {
            let what = format!("{}: {n} images of {height} x {width} and {found} labels", images.display());
            return Err(Problem::new(format!("{what}, expected as many, of 28 x 28"))
                .try_this(REMEDY)
                .into());
        }
        Ok(digits)
    }

    /// All digits in a random order.
    fn order(&self, seed: u64, stream: u64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.labels.len()).collect();
        Rng::new(seed, Purpose::Pick, &[stream]).shuffle(&mut order);
        order
    }
}

/// The last `n` digits of an order, taken out of it.
fn take(order: &mut Vec<usize>, n: usize, split: &str, digits: &Digits) -> Result<Vec<usize>> {
    let Some(rest) = order.len().checked_sub(n) else {
        let what = format!(
            "{} pairs for {split} need {n} digits, {} are left of {}",
            n / 2,
            order.len(),
            digits.file.display()
        );
        let most = match order.len() / 2 {
            // Valid takes what train leaves.
            0 => "fewer pairs for train: --set method.data.train=1000".to_owned(),
            left => format!("fewer pairs: --set method.data.{split}={left}"),
        };
        return Err(Problem::new(what).try_this(most).into());
    };
    Ok(order.split_off(rest))
}

/// Replaces a share of labels by random ones.
struct Noise {
    share: f64,
    rng: Rng,
}

impl Noise {
    fn new(share: f64, seed: u64, stream: u64) -> Self {
        Self { share, rng: Rng::new(seed, Purpose::Pick, &[7, stream]) }
    }

    fn label(&mut self, truth: u8) -> usize {
        // Both draws whatever the share, so that the same pairs are noisy at a larger one.
        let (is_noisy, other) = (self.rng.uniform() < self.share, self.rng.below(10));
        if is_noisy { other } else { usize::from(truth) }
    }
}

/// Writes a split: the digits pair by pair.
fn write(folder: &Path, split: &str, digits: &Digits, chosen: &[usize], noise: &mut Noise) -> Result<()> {
    let name = format!("{split}-images-idx3-ubyte");
    let mut images = Images { height: CANVAS, width: CANVAS, pixels: Vec::new() };
    let mut rows = String::from("image,left,right,ink\n");
    for (i, pair) in chosen.chunks_exact(2).enumerate() {
        let canvas = overlay(digits.images.get(pair[0]), digits.images.get(pair[1]));
        let ink = canvas.iter().map(|&p| f64::from(p)).sum::<f64>() / 255.0 / canvas.len() as f64;
        let [left, right] = [pair[0], pair[1]].map(|digit| noise.label(digits.labels[digit]));
        let _ = writeln!(rows, "{name}#{i},{left},{right},{ink:.6}");
        images.pixels.extend(canvas);
    }
    images.write(&folder.join(&name))?;
    Ok(atomic::write(&folder.join(format!("{split}.csv")), rows.as_bytes())?)
}

/// Two digits on a canvas, `[CANVAS, CANVAS]`.
fn overlay(left: &[u8], right: &[u8]) -> Vec<u8> {
    let mut canvas = vec![0; CANVAS * CANVAS];
    for (digit, shift) in [(left, 0), (right, SHIFT)] {
        for (y, row) in digit.chunks(DIGIT).enumerate() {
            let start = (y + shift) * CANVAS + shift;
            canvas[start..start + DIGIT].iter_mut().zip(row).for_each(|(c, p)| *c = (*c).max(*p));
        }
    }
    canvas
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;

    use super::*;

    /// Digits told apart by their pixels, in a folder of their own; the label is the number's last figure.
    fn mnist(n_train: usize, n_test: usize) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("mnist")).unwrap();
        for (stem, n, ink) in [("train", n_train, 100), ("t10k", n_test, 200)] {
            let pixel = |i: usize| (0..DIGIT * DIGIT).map(move |p| if p == i { ink } else { 1 });
            let images = Images { height: DIGIT, width: DIGIT, pixels: (0..n).flat_map(pixel).collect() };
            images.write(&folder.path().join(format!("mnist/{stem}-images-idx3-ubyte"))).unwrap();
            let mut labels = vec![0, 0, 8, 1];
            labels.extend((n as u32).to_be_bytes());
            labels.extend((0..n).map(|i| (i % 10) as u8));
            fs::write(folder.path().join(format!("mnist/{stem}-labels-idx1-ubyte")), labels).unwrap();
        }
        folder
    }

    fn make(base: &Path, folder: &Path, seed: u64, noise: f64) -> Result<Data> {
        let numbers = [("train", 20.0), ("valid", 10.0), ("test", 15.0), ("noise", noise)];
        let numbers: BTreeMap<String, f64> = numbers.map(|(name, n)| (name.into(), n)).into();
        data(&Request { bases: &[base.to_path_buf()], folder, numbers: &numbers, seed })
    }

    /// Which digits a split was made of: the places of the bright pixel in the left and the right digit.
    fn digits(folder: &Path, split: &str) -> Vec<[usize; 2]> {
        let images = Images::read(&folder.join(format!("{split}-images-idx3-ubyte"))).unwrap();
        assert_eq!((images.height, images.width), (CANVAS, CANVAS));
        let of_image = |i: usize| {
            let bright = |shift: usize| {
                let at = |p: &usize| images.get(i)[(p / DIGIT + shift) * CANVAS + p % DIGIT + shift] >= 100;
                (0..DIGIT * DIGIT).filter(at).collect::<Vec<_>>()
            };
            // A bright pixel lies in both windows when it lies where they meet: two digits, two pixels in all.
            [bright(0), bright(SHIFT)].map(|found| found[0])
        };
        (0..images.len()).map(of_image).collect()
    }

    #[test]
    fn the_right_digit_lies_eight_pixels_lower_and_the_larger_pixel_wins() {
        let (mut left, mut right) = (vec![10; DIGIT * DIGIT], vec![0; DIGIT * DIGIT]);
        (left[0], right[0], right[DIGIT * DIGIT - 1]) = (50, 5, 90);
        let canvas = overlay(&left, &right);
        let at = |y: usize, x: usize| canvas[y * CANVAS + x];
        assert_eq!((at(0, 0), at(8, 8), at(35, 35), at(27, 27)), (50, 10, 90, 10));
        assert_eq!((at(28, 8), at(0, 28), at(35, 0)), (0, 0, 0));
    }

    #[test]
    fn splits_share_no_digit_and_the_seed_decides_the_pairs() {
        let (base, out) = (mnist(70, 40), tempfile::tempdir().unwrap());
        let (a, b) = (out.path().join("a"), out.path().join("b"));
        [&a, &b].iter().for_each(|folder| fs::create_dir(folder).unwrap());
        make(base.path(), &a, 1, 0.0).unwrap();
        make(base.path(), &b, 2, 0.0).unwrap();
        let csv =
            |folder: &Path, split: &str| fs::read_to_string(folder.join(format!("{split}.csv"))).unwrap();
        let (train, valid) = (csv(&a, "train"), csv(&a, "valid"));
        assert_eq!(
            (train.lines().count(), valid.lines().count(), csv(&a, "test").lines().count()),
            (21, 11, 16)
        );
        assert!(train.starts_with("image,left,right,ink\ntrain-images-idx3-ubyte#0,"), "{train}");
        assert_ne!(train, csv(&b, "train"));
        let used: Vec<usize> = ["train", "valid"].iter().flat_map(|s| digits(&a, s)).flatten().collect();
        assert_eq!(used.iter().collect::<BTreeSet<_>>().len(), 60, "a digit stands in two pairs");
    }

    #[test]
    fn labels_are_those_of_the_digits_until_noise_replaces_some_of_train_and_valid() {
        let base = mnist(70, 40);
        let labels = |noise: f64, split: &str| -> Vec<String> {
            let out = tempfile::tempdir().unwrap();
            make(base.path(), out.path(), 3, noise).unwrap();
            let text = fs::read_to_string(out.path().join(format!("{split}.csv"))).unwrap();
            let pair = |line: &str| line.split(',').skip(1).take(2).collect::<Vec<_>>().join(" ");
            text.lines().skip(1).map(pair).collect()
        };
        let out = tempfile::tempdir().unwrap();
        make(base.path(), out.path(), 3, 0.0).unwrap();
        let truth: Vec<String> =
            digits(out.path(), "train").iter().map(|pair| (pair[0] % 10).to_string()).collect();
        let left = labels(0.0, "train").iter().map(|pair| pair[..1].to_owned()).collect::<Vec<_>>();
        assert_eq!(left, truth);
        assert_ne!(labels(0.0, "train"), labels(0.5, "train"));
        assert_eq!(labels(0.0, "test"), labels(0.5, "test"));
    }

    #[test]
    fn what_is_made_is_kept_until_something_changes() {
        let (base, out) = (mnist(70, 40), tempfile::tempdir().unwrap());
        let first = make(base.path(), out.path(), 1, 0.0).unwrap();
        fs::write(out.path().join("train.csv"), "touched").unwrap();
        assert_eq!(make(base.path(), out.path(), 1, 0.0).unwrap(), first);
        assert_eq!(fs::read_to_string(out.path().join("train.csv")).unwrap(), "touched");
        assert_ne!(make(base.path(), out.path(), 1, 0.2).unwrap().key, first.key);
        assert_ne!(fs::read_to_string(out.path().join("train.csv")).unwrap(), "touched");
    }

    #[test]
    fn missing_or_too_few_digits_are_named_with_the_remedy() {
        let (base, out) = (mnist(40, 40), tempfile::tempdir().unwrap());
        let error = make(base.path(), out.path(), 1, 0.0).unwrap_err().to_string();
        assert!(error.contains("10 pairs for valid need 20 digits, 0 are left"), "{error}");
        fs::remove_file(base.path().join("mnist/t10k-labels-idx1-ubyte")).unwrap();
        let error = make(base.path(), out.path(), 1, 0.0).unwrap_err().to_string();
        assert!(error.contains("not in") && error.contains("try: `--data DIR`"), "{error}");
    }
}
