//! The store on a disk that fails and loses power, at every operation.

mod crash;
mod faults;
mod sim;
mod witnessed;
mod world;
