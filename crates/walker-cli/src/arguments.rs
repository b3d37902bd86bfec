//! The command line. Each option is described here and nowhere else: help comes from these comments.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgAction, ArgGroup, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use pgwal::{Fork, Lsn, RelFileLocator, Timestamp};

use crate::custom_rmgr::CustomRmgrChoice;
use crate::heatmap::HeatmapFormat;
use crate::preflight::Provides;
use crate::report::ReportFormat;
use crate::selection::RmgrChoice;
use crate::serve::Kept;
use crate::time;
use crate::top::Column;

/// Walks over PostgreSQL's write-ahead log (WAL), and shows where the dead tuples of tables are
#[derive(Debug, Parser)]
#[command(name = "walker", version, propagate_version = true, args_override_self = true, max_term_width = 80)]
// -h is the host, as with PostgreSQL's own programs, where there is one to connect to.
#[command(disable_help_flag = true)]
#[command(after_help = "\
Examples:
  walker top --dbname shop
  walker heatmap --dbname shop --table orders
  walker stats --pgdata /var/lib/postgresql/15/main
  walker help dump

The exit status is 0 if all was done, and 1 if not or if the command line is
wrong, as that of pg_waldump; `walker preflight` has more.")]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    help: HelpArguments,
}

/// What the command can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Dump(DumpArguments),
    Stats(StatsArguments),
    Garbage(GarbageArguments),
    Heatmap(HeatmapArguments),
    Report(ReportArguments),
    Preflight(PreflightArguments),
    Top(TopArguments),
    Serve(ServeArguments),
    Completion(CompletionArguments),
    #[command(hide = true)]
    ManualPages(ManualPagesArguments),
}

/// Show the records of the log, one on each line, as pg_waldump does
///
/// A command line of pg_waldump works unchanged behind `walker dump`. In addition, options that choose records may be
/// repeated, the start need not be named, and there are --since, --until, --pgdata and --format.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  walker dump 000000010000000000000003
  walker dump --pgdata /var/lib/postgresql/15/main --limit 10
  walker dump --path archive --start 0/1500000 --end 0/2000000 --rmgr Heap --rmgr Heap2
  walker dump --path archive --relation 1663/5/16384 --block 0 --bkp-details
  walker dump --path archive --xid 4711 --format json
  walker dump --since '2026-01-02 03:00' --until '2026-01-02 03:05' --stats
  walker dump --path archive --relation 1663/5/16384 --save-fullpage pages --quiet
  walker dump --pgdata /var/lib/postgresql/15/main --follow
  walker dump --rmgr list
  walker dump --path archive --custom-rmgr 128=test_custom_rmgrs

The exit status is 0 if all was shown, and 1 if not or if the command line is
wrong.")]
pub(crate) struct DumpArguments {
    #[command(flatten)]
    pub(crate) wal: WalArguments,
    #[command(flatten)]
    pub(crate) damage: DamageArguments,
    #[command(flatten)]
    pub(crate) filter: FilterArguments,
    /// Show the block references in detail, each on a line of its own
    #[arg(short, long)]
    pub(crate) bkp_details: bool,
    /// Show nothing but errors: whether the log can be read
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Show statistics instead of records, by resource manager or by kind of record
    #[arg(short = 'z', long, value_name = "rmgr|record", value_enum, hide_possible_values = true)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "rmgr", conflicts_with = "bkp_details")]
    pub(crate) stats: Option<StatsKind>,
    /// Save the full-page images to files in this directory, which must be empty or is made: each is the page as redo
    /// would restore it, named TIMELINE-LSN.TABLESPACE.DATABASE.FILENODE.BLOCK_FORK
    #[arg(long, value_name = "DIR")]
    pub(crate) save_fullpage: Option<PathBuf>,
    /// How to write the records: JSON is one object on each line
    #[arg(long, value_name = "text|json|csv", value_enum, default_value_t, hide_possible_values = true)]
    #[arg(conflicts_with = "bkp_details")]
    pub(crate) format: RecordFormat,
    #[command(flatten)]
    help: HelpArguments,
}

