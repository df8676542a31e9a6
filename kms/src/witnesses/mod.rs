//! Who watches this node's log, what they say of it, and what follows.
//!
//! ```text
//! newest checkpoint ─▶ Rounds: all witnesses at once ─┬─▶ a quorum cosigned it ─▶ the store shows it, Witnesses knows how old it is
//!                                                     └─▶ one has seen more, or another log ─▶ Witnesses: contradicted, for good
//! Witnesses ─▶ Node::may_release, health, metrics        Guarded ─▶ nothing is appended to a log that is contradicted
//! ```
//!
//! No append, publication or release ever waits for a witness. A disk cannot know that it was rolled back, so the node asks
//! those who can, before its first record and ever after. A log that is contradicted is neither used nor continued: two
//! checkpoints with this node's signature, of which one is not in the other, would be proof that the node forked it.
//! Decides nothing about apps. Threats: a host that brings back an old disk, or runs two copies of one; a log that goes on
//! differently for different readers; a witness that is slow, down or mad, and takes the node with it.

mod door;
mod remembered;
mod rounds;
mod view;

pub(crate) use self::door::Guarded;
pub(crate) use self::rounds::{Rounds, keep_witnessed};
pub(crate) use self::view::{Said, Witnesses};
