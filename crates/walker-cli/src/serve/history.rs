//! What was, since the start or as far back as is kept: a ring of points, whose number is bounded whatever the time.

use std::collections::{BTreeMap, VecDeque};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use jiff::{Span, SpanRelativeTo};
use schemars::JsonSchema;
use serde::Serialize;

use crate::observation::{Change, Observation};

/// A longer time is kept in coarser steps.
const MOST_POINTS: u32 = 3_600;
/// Tables of which each point tells: those with the most dead bytes.
const MOST_TABLES: usize = 50;
/// Plugins and resource managers of which each point tells; a server has at most 256 of these.
const MOST_SERIES: usize = 256;

/// How far back the history goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kept(Duration);

impl FromStr for Kept {
    type Err = String;

    /// `45min`, `2h`, `1d12h`: from a minute to a year.
    fn from_str(text: &str) -> Result<Self, String> {
        let expected =
            || "expected a time such as 45min, 2h or 7 days, of at least 1min and at most 366 days".to_owned();
        let span = text.parse::<Span>().map_err(|_| expected())?;
        let seconds = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| expected())?.as_secs();
        let seconds = u64::try_from(seconds).ok().filter(|seconds| (60..=366 * 86_400).contains(seconds));
        seconds.map(|seconds| Self(Duration::from_secs(seconds))).ok_or_else(expected)
    }
}

/// One moment.
#[derive(Debug, Clone, Default)]
struct Point {
    /// Seconds since 1970, by the server's clock.
    time: f64,
    wal: Option<f64>,
    dead_bytes: Option<i64>,
    /// Bytes a second.
    resource_managers: Vec<(Arc<str>, f64)>,
    plugins: Vec<(Arc<str>, Lag)>,
    tables: Vec<(u32, i64)>,
}

#[derive(Debug, Clone, Copy)]
struct Lag {
    bytes: Option<i64>,
    seconds: Option<f64>,
}

/// The ring.
#[derive(Debug)]
pub(super) struct History {
    resolution: Duration,
    capacity: usize,
    points: VecDeque<Point>,
    /// Rates of the next point are those since.
    last: Option<Arc<Observation>>,
    /// Each name once in memory.
    names: BTreeMap<String, Arc<str>>,
}

impl History {
    /// Of what is looked at in this interval.
    pub(super) fn new(Kept(kept): Kept, interval: Duration) -> Self {
        let resolution = interval.max(kept / MOST_POINTS);
        let capacity = kept.as_secs().div_ceil(resolution.as_secs().max(1)).clamp(2, MOST_POINTS.into());
        let capacity = usize::try_from(capacity).unwrap_or(2);
        Self { resolution, capacity, points: VecDeque::new(), last: None, names: BTreeMap::new() }
    }

    /// Takes a look over, unless it is too soon after the last one that was.
    pub(super) fn observe(&mut self, observation: &Arc<Observation>) {
        let change = match &self.last {
            None => Change::default(),
            Some(last) => {
                let since = observation.server.time.duration_since(last.server.time).as_secs_f64();
                // Looks are not exactly as far apart as they should be. A clock that was set back begins anew.
                if (0.0..0.75 * self.resolution.as_secs_f64()).contains(&since) {
                    return;
                }
                Change::between(last, observation)
            }
        };
        let mut tables: Vec<_> =
            observation.tables.rows().iter().filter_map(|table| Some((table.id, table.dead_bytes?))).collect();
        let dead_bytes = observation.tables.missing().is_none().then(|| tables.iter().map(|table| table.1).sum());
        tables.sort_unstable_by_key(|(id, bytes)| (std::cmp::Reverse(*bytes), *id));
        tables.truncate(MOST_TABLES);
        tables.shrink_to_fit();
        let plugins = observation.plugins.rows().iter().take(MOST_SERIES).map(|plugin| {
            (self.names.intern(&plugin.name), Lag { bytes: plugin.lag_bytes, seconds: plugin.lag_seconds })
        });
        let point = Point {
            time: seconds(observation.server.time),
            wal: change.wal,
            dead_bytes,
            plugins: plugins.collect(),
            resource_managers: change
                .resource_managers
                .iter()
                .take(MOST_SERIES)
                .map(|rate| (self.names.intern(&rate.name), rate.bytes))
                .collect(),
            tables,
        };
        self.push(point);
        self.last = Some(Arc::clone(observation));
    }

