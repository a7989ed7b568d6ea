//! Which handler implements which declared method.

use crate::call::Call;
use basalt_api::bag::Bag;
use basalt_api::wire::Wire;
use basalt_api::{Declaration, Endpoint, Error, Reply, Result, Verb, registry, schema};
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// The work of a call.
pub type Work = Pin<Box<dyn Future<Output = Result<Reply<Wire>>> + Send>>;
type Handler = Box<dyn Fn(Call, Bag) -> Work + Send + Sync>;

/// Which handler implements which declared method.
#[derive(Default)]
pub struct Router {
    handlers: HashMap<(Verb, &'static str), Handler>,
}

impl Router {
    /// Says how a method is implemented.
    pub fn on<E, F, W, R>(&mut self, handler: F)
    where
        E: Endpoint,
        F: Fn(Call, E::Params) -> W + Send + Sync + 'static,
        W: Future<Output = Result<R>> + Send + 'static,
        R: Into<Reply<E::Output>>,
    {
        let params_schema = schema::params(&Declaration::of::<E>());
        let handler = Arc::new(handler);
        let run = move |call: Call, bag: Bag| -> Work {
            let params = E::read(&params_schema, bag);
            let handler = Arc::clone(&handler);
            Box::pin(async move {
                let reply: Reply<E::Output> = handler(call, params?).await?.into();
                let data = E::write(&reply.data)?;
                Ok(Reply {
                    data,
                    total: reply.total,
                })
            })
        };
        self.handlers
            .insert((E::METHOD.verb, E::METHOD.path), Box::new(run));
    }

    /// Names of declared methods that nothing implements.
    pub fn missing(&self) -> Vec<&'static str> {
        let declared = registry().map(|declaration| declaration.method);
        let missing = declared.filter(|m| !self.handlers.contains_key(&(m.verb, m.path)));
        missing.map(|method| method.name).collect()
    }

    /// The work of a call of a method; it has not begun.
    pub fn work(&self, declared: Declaration, call: Call, bag: Bag) -> Result<Work> {
        let method = declared.method;
        match self.handlers.get(&(method.verb, method.path)) {
            Some(handler) => Ok(handler(call, bag)),
            None => Err(Error::no_such_method(method.verb, method.path)),
        }
    }
}
