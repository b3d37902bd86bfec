//! What the report says: figures, what follows from them, and the words, the same in each format.

use ::heatmap::number::{grouped, percent, size};
use anyhow::Result;
use postgres::Client;
use serde::Serialize;

use super::autovacuum::{Advice, Rate, Rule, Verdict, hours, whole};
use super::blocker::{self, Blocker};
use super::figures::{Figures, Tail};
use super::gain::Gain;
use super::settings::{self, ServerSettings, TableSettings};
use crate::exit::Hinted;
use crate::extension::Extension;
use crate::origin;
use crate::summary::explain;

/// One database.
#[derive(Debug, Serialize)]
pub(super) struct Contents {
    pub(super) server: String,
    pub(super) database: String,
    pub(super) time: String,
    pub(super) settings: ServerSettings,
    pub(super) totals: Totals,
    /// How exact the numbers are, and since when they count.
    pub(super) exactness: Vec<String>,
    pub(super) rule: String,
    pub(super) tables: Vec<TableReport>,
    /// Those that are not shown, in words.
    pub(super) left_out: Option<String>,
    pub(super) blockers: Vec<Blocker>,
    /// Settings of the server that concern all tables.
    pub(super) server_advice: Option<ServerAdvice>,
    pub(super) checks: Vec<Check>,
}

/// What concerns all tables.
#[derive(Debug, Serialize)]
pub(super) struct ServerAdvice {
    pub(super) words: String,
    pub(super) statement: String,
}

/// All tables.
#[derive(Debug, Default, Serialize)]
pub(super) struct Totals {
    pub(super) tables: u64,
    pub(super) bytes: u64,
    pub(super) dead_tuples: u64,
    pub(super) dead_bytes: u64,
    pub(super) removable_tuples: u64,
    /// Tables whose numbers are not exact.
    pub(super) inexact_tables: u64,
}

/// A query that gives figures of the report.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Check {
    pub(super) what: &'static str,
    pub(super) sql: String,
}

/// One table.
#[derive(Debug, Serialize)]
pub(super) struct TableReport {
    pub(super) title: String,
    pub(super) figures: Figures,
    pub(super) tail: Option<Tail>,
    pub(super) gain: Option<Gain>,
    pub(super) advice: Advice,
    pub(super) vacuum: Option<String>,
    pub(super) checks: Vec<Check>,
    block_size: u64,
}

impl Contents {
    /// Asks the server.
    pub(super) fn read(client: &mut Client, limit: usize, rule: &Rule) -> Result<Self> {
        let origin = origin::read(client)?;
        let extension = Extension::find(client, "garbagemap").map_err(explain)?;
        let Some(schema) = extension.schema else {
            let message = format!("database \"{}\" does not have the extension garbagemap", origin.database);
            return Err(Hinted::error(message, "Run CREATE EXTENSION garbagemap in this database."));
        };
        let settings = ServerSettings::read(client)?;
        let all = Figures::read(client, &schema)?;
        let mut blockers = Blocker::read(client)?;
        for blocker in &mut blockers {
            let of_blocker = all.iter().filter(|figures| figures.held_back_by.as_ref() == Some(&blocker.name));
            blocker.held_tuples = of_blocker.map(held).fold(0, u64::saturating_add);
        }
        let totals = Totals::of(&all, block_size(&settings));
        let left_out = left_out(&all, limit, block_size(&settings));
        let exactness = exactness(&all, &totals);
        let mut tables = Vec::new();
        for figures in all.into_iter().take(limit) {
            let tail = match figures.dead_tuples {
                // Also a table without dead tuples may have empty blocks at its end.
                Some(_) => Tail::read(client, &schema, &figures)?,
                None => None,
            };
            tables.push(TableReport::new(figures, tail, &settings, rule, &schema));
        }
        let checks = vec![
            Check {
                what: "all tables",
                sql: format!("SELECT * FROM {schema}.garbagemap ORDER BY dead_bytes DESC NULLS LAST;"),
            },
            Check { what: "who holds back removal", sql: format!("{}20;", blocker::SQL) },
            Check { what: "who holds back most", sql: format!("SELECT * FROM {schema}.garbagemap_horizon();") },
            Check { what: "settings of the server", sql: format!("{};", settings::SQL) },
        ];
        Ok(Self {
            server: origin.server,
            database: origin.database,
            time: origin.time,
            server_advice: server_advice(&settings),
            settings,
            totals,
            exactness,
            rule: rule.in_words(),
            tables,
            left_out,
            blockers,
            checks,
        })
    }