/// Count the records of the log and their bytes, as pg_waldump --stats does, or by what they change
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  walker stats --pgdata /var/lib/postgresql/15/main
  walker stats --path archive --start 0/1500000 --per-record --format json
  walker stats --path archive --by relation --top 20
  walker stats --by block-range --blocks-per-range 1024 -R 1663/5/16384
  walker stats --path archive --by transaction --top 10 --since '2026-01-02 03:00'

By relation, fork or block range:
  A record counts once in the row of each relation (fork, range) of which it
  changes blocks, so that N may add up to more than the number of records. Bytes
  add up exactly: an image, and what a record holds for one block, belong to
  that block; everything else in the record to its first block. Records that
  change no blocks are the row \"-\". There is one row in memory for each that is
  shown or added up in \"others\".

By transaction:
  A record belongs to the transaction that wrote it, a COMMIT PREPARED or
  ROLLBACK PREPARED to the prepared one. Subtransactions are added to their
  transaction where the log tells it: with its commit or abort, by an ASSIGNMENT
  record, or with wal_level = logical. A subtransaction that was rolled back
  alone and of which nothing tells this has a row of its own. The outcome is
  known if the record of the end is among those that are counted. Records
  outside of transactions are the row \"-\". With --top, only those rows and the
  running transactions are kept in memory.

The exit status is 0 if all was counted, and 1 if not or if the command line is
wrong.")]
pub(crate) struct StatsArguments {
    #[command(flatten)]
    pub(crate) wal: WalArguments,
    #[command(flatten)]
    pub(crate) damage: DamageArguments,
    #[command(flatten)]
    pub(crate) filter: FilterArguments,
    /// What to count by
    #[arg(long, value_name = "rmgr|record|relation|fork|block-range|transaction")]
    #[arg(value_enum, default_value_t, hide_possible_values = true)]
    pub(crate) by: StatsBy,
    /// Count by kind of record: the same as --by record
    #[arg(long, conflicts_with = "by")]
    pub(crate) per_record: bool,
    /// Show only the N rows with the most bytes, and the sum of the others
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) top: Option<u32>,
    /// Blocks in each range of --by block-range [default: 128, which is 1 MB]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=0x7FFF_FFFF))]
    pub(crate) blocks_per_range: Option<u32>,
    /// How to write the numbers
    #[arg(long, value_name = "text|json|csv", value_enum, default_value_t, hide_possible_values = true)]
    pub(crate) format: RecordFormat,
    #[command(flatten)]
    help: HelpArguments,
}

/// Count the dead tuples of each table by reading nothing but the log
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  walker garbage --pgdata /var/lib/postgresql/15/main
  walker garbage --path archive --start 0/1500000 --format json

What a table held before the first record that is read is known only as far as
the log touched its blocks since.

The exit status is 0 if all was counted, and 1 if not or if the command line is
wrong.")]
pub(crate) struct GarbageArguments {
    #[command(flatten)]
    pub(crate) wal: WalArguments,
    /// How to write the numbers
    #[arg(long, value_name = "text|json", value_enum, default_value_t, hide_possible_values = true)]
    pub(crate) format: Format,
    #[command(flatten)]
    help: HelpArguments,
}

/// Draw where the dead tuples of a table, or of all tables, are, as the garbagemap extension of a running server knows
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true))]
#[command(after_help = "\
Examples:
  walker heatmap --dbname shop --table orders
  walker heatmap -h db.example.com -U me -d shop -t orders -o orders.png
  walker heatmap --dbname shop --table orders --output orders.html
  walker heatmap --dbname shop --table orders --format csv --blocks-per-range 1
  walker heatmap --dbname shop --all --limit 100 --output shop.html
  walker heatmap --dbname 'service=shop' --table orders --blocks-per-range 64
  walker heatmap -d 'postgresql://db.example.com/shop?sslmode=verify-full' -t t

csv and json have a row for each block range, with its first and last block.
On the picture of all tables each square is the same number of blocks; those
with most garbage come first.

Environment variables, the password file, the service file and TLS (sslmode and
the keywords beside it) are used as by psql.

