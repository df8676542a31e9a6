//! What each provider says of the blocks at two heights, also when it says so late.
//!
//! ```text
//! asked ──in time──▶ Votes      counted in this poll
//!   └──────later───▶ Shown      not counted, compared with what was agreed, from the next poll on
//! ```
//!
//! Owns the questions that are not answered yet and each provider's last word on what is final. A last word stands until
//! that provider says another one, or a question to it fails: a question that hangs takes nothing back. Never counts an
//! answer of an earlier poll as a vote. Called by the quorum alone. Threat: a second finalized block that is shown too late
//! to be heard.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use alloy::primitives::B256;
use tokio::task::JoinSet;

use super::gather::{Progress, gather};
use super::provider::blocks;
use crate::deny::{ChainDeny, ChainDenyCode};
use crate::header::BlockHeader;
use crate::rpc::Rpc;

/// The agreed finalized blocks that are remembered: an answer is late by seconds, not by a day of epochs.
const MAX_REMEMBERED: usize = 256;

/// The providers' words, from one poll to the next.
#[derive(Default)]
pub(super) struct Voices {
    poll: u64,
    questions: JoinSet<Answer>,
    shown: Shown,
    /// The hash that a quorum named, by height.
    agreed: BTreeMap<u64, B256>,
}

/// One provider's answer: the latest block and the finalized one.
struct Answer {
    host: String,
    poll: u64,
    blocks: Result<[BlockHeader; 2], ChainDeny>,
}

/// Each provider's last word on what is final, and what it still owes.
#[derive(Default)]
struct Shown {
    last: BTreeMap<String, LastWord>,
    owed: BTreeSet<(String, u64)>,
}

struct LastWord {
    poll: u64,
    finalized: Option<BlockHeader>,
}

impl Shown {
    fn note(&mut self, answer: &Answer) {
        self.owed.remove(&(answer.host.clone(), answer.poll));
        let finalized = answer.blocks.as_ref().ok().map(|[_, finalized]| finalized.clone());
        let word = LastWord { poll: answer.poll, finalized };
        if self.last.get(&answer.host).is_none_or(|last| last.poll <= word.poll) {
            self.last.insert(answer.host.clone(), word);
        }
    }

    fn owes(&self, host: &str) -> bool {
        self.owed.iter().any(|(owing, _)| owing == host)
    }
}

impl Voices {
    /// The blocks at these heights, as providers name them. Those that are `prompt` get the grace; the others are waited for
    /// only while there is no quorum without them, and are not asked again while they owe an answer.
    pub(super) async fn votes(
        &mut self,
        providers: &[Arc<Rpc>],
        prompt: BTreeSet<String>,
        heights: [u64; 2],
        threshold: usize,
    ) -> Votes {
        let mut votes =
            Votes { threshold, awaited: self.ask(providers, &prompt, heights), prompt, ..Votes::default() };
        let Self { poll, questions, shown, .. } = self;
        gather(questions, |answer| {
            shown.note(&answer);
            if answer.poll == *poll {
                votes.take(answer);
            }
            votes.progress()
        })
        .await;
        votes
    }

    fn ask(
        &mut self,
        providers: &[Arc<Rpc>],
        prompt: &BTreeSet<String>,
        heights: [u64; 2],
    ) -> BTreeSet<String> {
        self.poll += 1;
        let poll = self.poll;
        let mut asked = BTreeSet::new();
        for rpc in providers {
            let (rpc, host) = (Arc::clone(rpc), rpc.host().to_owned());
            if !prompt.contains(&host) && self.shown.owes(&host) {
                continue;
            }
            self.shown.owed.insert((host.clone(), poll));
            asked.insert(host.clone());
            self.questions.spawn(async move { Answer { host, poll, blocks: blocks(&rpc, heights).await } });
        }
        asked
    }

    /// Takes note of the finalized block that a quorum agrees on. Refused with `head-equivocation` where a provider's last
    /// word is another block, of this height or of one that was agreed on before.
    pub(super) fn agree(&mut self, finalized: &BlockHeader) -> Result<(), ChainDeny> {
        self.agreed.insert(finalized.number(), finalized.hash());
        if self.agreed.len() > MAX_REMEMBERED {
            self.agreed.pop_first();
        }
        for (host, word) in &self.shown.last {
            let Some(block) = &word.finalized else { continue };
            let agreed = self.agreed.get(&block.number());
            if let Some(agreed) = agreed.filter(|agreed| **agreed != block.hash()) {
                let found = format!("{} by \"{host}\" at finalized height {}", block.hash(), block.number());
                return Err(ChainDeny::new(ChainDenyCode::HeadEquivocation, found, agreed));
            }
        }
        Ok(())
    }
}

