//! A node within this process, for tests: it answers as a test says, and keeps a list of the requests.

use std::sync::{Arc, Mutex};

use epione_primitives::Hash;
use serde_json::{Value, json};
use subxt::rpcs::{
    RpcClient,
    client::{RawRpcFuture, RawRpcSubscription, RawValue, RpcClientT},
};

use super::Chain;

/// The result of a request: given its method, or the runtime's function if it is a `state_call`, and its parameters.
type Answer = dyn Fn(&str, &[Value]) -> Value + Send + Sync;

/// Clones share the list of requests.
#[derive(Clone)]
pub(crate) struct FakeNode {
    answer: Arc<Answer>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl FakeNode {
    pub(crate) fn new(answer: impl Fn(&str, &[Value]) -> Value + Send + Sync + 'static) -> Self {
        Self { answer: Arc::new(answer), requests: Arc::default() }
    }

    /// The chain of this node, whose first block has hash 0.
    pub(crate) async fn connect(&self) -> Chain {
        let chain = Chain::over(RpcClient::new(self.clone()), "ws://fake").await.unwrap();
        self.requests.lock().unwrap().clear();
        chain
    }

    /// What was requested since the connection: methods, or the runtime's functions, in order.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    fn answer(&self, method: &str, params: Option<Box<RawValue>>) -> Value {
        let params: Vec<Value> =
            params.map_or_else(Vec::new, |params| serde_json::from_str(params.get()).unwrap());
        let requested = match method {
            "state_call" => params[0].as_str().unwrap(),
            method => method,
        };
        self.requests.lock().unwrap().push(requested.to_owned());
        match requested {
            "chain_getBlockHash" if params == [json!(0)] => json!(Hash::zero()),
            requested => (self.answer)(requested, &params),
        }
    }
}

impl RpcClientT for FakeNode {
    fn request_raw<'a>(
        &'a self,
        method: &'a str,
        params: Option<Box<RawValue>>,
    ) -> RawRpcFuture<'a, Box<RawValue>> {
        let answer = self.answer(method, params).to_string();
        Box::pin(async move { Ok(RawValue::from_string(answer).unwrap()) })
    }

    fn subscribe_raw<'a>(
        &'a self,
        method: &'a str,
        _: Option<Box<RawValue>>,
        _: &'a str,
    ) -> RawRpcFuture<'a, RawRpcSubscription> {
        panic!("no test subscribes to {method}")
    }
}