The exit status is 0 if it was drawn, and 1 if not or if the command line is
wrong.")]
pub(crate) struct HeatmapArguments {
    /// The table, with its schema unless that is in search_path
    #[arg(short, long, value_name = "NAME", group = "which")]
    pub(crate) table: Option<String>,
    /// All tables of the database on one picture, with TOAST tables and catalogs
    #[arg(short, long, group = "which")]
    pub(crate) all: bool,
    /// With --all, the first so many tables by dead bytes [default: 40 on pictures, in csv and json all]
    #[arg(long, value_name = "N", conflicts_with = "table", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: Option<u32>,
    /// How many blocks each cell of the picture stands for [default: so many that there are at most 1,000 cells, or on the
    /// picture of all tables about 2,000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=0x7FFF_FFFF))]
    pub(crate) blocks_per_range: Option<u32>,
    /// Write to this file, in the format of its ending, instead of to standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// As text, png, svg, html (one file that asks for nothing), csv or json [default: by the ending of --output, or text]
    #[arg(long, value_name = "FORMAT", value_enum, hide_possible_values = true)]
    pub(crate) format: Option<HeatmapFormat>,
    #[command(flatten)]
    pub(crate) terminal: TerminalArguments,
    #[command(flatten)]
    pub(crate) connection: ConnectionArguments,
}

/// Write a page on the garbage of a database: the worst tables, what VACUUM would gain, what blocks it, and settings
///
/// Each figure comes with the query that gives it. A change of autovacuum's settings is proposed only where figures say that
/// it would help, with the rule and the arithmetic.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  walker report --dbname shop
  walker report --dbname shop --output shop.html
  walker report -h db.example.com -U report -d shop --format json
  walker report --dbname shop --share 5 --limit 50

Autovacuum shall begin before dead tuples are --share per cent of the live
ones, or 1 GiB, but not more often than every 10 minutes, nor for more than a
tenth of the time. Tables below 1,000 blocks are left alone. docs/report.md
explains the rules. Nothing is changed in the database.

The extension garbagemap must be in the database. Members of pg_monitor and
pg_stat_scan_tables see all of it. Environment variables, the password file,
the service file and TLS are used as by psql.

The exit status is 0 if the report was written, whatever it says, and 1 if not.")]
pub(crate) struct ReportArguments {
    /// Write to this file, in the format of its ending (.html, .json, .txt), instead of to standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// How to write it [default: by the ending of --output, or text]
    #[arg(long, value_name = "html|text|json", value_enum, hide_possible_values = true)]
    pub(crate) format: Option<ReportFormat>,
    /// The first so many tables by dead bytes
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) limit: u32,
    /// Autovacuum shall begin before dead tuples are so many per cent of a table's live ones
    #[arg(long, value_name = "PERCENT", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) share: u32,
    #[command(flatten)]
    pub(crate) connection: ConnectionArguments,
}

/// Tell whether recovery will find the custom resource managers that the log needs
///
/// A server that replays a record of a resource manager which no library of shared_preload_libraries has registered stops
/// with "resource manager with ID 128 not registered", at each start. Ids that extensions have reserved are known here;
/// 128 is nobody's, and --provides tells what is not known.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).multiple(true))]
#[command(after_help = "\
Examples:
  walker preflight --pgdata /var/lib/postgresql/15/main
  walker preflight archive --pgdata restored
  walker preflight archive --pgdata restored --provides 128=my_extension
  walker preflight archive --shared-preload-libraries 'auto_explain, pg_tde'

With --pgdata, what is looked at begins where recovery will, as backup_label or
else global/pg_control says, and follows the timeline that recovery will follow.
The setting is read from postgresql.conf, what that includes, and
postgresql.auto.conf, or from the command line of the last start
(postmaster.opts) if it was given there; another command line may override it.

