/*
 * every_callback: counts, for each callback that takes a record, how often it is called, and fails if the record is of
 * another resource manager. Asked, it says from where to where and how often: "from 0/1 to 0/2: xlog 3, xact 1, ...".
 */
#include "postgres.h"

#include "access/rmgr.h"
#include "fmgr.h"
#include "walker.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_walker_plugin_init(WALkerCallbacks *cb);

/* Plugins of the original WALker know these, and nothing behind. */
StaticAssertDecl(offsetof(WALkerCallbacks, startup_cb) == 0 * sizeof(void *), "startup_cb");
StaticAssertDecl(offsetof(WALkerCallbacks, heap_cb) == 1 * sizeof(void *), "heap_cb");
StaticAssertDecl(offsetof(WALkerCallbacks, heap2_cb) == 2 * sizeof(void *), "heap2_cb");
StaticAssertDecl(offsetof(WALkerCallbacks, xlog_cb) == 3 * sizeof(void *), "xlog_cb");
StaticAssertDecl(offsetof(WALkerCallbacks, xact_cb) == 4 * sizeof(void *), "xact_cb");
StaticAssertDecl(offsetof(WALkerCallbacks, smgr_cb) == 5 * sizeof(void *), "smgr_cb");

#define EACH(CALLBACK) \
	CALLBACK(xlog, RM_XLOG_ID) CALLBACK(xact, RM_XACT_ID) CALLBACK(smgr, RM_SMGR_ID) CALLBACK(clog, RM_CLOG_ID) \
	CALLBACK(dbase, RM_DBASE_ID) CALLBACK(tblspc, RM_TBLSPC_ID) CALLBACK(multixact, RM_MULTIXACT_ID) \
	CALLBACK(relmap, RM_RELMAP_ID) CALLBACK(standby, RM_STANDBY_ID) CALLBACK(heap2, RM_HEAP2_ID) \
	CALLBACK(heap, RM_HEAP_ID) CALLBACK(btree, RM_BTREE_ID) CALLBACK(hash, RM_HASH_ID) CALLBACK(gin, RM_GIN_ID) \
	CALLBACK(gist, RM_GIST_ID) CALLBACK(seq, RM_SEQ_ID) CALLBACK(spgist, RM_SPGIST_ID) CALLBACK(brin, RM_BRIN_ID) \
	CALLBACK(commit_ts, RM_COMMIT_TS_ID) CALLBACK(replorigin, RM_REPLORIGIN_ID) CALLBACK(generic, RM_GENERIC_ID) \
	CALLBACK(logicalmsg, RM_LOGICALMSG_ID) CALLBACK(custom, RM_EXPERIMENTAL_ID)

#define COUNTING(name, id) \
	static uint64 name##_count = 0; \
	static void \
	count_##name(XLogReaderState *record) \
	{ \
		if (XLogRecGetRmid(record) != (id)) \
			elog(ERROR, #name "_cb got a record of resource manager %d", XLogRecGetRmid(record)); \
		name##_count++; \
	}

EACH(COUNTING)

static XLogRecPtr first = InvalidXLogRecPtr;
static XLogRecPtr last = InvalidXLogRecPtr;

static void
count_record(XLogReaderState *record)
{
	if (first == InvalidXLogRecPtr)
		first = record->ReadRecPtr;
	last = record->EndRecPtr;
}

static void
answer(const char *question, Size length, XLogRecPtr position, StringInfo text)
{
	appendStringInfo(text, "from %X/%X to %X/%X:", LSN_FORMAT_ARGS(first), LSN_FORMAT_ARGS(last));
#define APPENDING(name, id) appendStringInfo(text, " " #name " " UINT64_FORMAT ",", name##_count);
	EACH(APPENDING)
	text->data[--text->len] = '\0';
}

void
_PG_walker_plugin_init(WALkerCallbacks *cb)
{
	if (cb->struct_size != sizeof(WALkerCallbacks) || cb->version != WALKER_VERSION)
		elog(ERROR, "the worker's struct has %u bytes and version %u, the header's %zu and %d",
			 cb->struct_size, cb->version, sizeof(WALkerCallbacks), WALKER_VERSION);
	cb->record_cb = count_record;
#define SETTING(name, id) cb->name##_cb = count_##name;
	EACH(SETTING)
	cb->answer_cb = answer;
}
