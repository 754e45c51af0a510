//! All that is on disk: records, entries, batches, segments, recovery.
