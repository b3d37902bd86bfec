//! WALker's plugin that keeps the number of dead tuples of every heap block, fed by WAL alone.