/// The votes of one poll.
#[derive(Default)]
pub(super) struct Votes {
    threshold: usize,
    prompt: BTreeSet<String>,
    /// Who has not answered yet.
    awaited: BTreeSet<String>,
    /// Who named which latest block.
    pub(super) tops: Vec<(String, BlockHeader)>,
    /// Who named which finalized block.
    pub(super) finals: Vec<(String, BlockHeader)>,
    /// The last failure.
    pub(super) fault: Option<ChainDeny>,
}

impl Votes {
    fn take(&mut self, Answer { host, blocks, .. }: Answer) {
        self.awaited.remove(&host);
        match blocks {
            Ok([top, finalized]) => {
                self.tops.push((host.clone(), top));
                self.finals.push((host, finalized));
            }
            Err(deny) => self.fault = Some(deny),
        }
    }

    fn progress(&self) -> Progress {
        let agreeing = most(&self.tops).min(most(&self.finals));
        // What is final is never outvoted, and who could make up a quorum is waited for.
        let split = most(&self.finals) < self.finals.len();
        if split || agreeing + self.awaited.len() < self.threshold {
            Progress::Decided
        } else if agreeing < self.threshold {
            Progress::Open
        } else if self.awaited.is_disjoint(&self.prompt) {
            Progress::Decided
        } else {
            Progress::Enough
        }
    }
}

/// How many name the block that most of them name.
fn most(votes: &[(String, BlockHeader)]) -> usize {
    let mut by_hash: BTreeMap<B256, usize> = BTreeMap::new();
    for (_, block) in votes {
        *by_hash.entry(block.hash()).or_default() += 1;
    }
    by_hash.into_values().max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::header;

    fn block(number: u64, fork: u8) -> BlockHeader {
        BlockHeader::parse(header(B256::repeat_byte(fork), number, 1)).unwrap()
    }

    fn answer(host: &str, poll: u64, finalized: Option<BlockHeader>) -> Answer {
        let timeout = || ChainDeny::new(ChainDenyCode::RpcTimeout, "nothing", "an answer");
        let blocks = finalized.map(|finalized| [block(100, 0), finalized]).ok_or_else(timeout);
        Answer { host: host.to_owned(), poll, blocks }
    }

    fn agree(voices: &mut Voices, finalized: &BlockHeader) -> Result<(), ChainDenyCode> {
        voices.agree(finalized).map_err(|deny| deny.code)
    }

    #[test]
    fn voices__should_hold_a_provider_to_its_last_word_on_what_is_final() {
        let mut voices = Voices::default();
        assert_eq!(agree(&mut voices, &block(90, 0)), Ok(()));
        // Said late, about a height that was agreed on; polls go on meanwhile.
        voices.shown.note(&answer("late", 1, Some(block(90, 1))));
        for number in [90, 91] {
            assert_eq!(agree(&mut voices, &block(number, 0)), Err(ChainDenyCode::HeadEquivocation));
        }
        // Nothing that it was asked before takes the word back, a later answer does.
        voices.shown.note(&answer("late", 0, Some(block(90, 0))));
        assert_eq!(agree(&mut voices, &block(92, 0)), Err(ChainDenyCode::HeadEquivocation));
        voices.shown.note(&answer("late", 2, Some(block(92, 0))));
        assert_eq!(agree(&mut voices, &block(93, 0)), Ok(()));
    }

    #[test]
    fn voices__should_forget_the_word_of_a_provider_that_fails() {
        let mut voices = Voices::default();
        voices.shown.note(&answer("gone", 1, Some(block(90, 1))));
        assert_eq!(agree(&mut voices, &block(90, 0)), Err(ChainDenyCode::HeadEquivocation));
        voices.shown.note(&answer("gone", 2, None));
        assert_eq!(agree(&mut voices, &block(90, 0)), Ok(()));
    }

    #[test]
    fn votes__should_be_decided_only_when_nothing_awaited_could_change_them() {
        let hosts = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>();
        let of = |prompt: &[&str], answers: Vec<Answer>| {
            let (awaited, prompt) = (hosts(&["a", "b", "c"]), hosts(prompt));
            let mut votes = Votes { threshold: 2, prompt, awaited, ..Votes::default() };
            for answer in answers {
                votes.take(answer);
            }
            votes.progress()
        };
        let honest = |host| answer(host, 1, Some(block(90, 0)));
        let all = ["a", "b", "c"];
        assert_eq!(of(&all, vec![honest("a")]), Progress::Open);
        assert_eq!(of(&all, vec![honest("a"), honest("b")]), Progress::Enough);
        assert_eq!(of(&["a", "b"], vec![honest("a"), honest("b")]), Progress::Decided);
        assert_eq!(of(&["a", "b"], vec![honest("a"), answer("b", 1, None)]), Progress::Open);
        assert_eq!(of(&all, vec![answer("a", 1, None), answer("b", 1, None)]), Progress::Decided);
        assert_eq!(of(&all, vec![honest("a"), answer("b", 1, Some(block(90, 1)))]), Progress::Decided);
    }
}
