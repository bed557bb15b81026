//! The published weightings and aggregators, a file each. A file is the maths; what several share lies one level up.

mod aligned_mtl;
mod auto_lambda;
mod cagrad;
mod config;
mod constant;
mod db_mtl;
mod dualproj;
mod dwa;
mod equal;
mod excess_mtl;
mod fairgrad;
mod famo;
mod flat;
mod forum;
mod gls;
mod graddrop;
mod gradnorm;
mod gradvac;
mod imtl;
mod imtl_g;
mod imtl_l;
mod krum;
mod mgda;
mod mgda_ub;
mod moco;
mod modo;
mod moml;
mod nash_mtl;
mod ntkmtl;
mod ntkmtl_sr;
mod pcgrad;
mod random;
mod rlw;
mod sam;
mod samo;
mod sdmgrad;
mod si;
mod stch;
mod trimmed_mean;
mod upgrad;
mod uw;

use crate::table::Entry;

/// All weightings and aggregators, by id.
pub static WEIGHTINGS: &[Entry] = &[
    aligned_mtl::ENTRY,
    auto_lambda::ENTRY,
    cagrad::ENTRY,
    config::ENTRY,
    constant::ENTRY,
    db_mtl::ENTRY,
    dualproj::ENTRY,
    dwa::ENTRY,
    equal::ENTRY,
    excess_mtl::ENTRY,
    fairgrad::ENTRY,
    famo::ENTRY,
    flat::ENTRY,
    forum::ENTRY,
    gls::ENTRY,
    graddrop::ENTRY,
    gradnorm::ENTRY,
    gradvac::ENTRY,
    imtl::ENTRY,
    imtl_g::ENTRY,
    imtl_l::ENTRY,
    krum::ENTRY,
    mgda::ENTRY,
    mgda_ub::ENTRY,
    moco::ENTRY,
    modo::ENTRY,
    moml::ENTRY,
    nash_mtl::ENTRY,
    ntkmtl::ENTRY,
    ntkmtl_sr::ENTRY,
    pcgrad::ENTRY,
    random::ENTRY,
    rlw::ENTRY,
    sam::ENTRY,
    samo::ENTRY,
    sdmgrad::ENTRY,
    si::ENTRY,
    stch::ENTRY,
    trimmed_mean::ENTRY,
    upgrad::ENTRY,
    uw::ENTRY,
];
