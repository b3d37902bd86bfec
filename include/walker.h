/*
 * walker.h: what a plugin of WALker includes.
 *
 * A plugin is a shared library with a function
 *
 *     void _PG_walker_plugin_init(WALkerCallbacks *cb);
 *
 * which sets the callbacks it wants; all are optional. The background worker loads it by its name in walker.plugins
 * and tells it every WAL record, in order, whether its transaction commits or not.
 *
 * The first six members are those of the original WALker: its plugins work as they are, compiled again or not. All
 * others come behind, and are zero before the function is called. struct_size tells how large the worker's struct
 * is: a plugin that also runs with an older WALker must not touch members beyond it.
 *
 * While a callback runs, CurrentMemoryContext is a context that is reset after it; what must stay goes into
 * TopMemoryContext, which is current in the function above and in startup_cb. A callback may ereport(ERROR): the worker and
 * the other plugins go on. If it is the function above, startup_cb, gap_cb or one that takes a record, the plugin is tried
 * again after walker.retry_interval, each time after a longer pause; after walker.max_failures in a row it is switched off.
 * It is asked anew by resume_cb: without one it is told the record again at which it failed. startup_cb is called again
 * only if it failed. What an ERROR in another callback means is said there. FATAL, or to exit, ends the worker, which is
 * started again and takes that for a failure of the plugin.
 *
 * The process is told to end by SIGTERM, which works in a callback that waits by PostgreSQL's means or calls
 * CHECK_FOR_INTERRUPTS(). At its end it waits for flush_cb and shutdown_cb, until it is told once more.
 *
 * A crash of the process (SIGSEGV, abort) restarts the whole server, as that of any background worker does: what is not
 * certain never to do that belongs on a standby of its own, whose worker tells the same records.
 */
#ifndef WALKER_H
#define WALKER_H

#include "access/xlog.h"
#include "access/xlogreader.h"
#include "access/xlogrecord.h"
#include "access/xlog_internal.h"
#include "access/xlogutils.h"
#include "access/transam.h"
#include "access/heapam_xlog.h"
#include "lib/stringinfo.h"

struct WALkerCallbacks;

typedef void (*WALkerPluginInit) (struct WALkerCallbacks *cb);

/* Called before the first record; again if it failed, and when the plugin was taken out of walker.plugins and put back. */
typedef void (*WALkerCallbackStartup_cb) (void);

/* A record, decoded: XLogRecGetRmid(record), XLogRecGetData(record) and so on. */
typedef void (*WALkerCallbackRecord_cb) (XLogReaderState *record);
typedef WALkerCallbackRecord_cb WALkerCallbackHeap_cb;
typedef WALkerCallbackRecord_cb WALkerCallbackHeap2_cb;
typedef WALkerCallbackRecord_cb WALkerCallbackXlog_cb;
typedef WALkerCallbackRecord_cb WALkerCallbackXact_cb;
typedef WALkerCallbackRecord_cb WALkerCallbackSmgr_cb;

/* A position that says of which log it is. */
typedef struct WALkerPosition
{
	uint64		system_identifier;
	XLogRecPtr	lsn;
	TimeLineID	timeline;
} WALkerPosition;

/* Where a plugin wants its records from. */
typedef enum WALkerResume
{
	/* From now on, as without the callback: it keeps nothing. After a failure: from the record at which it failed. */
	WALKER_RESUME_NOW = 0,
	/*
	 * From where the last checkpoint began: from there on each page that is changed comes as a whole. After a failure gap_cb
	 * is called before.
	 */
	WALKER_RESUME_CHECKPOINT = 1,
	/* From *position on, the one for which flush_cb returned last. */
	WALKER_RESUME_AT = 2
} WALkerResume;

/*
 * Called after startup_cb, and when the plugin is tried again after a failure. If this server's log does not hold the
 * position, or with an ERROR, the plugin is told so by gap_cb, and begins with the last checkpoint.
 */
typedef WALkerResume (*WALkerCallbackResume_cb) (WALkerPosition *position);

/* What comes next does not follow on what the plugin was told or had kept. */
typedef void (*WALkerCallbackGap_cb) (XLogRecPtr next);

/*
 * Now and then, when there is no record to be told: a little of what is not urgent, for some milliseconds. Returns whether
 * there is more of it. After an ERROR it is not called for walker.retry_interval, each time for longer.
 */
typedef bool (*WALkerCallbackWork_cb) (void);

/*
 * After each checkpoint record and before the end: keep now what must outlive a restart. WAL before the position is not held
 * back for the plugin any more. After an ERROR it is called again at the next checkpoint; what was kept before must still be
 * there.
 */
typedef void (*WALkerCallbackFlush_cb) (const WALkerPosition *position);

/* Called last, unless the plugin failed: at the end, and when it is taken out of walker.plugins. */
typedef void (*WALkerCallbackShutdown_cb) (void);

/*
 * Answers a question that a backend asked through walker_ask. position is the end of the last record that the plugin
 * was told. An ERROR goes to whoever asked.
 */
typedef void (*WALkerCallbackAnswer_cb) (const char *question, Size length, XLogRecPtr position, StringInfo answer);

typedef struct WALkerCallbacks
{
	WALkerCallbackStartup_cb startup_cb;
	WALkerCallbackHeap_cb heap_cb;
	WALkerCallbackHeap2_cb heap2_cb;
	WALkerCallbackXlog_cb xlog_cb;
	WALkerCallbackXact_cb xact_cb;
	WALkerCallbackSmgr_cb smgr_cb;

	/* Set by the worker before _PG_walker_plugin_init is called. */
	uint32		struct_size;
	uint32		version;

	/* Every record, before the callback of its resource manager. */
	WALkerCallbackRecord_cb record_cb;

	/* One for each other built-in resource manager. */
	WALkerCallbackRecord_cb clog_cb;
	WALkerCallbackRecord_cb dbase_cb;
	WALkerCallbackRecord_cb tblspc_cb;
	WALkerCallbackRecord_cb multixact_cb;
	WALkerCallbackRecord_cb relmap_cb;
	WALkerCallbackRecord_cb standby_cb;
	WALkerCallbackRecord_cb btree_cb;
	WALkerCallbackRecord_cb hash_cb;
	WALkerCallbackRecord_cb gin_cb;
	WALkerCallbackRecord_cb gist_cb;
	WALkerCallbackRecord_cb seq_cb;
	WALkerCallbackRecord_cb spgist_cb;
	WALkerCallbackRecord_cb brin_cb;
	WALkerCallbackRecord_cb commit_ts_cb;
	WALkerCallbackRecord_cb replorigin_cb;
	WALkerCallbackRecord_cb generic_cb;
	WALkerCallbackRecord_cb logicalmsg_cb;

	/* Resource managers that extensions registered. */
	WALkerCallbackRecord_cb custom_cb;

	WALkerCallbackFlush_cb flush_cb;
	WALkerCallbackShutdown_cb shutdown_cb;
	WALkerCallbackAnswer_cb answer_cb;

	WALkerCallbackResume_cb resume_cb;
	WALkerCallbackGap_cb gap_cb;
	WALkerCallbackWork_cb work_cb;
} WALkerCallbacks;

/* The version member: grows with the struct. */
#define WALKER_VERSION 1

/*
 * In any backend: puts a question to a plugin and waits for its answer, at most timeout_ms milliseconds. Find it with
 *
 *     walker_ask = (WALkerAsk) load_external_function("walker", "walker_ask", true, NULL);
 */
typedef void (*WALkerAsk) (const char *plugin, const char *question, Size length, int timeout_ms, StringInfo answer);

#endif							/* WALKER_H */