The exit status is 0 if no custom resource manager is needed or all are
registered by libraries that are loaded; 1 if one is missing, something could
not be read or the command line is wrong; and 2 if it cannot be told.")]
pub(crate) struct PreflightArguments {
    /// Directory with the log's segments, such as an archive, or with a pg_wal that holds them; without --pgdata it may be one
    /// segment. With --pgdata, the log in its pg_wal is looked at too
    #[arg(value_name = "PATH", group = "what")]
    pub(crate) path: Option<PathBuf>,
    /// Data directory of the server that is to recover; it may be a restored base backup
    #[arg(short = 'D', long, value_name = "DIR", group = "what")]
    pub(crate) pgdata: Option<PathBuf>,
    /// Configuration file [default: that of the last start, or postgresql.conf in the data directory]
    #[arg(long, value_name = "FILE", requires = "pgdata")]
    pub(crate) config_file: Option<PathBuf>,
    /// What shared_preload_libraries will be, instead of what is found
    #[arg(long, value_name = "LIST")]
    pub(crate) shared_preload_libraries: Option<String>,
    /// This library registers the resource manager with this ID; may be repeated
    #[arg(long, value_name = "ID=LIBRARY")]
    pub(crate) provides: Vec<Provides>,
    /// Begin with the first record at or behind this WAL location [default: where recovery begins, or the oldest segment]
    #[arg(short, long, value_name = "LSN")]
    pub(crate) start: Option<Lsn>,
    /// Stop at this WAL location; it is an error if the log ends before [default: where the log ends]
    #[arg(short, long, value_name = "LSN")]
    pub(crate) end: Option<Lsn>,
    /// Read the log that leads to this timeline [default: as recovery_target_timeline says if recovery.signal or
    /// standby.signal is there, or else the data directory's; without that the highest that has a segment]
    #[arg(short, long, value_name = "TIMELINE", value_parser = timeline)]
    pub(crate) timeline: Option<u32>,
    /// Read in so many threads
    #[arg(short, long, value_name = "N", default_value_t = 1, hide_default_value = true)]
    #[arg(value_parser = clap::value_parser!(u8).range(1..))]
    pub(crate) jobs: u8,
    /// How to write the answer
    #[arg(long, value_name = "text|json", value_enum, default_value_t, hide_possible_values = true)]
    pub(crate) format: Format,
    #[command(flatten)]
    help: HelpArguments,
}

/// Print what makes a shell complete the command's words
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  source <(walker completion bash)
  walker completion zsh > ~/.zfunc/_walker
  walker completion fish > ~/.config/fish/completions/walker.fish

Debian's package brings these files.

The exit status is 0, and 1 if the command line is wrong.")]
pub(crate) struct CompletionArguments {
    /// For which shell
    #[arg(value_name = "bash|zsh|fish|elvish|powershell", value_enum, hide_possible_values = true)]
    pub(crate) shell: Shell,
    #[command(flatten)]
    help: HelpArguments,
}

/// Write manual pages, of the command and of each subcommand
///
/// Made for packages. The date in them is that of SOURCE_DATE_EPOCH, if that is set.
#[derive(Debug, Args)]
pub(crate) struct ManualPagesArguments {
    /// The directory to write them to
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    #[command(flatten)]
    help: HelpArguments,
}

/// Help, for commands that do not connect.
#[derive(Debug, Args)]
pub(crate) struct HelpArguments {
    /// Print help
    #[arg(short = '?', visible_short_alias = 'h', long, action = ArgAction::Help)]
    help: Option<bool>,
}

/// Which part of which log.
#[derive(Debug, Default, Clone, Args)]
pub(crate) struct WalArguments {
    /// First segment, with or without its directory: it sets the timeline, and where to start unless --start does
    #[arg(value_name = "STARTSEG")]
    pub(crate) start_segment: Option<PathBuf>,
    /// Last segment [default: STARTSEG, if that is given]
    #[arg(value_name = "ENDSEG")]
    pub(crate) end_segment: Option<PathBuf>,
    /// Directory with the log's segments, or with a pg_wal that holds them
    /// [default: current directory, ./pg_wal, $PGDATA/pg_wal]
    #[arg(short, long, value_name = "DIR", conflicts_with = "pgdata")]
    pub(crate) path: Option<PathBuf>,
    /// Data directory whose pg_wal is to be read
    #[arg(short = 'D', long, value_name = "DIR")]
    pub(crate) pgdata: Option<PathBuf>,
    /// Begin with the first record at or behind this WAL location [default: the oldest segment]
    #[arg(short, long, value_name = "LSN")]
    pub(crate) start: Option<Lsn>,
    /// Stop at this WAL location; it is an error if the log ends before [default: where the log ends]
    #[arg(short, long, value_name = "LSN")]
    pub(crate) end: Option<Lsn>,
    /// Read the log that leads to this timeline; where its history file is missing, this timeline only
    /// [default: the highest timeline that has a segment]
    #[arg(short, long, value_name = "TIMELINE", value_parser = timeline)]
    pub(crate) timeline: Option<u32>,
}

