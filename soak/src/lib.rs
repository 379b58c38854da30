//! Long runs of whole networks on one machine, with measurements.
//!
//! | run | answers |
//! | --- | --- |
//! | [`large`] | do gigabytes pass unchanged through processes of bounded memory? |
//! | [`links`] | how long does a block take over narrow links, for how many hospitals? |
//! | [`crashes`] | is anything acknowledged ever lost when processes are killed at random? |
//! | [`drills`] | does a consortium survive what goes wrong, by the steps of its runbook? |
//! | [`hostile`] | are honest members served while other members attack with everything that they may use? |
//! | [`lite`] | how fast does a peer copy, verify and search ten thousand lite blocks, also after a kill? |
//! | [`looks`] | how much longer does a look take because the client verifies what the node says? |
//! | [`sharing`] | what does each party of a sharing compute and send, beside other ways to share? |
//! | [`consortium`] | what does the consortium key cost each member, and how long does a standing look take? |
//!
//! Each writes `<run>.json` and `<run>.md` ([`results`]), a drill `drills/<name>.json` and `.md`, with the machine, the
//! date, the commit and the command. The networks are those of [`epione_devnet`]. If links are shaped or cut, the whole
//! run happens in separate namespaces ([`namespaces`]), which the kernel removes with the last process.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod client;
pub mod command;
pub mod consortium;
pub mod content;
pub mod council;
pub mod crashes;
pub mod dice;
pub mod disk;
pub mod drills;
pub mod folder;
pub mod hostile;
pub mod large;
pub mod links;
pub mod lite;
pub mod looks;
pub mod machine;
pub mod memory;
pub mod namespaces;
pub mod node;
pub mod patience;
pub mod people;
pub mod programs;
pub mod results;
pub mod sharing;
pub mod storage;
pub mod stores;
pub mod times;
pub mod topology;
pub mod transaction;
pub mod visits;
pub mod walk;
