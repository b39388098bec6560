//! The datasets for engines that want them in a table format: copies of the files, in a place of their own.

pub mod delta;
