//! Seeds that once failed, as named stories.
