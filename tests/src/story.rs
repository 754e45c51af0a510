//! A world by hand, in a small vocabulary: what a seed once showed becomes a story that anybody can read.