    /// The server could not be asked: lines end here.
    pub(super) fn interrupt(&mut self) {
        if let Some(last) = self.last.take() {
            // Just behind the last point.
            self.push(Point { time: seconds(last.server.time) + 0.001, ..Point::default() });
        }
    }

    fn push(&mut self, point: Point) {
        if self.points.len() == self.capacity {
            self.points.pop_front();
            // Plugins come and go.
            self.names.retain(|_, name| Arc::strong_count(name) > 1);
        }
        self.points.push_back(point);
    }

    /// All points after a time, and one table's dead bytes.
    pub(super) fn tell(&self, since: f64, table: Option<u32>) -> Told {
        let points: Vec<&Point> = self.points.iter().filter(|point| point.time > since).collect();
        let mut resource_managers = BTreeMap::<&str, Vec<Option<f64>>>::new();
        let mut plugins = BTreeMap::<&str, (Vec<Option<i64>>, Vec<Option<f64>>)>::new();
        for (index, point) in points.iter().enumerate() {
            for (name, bytes) in &point.resource_managers {
                // There was nothing of a resource manager that a point does not name.
                let nothing = || points.iter().map(|point| point.wal.map(|_| 0.0)).collect();
                let series = resource_managers.entry(name).or_insert_with(nothing);
                put(series, index, Some(*bytes));
            }
            for (name, lag) in &point.plugins {
                let none = || (vec![None; points.len()], vec![None; points.len()]);
                let (bytes, seconds) = plugins.entry(name).or_insert_with(none);
                put(bytes, index, lag.bytes);
                put(seconds, index, lag.seconds);
            }
        }
        let of_table = |id: u32| TableHistory {
            id,
            dead_bytes: points
                .iter()
                .map(|point| point.tables.iter().find(|(other, _)| *other == id).map(|(_, bytes)| *bytes))
                .collect(),
        };
        Told {
            resolution_seconds: self.resolution.as_secs_f64(),
            most_points: self.capacity,
            times: points.iter().map(|point| point.time).collect(),
            wal_bytes_per_second: points.iter().map(|point| point.wal).collect(),
            dead_bytes: points.iter().map(|point| point.dead_bytes).collect(),
            resource_managers: resource_managers
                .into_iter()
                .map(|(name, bytes_per_second)| ResourceManagerHistory { name: name.to_owned(), bytes_per_second })
                .collect(),
            plugins: plugins
                .into_iter()
                .map(|(name, (lag_bytes, lag_seconds))| PluginHistory { name: name.to_owned(), lag_bytes, lag_seconds })
                .collect(),
            table: table.map(of_table),
        }
    }
}

/// Each list is as long as there are points.
fn put<T>(values: &mut [Option<T>], index: usize, value: Option<T>) {
    if let Some(place) = values.get_mut(index) {
        *place = value;
    }
}

trait Intern {
    fn intern(&mut self, name: &str) -> Arc<str>;
}

impl Intern for BTreeMap<String, Arc<str>> {
    fn intern(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.get(name) {
            return Arc::clone(known);
        }
        let new: Arc<str> = name.into();
        self.insert(name.to_owned(), Arc::clone(&new));
        new
    }
}

#[allow(clippy::cast_precision_loss, reason = "milliseconds of any date are exact in 53 bits")]
pub(super) fn seconds(time: jiff::Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1000.0
}

/// The history, column by column: each list has a value for each of `times`, null where nothing is known.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "History")]
pub(super) struct Told {
    /// Seconds between two points, at least.
    resolution_seconds: f64,
    /// So many points are kept.
    most_points: usize,
    /// Seconds since 1970, by the server's clock. A point where all is null stands where the server could not be asked.
    times: Vec<f64>,
    /// WAL that was written, or on a standby replayed, in bytes a second since the point before.
    wal_bytes_per_second: Vec<Option<f64>>,
    /// Dead bytes of all tables.
    dead_bytes: Vec<Option<i64>>,
    /// What the worker has read; 0 of those that are not among them.
    resource_managers: Vec<ResourceManagerHistory>,
    plugins: Vec<PluginHistory>,
    /// The table that was asked for.
    table: Option<TableHistory>,
}

