//! The helper scripts that task files call: `~/sky_templates/ray/start_cluster` and `stop_cluster`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The scripts by their places.
const SCRIPTS: [(&str, &str); 2] = [
    (
        "ray/start_cluster",
        include_str!("templates/ray/start_cluster"),
    ),
    (
        "ray/stop_cluster",
        include_str!("templates/ray/stop_cluster"),
    ),
];

/// Writes the scripts into a folder, anew each time: they are the agent's.
pub(crate) fn write(folder: &Path) -> io::Result<()> {
    for (place, text) in SCRIPTS {
        let script = folder.join(place);
        if let Some(dir) = script.parent() {
            fs::create_dir_all(dir)?;
        }
        // One that runs is not written to.
        let fresh = script.with_extension("new");
        let mut file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o755)
            .open(&fresh)?;
        file.write_all(text.as_bytes())?;
        fs::rename(fresh, script)?;
    }
    Ok(())
}
