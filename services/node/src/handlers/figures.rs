//! Figures over time.

use crate::auth::now;
use crate::call::Call;
use crate::router::Router;
use basalt_api::methods::figures::{
    ConsolidationFunction, CtFiguresGet, GuestFigures, GuestFiguresQuery, NodeFigures,
    NodeFiguresGet, NodeFiguresQuery, NodeTimeframe, StorageFigures, StorageFiguresGet,
    StorageFiguresQuery, Timeframe, VmFiguresGet,
};
use basalt_api::{Error, Result};
use basalt_metrics::Object;
use basalt_metrics::history::{Consolidation, DAY, DECADE, MONTH, Row, Span, YEAR};
use basalt_model::guest::GuestKind;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::sync::Arc;

/// Says how these methods are implemented.
pub fn register(router: &mut Router) {
    router.on::<NodeFiguresGet, _, _, _>(node);
    router.on::<VmFiguresGet, _, _, _>(|call, query| guest(call, GuestKind::Qemu, query));
    router.on::<CtFiguresGet, _, _, _>(|call, query| guest(call, GuestKind::Lxc, query));
    router.on::<StorageFiguresGet, _, _, _>(storage);
}

fn span(timeframe: Timeframe) -> Span {
    let (shape, rows) = match timeframe {
        Timeframe::Hour => (DAY, 60),
        Timeframe::Day => (DAY, 1440),
        Timeframe::Week => (MONTH, 7 * 48),
        Timeframe::Month => (MONTH, 30 * 48),
        Timeframe::Year => (YEAR, 365 * 4),
    };
    Span { shape, rows }
}

fn node_span(timeframe: NodeTimeframe) -> Span {
    match timeframe {
        NodeTimeframe::Hour => span(Timeframe::Hour),
        NodeTimeframe::Day => span(Timeframe::Day),
        NodeTimeframe::Week => span(Timeframe::Week),
        NodeTimeframe::Month => span(Timeframe::Month),
        NodeTimeframe::Year => span(Timeframe::Year),
        NodeTimeframe::Decade => Span {
            shape: DECADE,
            rows: 520,
        },
    }
}

async fn node(call: Call, query: NodeFiguresQuery) -> Result<Vec<NodeFigures>> {
    call.node.check_name(&query.node)?;
    rows(&call, Object::Node, node_span(query.timeframe), query.cf).await
}

async fn guest(call: Call, kind: GuestKind, query: GuestFiguresQuery) -> Result<Vec<GuestFigures>> {
    call.node.check_name(&query.node)?;
    call.node.guest(kind, query.vmid)?;
    let object = Object::Guest(query.vmid.get());
    rows(&call, object, span(query.timeframe), query.cf).await
}

async fn storage(call: Call, query: StorageFiguresQuery) -> Result<Vec<StorageFigures>> {
    call.node.check_name(&query.node)?;
    let found = call.node.storages.get(&query.storage);
    found.map_err(Error::failed)?;
    let object = Object::Storage(query.storage.to_string());
    rows(&call, object, span(query.timeframe), query.cf).await
}

/// The rows of an object's history as a method answers them.
async fn rows<T: DeserializeOwned + Send + 'static>(
    call: &Call,
    object: Object,
    span: Span,
    what: Option<ConsolidationFunction>,
) -> Result<Vec<T>> {
    let what = match what.unwrap_or_default() {
        ConsolidationFunction::Average => Consolidation::Average,
        ConsolidationFunction::Max => Consolidation::Max,
    };
    let histories = Arc::clone(&call.node.histories);
    let reading = tokio::task::spawn_blocking(move || -> Result<Vec<T>> {
        let history = histories.read(&object).map_err(Error::failed)?;
        let rows = history.rows(span, what, now()).into_iter();
        rows.map(|row| typed(&object, &row)).collect()
    });
    reading.await.map_err(Error::failed)?
}

/// A row by the names of its series.
fn typed<T: DeserializeOwned>(object: &Object, row: &Row) -> Result<T> {
    let known = object.plan().series.iter().zip(&row.values);
    let known = known.filter(|(_, value)| !value.is_nan());
    let mut members: Map<String, Value> = known
        .map(|(name, value)| ((*name).to_owned(), f64::from(*value).into()))
        .collect();
    members.insert("time".to_owned(), row.time.into());
    serde_json::from_value(Value::Object(members)).map_err(Error::failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Serialize;

    /// Every series arrives under its own name.
    fn whole<T: DeserializeOwned + Serialize>(object: &Object) {
        let series = object.plan().series;
        let row = Row {
            time: 60,
            values: (0..series.len()).map(|index| index as f32).collect(),
        };
        let typed: T = typed(object, &row).unwrap();
        let shown = serde_json::to_value(typed).unwrap();
        for (index, name) in series.iter().enumerate() {
            assert_eq!(shown[*name], index as f64, "{name}");
        }
        assert_eq!(shown.as_object().unwrap().len(), series.len() + 1);
    }

    #[test]
    fn what_is_kept_is_what_is_declared() {
        whole::<NodeFigures>(&Object::Node);
        whole::<GuestFigures>(&Object::Guest(100));
        whole::<StorageFigures>(&Object::Storage("local".into()));
    }

    #[test]
    fn what_is_not_known_is_absent() {
        let row = Row {
            time: 60,
            values: vec![f32::NAN, 5.0],
        };
        let typed: StorageFigures = typed(&Object::Storage("local".into()), &row).unwrap();
        assert_eq!((typed.total, typed.used), (None, Some(5.0)));
    }
}
