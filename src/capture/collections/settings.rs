//! What a resource config says to flow-shim itself: settings that one capture may have otherwise than the
//! shim. Absent, null and empty ones leave it to the shim.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::shim::streams::{Refresh, StreamOverride};
use crate::shim::units::parse_duration;

const REFRESH: &str = "refresh";
const INTERVAL: &str = "interval";

/// Settings of a resource config.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    refresh: Option<Refresh>,
    interval: Option<Duration>,
}

impl Settings {
    /// Reads the settings; the error says what is wrong with one.
    pub(crate) fn of(config: &Value) -> Result<Self, String> {
        let given = |name: &str| match &config[name] {
            Value::Null => None,
            Value::String(text) if text.trim().is_empty() => None,
            value => Some(value.clone()),
        };
        let refresh = given(REFRESH).map(Refresh::deserialize).transpose();
        let refresh = refresh.map_err(|_| format!("`{REFRESH}` must be snapshot, append or truncate"))?;
        let interval = given(INTERVAL).map(|value| value.as_str().and_then(|text| parse_duration(text).ok()));
        if interval == Some(None) {
            return Err(format!("`{INTERVAL}` must be a duration such as 90s, 15m or 1h"));
        }
        Ok(Self { refresh, interval: interval.flatten() })
    }

    /// Puts the settings before those of the shim.
    pub(crate) fn apply(self, shim: &mut StreamOverride) {
        shim.refresh = self.refresh.or(shim.refresh);
        shim.interval = self.interval.or(shim.interval);
    }
}

/// Adds the settings to the schema of a protocol's resource configs.
pub(crate) fn offer(schema: &mut Value) {
    let settings = [
        (
            REFRESH,
            json!({
                "type": "string", "title": "Refresh", "enum": ["snapshot", "append", "truncate"], "advanced": true,
                "description": "What a full refresh does with rows that are gone: snapshot deletes them, append keeps \
                                them, truncate has Flow drop them. Left out: as the connector has it.",
            }),
        ),
        (
            INTERVAL,
            json!({
                "type": "string", "title": "Interval", "advanced": true,
                "description": "The least time from one read of the stream to the next, such as 30m or 6h. Left out: as \
                                the connector has it.",
            }),
        ),
    ];
    let order = schema["properties"].as_object().map_or(0, serde_json::Map::len);
    for (place, (name, mut setting)) in settings.into_iter().enumerate() {
        setting["order"] = json!(order + place);
        schema["properties"][name] = setting;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binding_comes_before_the_shim() {
        let read = |config: Value| {
            let mut shim = StreamOverride {
                refresh: Some(Refresh::Append),
                interval: Some(Duration::from_secs(60)),
                ..StreamOverride::default()
            };
            Settings::of(&config).map(|settings| {
                settings.apply(&mut shim);
                (shim.refresh, shim.interval.map(|interval| interval.as_secs()))
            })
        };
        let shims = Ok((Some(Refresh::Append), Some(60)));
        for config in [json!({}), json!({"refresh": null, "interval": ""})] {
            assert_eq!(read(config), shims);
        }
        let both = json!({"refresh": "snapshot", "interval": "1h"});
        assert_eq!(read(both), Ok((Some(Refresh::Snapshot), Some(3600))));
        assert_eq!(read(json!({"interval": "PT5M"})).map(|(_, interval)| interval), Ok(Some(300)));
        for wrong in [json!({"refresh": "sometimes"}), json!({"interval": "5"}), json!({"interval": 5})] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