/// What to do where the log is damaged.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct DamageArguments {
    /// Go on behind what is damaged or missing; a warning tells each part that was lost, and the exit code is 1
    #[arg(long)]
    pub(crate) skip_damage: bool,
    /// Believe records without verifying their checksums
    #[arg(long)]
    pub(crate) no_verify_checksums: bool,
}

/// Which records, and until when.
#[derive(Debug, Default, Args)]
pub(crate) struct FilterArguments {
    /// At the end of the log wait for more, looking once a second, until interrupted
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Read in so many threads, where the order of records allows
    #[arg(short, long, value_name = "N", default_value_t = 1, hide_default_value = true)]
    #[arg(value_parser = clap::value_parser!(u8).range(1..))]
    pub(crate) jobs: u8,
    /// Only records that change blocks of this relation: tablespace/database/filenode; may be repeated
    #[arg(short = 'R', long = "relation", value_name = "T/D/R")]
    pub(crate) relations: Vec<RelFileLocator>,
    /// Only records that change this block of a --relation; may be repeated
    #[arg(short = 'B', long = "block", value_name = "N", requires = "relations")]
    #[arg(value_parser = clap::value_parser!(u32).range(..=0xFFFF_FFFE))]
    pub(crate) blocks: Vec<u32>,
    /// Only records that change blocks of this fork; may be repeated
    #[arg(short = 'F', long = "fork", value_name = "main|fsm|vm|init")]
    pub(crate) forks: Vec<Fork>,
    /// Only records with a full-page image
    #[arg(short = 'w', long)]
    pub(crate) fullpage: bool,
    /// Stop after so many records; zero or less is no limit
    #[arg(short = 'n', long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) limit: Option<i64>,
    /// Only records of this resource manager; may be repeated; `list` shows the names
    #[arg(short = 'r', long = "rmgr", value_name = "RMGR")]
    pub(crate) rmgrs: Vec<RmgrChoice>,
    /// Describe the records of custom resource manager ID (128 to 255) as those of the extension NAME: hyperloglog,
    /// test_custom_rmgrs; may be repeated. Needed only if NAME has another ID than its own, or the experimental 128
    #[arg(long = "custom-rmgr", value_name = "ID=NAME")]
    pub(crate) custom_rmgrs: Vec<CustomRmgrChoice>,
    /// Only records of this transaction; may be repeated
    #[arg(short, long = "xid", value_name = "XID")]
    pub(crate) xids: Vec<u32>,
    /// Begin with the first record that ends a transaction (COMMIT, ABORT, also of a prepared one) at or after this
    /// time; in the local time zone unless TIME ends with one: 2026-01-02 03:04:05.678+00
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub(crate) since: Option<Timestamp>,
    /// Stop before the first record that ends a transaction after this time, where recovery_target_time stops
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub(crate) until: Option<Timestamp>,
}

/// Watch the worker, the WAL and the tables' garbage on a screen that is renewed, as top does
///
/// Plugins with their lag, WAL per second by resource manager, tables by dead bytes with their growth, who holds back the removal
/// of dead tuples, and the heat map of the chosen table. Where standard output is no terminal it is printed once.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  walker top --dbname shop
  walker top -h db.example.com -U report -d shop --interval 10
  walker top --dbname shop --once --sort growth --limit 5
  walker top --dbname 'service=shop' --format json

The extensions walker and garbagemap must be in the database; what is missing is
said. Members of pg_monitor see all of it, others their own tables. Environment
variables, the password file, the service file and TLS are used as by psql. The
key h tells what keys do.

The exit status is 0 at the end, and 1 if the server cannot be asked or the
command line is wrong.")]
pub(crate) struct TopArguments {
    /// Print it once, with rates over a second, and end
    #[arg(long)]
    pub(crate) once: bool,
    /// Seconds between two looks at the server
    #[arg(short, long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) interval: u32,
    /// Sort the tables by this
    #[arg(long, value_enum, value_name = "COLUMN", default_value_t = Column::DeadBytes, hide_possible_values = true,
        long_help = "Sort the tables by name, size, dead-bytes, dead-ratio, dead-tuples, removable, deaths, growth or vacuum")]
    pub(crate) sort: Column,
    /// Sort them the other way round
    #[arg(long)]
    pub(crate) reverse: bool,
    /// Print at most so many tables
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) limit: usize,
    /// How to print it; json is printed once, with all tables
    #[arg(long, value_name = "text|json", value_enum, default_value_t, hide_possible_values = true)]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) terminal: TerminalArguments,
    #[command(flatten)]
    pub(crate) connection: ConnectionArguments,
}

