//! Where `pull` looks and how it reaches the network.

use std::env;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use polytask_core::files;

use super::pip;

/// Called while bytes arrive: bytes so far, bytes in all if known, what is coming.
pub type PullProgress = Box<dyn Fn(u64, Option<u64>, &str) + Send + Sync>;

/// Settings of one pull.
pub struct PullOptions {
    /// polytask's cache.
    pub cache: PathBuf,
    /// Caches of the Hugging Face hub on this disk.
    pub hub_caches: Vec<PathBuf>,
    /// Address of the hub.
    pub hub: String,
    /// Simple-API addresses of package indices.
    pub indices: Vec<String>,
    /// Folders, pages or files that list wheels.
    pub find_links: Vec<String>,
    /// PEM files of certificates to trust; the first that can be read counts.
    pub certificates: Vec<PathBuf>,
    /// Address of a proxy; none means the environment's.
    pub proxy: Option<String>,
    /// Whether the network is left alone.
    pub offline: bool,
    /// When a server counts as one that will not come to an end.
    pub patience: Patience,
    /// Told about bytes that arrive.
    pub progress: Option<PullProgress>,
}

/// How long a server may take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Patience {
    /// Longest time one file may take.
    pub longest: Duration,
    /// Bytes per second that must arrive on the mean over `window`; 0 = any.
    pub least_rate: u64,
    /// How long a server may be slower.
    pub window: Duration,
}

impl Default for Patience {
    /// Half a day for a file, and the speed of an early modem.
    fn default() -> Self {
        Self { longest: Duration::from_secs(12 * 3600), least_rate: 1000, window: Duration::from_secs(30) }
    }
}

impl Patience {
    fn from(var: &dyn Fn(&str) -> Option<String>) -> Self {
        let number = |key: &str| var(key).and_then(|text| text.trim().parse::<u64>().ok());
        let usual = Self::default();
        Self {
            longest: number("POLYTASK_PULL_SECONDS").map_or(usual.longest, Duration::from_secs),
            least_rate: number("POLYTASK_PULL_RATE").unwrap_or(usual.least_rate),
            ..usual
        }
    }
}

impl fmt::Debug for PullOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Addresses may hold passwords.
        f.debug_struct("PullOptions")
            .field("cache", &self.cache)
            .field("offline", &self.offline)
            .finish_non_exhaustive()
    }
}

impl PullOptions {
    /// As the environment and pip's configuration say.
    pub fn from_environment() -> Self {
        let pip = pip::Settings::read(&var, &|path| files::read_text(path, files::SMALL).ok());
        let certificates = ["PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE"];
        let offline =
            ["HF_HUB_OFFLINE", "POLYTASK_OFFLINE"].iter().any(|key| var(key).is_some_and(|v| is_true(&v)));
        Self {
            cache: cache_folder(&var),
            hub_caches: hub_caches(&var),
            hub: var("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into()),
            indices: pip.indices,
            find_links: pip.find_links,
            certificates: certificates
                .iter()
                .filter_map(|key| var(key))
                .chain(pip.certificate)
                .map(PathBuf::from)
                .collect(),
            proxy: pip.proxy,
            offline,
            patience: Patience::from(&var),
            progress: None,
        }
    }

    /// Tells the listener, if there is one.
    pub(super) fn report(&self, done: u64, total: Option<u64>, what: &str) {
        if let Some(progress) = &self.progress {
            progress(done, total, what);
        }
    }
}

/// A variable of the environment; an empty one counts as unset.
fn var(key: &str) -> Option<String> {
    env::var(key).ok().filter(|value| !value.is_empty())
}

fn is_true(value: &str) -> bool {
    !matches!(value.to_ascii_lowercase().as_str(), "0" | "false" | "no" | "off" | "n" | "f")
}

/// What to tell the user of a machine where nothing names a folder for the cache.
pub fn without_home() -> Option<String> {
    let has_cache = var("POLYTASK_CACHE").is_some() || user_cache(&var).is_some();
    let folder = cache_folder(&var);
    (!has_cache).then(|| {
        format!("HOME is not set: the cache is {} (POLYTASK_CACHE names another folder)", folder.display())
    })
}

/// The folder of the cache.
pub fn cache() -> PathBuf {
    cache_folder(&var)
}

/// `POLYTASK_CACHE`, else `polytask` in the user's cache folder, else in the system's temporary one.
fn cache_folder(var: &dyn Fn(&str) -> Option<String>) -> PathBuf {
    match var("POLYTASK_CACHE") {
        Some(folder) => folder.into(),
        None => user_cache(var).unwrap_or_else(env::temp_dir).join("polytask"),
    }
}

/// `None` where neither the cache nor a home is named: the current folder is no place for it.
fn user_cache(var: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let home = || var("HOME").or_else(|| var("USERPROFILE")).map(|home| PathBuf::from(home).join(".cache"));
    var("XDG_CACHE_HOME").map(PathBuf::from).or_else(home)
}

fn hub_caches(var: &dyn Fn(&str) -> Option<String>) -> Vec<PathBuf> {
    let home = || var("HF_HOME").map(PathBuf::from).or_else(|| Some(user_cache(var)?.join("huggingface")));
    let hub = ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"].iter().find_map(|key| var(key)).map(PathBuf::from);
    hub.or_else(|| Some(home()?.join("hub"))).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_where_the_environment_says_first() {
        let with = |set: &'static [(&str, &str)]| {
            move |key: &str| set.iter().find(|(k, _)| *k == key).map(|(_, v)| (*v).to_owned())
        };
        let all =
            with(&[("POLYTASK_CACHE", "/p"), ("XDG_CACHE_HOME", "/x"), ("HOME", "/h"), ("HF_HOME", "/hf")]);
        assert_eq!(cache_folder(&all), PathBuf::from("/p"));
        assert_eq!(hub_caches(&all), [PathBuf::from("/hf/hub")]);
        assert_eq!(
            cache_folder(&with(&[("XDG_CACHE_HOME", "/x"), ("HOME", "/h")])),
            PathBuf::from("/x/polytask")
        );
        let home = with(&[("HOME", "/h")]);
        assert_eq!(cache_folder(&home), PathBuf::from("/h/.cache/polytask"));
        assert_eq!(hub_caches(&home), [PathBuf::from("/h/.cache/huggingface/hub")]);
        assert_eq!(hub_caches(&with(&[("HF_HUB_CACHE", "/c")])), [PathBuf::from("/c")]);
        assert_eq!(cache_folder(&with(&[])), env::temp_dir().join("polytask"), "never the current folder");
        assert!(hub_caches(&with(&[])).is_empty());
    }

    #[test]
    fn patience_is_what_the_environment_says_where_that_is_a_number() {
        let told = |key: &str| match key {
            "POLYTASK_PULL_SECONDS" => Some("60".to_owned()),
            _ => Some("fast".into()),
        };
        let expected = Patience { longest: Duration::from_secs(60), ..Patience::default() };
        assert_eq!(Patience::from(&told), expected);
    }
}
