//! The agent as its clients see it: an ordinary process with its own root folder, spoken to in frames
//! through `skiff-agent connect`.

mod jobs;
mod support;