/// Show worker, WAL and garbage on a web page, as top does, with heat maps down to single blocks
///
/// The page is read-only, comes from the command itself and asks nobody else. Beside it are an API (/api/v1/schema.json) and
/// metrics for Prometheus (/metrics). All viewers are served from one look at the database in each interval.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  walker serve --dbname shop
  walker serve -h db.example.com -U report -d shop --listen 127.0.0.1:9000
  walker serve --dbname shop --interval 5 --history 1d
  walker serve --dbname shop --listen 0.0.0.0:8432 --token-file ~/.walker-token

The first line of the output is the page's address. From another machine, reach
a page on loopback by ssh -L 8432:localhost:8432, or listen elsewhere: that
takes a token, which browsers ask for and programs send as
\"Authorization: Bearer TOKEN\". It travels unencrypted unless a proxy adds TLS.

Environment variables, the password file, the service file and TLS to the
database are used as by psql. Members of pg_monitor and pg_stat_scan_tables see
all of it, others their own tables.

The exit status is 0 at the end, which is a signal, and 1 if the page cannot be
served, the database cannot be asked at first or the command line is wrong.")]
pub(crate) struct ServeArguments {
    /// Address and port to listen on; port 0 takes a free one
    #[arg(short, long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8432")]
    pub(crate) listen: SocketAddr,
    /// Let in only who knows the secret in this file, of 16 characters at least; else that in WALKER_SERVE_TOKEN
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// A name by which the page is called besides its address and localhost; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) allow_host: Vec<String>,
    /// Seconds between two looks at the database
    #[arg(short, long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub(crate) interval: u32,
    /// How far back the charts go; beyond 3,600 points in coarser steps
    #[arg(long, value_name = "TIME", default_value = "2h")]
    pub(crate) history: Kept,
    /// Tables that the metrics name, those with the most dead bytes
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = table_count)]
    pub(crate) tables: usize,
    #[command(flatten)]
    pub(crate) connection: ConnectionArguments,
}

/// What is drawn in a terminal.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct TerminalArguments {
    /// Columns of what is drawn as text [default: the terminal's width, or 80]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(20..))]
    pub(crate) width: Option<u16>,
    /// Whether to use colours: auto means if standard output is a terminal and NO_COLOR is not set
    #[arg(long, alias = "color", value_name = "auto|always|never")]
    #[arg(value_enum, default_value_t, hide_possible_values = true)]
    pub(crate) colour: ColourChoice,
}

/// How to reach the server.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectionArguments {
    /// Database name, connection string or URI
    #[arg(short, long, value_name = "DBNAME")]
    pub(crate) dbname: Option<String>,
    /// Server host or directory of its socket
    #[arg(short = 'h', long, value_name = "HOST")]
    pub(crate) host: Option<String>,
    /// Server port
    #[arg(short, long, value_name = "PORT")]
    pub(crate) port: Option<String>,
    /// User name
    #[arg(short = 'U', long, value_name = "USER")]
    pub(crate) username: Option<String>,
    // Here once for all commands that connect, since -h is the host in them as in psql: they have to disable clap's own.
    /// Print help
    #[arg(short = '?', long, action = ArgAction::Help, help_heading = None::<&str>)]
    pub(crate) help: Option<bool>,
}

/// How records are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum RecordFormat {
    /// The lines of pg_waldump
    #[default]
    Text,
    /// One JSON object on each line
    Json,
    /// CSV with a heading
    Csv,
}

/// What `--stats` counts by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatsKind {
    /// By resource manager
    Rmgr,
    /// By kind of record
    Record,
}

/// What `walker stats` counts by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatsBy {
    /// Resource manager, as pg_waldump --stats
    #[default]
    Rmgr,
    /// Kind of record, as pg_waldump --stats=record
    Record,
    /// Relation
    Relation,
    /// Fork of each relation
    Fork,
    /// Range of blocks of each fork
    BlockRange,
    /// Transaction
    Transaction,
}

