//! The region of a page that is printed: what stands around it is written by hand.

use std::fmt;

/// The line before the region.
const START: &str =
    "<!-- printed by `cargo xtask docs`: change the tables in crates/skiff-schema instead -->";
/// The line after the region.
const END: &str = "<!-- end of what is printed -->";

/// A page without the two lines between which something should be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRegion;

impl fmt::Display for NoRegion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the lines `{START}` and `{END}` are missing")
    }
}

impl std::error::Error for NoRegion {}

/// The page with another text in its region.
pub fn with_region(page: &str, text: &str) -> Result<String, NoRegion> {
    let (before, rest) = page.split_once(START).ok_or(NoRegion)?;
    let (_, after) = rest.split_once(END).ok_or(NoRegion)?;
    Ok(format!(
        "{before}{START}\n\n{}\n\n{END}{after}",
        text.trim()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_region_of_a_page_changes() {
        let page = format!("# Title\n\n{START}\nold\n{END}\n\nThe end.\n");
        let renewed = with_region(&page, "new\n").expect("a region");
        assert_eq!(
            renewed,
            format!("# Title\n\n{START}\n\nnew\n\n{END}\n\nThe end.\n")
        );
        assert_eq!(with_region(&renewed, "new\n").as_ref(), Ok(&renewed));
    }

    #[test]
    fn a_page_without_a_region_is_refused() {
        assert_eq!(with_region("# Title\n", "new"), Err(NoRegion));
        assert_eq!(
            with_region(&format!("{END}\n{START}"), "new"),
            Err(NoRegion)
        );
    }
}
