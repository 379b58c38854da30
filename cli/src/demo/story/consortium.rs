//! The hospitals' workers have made a key together since the network started, on their own.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Scene, Story, broken, check};
use crate::{
    commands::consortium::{KeyShown, status},
    context::Context,
    demo::{
        HOSPITALS,
        program::Machine,
        report::{ConsortiumKey, millis},
    },
    failure::Failure,
};

const POLL: Duration = Duration::from_millis(500);
/// More than a ceremony whose phases all last until their deadlines, and another one after it.
const PATIENCE: Duration = Duration::from_secs(900);

impl Story {
    pub(super) async fn consortium_key(&mut self, scene: Scene<'_>) -> Result<(), Failure> {
        self.chapter(
            "The hospitals' workers have made a key on their own, of which each has a share",
        );
        let Scene { args, network, program, context, .. } = scene;
        let begun = Instant::now();
        let key = key_when(context, "the workers make a key", |_| true).await?;
        self.line(format!("the key was there after {} ms of waiting", millis(begun.elapsed())));
        let members: Vec<_> = key.members.iter().map(|member| member.hospital).collect();
        check(members.len() == usize::from(HOSPITALS), "each hospital has a share")?;
        check(key.threshold == 3 && key.usable, "any three of the four hospitals use the key")?;
        // Each confirmation is signed by the agent account of its hospital, which only the worker has.
        let confirmed = key.members.iter().filter(|member| member.confirmed).count();
        check(confirmed >= usize::from(key.threshold), "the workers have confirmed their shares")?;
        for line in key.to_string().lines() {
            self.line(line);
        }

        let operator = Machine::new(&args.dir.join("operator"))?;
        let genesis = format!("{:?}", context.chain().await?.genesis_hash());
        for hospital in &network.state().hospitals {
            let trusted = ["--node", &hospital.node_url, "--genesis", &genesis];
            let words = ["consortium", "key", "status"].into_iter().chain(trusted);
            let (succeeded, shown) = program.run(&operator, words).await?;
            let shown = &shown["key"];
            let is_same = shown["publicKey"] == json!(key.public_key)
                && shown["epoch"] == json!(key.epoch)
                && shown["threshold"] == json!(key.threshold)
                && shown["members"].as_array().map(Vec::len) == Some(members.len());
            check(succeeded && is_same, "each hospital's node proves the same key")?;
        }
        self.line("the node of each hospital proves the same key; no hospital has its secret half");
        self.report.consortium_key = Some(reported(&key));
        Ok(())
    }
}

/// The key as the report has it.
pub(super) fn reported(key: &KeyShown) -> ConsortiumKey {
    ConsortiumKey {
        key: key.key,
        epoch: key.epoch,
        threshold: key.threshold,
        public_key: key.public_key.clone(),
        members: key.members.iter().map(|member| member.hospital).collect(),
    }
}

/// Waits until the ceremonies of the workers have made a key, or shares, as the story needs them. `claim` says what
/// they make.
pub(super) async fn key_when(
    context: &Context,
    claim: &str,
    is_made: impl Fn(&KeyShown) -> bool,
) -> Result<KeyShown, Failure> {
    let until = Instant::now() + PATIENCE;
    loop {
        let status = status(context).await?;
        if let Some(key) = status.key.filter(&is_made) {
            return Ok(key);
        }
        if Instant::now() > until {
            let ceremony = status.ceremony.map_or("none began".into(), |it| it.to_string());
            return Err(broken(&format!("{claim} within {PATIENCE:?}; {ceremony}")));
        }
        tokio::time::sleep(POLL).await;
    }
}
