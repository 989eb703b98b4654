//! Versions as the components print them, and what depends on them.
//!
//! Pure: the texts come from whoever ran `--version`.

use std::fmt;

/// A release of Kubernetes, containerd or another component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Patch number, 0 when the text has none.
    pub patch: u32,
}

impl Version {
    /// The oldest Kubernetes that Skiff runs.
    pub const OLDEST_KUBERNETES: Self = Self::new(1, 20);

    /// The first release of a minor version.
    pub const fn new(major: u32, minor: u32) -> Self {
        Self {
            major,
            minor,
            patch: 0,
        }
    }

    /// Finds the first version in a text such as `Kubernetes v1.20.2` or `containerd x 1.6.20~ds1`.
    pub fn find(text: &str) -> Option<Self> {
        text.split_whitespace().find_map(|word| {
            let mut numbers = word
                .strip_prefix('v')
                .unwrap_or(word)
                .split(['.', '-', '+', '~']);
            let major = numbers.next()?.parse().ok()?;
            let minor = numbers.next()?.parse().ok()?;
            let patch = numbers
                .next()
                .and_then(|text| text.parse().ok())
                .unwrap_or(0);
            Some(Self {
                major,
                minor,
                patch,
            })
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_components_print() {
        let found = |text| Version::find(text).unwrap().to_string();
        assert_eq!(found("Kubernetes v1.20.2\n"), "v1.20.2");
        assert_eq!(found("Kubernetes v1.36.0-rc.1+abc"), "v1.36.0");
        let containerd =
            "containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u1";
        assert_eq!(found(containerd), "v1.6.20");
        assert_eq!(
            found("containerd github.com/containerd/containerd/v2 v2.1.0 061"),
            "v2.1.0"
        );
        assert_eq!(Version::find("Kubernetes"), None);
    }

    #[test]
    fn minor_versions_compare_as_numbers() {
        assert!(Version::new(1, 9) < Version::new(1, 20));
        assert!(Version::find("v1.20.2").unwrap() > Version::OLDEST_KUBERNETES);
    }
}
