//! A side with a brain that only writes down what it is asked.
