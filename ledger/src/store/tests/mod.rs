//! The store on a disk that fails and loses power, at every operation; and on one that its host changes.

mod crash;
mod faults;
mod forged;
mod forger;
mod sim;
mod witnessed;
mod world;
