//! The command line as a user meets it: real processes on small suites with a random encoder.
#![allow(clippy::unwrap_used)]

mod bench;
mod cache;
mod check;
mod compare;
mod conflict;
mod data;
mod defaults;
mod disk;
mod embed;
mod folder;
mod help;
mod images;
mod index;
mod info;
mod init;
mod input;
mod judge;
mod lock;
mod methods;
mod mine;
mod predict;
mod printed;
mod ranking;
mod reproduce;
mod resume;
mod saliency;
mod scores;
mod search;
mod sharing;
mod sharpness;
mod support;
mod tables;
mod train;