    pub(super) fn summary(&self) -> String {
        let Totals { tables, bytes, dead_tuples, dead_bytes, removable_tuples, .. } = self.totals;
        let could = if self.settings.is_standby {
            "This is a standby: its primary knows how many of them could be removed.".to_owned()
        } else {
            format!("VACUUM could remove {} of them now.", grouped(removable_tuples))
        };
        let (size, dead, dead_size) = (size(bytes), grouped(dead_tuples), size(dead_bytes));
        format!("{} tables of {size}, with {dead} dead tuples of {dead_size}. {could}", grouped(tables))
    }

    /// What was found on what blocks VACUUM, in a sentence.
    pub(super) fn blocking(&self) -> String {
        let held: u64 = self.totals.dead_tuples.saturating_sub(self.totals.removable_tuples);
        match (held, self.blockers.is_empty()) {
            _ if self.settings.is_standby => {
                "This is a standby: VACUUM runs on its primary, whose report tells.".into()
            }
            (0, true) => "Nothing: all dead tuples that are known may be removed.".into(),
            (0, false) => {
                "Nothing at the moment. The transactions below are open, but what is dead died before them.".into()
            }
            (_, true) => format!(
                "{} dead tuples may not be removed yet, but nobody who holds them back was seen.",
                grouped(held)
            ),
            (_, false) => format!(
                "{} dead tuples may not be removed yet. As long as those below are there, VACUUM leaves what died since; \
                 the oldest counts.",
                grouped(held)
            ),
        }
    }

    /// Proposals, one after the other.
    pub(super) fn statements(&self) -> Vec<&str> {
        let changes = self.tables.iter().filter(|table| table.advice.verdict == Verdict::Change);
        changes.filter_map(|table| table.advice.statement.as_deref()).collect()
    }

    pub(super) const INDEXES: &'static str = "Indexes are not in this report: garbagemap counts the tuples of tables. VACUUM \
        removes their index entries too, but gives back no more of an index than whole empty pages, for reuse; see pgstatindex.";
}

fn block_size(settings: &ServerSettings) -> u64 {
    u64::try_from(settings.block_size).unwrap_or(8192)
}

fn held(figures: &Figures) -> u64 {
    figures.dead_tuples.unwrap_or(0).saturating_sub(figures.removable_tuples.unwrap_or(0))
}

impl Totals {
    fn of(all: &[Figures], block_size: u64) -> Self {
        all.iter().fold(Self::default(), |sum, figures| Self {
            tables: sum.tables + 1,
            bytes: sum.bytes.saturating_add(figures.blocks.saturating_mul(block_size)),
            dead_tuples: sum.dead_tuples.saturating_add(figures.dead_tuples.unwrap_or(0)),
            dead_bytes: sum.dead_bytes.saturating_add(figures.dead_bytes.unwrap_or(0)),
            // On a standby it is not known.
            removable_tuples: sum.removable_tuples.saturating_add(figures.removable_tuples.unwrap_or(0)),
            inexact_tables: sum.inexact_tables + u64::from(!figures.exact),
        })
    }
}

fn left_out(all: &[Figures], limit: usize, block_size: u64) -> Option<String> {
    let rest = Totals::of(all.get(limit..)?, block_size);
    (rest.tables > 0).then(|| {
        format!(
            "And {} more tables of {}, with {} in dead tuples.",
            rest.tables,
            size(rest.bytes),
            size(rest.dead_bytes)
        )
    })
}

fn exactness(all: &[Figures], totals: &Totals) -> Vec<String> {
    let mut words = vec![match totals.inexact_tables {
        0 => {
            "All numbers of garbagemap are exact, each at the LSN of its table: what pgstattuple would find.".to_owned()
        }
        inexact => format!(
            "Of {} tables {inexact} are not known exactly; each says why. The others are exact, each at its LSN: what \
             pgstattuple would find.",
            totals.tables
        ),
    }];
    let mut causes: Vec<&str> = all.iter().filter_map(|figures| figures.inexact.as_deref()).collect();
    causes.sort_unstable();
    causes.dedup();
    words.extend(causes.into_iter().map(|cause| format!("Not exact: {cause}.")));
    words.push(
        "Sizes and counts are of this moment. Deaths are counted since the last vacuum of each table that garbagemap saw, or \
         since its walk began; reltuples and n_dead_tup are PostgreSQL's estimates, by which autovacuum goes."
            .to_owned(),
    );
    words
}

