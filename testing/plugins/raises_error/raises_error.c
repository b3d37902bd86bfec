/* A plugin for tests: raises an ERROR at the tenth record of the heap, holding a lock as it does. */
#include "postgres.h"

#include "fmgr.h"
#include "storage/lwlock.h"
#include "walker.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_walker_plugin_init(WALkerCallbacks *cb);

static int	seen = 0;

static void
fail_at_tenth(XLogReaderState *record)
{
	if (++seen == 10)
	{
		LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
		elog(ERROR, "raises_error has seen %d records", seen);
	}
}

void
_PG_walker_plugin_init(WALkerCallbacks *cb)
{
	cb->heap_cb = fail_at_tenth;
}
