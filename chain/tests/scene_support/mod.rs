//! What the tests of lying providers share: one app, an allowed and a denied question about it, and what must hold of any
//! lie.
#![allow(dead_code, clippy::unwrap_used)]

use std::sync::Arc;

use alloy::primitives::Address;
use kms_chain::{Anchor, AppBootInfo, ChainDeny, ChainDenyCode, GrantAt, Question, Reading};

use crate::contracts_support::{World, asker, word};
use crate::proxy_support::{Lie, Proxy, honest};
use crate::reading_support::{ask, dev_anchor, outcome};

/// A chain with an application that allows code 1, and two questions about it.
pub(crate) struct Scene {
    pub(crate) world: Arc<World>,
    pub(crate) app: Address,
    pub(crate) anchor: Anchor,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let (world, app) = World::with_app();
        let anchor = dev_anchor(world.kms, GrantAt::Latest);
        Self { world: Arc::new(world), app, anchor }
    }

    pub(crate) fn allowed(&self) -> Question {
        Question::App(asker(self.app))
    }

    pub(crate) fn denied(&self) -> Question {
        Question::App(AppBootInfo { composeHash: word(2), ..asker(self.app) })
    }

    pub(crate) async fn proxy(&self, lie: &Lie) -> Proxy {
        Proxy::start(self.world.anvil.port(), Arc::clone(lie)).await
    }

    pub(crate) async fn ask(&self, lie: &Lie, question: &Question) -> Result<Reading, ChainDeny> {
        ask(&self.proxy(lie).await.url(), &self.anchor, question).await
    }

    /// That one question is answered without the lie and refused with it.
    pub(crate) async fn assert_refused_for(
        &self,
        question: &Question,
        answer: bool,
        code: ChainDenyCode,
        lie: &Lie,
    ) -> ChainDeny {
        let honestly = self.ask(&honest(), question).await;
        assert_eq!(outcome(&honestly), Ok(answer));
        let deny = self.ask(lie, question).await.unwrap_err();
        assert_eq!(deny.code, code, "{deny}");
        deny
    }

    pub(crate) async fn assert_refused(&self, code: ChainDenyCode, lie: &Lie) {
        for (question, answer) in [(self.allowed(), true), (self.denied(), false)] {
            self.assert_refused_for(&question, answer, code, lie).await;
        }
    }
}