/// What the worker has read of a resource manager.
#[derive(Debug, Serialize, JsonSchema)]
struct ResourceManagerHistory {
    name: String,
    bytes_per_second: Vec<Option<f64>>,
}

/// How far a plugin was behind.
#[derive(Debug, Serialize, JsonSchema)]
struct PluginHistory {
    name: String,
    lag_bytes: Vec<Option<i64>>,
    lag_seconds: Vec<Option<f64>>,
}

/// A table's dead bytes, while it was among those that had the most.
#[derive(Debug, Serialize, JsonSchema)]
struct TableHistory {
    id: u32,
    dead_bytes: Vec<Option<i64>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::samples::observation;

    fn history(kept: &str, interval: u64) -> History {
        History::new(kept.parse().unwrap(), Duration::from_secs(interval))
    }

    #[test]
    fn times_are_words() {
        for (text, seconds) in [("1min", 60), ("2h", 7200), ("1 day", 86_400), ("1h 30m", 5400), ("7d", 604_800)] {
            assert_eq!(text.parse(), Ok(Kept(Duration::from_secs(seconds))), "{text}");
        }
        for wrong in ["", "7", "59s", "-1h", "2 years", "367d", "x"] {
            assert!(wrong.parse::<Kept>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_number_of_points_is_bounded() {
        for (kept, interval, capacity, resolution) in
            [("1h", 2, 1800, 2), ("366d", 2, 3600, 8784), ("1min", 3600, 2, 3600)]
        {
            let history = history(kept, interval);
            assert_eq!((history.capacity, history.resolution.as_secs()), (capacity, resolution), "{kept}");
        }
        let mut history = history("1min", 2);
        for second in 0..1000 {
            history.observe(&Arc::new(observation(2 * second, &[("a", second)])));
        }
        let told = history.tell(0.0, Some(1));
        assert_eq!((told.times.len(), history.points.len()), (30, 30));
        assert_eq!(told.times[29], 1_800_001_998.0);
        assert_eq!(told.table.unwrap().dead_bytes[29], Some(99_900));
        assert_eq!(told.wal_bytes_per_second[29], Some(1_048_576.0));
    }

    #[test]
    fn rates_are_those_between_points_and_not_between_looks() {
        let mut history = history("2h", 1);
        history.resolution = Duration::from_secs(10);
        for second in 0..=20 {
            history.observe(&Arc::new(observation(second, &[("a", 1)])));
        }
        let told = history.tell(0.0, None);
        assert_eq!(told.times, [0.0, 8.0, 16.0].map(|second| 1_800_000_000.0 + second));
        assert_eq!(told.resource_managers[1].name, "Heap");
        assert_eq!(told.resource_managers[1].bytes_per_second, [None, Some(100_000.0), Some(100_000.0)]);
        assert_eq!(history.tell(1_800_000_008.0, None).times.len(), 1);
    }

    #[test]
    fn where_the_server_was_away_lines_are_broken() {
        let mut history = history("1h", 1);
        history.observe(&Arc::new(observation(0, &[("a", 1)])));
        history.interrupt();
        history.interrupt();
        history.observe(&Arc::new(observation(60, &[("a", 1)])));
        let told = history.tell(0.0, Some(1));
        assert_eq!(told.dead_bytes, [Some(100), None, Some(100)]);
        assert_eq!(told.wal_bytes_per_second, [None, None, None]);
        assert_eq!(told.plugins[0].lag_bytes, [Some(0), None, Some(0)]);
    }

    #[test]
    fn a_point_tells_of_the_tables_with_the_most_garbage() {
        let tables: Vec<(String, i64)> = (0..200).map(|number| (format!("t{number}"), number)).collect();
        let tables: Vec<(&str, i64)> = tables.iter().map(|(name, dead)| (name.as_str(), *dead)).collect();
        let mut history = history("1h", 1);
        history.observe(&Arc::new(observation(0, &tables)));
        assert_eq!(history.points[0].tables.len(), MOST_TABLES);
        assert_eq!(history.tell(0.0, Some(200)).table.unwrap().dead_bytes, [Some(19_900)]);
        assert_eq!(history.tell(0.0, Some(1)).table.unwrap().dead_bytes, [None]);
        assert_eq!(history.tell(0.0, None).dead_bytes, [Some(1_990_000)]);
    }
}
