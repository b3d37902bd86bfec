/*
 * A plugin for tests, built against a struct of six members and nothing else, as plugins of the original WALker were:
 * says in the log with how many records each was called when the first checkpoint comes.
 */
#include "postgres.h"

#include "access/xlogreader.h"
#include "catalog/pg_control.h"
#include "fmgr.h"

PG_MODULE_MAGIC;

typedef struct WALkerCallbacks
{
	void		(*startup_cb) (void);
	void		(*heap_cb) (XLogReaderState *record);
	void		(*heap2_cb) (XLogReaderState *record);
	void		(*xlog_cb) (XLogReaderState *record);
	void		(*xact_cb) (XLogReaderState *record);
	void		(*smgr_cb) (XLogReaderState *record);
} WALkerCallbacks;

extern PGDLLEXPORT void _PG_walker_plugin_init(WALkerCallbacks *cb);

static int	heap,
			heap2,
			xact,
			smgr;

static void
startup(void)
{
	elog(LOG, "original_struct: started");
}

static void
count_heap(XLogReaderState *record)
{
	heap++;
}

static void
count_heap2(XLogReaderState *record)
{
	heap2++;
}

static void
count_xact(XLogReaderState *record)
{
	xact++;
}

static void
count_smgr(XLogReaderState *record)
{
	smgr++;
}

static void
checkpoint(XLogReaderState *record)
{
	if ((XLogRecGetInfo(record) & ~XLR_INFO_MASK) == XLOG_CHECKPOINT_ONLINE)
		elog(LOG, "original_struct: heap %d, heap2 %d, xact %d, smgr %d", heap, heap2, xact, smgr);
}

void
_PG_walker_plugin_init(WALkerCallbacks *cb)
{
	cb->startup_cb = startup;
	cb->heap_cb = count_heap;
	cb->heap2_cb = count_heap2;
	cb->xlog_cb = checkpoint;
	cb->xact_cb = count_xact;
	cb->smgr_cb = count_smgr;
}