fn server_advice(settings: &ServerSettings) -> Option<ServerAdvice> {
    let words = "Autovacuum, or track_counts that it needs, is off on this server: it vacuums no table but against the \
                 wraparound of transaction numbers.";
    let statement =
        "ALTER SYSTEM SET autovacuum = on; ALTER SYSTEM SET track_counts = on; SELECT pg_reload_conf();".to_owned();
    (!settings.autovacuum).then(|| ServerAdvice { words: words.to_owned(), statement })
}

impl TableReport {
    fn new(figures: Figures, tail: Option<Tail>, server: &ServerSettings, rule: &Rule, schema: &str) -> Self {
        let settings = TableSettings::new(server, figures.effective_options());
        let gain = Gain::of(&figures, tail.as_ref(), &settings, block_size(server));
        let advice = rule.advise(&figures, server);
        let is_worth_it = gain.as_ref().is_some_and(|gain| gain.tuples > 0 || gain.blocks > 0);
        let vacuum = is_worth_it.then(|| format!("VACUUM {};", figures.name));
        let checks = checks(&figures, tail.as_ref(), schema);
        let block_size = block_size(server);
        Self { title: figures.title(), figures, tail, gain, advice, vacuum, checks, block_size }
    }

    pub(super) fn size(&self) -> String {
        size(self.bytes())
    }

    fn bytes(&self) -> u64 {
        self.figures.blocks.saturating_mul(self.block_size)
    }

    pub(super) fn dead_tuples(&self) -> String {
        self.figures.dead_tuples.map_or("unknown".into(), grouped)
    }

    pub(super) fn dead_bytes(&self) -> String {
        self.figures.dead_bytes.map_or("unknown".into(), size)
    }

    /// Of its tuples.
    #[allow(clippy::cast_precision_loss, reason = "a share")]
    pub(super) fn dead_share(&self) -> String {
        match (self.figures.live_tuples, self.figures.dead_tuples) {
            (Some(live), Some(dead)) => percent(dead as f64, live as f64 + dead as f64),
            _ => "unknown".into(),
        }
    }

    /// How fast it grows.
    pub(super) fn deaths(&self) -> String {
        self.advice.rate.as_ref().map_or("unknown".into(), Rate::number)
    }

    /// What a VACUUM would remove, for the table of all tables.
    pub(super) fn gain(&self) -> String {
        match &self.gain {
            None => "unknown".into(),
            Some(gain) if gain.is_exact => size(gain.bytes),
            Some(gain) => format!("about {}", size(gain.bytes)),
        }
    }

    /// What it would give back to the file system.
    pub(super) fn given_back(&self) -> String {
        match &self.gain {
            Some(gain) if gain.blocks > 0 => size(gain.bytes_of_blocks),
            Some(_) => "0".into(),
            None => "unknown".into(),
        }
    }

