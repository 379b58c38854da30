//! New session keys. The node reads its keystore whenever it signs, so that it needs no restart.

use epione_client::{application::SessionPair, chain::calls::session};
use epione_primitives::limits::SESSION_BLOCKS;

use super::{Rotated, Rotation, SessionArgs};
use crate::{
    commands::council::in_block, confirmation::confirm, context::Context, failure::Failure,
};

pub async fn rotate(args: &SessionArgs, context: Context) -> Result<Rotated, Failure> {
    let SessionArgs { rotate: args, era } = args;
    let birth = era.birth(&context)?;
    let rotation = Rotation::begin(args, context).await?;
    let Rotation { folder, context, hospital, governance, .. } = &rotation;
    let chain = context.chain().await?;
    let before = chain.finalized().await?.seat(*hospital).await?.keys;
    let pair = SessionPair::generate();
    let keys = pair.public();
    let asked = format!(
        "hospital {hospital} makes blocks with new session keys, aura {:?} and grandpa {:?}, from the session after \
         the next one on",
        keys.aura, keys.grandpa
    );
    confirm(context, &asked, args.yes).await?;
    // Before they are on the chain: keys that the node lacks would cost the hospital its seat.
    folder.add_session_keys(&pair)?;
    let call = session::set_keys(&keys, &pair.prove(&governance.id()));
    let block = chain.submit_from(birth, &call, governance).await?.block.number;
    let mut rotated = rotation.rotated("pair of session keys", Some(block));
    if let Some(before) = before {
        let names = before.file_names().into_iter();
        let old = names.map(|name| folder.keystore().join(name));
        rotated.keep = old.filter(|path| path.exists()).collect();
        // Keys that are set in one session are used from the session after the next one on.
        let last = block.saturating_add(2 * SESSION_BLOCKS);
        rotated.steps.push(format!(
            "the previous keys make blocks for up to two more sessions: delete their files only after block {last} is \
             final. Never use one set of keys in two nodes"
        ));
    }
    if !era.is_final() {
        let block = in_block(block, false);
        rotated
            .steps
            .push(format!("look at session.nextKeys after some blocks: the keys are in {block}"));
    }
    rotated.steps.push("the node needs no restart".into());
    Ok(rotated)
}