/// How numbers are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table to read
    #[default]
    Text,
    /// JSON for programs
    Json,
}

/// Whether colours are used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColourChoice {
    /// If the output is a terminal that wants them
    #[default]
    Auto,
    /// In any case
    Always,
    /// Not at all
    Never,
}

/// A number of tables that Prometheus can keep series of.
fn table_count(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| *count <= 1_000).ok_or_else(|| "must be in range 0..1000".to_owned())
}

/// A timeline, decimal or, with `0x`, hexadecimal.
fn timeline(text: &str) -> Result<u32, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.ok().filter(|timeline| *timeline > 0).ok_or_else(|| format!("must be in range 1..{}", u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    fn parse(line: &str) -> Result<Command, clap::Error> {
        Arguments::try_parse_from(line.split(' ')).map(|arguments| arguments.command)
    }

    #[test]
    fn short_options_mean_what_they_mean_in_pg_waldump_and_psql() {
        let Ok(Command::Dump(dump)) = parse("walker dump -p wal -s 0/10 -e 0/20 -n 3 -r Heap -r XLOG -x 7 -t 2 -b")
        else {
            panic!("dump does not parse")
        };
        assert_eq!((dump.wal.start, dump.wal.end), (Some(Lsn::new(16)), Some(Lsn::new(32))));
        assert_eq!((dump.filter.limit, dump.filter.rmgrs.len(), dump.filter.xids), (Some(3), 2, vec![7]));
        assert!(dump.bkp_details && dump.wal.timeline == Some(2));
        let Ok(Command::Dump(dump)) = parse("walker dump -z -f -q -w -F vm -t 0x1A wal/000000010000000000000001 end")
        else {
            panic!("dump does not parse")
        };
        assert_eq!((dump.stats, dump.filter.follow, dump.wal.timeline), (Some(StatsKind::Rmgr), true, Some(26)));
        assert_eq!(dump.wal.end_segment, Some("end".into()));
        assert!(dump.quiet && dump.filter.fullpage && dump.filter.forks == [Fork::VISIBILITY_MAP]);
        let Ok(Command::Dump(dump)) = parse("walker dump --stats=record --limit -1 -R 1/2/3 -R 1/2/4 -B 1 -B 2") else {
            panic!("dump does not parse")
        };
        assert_eq!((dump.stats, dump.filter.limit), (Some(StatsKind::Record), Some(-1)));
        assert_eq!((dump.filter.relations.len(), dump.filter.blocks), (2, vec![1, 2]));
        let Ok(Command::Dump(dump)) = parse("walker dump -n 1 -n 2 -b -b -x 1 -x 2") else {
            panic!("dump does not parse")
        };
        assert_eq!((dump.filter.limit, dump.filter.xids), (Some(2), vec![1, 2]));
        let Ok(Command::Heatmap(heatmap)) = parse("walker heatmap -h host -p 1 -U me -d db --table t") else {
            panic!("heatmap does not parse")
        };
        assert_eq!(heatmap.connection.host.as_deref(), Some("host"));
    }

    #[test]
    fn mistakes_are_refused() {
        for line in [
            "walker",
            "walker dump --start 7",
            "walker dump a b c",
            "walker dump --block 1",
            "walker dump --stats=fork",
            "walker dump --since yesterday",
            "walker dump --timeline 0",
            "walker stats --by rmgr --per-record",
            "walker stats --top 0",
            "walker dump --path a --pgdata b",
            "walker dump --rmgr none",
            "walker dump --custom-rmgr 128",
            "walker stats --format xml",
            "walker garbage --skip-damage",
            "walker heatmap --dbname x",
            "walker heatmap --table t --format gif",
            "walker heatmap --table t --all",
            "walker heatmap --table t --limit 3",
            "walker heatmap --all --limit 0",
            "walker heatmap --table t --blocks-per-range 0",
            "walker report --share 0",
            "walker report --format csv",
            "walker preflight",
            "walker preflight wal --config-file x",
            "walker preflight wal --provides 127=x",
            "walker serve --listen 8432",
            "walker serve --listen localhost:8432",
            "walker serve --history 5s",
            "walker serve --interval 0",
            "walker serve --tables 1001",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