    pub(super) fn verdict(&self) -> &'static str {
        match self.advice.verdict {
            Verdict::Unknown => "figures missing",
            Verdict::HeldBack => "held back",
            Verdict::Disabled => "autovacuum off",
            Verdict::Small => "small",
            Verdict::Statistics => "statistics wrong",
            Verdict::Due => "due",
            Verdict::Behind => "behind",
            Verdict::NoChange => "no change",
            Verdict::Change => "change",
        }
    }

    /// The gain in sentences.
    pub(super) fn gain_words(&self) -> Vec<String> {
        let Some(gain) = &self.gain else { return vec!["What VACUUM would gain is not known.".into()] };
        let dead = self.figures.dead_tuples.unwrap_or(0);
        let of = format!("of {} dead tuples", grouped(dead));
        let mut words = vec![match gain.tuples {
            0 if dead == 0 => "There are no dead tuples to remove.".to_owned(),
            0 => format!("VACUUM now would remove none {of}."),
            tuples => format!(
                "VACUUM now would remove {} {of}, {}{} bytes, whose room is used again{}.",
                grouped(tuples),
                if gain.is_exact { "" } else { "about " },
                grouped(gain.bytes),
                if gain.blocks > 0 { " unless it is on blocks that go back" } else { "" },
            ),
        }];
        words.extend(gain.words.iter().cloned());
        let held = held(&self.figures);
        if held > 0 {
            let by = self.figures.held_back_by.as_deref().unwrap_or("what is not known");
            words.push(format!("{} dead tuples may not be removed: {by} holds them back.", grouped(held)));
        }
        words
    }

    /// Figures in lines: what, and the number.
    pub(super) fn lines(&self) -> Vec<(&'static str, String)> {
        let Figures { blocks, known_blocks, reltuples, .. } = self.figures;
        let optional = |number: Option<u64>| number.map_or("unknown".to_owned(), grouped);
        let ago = |seconds: Option<f64>| {
            seconds.map_or("never, or not known".to_owned(), |seconds| format!("{} ago", hours(seconds / 3_600.0)))
        };
        let mut lines = vec![
            ("size", format!("{} ({} blocks, {} known)", self.size(), grouped(blocks), grouped(known_blocks))),
            ("live and dead tuples", format!("{} and {}", optional(self.figures.live_tuples), self.dead_tuples())),
            ("bytes of the dead tuples", optional(self.figures.dead_bytes)),
            ("removable now", optional(self.figures.removable_tuples)),
            ("free bytes", optional(self.figures.free_bytes)),
            (
                "deaths in an hour",
                match &self.advice.rate {
                    Some(rate) => format!("{}: {}", rate.number(), rate.words),
                    None => "unknown".to_owned(),
                },
            ),
            ("last vacuum that garbagemap saw", ago(self.figures.seconds_since_vacuum)),
            ("last autovacuum", ago(self.figures.seconds_since_autovacuum)),
            (
                "reltuples and n_dead_tup",
                format!(
                    "{} and {}",
                    if reltuples < 0.0 { "-1 (not counted yet)".to_owned() } else { whole(reltuples) },
                    optional(self.figures.counted_dead)
                ),
            ),
            ("autovacuum begins above", format!("{} dead tuples", self.advice.begins_at_words)),
        ];
        if !self.figures.effective_options().is_empty() {
            lines.push(("storage parameters", self.figures.effective_options().join(", ")));
        }
        if let (Some(milliseconds), Some(runs @ 1..)) = (self.figures.autovacuum_milliseconds, self.figures.autovacuums)
        {
            lines.push(("autovacuums", format!("{runs}, {:.1} s together", milliseconds / 1000.0)));
        }
        if let Some(lsn) = &self.figures.lsn {
            lines.push(("LSN of the numbers", lsn.clone()));
        }
        if !self.figures.exact {
            lines.push((
                "not exact",
                self.figures.inexact.clone().unwrap_or_else(|| "not all blocks are known yet".into()),
            ));
        }
        lines
    }
}

/// The queries for one table.
fn checks(figures: &Figures, tail: Option<&Tail>, schema: &str) -> Vec<Check> {
    let table = figures.literal();
    let mut checks = vec![
        Check {
            what: "garbagemap's numbers",
            sql: format!("SELECT * FROM {schema}.garbagemap WHERE relid = {table}::regclass;"),
        },
        Check {
            what: "the same by reading the table (extension pgstattuple)",
            sql: format!(
                "SELECT tuple_count, dead_tuple_count, dead_tuple_len, free_space FROM pgstattuple({table}::regclass);"
            ),
        },
        Check {
            what: "what autovacuum goes by",
            sql: format!(
                "SELECT c.reltuples, c.reloptions, s.n_dead_tup, s.n_tup_upd + s.n_tup_del AS updated_and_deleted, \
                 s.last_autovacuum, s.autovacuum_count FROM pg_class c LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid \
                 WHERE c.oid = {table}::regclass;"
            ),
        },
    ];
    if let Some(tail) = tail {
        checks.push(Check {
            what: "blocks at the end without live tuples",
            sql: format!(
                "SET garbagemap.summary_size = {n}; SELECT sum(n_blocks) - {n} * (coalesce(max(rangeno) FILTER (WHERE \
                 known_blocks < n_blocks OR n_tuples > n_dead_tuples), -1) + 1) FROM {schema}.garbage_summary({table}::regclass);",
                n = tail.blocks_per_range
            ),
        });
    }
    checks
}
